"""Bonds of structures whose files list none: from the backbone's template and from distances."""

import numpy as np
from numpy.typing import NDArray

from smdgen.data.atoms import sorted_bonds

#: Covalent radii, A. Source: B. Cordero et al., Dalton Trans. 2832 (2008).
COVALENT_RADII = {
    "H": 0.31, "B": 0.84, "C": 0.76, "N": 0.71, "O": 0.66, "F": 0.57, "Si": 1.11, "P": 1.07, "S": 1.05,
    "Cl": 1.02, "Se": 1.20, "Br": 1.20, "I": 1.39,
}  # fmt: skip

#: Longest C-N distance that is a peptide bond and no gap between two chains, A.
LONGEST_PEPTIDE_BOND = 2.5

_TOLERANCE = 1.25  # times the sum of the radii
_LONGEST = 3.0  # A; beyond it nothing is bonded
_TEMPLATE = (("N", "CA"), ("CA", "C"), ("C", "O"), ("C", "OT1"), ("C", "OXT"), ("CA", "CB"))


def find_bonds(
    names: NDArray[np.str_],
    elements: NDArray[np.str_],
    residues: NDArray[np.int64],
    chains: NDArray[np.int64],
    positions: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Bonds of a structure by what is near and by what a protein's backbone needs.

    Within a residue atoms bond when they are nearer than 1.25 times the sum of their covalent radii, a
    hydrogen to its nearest heavy atom only; the backbone bonds up to 2.5 A. Between residues: C to the
    next residue's N of the same chain up to 2.5 A, sulphur bridges, and whatever else is near in neighbouring
    residues of one chain.

    Args:
        names: (n_atoms,).
        elements: (n_atoms,); atoms of unknown elements and metals get no bond by distance.
        residues: (n_atoms,) number of the residue an atom is in, counted from 0 through the file.
        chains: (n_atoms,) number of the chain (or segment, or part between TER lines) it is in.
        positions: (n_atoms, 3), A.

    Returns:
        (n_bonds, 2), i < j, sorted.
    """
    near = _near_pairs(elements, residues, chains, positions)
    return sorted_bonds(np.concatenate([near, _backbone(names, residues, chains, positions)]))


def _near_pairs(
    elements: NDArray[np.str_],
    residues: NDArray[np.int64],
    chains: NDArray[np.int64],
    positions: NDArray[np.float64],
) -> NDArray[np.int64]:
    from scipy.spatial import cKDTree

    radii = np.array([COVALENT_RADII.get(element, 0.0) for element in elements])
    known = np.flatnonzero(radii > 0)
    if len(known) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    pairs = known[cKDTree(positions[known]).query_pairs(_LONGEST, output_type="ndarray")]
    first, second = pairs[:, 0], pairs[:, 1]
    distances = np.linalg.norm(positions[first] - positions[second], axis=1)
    is_hydrogen = elements == "H"
    n_hydrogens = is_hydrogen[first].astype(int) + is_hydrogen[second]
    apart = np.abs(residues[first] - residues[second])
    sulphur = (elements[first] == "S") & (elements[second] == "S")
    allowed = (apart == 0) | ((apart == 1) & (n_hydrogens == 0) & (chains[first] == chains[second])) | sulphur
    bonded = allowed & (distances < _TOLERANCE * (radii[first] + radii[second])) & (n_hydrogens < 2)
    bonded &= distances > 0.4
    return _nearest_of_hydrogens(pairs[bonded], distances[bonded], is_hydrogen)


def _nearest_of_hydrogens(
    pairs: NDArray[np.int64], distances: NDArray[np.float64], is_hydrogen: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The pairs without those of a hydrogen that has a nearer partner."""
    pairs = pairs[np.argsort(distances, kind="stable")]
    hydrogen = np.where(
        is_hydrogen[pairs[:, 0]], pairs[:, 0], np.where(is_hydrogen[pairs[:, 1]], pairs[:, 1], -1)
    )
    _, first = np.unique(hydrogen, return_index=True)
    kept = np.union1d(np.flatnonzero(hydrogen < 0), first).astype(np.int64)
    return np.asarray(pairs[kept], dtype=np.int64)


def _backbone(
    names: NDArray[np.str_],
    residues: NDArray[np.int64],
    chains: NDArray[np.int64],
    positions: NDArray[np.float64],
) -> NDArray[np.int64]:
    n_residues = int(residues.max()) + 1 if len(residues) else 0
    place = {name: np.full(n_residues, -1) for name in ("N", "CA", "C", "O", "OT1", "OXT", "CB")}
    for name, where in place.items():
        atoms = np.flatnonzero(names == name)
        where[residues[atoms]] = atoms
    is_residue = (place["CA"] >= 0) & ((place["N"] >= 0) | (place["C"] >= 0))
    found = [_both(np.where(is_residue, place[a], -1), place[b], positions) for a, b in _TEMPLATE]
    peptide = _both(place["C"][:-1], place["N"][1:], positions)
    found.append(peptide[chains[peptide[:, 0]] == chains[peptide[:, 1]]])
    return np.concatenate(found)


def _both(
    first: NDArray[np.int64], second: NDArray[np.int64], positions: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Pairs of which both atoms are there and near enough for a bond."""
    pairs = np.stack([first, second], axis=1)[(first >= 0) & (second >= 0)]
    distances = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    return np.asarray(pairs[distances < LONGEST_PEPTIDE_BOND], dtype=np.int64)
