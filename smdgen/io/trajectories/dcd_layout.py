"""The layout of one DCD file, worked out from its header and checked against its size."""

import struct
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import TrajectoryError
from smdgen.files import refuse_packed, require_regular_file
from smdgen.units import PS_PER_AKMA

Order = Literal["<", ">"]  # little, big endian

_HEADER_BYTES = 84
_TITLE_BYTES = 80
_MAX_TITLES = 1000
_LARGEST_PS_STEP = 0.02  # a larger time step is in fs, a smaller one in ps
_NO_DCD = "expected a DCD written by NAMD, CHARMM, OpenMM, MDTraj or VMD: write or copy it again"


@dataclass(frozen=True)
class DcdLayout:
    """Where everything is in a DCD file."""

    order: Order
    marker_bytes: int  # 4 or 8
    declared_frames: int  # NSET
    first_step: int  # ISTART
    steps_per_frame: int  # NSAVC
    delta: float  # DELTA, in `delta_unit_ps`
    version: int  # 0: X-PLOR
    has_cell: bool
    has_fourth: bool
    n_atoms: int
    free: NDArray[np.int64] | None  # (n_free,) 0-based atoms that move; None: all
    body_start: int  # byte at which the first frame begins
    file_bytes: int
    titles: tuple[str, ...] = ()  # without blanks at the end
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def first_frame_bytes(self) -> int:
        """Bytes of the first frame, which holds all atoms."""
        return self.frame_dtype(self.n_atoms).itemsize

    @cached_property
    def later_frame_bytes(self) -> int:
        """Bytes of every other frame, which holds the free atoms only."""
        return self.frame_dtype(self.n_atoms if self.free is None else len(self.free)).itemsize

    def frame_dtype(self, n_stored: int) -> np.dtype[np.void]:
        """One frame with `n_stored` atoms as a numpy record, see `frame_dtype`."""
        return frame_dtype(self.order, self.marker_bytes, n_stored, self.has_cell, self.has_fourth)

    @cached_property
    def n_fitting(self) -> int:
        """Whole frames for which the file has room."""
        room = self.file_bytes - self.body_start
        if room < self.first_frame_bytes:
            return 0
        return 1 + (room - self.first_frame_bytes) // self.later_frame_bytes

    @property
    def excess_bytes(self) -> int:
        """Bytes after the last whole frame."""
        return self.file_bytes - self.frame_start(self.n_fitting)

    def frame_start(self, frame: int) -> int:
        """Byte at which a frame begins."""
        if frame == 0:
            return self.body_start
        return self.body_start + self.first_frame_bytes + (frame - 1) * self.later_frame_bytes

    @property
    def timestep_ps(self) -> float | None:
        """Time of one MD step, ps; None if the header holds nothing meaningful.

        VMD and MDTraj write DELTA 1 and NSAVC 1 whatever the time was.
        """
        if not 1e-8 < self.delta < 1e9 or self.steps_per_frame < 1:
            return None
        if self.delta == 1.0 and self.steps_per_frame == 1 and not self.is_lammps:
            return None
        return float(f"{self.delta * self.delta_unit_ps:.7g}")  # DELTA has seven digits

    @property
    def is_lammps(self) -> bool:
        """Whether LAMMPS wrote it, by the title; its DELTA is then in the unit of its run."""
        return any(title.startswith("Written by LAMMPS") for title in self.titles)

    @property
    def delta_unit_ps(self) -> float:
        """The unit of DELTA, ps: AKMA; for LAMMPS fs (units real), or ps (metal) if fs make no sense.

        Source: LAMMPS' dump_dcd.cpp, which writes `update->dt` as it is.
        """
        if not self.is_lammps:
            return PS_PER_AKMA
        return 1e-3 if self.delta > _LARGEST_PS_STEP else 1.0


