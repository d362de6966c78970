"""Trajectories of any format: one way to open them, and a look at whether a topology is theirs."""

import dataclasses
import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smdgen.arrays import FrameChoice
from smdgen.errors import TopologyError, TrajectoryError
from smdgen.files import require_regular_file
from smdgen.io.kinds import COORDINATE_KINDS, coordinate_kind, is_ascii_trajectory, refuse_unread
from smdgen.io.structures.atoms import Structure
from smdgen.io.structures.coordinate_checks import check_coordinates
from smdgen.io.structures.handedness import mirror_notes
from smdgen.io.trajectories.dcd import DcdFile, SoundDcd
from smdgen.io.trajectories.netcdf import NetcdfTrajectory
from smdgen.io.trajectories.opened import Opened
from smdgen.io.trajectories.times import numbered

_FORMATS = "a trajectory (DCD, XTC, TRR, Amber NetCDF, H5 or PDB)"

#: Of coordinates, that are read at a time.
CHUNK_BYTES = 1 << 20

_MOST_CROSSINGS = 0.25  # of all bonds


class Readable(Protocol):
    """Frames of a trajectory."""

    @property
    def n_frames(self) -> int:
        """How many there are."""

    @property
    def cells(self) -> NDArray[np.float64] | None:
        """(n_frames, 6), A A A deg deg deg; None without unit cells."""

    def read(
        self, frames: FrameChoice = None, atoms: NDArray[np.integer] | None = None
    ) -> NDArray[np.float32]:
        """(n, n_selected, 3), A. Some frames and atoms, 0-based; None for all."""


class Trajectory(Readable, AbstractContextManager["Trajectory", None], Protocol):
    """An open trajectory."""

    n_atoms: int
    notes: tuple[str, ...]

    @property
    def has_times(self) -> bool:
        """Whether `times_ps` are the file's own, not just the numbers of the frames."""

    @property
    def times_ps(self) -> NDArray[np.float64]:
        """(n_frames,), ps."""

    @property
    def steps(self) -> NDArray[np.int64] | None:
        """(n_frames,). MD step of every frame; None if the file does not say."""

    def close(self) -> None:
        """Let go of the file."""


class PdbTrajectory(Opened):
    """The models of a PDB as frames, one ps apart for want of times."""

    def __init__(self, path: Path) -> None:
        from smdgen.io.structures.pdb import read_pdb_models

        try:
            models = read_pdb_models(path)
        except TopologyError as error:
            raise TrajectoryError(str(error)) from error
        self._positions, self.cells = models.positions.astype(np.float32), models.cells
        self.n_frames, self.n_atoms, _ = self._positions.shape
        self.notes: tuple[str, ...] = (*models.notes, numbered("a PDB holds no times"))
        self.times_ps, self.has_times = np.arange(self.n_frames, dtype=np.float64), False
        self.steps: NDArray[np.int64] | None = None

    def read(
        self, frames: FrameChoice = None, atoms: NDArray[np.integer] | None = None
    ) -> NDArray[np.float32]:
        """(n, n_selected, 3), A."""
        rows = slice(None) if frames is None else frames
        columns = slice(None) if atoms is None else np.asarray(atoms)
        return self._positions[rows][:, columns].copy()


def open_trajectory(
    path: Path,
    n_atoms: int | None = None,
    salvage: bool = False,
    known: SoundDcd | None = None,
    scan: bool = True,
) -> Trajectory:
    """Open a trajectory, after a look at whether it is sound.

    Args:
        path: DCD, Amber NetCDF (read strictly), XTC, TRR, H5 (in a process of its own) or multi-model PDB;
            the content decides which.
        n_atoms: How many atoms the topology has; None not to compare.
        salvage: Keep the whole frames before a damaged one (DCD and NetCDF only).
        known: What `sound` of a DCD said before.
        scan: Read every frame of an XTC, TRR or H5 once, to see that it is sound; False where the caller
            reads every frame.

    Raises:
        TrajectoryError: Missing, damaged, of an unknown format, or with another number of atoms.
    """
    path = Path(path)
    require_regular_file(path, _FORMATS, TrajectoryError)
    trajectory = _open(path, salvage, known, scan)
    if n_atoms is not None and trajectory.n_atoms != n_atoms:
        trajectory.close()
        raise TrajectoryError(
            f"{path} has {trajectory.n_atoms} atoms, its topology has {n_atoms}; "
            "name the topology of this very trajectory with --top"
        )
    return trajectory


