"""The run folder: where each stage leaves its files, and the record of what was done."""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from smdgen import __version__
from smdgen.errors import ArtifactError, WriteError
from smdgen.files import atomic_path, checksum, read_json, sweep_temporaries
from smdgen.progress import Progress

#: The run folder of whoever names none.
USUAL = Path("smdgen-run")

#: Why the system refuses to write where somebody else may.
_NOT_PERMITTED = (errno.EACCES, errno.EPERM, errno.EROFS)


class RunFolder:
    """Paths of one run folder, its lock and its record."""

    def __init__(self, path: Path) -> None:
        """Name the folder; it is made by `create` or by the first stage that writes."""
        self.path = Path(path)
        self.dataset = self.path / "dataset.h5"
        self.topology = self.path / "topology.pdb"
        self.vae = self.path / "vae.safetensors"
        self.latents = self.path / "latents.h5"
        self.lstm = self.path / "lstm.safetensors"
        self.rollout = self.path / "rollout"
        self.analysis = self.path / "analysis"
        self.record_file = self.path / "record.json"

    def create(self) -> None:
        """Make the folder, and those above it.

        Raises:
            ArtifactError: The name is taken by a file, or the place may not be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise ArtifactError(
                f"{self.path} is a file, expected a run folder; give another --run"
            ) from error
        except OSError as error:
            raise WriteError(
                f"cannot make the run folder {self.path}: {error.strerror}; give another --run"
            ) from error

    def require(self, path: Path, command: str) -> Path:
        """`path` if it is there.

        Args:
            path: A file of this folder.
            command: The command that makes it, such as "prepare".

        Raises:
            ArtifactError: It is not there.
        """
        if not path.exists():
            raise ArtifactError(
                f"{path} not found; run `smdgen {command}` first, or name its run folder with --run"
            )
        return path

    def next_command(self, command: str) -> str:
        """The line to type next, with --run where this is not the usual folder.

        Args:
            command: What comes after `smdgen`, such as "train-vae".
        """
        option = "" if self.path == USUAL else f" --run {shlex.quote(str(self.path))}"
        return f"smdgen {command}{option}"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other smdgen commands from writing into this folder meanwhile; sweep what killed ones left.

        Raises:
            ArtifactError: Another command holds the lock.
        """
        self.create()
        with _flock(self.path, wait=False):
            sweep_temporaries(self.path)
            yield

    def is_locked(self) -> bool:
        """Whether a command holds the lock now."""
        try:
            with _flock(self.path, wait=False):
                return False
        except ArtifactError:
            return True
        except OSError:  # no such folder, or a file system without locks
            return False

    def record(
        self,
        command: str,
        seconds: float,
        inputs: Mapping[str, str] | Iterable[Path],
        elsewhere: Path | None = None,
    ) -> None:
        """Add one entry to record.json, with the command line of this process; a damaged one is put aside.

        Args:
            command: "prepare", "train-vae" and so on.
            seconds: s. How long it took.
            inputs: Path to checksum where they are known already, else the files, which are hashed here.
            elsewhere: Where the results are, if not in this folder; such a run is none of its steps.

        Raises:
            ArtifactError: The folder cannot be written.
        """
        hashes = dict(inputs) if isinstance(inputs, Mapping) else {str(p): checksum(p) for p in inputs}
        entry = {
            "command": command,
            "argv": command_line(),
            "version": __version__,
            "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
            "inputs": hashes,
            **({} if elsewhere is None else {"elsewhere": str(elsewhere)}),
        }
        self.create()
        guard = self.path / ".record.lock"
        guard.touch()
        with _flock(guard, wait=True):
            entries = [*self.entries(), entry]
            if len(entries) == 1 and self.record_file.exists():
                self.record_file.replace(self.record_file.with_name("record.damaged.json"))
            with atomic_path(self.record_file) as temporary:
                temporary.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")

    def record_or_note(
        self, command: str, seconds: float, inputs: Iterable[Path], output: Path, progress: Progress
    ) -> None:
        """As `record`, when results may be elsewhere: a run folder that may not be written to gets a note.

        Args:
            command: As for `record`.
            seconds: s.
            inputs: Files, hashed here.
            output: Folder of the results.
            progress: Gets the note.
        """
        own = {path.resolve() for path in (self.rollout, self.analysis)}
        try:
            self.record(command, seconds, inputs, None if output.resolve() in own else output)
        except (OSError, WriteError) as error:
            reason = error.__cause__ if isinstance(error, WriteError) else error
            if getattr(reason, "errno", None) not in _NOT_PERMITTED:
                raise
            progress.note(f"{self.path} may not be written to: its record.json lacks this run")

    def entries(self) -> list[dict[str, Any]]:
        """What record.json holds, oldest first; none if it is damaged."""
        entries = read_json(self.record_file)
        is_sound = isinstance(entries, list) and all(
            isinstance(entry, dict) and isinstance(entry.get("command"), str) for entry in entries
        )
        return entries if is_sound else []


def command_line() -> list[str]:
    """What was typed, beginning with `smdgen` however the program was started."""
    return ["smdgen", *sys.argv[1:]]


@contextlib.contextmanager
def _flock(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold an exclusive lock on a file or folder; it ends with the process, however that ends."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise ArtifactError(
                f"another smdgen command is writing to {path}; wait for it, or use another --run"
            ) from error
        yield
    finally:
        os.close(descriptor)
