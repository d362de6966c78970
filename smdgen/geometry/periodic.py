"""Molecules that the periodic box has cut, made whole again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smdgen.geometry.bonds import bond_matrix, molecule_numbers
from smdgen.geometry.cell import box_vectors
from smdgen.geometry.lattice import lattice_counts


@dataclass(frozen=True)
class Wholeness:
    """From which other atom each one is reached along the bonds; made once for a selection.

    Attributes:
        ancestors: (n_atoms,) each. The atom 1, 2, 4 ... bonds back; a molecule's first atom leads to itself.
        molecules: (n_atoms,). Number of the molecule of each atom.
    """

    ancestors: tuple[NDArray[np.int64], ...]
    molecules: NDArray[np.int64]


def plan_wholeness(n_atoms: int, bonds: NDArray[np.int64]) -> Wholeness:
    """What `make_whole` needs to know about (n_bonds, 2) among some atoms."""
    molecules = molecule_numbers(n_atoms, bonds)
    parents = _spanning_tree(n_atoms, bonds, np.unique(molecules, return_index=True)[1])
    ancestors = [parents]
    while (parents[parents] != parents).any():
        parents = parents[parents]
        ancestors.append(parents)
    return Wholeness(tuple(ancestors), molecules)


def atoms_between(n_atoms: int, bonds: NDArray[np.int64], atoms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Atoms that lead along the bonds from each of some atoms to the others of its molecule.

    Args:
        n_atoms: Of the topology.
        bonds: (n_bonds, 2), 0-based. All of the topology.
        atoms: (n,), 0-based. The atoms to lead to.

    Returns:
        (n_between,), 0-based, in order; none of `atoms`.
    """
    molecules = molecule_numbers(n_atoms, bonds)
    parents = _spanning_tree(n_atoms, bonds, atoms[np.unique(molecules[atoms], return_index=True)[1]])
    is_needed = np.zeros(n_atoms, dtype=bool)
    is_needed[atoms] = True
    front = atoms
    while len(front):
        front = np.unique(parents[front])
        front = front[~is_needed[front]]
        is_needed[front] = True
    is_needed[atoms] = False
    return np.flatnonzero(is_needed)


def make_whole(
    positions: NDArray[np.floating], wholeness: Wholeness, cells: NDArray[np.float64] | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Coordinates with every molecule in one piece.

    The first atom of each molecule stays, the others move by whole box vectors along the bonds. A frame that
    nothing cuts stays as it is. Each frame is treated by itself, so any chunks give the same result.

    Args:
        positions: (n_frames, n_atoms, 3), A.
        wholeness: Of these atoms.
        cells: (n_frames, 6), A A A deg deg deg; None leaves everything as it is.

    Returns:
        (n_frames, n_atoms, 3), A, and (n_frames,), whether a molecule was cut.
    """
    whole = np.array(positions, dtype=np.float32)
    if cells is None:
        return whole, np.zeros(len(whole), dtype=bool)
    counts = lattice_counts(whole - whole.take(wholeness.ancestors[0], axis=1), cells)
    is_cut = np.asarray(counts.any(axis=(1, 2)))
    if is_cut.any():
        counts = counts[is_cut].astype(np.int16)
        # Sum the shifts from each atom up to its root by doubling the stride: log2(n) steps.
        for ancestors in wholeness.ancestors[:-1]:
            counts = counts + counts.take(ancestors, axis=1)
        whole[is_cut] = whole[is_cut] - counts @ box_vectors(cells[is_cut])
    return whole, is_cut


def centres_of(positions: NDArray[np.floating], molecules: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_frames, n_molecules, 3), A. Centres of the molecules.

    Args:
        positions: (n_frames, n_atoms, 3), A.
        molecules: (n_atoms,). Number of the molecule of each atom.
    """
    order = np.argsort(molecules, kind="stable")
    sizes = np.bincount(molecules)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    sums = np.add.reduceat(positions[:, order].astype(np.float64), starts, axis=1)
    return np.asarray(sums / sizes[:, None], dtype=np.float64)


def _spanning_tree(n_atoms: int, bonds: NDArray[np.int64], roots: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n_atoms,). From which atom each is reached: roots from themselves; below zero where no root leads."""
    from scipy.sparse.csgraph import breadth_first_order

    # One search for all molecules: an extra atom is bonded to the root of each.
    ends = np.concatenate([bonds, np.stack([np.full(len(roots), n_atoms), roots], axis=1)])
    _, before = breadth_first_order(bond_matrix(n_atoms + 1, ends), n_atoms, directed=False)
    parents = before[:n_atoms].astype(np.int64)
    return np.where(parents == n_atoms, np.arange(n_atoms), parents)
