"""A walk over the heads of the frames of XTC and TRR files, which decodes no coordinates and finds cuts."""

import math
import struct
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import TrajectoryError
from smdgen.units import ANGSTROM_PER_NM

_XTC_MAGIC, _XTC_LARGE_MAGIC, _TRR_MAGIC = 1995, 2023, 1993
_XTC_PLAIN_ATOMS = 9  # up to here coordinates are not packed
_MAX_ATOMS = 10**9
_NO_XDR = "write or copy it again, or cut it there with `gmx trjconv`"


@dataclass(frozen=True)
class FrameHeads:
    """What stands before the coordinates of every frame."""

    n_atoms: int
    times_ps: NDArray[np.float64]  # (n_frames,)
    steps: NDArray[np.float64]  # (n_frames,)
    boxes: NDArray[np.float64] | None  # (n_frames, 3, 3), A, vectors as rows; None if a frame has none


#: Bytes and atoms of a frame, its MD step, its time in ps, its box vectors in nm (none, or nine numbers).
_Head = tuple[int, int, int, float, tuple[float, ...]]


def read_heads(path: Path, *, is_xtc: bool) -> FrameHeads:
    """Times, steps and boxes of an XTC or TRR, each frame of which is whole.

    MDTraj takes a cut file for a shorter one and says nothing; for a TRR frame without a box it gives
    whatever was in memory.

    Raises:
        TrajectoryError: A frame is cut, is no frame, or has another number of atoms.

    Source: GROMACS' xtcio.cpp, trrio.cpp and libxdrfile.cpp.
    """
    size = path.stat().st_size
    start, n_atoms, precisions = 0, 0, set[float]()
    numbers, boxes, n_frames = array("d"), array("d"), 0
    with path.open("rb") as stream:
        while start < size:
            stream.seek(start)
            try:
                length, found, step, time, box = (
                    _xtc_frame(stream, precisions) if is_xtc else _trr_frame(stream)
                )
            except (struct.error, ValueError) as error:
                place = f"byte {start} of {size}"
                reason = "cut" if isinstance(error, struct.error) else f"no frame ({error})"
                raise TrajectoryError(
                    f"{path}: frame {n_frames + 1} ({place}) is {reason}; {_NO_XDR}"
                ) from error
            if start + length > size:
                raise TrajectoryError(f"{path} is cut in frame {n_frames + 1} (byte {start}); {_NO_XDR}")
            if n_frames and found != n_atoms:
                raise TrajectoryError(
                    f"{path}: frame {n_frames + 1} has {found} atoms, the first has {n_atoms}; {_NO_XDR}"
                )
            numbers.extend((time, step))
            boxes.extend(box)
            n_frames, start, n_atoms = n_frames + 1, start + length, found
    times, steps = np.array(numbers).reshape(-1, 2).T
    vectors = np.array(boxes).reshape(-1, 3, 3) * ANGSTROM_PER_NM
    return FrameHeads(n_atoms, times, steps, vectors if len(vectors) == n_frames else None)


def _xtc_frame(stream: BinaryIO, precisions: set[float]) -> _Head:
    """The frame that begins here; its precision joins those of the frames before."""
    magic, n_atoms, step, time, *box = struct.unpack(">3i10f", stream.read(52))
    if magic not in (_XTC_MAGIC, _XTC_LARGE_MAGIC):
        raise ValueError(f"it begins with {magic}, not {_XTC_MAGIC}")
    (again,) = struct.unpack(">i", stream.read(4))
    if again != n_atoms or not 0 < n_atoms < _MAX_ATOMS:
        raise ValueError(f"it claims {n_atoms} and {again} atoms")
    head = 8 + 44 + 4
    if n_atoms <= _XTC_PLAIN_ATOMS:
        return head + 12 * n_atoms, n_atoms, step, time, tuple(box)
    (precision,) = struct.unpack(">f", stream.read(4))
    precisions.add(precision)
    if not 0 < precision < math.inf or (len(precisions) > 1 and not all(map(_is_power_of_ten, precisions))):
        raise ValueError(f"its precision is {precision:g}, of all frames {sorted(precisions)}")
    stream.read(24 + 4)  # bounds, smallest index
    code, width = (">q", 8) if magic == _XTC_LARGE_MAGIC else (">i", 4)
    (packed,) = struct.unpack(code, stream.read(width))
    if not 0 < packed < 24 * n_atoms + 64:
        raise ValueError(f"it claims {packed} packed bytes for {n_atoms} atoms")
    return head + 32 + width + (packed + 3) // 4 * 4, n_atoms, step, time, tuple(box)


def _is_power_of_ten(precision: float) -> bool:
    """As the precisions are that trajectories joined from several may have."""
    return abs(math.log10(precision) - round(math.log10(precision))) < 1e-6


def _trr_frame(stream: BinaryIO) -> _Head:
    """The frame that begins here."""
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
    width, real = (8, "d") if sizes[7] == 24 * n_atoms else (4, "f")
    time, _ = struct.unpack(f">2{real}", stream.read(2 * width))
    length = 12 + padded + 52 + 2 * width + sum(sizes)
    if sizes[2] not in (0, 9 * width):
        raise ValueError(f"its box has {sizes[2]} bytes")
    stream.read(sum(sizes[:2]))
    box = struct.unpack(f">9{real}", stream.read(9 * width)) if sizes[2] else ()
    return length, n_atoms, numbers[11], time, box
