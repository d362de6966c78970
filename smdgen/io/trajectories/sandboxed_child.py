"""The process in which MDTraj or h5py reads a trajectory for `smdgen.io.trajectories.sandboxed`.

It answers first with what it knows without the coordinates, then with coordinates for every line
`{"frames": [...], "atoms": [...], "at_once": n}` on its input, where `at_once` is how many frames may be in
memory. An answer is one line of JSON, then raw bytes.
"""

import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

_MEMORY_BYTES = 4 << 30  # of address space, of which the libraries take about 1 GB
_NM = 10.0  # A

#: A and ps in the units that HDF5 files name.
_ANGSTROM = {
    "nanometers": 10.0, "nm": 10.0, "angstroms": 1.0, "Angstrom": 1.0, "angstrom": 1.0, "A": 1.0,
    "pm": 0.01, "fm": 1e-5,
}  # fmt: skip
_PS = {
    "picoseconds": 1.0, "picosecond": 1.0, "ps": 1.0, "nanoseconds": 1e3, "ns": 1e3, "femtoseconds": 1e-3,
    "fs": 1e-3, "us": 1e6, "AKMA": 4.888821e-2,
}  # fmt: skip


class _Reader(Protocol):
    n_frames: int
    n_atoms: int  # 0 if the first frame has to tell
    table: NDArray[np.float64]  # (n_frames, 16): time ps, cell, box vectors A; NaN for what is not known

    def block(self, start: int, stop: int) -> NDArray[np.float32]:
        """(n, n_atoms, 3), A. Some frames."""


class _XdrReader:
    """XTC and TRR, in nm; who asks knows the rest from the heads of the frames."""

    n_atoms = 0
    table = np.zeros((0, 16))

    def __init__(self, path: Path) -> None:
        import mdtraj

        self._file = mdtraj.open(str(path))
        self.n_frames = len(self._file)
        self._place = 0

    def block(self, start: int, stop: int) -> NDArray[np.float32]:
        if start != self._place:
            self._file.seek(start)
        positions = np.asarray(self._file.read(n_frames=stop - start)[0], dtype=np.float32)
        if len(positions) != stop - start:
            raise ValueError(f"{stop - start} frames wanted from frame {start + 1}, {len(positions)} found")
        self._place = stop
        return positions * np.float32(_NM)


class _Hdf5Reader:
    """MDTraj's own H5 layout (nm), Amber's in NetCDF 4 (A), and H5MD with one group of particles."""

    def __init__(self, path: Path) -> None:
        import h5py

        self._file = h5py.File(path, "r")
        self._positions, self._times, self._boxes, self._scale = self._find()
        self._cells = tuple(_own(self._file, name) for name in ("cell_lengths", "cell_angles"))
        for data in (self._positions, self._times, self._boxes, *self._cells):
            if data is not None:
                _refuse_foreign_data(data)
        shape = self._positions.shape
        if len(shape) != 3 or shape[1] < 1 or shape[2] != 3:
            raise ValueError(f"it holds coordinates of shape {shape[1:]}, expected atoms and 3")
        self.n_frames, self.n_atoms = shape[:2]
        self.table = self._columns()

    def _find(self) -> tuple[Any, Any, Any, float]:
        """Positions, times and box vectors (the last two may be None), and A in their unit."""
        coordinates = _own(self._file, "coordinates")
        if coordinates is not None:
            return coordinates, _own(self._file, "time"), None, _unit_of(coordinates, _ANGSTROM, 10.0)
        particles = _own(self._file, "particles")
        groups = [_own(particles, name) for name in particles] if particles is not None else []
        positions = _own(groups[0], "position/value") if len(groups) == 1 else None
        if positions is not None:
            scale = _unit_of(positions, _ANGSTROM, 1.0)
            edges = _own(groups[0], "box/edges")  # a group if they change, else the edges themselves
            edges = _own(edges, "value") if hasattr(edges, "keys") else edges
            return positions, _own(groups[0], "position/time"), edges, scale
        raise ValueError("an H5 file with neither /coordinates (MDTraj) nor one group of /particles (H5MD)")

    def block(self, start: int, stop: int) -> NDArray[np.float32]:
        return np.asarray(self._positions[start:stop], dtype=np.float32) * np.float32(self._scale)

    def _columns(self) -> NDArray[np.float64]:
        """As `table`."""
        table = np.full((self.n_frames, 16), np.nan)
        if self._times is not None:
            unit = _unit_of(self._times, _PS, 1.0)
            if self._times.shape == (self.n_frames,):
                table[:, 0] = self._times[()] * unit
            elif self._times.shape == ():  # the time from one frame to the next
                first = float(self._times.attrs.get("offset", 0.0))
                table[:, 0] = (first + np.arange(self.n_frames) * float(self._times[()])) * unit
        lengths, angles = self._cells
        if lengths is not None and angles is not None:
            table[:, 1:4] = lengths[()] * self._scale
            table[:, 4:7] = angles[()]
        boxes = self._box_vectors()
        if boxes is not None:
            table[:, 7:] = boxes.reshape(-1, 9)
        return table

    def _box_vectors(self) -> NDArray[np.float64] | None:
        """(n or 1, 3, 3), A, of edges by frame or the same for all, as lengths or vectors; None without."""
        data = self._boxes
        if data is None:
            return None
        if data.shape in ((3,), (3, 3)):
            boxes = np.asarray(data, dtype=np.float64)[None]
        elif data.shape in ((self.n_frames, 3), (self.n_frames, 3, 3)):
            boxes = np.asarray(data, dtype=np.float64)
        else:
            return None
        boxes = boxes * _unit_of(data, _ANGSTROM, self._scale)
        return boxes if boxes.ndim == 3 else boxes[:, None] * np.eye(3)


