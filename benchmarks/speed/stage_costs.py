"""smdgen's commands as a user runs them: each in a process of its own, with its time and peak memory."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
RUN = "smdgen-run"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    said: str  # on stderr: progress, notes, errors


def smdgen(folder: Path, arguments: Sequence[object]) -> Ended:
    """Run a command in a folder; its table goes to stdout, what it says on the way to `<command>.log`."""
    log = folder / f"{arguments[0]}.log"
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    sys.stdout.flush()
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "smdgen", *map(str, arguments)],
            cwd=folder,
            stderr=stream,
            env={**os.environ, "PYTHONPATH": paths},
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    said = log.read_text(encoding="utf-8")
    seconds, cpu_seconds = time.monotonic() - began, usage.ru_utime + usage.ru_stime
    return Ended(process.returncode, seconds, cpu_seconds, usage.ru_maxrss / 1024, said)


def run_commands(folder: Path, *steps: tuple[str, Sequence[object]]) -> bool:
    """Run the commands whose output the run folder lacks, with time and peak memory; stop at one that fails.

    Args:
        folder: Where they run.
        steps: What each leaves in the run folder, and its arguments.

    Returns:
        Whether all of it is there.
    """
    for output, arguments in steps:
        if (folder / RUN / output).exists():
            print(f"{arguments[0]}: {output} is there already", flush=True)
            continue
        ended = smdgen(folder, arguments)
        if ended.code:
            print(ended.said.splitlines()[-1])
        used = f"{ended.seconds:.0f} s, {ended.cpu_seconds:.0f} s of computing, peak {ended.peak_mb:.0f} MB"
        print(f"{arguments[0]}: {used}", flush=True)
        if ended.code:
            return False
    return True
