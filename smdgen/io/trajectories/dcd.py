"""DCD trajectories: a strict reader over a memory map, a writer with true times and reproducible bytes."""

import itertools
import math
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smdgen.arrays import AtomChoice, FrameChoice
from smdgen.errors import TrajectoryError
from smdgen.files import atomic_path
from smdgen.geometry.cell import cell_from_dcd, cell_to_dcd
from smdgen.io.trajectories.dcd_layout import DcdLayout, frame_dtype, read_layout
from smdgen.io.trajectories.opened import Opened
from smdgen.io.trajectories.times import numbered
from smdgen.units import PS_PER_AKMA

_SHORTER = "became shorter while it was read; wait for its writer and try again"
_BLOCK_BYTES = 8 << 20  # of the map that are in memory at a time
_JOIN_BYTES = 16 << 10  # gaps below it are read rather than jumped over
_FAULT_BYTES = 64 << 10  # that the system maps around a page that is touched
_CAN_ADVISE = hasattr(mmap.mmap, "madvise")  # not on Windows
_SALVAGE = "copy or write the file again, or add --salvage to keep the {kept} whole frames before it"
_VERSION = 24  # of CHARMM, which all readers know


@dataclass(frozen=True)
class SoundDcd:
    """What a look at all frames found; there is no need to look again while the file is the same."""

    file_bytes: int
    changed_ns: int
    n_frames: int  # in which every marker is right
    cells: NDArray[np.float64] | None = field(default=None, compare=False)  # as of `DcdFile`


