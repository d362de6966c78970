"""Energies and forces: OpenMM systems, bonded terms as tables, TorchMD, minimisation."""
