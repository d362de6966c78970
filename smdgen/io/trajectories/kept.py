"""Frames that are needed several times and decoded once: an unnamed temporary file keeps them."""

import contextlib
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from smdgen.arrays import FrameChoice
from smdgen.errors import WriteError
from smdgen.io.trajectories.sandboxed import SandboxedTrajectory
from smdgen.io.trajectories.trajectory import Trajectory, chunks


class Scratch:
    """A temporary file without a name, for the coordinates of many trajectories; it goes with its users."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None

    def append(self, positions: NDArray[np.float32]) -> int:
        """Write coordinates; returns the byte at which they begin.

        Raises:
            WriteError: The disk is full.
        """
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as this is
                weakref.finalize(self, _close, self._file)
            start = self._file.seek(0, 2)
            self._file.write(np.ascontiguousarray(positions).data)
            self._file.flush()
        except OSError as error:
            raise WriteError(
                f"cannot keep decoded frames in {tempfile.gettempdir()}: {error.strerror}; free space there, "
                "or set TMPDIR to a folder with more"
            ) from error
        return start

    def read(self, start: int, count: int) -> NDArray[np.float32]:
        """(count,). Numbers from a byte on."""
        assert self._file is not None
        self._file.seek(start)
        return np.fromfile(self._file, np.float32, count)


def _close(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # what did not fit on the disk is tried again
        file.close()


@dataclass(frozen=True, eq=False)
class Stored:
    """Coordinates in a temporary file."""

    scratch: Scratch
    start: int  # byte
    n_frames: int
    n_atoms: int

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, n_atoms, 3), A."""
        size = 3 * self.n_atoms
        runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
        found = [self.scratch.read(self.start + 4 * size * int(run[0]), size * len(run)) for run in runs]
        return np.concatenate(found).reshape(len(rows), self.n_atoms, 3)


@dataclass(frozen=True, eq=False)
class Wanted:
    """Some atoms of some frames, both 0-based; None for all atoms."""

    frames: NDArray[np.int64]  # (n,), in order
    atoms: NDArray[np.int64] | None


@dataclass(frozen=True, eq=False)
class KeptFrames:
    """Frames of a trajectory of which every one was decoded once; they are read as those of the trajectory.

    Attributes:
        n_frames: Of the trajectory.
        cells: (n_frames, 6), A A A deg deg deg; None without unit cells.
        many: What is needed of many frames.
        positions: (n, n_atoms, 3), A, of `many`; a file, or in memory on the way from another process.
        few: What is needed of few frames, in memory.
    """

    n_frames: int
    cells: NDArray[np.float64] | None
    many: Wanted
    positions: Stored | NDArray[np.float32]
    few: tuple[tuple[Wanted, NDArray[np.float32]], ...] = ()

    def read(
        self, frames: FrameChoice = None, atoms: NDArray[np.integer] | None = None
    ) -> NDArray[np.float32]:
        """(n, n_selected, 3), A. Some of the frames that are kept with just these atoms."""
        numbers = np.arange(self.n_frames)[slice(None) if frames is None else frames]
        for wanted, positions in ((self.many, self.positions), *self.few):
            rows = np.searchsorted(wanted.frames, numbers)
            is_there = rows[-1] < len(wanted.frames) and np.array_equal(wanted.frames[rows], numbers)
            if is_there and _same(wanted.atoms, atoms):
                return positions[rows]
        raise AssertionError("frames or atoms that were not wanted")

    def in_memory(self) -> "KeptFrames":
        """What is needed of many frames, ready to be sent to another process."""
        return replace(self, positions=self.positions[np.arange(len(self.many.frames))], few=())

    def in_file(self, scratch: Scratch) -> "KeptFrames":
        """What came from another process, in a temporary file of this one."""
        assert isinstance(self.positions, np.ndarray)
        return replace(
            self, positions=Stored(scratch, scratch.append(self.positions), *self.positions.shape[:2])
        )


def read_once(trajectory: Trajectory, many: Wanted, few: Sequence[Wanted], scratch: Scratch) -> KeptFrames:
    """Decode every frame once, in order, and keep what is wanted.

    Args:
        trajectory: Open. Of one that was opened without a scan, frames that nobody wants are decoded too, to
            see that they are sound.
        many: Atoms, not None, that are kept of many frames.
        few: Atoms that are kept of few frames.
        scratch: Where the former go.

    Raises:
        TrajectoryError: A damaged frame.
        WriteError: The disk is full.
    """
    assert many.atoms is not None
    special = np.unique(np.concatenate([wanted.frames for wanted in few]))
    read = np.union1d(many.frames, special)
    if isinstance(trajectory, SandboxedTrajectory):
        read = np.arange(trajectory.n_frames)
    kept: list[list[NDArray[np.float32]]] = [[] for _ in few]
    start = None
    for frames in _runs(read, special, len(many.atoms)):
        is_special = frames[0] in special
        positions = trajectory.read(frames, None if is_special else many.atoms)
        if is_special:
            for wanted, own in zip(few, kept, strict=True):
                if frames[0] in wanted.frames:
                    own.append(positions if wanted.atoms is None else positions[:, wanted.atoms])
            positions = positions[:, many.atoms]
        place = scratch.append(positions[np.isin(frames, many.frames)])
        start = place if start is None else start
    assert start is not None
    stored = Stored(scratch, start, len(many.frames), len(many.atoms))
    arrays = [np.concatenate(own) for own in kept]
    return KeptFrames(
        trajectory.n_frames, trajectory.cells, many, stored, tuple(zip(few, arrays, strict=True))
    )


def _runs(frames: NDArray[np.int64], special: NDArray[np.int64], n_atoms: int) -> Iterator[NDArray[np.int64]]:
    """The frames in order, some at a time; the special ones one by one."""
    is_special = np.isin(frames, special)
    for run in np.split(frames, np.flatnonzero(is_special[1:] | is_special[:-1]) + 1):
        yield from chunks(run, n_atoms)


def _same(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    return one is other or (one is not None and other is not None and np.array_equal(one, other))
