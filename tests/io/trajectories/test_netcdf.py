"""Amber NetCDF: the header must fit the file."""

import os
from pathlib import Path

import numpy as np
import pytest

from smdgen.errors import TrajectoryError
from smdgen.io.trajectories.netcdf import NetcdfTrajectory
from tests.tools.other_formats import write_netcdf

N_FRAMES, N_ATOMS = 6, 5


@pytest.fixture
def trajectory(tmp_path: Path) -> Path:
    return write_netcdf(tmp_path / "a.nc", np.ones((N_FRAMES, N_ATOMS, 3), dtype=np.float32))


def n_frames(path: Path, salvage: bool = False) -> int:
    with NetcdfTrajectory(path, salvage) as trajectory:
        return trajectory.n_frames


def test_a_whole_file_passes(trajectory: Path) -> None:
    assert n_frames(trajectory) == N_FRAMES


@pytest.mark.parametrize("lost", [4, 60, 64, 200])
def test_a_cut_file_is_refused(trajectory: Path, lost: int) -> None:
    content = trajectory.read_bytes()
    trajectory.write_bytes(content[:-lost])
    with pytest.raises(TrajectoryError, match="declares 6 frames and has room for"):
        n_frames(trajectory)


@pytest.mark.parametrize("declared", [3, 7, 10**9])
def test_a_wrong_number_of_frames_is_refused(trajectory: Path, declared: int) -> None:
    content = bytearray(trajectory.read_bytes())
    content[4:8] = declared.to_bytes(4, "big")
    trajectory.write_bytes(content)
    with pytest.raises(TrajectoryError, match="declares"):
        n_frames(trajectory)


def test_frames_are_counted_by_the_size_where_none_are_declared(trajectory: Path) -> None:
    """A program that is killed leaves the number of records at 0, as some leave NSET in a DCD."""
    content = bytearray(trajectory.read_bytes())
    content[4:8] = bytes(4)
    trajectory.write_bytes(content)
    with NetcdfTrajectory(trajectory) as found:
        assert found.notes == ("the header declares 0 frames, the file holds 6 whole ones; 6 are read",)
        assert found.read().shape == (N_FRAMES, N_ATOMS, 3)
    trajectory.write_bytes(content[:-30])
    with pytest.raises(TrajectoryError, match="add --salvage to keep 5 whole frames"):
        n_frames(trajectory)


@pytest.mark.parametrize(("lost", "kept"), [(4, 5), (64, 5), (65, 4), (200, 2)])
def test_salvage_keeps_the_whole_frames(trajectory: Path, lost: int, kept: int) -> None:
    trajectory.write_bytes(trajectory.read_bytes()[:-lost])
    with NetcdfTrajectory(trajectory, salvage=True) as found:
        assert found.n_frames == kept
        assert f"salvaged {kept} whole frames" in found.notes[0]


def test_cells_times_and_chosen_atoms_are_those_of_another_reader(tmp_path: Path) -> None:
    mdtraj = pytest.importorskip("mdtraj")
    frames = np.random.default_rng(3).normal(0, 9, (5, 7, 3)).astype(np.float32)
    cells = np.tile([40.0, 41, 42, 80, 85, 95], (5, 1))
    with mdtraj.formats.NetCDFTrajectoryFile(str(tmp_path / "a.nc"), "w") as file:
        file.write(frames, time=3.0 * np.arange(5), cell_lengths=cells[:, :3], cell_angles=cells[:, 3:])
    with NetcdfTrajectory(tmp_path / "a.nc") as found:
        assert np.array_equal(found.read(), frames)
        assert np.array_equal(found.read([3, -1], np.array([6, 0])), frames[[3, -1]][:, [6, 0]])
        assert np.array_equal(found.times_ps, 3.0 * np.arange(5))
        assert found.cells is not None
        np.testing.assert_allclose(found.cells, cells, rtol=1e-6)
        assert found.notes == ()
        with pytest.raises(IndexError):
            found.read([5])


def test_a_file_cut_while_it_is_open_is_an_error(trajectory: Path) -> None:
    with NetcdfTrajectory(trajectory) as found:
        os.truncate(trajectory, trajectory.stat().st_size - 100)
        with pytest.raises(TrajectoryError, match="became shorter"):
            found.read()


def test_another_unit_is_refused(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "a.nc", np.ones((2, 3, 3), dtype=np.float32), units="nm")
    with pytest.raises(TrajectoryError, match="'nm', expected angstrom"):
        n_frames(path)


@pytest.mark.parametrize(
    ("name", "attribute", "value", "words"),
    [
        ("time", "units", "nanosecond", "time is in 'nanosecond', expected picosecond"),
        ("time", "scale_factor", 1000.0, "scale 1000"),
        ("coordinates", "scale_factor", np.float32(1.5), "scale 1.5"),
    ],
)
def test_units_and_scales_that_are_not_followed_are_refused(
    trajectory: Path, name: str, attribute: str, value: object, words: str
) -> None:
    frames = np.ones((2, 3, 3), dtype=np.float32)
    path = write_netcdf(trajectory, frames, attributes={(name, attribute): value})
    with pytest.raises(TrajectoryError, match=words):
        n_frames(path)


def test_a_scale_of_one_and_other_variables_pass(trajectory: Path) -> None:
    frames = np.ones((2, 3, 3), dtype=np.float32)
    attributes = {("coordinates", "scale_factor"): 1.0, ("spatial", "scale_factor"): 20.455}
    assert n_frames(write_netcdf(trajectory, frames, attributes=attributes)) == 2


def test_times_of_whole_numbers_are_refused(trajectory: Path) -> None:
    content = bytearray(trajectory.read_bytes())
    place = content.index(b"picosecond") + 12
    assert content[place : place + 4] == (5).to_bytes(4, "big")
    content[place : place + 4] = (4).to_bytes(4, "big")
    trajectory.write_bytes(content)
    with pytest.raises(TrajectoryError, match="its time has type 4"):
        n_frames(trajectory)


def test_every_flipped_byte_of_the_header_is_an_error_of_ours_or_harmless(trajectory: Path) -> None:
    content = trajectory.read_bytes()
    for place in range(content.index(b"coordinates") + 80):
        changed = bytearray(content)
        changed[place] ^= 0xA5
        trajectory.write_bytes(changed)
        message = ""
        try:
            found = n_frames(trajectory)
        except TrajectoryError as error:
            message = str(error)
        assert "\n" not in message
        assert message or found == N_FRAMES