def chunks(frames: NDArray[np.int64], n_atoms: int) -> Iterator[NDArray[np.int64]]:
    """The frames in order, about a megabyte of coordinates at a time.

    Args:
        frames: (n,), 0-based.
        n_atoms: That are read of each.
    """
    size = max(1, CHUNK_BYTES // (12 * n_atoms))
    for start in range(0, len(frames), size):
        yield frames[start : start + size]


def looks_at(n_frames: int, n_looks: int = 5) -> NDArray[np.int64]:
    """(n,). Numbers of some frames, spread over a trajectory."""
    return np.unique(np.linspace(0, n_frames - 1, n_looks).astype(np.int64))


def check_topology(trajectory: Readable, structure: Structure) -> list[str]:
    """Refuse a trajectory of another topology, by the bonds of all atoms in a few frames.

    A selection may look right by chance where the other atoms stand in another order, so look at all of
    them once. Without unit cells, bonds longer than half the frame are taken to cross an unknown box.

    Args:
        trajectory: Open, with as many atoms as the structure.
        structure: The whole topology.

    Returns:
        What was odd but not wrong.

    Raises:
        TrajectoryError: As `check_coordinates`.
    """
    cells = trajectory.cells
    notes: list[str] = []
    mirrored: list[str] = []
    for frame in looks_at(trajectory.n_frames):
        positions = trajectory.read(np.array([frame]))
        checked = structure if cells is not None else _without_box_crossings(positions[0], structure)
        if len(checked.bonds) < len(structure.bonds):
            notes = ["molecules are cut by a box whose size the file does not hold"]
        cell = None if cells is None else cells[frame : frame + 1]
        check_coordinates(positions, checked, cell, np.array([frame]))
        if not mirrored:
            place = f"frame {frame + 1}: " if frame else ""
            mirrored = [place + note for note in mirror_notes(positions, structure, cell)]
    return [*notes, *mirrored]


def _without_box_crossings(positions: NDArray[np.float32], structure: Structure) -> Structure:
    """The structure without bonds that span more than half of the frame, if it is large enough to tell."""
    if not len(structure.bonds) or not np.isfinite(positions).all():
        return structure
    extent = np.ptp(positions, axis=0)
    first, second = structure.bonds.T
    is_crossing = (np.abs(positions[second] - positions[first]) > np.maximum(0.5 * extent, 10.0)).any(axis=1)
    # In a box few bonds cross; in a wrong order of atoms many would.
    if not is_crossing.any() or is_crossing.mean() > _MOST_CROSSINGS:
        return structure
    return dataclasses.replace(structure, bonds=structure.bonds[~is_crossing])


def _open(path: Path, salvage: bool, known: SoundDcd | None, scan: bool) -> Trajectory:
    refuse_unread(path, TrajectoryError)
    if is_ascii_trajectory(path):
        raise TrajectoryError(
            f"{path} is an Amber trajectory of text, which holds no times; expected {_FORMATS}: convert it, "
            f"as with `cpptraj -p system.prmtop -y {path.name} -x {path.stem}.nc`"
        )
    kind = coordinate_kind(path)
    if kind == "DCD":
        return DcdFile(path, salvage, known)
    if kind == "NetCDF":
        return NetcdfTrajectory(path, salvage)
    if kind == "PDB":
        return PdbTrajectory(path)
    if kind in COORDINATE_KINDS:
        raise TrajectoryError(f"{path} holds {kind}, one set of them; expected {_FORMATS}: name another file")
    if kind in ("XTC", "TRR", "H5"):
        from smdgen.io.trajectories.sandboxed import SandboxedTrajectory

        return SandboxedTrajectory(path, kind, scan)
    if kind:
        raise ValueError(f"{path} is of kind {kind!r}, for which there is no reader")
    if path.suffix.lower() == ".gro":
        name = shlex.quote(str(path))
        command = f"gmx trjconv -f {name} -s {name} -o {shlex.quote(path.stem)}.xtc"
        raise TrajectoryError(f"{path} is a .gro file; expected {_FORMATS}: convert its frames ({command})")
    raise TrajectoryError(
        f"{path}: trajectories ending in {path.suffix or 'nothing'} are not known; "
        "convert it to DCD, XTC, TRR, NetCDF or H5, with `mdconvert` for example"
    )
