"""Molecules that the periodic box has cut, made whole again."""

import numpy as np
from numpy.typing import NDArray

from smdgen.data.cell import box_vectors


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
    positions: NDArray[np.floating], bonds: NDArray[np.int64], cells: NDArray[np.float64] | None
) -> NDArray[np.float32]:
    """Coordinates with every molecule in one piece.

    The first atom of each molecule stays; the others move by whole box vectors along the bonds.
    Each frame is treated by itself, so any chunks give the same result.

    Args:
        positions: (n_frames, n_atoms, 3), A.
        bonds: (n_bonds, 2) among these atoms.
        cells: (n_frames, 6), A A A deg deg deg; None leaves everything as it is.

    Returns:
        (n_frames, n_atoms, 3), A.
    """
    if cells is None or not len(bonds):
        return np.asarray(positions, dtype=np.float32)
    parents = _spanning_tree(positions.shape[1], bonds)
    counts = -_lattice(positions - positions[:, parents], cells)[0]
    # Sum the shifts from each atom up to its root by doubling the stride: log2(n) steps.
    while (parents[parents] != parents).any():
        counts = counts + counts[:, parents]
        parents = parents[parents]
    shifts = np.einsum("fni,fij->fnj", counts, box_vectors(cells))
    return np.asarray(positions + shifts, dtype=np.float32)


def _lattice(
    vectors: NDArray[np.floating], cells: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n_frames, n, 3) whole numbers of box vectors nearest to each vector, and the same in A."""
    boxes = box_vectors(cells)
    counts = np.round(np.einsum("fni,fij->fnj", vectors, np.linalg.inv(boxes)))
    return counts, np.einsum("fni,fij->fnj", counts, boxes)


def _spanning_tree(n_atoms: int, bonds: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n_atoms,). The atom from which each is reached; a molecule's first atom is reached from itself."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    ones = np.ones(len(bonds), dtype=np.int8)
    graph = coo_array((ones, bonds.T), shape=(n_atoms, n_atoms)).tocsr()
    _, labels = connected_components(graph, directed=False)
    roots = np.unique(labels, return_index=True)[1]
    # One search for all molecules: an extra atom is bonded to the first of each.
    ends = np.concatenate([bonds, np.stack([np.full(len(roots), n_atoms), roots], axis=1)])
    joined = coo_array((np.ones(len(ends), dtype=np.int8), ends.T), shape=(n_atoms + 1, n_atoms + 1)).tocsr()
    _, before = breadth_first_order(joined, n_atoms, directed=False)
    parents = before[:n_atoms].astype(np.int64)
    return np.where(parents == n_atoms, np.arange(n_atoms), parents)
