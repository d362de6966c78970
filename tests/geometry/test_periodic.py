"""Molecules cut by a box are made whole, and unit cells become box vectors."""

import numpy as np
import pytest
from numpy.typing import NDArray

from smdgen.geometry.cell import box_vectors, cell_from_dcd, cell_to_dcd, real_cells
from smdgen.geometry.periodic import Wholeness, atoms_between, make_whole, plan_wholeness
from smdgen.io.structures.structure import Structure
from smdgen.io.trajectories.images import offsets_of, put_together

CELLS = {
    "cube": (30.0, 30.0, 30.0, 90.0, 90.0, 90.0),
    "brick": (25.0, 31.0, 44.0, 90.0, 90.0, 90.0),
    "triclinic": (33.0, 34.0, 35.0, 80.0, 75.0, 100.0),
    "octahedron": (32.0, 32.0, 32.0, 109.4712206, 109.4712206, 109.4712206),
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
def test_box_vectors_have_the_sides_and_angles_of_the_cell(cell: tuple[float, ...]) -> None:
    a, b, c = box_vectors(np.array(cell))
    sides = [np.linalg.norm(vector) for vector in (a, b, c)]
    assert np.allclose(sides, cell[:3])
    angles = [
        np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))
        for u, v in ((b, c), (a, c), (a, b))
    ]
    assert np.allclose(angles, cell[3:])


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
def test_cell_records_round_trip(cell: tuple[float, ...]) -> None:
    cells = np.tile(cell, (3, 1))
    assert np.allclose(cell_from_dcd(cell_to_dcd(cells))[0], cells)  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
def test_a_frame_without_a_cell_or_with_another_is_named(cell: tuple[float, ...]) -> None:
    """A file in which every cell is a dummy needs no note."""
    cells = np.tile(cell, (5, 1))
    for bad in (np.nan, 0.0, 1e9):
        raw = cell_to_dcd(cells)
        raw[2] = bad
        found, notes = cell_from_dcd(raw)
        assert found is None
        assert "1 of 5 frames have no unit cell, first frame 3" in notes[0]
        found, notes = cell_from_dcd(np.full((5, 6), bad))
        assert found is None
        assert [note[:46] for note in notes] == (
            ["5 of 5 frames have an impossible unit cell (a "] if bad else []
        )
    cells[3, :3] = 2.5
    found, notes = real_cells(cells)
    assert found is cells
    assert "1 of 5 frames have a unit cell far from the others', first frame 4 (2.5 x 2.5 x 2.5 A" in notes[0]
    assert real_cells(np.tile(cell, (5, 1)) * 1.1)[1] == []


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
def test_wrapped_molecules_are_made_whole(folded: Structure, cell: tuple[float, ...]) -> None:
    whole = _frames(folded)
    cells = np.tile(cell, (len(whole), 1))
    wrapped = _wrap(whole, cells)
    assert np.abs(wrapped - whole).max() > 5
    mended, is_cut = make_whole(wrapped, _plan(folded), cells)
    stretch = np.ptp(wrapped - whole, axis=1).max(axis=1)
    assert np.array_equal(is_cut, stretch > 5)
    relative = mended - mended[:, :1]
    assert np.allclose(relative, whole - whole[:, :1], atol=1e-4)
    assert np.allclose(mended[:, 0], wrapped[:, 0], atol=1e-5)


def test_every_chunk_gives_the_same(folded: Structure) -> None:
    whole = _frames(folded)
    cells = np.tile(CELLS["triclinic"], (len(whole), 1))
    wrapped = _wrap(whole, cells)
    parts = [make_whole(wrapped[i : i + 1], _plan(folded), cells[i : i + 1])[0] for i in range(len(whole))]
    assert np.array_equal(np.concatenate(parts), make_whole(wrapped, _plan(folded), cells)[0])


def test_several_molecules_and_lone_atoms(folded: Structure) -> None:
    """Two peptides and an ion are put together as they were, wherever the box cut them."""
    one = _frames(folded)
    both = np.concatenate([one, one + 7.0, one[:, :1] + 3.0], axis=1)
    bonds = np.concatenate([folded.bonds, folded.bonds + 104])
    cells = np.tile(CELLS["brick"], (len(one), 1))
    wrapped = _wrap(both, cells)
    plan = plan_wholeness(both.shape[1], bonds)
    mended, _ = make_whole(wrapped, plan, cells)
    for frame, expected, cell in zip(mended, both, cells, strict=True):
        frame = frame + (put_together(frame, plan, cell)[0] @ box_vectors(cell))[plan.molecules]
        assert np.allclose(frame - frame[0], expected - expected[0], atol=1e-4)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
def test_a_whole_frame_is_not_touched(folded: Structure, cell: tuple[float, ...]) -> None:
    """A chain longer than half the box too: only its bonds count."""
    frames = 3.0 * _frames(folded)
    cells = np.tile(np.array(cell) * [3, 3, 3, 1, 1, 1], (len(frames), 1))
    mended, is_cut = make_whole(frames, _plan(folded), cells)
    assert not is_cut.any()
    assert np.array_equal(mended, frames)


def test_a_row_of_molecules_is_put_together_by_what_touches() -> None:
    """The third is nearer to an image of the first, but touches the second, which comes later in the file."""
    row = np.arange(9.0)[:, None] * [9.0, 0.0, 0.0]
    positions = np.concatenate([row[:3], row[6:], row[3:6]])
    bonds = np.array([(i, i + 1) for i in (0, 1, 3, 4, 6, 7)])
    plan = plan_wholeness(9, bonds)
    cell = np.array([100.0, 40.0, 40.0, 90.0, 90.0, 90.0])
    shifts = np.array([[0, 0, 0], [-1, 2, 0], [3, 0, -1]])
    moved = positions + (shifts @ box_vectors(cell))[plan.molecules]
    assert np.array_equal(put_together(moved, plan, cell)[0], -shifts)
    assert offsets_of(positions[None], plan)[0, 1, 0] > 50


def test_without_a_cell_nothing_moves(folded: Structure) -> None:
    frames = _frames(folded)
    assert np.array_equal(make_whole(frames, _plan(folded), None)[0], frames)


def test_atoms_between_bridge_every_gap(folded: Structure) -> None:
    """All atoms of the backbone but no side chain lead over the gap; a selection without gaps needs none."""
    number = folded.residue_ids
    backbone = np.isin(folded.names, ("N", "CA", "C"))
    ends = np.flatnonzero(backbone & ((number <= 3) | (number >= 7)))
    between = atoms_between(folded.n_atoms, folded.bonds, ends)
    assert np.array_equal(between, np.flatnonzero(backbone & (number > 3) & (number < 7)))
    assert not len(atoms_between(folded.n_atoms, folded.bonds, np.flatnonzero(backbone)))
    assert np.array_equal(atoms_between(folded.n_atoms, folded.bonds, ends[::-1]), between)


def _plan(structure: Structure) -> Wholeness:
    return plan_wholeness(structure.n_atoms, structure.bonds)


def _frames(structure: Structure) -> NDArray[np.float32]:
    assert structure.positions is not None
    shifts = np.random.default_rng(2).uniform(-30, 30, (4, 1, 3))
    return (structure.positions + shifts).astype(np.float32)


def _wrap(positions: NDArray[np.float32], cells: NDArray[np.float64]) -> NDArray[np.float32]:
    """Every atom into the box by itself."""
    boxes = box_vectors(cells)
    fractions = np.einsum("fni,fij->fnj", positions, np.linalg.inv(boxes))
    return np.einsum("fni,fij->fnj", fractions % 1.0, boxes).astype(np.float32)