def frame_dtype(
    order: str, marker_bytes: int, n_stored: int, has_cell: bool, has_fourth: bool = False
) -> np.dtype[np.void]:
    """One frame as a numpy record, markers included.

    Fields: `cell` (6 doubles, if present), `x`, `y`, `z`, `w` (if present); each with the two
    markers around it as `before_<field>` and `after_<field>`.
    """
    marker = f"{order}i{marker_bytes}"
    fields: list[tuple[str, str, tuple[int, ...]]] = []
    if has_cell:
        fields.append(("cell", f"{order}f8", (6,)))
    fields += [(axis, f"{order}f4", (n_stored,)) for axis in ("xyzw" if has_fourth else "xyz")]
    parts: list[tuple[str, str, tuple[int, ...]]] = []
    for name, kind, shape in fields:
        parts += [(f"before_{name}", marker, ()), (name, kind, shape), (f"after_{name}", marker, ())]
    return np.dtype(parts)


def read_layout(path: Path) -> DcdLayout:
    """The layout of the DCD at `path`; reads the header only.

    Raises:
        TrajectoryError: It is no DCD, or its header contradicts itself or the size of the file.
    """
    size = require_regular_file(path, "a DCD trajectory", TrajectoryError)
    try:
        refuse_packed(path, TrajectoryError)
        with Path(path).open("rb") as stream:
            head = stream.read(2 * 8 + _HEADER_BYTES)
            order, marker_bytes = _dialect(path, head)
            stream.seek(0)
            reader = _RecordReader(path, stream, order, marker_bytes, size)
            control = reader.record("header", limit=_HEADER_BYTES, exact=True)
            titles, notes = _read_titles(path, reader)
            (n_atoms,) = struct.unpack(order + "i", reader.record("atom count", limit=4, exact=True))
            return _assemble(path, control, titles, notes, n_atoms, reader)
    except OSError as error:
        raise TrajectoryError(f"cannot read {path}: {error.strerror}; check the disk") from error


class _RecordReader:
    """Fortran records one after the other, both markers of each checked."""

    def __init__(self, path: Path, stream: BinaryIO, order: Order, marker_bytes: int, size: int) -> None:
        self.path, self.stream, self.order, self.size = path, stream, order, size
        self.marker_bytes = marker_bytes
        self.marker = struct.Struct(order + {4: "i", 8: "q"}[marker_bytes])

    def record(self, what: str, limit: int, exact: bool = False) -> bytes:
        length = self._read_marker(what)
        if length < 0 or length > limit or (exact and length != limit):
            raise TrajectoryError(
                f"{self.path}: the {what} record claims {length} bytes, at most {limit} make sense; "
                f"the header is damaged, {_NO_DCD}"
            )
        content = self.stream.read(length)
        closing = self._read_marker(what)
        if closing != length:
            raise TrajectoryError(
                f"{self.path}: the {what} record opens with {length} and closes with {closing}; "
                f"the header is damaged, {_NO_DCD}"
            )
        return content

    def _read_marker(self, what: str) -> int:
        raw = self.stream.read(self.marker_bytes)
        if len(raw) < self.marker_bytes:
            raise TrajectoryError(
                f"{self.path} ends inside its header ({self.size} bytes, in the {what} record); {_NO_DCD}"
            )
        value: int = self.marker.unpack(raw)[0]
        return value


def _dialect(path: Path, head: bytes) -> tuple[Order, int]:
    orders: tuple[Order, ...] = ("<", ">")
    for order in orders:
        for code, width in (("i", 4), ("q", 8)):
            marker = struct.pack(order + code, _HEADER_BYTES)
            if head.startswith(marker) and head[width : width + 4] in (b"CORD", b"VELD"):
                if head[width : width + 4] == b"VELD":
                    raise TrajectoryError(f"{path} holds velocities, not coordinates; give the other file")
                return order, width
    start = head[:24]
    shown = start.decode("latin-1")
    is_text = bool(shown.strip()) and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start)
    found = f"text ({shown.split()[0]!r})" if is_text else f"bytes {start[:8].hex(' ')}"
    raise TrajectoryError(f"{path} is not a DCD file: it starts with {found}; {_NO_DCD}")


