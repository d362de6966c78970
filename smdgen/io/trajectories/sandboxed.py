"""Trajectories read by other libraries in a process of its own, so that a crash there is a message here."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.arrays import FrameChoice
from smdgen.errors import TrajectoryError
from smdgen.geometry.cell import cell_of_vectors, real_cells
from smdgen.io.trajectories.opened import Opened
from smdgen.io.trajectories.times import read_timeline
from smdgen.io.trajectories.xdr import FrameHeads, read_heads

_MIN_SECONDS = 120.0  # until an answer, on a busy machine
_MIN_CPU_SECONDS = 15.0  # of computing for an answer
_BYTES_A_SECOND = 5e6  # slower than this is taken for a hang
_ANSWER_BYTES = 16 << 20  # of coordinates that are in memory at a time
_MOST_FRAMES = 4096  # asked for at a time
_CHILD = Path(__file__).with_name("sandboxed_child.py")


class SandboxedTrajectory(Opened):
    """An XTC, TRR or H5 file.

    Args:
        path: The file.
        kind: "XTC", "TRR" or "H5".
        scan: Read every frame once, to see that the file is sound. Without it that is up to `read`.

    Raises:
        TrajectoryError: The file is damaged, or the library that reads it failed, crashed or hung.
    """

    def __init__(self, path: Path, kind: str, scan: bool = True) -> None:
        self.path = path
        heads = None if kind == "H5" else read_heads(path, is_xtc=kind == "XTC")
        self._limit = _MIN_SECONDS + path.stat().st_size / _BYTES_A_SECOND
        self._cpu_limit = _MIN_CPU_SECONDS + path.stat().st_size / _BYTES_A_SECOND
        self._child = subprocess.Popen(
            [sys.executable, "-P", str(_CHILD), str(path.resolve()), str(self._cpu_limit), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._open(heads)
            if scan:
                for _ in self._blocks(np.arange(self._n_found), []):
                    pass
        except BaseException:
            self.close()
            raise

    def _open(self, heads: FrameHeads | None) -> None:
        """Everything but the coordinates: of an H5 from the process, else from the heads of the frames."""
        summary, content = self._answer()
        self._n_found: int = summary["n_frames"]
        if heads is None:
            columns = np.frombuffer(content, dtype=np.float64).reshape(self._n_found, 16)
            times, steps, vectors = columns[:, 0], None, columns[:, 7:].reshape(-1, 3, 3)
            cells = columns[:, 1:7] if np.isnan(vectors).all() else cell_of_vectors(vectors)
            self.n_atoms: int = summary["n_atoms"]
        else:
            times, steps, self.n_atoms = heads.times_ps, heads.steps, heads.n_atoms
            cells = np.zeros((len(times), 6)) if heads.boxes is None else cell_of_vectors(heads.boxes)
            if len(times) != self._n_found:
                raise self._failure(f"{len(times)} frames stand in it, {self._n_found} can be read")
        timeline = read_timeline(times)
        self._kept, self.n_frames = timeline.kept, len(timeline.kept)
        self.times_ps, self.has_times = timeline.times_ps, timeline.has_times
        self.steps: NDArray[np.int64] | None = None
        if steps is not None and (np.diff(steps[self._kept]) > 0).all():
            self.steps = steps[self._kept].astype(np.int64)
        self.cells, cell_notes = real_cells(cells[self._kept])
        self.notes: tuple[str, ...] = (*timeline.notes, *cell_notes)

    def read(
        self, frames: FrameChoice = None, atoms: NDArray[np.integer] | None = None
    ) -> NDArray[np.float32]:
        """(n, n_selected, 3), A. Some frames and atoms, 0-based; None for all.

        Raises:
            IndexError: A frame or atom outside the file.
            TrajectoryError: The library failed, crashed or hung.
        """
        rows = self._kept[slice(None) if frames is None else frames]
        columns = np.arange(self.n_atoms)[slice(None) if atoms is None else np.asarray(atoms)]
        out = np.empty((len(rows), len(columns), 3), dtype=np.float32)
        start = 0
        for block in self._blocks(rows, None if atoms is None else columns.tolist()):
            out[start : start + len(block)] = block
            start += len(block)
        return out

    def _blocks(self, rows: NDArray[np.int64], atoms: list[int] | None) -> Iterator[NDArray[np.float32]]:
        """(n, n_selected, 3), A, of rows of the file, some at a time."""
        n_selected = self.n_atoms if atoms is None else len(atoms)
        size = min(_MOST_FRAMES, max(1, _ANSWER_BYTES // (12 * max(n_selected, 1))))
        at_once = max(1, _ANSWER_BYTES // (12 * self.n_atoms))
        for start in range(0, len(rows), size):
            block = rows[start : start + size].tolist()
            self._ask({"frames": block, "atoms": atoms, "at_once": at_once})
            _, content = self._answer()
            if len(content) != 12 * len(block) * n_selected:
                raise self._failure(f"its frames are not of {self.n_atoms} atoms")
            yield np.frombuffer(content, np.float32).reshape(len(block), n_selected, 3)

    def close(self) -> None:
        """End the process."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            self._child.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def _ask(self, request: dict[str, Any]) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
        except OSError as error:
            raise self._failure("its reader ended") from error

    def _answer(self) -> tuple[dict[str, Any], bytes]:
        """Header and bytes of one answer; the process is killed when it takes too long."""
        assert self._child.stdout is not None
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self._child.kill()

        timer = threading.Timer(self._limit, expire)
        timer.daemon = True
        timer.start()
        try:
            line = self._child.stdout.readline()
            answer: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
            content = self._child.stdout.read(answer.get("n_bytes", 0)) if answer else b""
        except (ValueError, OSError) as error:
            raise self._failure("its reader answered nonsense") from error
        finally:
            timer.cancel()
        if expired.is_set():
            raise self._failure(f"its reader took longer than {self._limit:.0f} s and was stopped")
        if not answer or len(content) != answer.get("n_bytes", 0):
            self._child.wait()
            if self._child.returncode == -getattr(signal, "SIGPROF", 0):
                raise self._failure(f"its reader computed for {self._cpu_limit:.0f} s and was stopped")
            raise self._failure(f"the library that reads it crashed (status {self._child.returncode})")
        if "error" in answer:
            raise self._failure(answer["error"])
        return answer, content

    def _failure(self, reason: str) -> TrajectoryError:
        return TrajectoryError(
            f"{self.path} is damaged or of another kind ({reason}); write or copy it again"
        )
