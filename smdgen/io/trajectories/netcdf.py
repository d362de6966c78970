"""Amber NetCDF trajectories and restarts: a strict reader, which compares the header with the size."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from smdgen.arrays import FrameChoice
from smdgen.errors import TrajectoryError
from smdgen.geometry.cell import real_cells
from smdgen.io.trajectories.opened import Opened
from smdgen.io.trajectories.times import read_timeline

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8}
_NUMBERS = {3: ">h", 4: ">i", 5: ">f", 6: ">d"}
_MOST_ENTRIES = 1000
_NO_CDF = "write or copy it again"

#: Units of the variables that are read; empty where a file may leave them out.
_UNITS = {
    "coordinates": ("angstroms", "angstrom"),
    "time": ("", "ps", "picoseconds", "picosecond"),
    "cell_lengths": ("", "angstroms", "angstrom"),
    "cell_angles": ("", "degrees", "degree"),
}


@dataclass(frozen=True)
class _Variable:
    name: str
    dimensions: tuple[int, ...]
    units: str
    scale: float
    kind: int
    begin: int


@dataclass(frozen=True)
class _Layout:
    """Where everything is in an Amber NetCDF file."""

    n_frames: int
    n_atoms: int
    frame_bytes: int  # from a frame to the next
    variables: dict[str, _Variable]
    notes: tuple[str, ...]


class NetcdfTrajectory(Opened):
    """An open Amber NetCDF trajectory or restart (one frame), whose size is what its header promises.

    Args:
        path: The file.
        salvage: Keep the whole frames of a cut file instead of refusing it.

    Raises:
        TrajectoryError: It is no NetCDF file, cut, longer than it says, or holds no coordinates in A.

    Source: the NetCDF classic format, docs.unidata.ucar.edu; the AMBER convention, ambermd.org/netcdf.
    """

    def __init__(self, path: Path, salvage: bool = False) -> None:
        self.path = path
        self._layout = _read_layout(path, salvage)
        self._file = path.open("rb", buffering=0)
        try:
            timeline = read_timeline(self._column("time")[:, 0])
            cells = np.concatenate([self._column("cell_lengths", 3), self._column("cell_angles", 3)], axis=1)
        except TrajectoryError:
            self.close()
            raise
        self._kept, self.times_ps, self.has_times = timeline.kept, timeline.times_ps, timeline.has_times
        self.n_frames, self.n_atoms = len(timeline.kept), self._layout.n_atoms
        self.steps: NDArray[np.int64] | None = None
        self.cells, cell_notes = real_cells(cells[timeline.kept])
        self.notes: tuple[str, ...] = (*self._layout.notes, *timeline.notes, *cell_notes)

    def read(
        self, frames: FrameChoice = None, atoms: NDArray[np.integer] | None = None
    ) -> NDArray[np.float32]:
        """(n, n_selected, 3), A. Some frames and atoms, 0-based; None for all.

        Raises:
            IndexError: A frame or atom outside the file.
            TrajectoryError: The file was cut while it was open.
        """
        rows = self._kept[slice(None) if frames is None else frames]
        columns = np.arange(self.n_atoms)[slice(None) if atoms is None else np.asarray(atoms)]
        out = np.empty((len(rows), len(columns), 3), dtype=np.float32)
        for target, row in zip(out, rows.tolist(), strict=True):
            target[...] = self._values("coordinates", row, 3 * self.n_atoms).reshape(-1, 3)[columns]
        return out

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _column(self, name: str, width: int = 1) -> NDArray[np.float64]:
        """(n_frames, width). A small variable of every frame; NaN if it is not there."""
        out = np.full((self._layout.n_frames, width), np.nan)
        if name in self._layout.variables:
            for row, target in enumerate(out):
                target[...] = self._values(name, row, width)
        return out

    def _values(self, name: str, row: int, count: int) -> NDArray[np.floating]:
        """(count,). A variable of one frame."""
        variable = self._layout.variables[name]
        self._file.seek(variable.begin + row * self._layout.frame_bytes)
        content = self._file.read(count * _TYPE_BYTES[variable.kind])
        if len(content) < count * _TYPE_BYTES[variable.kind]:
            raise TrajectoryError(f"{self.path} became shorter while it was read; {_NO_CDF}")
        return np.frombuffer(content, _NUMBERS[variable.kind])


def _read_layout(path: Path, salvage: bool) -> _Layout:
    size = path.stat().st_size
    with path.open("rb") as stream:
        magic = stream.read(4)
        if magic not in (b"CDF\x01", b"CDF\x02"):
            raise TrajectoryError(f"{path} is not a NetCDF file: it begins with {magic!r}; {_NO_CDF}")
        try:
            declared, lengths, variables = _read_header(stream, long_offsets=magic == b"CDF\x02")
        except (ValueError, struct.error, UnicodeDecodeError) as error:
            raise TrajectoryError(f"{path}: the NetCDF header is damaged ({error}); {_NO_CDF}") from error
        header_end = stream.tell()
    try:
        is_restart, n_atoms = _check_variables(lengths, variables)
        start, frame_bytes, padding = _find_frames(lengths, variables, header_end)
    except ValueError as error:
        raise TrajectoryError(f"{path}: {error}; {_NO_CDF}") from error
    body_bytes, missing = size - start, (start - size) % frame_bytes
    if missing <= padding:  # which some writers leave out at the end of the file
        body_bytes += missing
    n_frames, notes = _count_frames(path, 1 if is_restart else declared, body_bytes, frame_bytes, salvage)
    return _Layout(n_frames, n_atoms, frame_bytes, {v.name: v for v in variables}, notes)


def _check_variables(lengths: list[int], variables: list[_Variable]) -> tuple[bool, int]:
    """Whether it is a restart, which has no frames, and the number of atoms.

    Raises:
        ValueError: Coordinates are missing, or a variable that is read has another shape, type or unit.
    """
    shapes = {v.name: [lengths[dimension] for dimension in v.dimensions] for v in variables}
    if "coordinates" not in shapes:
        raise ValueError("it holds no variable named coordinates")
    shape = shapes["coordinates"]
    frames = [0] if len(shape) == 3 else []  # the length of the frames stands as 0
    if shape != [*frames, *shape[-2:]] or shape[-1:] != [3] or shape[-2] < 1:
        raise ValueError(f"its coordinates have dimensions {shape}, expected frames, atoms and 3")
    for name, rest in (("time", []), ("cell_lengths", [3]), ("cell_angles", [3])):
        if [length for length in shapes.get(name, [*frames, *rest]) if length != 1] != [*frames, *rest]:
            raise ValueError(f"its {name} has dimensions {shapes[name]}, expected {[*frames, *rest]}")
    odd = next(filter(None, map(_odd_numbers, variables)), "")
    if odd:
        raise ValueError(odd)
    return not frames, shape[-2]


def _find_frames(lengths: list[int], variables: list[_Variable], header_end: int) -> tuple[int, int, int]:
    """Byte at which the frames begin, bytes of each, and bytes that fill up its last variable.

    A restart is one frame, and all that is in it belongs to that.

    Raises:
        ValueError: A variable begins elsewhere than where the one before ends.
    """
    place = header_end
    fixed, records = ([v for v in variables if _is_record(v, lengths) is wanted] for wanted in (False, True))
    fixed, records = (sorted(found, key=lambda v: v.begin) for found in (fixed, records))
    for variable in (*fixed, *records):
        if not place <= variable.begin <= place + 3 + 8192 * (place == header_end):
            raise ValueError(f"variable {variable.name!r} begins at byte {variable.begin}, expected {place}")
        place = variable.begin + _padded(_bytes_of(variable, lengths))
    start, last = (records or fixed)[0].begin, _bytes_of(variable, lengths)
    return start, place - start, _padded(last) - last


def _count_frames(
    path: Path, declared: int, body_bytes: int, frame_bytes: int, salvage: bool
) -> tuple[int, tuple[str, ...]]:
    """Frames that are read, and notes; a writer that crashed may have declared none."""
    found = body_bytes // frame_bytes
    is_whole = body_bytes == found * frame_bytes
    if is_whole and declared == found > 0:
        return found, ()
    if is_whole and declared == 0 < found:
        return found, (f"the header declares 0 frames, the file holds {found} whole ones; {found} are read",)
    kept = found if declared < 1 else min(declared, found)
    reason = f"it declares {declared} frames and has room for {body_bytes / frame_bytes:.2f}"
    if not salvage or kept == 0:
        hint = f", or add --salvage to keep {kept} whole frames" if kept else ""
        raise TrajectoryError(f"{path}: {reason}; {_NO_CDF}{hint}")
    return kept, (f"salvaged {kept} whole frames: {reason}",)


def _odd_numbers(variable: _Variable) -> str:
    """What is wrong with the type, scale or unit of a variable that is read; empty if nothing is."""
    units = _UNITS.get(variable.name)
    if units is None:
        return ""
    if variable.kind not in (5, 6) or variable.scale != 1:
        return f"its {variable.name} has type {variable.kind}, scale {variable.scale:g}; expected 5 or 6, 1"
    if variable.units.lower() not in units:
        return f"its {variable.name} is in {variable.units!r}, expected {units[-1]}"
    return ""


def _is_record(variable: _Variable, lengths: list[int]) -> bool:
    return bool(variable.dimensions) and lengths[variable.dimensions[0]] == 0


def _bytes_of(variable: _Variable, lengths: list[int]) -> int:
    total = _TYPE_BYTES[variable.kind]
    for dimension in variable.dimensions:
        total *= lengths[dimension] or 1
    return total


def _padded(n_bytes: int) -> int:
    return (n_bytes + 3) // 4 * 4


def _read_header(stream: BinaryIO, *, long_offsets: bool) -> tuple[int, list[int], list[_Variable]]:
    """Number of records, length of each dimension (0 for the frames), and the variables."""
    n_records = _integer(stream)
    lengths = []
    for _ in range(_count(stream, 10)):
        _name(stream)
        lengths.append(_integer(stream))
    if lengths.count(0) > 1 or min(lengths, default=0) < 0:
        raise ValueError(f"dimensions {lengths}")
    _attributes(stream)
    variables = []
    for _ in range(_count(stream, 11)):
        name = _name(stream)
        dimensions = tuple(_integer(stream) for _ in range(_limited(_integer(stream), 8)))
        if any(not 0 <= dimension < len(lengths) for dimension in dimensions):
            raise ValueError(f"variable {name!r} has no such dimension")
        attributes = _attributes(stream)
        kind = _integer(stream)
        _integer(stream)  # its size, which follows from the dimensions
        (begin,) = struct.unpack(">q" if long_offsets else ">i", stream.read(8 if long_offsets else 4))
        if kind not in _TYPE_BYTES:
            raise ValueError(f"variable {name!r} is of type {kind}")
        units, scale = attributes.get("units", ""), float(attributes.get("scale_factor", "1"))
        variables.append(_Variable(name, dimensions, units, scale, kind, begin))
    return n_records, lengths, variables


def _attributes(stream: BinaryIO) -> dict[str, str]:
    """Texts by name, and the first of the numbers as a text."""
    found = {}
    for _ in range(_count(stream, 12)):
        name, kind, n_values = _name(stream), _integer(stream), _limited(_integer(stream), 1 << 16)
        if kind not in _TYPE_BYTES:
            raise ValueError(f"attribute {name!r} is of type {kind}")
        content = stream.read(_padded(n_values * _TYPE_BYTES[kind]))
        if kind == 2:
            found[name] = content[:n_values].decode("latin-1").rstrip("\0")
        elif n_values and kind in _NUMBERS:
            found[name] = str(struct.unpack_from(_NUMBERS[kind], content)[0])
    return found


def _count(stream: BinaryIO, expected_tag: int) -> int:
    tag, count = _integer(stream), _integer(stream)
    if tag not in (0, expected_tag) or (tag == 0 and count):
        raise ValueError(f"list {tag} where {expected_tag} belongs")
    return _limited(count, _MOST_ENTRIES)


def _name(stream: BinaryIO) -> str:
    length = _limited(_integer(stream), 256)
    return stream.read(_padded(length))[:length].decode("ascii")


def _integer(stream: BinaryIO) -> int:
    value: int = struct.unpack(">i", stream.read(4))[0]
    return value


def _limited(value: int, most: int) -> int:
    if not 0 <= value <= most:
        raise ValueError(f"{value} where 0 to {most} makes sense")
    return value
