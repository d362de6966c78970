"""Bonded terms for the modelled atoms of any structure, by the most trusted route its files allow."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smdgen.errors import SmdgenError, TopologyError
from smdgen.forcefield.bonded_terms import Terms, bonded_terms, geometry_terms
from smdgen.forcefield.rebuild import backbone_atoms, heavy_atoms, rebuild
from smdgen.forcefield.system import (
    FORCEFIELDS,
    MolecularStructure,
    another_that_fits,
    build_system,
    file_kind,
    residue_rows,
    system_from_forcefield,
)

#: Names by which CHARMM and PDB files call the same atom.
_ALIASES = {"HN": "H", "H": "HN", "OT1": "O", "OT2": "OXT", "CD": "CD1", "HT1": "H", "HT2": "H2", "HT3": "H3"}


def structure_terms(
    structure: MolecularStructure,
    indices: ArrayLike,
    *,
    parameters: Sequence[Path] = (),
    forcefield: str = "charmm36",
    frames: ArrayLike | None = None,
) -> tuple[Terms, tuple[str, ...]]:
    """Bonded terms of the modelled atoms.

    In order of trust: an OpenMM System XML or an Amber prmtop; a PSF with CHARMM parameter files; the force
    field on the structure's own bonds; the same after PDBFixer has replaced the hydrogens and added what is
    missing; the same with only N, CA, C, O and CB kept; the observed geometry. Files that the user names are
    never passed over for a weaker route: what is wrong with them is an error.

    Args:
        structure: All atoms of the topology.
        indices: (n_modelled,), 0-based into the structure.
        parameters: CHARMM parameter files for a PSF, or one System XML.
        forcefield: For `build_system`.
        frames: (n_frames, n_atoms, 3) or (n_atoms, 3), A. Coordinates of all atoms, for the routes that
            rebuild atoms or measure; None: those routes are closed.

    Returns:
        The terms and what the user should know about their origin.

    Raises:
        ConfigError: A parameter file or force field that does not exist.
        TopologyError: The named files do not describe the structure, or no route is open.
    """
    chosen = np.asarray(indices, dtype=np.int64)
    named = bool(parameters) or file_kind(structure) == "prmtop"
    try:
        return _own_terms(structure, chosen, parameters, forcefield)
    except TopologyError as error:
        if named:
            raise
        first_reason = str(error)
    if frames is None:
        raise TopologyError(first_reason)
    x = np.asarray(frames, dtype=np.float64).reshape(-1, len(structure.names), 3)
    for kept, how, note in (
        (heavy_atoms(structure), "missing atoms and hydrogens added by PDBFixer",
         "after PDBFixer added missing atoms and hydrogens; termini may differ"),
        (backbone_atoms(structure), "all but N CA C O CB rebuilt by PDBFixer",
         "with all but N CA C O CB rebuilt by PDBFixer; termini differ"),
    ):  # fmt: skip
        with contextlib.suppress(SmdgenError):
            terms = _rebuilt_terms(structure, chosen, forcefield, x[0], kept, how)
            return terms, (f"bonded terms of {forcefield} {note}",)
    inside = {int(atom): i for i, atom in enumerate(chosen)}
    bonds = [
        (inside[int(i)], inside[int(j)]) for i, j in structure.bonds if int(i) in inside and int(j) in inside
    ]
    other = another_that_fits(structure, forcefield)
    note = (
        "NO FORCE FIELD FITS: bonded energies are made up from the observed geometry (no torsion terms) "
        "and mean nothing beyond keeping shapes; for real ones give a PSF with --params, or a prmtop. "
        f"{f'--forcefield {other} fits. ' if other else ''}Why: {first_reason}"
    )
    return geometry_terms(bonds, x[:, chosen]), (note,)


def _own_terms(
    structure: MolecularStructure, chosen: NDArray[np.int64], parameters: Sequence[Path], forcefield: str
) -> tuple[Terms, tuple[str, ...]]:
    """The structure as it is."""
    built = build_system(structure, parameters, forcefield, constraints="none")
    bonds = [(bond[0].index, bond[1].index) for bond in built.topology.bonds()]
    notes = list(built.notes)
    if any(type(force).__name__ == "CMAPTorsionForce" for force in built.system.getForces()):
        notes.append("CMAP is part of the force field, but not of the bonded energies reported here")
    return bonded_terms(built.system, bonds, chosen, built.source), tuple(notes)


def _rebuilt_terms(
    structure: MolecularStructure,
    chosen: NDArray[np.int64],
    forcefield: str,
    x: NDArray[np.float64],
    kept: list[int],
    how: str,
) -> Terms:
    if forcefield not in FORCEFIELDS:
        raise TopologyError(f"atoms can be rebuilt for {', '.join(FORCEFIELDS)} only, not for {forcefield}")
    topology, _, residues = rebuild(structure, x, kept)
    system = system_from_forcefield(topology, forcefield, "none")
    rows = residue_rows(structure)
    found = [_find_atom(residues[rows[atom]], str(structure.names[atom])) for atom in chosen]
    bonds = [(bond[0].index, bond[1].index) for bond in topology.bonds()]
    return bonded_terms(system, bonds, found, f"force field {forcefield}, {how}")


def _find_atom(residue: dict[str, int], name: str) -> int:
    for candidate in (name, _ALIASES.get(name, name)):
        if candidate in residue:
            return residue[candidate]
    raise TopologyError(f"atom {name} is not in the rebuilt residue")
