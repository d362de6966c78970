"""A walk over the frames of XTC and TRR files that decodes nothing, to find out where they are cut."""

import math
import struct
from pathlib import Path
from typing import BinaryIO

from smdgen.errors import TrajectoryError

_XTC_MAGIC, _XTC_LARGE_MAGIC, _TRR_MAGIC = 1995, 2023, 1993
_XTC_PLAIN_ATOMS = 9  # up to here coordinates are not packed
_MAX_ATOMS = 10**9
_NO_XDR = "write or copy it again, or cut it there with `gmx trjconv`"


def check_frames(path: Path, *, is_xtc: bool) -> tuple[int, bool]:
    """Number of frames of an XTC or TRR, each of which is whole, and whether every one has a box.

    MDTraj takes a cut file for a shorter one and says nothing; for a TRR frame without a box it gives
    whatever was in memory.

    Raises:
        TrajectoryError: A frame is cut, is no frame, or has another number of atoms.

    Source: GROMACS' xtcio.cpp, trrio.cpp and libxdrfile.cpp.
    """
    size = path.stat().st_size
    n_frames, start, n_atoms, precisions, n_boxes = 0, 0, None, set[float](), 0
    with path.open("rb") as stream:
        while start < size:
            stream.seek(start)
            try:
                length, found, has_box = _xtc_frame(stream, precisions) if is_xtc else _trr_frame(stream)
            except (struct.error, ValueError) as error:
                place = f"byte {start} of {size}"
                reason = "cut" if isinstance(error, struct.error) else f"no frame ({error})"
                raise TrajectoryError(
                    f"{path}: frame {n_frames + 1} ({place}) is {reason}; {_NO_XDR}"
                ) from error
            if start + length > size:
                raise TrajectoryError(f"{path} is cut in frame {n_frames + 1} (byte {start}); {_NO_XDR}")
            if n_atoms is not None and found != n_atoms:
                raise TrajectoryError(
                    f"{path}: frame {n_frames + 1} has {found} atoms, the first has {n_atoms}; {_NO_XDR}"
                )
            n_frames, start, n_atoms, n_boxes = n_frames + 1, start + length, found, n_boxes + has_box
    return n_frames, n_boxes == n_frames


def _xtc_frame(stream: BinaryIO, precisions: set[float]) -> tuple[int, int, bool]:
    """As `_trr_frame`; the precision of the frame joins those of the frames before."""
    magic, n_atoms = struct.unpack(">2i", stream.read(8))
    if magic not in (_XTC_MAGIC, _XTC_LARGE_MAGIC):
        raise ValueError(f"it begins with {magic}, not {_XTC_MAGIC}")
    stream.read(4 + 4 + 36)  # step, time, box
    (again,) = struct.unpack(">i", stream.read(4))
    if again != n_atoms or not 0 < n_atoms < _MAX_ATOMS:
        raise ValueError(f"it claims {n_atoms} and {again} atoms")
    head = 8 + 44 + 4
    if n_atoms <= _XTC_PLAIN_ATOMS:
        return head + 12 * n_atoms, n_atoms, True
    (precision,) = struct.unpack(">f", stream.read(4))
    precisions.add(precision)
    if not 0 < precision < math.inf or (len(precisions) > 1 and not all(map(_is_power_of_ten, precisions))):
        raise ValueError(f"its precision is {precision:g}, of all frames {sorted(precisions)}")
    stream.read(24 + 4)  # bounds, smallest index
    code, width = (">q", 8) if magic == _XTC_LARGE_MAGIC else (">i", 4)
    (packed,) = struct.unpack(code, stream.read(width))
    if not 0 < packed < 24 * n_atoms + 64:
        raise ValueError(f"it claims {packed} packed bytes for {n_atoms} atoms")
    return head + 32 + width + (packed + 3) // 4 * 4, n_atoms, True


def _is_power_of_ten(precision: float) -> bool:
    """As the precisions are that trajectories joined from several may have."""
    return abs(math.log10(precision) - round(math.log10(precision))) < 1e-6


def _trr_frame(stream: BinaryIO) -> tuple[int, int, bool]:
    """Bytes and atoms of the frame that begins here, and whether it has a box."""
    magic, name_length, letters = struct.unpack(">3i", stream.read(12))
    if magic != _TRR_MAGIC or not 0 <= letters < 100 or name_length != letters + 1:
        raise ValueError(f"it begins with {magic}, not {_TRR_MAGIC}")
    padded = (letters + 3) // 4 * 4
    stream.read(padded)
    numbers = struct.unpack(">13i", stream.read(52))
    sizes, n_atoms = numbers[:10], numbers[10]
    if min(sizes) < 0 or not 0 < n_atoms < _MAX_ATOMS:
        raise ValueError(f"it claims {n_atoms} atoms")
    if sizes[7] not in (12 * n_atoms, 24 * n_atoms):
        raise ValueError(f"it has no coordinates of {n_atoms} atoms")
    is_double = sizes[7] == 24 * n_atoms
    return 12 + padded + 52 + (16 if is_double else 8) + sum(sizes), n_atoms, sizes[2] > 0
