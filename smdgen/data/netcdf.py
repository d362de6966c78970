"""Amber NetCDF trajectories are looked at here before MDTraj opens them: header against size, never less."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from smdgen.errors import TrajectoryError

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8}
_NUMBERS = {3: ">h", 4: ">i", 5: ">f", 6: ">d"}
_MOST_ENTRIES = 1000
_ADVICE = "write or copy it again"

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


def check_netcdf(path: Path) -> int | None:
    """Frames of an Amber NetCDF trajectory whose size is what its header promises.

    MDTraj takes what a cut file lacks for zeros, and a wrong header for the truth.

    Returns:
        Number of frames; None if the file is in HDF5 (NetCDF 4), which checks itself.

    Raises:
        TrajectoryError: It is no NetCDF file, cut, longer than it says, or holds no coordinates in A.

    Source: the NetCDF classic format, docs.unidata.ucar.edu; the AMBER convention, ambermd.org/netcdf.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        magic = stream.read(4)
        if magic == b"\x89HDF":
            return None
        if magic not in (b"CDF\x01", b"CDF\x02"):
            raise TrajectoryError(f"{path} is no NetCDF file: it begins with {magic!r}; {_ADVICE}")
        try:
            n_frames, lengths, variables = _read_header(stream, long_offsets=magic == b"CDF\x02")
        except (ValueError, struct.error, UnicodeDecodeError) as error:
            raise TrajectoryError(f"{path}: the NetCDF header is damaged ({error}); {_ADVICE}") from error
        header_end = stream.tell()
    reason = _contradiction(n_frames, lengths, variables, header_end, size)
    if reason:
        raise TrajectoryError(f"{path}: {reason}; {_ADVICE}")
    return n_frames


def _contradiction(
    n_frames: int, lengths: list[int], variables: list[_Variable], header_end: int, size: int
) -> str:
    """What the header says that cannot be; empty if all fits."""
    by_name = {variable.name: variable for variable in variables}
    if "coordinates" not in by_name:
        return "it holds no variable named coordinates"
    coordinates = by_name["coordinates"]
    shape = [lengths[dimension] for dimension in coordinates.dimensions]
    if len(shape) != 3 or shape[0] != 0 or shape[2] != 3 or shape[1] < 1:
        return f"its coordinates have dimensions {shape}, expected frames, atoms and 3"
    odd = next(filter(None, map(_odd_numbers, variables)), "")
    if odd:
        return odd
    place = header_end
    records = sorted(
        (variable for variable in variables if _is_record(variable, lengths)), key=lambda v: v.begin
    )
    fixed = sorted(
        (variable for variable in variables if not _is_record(variable, lengths)), key=lambda v: v.begin
    )
    for variable in (*fixed, *records):
        if not place <= variable.begin <= place + 3 + 8192 * (place == header_end):
            return f"variable {variable.name!r} begins at byte {variable.begin}, expected {place}"
        place = variable.begin + _padded(_bytes_of(variable, lengths))
    start = records[0].begin
    frame_bytes = place - start
    expected = start + n_frames * frame_bytes
    if n_frames < 1:
        return "it holds no frame"
    if not expected - 3 <= size <= expected:
        found = (size - start) / frame_bytes
        return f"it declares {n_frames} frames and has room for {found:.2f}"
    return ""


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
    if lengths.count(0) != 1 or min(lengths) < 0:
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