def main(path: Path, kind: str, requests: BinaryIO, answers: BinaryIO, cpu_seconds: float) -> None:
    """Answer with numbers of frames and atoms, then with each request's coordinates, until the input ends.

    Whatever takes longer than `cpu_seconds` of computing ends the process, with SIGPROF.
    """
    try:
        _allow(cpu_seconds)
        with _plain_name(path, kind) as plain:
            reader: _Reader = _Hdf5Reader(plain) if kind == "H5" else _XdrReader(plain)
            if reader.n_frames < 1:
                raise ValueError("it holds no frame")
            _send(answers, {"n_frames": reader.n_frames, "n_atoms": reader.n_atoms}, reader.table)
            for line in requests:
                _allow(cpu_seconds)
                request = json.loads(line)
                _send(answers, {}, _read(reader, **request))
    except (Exception, SystemExit) as error:  # any failure of a library is the answer
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        _send(answers, {"error": reason}, np.zeros(0))


@contextlib.contextmanager
def _plain_name(path: Path, kind: str) -> Iterator[Path]:
    """A name for the file that MDTraj takes: it chooses by the ending and refuses letters beyond ASCII."""
    with tempfile.TemporaryDirectory(prefix="smdgen-") as folder:
        plain = Path(folder) / f"trajectory.{kind.lower()}"
        try:
            plain.symlink_to(path)
        except OSError:
            plain = path
        yield plain


def _read(reader: _Reader, frames: list[int], atoms: list[int] | None, at_once: int) -> NDArray[np.float32]:
    """(n, n_selected, 3), A; no frame may be all zeros."""
    columns: Any = slice(None) if atoms is None else np.array(atoms, dtype=np.int64)
    parts = []
    start = 0
    while start < len(frames):
        stop = start + 1
        while stop < len(frames) and frames[stop] == frames[stop - 1] + 1 and stop - start < at_once:
            stop += 1
        positions = reader.block(frames[start], frames[stop - 1] + 1)
        empty = ~positions.any(axis=(1, 2))
        if positions.shape[1] > 1 and empty.any():
            frame = frames[start + int(np.argmax(empty))] + 1
            raise ValueError(f"frame {frame} of {reader.n_frames} is all zeros, as in a file that was cut")
        parts.append(positions[:, columns])
        start = stop
    return np.ascontiguousarray(np.concatenate(parts))


def _send(answers: BinaryIO, header: dict[str, Any], content: NDArray[Any]) -> None:
    raw = np.ascontiguousarray(content).tobytes()
    answers.write(json.dumps({**header, "n_bytes": len(raw)}).encode() + b"\n")
    answers.write(raw)
    answers.flush()


def _own(group: Any, path: str) -> Any:
    """What stands at `path` in the very file, or None; links lead out of it and are refused."""
    import h5py

    for name in path.split("/"):
        link = group.get(name, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{name} is a link, perhaps to other files, which is refused")
        group = group[name]
    return group


def _unit_of(data: Any, known: dict[str, float], default: float) -> float:
    """A or ps in the unit that an HDF5 dataset names, which is the default if it names none."""
    found = data.attrs.get("units", data.attrs.get("unit"))
    if found is None:
        return default
    text = found.decode(errors="replace") if isinstance(found, bytes) else str(found)
    if text not in known:
        raise ValueError(f"it is in {text!r}, expected one of {', '.join(known)}")
    return known[text]


def _refuse_foreign_data(data: Any) -> None:
    """No data outside the file: it could name any file of the machine. No absurd sizes."""
    if data.external or data.is_virtual:
        raise ValueError("it takes data from other files, which is refused")
    if data.dtype.kind not in "fiu":
        raise ValueError(f"it holds {data.dtype} where numbers belong")
    stored = max(data.id.get_storage_size(), 1)
    if data.nbytes > 4 << 30 and data.nbytes > 1000 * stored:
        raise ValueError(f"it claims {data.nbytes} bytes of coordinates and stores {stored}")


def _allow(cpu_seconds: float) -> None:
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _limit_memory()
    # Libraries print to C's stdout, so the answers get a descriptor of their own.
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    main(Path(sys.argv[1]), sys.argv[3], sys.stdin.buffer, channel, float(sys.argv[2]))
