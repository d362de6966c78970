"""Constant-velocity pulls with OpenMM, many at once, and their work."""
