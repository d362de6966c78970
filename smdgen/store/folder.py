"""A folder of results that appears whole, or stays as it was."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from smdgen.errors import ArtifactError, WriteError

#: What `smdgen simulate` keeps beside its pulls: the settings they were made with.
PROTOCOL_FILE = "protocol.json"

_PREFIX = ".smdgen-new-"


def refuse_results(folder: Path, patterns: Iterable[str], force: bool) -> None:
    """Raise if a folder holds files of an earlier run and these may not be replaced.

    Args:
        folder: Where results shall go.
        patterns: Names of the files a run writes, with * for what may differ.
        force: Whether they may be replaced.

    Raises:
        ArtifactError: They are there and `force` is false, or the name is taken by a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder} is a file, expected a folder for the results; give another --output")
    found = own_files(folder, patterns)
    if found and not force:
        raise ArtifactError(
            f"{folder} holds {len(found)} files of an earlier run ({found[0].name}, ...); "
            "add --force to replace them or give another --output"
        )


def refuse_simulated(folder: Path) -> None:
    """Raise if a folder is one of `smdgen simulate`, whose pulls no other command may replace.

    Raises:
        ArtifactError: It is.
    """
    if (folder / PROTOCOL_FILE).exists():
        raise ArtifactError(f"{folder} holds pulls of `smdgen simulate`; give another --output")


@contextlib.contextmanager
def whole_folder(folder: Path, patterns: Sequence[str], force: bool) -> Iterator[Path]:
    """A new folder to write into, whose files move to `folder` when the block ends well.

    Files of an earlier run are replaced, or removed where this run has none of the name; files
    that match no pattern are never touched. On any error `folder` stays as it was.

    Args:
        folder: Where the files go.
        patterns: As for `refuse_results`.
        force: Whether files of an earlier run may be replaced.

    Raises:
        ArtifactError: As `refuse_results`, or the folder cannot be written.
    """
    refuse_results(folder, patterns, force)
    parent = folder.absolute().parent
    new = parent / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        new.mkdir(parents=True)
        _sweep(parent)
        yield new
        _move(new, folder, patterns)
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(f"cannot write {folder}: {reason}; give another --output") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def own_files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """The files, and no folders, whose names match one of the patterns."""
    return sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})


def _move(new: Path, folder: Path, patterns: Sequence[str]) -> None:
    """A folder that is not there appears in one step; else each file does."""
    if not folder.exists():
        new.replace(folder)
        return
    made = {file.name for file in new.iterdir()}
    for file in own_files(folder, patterns):
        if file.name not in made:
            file.unlink()
    for name in sorted(made):
        (new / name).replace(folder / name)


def _sweep(parent: Path) -> None:
    """Remove what killed runs left."""
    for leftover in parent.glob(f"{_PREFIX}*"):
        pid = leftover.name.removeprefix(_PREFIX).split("-")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(leftover, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
