"""DCD files: every legal dialect is read, everything damaged is refused, what we write others read."""

import io
import os
import re
import struct
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

import smdgen.io.trajectories.dcd as dcd_module
from smdgen.errors import SmdgenError, TrajectoryError
from smdgen.io.trajectories.dcd import DcdFile, write_dcd
from tests.tools.dcd_dialects import write_dialect

N_FRAMES, N_ATOMS = 6, 5
HEADER_BYTES = 92 + 172 + 12  # header, two titles, atom count
FRAME_BYTES = 3 * (4 * N_ATOMS + 8)
COSINE_CELL = [30.0, 0.0, 31.0, 0.5, 0.0, 32.0]  # A, cos gamma, B, cos beta, cos alpha, C


@pytest.fixture
def frames() -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(0, 20, (N_FRAMES, N_ATOMS, 3)).astype(np.float32)


@pytest.fixture
def dcd(tmp_path: Path, frames: NDArray[np.float32]) -> Path:
    return write_dialect(tmp_path / "x.dcd", frames)


DIALECTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "big-endian": {"order": ">"},
    "64-bit markers": {"marker": "q"},
    "big-endian, 64-bit": {"order": ">", "marker": "q"},
    "x-plor": {"xplor": True},
    "x-plor, big-endian": {"xplor": True, "order": ">"},
    "cell": {"cell": COSINE_CELL},
    "fourth dimension": {"fourth": True},
    "fourth dimension and cell": {"fourth": True, "cell": COSINE_CELL},
    "no title": {"titles": 0},
    "three titles": {"titles": 3},
    "three titles in a record for two (MDAnalysis)": {"titles": 3, "title_bytes": 164},
    "fixed atoms": {"fixed": [1, 3]},
    "fixed atoms, cell, big-endian": {"fixed": [0, 4], "cell": COSINE_CELL, "order": ">"},
    "no frames declared": {"declared": 0},
    "too many frames declared": {"declared": 10_000_000},
}


@pytest.mark.parametrize("options", DIALECTS.values(), ids=DIALECTS.keys())
def test_every_dialect_gives_the_same_coordinates(
    tmp_path: Path, frames: NDArray[np.float32], options: dict[str, Any]
) -> None:
    fixed = options.get("fixed", [])
    frames[:, fixed] = frames[0, fixed]
    path = write_dialect(tmp_path / "x.dcd", frames, **options)
    with DcdFile(path) as dcd:
        assert (dcd.n_frames, dcd.n_atoms) == (N_FRAMES, N_ATOMS)
        assert np.array_equal(dcd.read(), frames)
        assert np.array_equal(dcd.read([4, 0, 0, 5], [3, 1]), frames[[4, 0, 0, 5]][:, [3, 1]])
        assert np.array_equal(dcd.read(slice(None, None, -2), [1, 2, 3]), frames[::-2, 1:4])
        assert dcd.dt_ps == pytest.approx(0.02, rel=1e-6)
        assert np.allclose(dcd.times_ps, 0.02 * np.arange(N_FRAMES))


def test_a_title_ends_at_its_zero_byte(tmp_path: Path, frames: NDArray[np.float32]) -> None:
    """VMD's plugin writes what was in memory behind it."""
    path = tmp_path / "x.dcd"
    titles = ("Created by DCD plugin", "REMARKS 2014 rest of some memory")
    write_dcd(path, frames, timestep_ps=0.002, titles=titles)
    path.write_bytes(path.read_bytes().replace(b"2014 rest", b"2014\0rest"))
    with DcdFile(path) as dcd:
        assert dcd.layout.titles == ("Created by DCD plugin", "REMARKS 2014")


@pytest.mark.parametrize(
    "options", [{}, {"cell": COSINE_CELL}, {"fourth": True}, {"titles": 3}, {"order": ">"}]
)
def test_agrees_with_mdtraj(tmp_path: Path, frames: NDArray[np.float32], options: dict[str, Any]) -> None:
    path = write_dialect(tmp_path / "x.dcd", frames, **options)
    reference = _read_with_mdtraj(path)
    with DcdFile(path) as dcd:
        assert np.array_equal(dcd.read(), reference)


