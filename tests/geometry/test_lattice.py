"""The shortest image of a vector is the one that trying all images finds, in cells of any shape."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from smdgen.geometry.cell import box_vectors, real_cells
from smdgen.geometry.lattice import box_shares, lattice_counts, nearest_image

N_CELLS, N_VECTORS = 60, 40

#: Truncated octahedron and rhombic dodecahedron, as GROMACS and Amber write them.
USUAL = [
    (93.0, 93.0, 93.0, 109.4712206, 109.4712206, 109.4712206),
    (93.0, 93.0, 93.0, 70.5287794, 109.4712206, 70.5287794),
    (93.0, 93.0, 93.0, 60.0, 60.0, 90.0),
    (93.0, 93.0, 93.0, 60.0, 90.0, 60.0),
    (60.0, 70.0, 80.0, 90.0, 90.0, 90.0),
]


def random_cells(lowest: float, highest: float) -> NDArray[np.float64]:
    """(N_CELLS, 6). Cells with a volume, angles between two limits, degrees."""
    random = np.random.default_rng(1)
    cells = []
    while len(cells) < N_CELLS:
        cell = np.concatenate([random.uniform(20, 120, 3), random.uniform(lowest, highest, 3)])
        if real_cells(cell[None])[0] is not None:
            cells.append(cell)
    return np.array(cells)


def images(boxes: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """(n, (2 reach + 1)^3, 3), A. The lattice vectors of each box up to some multiple of each side."""
    return np.array(list(itertools.product(range(-reach, reach + 1), repeat=3))) @ boxes


def cell_of(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 6). Sides and angles of (n, 3, 3) box vectors."""
    sides = np.linalg.norm(boxes, axis=-1)
    units = boxes / sides[..., None]
    cosines = [(units[:, i] * units[:, j]).sum(axis=-1) for i, j in ((1, 2), (0, 2), (0, 1))]
    return np.concatenate([sides, np.degrees(np.arccos(np.stack(cosines, axis=1)))], axis=1)


def shortest(vectors: NDArray[np.float64], images: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, n_vectors), A. Length of the shortest image, one cell after the other."""
    return np.array(
        [
            np.linalg.norm(own[:, None] + shifts, axis=-1).min(axis=1)
            for own, shifts in zip(vectors, images, strict=True)
        ]
    )


@pytest.mark.parametrize(
    "cells", [np.array(USUAL), random_cells(60, 120)], ids=["usual cells", "random reduced cells"]
)
def test_as_short_as_the_shortest_of_125_images(cells: NDArray[np.float64]) -> None:
    boxes = box_vectors(cells)
    vectors = np.random.default_rng(2).uniform(-0.5, 0.5, (len(cells), N_VECTORS, 3)) @ boxes
    found = np.linalg.norm(nearest_image(vectors, cells), axis=-1)
    assert np.allclose(found, shortest(vectors, images(boxes, 2)), atol=1e-9)
    assert np.linalg.norm(vectors, axis=-1).max() > found.max() + 5


def test_as_short_as_the_shortest_image_in_cells_that_are_not_reduced() -> None:
    """The same lattices with sides that are sums of others: 125 images of these sides are not enough."""
    cells = random_cells(60, 120)
    boxes = box_vectors(cells)
    mix = np.array([[1, 0, 0], [3, 1, 0], [-2, 4, 1]])
    skewed = mix @ boxes
    tilted = cell_of(skewed)
    # `box_vectors` turns the cell; the same turn is applied to the vectors
    turns = np.linalg.inv(skewed) @ box_vectors(tilted)
    vectors = np.random.default_rng(3).uniform(-0.5, 0.5, (len(cells), N_VECTORS, 3)) @ boxes
    found = nearest_image(vectors @ turns, tilted)
    expected = shortest(vectors, images(boxes, 2))
    assert np.allclose(np.linalg.norm(found, axis=-1), expected, atol=1e-6)
    few = shortest(vectors @ turns, images(box_vectors(tilted), 2))
    assert (few > expected + 1.0).any()


def test_far_vectors_come_back_by_whole_box_vectors() -> None:
    cells = random_cells(40, 140)
    vectors = np.random.default_rng(4).normal(0, 1000, (len(cells), N_VECTORS, 3))
    counts = lattice_counts(vectors, cells)
    short = vectors - counts @ box_vectors(cells)
    assert counts.dtype == np.int64
    assert np.array_equal(short, nearest_image(vectors, cells))
    assert not lattice_counts(short, cells).any()
    assert box_shares(short, cells).max() <= 0.5 + 1e-9
    assert box_shares(short, cells).max() > 0.49


def test_each_frame_has_its_own_cell() -> None:
    cells = random_cells(40, 140)
    vectors = np.random.default_rng(5).normal(0, 100, (len(cells), N_VECTORS, 3))
    together = lattice_counts(vectors, cells)
    alone = [lattice_counts(vectors[i : i + 1], cells[i : i + 1])[0] for i in range(len(cells))]
    assert np.array_equal(together, alone)


def test_short_vectors_are_left_alone() -> None:
    vectors = np.random.default_rng(0).uniform(-5, 5, (4, 20, 3))
    cells = np.tile(USUAL[0], (4, 1))
    assert np.array_equal(nearest_image(vectors, cells), vectors)
    shifted = vectors + box_vectors(cells)[:, :1] - box_vectors(cells)[:, 2:]
    assert np.allclose(nearest_image(shifted, cells), vectors)


def test_share_of_the_box() -> None:
    """Along a side and along a diagonal of a cube; in an octahedron also along the shorter diagonal."""
    cube = np.array([[50.0, 50.0, 50.0, 90.0, 90.0, 90.0]])
    vectors = np.array([[[20.0, 0.0, 0.0], [30.0, 30.0, 0.0], [0.0, 0.0, 0.0]]])
    assert box_shares(vectors, cube)[0] == pytest.approx([0.4, 0.6, 0.0])
    octahedron = np.array([USUAL[0]])
    diagonal = box_vectors(octahedron)[:, [0, 1]].sum(axis=1, keepdims=True)
    assert box_shares(0.3 * diagonal, octahedron)[0, 0] == pytest.approx(0.3)


def test_a_negative_cell_is_noted_and_a_dummy_is_not() -> None:
    found, notes = real_cells(np.tile([-40.0, 40.0, 40.0, 90.0, 90.0, 90.0], (3, 1)))
    assert found is None
    assert len(notes) == 1
    assert notes[0].startswith("3 of 3 frames have an impossible unit cell (a negative length")
    assert real_cells(np.tile([0.0, 0.0, 0.0, 90.0, 90.0, 90.0], (3, 1))) == (None, [])
