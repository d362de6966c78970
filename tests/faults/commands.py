"""Commands run as users run them, in processes that can be killed or denied disk space at any moment.

The processes are forked from a server that has imported everything, so that a run takes the time of its own
work only.
"""

import contextlib
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.conftest import make_pull_files

_PRELOADED = [f"smdgen.stages.{name}" for name in ("prepare", "train_vae", "train_lstm", "rollout")] + [
    "smdgen.cli.app",
    "prody",
    "openmm.app",
    "smdgen.forcefield.parametrise",
    "smdgen.view.figures",
]

#: Files that hold the time and the place of a run, so they differ between equal runs.
_DATED = ("record.json", "rollout.json")


@dataclass(frozen=True)
class Commands:
    """The pipeline on six small pulls, in a folder of its own."""

    inputs: Path
    run: Path

    def prepare(self) -> list[str]:
        """Overwrites: after a kill the dataset may be there already."""
        pulls = sorted(map(str, self.inputs.glob("*.dcd")))
        top, parameters = str(self.inputs / "system.psf"), str(self.inputs / "backbone.prm")
        return ["prepare", *pulls, "--top", top, "--params", parameters, "--force", *self._shared()]

    def train_vae(self) -> list[str]:
        """Goes on where a checkpoint is."""
        small = ["--epochs", "4", "--latent-size", "8", "--hidden-size", "24", "--batch-size", "16"]
        return ["train-vae", *small, *self._resume("vae"), *self._shared()]

    def train_lstm(self) -> list[str]:
        """Goes on where a checkpoint is."""
        small = ["--epochs", "4", "--hidden-size", "24", "--batch-size", "16"]
        return ["train-lstm", *small, *self._resume("lstm"), *self._shared()]

    def rollout(self) -> list[str]:
        """From a held-out pull."""
        return ["rollout", "--steps", "3", "--samples", "2", "--seed", "1", "--force", *self._shared()]

    def _resume(self, name: str) -> list[str]:
        return ["--resume"] if (self.run / f"{name}.checkpoint").exists() else ["--force"]

    def _shared(self) -> list[str]:
        return ["--run", str(self.run), "--quiet"]


def make_commands(folder: Path) -> Commands:
    """The inputs, and where the run folder will be."""
    inputs = folder / "in"
    inputs.mkdir(parents=True)
    make_pull_files(inputs)
    return Commands(inputs, folder / "run")


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int  # negative: the signal
    said: str  # on both streams
    seconds: float


def run_command(
    arguments: Sequence[str],
    *,
    kill_after: float | None = None,
    kill_with: signal.Signals = signal.SIGKILL,
    most_bytes: int | None = None,
) -> Outcome:
    """Run one command in a process of its own.

    Args:
        arguments: As after `smdgen`.
        kill_after: s. When to send the signal; None for never.
        kill_with: The signal.
        most_bytes: No file may grow beyond this, as on a full disk.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    reading, writing = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(list(arguments), writing, most_bytes))
    process.start()
    writing.close()
    assert reading.recv_bytes() == b"ready"
    began = time.monotonic()
    if kill_after is not None:
        time.sleep(kill_after)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid or 0, kill_with)
    said = b"".join(iter(lambda: os.read(reading.fileno(), 1 << 16), b""))
    process.join()
    assert process.exitcode is not None
    return Outcome(process.exitcode, said.decode(errors="replace"), time.monotonic() - began)


def _run(arguments: list[str], channel: Connection, most_bytes: int | None) -> None:
    from smdgen.cli.app import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    channel.send_bytes(b"ready")
    for descriptor in (1, 2):
        os.dup2(channel.fileno(), descriptor)
    channel.close()
    sys.stdout, sys.stderr = (os.fdopen(descriptor, "w", closefd=False) for descriptor in (1, 2))
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    sys.argv = ["smdgen", *arguments]
    code = main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Bytes of every file but those that hold the time, by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in _DATED)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def leftovers(folder: Path) -> list[str]:
    """Temporary files that are there."""
    return [str(path) for path in folder.rglob(".smdgen-*")]


@contextlib.contextmanager
def copied(folder: Path) -> Iterator[None]:
    """Put a folder back to what it was when the block ends."""
    copy = folder.with_name(f"{folder.name}-copy")
    shutil.copytree(folder, copy)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        copy.rename(folder)