def test_only_the_pages_of_a_selection_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 60,000 atoms 1000 near each other: about 5 % of the file, every byte that is read among it."""
    frames = np.random.default_rng(0).normal(size=(3, 60_000, 3)).astype(np.float32)
    atoms = np.arange(20_000, 21_000)
    asked: list[tuple[int, int]] = []
    joined = dcd_module._joined

    def record(spans: NDArray[np.int64]) -> NDArray[np.int64]:
        asked.extend(joined(spans).tolist())
        return joined(spans)

    path = write_dialect(tmp_path / "x.dcd", frames)
    with DcdFile(path) as dcd:
        monkeypatch.setattr(dcd_module, "_joined", record)
        assert np.array_equal(dcd.read([2], atoms), frames[[2]][:, atoms])
    spans, pages = asked[:3], asked[3:]
    assert len(pages) == 3
    assert sum(stop - first for first, stop in pages) < 0.06 * frames[0].nbytes
    content = path.read_bytes()
    for axis, (first, stop) in enumerate(pages):
        assert frames[2, atoms, axis].astype("<f4").tobytes() in content[first:stop]
    assert spans[0][1] - spans[0][0] < 4100


def test_the_frames_that_follow_are_asked_for_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of 120,000 bytes in blocks of two: the next two in the same steps, none past the end."""
    frames = np.random.default_rng(0).normal(size=(9, 10_000, 3)).astype(np.float32)
    asked: list[list[int]] = []
    with DcdFile(write_dialect(tmp_path / "x.dcd", frames)) as dcd:
        monkeypatch.setattr(dcd_module, "_BLOCK_BYTES", 400_000)
        monkeypatch.setattr(DcdFile, "_fetch", lambda _, rows, __: asked.append(rows.tolist()))
        for rows in ([0, 1, 2, 3], [0, 2], [6, 8], [5], [3, 1]):
            asked.clear()
            assert np.array_equal(dcd.read(rows), frames[rows])
            assert asked == {
                (0, 1, 2, 3): [[0, 1], [2, 3], [4, 5]],
                (0, 2): [[0, 2], [4, 6]],
            }.get(tuple(rows), [rows, []])


def test_a_known_file_is_not_looked_through_again(
    tmp_path: Path, frames: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dialect(tmp_path / "x.dcd", frames, cell=COSINE_CELL)
    with DcdFile(path) as first:
        sound = first.sound
    with monkeypatch.context() as patch:
        patch.setattr(DcdFile, "_look_through", None)
        with DcdFile(path, known=sound) as again:
            assert again.n_frames == N_FRAMES
            assert np.array_equal(again.cells, first.cells)
            assert np.array_equal(again.read(), frames)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TrajectoryError, match="cut inside"):
        DcdFile(path, known=sound)


def test_the_order_of_chunks_does_not_matter(dcd: Path, frames: NDArray[np.float32]) -> None:
    with DcdFile(dcd) as file:
        for size in (1, 2, 4, 7):
            parts = [file.read(slice(start, start + size)) for start in range(0, N_FRAMES, size)]
            assert np.array_equal(np.concatenate(parts), frames)


