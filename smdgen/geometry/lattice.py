"""The lattice of periodic images: which image of a vector is the shortest, in a cell of any shape."""

import numpy as np
from numpy.typing import NDArray

from smdgen.geometry.cell import box_vectors

_SUBSETS = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]], dtype=float
)
_EXACT = 1e-9  # relative; a vector that ends on the wall between two images stays where it is


def nearest_image(vectors: NDArray[np.floating], cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors shortened by whole box vectors to their shortest images.

    Args:
        vectors: (n_frames, n, 3), A.
        cells: (n_frames, 6), A A A deg deg deg.

    Returns:
        (n_frames, n, 3), A.
    """
    return vectors - lattice_counts(vectors, cells) @ box_vectors(cells)


def lattice_counts(vectors: NDArray[np.floating], cells: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of each box vector lie between each vector and its shortest image.

    A vector is the shortest of its images if it ends in the Voronoi cell of the lattice, which has 14 walls.
    It is moved back across the wall that it is furthest beyond until it is beyond none, so the result is
    exact for every cell, however tilted.

    Args:
        vectors: (n_frames, n, 3), A.
        cells: (n_frames, 6), A A A deg deg deg.

    Returns:
        (n_frames, n, 3), whole numbers of a, b and c.

    Source: J. H. Conway, N. J. A. Sloane, Proc. R. Soc. Lond. A 436, 55 (1992).
    """
    counts = np.zeros(vectors.shape, dtype=np.int64)
    walls, squares = _walls(cells)
    lengths = np.einsum("fni,fni->fn", vectors, vectors, dtype=np.float64)
    frames, items = np.nonzero(lengths > squares.min(axis=1)[:, None] / 4)  # others are shortest for sure
    if not len(frames):
        return counts
    long = np.asarray(vectors[frames, items], dtype=np.float64)
    walls, squares = walls[frames], squares[frames]
    basis = walls[:, :3]
    rest = long - np.einsum("vi,vix->vx", np.rint(_solve(long, basis)), basis)
    while True:
        shares = np.einsum("vwx,vx->vw", walls, rest) / squares
        furthest = np.abs(shares).argmax(axis=1)[:, None]
        share = np.take_along_axis(shares, furthest, 1)[:, 0]
        beyond = np.flatnonzero(np.abs(share) > 0.5 + _EXACT)
        if not len(beyond):
            break
        rest[beyond] -= np.rint(share[beyond])[:, None] * walls[beyond, furthest[beyond, 0]]
    counts[frames, items] = np.rint(_solve(long - rest, box_vectors(cells)[frames])).astype(np.int64)
    return counts


def box_shares(vectors: NDArray[np.floating], cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far vectors reach towards an image: above 0.5 another image is nearer than the one they lead to.

    Args:
        vectors: (n_frames, n, 3), A.
        cells: (n_frames, 6), A A A deg deg deg.

    Returns:
        (n_frames, n). The largest share of a lattice vector in the direction of it.
    """
    walls, squares = _walls(cells)
    shares = np.einsum("fwx,fnx->fnw", walls, vectors) / squares[:, None]
    return np.asarray(np.abs(shares).max(axis=-1), dtype=np.float64)


def _solve(vectors: NDArray[np.float64], basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3). Coordinates of (n, 3) vectors in (n, 3, 3) bases, whose vectors are rows."""
    solved = np.linalg.solve(basis.swapaxes(1, 2), vectors[..., None])
    return np.asarray(solved[..., 0], dtype=np.float64)


def _walls(cells: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n_frames, 7, 3), A: vectors through one of each pair of walls; (n_frames, 7), A^2: their squares."""
    one = cells[:1] if (cells == cells[:1]).all() else cells
    walls = _SUBSETS @ _reduced(box_vectors(one))
    squares = np.square(walls).sum(axis=-1)
    n_frames = len(cells)
    return np.broadcast_to(walls, (n_frames, 7, 3)), np.broadcast_to(squares, (n_frames, 7))


def _reduced(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3, 3), A. Three vectors of each lattice that, with minus their sum, form no acute angle.

    Source: E. Selling, J. reine angew. Math. 77, 143 (1874).
    """
    vectors = np.concatenate([boxes, -boxes.sum(axis=1, keepdims=True)], axis=1)
    while True:
        products = vectors @ vectors.swapaxes(1, 2)
        scale = np.einsum("fii->f", products)
        products[:, np.arange(4), np.arange(4)] = -np.inf
        flat = products.reshape(-1, 16)
        acute = np.flatnonzero(flat.max(axis=1) > _EXACT * scale)
        if not len(acute):
            return vectors[:, :3]
        first, second = np.divmod(flat[acute].argmax(axis=1), 4)
        turned = vectors[acute, first]
        vectors[acute] += turned[:, None]
        vectors[acute, second] -= turned
        vectors[acute, first] = -turned
