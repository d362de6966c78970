"""Amber NetCDF: the header must fit the file."""

from pathlib import Path

import numpy as np
import pytest

from smdgen.data.netcdf import check_netcdf
from smdgen.errors import TrajectoryError
from tests.tools.other_formats import write_netcdf

N_FRAMES, N_ATOMS = 6, 5


@pytest.fixture
def trajectory(tmp_path: Path) -> Path:
    return write_netcdf(tmp_path / "a.nc", np.ones((N_FRAMES, N_ATOMS, 3), dtype=np.float32))


def test_a_whole_file_passes(trajectory: Path) -> None:
    assert check_netcdf(trajectory) == N_FRAMES


@pytest.mark.parametrize("lost", [4, 60, 64, 200])
def test_a_cut_file_is_refused(trajectory: Path, lost: int) -> None:
    content = trajectory.read_bytes()
    trajectory.write_bytes(content[:-lost])
    with pytest.raises(TrajectoryError, match="declares 6 frames and has room for"):
        check_netcdf(trajectory)


@pytest.mark.parametrize("declared", [0, 3, 7, 10**9])
def test_a_wrong_number_of_frames_is_refused(trajectory: Path, declared: int) -> None:
    content = bytearray(trajectory.read_bytes())
    content[4:8] = declared.to_bytes(4, "big")
    trajectory.write_bytes(content)
    with pytest.raises(TrajectoryError, match=r"declares|no frame"):
        check_netcdf(trajectory)


def test_another_unit_is_refused(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "a.nc", np.ones((2, 3, 3), dtype=np.float32), units="nm")
    with pytest.raises(TrajectoryError, match="'nm', expected angstrom"):
        check_netcdf(path)


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
        check_netcdf(path)


def test_a_scale_of_one_and_other_variables_pass(trajectory: Path) -> None:
    frames = np.ones((2, 3, 3), dtype=np.float32)
    attributes = {("coordinates", "scale_factor"): 1.0, ("spatial", "scale_factor"): 20.455}
    assert check_netcdf(write_netcdf(trajectory, frames, attributes=attributes)) == 2


def test_times_of_whole_numbers_are_refused(trajectory: Path) -> None:
    content = bytearray(trajectory.read_bytes())
    place = content.index(b"picosecond") + 12
    assert content[place : place + 4] == (5).to_bytes(4, "big")
    content[place : place + 4] = (4).to_bytes(4, "big")
    trajectory.write_bytes(content)
    with pytest.raises(TrajectoryError, match="its time has type 4"):
        check_netcdf(trajectory)


def test_every_flipped_byte_of_the_header_is_an_error_of_ours_or_harmless(trajectory: Path) -> None:
    content = trajectory.read_bytes()
    for place in range(content.index(b"coordinates") + 80):
        changed = bytearray(content)
        changed[place] ^= 0xA5
        trajectory.write_bytes(changed)
        message = ""
        try:
            n_frames = check_netcdf(trajectory)
        except TrajectoryError as error:
            message = str(error)
        assert "\n" not in message
        assert message or n_frames == N_FRAMES
