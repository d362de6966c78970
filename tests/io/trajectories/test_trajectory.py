"""Trajectories of every format give the same coordinates; what cannot be right is refused."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import struct
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smdgen.errors import TrajectoryError
from smdgen.io.structures.coordinate_checks import check_coordinates
from smdgen.io.structures.structure import Structure, select_atoms, subset
from smdgen.io.trajectories import sandboxed
from smdgen.io.trajectories.dcd import write_dcd
from smdgen.io.trajectories.trajectory import check_topology, open_trajectory
from tests.tools.other_formats import write_h5

N_FRAMES = 12
CELL = (40.0, 41.0, 42.0, 90.0, 90.0, 90.0)
SPINNING = """import signal, sys
signal.setitimer(signal.ITIMER_PROF, float(sys.argv[2]))
while True: pass
"""
FORMATS = ("xtc", "trr", "nc", "h5", "pdb", "dcd")


@pytest.fixture(scope="module")
def frames(folded: Structure) -> NDArray[np.float32]:
    noise = np.random.default_rng(5).normal(0, 0.02, (N_FRAMES, 104, 3))
    assert folded.positions is not None
    return (folded.positions + noise).astype(np.float32)


@pytest.fixture(scope="module")
def files(frames: NDArray[np.float32], example_pdb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same frames in every format, a frame every 2 ps."""
    folder = tmp_path_factory.mktemp("formats")
    mdtraj = pytest.importorskip("mdtraj")
    trajectory = mdtraj.Trajectory(
        frames / 10,
        mdtraj.load(str(example_pdb)).topology,
        time=2.0 * np.arange(N_FRAMES),
        unitcell_lengths=np.tile(np.array(CELL[:3]) / 10, (N_FRAMES, 1)),
        unitcell_angles=np.tile(CELL[3:], (N_FRAMES, 1)),
    )
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        for kind in ("xtc", "trr", "nc", "pdb"):
            trajectory.save(str(folder / f"a.{kind}"))
    write_h5(folder / "a.h5", frames, np.tile(CELL, (N_FRAMES, 1)))
    write_dcd(folder / "a.dcd", frames, timestep_ps=0.002, steps_per_frame=1000, cells=CELL)
    return folder