def _assemble(
    path: Path,
    control: bytes,
    titles: tuple[str, ...],
    title_notes: list[str],
    n_atoms: int,
    reader: _RecordReader,
) -> DcdLayout:
    order = reader.order
    numbers = struct.unpack(order + "20i", control[4:])
    version = numbers[19]
    xplor = version == 0
    (delta,) = struct.unpack_from(order + ("d" if xplor else "f"), control, 4 + 4 * 9)
    notes = [f"X-PLOR header in {path.name}"] if xplor else []
    if order == ">":
        notes.append("big-endian")
    if reader.marker_bytes == 8:
        notes.append("64-bit record markers")
    notes += title_notes
    n_fixed = numbers[8]
    if n_atoms < 1 or not 0 <= n_fixed < n_atoms:
        raise TrajectoryError(f"{path}: header says {n_atoms} atoms, {n_fixed} of them fixed; {_NO_DCD}")
    if 12 * (n_atoms - n_fixed) > reader.size:
        raise TrajectoryError(
            f"{path}: header says {n_atoms} atoms but the file has only {reader.size} bytes; {_NO_DCD}"
        )
    free = _read_free(path, reader, n_atoms, n_fixed) if n_fixed else None
    if n_fixed:
        notes.append(f"{n_fixed} fixed atoms, kept at their positions in the first frame")
    return DcdLayout(
        order=order,
        marker_bytes=reader.marker_bytes,
        declared_frames=numbers[0],
        first_step=max(numbers[1], 0),
        steps_per_frame=numbers[2],
        delta=float(delta),
        version=version,
        has_cell=not xplor and numbers[10] != 0,
        has_fourth=not xplor and numbers[11] == 1,
        n_atoms=n_atoms,
        free=free,
        body_start=reader.stream.tell(),
        file_bytes=reader.size,
        titles=titles,
        notes=tuple(notes),
    )


def _read_titles(path: Path, reader: _RecordReader) -> tuple[tuple[str, ...], list[str]]:
    """The titles, and what was odd about them.

    MDAnalysis wrote three titles between markers for two: then the number of titles counts.
    """
    start = reader.stream.tell()
    try:
        titles = reader.record("titles", limit=4 + _MAX_TITLES * _TITLE_BYTES)
        if len(titles) < 4 or (len(titles) - 4) % _TITLE_BYTES:
            raise TrajectoryError(
                f"{path}: the title record has {len(titles)} bytes, not 4 + 80 n; {_NO_DCD}"
            )
    except TrajectoryError:
        if not _skip_counted_titles(reader, start):
            raise
        return (), ["the length of the title record does not fit its number of titles"]
    (claimed,) = struct.unpack_from(reader.order + "i", titles)
    found = (len(titles) - 4) // _TITLE_BYTES
    lines = (titles[4 + _TITLE_BYTES * i :][:_TITLE_BYTES].decode("latin-1") for i in range(found))
    notes = [] if claimed == found else [f"header claims {claimed} title lines, {found} found"]
    return tuple(line.split("\0")[0].rstrip() for line in lines), notes  # VMD leaves memory behind the 0


def _skip_counted_titles(reader: _RecordReader, start: int) -> bool:
    """Whether the record at `start` holds as many titles as it counts between two equal markers."""
    stream, width = reader.stream, reader.marker_bytes
    stream.seek(start)
    opening, count = stream.read(width), stream.read(4)
    n_titles = struct.unpack(reader.order + "i", count)[0] if len(count) == 4 else -1
    if not 0 < n_titles <= _MAX_TITLES:
        return False
    stream.seek(start + width + 4 + n_titles * _TITLE_BYTES)
    return stream.read(width) == opening


def _read_free(path: Path, reader: _RecordReader, n_atoms: int, n_fixed: int) -> NDArray[np.int64]:
    n_free = n_atoms - n_fixed
    content = reader.record("free atoms", limit=4 * n_free, exact=True)
    free = np.frombuffer(content, dtype=reader.order + "i4").astype(np.int64) - 1
    if free.min() < 0 or free.max() >= n_atoms or len(np.unique(free)) != n_free:
        raise TrajectoryError(
            f"{path}: its list of free atoms names some twice or outside 1 to {n_atoms}; {_NO_DCD}"
        )
    return free
