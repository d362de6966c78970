"""A folder of results that appears whole, or stays as it was."""

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smdgen.errors import ArtifactError, WriteError
from smdgen.files import is_alive, read_json, refuse_unwritable

_PREFIX = ".smdgen-new-"


@dataclass(frozen=True)
class Results:
    """What a command leaves in its folder.

    Attributes:
        record: A JSON file that is always among them; its key "files", if there, lists all of them.
        patterns: Names of the files, with # for a number of three digits or more.
        also: Such records of other commands, which may have left files of these names there.
        otherwise: What to do where files may not be replaced, in words.
    """

    record: str
    patterns: tuple[str, ...]
    also: tuple[str, ...] = ()
    otherwise: str = "give another --output"


#: What relaxing adds to the folder of a rollout; `rollout` of earlier versions listed it in its own record.
RELAX_FILES = Results(
    "relaxed.json",
    ("relaxed_#.dcd", "relaxed.pdb", "relaxed.csv", "relaxed.json"),
    also=("rollout.json",),
    otherwise="name another rollout",
)

#: What a rollout leaves in its folder, where it makes what was relaxed out of date; nothing else is replaced.
ROLLOUT_FILES = Results("rollout.json", (
    "pull_#.dcd", "pull_#.colvars.traj", "pull_#.colvars.in", "real_#.dcd", "real_#.colvars.traj",
    "real_#.colvars.in", "centres_pull_#.dcd", "centres_real_#.dcd", "centres.pdb", "topology.pdb",
    "topology.psf", "view.vmd", "view.pml", "cv.csv", "rollout.json", *RELAX_FILES.patterns,
), also=("relaxed.json",))  # fmt: skip


def refuse_results(folder: Path, results: Results, force: bool) -> None:
    """Raise if a folder holds an earlier run's files that may not be replaced, or a user's of such names.

    Args:
        folder: Where results shall go.
        results: The files a run writes.
        force: Whether those of an earlier run may be replaced.

    Raises:
        ArtifactError: They are there, the name is taken by a file, or the folder may not be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder} is a file, expected a folder for the results; give another --output")
    refuse_unwritable(folder, results.otherwise)
    earlier, others = _earlier_and_others(folder, results)
    if others:
        raise ArtifactError(
            f"{folder} holds {others[0].name}, which no earlier run of this command wrote; "
            f"{results.otherwise}"
        )
    if earlier and not force:
        raise ArtifactError(
            f"{folder} holds {len(earlier)} files of an earlier run ({earlier[0].name}, ...); "
            f"add --force to replace them or {results.otherwise}"
        )


@contextlib.contextmanager
def whole_folder(folder: Path, results: Results, force: bool) -> Iterator[Path]:
    """A new folder to write into, whose files move to `folder` when the block ends well.

    Files of an earlier run are replaced, or removed where this run has none of the name; no others
    are ever touched. On any error `folder` stays as it was.

    Args:
        folder: Where the files go.
        results: As for `refuse_results`.
        force: Whether files of an earlier run may be replaced.

    Raises:
        ArtifactError: As `refuse_results`, or the folder cannot be written.
    """
    refuse_results(folder, results, force)
    parent = folder if folder.is_dir() else folder.absolute().parent
    new = parent / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        new.mkdir(parents=True)
        for place in {parent, folder.absolute().parent}:
            _sweep(place)
        yield new
        _move(new, folder, results)
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(f"cannot write {folder}: {reason}; give another --output") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def write_record(folder: Path, results: Results, record: Mapping[str, Any]) -> None:
    """Write the JSON file of a folder whose other files are there, with their names.

    Args:
        folder: Where the results are.
        results: Names the file.
        record: What it says besides; no dates and no paths, so that it is the same every time.
    """
    names = sorted([results.record, *(file.name for file in folder.iterdir())])
    text = json.dumps({**record, "files": names}, indent=1, sort_keys=True)
    (folder / results.record).write_text(text + "\n", encoding="utf-8")


def own_files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """The files, and no folders, whose names match one of the patterns of `Results`."""
    names = re.compile("|".join(re.escape(pattern).replace(r"\#", r"\d{3,}") for pattern in patterns))
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(file for file in files if names.fullmatch(file.name) and file.is_file())


def _earlier_and_others(folder: Path, results: Results) -> tuple[list[Path], list[Path]]:
    """Of the files of such names those that an earlier run left, none without its record, and the rest."""
    found, names = own_files(folder, results.patterns), set[str]()
    for name in (results.record, *results.also):
        record = read_json(folder / name)
        if not isinstance(record, dict):
            continue
        listed = record.get("files")
        if not isinstance(listed, list):
            return found, []
        names |= {name for name in listed if isinstance(name, str)}
    return [file for file in found if file.name in names], [file for file in found if file.name not in names]


def _move(new: Path, folder: Path, results: Results) -> None:
    """A folder that is not there appears in one step; else each file does, the record of all first."""
    if not folder.exists():
        new.replace(folder)
        return
    made = {file.name for file in new.iterdir()}
    for file in _earlier_and_others(folder, results)[0]:
        if file.name not in made:
            file.unlink()
    for name in sorted(made, key=lambda name: (name != results.record, name)):
        (new / name).replace(folder / name)


def _sweep(parent: Path) -> None:
    """Remove what killed runs left."""
    for leftover in parent.glob(f"{_PREFIX}*"):
        pid = leftover.name.removeprefix(_PREFIX).split("-")[0]
        if pid.isdecimal() and not is_alive(int(pid)):
            shutil.rmtree(leftover, ignore_errors=True)