class DcdFile(Opened):
    """An open DCD file, every record marker of which has been checked.

    Little and big endian, 32- and 64-bit markers, CHARMM and X-PLOR headers, fixed atoms, unit cells
    and a fourth dimension are read. The number of frames comes from the size of the file.

    Args:
        path: The file.
        salvage: Keep the whole frames before a damaged or cut one instead of refusing the file.
        known: What `sound` said when the file was open before.

    Raises:
        TrajectoryError: It is no DCD, or damaged and `salvage` is false.

    Source: VMD's molfile dcdplugin.c describes the dialects.
    """

    def __init__(self, path: Path, salvage: bool = False, known: SoundDcd | None = None) -> None:
        self.path = Path(path)
        self.layout: DcdLayout = read_layout(self.path)
        self.n_atoms = self.layout.n_atoms
        self.first_step = self.layout.first_step
        self.steps_per_frame = self.layout.steps_per_frame
        self._map = _open_map(self.path, self.layout.file_bytes)
        state = self.layout.file_bytes, self.path.stat().st_mtime_ns
        notes: list[str] = []
        if known is not None and state == (known.file_bytes, known.changed_ns):
            self.sound = known
        else:
            try:
                n_frames, cells, notes = self._look_through(salvage)
            except TrajectoryError:
                self.close()
                raise
            self.sound = SoundDcd(*state, n_frames, cells)
        self.n_frames = self.sound.n_frames
        self.notes: tuple[str, ...] = (*self.layout.notes, *notes, *self._time_notes())

    @property
    def dt_ps(self) -> float | None:
        """Time between two frames, ps; None if the header holds nothing meaningful."""
        timestep = self.layout.timestep_ps
        return None if timestep is None else timestep * self.steps_per_frame

    @property
    def has_times(self) -> bool:
        """Whether `times_ps` are the file's own."""
        return self.layout.timestep_ps is not None

    @property
    def times_ps(self) -> NDArray[np.float64]:
        """(n_frames,), ps. Time of every frame; its index if the header has no meaningful time."""
        frames = np.arange(self.n_frames, dtype=np.float64)
        timestep = self.layout.timestep_ps
        if timestep is None:
            return frames
        return (self.first_step + frames * self.steps_per_frame) * timestep

    @property
    def steps(self) -> NDArray[np.int64] | None:
        """(n_frames,). MD step of every frame; None if the header does not say."""
        if self.steps_per_frame < 1:
            return None
        return self.first_step + np.arange(self.n_frames, dtype=np.int64) * self.steps_per_frame

    @property
    def cells(self) -> NDArray[np.float64] | None:
        """(n_frames, 6), A A A deg deg deg. Unit cells; None without, or with dummy ones."""
        return self.sound.cells

    def read(
        self, frames: FrameChoice = None, atoms: NDArray[np.integer] | Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Coordinates of some frames and atoms.

        Args:
            frames: Frame indices, 0-based, in any order, or a slice; None for all.
            atoms: (n_selected,) 0-based; None for all.

        Returns:
            (n, n_selected, 3), A.

        Raises:
            IndexError: An index outside the file.
            TrajectoryError: The file was cut while it was open.
        """
        rows = _frame_indices(frames, self.n_frames)
        columns = _atom_indices(atoms, self.n_atoms)
        n_selected = self.n_atoms if atoms is None else len(atoms)
        out = np.empty((len(rows), n_selected, 3), dtype=np.float32)
        start = 0
        for block in self._blocks(rows, self._spans("xyz", columns)):
            target = out[start : start + len(block)]
            for axis, name in enumerate("xyz"):
                self._copy(name, block, columns, target[..., axis])
            start += len(block)
        return out

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()

    def _view(self, later: bool) -> NDArray[np.void]:
        """Frames as records: all of them, or with fixed atoms the first (full) or the later (short) ones."""
        layout, count = self.layout, self.layout.n_fitting
        if layout.free is None:
            return np.ndarray((count,), layout.frame_dtype(layout.n_atoms), self._map, layout.body_start)
        if not later:
            count = min(count, 1)
            return np.ndarray((count,), layout.frame_dtype(layout.n_atoms), self._map, layout.body_start)
        dtype = layout.frame_dtype(len(layout.free))
        return np.ndarray((max(count - 1, 0),), dtype, self._map, layout.frame_start(1))

    def _copy(self, name: str, frames: NDArray[np.int64], columns: AtomChoice, out: NDArray[Any]) -> None:
        """Fill `out` (n_block, n_selected) with one field of a block of frames."""
        if self.layout.free is None:
            _gather(self._view(False)[name], frames, columns, out)
            return
        first, later = self._view(False)[name], self._view(True)[name]
        for target, frame in zip(out, frames, strict=True):
            row = first[0] if frame == 0 or name == "cell" else first[0].copy()
            if frame > 0 and name == "cell":
                row = later[frame - 1]
            elif frame > 0:
                row[self.layout.free] = later[frame - 1]
            target[...] = row[columns]

    def _spans(self, names: Sequence[str], columns: AtomChoice) -> NDArray[np.int64]:
        """(n, 2). First and last + 1 byte in a frame of what is to be read, near ones joined."""
        layout = self.layout
        if layout.free is not None:  # two kinds of frames: take each whole
            return np.array([[0, layout.first_frame_bytes]])
        dtype = layout.frame_dtype(layout.n_atoms)
        assert dtype.fields is not None
        places = []
        for name in names:
            kind, offset = dtype.fields[name][:2]
            items = np.arange(math.prod(kind.shape))
            places.append(offset + kind.base.itemsize * (np.sort(items[columns]) if name in "xyz" else items))
        first = np.concatenate(places)
        return _joined(np.stack([first, first + 8], axis=1))

    def _blocks(self, rows: NDArray[np.int64], spans: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Parts of `rows` whose pages are asked for one part ahead and given back afterwards.

        So only what is read comes from the disk, while the part before it is worked on, and memory stays
        flat. Ahead of the last part are the frames that follow if the next rows go on in the same steps.
        """
        touched = int((spans[:, 1] - spans[:, 0] + _FAULT_BYTES).sum())
        size = max(1, _BLOCK_BYTES // max(1, touched))
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        parts.append(self._following(rows)[:size])
        if _CAN_ADVISE:
            self._fetch(parts[0], spans)
        for part, next_part in itertools.pairwise(parts):
            if self.path.stat().st_size < self.layout.file_bytes:
                raise TrajectoryError(f"{self.path} {_SHORTER}")
            if _CAN_ADVISE:
                self._fetch(next_part, spans)
            yield part
            if _CAN_ADVISE:
                self._map.madvise(mmap.MADV_DONTNEED)

    def _following(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The frames after `rows` in steps as of its last two."""
        step = int(rows[-1] - rows[-2]) if len(rows) > 1 else 0
        return np.arange(rows[-1] + step, self.layout.n_fitting, step) if step > 0 else rows[:0]

    def _fetch(self, frames: NDArray[np.int64], spans: NDArray[np.int64]) -> None:
        """Ask for pages without a wait."""
        if not len(frames):
            return
        starts = np.sort([self.layout.frame_start(frame) for frame in frames.tolist()])
        pages = (starts[:, None, None] + spans).reshape(-1, 2)
        pages[:, 0] -= pages[:, 0] % mmap.PAGESIZE
        for first, stop in _joined(pages).tolist():
            self._map.madvise(mmap.MADV_WILLNEED, first, min(stop, self.layout.file_bytes) - first)

    def _look_through(self, salvage: bool) -> tuple[int, NDArray[np.float64] | None, list[str]]:
        """Number of sound frames and their unit cells, with what was odd about it."""
        layout = self.layout
        kept, cells, notes = self._before_damage()
        excess = layout.excess_bytes if kept == layout.n_fitting else 0
        if kept and kept == layout.n_fitting and not excess:
            return kept, cells, [*_declared_note(kept, layout.declared_frames), *notes]
        found = self._describe_damage(kept, excess)
        if kept == 0:
            raise TrajectoryError(f"{found}; no frame can be read: write or copy the file again")
        if not salvage:
            raise TrajectoryError(f"{found}; {_SALVAGE.format(kept=kept)}")
        lost = max(layout.declared_frames, layout.n_fitting) - kept
        lost_words = f"at least {lost} frames lost" if lost > 0 else "an unknown number of frames lost"
        return kept, cells, [f"salvaged {kept} whole frames, {lost_words}: {found}", *notes]

    def _before_damage(self) -> tuple[int, NDArray[np.float64] | None, list[str]]:
        """How many frames there are before one with a wrong marker, their unit cells, and notes on these."""
        count, has_cell = self.layout.n_fitting, self.layout.has_cell
        if count == 0:
            return 0, None, []
        raw = np.empty((count, 6 if has_cell else 0))
        wanted = [name for name in self._view(False).dtype.names or () if "_" in name or name == "cell"]
        for block in self._blocks(np.arange(count), self._spans(wanted, slice(None))):
            if has_cell:
                self._copy("cell", block, slice(None), raw[block[0] : block[-1] + 1])
            wrong = self._wrong_markers(block)
            if wrong.any():
                count = int(block[np.argmax(wrong)])
                break
        return count, *(cell_from_dcd(raw[:count]) if has_cell and count else (None, []))

    def _wrong_markers(self, frames: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether any record marker of some neighbouring frames is wrong."""
        first, last = int(frames[0]), int(frames[-1])
        if self.layout.free is None:
            return _wrong_markers(self._view(False)[first : last + 1])
        parts = self._view(False)[first:1], self._view(True)[max(first, 1) - 1 : last]
        return np.concatenate([_wrong_markers(part) for part in parts])

    def _describe_damage(self, kept: int, excess: int) -> str:
        layout = self.layout
        start = layout.frame_start(kept)
        place = f"frame {kept + 1} (byte {start} of {layout.file_bytes})"
        if self._is_header(start):
            return f"{self.path}: another DCD begins after frame {kept}, as if files had been joined by `cat`"
        if layout.n_fitting == 0 and layout.file_bytes == layout.body_start:
            return f"{self.path} has a header but no frame"
        if excess or layout.n_fitting == 0:
            return f"{self.path} is cut inside {place}; the header declares {layout.declared_frames} frames"
        if kept == 0:
            return f"{self.path}: {self._contradiction()}"
        return f"{self.path} is damaged in {place}: a record marker is wrong"

    def _contradiction(self) -> str:
        """Why the very first frame does not fit the header."""
        layout = self.layout
        marker = struct.Struct(layout.order + {4: "i", 8: "q"}[layout.marker_bytes])
        (found,) = marker.unpack_from(self._map, layout.body_start)
        expected = 48 if layout.has_cell else 4 * layout.n_atoms
        cell = " and a unit cell" if layout.has_cell else ""
        fourth = " and a fourth dimension" if layout.has_fourth else ""
        return (
            f"the header promises {layout.n_atoms} atoms{cell}{fourth}, but the first frame does not fit "
            f"(its first record has {found} bytes, expected {expected})"
        )

    def _is_header(self, start: int) -> bool:
        width = self.layout.marker_bytes
        return bytes(self._map[start + width : start + width + 4]) in (b"CORD", b"VELD")

    def _time_notes(self) -> list[str]:
        if self.layout.timestep_ps is None:
            return [numbered("the header holds no meaningful time")]
        if self.layout.is_lammps:
            units = "fs (units real)" if self.layout.delta_unit_ps < 1 else "ps (units metal)"
            return [f"LAMMPS wrote it: its time step {self.layout.delta:.6g} is taken as {units}"]
        return []


def write_dcd(
    path: Path,
    positions: ArrayLike,
    *,
    timestep_ps: float,
    steps_per_frame: int = 1,
    first_step: int = 0,
    cells: ArrayLike | None = None,
    titles: tuple[str, str] = ("Created by smdgen", "Coordinates in A, DELTA in AKMA units"),
) -> None:
    """Write a DCD that every common reader reads right; the same input gives the same bytes.

    Args:
        path: Written whole or not at all.
        positions: (n_frames, n_atoms, 3), A.
        timestep_ps: Time of one MD step, ps.
        steps_per_frame: MD steps between two frames.
        first_step: Step of the first frame.
        cells: (n_frames, 6) or (6,), A A A deg deg deg; None for none.
        titles: Two lines of at most 80 ASCII characters.

    Raises:
        TrajectoryError: Positions of another shape, none at all, or not finite.
        ArtifactError: The file cannot be written.

    Source: VMD's molfile dcdplugin.c; CHARMM's documentation, dynamc.doc.
    """
    frames = np.asarray(positions)
    if frames.ndim != 3 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise TrajectoryError(f"cannot write {path}: positions {frames.shape}, not (frames, atoms, 3)")
    with np.errstate(over="ignore"):
        frames = frames.astype("<f4")
    if not np.isfinite(frames).all():
        bad = int(np.flatnonzero(~np.isfinite(frames).all(axis=(1, 2)))[0])
        raise TrajectoryError(f"cannot write {path}: frame {bad + 1} has coordinates that are not finite")
    n_frames, n_atoms, _ = frames.shape
    body = np.empty(n_frames, dtype=frame_dtype("<", 4, n_atoms, cells is not None))
    for axis, name in enumerate("xyz"):
        body[name] = frames[..., axis]
        body[f"before_{name}"] = body[f"after_{name}"] = 4 * n_atoms
    if cells is not None:
        body["cell"] = cell_to_dcd(np.asarray(cells, dtype=np.float64))
        body["before_cell"] = body["after_cell"] = 48
    header = _header(n_frames, first_step, steps_per_frame, timestep_ps, cells is not None)
    with atomic_path(Path(path)) as temporary, temporary.open("wb") as stream:
        for record in (header, _title_record(titles), struct.pack("<i", n_atoms)):
            marker = struct.pack("<i", len(record))
            stream.write(marker + record + marker)
        body.tofile(stream)


def _header(
    n_frames: int, first_step: int, steps_per_frame: int, timestep_ps: float, has_cell: bool
) -> bytes:
    numbers = [0] * 20
    numbers[0], numbers[1], numbers[2] = n_frames, first_step, steps_per_frame
    numbers[3] = first_step + (n_frames - 1) * steps_per_frame
    numbers[10], numbers[19] = int(has_cell), _VERSION
    packed = bytearray(b"CORD" + struct.pack("<20i", *numbers))
    struct.pack_into("<f", packed, 4 + 4 * 9, timestep_ps / PS_PER_AKMA)
    return bytes(packed)


def _title_record(titles: tuple[str, str]) -> bytes:
    """Exactly two titles: ProDy reads no other number."""
    lines = [title.encode("ascii", "replace")[:80].ljust(80) for title in titles]
    return struct.pack("<i", len(lines)) + b"".join(lines)


def _open_map(path: Path, size: int) -> mmap.mmap:
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size < size:
                raise TrajectoryError(f"{path} {_SHORTER}")
            mapped = mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise TrajectoryError(f"cannot map {path} into memory: {error}; check the disk") from error
    if _CAN_ADVISE:
        mapped.madvise(mmap.MADV_RANDOM)  # no reading ahead: `_fetch` asks for what is needed
    return mapped


def _joined(spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, 2). Stretches of bytes in order of their beginnings, those with small gaps joined."""
    breaks = np.flatnonzero(spans[1:, 0] - spans[:-1, 1] > _JOIN_BYTES)
    first = np.concatenate([spans[:1, 0], spans[breaks + 1, 0]])
    return np.stack([first, np.concatenate([spans[breaks, 1], spans[-1:, 1]])], axis=1)


def _gather(field: NDArray[Any], frames: NDArray[np.int64], columns: AtomChoice, out: NDArray[Any]) -> None:
    """Copy `field[frames][:, columns]` into `out` without a full copy of the frames."""
    if isinstance(columns, slice) or len(columns) < 1000:
        step = int(frames[1] - frames[0]) if len(frames) > 1 else 1
        is_regular = step > 0 and len(frames) > 0 and bool((np.diff(frames) == step).all())
        chosen = field[frames[0] : frames[-1] + 1 : step] if is_regular else field[frames]
        out[...] = chosen[:, columns]
        return
    for target, frame in zip(out, frames, strict=True):
        target[...] = field[frame][columns]


def _wrong_markers(view: NDArray[np.void]) -> NDArray[np.bool_]:
    """(n,) whether any record marker of a frame does not equal the length of its record."""
    wrong = np.zeros(len(view), dtype=bool)
    assert view.dtype.fields is not None
    for name, (dtype, *_) in view.dtype.fields.items():
        if not name.startswith(("before_", "after_")):
            wrong |= (view[f"before_{name}"] != dtype.itemsize) | (view[f"after_{name}"] != dtype.itemsize)
    return wrong


def _declared_note(found: int, declared: int) -> list[str]:
    if found == declared:
        return []
    return [f"the header declares {declared} frames, the file holds {found} whole ones; {found} are read"]


def _frame_indices(frames: FrameChoice, n_frames: int) -> NDArray[np.int64]:
    if frames is None or isinstance(frames, slice):
        return np.arange(n_frames)[frames if frames is not None else slice(None)]
    return _checked(frames, n_frames, "frame")


def _atom_indices(atoms: NDArray[np.integer] | Sequence[int] | None, n_atoms: int) -> AtomChoice:
    """The selection as a slice where it is contiguous (several times faster), else as indices."""
    if atoms is None:
        return slice(None)
    indices = _checked(atoms, n_atoms, "atom")
    if len(indices) and bool((np.diff(indices) == 1).all()):
        return slice(int(indices[0]), int(indices[-1]) + 1)
    return indices


def _checked(indices: NDArray[np.integer] | Sequence[int], size: int, what: str) -> NDArray[np.int64]:
    checked = np.atleast_1d(np.asarray(indices))
    if checked.dtype == bool:
        checked = np.flatnonzero(checked)
    checked = checked.astype(np.int64)
    if len(checked) and (checked.min() < -size or checked.max() >= size):
        raise IndexError(f"{what} index {checked.max()} outside 0 to {size - 1}")
    return np.where(checked < 0, checked + size, checked)