def test_a_kind_without_a_reader_is_refused(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smdgen.io.trajectories.trajectory.coordinate_kind", lambda _: "TNG")
    with pytest.raises(ValueError, match="of kind 'TNG', for which there is no reader"):
        open_trajectory(files / "a.xtc", 104)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same(files: Path, frames: NDArray[np.float32], kind: str) -> None:
    precision = 0.006 if kind == "xtc" else 6e-4
    with open_trajectory(files / f"a.{kind}", 104) as trajectory:
        assert (trajectory.n_frames, trajectory.n_atoms) == (N_FRAMES, 104)
        whole = trajectory.read()
        assert np.abs(whole - frames).max() < precision
        assert whole.dtype == np.float32
        assert np.array_equal(trajectory.read([7, 2, 3], np.array([5, 1])), whole[[7, 2, 3]][:, [5, 1]])
        assert np.array_equal(trajectory.read(slice(2, None, 3)), whole[2::3])
        if kind == "pdb":
            assert any("times" in note for note in trajectory.notes)
            assert trajectory.cells is not None
            assert np.allclose(trajectory.cells, CELL, atol=1e-2)
            return
        assert np.allclose(trajectory.times_ps, 2.0 * np.arange(N_FRAMES), atol=1e-5)
        assert trajectory.cells is not None
        assert np.allclose(trajectory.cells, CELL, atol=1e-3)


def test_a_pdb_may_have_a_cell_for_each_model(files: Path, tmp_path: Path) -> None:
    """As `gmx trjconv` writes them; of another number of cells none is used."""
    lines = [line for line in (files / "a.pdb").read_text().splitlines(keepends=True) if line[:6] != "CRYST1"]
    cells = iter(f"CRYST1{40 + i:9.3f}{41 + i:9.3f}{42:9.3f}{90:7.2f}{80:7.2f}{90:7.2f}\n" for i in range(99))
    every = "".join(next(cells) + line if line.startswith("MODEL") else line for line in lines)
    (tmp_path / "a.pdb").write_text(every)
    with open_trajectory(tmp_path / "a.pdb") as trajectory:
        assert trajectory.cells is not None
        assert trajectory.cells[3].tolist() == [43.0, 44.0, 42.0, 90.0, 80.0, 90.0]
    (tmp_path / "b.pdb").write_text(f"{next(cells)}{every}")
    with open_trajectory(tmp_path / "b.pdb") as trajectory:
        assert trajectory.cells is None
        assert f"{N_FRAMES + 1} unit cells for {N_FRAMES} models; none is used" in trajectory.notes


@pytest.mark.parametrize("kind", ["xtc", "pdb", "dcd"])
def test_the_number_of_atoms_must_fit(files: Path, kind: str) -> None:
    with pytest.raises(TrajectoryError, match=r"has 104 atoms, its topology has 40.*--top"):
        open_trajectory(files / f"a.{kind}", 40)


@pytest.mark.parametrize("kind", ["xtc", "dcd"])
def test_capitals_blanks_and_letters_beyond_ascii(files: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"größe 1 .{kind.upper()}"
    shutil.copy(files / f"a.{kind}", path)
    with open_trajectory(path, 104) as trajectory:
        assert trajectory.n_frames == N_FRAMES


@pytest.mark.parametrize("kind", ["xtc", "trr", "nc", "h5", "dcd"])
@pytest.mark.parametrize("share", [0.03, 0.61])
def test_cut_files_are_refused(files: Path, tmp_path: Path, kind: str, share: float) -> None:
    content = (files / f"a.{kind}").read_bytes()
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(TrajectoryError) as caught:
        open_trajectory(path, 104)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["xtc", "trr"])
def test_damaged_frame_heads_are_refused(files: Path, tmp_path: Path, kind: str) -> None:
    content = bytearray((files / f"a.{kind}").read_bytes())
    start = content.index(content[:4], len(content) // 3)
    content[start + 2] ^= 0x40
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content)
    with pytest.raises(TrajectoryError, match=r"frame \d+ .* is no frame"):
        open_trajectory(path, 104)


@pytest.mark.parametrize("kind", ["xtc", "trr", "nc", "h5"])
@pytest.mark.parametrize(
    "content", [b"", b"ATOM\n" * 50, bytes(range(256)) * 8], ids=["empty", "text", "noise"]
)
def test_what_is_no_trajectory_is_refused(tmp_path: Path, kind: str, content: bytes) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content)
    with pytest.raises(TrajectoryError) as caught:
        open_trajectory(path, 104)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pull.dcd.gz", r"gunzip \S*pull\.dcd\.gz\)"),
        ("pull.xtc.gz", r"gunzip \S*pull\.xtc\.gz\)"),
        ("pull.dcd", r"gunzip < \S*pull\.dcd > unpacked\.dcd\)"),
        ("a pull.dcd.gz", r"gunzip '.*a pull\.dcd\.gz'\)"),
    ],
)
def test_packed_files_are_to_be_unpacked(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"CORD" * 100))
    with pytest.raises(TrajectoryError, match=rf"is packed with gzip; unpack it first \({words}"):
        open_trajectory(tmp_path / name)


@pytest.mark.parametrize(("pack", "suffix", "command"), [(bz2, ".bz2", "bunzip2"), (lzma, ".xz", "unxz")])
def test_other_packers_are_named_too(tmp_path: Path, pack: Any, suffix: str, command: str) -> None:
    path = tmp_path / f"pull.dcd{suffix}"
    path.write_bytes(pack.compress(b"CORD" * 100))
    with pytest.raises(TrajectoryError, match=rf"unpack it first \({command} {path}\)"):
        open_trajectory(path)


def test_frames_of_a_gro_are_to_be_converted(tmp_path: Path) -> None:
    (tmp_path / "a.gro").write_text("title\n1\n    1ALA      N    1   0.0   0.0   0.0\n 1 1 1\n")
    with pytest.raises(TrajectoryError, match=r"\(gmx trjconv -f \S*a\.gro -s \S*a\.gro -o a\.xtc\)"):
        open_trajectory(tmp_path / "a.gro")


