"""Trajectories of any format: one way to open them, and the gate that coordinates must pass."""

import dataclasses
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smdgen.data.atoms import Structure
from smdgen.data.dcd import DcdFile, Frames
from smdgen.errors import TopologyError, TrajectoryError
from smdgen.files import require_regular_file

#: What MDTraj or h5py reads for us, in a process of its own.
GUARDED_SUFFIXES = (".xtc", ".trr", ".nc", ".ncdf", ".netcdf", ".h5", ".hdf5", ".h5md")

_PDB_SUFFIXES = (".pdb", ".ent")
_EXPECTED = "a trajectory (DCD, XTC, TRR, Amber NetCDF, H5 or PDB)"

_SHORTEST_BOND, _LONGEST_BOND = 0.7, 2.6  # A. Right pairs of topology and trajectory stay below 1.96
_LARGEST_COORDINATE = 1e5  # A
_MOST_CROSSINGS = 0.25  # of all bonds
_BLOCK = 1 << 20  # bonds looked at in one go


class Trajectory(Protocol):
    """An open trajectory."""

    n_frames: int
    n_atoms: int
    notes: tuple[str, ...]

    @property
    def times_ps(self) -> NDArray[np.float64]:
        """(n_frames,), ps."""

    @property
    def steps(self) -> NDArray[np.int64] | None:
        """(n_frames,). MD step of every frame; None if the file does not say."""

    @property
    def cells(self) -> NDArray[np.float64] | None:
        """(n_frames, 6), A A A deg deg deg; None without unit cells."""

    def read(self, frames: Frames = None, atoms: NDArray[np.integer] | None = None) -> NDArray[np.float32]:
        """(n, n_selected, 3), A. Some frames and atoms, 0-based; None for all."""

    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PdbTrajectory:
    """The models of a PDB as frames, one ps apart for want of times."""

    def __init__(self, path: Path) -> None:
        from smdgen.data.pdb import read_pdb_models

        try:
            self._positions = read_pdb_models(path).astype(np.float32)
        except TopologyError as error:
            raise TrajectoryError(str(error)) from error
        self.n_frames, self.n_atoms, _ = self._positions.shape
        self.notes: tuple[str, ...] = ("a PDB holds no times; frames are numbered instead",)
        self.times_ps = np.arange(self.n_frames, dtype=np.float64)
        self.steps: NDArray[np.int64] | None = None
        self.cells: NDArray[np.float64] | None = None

    def read(self, frames: Frames = None, atoms: NDArray[np.integer] | None = None) -> NDArray[np.float32]:
        """(n, n_selected, 3), A."""
        rows = slice(None) if frames is None else frames
        columns = slice(None) if atoms is None else np.asarray(atoms)
        return self._positions[rows][:, columns].copy()

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self) -> Self:
        """Use as `with PdbTrajectory(path) as trajectory`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to let go of."""


def open_trajectory(path: Path, n_atoms: int | None = None, salvage: bool = False) -> Trajectory:
    """Open a trajectory, after a look at whether it is sound.

    Args:
        path: DCD (read strictly), XTC, TRR, Amber NetCDF, H5 (in a guarded process) or multi-model PDB.
        n_atoms: How many atoms the topology has; None not to compare.
        salvage: Keep the whole frames before a damaged one (DCD only).

    Raises:
        TrajectoryError: Missing, damaged, of an unknown format, or with another number of atoms.
    """
    path = Path(path)
    require_regular_file(path, _EXPECTED, TrajectoryError)
    trajectory = _open(path, salvage)
    if n_atoms is not None and trajectory.n_atoms != n_atoms:
        trajectory.close()
        raise TrajectoryError(
            f"{path} has {trajectory.n_atoms} atoms, its topology has {n_atoms}; "
            "name the topology of this very trajectory with --top"
        )
    return trajectory


def check_coordinates(
    positions: ArrayLike, structure: Structure, cells: NDArray[np.float64] | None = None
) -> list[str]:
    """Refuse coordinates that cannot be those of a structure.

    They must be finite and below 1e5 A, no frame may be all zero, and every bonded pair must be 0.7 to 2.6 A
    apart, which finds a topology with another order of atoms, another unit, and most damage.

    Args:
        positions: (n_frames, n_atoms, 3), A.
        structure: The same atoms, with their bonds.
        cells: (n_frames, 6), A A A deg deg deg. With it bonds may cross the box.

    Returns:
        What was odd but not wrong.

    Raises:
        TrajectoryError: With the first bad frame, or the worst bond.
    """
    frames = np.asarray(positions)
    if frames.ndim != 3 or frames.shape[1:] != (structure.n_atoms, 3):
        raise TrajectoryError(
            f"coordinates have shape {frames.shape}, expected (frames, {structure.n_atoms}, 3); check --top"
        )
    largest = np.abs(frames).max(axis=(1, 2), initial=0.0)
    if not (largest < _LARGEST_COORDINATE).all():  # NaN compares as false
        raise TrajectoryError(_explain_values(frames, structure))
    if structure.n_atoms > 1 and (largest == 0).any():
        frame = int(np.flatnonzero(largest == 0)[0])
        raise TrajectoryError(f"frame {frame + 1} is all zeros, as in a file that was cut; write it again")
    _check_bonds(frames, structure, cells)
    repeated = int((frames[1:] == frames[:-1]).all(axis=(1, 2)).sum()) if len(frames) > 1 else 0
    notes = [f"{repeated} frames repeat the frame before"] if repeated else []
    if structure.n_atoms > 1 and not len(structure.bonds):
        notes.append("no bonds are known among these atoms, so their order could not be checked")
    return notes