def test_small_blocks_give_the_same(
    tmp_path: Path, frames: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages are given back after each block; what was read must survive that."""
    monkeypatch.setattr("smdgen.io.trajectories.dcd._BLOCK_BYTES", 1)
    for options in ({"cell": COSINE_CELL}, {"fixed": [2], "cell": COSINE_CELL}):
        frames[:, 2] = frames[0, 2]
        with DcdFile(write_dialect(tmp_path / "x.dcd", frames, **options)) as dcd:
            assert np.array_equal(dcd.read([5, 1, 0]), frames[[5, 1, 0]])
            assert dcd.cells is not None
            assert np.allclose(dcd.cells, [30, 31, 32, 90, 60, 90])


@pytest.mark.parametrize("n_selected", [1, 999, 1500])
def test_many_atoms_in_any_order(tmp_path: Path, n_selected: int) -> None:
    frames = np.random.default_rng(0).normal(size=(3, 2000, 3)).astype(np.float32)
    atoms = np.random.default_rng(1).permutation(2000)[:n_selected]
    with DcdFile(write_dialect(tmp_path / "x.dcd", frames)) as dcd:
        assert np.array_equal(dcd.read(None, atoms), frames[:, atoms])


@pytest.mark.parametrize("bad", [[N_FRAMES], [-N_FRAMES - 1]])
def test_a_frame_outside_the_file_is_an_error(dcd: Path, bad: list[int]) -> None:
    with DcdFile(dcd) as file, pytest.raises(IndexError):
        file.read(bad)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ([30, 0.0, 31, 0.5, 0.0, 32], [30, 31, 32, 90, 60, 90]),
        ([30, 90, 31, 60, 80, 32], [30, 31, 32, 80, 60, 90]),
        ([0, 0, 0, 0, 0, 0], None),
        ([1, 90, 1, 90, 90, 1], None),
        ([30, 90, 31, np.nan, 80, 32], None),
    ],
    ids=["cosines", "degrees", "zeros", "ones", "nan"],
)
def test_unit_cells(
    tmp_path: Path, frames: NDArray[np.float32], raw: list[float], expected: list[float] | None
) -> None:
    with DcdFile(write_dialect(tmp_path / "x.dcd", frames, cell=raw)) as dcd:
        if expected is None:
            assert dcd.cells is None
        else:
            assert dcd.cells is not None
            assert np.allclose(dcd.cells, expected, atol=0.1)


def test_a_shape_matrix_gives_its_cell(tmp_path: Path, frames: NDArray[np.float32]) -> None:
    """CHARMM stores the symmetric root of the metric: its rows have the box vectors' dot products."""
    cell = np.array([30.0, 31.0, 32.0, 109.4712, 100.0, 95.0])
    cosines = np.cos(np.radians(cell[[5, 4, 3]]))  # of the pairs ab, ac, bc
    metric = np.diag(cell[:3] ** 2)
    for (i, j), cosine in zip(((0, 1), (0, 2), (1, 2)), cosines, strict=True):
        metric[i, j] = metric[j, i] = cell[i] * cell[j] * cosine
    values, vectors = np.linalg.eigh(metric)
    shape = vectors * np.sqrt(values) @ vectors.T
    raw = shape[np.tril_indices(3)].tolist()
    with DcdFile(write_dialect(tmp_path / "x.dcd", frames, cell=raw)) as dcd:
        assert dcd.cells is not None
        assert np.allclose(dcd.cells, cell)


@pytest.mark.parametrize("delta", [0.0, -1.0, np.nan, np.inf, 1e30])
def test_a_meaningless_time_is_said(tmp_path: Path, frames: NDArray[np.float32], delta: float) -> None:
    with DcdFile(write_dialect(tmp_path / "x.dcd", frames, delta=delta)) as dcd:
        assert dcd.dt_ps is None
        assert np.array_equal(dcd.times_ps, np.arange(N_FRAMES))
        assert any("time" in note for note in dcd.notes)


@pytest.mark.parametrize(
    ("delta", "timestep_ps", "words"),
    [(2.0, 0.002, "2 is taken as fs"), (0.001, 0.001, "0.001 is taken as ps")],
)
@pytest.mark.parametrize("every", [1, 500])
def test_lammps_writes_its_own_time_unit(
    tmp_path: Path, frames: NDArray[np.float32], delta: float, timestep_ps: float, words: str, every: int
) -> None:
    """LAMMPS puts its time step into DELTA as it is: fs in units real, ps in units metal."""
    path = write_dialect(tmp_path / "x.dcd", frames, delta=delta, every=every)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"TITLE 0".ljust(80), b"Written by LAMMPS".ljust(80, b"\0")))
    with DcdFile(path) as dcd:
        assert np.allclose(dcd.times_ps, np.arange(len(frames)) * every * timestep_ps, rtol=1e-6)
        assert [note for note in dcd.notes if words in note]


def test_lammps_takes_a_step_of_one_fs_for_what_it_says(tmp_path: Path, frames: NDArray[np.float32]) -> None:
    """DELTA 1 and NSAVC 1 stand for no time in files of VMD only."""
    path = write_dialect(tmp_path / "x.dcd", frames, delta=1.0, every=1)
    with DcdFile(path) as dcd:
        assert dcd.dt_ps is None
    content = path.read_bytes()
    path.write_bytes(content.replace(b"TITLE 0".ljust(80), b"Written by LAMMPS".ljust(80, b"\0")))
    with DcdFile(path) as dcd:
        assert dcd.dt_ps == 0.001