@pytest.mark.parametrize(
    ("name", "words"), [("a.txt", "not known"), ("a", "not known"), ("a.dcd", "is not a DCD file")]
)
def test_unknown_formats(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_text("hello, I am a text\n")
    with pytest.raises(TrajectoryError, match=words):
        open_trajectory(tmp_path / name, 104)


def test_a_dcd_by_another_name_is_one(files: Path, tmp_path: Path) -> None:
    shutil.copy(files / "a.dcd", tmp_path / "a.coordinates")
    with open_trajectory(tmp_path / "a.coordinates", 104) as trajectory:
        assert trajectory.n_frames == N_FRAMES


def test_links_out_of_an_h5_file_are_refused(files: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    secret = tmp_path / "secret.raw"
    secret.write_bytes(b"\0" * 12 * 104)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("coordinates", (1, 104, 3), np.float32, external=[(str(secret), 0, 12 * 104)])
    with pytest.raises(TrajectoryError, match="other files"):
        open_trajectory(tmp_path / "a.h5", 104)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["coordinates"] = h5py.ExternalLink(str(files / "a.h5"), "coordinates")
    with pytest.raises(TrajectoryError, match="other files"):
        open_trajectory(tmp_path / "b.h5", 104)
    shutil.copy(files / "a.h5", tmp_path / "c.h5")
    with h5py.File(tmp_path / "c.h5", "a") as file:
        del file["cell_lengths"]
        file.create_dataset(
            "cell_lengths", (N_FRAMES, 3), np.float32, external=[(str(secret), 0, 12 * N_FRAMES)]
        )
    with pytest.raises(TrajectoryError, match="other files"):
        open_trajectory(tmp_path / "c.h5", 104)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("coordinates", lambda data: data[..., [0, 1, 2, 0]], "expected atoms and 3"),
        ("coordinates", lambda data: data.astype(np.complex64), "where numbers belong"),
        ("time", lambda data: data.astype(np.complex64), "where numbers belong"),
    ],
)
def test_h5_files_hold_numbers_of_the_right_shape(
    files: Path, tmp_path: Path, name: str, change: Callable[[NDArray[Any]], NDArray[Any]], words: str
) -> None:
    h5py = pytest.importorskip("h5py")
    shutil.copy(files / "a.h5", tmp_path)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        data = change(file[name][()])
        del file[name]
        file[name] = data
    with pytest.raises(TrajectoryError, match=words):
        open_trajectory(tmp_path / "a.h5", 104)


def test_units_of_h5_files_are_followed_or_refused(
    files: Path, frames: NDArray[np.float32], tmp_path: Path
) -> None:
    h5py = pytest.importorskip("h5py")
    shutil.copy(files / "a.h5", tmp_path)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["coordinates"][...] = frames
        file["coordinates"].attrs["units"] = "angstroms"
        file["time"].attrs["units"] = "nanoseconds"
    with open_trajectory(tmp_path / "a.h5", 104) as found:
        np.testing.assert_array_equal(found.read(), frames)
        np.testing.assert_allclose(found.times_ps, 2000.0 * np.arange(N_FRAMES))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["coordinates"].attrs["units"] = "bohr"
    with pytest.raises(TrajectoryError, match="in 'bohr'"):
        open_trajectory(tmp_path / "a.h5", 104)


def test_a_trr_frame_without_a_box_leaves_no_cells(files: Path, tmp_path: Path) -> None:
    """MDTraj gives what was in memory there."""
    content = (files / "a.trr").read_bytes()
    size = len(content) // N_FRAMES
    second = bytearray(content[size : 2 * size])
    sizes = second.index(struct.pack(">2i", 36, 0))  # bytes of the box and of the virial
    box = sizes - 8 + 52 + 8
    second[sizes : sizes + 4] = struct.pack(">i", 0)
    (tmp_path / "a.trr").write_bytes(content[:size] + second[:box] + second[box + 36 :] + content[2 * size :])
    with open_trajectory(files / "a.trr", 104) as before, open_trajectory(tmp_path / "a.trr", 104) as after:
        assert before.cells is not None
        assert after.cells is None
        assert np.array_equal(before.read(), after.read())


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (
            np.array([0, 2, 4, 6, 8, 10, 30, 32, 34, 36, 38, 40]),
            "1 jumps in time, first from 10 to 30 ps at frame 7",
        ),
        (1e15 + np.arange(N_FRAMES), "no meaningful times"),
        (np.arange(N_FRAMES)[::-1], "no meaningful times"),
    ],
)
def test_odd_times_are_noted(files: Path, tmp_path: Path, times: NDArray[np.float64], words: str) -> None:
    h5py = pytest.importorskip("h5py")
    shutil.copy(files / "a.h5", tmp_path)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["time"][:] = times
    with open_trajectory(files / "a.h5", 104) as usual, open_trajectory(tmp_path / "a.h5", 104) as odd:
        assert words not in "".join(usual.notes)
        assert words in "".join(odd.notes)


