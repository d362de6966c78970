"""Trajectories in other programs' formats, written without smdgen."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import netcdf_file


def write_netcdf(
    path: Path,
    frames: NDArray[np.floating],
    units: str = "angstrom",
    attributes: Mapping[tuple[str, str], object] | None = None,
) -> Path:
    """An Amber NetCDF trajectory; frames (n_frames, n_atoms, 3), A, 2 ps apart; attributes of variables."""
    with netcdf_file(path, "w", version=2) as file:
        file.Conventions = "AMBER"
        file.ConventionVersion = "1.0"
        for name, length in (("frame", None), ("spatial", 3), ("atom", frames.shape[1]), ("label", 5)):
            file.createDimension(name, length)
        file.createVariable("spatial", "c", ("spatial",))[:] = list("xyz")
        time = file.createVariable("time", "f4", ("frame",))
        time.units = "picosecond"
        coordinates = file.createVariable("coordinates", "f4", ("frame", "atom", "spatial"))
        coordinates.units = units
        for (variable, attribute), value in (attributes or {}).items():
            setattr(file.variables[variable], attribute, value)
        for i, frame in enumerate(frames):
            time[i], coordinates[i] = 2.0 * i, frame
    return path


def write_h5(path: Path, frames: NDArray[np.floating], cells: NDArray[np.float64]) -> Path:
    """The layout of MDTraj's H5 files, whose own writer needs PyTables; frames and cells in A."""
    with h5py.File(path, "w") as file:
        file["coordinates"] = frames / 10
        file["time"] = 2.0 * np.arange(len(frames))
        file["cell_lengths"] = cells[:, :3] / 10
        file["cell_angles"] = cells[:, 3:]
    return path


def write_xtc(path: Path, frames: NDArray[np.floating], cells: NDArray[np.float64]) -> Path:
    """A GROMACS XTC by MDTraj; frames in A, rectangular cells."""
    import mdtraj

    with mdtraj.formats.XTCTrajectoryFile(str(path), "w") as file:
        file.write(
            frames / 10,
            time=2.0 * np.arange(len(frames), dtype=np.float32),
            step=1000 * np.arange(len(frames)),
            box=cells[:, :3, None] / 10 * np.eye(3),
        )
    return path
