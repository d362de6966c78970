"""The proteins of the benchmark: which files, which commands, which data are held out."""

import importlib.util
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Where the files of a data set are found without --files: a package that ships them.
PACKAGE = "MDAnalysisTests"

LID = "resid 122 to 159"
CORE = "(resid 1 to 29 or resid 60 to 121 or resid 160 to 214)"
LID_CORE = f"lid_core=distance(name CA and {LID}; name CA and {CORE})"
PULLED = "pulled=distance(name CA and resid 1; name CA and resid 48)"


@dataclass(frozen=True)
class DataSet:
    """A protein.

    Attributes:
        name: Of the data set.
        about: What it is, for the table.
        files: Names or patterns of its files.
        prepare: Arguments of `smdgen prepare`; patterns stand for the files they match.
        rollout: Arguments of `smdgen rollout`.
        test_trajectory: A trajectory that no command but the judge reads; None: the test pulls or blocks of
            the dataset.
        package: Whether `PACKAGE` ships the files.
        several: Whether there are several pulls, so that distributions over pulls can be compared.
    """

    name: str
    about: str
    files: tuple[str, ...]
    prepare: tuple[str, ...]
    rollout: tuple[str, ...]
    test_trajectory: str | None = None
    package: bool = False
    several: bool = False


DATA_SETS = {
    data.name: data
    for data in (
        DataSet(
            "adk",
            "adenylate kinase, 214 residues: trained on one DIMS path (98 frames), tested on the other",
            ("adk.psf", "adk_dims.dcd", "adk_dims2.dcd"),
            ("adk_dims.dcd", "--top", "adk.psf", "--cv", LID_CORE),
            ("adk_dims2.dcd", "--steps", "32", "--samples", "4", "--to", "30.4"),
            test_trajectory="adk_dims2.dcd",
            package=True,
        ),
        DataSet(
            "ubiquitin",
            "ubiquitin, 76 residues: one pull of 316 frames, CA1-CA48 20 to 170 A, middle blocks held out",
            ("1UBQ.pdb", "mon_sys.dcd"),
            ("mon_sys.dcd", "--top", "1UBQ.pdb", "--cv", PULLED),
            ("mon_sys.dcd", "--steps", "40", "--samples", "4"),
        ),
        DataSet(
            "trp-cage",
            "Trp-cage, 20 residues: 12 training, 3 validation and 5 test pulls",
            ("topology.pdb", "pull_*.dcd"),
            ("pull_*.dcd", "--top", "topology.pdb"),
            ("--steps", "10", "--samples", "8"),
            several=True,
        ),
    )
}  # fmt: skip


def copy_files(data: DataSet, folder: Path, files: Path | None) -> None:
    """The files of a data set in a run's folder of its own, as a user has them.

    Raises:
        FileNotFoundError: They are not there, or the package that ships them is not installed.
    """
    if files is None and data.package:
        found = importlib.util.find_spec(PACKAGE)
        if found is None or found.origin is None:
            raise FileNotFoundError(f'{PACKAGE} is not installed; run: pip install -e ".[realdata]"')
        files = Path(found.origin).parent / "data"
    if files is None:
        raise FileNotFoundError(f"{data.name}: name the folder of {', '.join(data.files)} with --files")
    matched = {pattern: sorted(files.glob(pattern)) for pattern in data.files}
    missing = [pattern for pattern, paths in matched.items() if not paths]
    if missing:
        raise FileNotFoundError(f"{data.name}: {files} has no {', '.join(missing)}")
    folder.mkdir(parents=True, exist_ok=True)
    for path in (path for paths in matched.values() for path in paths):
        if not (folder / path.name).exists():
            shutil.copyfile(path, folder / path.name)


def commands(data: DataSet, folder: Path, seed: int, *, quick: bool) -> list[tuple[str, Sequence[object]]]:
    """What each command leaves in the run folder, and its arguments; the seed is set by a settings file."""
    settings = folder / "seed.toml"
    settings.write_text(
        "".join(f"[{name}]\nseed = {seed}\n" for name in ("train-vae", "train-lstm", "rollout"))
    )
    own = ["--config", settings.name]
    training = [*own, "--quick"] if quick else own
    return [
        ("dataset.h5", ["prepare", *_matched(data.prepare, folder)]),
        ("vae.safetensors", ["train-vae", *training]),
        ("lstm.safetensors", ["train-lstm", *training]),
        ("rollout", ["rollout", *data.rollout, *own]),
        ("analysis", ["analyze"]),
    ]


def _matched(arguments: Sequence[str], folder: Path) -> list[str]:
    """Arguments with patterns in place of which stand the files they match."""
    found: list[str] = []
    for argument in arguments:
        names = sorted(path.name for path in folder.glob(argument)) if "*" in argument else [argument]
        found += names
    return found