@pytest.mark.parametrize("kind", ["xtc", "trr", "nc", "h5"])
def test_frames_that_a_restart_wrote_again_are_left_out(
    frames: NDArray[np.float32], tmp_path: Path, kind: str
) -> None:
    """Seven frames, a crash, and on from the checkpoint at the fifth: the later ones count."""
    mdtraj = pytest.importorskip("mdtraj")
    order = np.array([*range(7), *range(4, N_FRAMES)])
    written = frames[order].copy()
    written[4:7] += 0.5  # before the crash they were others
    path, times = tmp_path / f"a.{kind}", 2.0 * order
    if kind == "h5":
        write_h5(path, written, np.tile(CELL, (len(order), 1)))
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "a") as file:
            file["time"][...] = times
    elif kind == "nc":
        with mdtraj.formats.NetCDFTrajectoryFile(str(path), "w") as file:
            file.write(written, time=times)
    else:
        with mdtraj.open(str(path), "w") as file:
            file.write(written / 10, time=times.astype(np.float32), step=1000 * order)
    with open_trajectory(path, 104) as trajectory:
        assert np.abs(trajectory.read() - frames).max() < 0.006
        assert np.abs(trajectory.read(slice(3, 6)) - frames[3:6]).max() < 0.006
        assert np.array_equal(trajectory.times_ps, 2.0 * np.arange(N_FRAMES))
        assert trajectory.notes == (
            "times go back from 12 to 8 ps at frame 8, as after a restart: 3 frames that were written again "
            "later are left out",
        )
        if kind in ("xtc", "trr"):
            assert np.array_equal(trajectory.steps, 1000 * np.arange(N_FRAMES))


def write_h5md(path: Path, psf: Path, dcd: Path) -> Path:
    """By MDAnalysis, which keeps the time in the unit of the DCD."""
    mda = pytest.importorskip("MDAnalysis")
    universe = mda.Universe(str(psf), str(dcd))
    with mda.Writer(str(path), n_atoms=104, n_frames=N_FRAMES) as writer:
        for _ in universe.trajectory:
            writer.write(universe.atoms)
    return path


def test_h5md_of_mdanalysis(
    files: Path, frames: NDArray[np.float32], example_psf: Path, tmp_path: Path
) -> None:
    """Times in AKMA units; a box that changes, one that does not, and a time that is a step."""
    h5py = pytest.importorskip("h5py")
    path = write_h5md(tmp_path / "a.h5md", example_psf, files / "a.dcd")

    def check() -> None:
        with open_trajectory(path, 104) as trajectory:
            assert np.array_equal(trajectory.read(), frames)
            np.testing.assert_allclose(trajectory.times_ps, 2.0 * np.arange(N_FRAMES), rtol=1e-6)
            assert trajectory.cells is not None
            np.testing.assert_allclose(trajectory.cells, np.tile(CELL, (N_FRAMES, 1)), rtol=1e-5)
            assert trajectory.notes == ()

    check()
    with h5py.File(path, "a") as file:
        assert file["particles/trajectory/position/time"].attrs["unit"] == "AKMA"
        box = file["particles/trajectory/box"]
        del box["edges"]
        box["edges"] = np.array(CELL[:3]) / 10
        box["edges"].attrs["unit"] = "nm"
    check()
    with h5py.File(path, "a") as file:
        position = file["particles/trajectory/position"]
        del position["time"]
        position["time"] = 2000.0
        position["time"].attrs["unit"] = "fs"
    check()