def test_times_count_from_the_first_step(tmp_path: Path, frames: NDArray[np.float32]) -> None:
    with DcdFile(write_dialect(tmp_path / "x.dcd", frames, first_step=500, every=250)) as dcd:
        assert np.allclose(dcd.times_ps, 1.0 + 0.5 * np.arange(N_FRAMES))
        assert dcd.steps is not None
        assert dcd.steps.tolist() == [500, 750, 1000, 1250, 1500, 1750]


@pytest.mark.parametrize("declared", [0, 3, 1000])
def test_a_wrong_frame_count_is_noted(tmp_path: Path, frames: NDArray[np.float32], declared: int) -> None:
    with DcdFile(write_dialect(tmp_path / "x.dcd", frames, declared=declared)) as dcd:
        assert dcd.n_frames == N_FRAMES
        assert any(f"declares {declared} frames" in note and f"{N_FRAMES}" in note for note in dcd.notes)


def test_every_cut_is_refused_or_a_whole_frame(dcd: Path, frames: NDArray[np.float32]) -> None:
    """The file cut at every single byte; only cuts between frames leave a sound (shorter) file."""
    whole = dcd.read_bytes()
    for length in range(len(whole)):
        dcd.write_bytes(whole[:length])
        n_frames, rest = divmod(length - HEADER_BYTES, FRAME_BYTES)
        if rest == 0 and n_frames > 0:
            with DcdFile(dcd) as file:
                assert file.n_frames == n_frames
                assert any("declares" in note for note in file.notes)
        else:
            with pytest.raises(TrajectoryError) as caught:
                DcdFile(dcd)
            _assert_one_line(caught.value, dcd)


@pytest.mark.parametrize("options", [{}, {"fixed": [1]}, {"cell": COSINE_CELL}])
@pytest.mark.parametrize("lost", [1, 30, 100])
def test_salvage_keeps_the_whole_frames_of_a_cut_file(
    tmp_path: Path, frames: NDArray[np.float32], options: dict[str, Any], lost: int
) -> None:
    frames[:, 1] = frames[0, 1]
    path = write_dialect(tmp_path / "x.dcd", frames, **options)
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(TrajectoryError, match=r"cut inside frame \d.*--salvage"):
        DcdFile(path)
    with DcdFile(path, salvage=True) as dcd:
        assert 4 <= dcd.n_frames < N_FRAMES
        assert np.array_equal(dcd.read(), frames[: dcd.n_frames])
        assert (dcd.cells is None) == ("cell" not in options)
        assert dcd.cells is None or np.allclose(dcd.cells, [[30, 31, 32, 90, 60, 90]] * dcd.n_frames)
        lost_frames = N_FRAMES - dcd.n_frames
        words = f"salvaged {dcd.n_frames} whole frames, at least {lost_frames} frames lost"
        assert any(words in note for note in dcd.notes)


@pytest.mark.parametrize("frame", range(N_FRAMES))
@pytest.mark.parametrize("marker", range(6))
def test_every_damaged_marker_is_found(
    dcd: Path, frames: NDArray[np.float32], frame: int, marker: int
) -> None:
    content = bytearray(dcd.read_bytes())
    record, is_closing = divmod(marker, 2)
    place = HEADER_BYTES + frame * FRAME_BYTES + record * (4 * N_ATOMS + 8) + is_closing * (4 * N_ATOMS + 4)
    content[place + 1] ^= 4
    dcd.write_bytes(content)
    with pytest.raises(TrajectoryError) as caught:
        DcdFile(dcd)
    _assert_one_line(caught.value, dcd)
    if frame == 0:
        with pytest.raises(TrajectoryError):
            DcdFile(dcd, salvage=True)
        return
    with DcdFile(dcd, salvage=True) as file:
        assert np.array_equal(file.read(), frames[:frame])


@pytest.mark.parametrize("options", [{"fixed": [1, 2]}, {"fixed": [1, 2], "cell": COSINE_CELL}])
def test_damaged_markers_among_fixed_atoms(
    tmp_path: Path, frames: NDArray[np.float32], options: dict[str, Any]
) -> None:
    path = write_dialect(tmp_path / "x.dcd", frames, **options)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(TrajectoryError, match=f"damaged in frame {N_FRAMES}"):
        DcdFile(path)


