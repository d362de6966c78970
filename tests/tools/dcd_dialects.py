"""DCD files in every dialect and kind of damage, written record by record without smdgen's writer."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PS_PER_AKMA = 4.888821e-2


def write_dialect(
    path: Path,
    frames: NDArray[np.float32],
    *,
    order: str = "<",
    marker: str = "i",
    declared: int | None = None,
    first_step: int = 0,
    every: int = 10,
    delta: float = 0.002 / PS_PER_AKMA,
    xplor: bool = False,
    cell: Sequence[float] | None = None,
    cell_flag: int | None = None,
    fourth: bool = False,
    fixed: Sequence[int] = (),
    titles: int = 2,
    title_bytes: int | None = None,
    keyword: bytes = b"CORD",
) -> Path:
    """One DCD; `cell` holds the six doubles as they shall stand in the file."""

    def record(content: bytes, claimed: int | None = None) -> bytes:
        length = struct.pack(order + marker, len(content) if claimed is None else claimed)
        return length + content + length

    n_frames, n_atoms, _ = frames.shape
    flag = int(cell is not None) if cell_flag is None else cell_flag
    counts = [n_frames if declared is None else declared, first_step, every, n_frames * every, 0, 0, 0, 0]
    head = struct.pack(order + "9i", *counts, len(fixed))
    if xplor:
        head += struct.pack(order + "d9i", delta, *[0] * 9)
    else:
        head += struct.pack(order + "f10i", delta, flag, int(fourth), *[0] * 7, 24)
    text = struct.pack(order + "i", titles) + b"".join(f"TITLE {i}".encode().ljust(80) for i in range(titles))
    content = record(keyword + head) + record(text, title_bytes) + record(struct.pack(order + "i", n_atoms))
    free = [i for i in range(n_atoms) if i not in fixed]
    if fixed:
        content += record(struct.pack(f"{order}{len(free)}i", *(i + 1 for i in free)))
    for number, frame in enumerate(frames):
        stored = frame if number == 0 or not fixed else frame[free]
        if cell is not None:
            content += record(struct.pack(order + "6d", *cell))
        for axis in range(3):
            content += record(stored[:, axis].astype(order + "f4").tobytes())
        if fourth:
            content += record(np.zeros(len(stored), order + "f4").tobytes())
    path.write_bytes(content)
    return path