def test_amber_s_netcdf_4_is_an_hdf5_file(frames: NDArray[np.float32], tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.nc", "w") as file:
        columns = {"coordinates": (frames, "angstrom"), "time": (2.0 * np.arange(N_FRAMES), "picosecond")}
        columns |= {"cell_lengths": (np.tile(CELL[:3], (N_FRAMES, 1)), "angstrom")}
        columns |= {"cell_angles": (np.tile(CELL[3:], (N_FRAMES, 1)), "degree")}
        for name, (values, unit) in columns.items():
            file[name] = values
            file[name].attrs["units"] = unit
    with open_trajectory(tmp_path / "a.nc", 104) as trajectory:
        assert np.array_equal(trajectory.read(), frames)
        assert np.array_equal(trajectory.times_ps, 2.0 * np.arange(N_FRAMES))
        assert trajectory.cells is not None
        np.testing.assert_allclose(trajectory.cells, np.tile(CELL, (N_FRAMES, 1)))


@pytest.mark.parametrize("precision", [-1000.0, 0.0, 1100.0, np.nan, np.inf])
def test_an_xtc_frame_of_an_impossible_precision_is_refused(
    files: Path, tmp_path: Path, precision: float
) -> None:
    """Its coordinates would be mirrored, or scaled, without a trace elsewhere."""
    content = bytearray((files / "a.xtc").read_bytes())
    usual = struct.pack(">f", 1000.0)
    second = content.index(usual, content.index(usual) + 4)
    content[second : second + 4] = struct.pack(">f", precision)
    (tmp_path / "a.xtc").write_bytes(content)
    with pytest.raises(TrajectoryError, match=r"frame 2 .* precision"):
        open_trajectory(tmp_path / "a.xtc", 104)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os; os.abort()", "crashed"),
        ("import time; time.sleep(60)", "took longer"),
        ("print('dcdplugin) hello', flush=True)", "nonsense"),
        (SPINNING, "computed for"),
    ],
    ids=["crash", "hang", "chatter", "endless loop"],
)
def test_a_library_that_fails_is_an_error_here(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    child = tmp_path / "child.py"
    child.write_text(program)
    monkeypatch.setattr(sandboxed, "_CHILD", child)
    monkeypatch.setattr(sandboxed, "_MIN_CPU_SECONDS", 0.2)
    monkeypatch.setattr(sandboxed, "_MIN_SECONDS", 1.0 if words == "took longer" else 600.0)
    with pytest.raises(TrajectoryError, match=words):
        open_trajectory(files / "a.xtc", 104)


def test_nothing_is_printed(files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for kind in ("xtc", "dcd"):
        with open_trajectory(files / f"a.{kind}", 104) as trajectory:
            trajectory.read()
    assert capfd.readouterr() == ("", "")


def test_closing_ends_the_process(files: Path) -> None:
    trajectory = open_trajectory(files / "a.xtc", 104)
    assert isinstance(trajectory, sandboxed.SandboxedTrajectory)
    trajectory.close()
    assert trajectory._child.poll() is not None


def test_sound_coordinates_pass_without_a_remark(frames: NDArray[np.float32], peptide: Structure) -> None:
    assert check_coordinates(frames, peptide) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, 2e5])
def test_impossible_numbers_are_refused_with_their_place(
    frames: NDArray[np.float32], peptide: Structure, bad: float
) -> None:
    broken = frames.copy()
    broken[4, 13, 1] = bad
    with pytest.raises(TrajectoryError, match=rf"frame 5: y of atom {peptide.label(13)}"):
        check_coordinates(broken, peptide)


def test_a_frame_of_zeros_is_refused(frames: NDArray[np.float32], peptide: Structure) -> None:
    broken = frames.copy()
    broken[2] = 0
    with pytest.raises(TrajectoryError, match="frame 3 is all zeros"):
        check_coordinates(broken, peptide)


def test_repeated_frames_are_noted(frames: NDArray[np.float32], peptide: Structure) -> None:
    assert check_coordinates(frames[[0, 0, 1, 2, 2, 0]], peptide) == ["2 frames repeat the frame before"]


def test_nm_are_told_from_angstrom(frames: NDArray[np.float32], peptide: Structure) -> None:
    with pytest.raises(TrajectoryError, match="nm, not A"):
        check_coordinates(frames / 10, peptide)