@pytest.mark.parametrize("byte", [0, 3, 5, 88, 91, 92, 95, 260, 264, 268, 272])
def test_a_damaged_header_is_refused(dcd: Path, byte: int) -> None:
    content = bytearray(dcd.read_bytes())
    content[byte] ^= 0x55
    dcd.write_bytes(content)
    with pytest.raises(TrajectoryError) as caught:
        DcdFile(dcd)
    _assert_one_line(caught.value, dcd)


@pytest.mark.parametrize(
    "options",
    [{"cell_flag": 1}, {"cell": COSINE_CELL, "cell_flag": 0}],
    ids=["promised cell", "unannounced cell"],
)
def test_a_header_that_lies_about_the_cell_is_refused(
    tmp_path: Path, frames: NDArray[np.float32], options: dict[str, Any]
) -> None:
    path = write_dialect(tmp_path / "x.dcd", frames, **options)
    with pytest.raises(TrajectoryError, match="first frame does not fit"):
        DcdFile(path)


@pytest.mark.parametrize("n_atoms", [0, -1, 2**31 - 1, N_ATOMS + 1, N_ATOMS - 1])
def test_a_wrong_atom_count_is_refused(dcd: Path, n_atoms: int) -> None:
    content = bytearray(dcd.read_bytes())
    struct.pack_into("<i", content, HEADER_BYTES - 8, n_atoms)
    dcd.write_bytes(content)
    with pytest.raises(TrajectoryError) as caught:
        DcdFile(dcd)
    _assert_one_line(caught.value, dcd)


@pytest.mark.parametrize("free", [[1, 2, 9], [1, 1, 2], [0, 1, 2]])
def test_a_wrong_list_of_free_atoms_is_refused(
    tmp_path: Path, frames: NDArray[np.float32], free: list[int]
) -> None:
    path = write_dialect(tmp_path / "x.dcd", frames, fixed=[3, 4])
    content = bytearray(path.read_bytes())
    struct.pack_into("<3i", content, HEADER_BYTES + 4, *free)
    path.write_bytes(content)
    with pytest.raises(TrajectoryError, match="free atoms"):
        DcdFile(path)


def test_joined_files_are_told_apart(tmp_path: Path, frames: NDArray[np.float32]) -> None:
    one, two = (write_dialect(tmp_path / name, frames[:3]) for name in ("a.dcd", "b.dcd"))
    one.write_bytes(one.read_bytes() + two.read_bytes())
    with pytest.raises(TrajectoryError, match="another DCD begins after frame 3"):
        DcdFile(one)
    with DcdFile(one, salvage=True) as dcd:
        assert np.array_equal(dcd.read(), frames[:3])


def test_velocities_are_no_coordinates(tmp_path: Path, frames: NDArray[np.float32]) -> None:
    with pytest.raises(TrajectoryError, match="velocities"):
        DcdFile(write_dialect(tmp_path / "x.dcd", frames, keyword=b"VELD"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"ATOM      1  N   ALA A   1\n", "text"),
        (b"\0" * 400, "is not a DCD file"),
        (b"\x54\0\0\0CORD", "ends inside its header"),
        (os.urandom(64).replace(b"CORD", b"    "), "is not a DCD file"),
    ],
    ids=["empty", "text", "zeros", "header only", "noise"],
)
def test_what_is_no_dcd_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.dcd"
    path.write_bytes(content)
    with pytest.raises(TrajectoryError, match=words) as caught:
        DcdFile(path)
    _assert_one_line(caught.value, path)


def test_folders_pipes_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrajectoryError, match="a folder"):
        DcdFile(tmp_path)
    with pytest.raises(TrajectoryError, match="no such file"):
        DcdFile(tmp_path / "none.dcd")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.dcd")
        with pytest.raises(TrajectoryError, match="a pipe"):
            DcdFile(tmp_path / "pipe.dcd")


def test_a_file_cut_while_it_is_open_is_an_error_and_no_crash(dcd: Path) -> None:
    with DcdFile(dcd) as file:
        os.truncate(dcd, HEADER_BYTES + FRAME_BYTES)
        with pytest.raises(TrajectoryError, match="became shorter"):
            file.read()


