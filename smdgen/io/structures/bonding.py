"""Bonds of structures whose files list none: from residue templates and from distances."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smdgen.geometry.cell import box_vectors
from smdgen.geometry.lattice import lattice_counts, nearest_image
from smdgen.io.structures.atoms import sorted_bonds

#: Covalent radii, A. Source: B. Cordero et al., Dalton Trans. 2832 (2008).
COVALENT_RADII = {
    "H": 0.31, "B": 0.84, "C": 0.76, "N": 0.71, "O": 0.66, "F": 0.57, "Si": 1.11, "P": 1.07, "S": 1.05,
    "Cl": 1.02, "Se": 1.20, "Br": 1.20, "I": 1.39,
}  # fmt: skip

#: Longest C-N distance that is a peptide bond and no gap between two chains, A.
LONGEST_PEPTIDE_BOND = 2.5

_BOND_TOLERANCE = 1.25  # times the sum of the radii
_LONGEST = 3.0  # A; beyond it nothing is bonded
_LONGEST_CLOSURE = 1.7  # A, of the peptide bond that closes a ring
_SHORTEST = 0.4  # A
_MOST_SULPHURS = 2000  # that are compared one by one across the walls of a box


def find_bonds(
    names: NDArray[np.str_],
    residue_names: NDArray[np.str_],
    elements: NDArray[np.str_],
    residues: NDArray[np.int64],
    chains: NDArray[np.int64],
    positions: NDArray[np.float64],
    cell: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """Bonds of a structure: of known residues by the names of their atoms, of all others by what is near.

    Atoms that a template knows bond as it says, up to 2.5 A. Within a residue other atoms bond when they are
    nearer than 1.25 times the sum of their covalent radii, a hydrogen to its nearest heavy atom only. Between
    residues: C to the next residue's N of the same chain up to 2.5 A, or to the N of another residue
    of the chain up to 1.7 A where both are open (the ring of a cyclic peptide), sulphur bridges, and whatever
    else is near in neighbouring residues of one chain.

    Args:
        names: (n_atoms,).
        residue_names: (n_atoms,).
        elements: (n_atoms,); atoms of unknown elements and metals get no bond by distance.
        residues: (n_atoms,) number of the residue an atom is in, counted from 0 through the file.
        chains: (n_atoms,) number of the chain (or segment, or part between TER lines) it is in.
        positions: (n_atoms, 3), A.
        cell: (6,), A A A deg deg deg; None without a box.

    Returns:
        (n_bonds, 2), i < j, sorted.
    """
    place = _Places(positions, cell)
    from_templates, is_known = _template_bonds(names, residue_names, residues, place)
    near = _near_pairs(elements, residues, chains, place)
    both_known = is_known[near].all(axis=1) & (residues[near[:, 0]] == residues[near[:, 1]])
    chain = _peptide_bonds(names, residues, chains, place)
    found = sorted_bonds(np.concatenate([from_templates, near[~both_known], chain]))
    return sorted_bonds(np.concatenate([found, _ring_closures(names, residues, chains, place, found)]))


@dataclass(frozen=True, eq=False)
class _Places:
    """Where atoms are.

    Attributes:
        positions: (n_atoms, 3), A.
        cell: (6,), A A A deg deg deg; None without a box.
    """

    positions: NDArray[np.float64]
    cell: NDArray[np.float64] | None

    def distances(self, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,), A, between the nearest images of (n, 2) atoms."""
        vectors = self.positions[pairs[:, 1]] - self.positions[pairs[:, 0]]
        if self.cell is not None:
            vectors = nearest_image(vectors[None], self.cell[None])[0]
        return np.asarray(np.linalg.norm(vectors, axis=1), dtype=np.float64)

    def gathered(self, residues: NDArray[np.int64], chains: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """(n_atoms, 3), A. Each residue in one piece beside the one before of its chain; None if all are."""
        if self.cell is None:
            return None
        starts = np.flatnonzero(np.diff(residues, prepend=-1))
        firsts = self.positions[starts]
        within = lattice_counts((self.positions - firsts[residues])[None], self.cell[None])[0]
        steps = lattice_counts(np.diff(firsts, axis=0, prepend=firsts[:1])[None], self.cell[None])[0]
        steps[np.diff(chains[starts], prepend=-1) != 0] = 0
        counts = within + np.cumsum(steps, axis=0)[residues]
        return self.positions - counts @ box_vectors(self.cell) if counts.any() else None


def _template_bonds(
    names: NDArray[np.str_],
    residue_names: NDArray[np.str_],
    residues: NDArray[np.int64],
    place: _Places,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Bonds (n, 2) within known residues, and which atoms (n_atoms,) a template knows."""
    from smdgen.io.structures.residue_templates import template_of

    is_known = np.zeros(len(names), dtype=bool)
    pairs: list[tuple[int, int]] = []
    starts = np.flatnonzero(np.diff(residues, prepend=-1))
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(names)], strict=True):
        template = template_of(str(residue_names[start]))
        if template is None:
            continue
        standard = [template.standard(name) for name in names[start:stop].tolist()]
        atoms = {name: start + i for i, name in enumerate(standard) if name}
        if len(atoms) < sum(map(bool, standard)):
            continue  # a name that is there twice tells nothing
        is_known[list(atoms.values())] = True
        pairs += [(atoms[a], atoms[b]) for a, b in template.bonds if a in atoms and b in atoms]
    bonds = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return _within(bonds, place, LONGEST_PEPTIDE_BOND), is_known


def _peptide_bonds(
    names: NDArray[np.str_],
    residues: NDArray[np.int64],
    chains: NDArray[np.int64],
    places: _Places,
) -> NDArray[np.int64]:
    """Backbone of residues that no template knows, and C to the next residue's N."""
    n_residues = int(residues.max()) + 1 if len(residues) else 0
    place = {name: np.full(n_residues, -1) for name in ("N", "CA", "C")}
    for name, where in place.items():
        atoms = np.flatnonzero(names == name)
        where[residues[atoms]] = atoms
    found = [_present(place[a], place[b]) for a, b in (("N", "CA"), ("CA", "C"))]
    peptide = _present(place["C"][:-1], place["N"][1:])
    found.append(peptide[chains[peptide[:, 0]] == chains[peptide[:, 1]]])
    return _within(np.concatenate(found), places, LONGEST_PEPTIDE_BOND)


def _ring_closures(
    names: NDArray[np.str_],
    residues: NDArray[np.int64],
    chains: NDArray[np.int64],
    places: _Places,
    bonds: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Peptide bonds between residues of one chain that do not follow each other, as a cyclic peptide has."""
    between = bonds[residues[bonds[:, 0]] != residues[bonds[:, 1]]]
    is_open = ~np.isin(np.arange(len(names)), between)
    carbons, nitrogens = (np.flatnonzero((names == name) & is_open) for name in ("C", "N"))
    pairs = np.stack(np.meshgrid(carbons, nitrogens, indexing="ij"), axis=-1).reshape(-1, 2)
    pairs = pairs[
        (chains[pairs[:, 0]] == chains[pairs[:, 1]]) & (residues[pairs[:, 0]] != residues[pairs[:, 1]])
    ]
    return _within(pairs, places, _LONGEST_CLOSURE)


def _near_pairs(
    elements: NDArray[np.str_],
    residues: NDArray[np.int64],
    chains: NDArray[np.int64],
    places: _Places,
) -> NDArray[np.int64]:
    radii = np.array([COVALENT_RADII.get(element, 0.0) for element in elements])
    known = np.flatnonzero(radii > 0)
    if len(known) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    gathered = places.gathered(residues, chains)
    pairs = known[_closer_than(places.positions[known], _LONGEST)]
    if gathered is not None:
        sulphurs = np.flatnonzero(elements == "S")[:_MOST_SULPHURS]
        across = [known[_closer_than(gathered[known], _LONGEST)], sulphurs[_all_pairs(len(sulphurs))]]
        pairs = sorted_bonds(np.concatenate([pairs, *across]))
    first, second = pairs[:, 0], pairs[:, 1]
    distances = places.distances(pairs)
    is_hydrogen = elements == "H"
    n_hydrogens = is_hydrogen[first].astype(int) + is_hydrogen[second]
    apart = np.abs(residues[first] - residues[second])
    sulphur = (elements[first] == "S") & (elements[second] == "S")
    allowed = (apart == 0) | ((apart == 1) & (n_hydrogens == 0) & (chains[first] == chains[second])) | sulphur
    bonded = allowed & (distances < _BOND_TOLERANCE * (radii[first] + radii[second])) & (n_hydrogens < 2)
    bonded &= distances > _SHORTEST
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


def _present(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, 2). Pairs of which both atoms are there."""
    return np.stack([first, second], axis=1)[(first >= 0) & (second >= 0)]


def _within(pairs: NDArray[np.int64], places: _Places, longest: float) -> NDArray[np.int64]:
    """Pairs no further apart than a length, A."""
    return np.asarray(pairs[places.distances(pairs) < longest], dtype=np.int64)


def _closer_than(positions: NDArray[np.float64], distance: float) -> NDArray[np.int64]:
    """(n, 2). Pairs of positions (n_atoms, 3), A, within a distance, A."""
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(positions).query_pairs(distance, output_type="ndarray"), dtype=np.int64)


def _all_pairs(n: int) -> NDArray[np.int64]:
    """(n * (n - 1) / 2, 2)."""
    return np.stack(np.triu_indices(n, 1), axis=1)