@pytest.mark.parametrize("length", [0.69, 2.61])
def test_the_worst_bond_is_named(frames: NDArray[np.float32], peptide: Structure, length: float) -> None:
    broken = frames.copy()
    i, j = peptide.bonds[20]
    vector = broken[3, j] - broken[3, i]
    others = (peptide.bonds == j).any(axis=1).sum()
    broken[3, j] = broken[3, i] + vector * (length / np.linalg.norm(vector))
    with pytest.raises(TrajectoryError, match="frame 4: the bond") as caught:
        check_coordinates(broken, peptide)
    assert others > 1 or peptide.label(int(j)) in str(caught.value)


def test_another_order_of_atoms_is_refused(frames: NDArray[np.float32], peptide: Structure) -> None:
    with pytest.raises(TrajectoryError, match=r"the bond .* A long, expected 0.\d+ to [12].*--top"):
        check_coordinates(frames[:, np.roll(np.arange(104), 1)], peptide)


def test_another_shape_is_refused(frames: NDArray[np.float32], peptide: Structure) -> None:
    with pytest.raises(TrajectoryError, match="shape"):
        check_coordinates(frames[:, :40], peptide)


def test_bonds_may_cross_the_box_when_it_is_known(frames: NDArray[np.float32], peptide: Structure) -> None:
    wrapped = np.mod(frames + 3, np.array(CELL[:3])).astype(np.float32)
    with pytest.raises(TrajectoryError, match="box cuts molecules"):
        check_coordinates(wrapped, peptide)
    assert check_coordinates(wrapped, peptide, np.tile(CELL, (N_FRAMES, 1))) == []


def test_atoms_without_bonds_are_noted(frames: NDArray[np.float32], peptide: Structure) -> None:
    ca = select_atoms(peptide, "name CA")
    assert any("no bonds" in note for note in check_coordinates(frames[:, ca], subset(peptide, ca)))


def test_a_wrong_order_outside_the_selection_is_found(
    tmp_path: Path, frames: NDArray[np.float32], peptide: Structure
) -> None:
    """The backbone stands where it should, the side chains do not: the selection alone would pass."""
    order = np.arange(104)
    first, second = (np.flatnonzero((peptide.residue_ids == r) & (peptide.names == "CB"))[0] for r in (2, 8))
    order[[first, second]] = order[[second, first]]
    write_dcd(tmp_path / "a.dcd", frames[:, order], timestep_ps=0.002)
    backbone = select_atoms(peptide, "name N CA C O")
    with open_trajectory(tmp_path / "a.dcd", 104) as trajectory:
        assert check_coordinates(trajectory.read(None, backbone), subset(peptide, backbone)) == []
        with pytest.raises(TrajectoryError, match=r"frame 1: the bond .*CB"):
            check_topology(trajectory, peptide)


@pytest.mark.parametrize("cell", [CELL, None])
def test_wrapped_molecules_pass(
    tmp_path: Path, frames: NDArray[np.float32], peptide: Structure, cell: tuple[float, ...] | None
) -> None:
    shifted = frames - frames[0, 100] + np.array([0.0, 20.0, 20.0])
    wrapped = np.mod(shifted, np.array(CELL[:3])).astype(np.float32)
    assert np.ptp(wrapped[0], axis=0).max() > 30
    write_dcd(tmp_path / "a.dcd", wrapped, timestep_ps=0.002, cells=cell)
    with open_trajectory(tmp_path / "a.dcd", 104) as trajectory:
        notes = check_topology(trajectory, peptide)
    assert notes == ([] if cell else ["molecules are cut by a box whose size the file does not hold"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.xtc")
    with pytest.raises(TrajectoryError, match="a pipe"):
        open_trajectory(tmp_path / "a.xtc", 104)


def test_mdtraj_stays_out_of_this_process(files: Path) -> None:
    """A crash of the library must not be able to take this process along."""
    loaded = set(sys.modules)
    with open_trajectory(files / "a.xtc", 104) as trajectory:
        trajectory.read([0])
    assert not {name for name in set(sys.modules) - loaded if name.startswith("mdtraj")}