@pytest.mark.parametrize("cells", [None, (30.0, 31.0, 32.0, 90.0, 80.0, 70.0)])
def test_written_bytes_are_the_same_and_carry_the_time(
    tmp_path: Path, frames: NDArray[np.float32], cells: tuple[float, ...] | None
) -> None:
    one, two = tmp_path / "a.dcd", tmp_path / "b.dcd"
    for path in (one, two):
        write_dcd(path, frames, timestep_ps=0.002, steps_per_frame=2500, first_step=5000, cells=cells)
    assert one.read_bytes() == two.read_bytes()
    with DcdFile(one) as dcd:
        assert np.array_equal(dcd.read(), frames)
        assert dcd.notes == ()
        assert np.allclose(dcd.times_ps, 10 + 5 * np.arange(N_FRAMES), atol=1e-5)
        assert cells is None or (dcd.cells is not None and np.allclose(dcd.cells, cells))


def test_other_programs_read_what_we_write(tmp_path: Path, frames: NDArray[np.float32]) -> None:
    path = tmp_path / "a.dcd"
    write_dcd(path, frames, timestep_ps=0.002, steps_per_frame=500, cells=(30, 31, 32, 90, 80, 70))
    assert np.array_equal(_read_with_mdtraj(path), frames)
    analysis = pytest.importorskip("MDAnalysis")
    universe = analysis.Universe.empty(N_ATOMS, trajectory=True)
    universe.load_new(str(path))
    assert np.array_equal([step.positions.copy() for step in universe.trajectory], frames)
    assert universe.trajectory.dt == pytest.approx(1.0, rel=1e-5)
    assert np.allclose(universe.dimensions, (30, 31, 32, 90, 80, 70), atol=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_coordinates_that_are_not_finite_are_not_written(tmp_path: Path, bad: float) -> None:
    path = tmp_path / "a.dcd"
    positions = np.zeros((2, 3, 3))
    positions[1, 2, 0] = bad
    with pytest.raises(TrajectoryError, match="frame 2"):
        write_dcd(path, positions, timestep_ps=0.002)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(0, 3, 3), (2, 0, 3), (2, 3), (2, 3, 2)])
def test_positions_of_another_shape_are_not_written(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(TrajectoryError, match="positions"):
        write_dcd(tmp_path / "a.dcd", np.zeros(shape), timestep_ps=0.002)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    frames=arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(1, 6), st.just(3)),
        elements=st.floats(-1e6, 1e6, width=32),
    ),
    first_step=st.integers(0, 10**6),
    every=st.integers(2, 10**4),
)
def test_round_trip(tmp_path: Path, frames: NDArray[np.float32], first_step: int, every: int) -> None:
    path = tmp_path / "a.dcd"
    write_dcd(path, frames, timestep_ps=0.002, steps_per_frame=every, first_step=first_step)
    with DcdFile(path) as dcd:
        assert np.array_equal(dcd.read(), frames)
        assert (dcd.first_step, dcd.steps_per_frame) == (first_step, every)
        assert dcd.dt_ps == pytest.approx(0.002 * every, rel=1e-6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, HEADER_BYTES + 2 * FRAME_BYTES - 1), bits=st.integers(1, 255))
def test_any_damaged_byte_is_refused_or_harmless(tmp_path: Path, place: int, bits: int) -> None:
    """Coordinates either stay in their frames and atoms, or the file is refused; never another exception."""
    frames = np.arange(2 * N_ATOMS * 3, dtype=np.float32).reshape(2, N_ATOMS, 3) + 1
    path = write_dialect(tmp_path / "x.dcd", frames)
    content = bytearray(path.read_bytes())
    content[place] ^= bits
    path.write_bytes(content)
    try:
        with DcdFile(path) as dcd:
            assert (dcd.read() != frames).sum() <= 1
    except SmdgenError as error:
        _assert_one_line(error, path)


def _assert_one_line(error: SmdgenError, path: Path) -> None:
    """It names the file, says what to do, and takes one line."""
    text = str(error)
    assert "\n" not in text
    assert str(path) in text
    assert re.search(r"again|expected|check|--salvage", text)


def _read_with_mdtraj(path: Path) -> NDArray[np.float32]:
    formats = pytest.importorskip("mdtraj.formats")
    sys.stdout.flush()
    with redirect_stdout(io.StringIO()), formats.DCDTrajectoryFile(str(path)) as file:
        positions: NDArray[np.float32] = file.read()[0]
    return positions