def check_topology(trajectory: Trajectory, structure: Structure, n_frames: int = 5) -> list[str]:
    """Refuse a trajectory of another topology, by the bonds of all atoms in a few frames.

    A selection may look right by chance where the other atoms stand in another order, so look at all of
    them once. Without unit cells, bonds longer than half the frame are taken to cross an unknown box.

    Args:
        trajectory: Open, with as many atoms as the structure.
        structure: The whole topology.
        n_frames: How many frames to look at, spread over the trajectory.

    Returns:
        What was odd but not wrong.

    Raises:
        TrajectoryError: As `check_coordinates`.
    """
    frames = np.unique(np.linspace(0, trajectory.n_frames - 1, n_frames).astype(np.int64))
    cells = trajectory.cells
    notes: list[str] = []
    for frame in frames:
        positions = trajectory.read(np.array([frame]))
        checked = structure if cells is not None else _without_box_crossings(positions[0], structure)
        if len(checked.bonds) < len(structure.bonds):
            notes = ["molecules are cut by a box whose size the file does not hold"]
        try:
            check_coordinates(positions, checked, None if cells is None else cells[frame : frame + 1])
        except TrajectoryError as error:
            text = str(error).removeprefix("frame 1: ")
            raise TrajectoryError(f"frame {frame + 1}: {text}") from error
    return notes


def _without_box_crossings(positions: NDArray[np.float32], structure: Structure) -> Structure:
    """The structure without bonds that span more than half of the frame, if it is large enough to tell."""
    if not len(structure.bonds) or not np.isfinite(positions).all():
        return structure
    extent = np.ptp(positions, axis=0)
    first, second = structure.bonds.T
    is_crossing = (np.abs(positions[second] - positions[first]) > np.maximum(0.5 * extent, 10.0)).any(axis=1)
    # In a box few bonds cross; in a wrong order of atoms many would.
    if is_crossing.mean() > _MOST_CROSSINGS:
        return structure
    return dataclasses.replace(structure, bonds=structure.bonds[~is_crossing])


def _open(path: Path, salvage: bool) -> Trajectory:
    suffix = path.suffix.lower()
    with path.open("rb") as stream:
        head = stream.read(16)
    if suffix == ".dcd" or b"CORD" in head or b"VELD" in head:
        return DcdFile(path, salvage)
    if suffix in _PDB_SUFFIXES:
        return PdbTrajectory(path)
    if suffix in GUARDED_SUFFIXES:
        from smdgen.data.guarded import GuardedTrajectory

        return GuardedTrajectory(path)
    raise TrajectoryError(
        f"{path}: trajectories ending in {suffix or 'nothing'} are not known; "
        "convert it to DCD, XTC, TRR, NetCDF or H5, with `mdconvert` for example"
    )


def _explain_values(frames: NDArray[np.floating], structure: Structure) -> str:
    good = np.abs(frames) < _LARGEST_COORDINATE
    frame, atom, axis = np.argwhere(~good)[0].tolist()
    value = frames[frame, atom, axis]
    return (
        f"frame {frame + 1}: {'xyz'[axis]} of atom {structure.label(atom)} is {value:g}, expected less than "
        f"{_LARGEST_COORDINATE:g} A; the run blew up or the file is damaged: leave these frames out"
    )


def _check_bonds(
    frames: NDArray[np.floating], structure: Structure, cells: NDArray[np.float64] | None
) -> None:
    if not len(structure.bonds):
        return
    first, second = structure.bonds.T
    size = max(1, _BLOCK // len(first))
    for start in range(0, len(frames), size):
        block = slice(start, start + size)
        vectors = frames[block][:, second] - frames[block][:, first]
        if cells is not None:
            from smdgen.data.periodic import nearest_image

            vectors = nearest_image(vectors, cells[block])
        lengths = np.sqrt(np.einsum("fbi,fbi->fb", vectors, vectors, dtype=np.float64))
        if (lengths < _SHORTEST_BOND).any() or (lengths > _LONGEST_BOND).any():
            raise TrajectoryError(_explain_bond(lengths, structure, start, cells is not None))


def _explain_bond(lengths: NDArray[np.float64], structure: Structure, start: int, unwrapped: bool) -> str:
    badness = np.maximum(lengths / _LONGEST_BOND, _SHORTEST_BOND / np.maximum(lengths, 1e-12))
    frame, bond = np.unravel_index(int(badness.argmax()), badness.shape)
    i, j = structure.bonds[bond]
    median = float(np.median(lengths))
    if median < 0.3:
        advice = "these look like nm, not A: convert the file"
    elif median < _LONGEST_BOND and not unwrapped:
        advice = "the topology is of another system or order of atoms, or the box cuts molecules: check --top"
    else:
        advice = "the topology is of another system or order of atoms: check --top"
    return (
        f"frame {start + int(frame) + 1}: the bond {structure.label(int(i))} - {structure.label(int(j))} is "
        f"{lengths[frame, bond]:.3g} A long, expected {_SHORTEST_BOND} to {_LONGEST_BOND}; {advice}"
    )
