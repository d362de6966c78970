"""Complete a structure with PDBFixer: the atoms that are kept stay where they are, the rest is built anew."""

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import TopologyError
from smdgen.forcefield.system import MolecularStructure, openmm_topology, residue_rows
from smdgen.units import ANGSTROM_PER_NM

#: Atoms of a residue that are kept when its side chain is built anew.
_BACKBONE = {"N", "CA", "C", "O", "CB"}

#: pH at which hydrogens are added.
_PH = 7.0


class Rebuilt(NamedTuple):
    """A completed structure."""

    topology: Any  # openmm.app.Topology
    positions: NDArray[np.float64]  # (n_atoms, 3), A
    residues: list[dict[str, int]]  # for each residue of the old structure its atoms by their new names


def heavy_atoms(structure: MolecularStructure) -> list[int]:
    """All atoms but hydrogen."""
    return [i for i, element in enumerate(structure.elements) if element != "H"]


def backbone_atoms(structure: MolecularStructure) -> list[int]:
    """N, CA, C, O and CB."""
    return [i for i, name in enumerate(structure.names) if str(name) in _BACKBONE]


def rebuild(structure: MolecularStructure, x: NDArray[np.float64], kept: list[int]) -> Rebuilt:
    """Keep some atoms and let PDBFixer add what the residues lack, hydrogens and termini included.

    Args:
        structure: All atoms.
        x: (n_atoms, 3), A.
        kept: Atoms to keep, 0-based; each residue must keep one.

    Raises:
        TopologyError: PDBFixer does not know a residue, or cannot complete it.
    """
    from openmm import Platform, Vec3, app, unit
    from pdbfixer import PDBFixer

    part = _Part(structure, kept)
    positions = unit.Quantity([Vec3(*row) for row in x[kept] / ANGSTROM_PER_NM], unit.nanometer)
    text = io.StringIO()
    app.PDBFile.writeFile(openmm_topology(part, split_unbonded=True), positions, text)
    text.seek(0)
    try:
        fixer = PDBFixer(pdbfile=text, platform=Platform.getPlatformByName("CPU"))
        fixer.missingResidues = {}
        fixer.findMissingAtoms()
        fixer.addMissingAtoms()
        fixer.addMissingHydrogens(_PH)
    except Exception as error:
        raise TopologyError(f"PDBFixer cannot complete the structure: {error}") from error
    residues = [{atom.name: atom.index for atom in residue.atoms()} for residue in fixer.topology.residues()]
    if len(residues) != len(set(residue_rows(part))):
        raise TopologyError("PDBFixer changed the number of residues")
    found = np.array(fixer.positions.value_in_unit(unit.angstrom), dtype=np.float64)
    return Rebuilt(fixer.topology, found, residues)


class _Part:
    """Some atoms of a structure, with the bonds among them."""

    def __init__(self, structure: MolecularStructure, kept: list[int]) -> None:
        rows = residue_rows(structure)
        if set(rows) != {rows[i] for i in kept}:
            raise TopologyError("a residue would lose all its atoms")
        place = {old: new for new, old in enumerate(kept)}
        pairs = ((int(i), int(j)) for i, j in structure.bonds)
        bonds = [(place[i], place[j]) for i, j in pairs if i in place and j in place]
        self.names, self.elements = structure.names[kept], structure.elements[kept]
        self.residue_names, self.residue_ids = structure.residue_names[kept], structure.residue_ids[kept]
        self.insertion_codes, self.masses = structure.insertion_codes[kept], structure.masses[kept]
        self.chain_ids, self.segment_ids = structure.chain_ids[kept], structure.segment_ids[kept]
        self.bonds = np.array(bonds, dtype=np.int64).reshape(-1, 2)
        self.charges = self.types = None
        self.path: Path | None = None
        self.has_cross_terms = structure.has_cross_terms
