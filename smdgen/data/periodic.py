"""Molecules that the periodic box has cut, made whole again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smdgen.data.cell import box_vectors
from smdgen.physics.connectivity import molecule_numbers


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
    parents = _spanning_tree(n_atoms, bonds, molecules)
    ancestors = [parents]
    while (parents[parents] != parents).any():
        parents = parents[parents]
        ancestors.append(parents)
    return Wholeness(tuple(ancestors), molecules)


def nearest_image(vectors: NDArray[np.floating], cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors shortened by whole box vectors, as short bonds need.

    Args:
        vectors: (n_frames, n, 3), A.
        cells: (n_frames, 6), A A A deg deg deg.

    Returns:
        (n_frames, n, 3), A.
    """
    return vectors - _lattice(vectors, cells)[1]


def make_whole(
    positions: NDArray[np.floating], wholeness: Wholeness, cells: NDArray[np.float64] | None
) -> NDArray[np.float32]:
    """Coordinates with every molecule in one piece, and all molecules around the first.

    The first atom stays. The others move by whole box vectors: along the bonds, then each molecule as a whole
    to where its centre is nearest to that of the first. Each frame is treated by itself, so any chunks
    give the same result.

    Args:
        positions: (n_frames, n_atoms, 3), A.
        wholeness: Of these atoms.
        cells: (n_frames, 6), A A A deg deg deg; None leaves everything as it is.

    Returns:
        (n_frames, n_atoms, 3), A.
    """
    if cells is None:
        return np.asarray(positions, dtype=np.float32)
    positions = np.array(positions, dtype=np.float32)
    counts = _lattice(positions - positions.take(wholeness.ancestors[0], axis=1), cells)[0]
    is_cut = counts.any(axis=(1, 2))
    if is_cut.any():
        counts = counts[is_cut].astype(np.int16)
        # Sum the shifts from each atom up to its root by doubling the stride: log2(n) steps.
        for ancestors in wholeness.ancestors[:-1]:
            counts = counts + counts.take(ancestors, axis=1)
        positions[is_cut] = positions[is_cut] - counts @ box_vectors(cells[is_cut])
    if wholeness.molecules.any():
        centres = _centres(positions, wholeness.molecules)
        shifts = _lattice(centres - centres[:, :1], cells)[1]
        positions = (positions - shifts[:, wholeness.molecules]).astype(np.float32)
    return positions


def _centres(positions: NDArray[np.floating], molecules: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_frames, n_molecules, 3), A."""
    order = np.argsort(molecules, kind="stable")
    sizes = np.bincount(molecules)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    sums = np.add.reduceat(positions[:, order].astype(np.float64), starts, axis=1)
    return np.asarray(sums / sizes[:, None], dtype=np.float64)


def _lattice(
    vectors: NDArray[np.floating], cells: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n_frames, n, 3) whole numbers of box vectors nearest to each vector, and the same in A."""
    boxes = box_vectors(cells)
    counts = np.asarray(np.round(vectors @ np.linalg.inv(boxes)), dtype=np.float64)
    return counts, counts @ boxes


def _spanning_tree(n_atoms: int, bonds: NDArray[np.int64], molecules: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n_atoms,). The atom from which each is reached; a molecule's first atom is reached from itself."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order

    roots = np.unique(molecules, return_index=True)[1]
    # One search for all molecules: an extra atom is bonded to the first of each.
    ends = np.concatenate([bonds, np.stack([np.full(len(roots), n_atoms), roots], axis=1)])
    joined = coo_array((np.ones(len(ends), dtype=np.int8), ends.T), shape=(n_atoms + 1, n_atoms + 1)).tocsr()
    _, before = breadth_first_order(joined, n_atoms, directed=False)
    parents = before[:n_atoms].astype(np.int64)
    return np.where(parents == n_atoms, np.arange(n_atoms), parents)
