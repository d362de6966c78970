"""Trajectories read by other libraries in a process of its own, so that a crash there is a message here."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from smdgen.arrays import FrameChoice
from smdgen.errors import TrajectoryError
from smdgen.geometry.cell import real_cells
from smdgen.io.trajectories.times import read_timeline
from smdgen.io.trajectories.xdr import check_frames

_MIN_SECONDS = 120.0  # until an answer, on a busy machine
_MIN_CPU_SECONDS = 15.0  # of computing for an answer
_BYTES_A_SECOND = 5e6  # slower than this is taken for a hang
_ANSWER_BYTES = 16 << 20
_CHILD = Path(__file__).with_name("sandboxed_child.py")


class SandboxedTrajectory:
    """An XTC, TRR or H5 file, every frame of which has been read once.

    Args:
        path: The file.
        kind: "XTC", "TRR" or "H5".

    Raises:
        TrajectoryError: The file is damaged, or the library that reads it failed, crashed or hung.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        # H5 checks itself, and its library can be believed about cells
        declared, has_cells = (None, True) if kind == "H5" else check_frames(path, is_xtc=kind == "XTC")
        self._limit = _MIN_SECONDS + path.stat().st_size / _BYTES_A_SECOND
        self._cpu_limit = _MIN_CPU_SECONDS + path.stat().st_size / _BYTES_A_SECOND
        self._child = subprocess.Popen(
            [sys.executable, "-P", str(_CHILD), str(path.resolve()), str(self._cpu_limit), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            summary, content = self._answer()
        except BaseException:
            self.close()
            raise
        n_found: int = summary["n_frames"]
        self.n_atoms: int = summary["n_atoms"]
        if declared is not None and declared != n_found:
            self.close()
            raise self._failure(f"{declared} frames stand in it, {n_found} can be read")
        table = np.frombuffer(content, dtype=np.float64).reshape(n_found, 8)
        timeline = read_timeline(table[:, 0])
        table = table[timeline.kept]
        self._kept, self.n_frames = timeline.kept, len(table)
        self.times_ps, self.has_times = timeline.times_ps, timeline.has_times
        has_steps = np.isfinite(table[:, 1]).all() and (np.diff(table[:, 1]) > 0).all()
        self.steps: NDArray[np.int64] | None = table[:, 1].astype(np.int64) if has_steps else None
        self.cells, cell_notes = real_cells(table[:, 2:].copy()) if has_cells else (None, [])
        self.notes: tuple[str, ...] = (*summary["notes"], *timeline.notes, *cell_notes)

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
        size = max(1, _ANSWER_BYTES // (12 * max(len(columns), 1)))
        for start in range(0, len(rows), size):
            block = rows[start : start + size]
            chosen = None if len(columns) == self.n_atoms and atoms is None else columns.tolist()
            self._ask({"frames": block.tolist(), "atoms": chosen})
            _, content = self._answer()
            out[start : start + len(block)] = np.frombuffer(content, np.float32).reshape(
                len(block), len(columns), 3
            )
        return out

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

    def __enter__(self) -> Self:
        """Use as `with SandboxedTrajectory(path) as trajectory`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self.close()

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
