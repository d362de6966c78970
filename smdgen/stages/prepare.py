"""From trajectories and a topology to the dataset: read, check, label, split by pull, store."""

import importlib.metadata
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smdgen import __version__
from smdgen.config import PrepareConfig
from smdgen.dataset.dataset import Dataset, open_dataset
from smdgen.dataset.filling import fill_dataset
from smdgen.dataset.frames import blocks_of
from smdgen.dataset.model import Model, check_model, choose_cv, make_model
from smdgen.dataset.remarks import better_cv, remarks
from smdgen.dataset.sources import (
    Source,
    check_settings,
    hash_inputs,
    inspect,
    refuse_duplicates,
    with_topology,
)
from smdgen.dataset.splits import SPLITS, Part, split_trajectories
from smdgen.files import refuse_overwrite
from smdgen.forcefield.energy import BondedEnergies, BondedEnergy
from smdgen.io.structures.structure import write_pdb, write_psf
from smdgen.notes import joined
from smdgen.progress import Progress
from smdgen.store.run_record import RunFolder, command_line
from smdgen.workers import open_workers

#: Frames whose energies are shown.
_ENERGY_FRAMES = 400

_LIBRARIES = ("h5py", "mdtraj", "numpy", "openmm", "prody", "torch", "torchmd")


@dataclass(frozen=True)
class PrepareResult:
    """What the command shows at its end."""

    dataset: Path
    n_trajectories: int
    pulls: dict[str, int]  # by split; blocks where a trajectory is split into such
    frames: dict[str, int]  # by split
    n_atoms: int
    n_topology_atoms: int
    selection: str
    cv: str  # name
    cv_unit: str
    cv_range: tuple[float, float]
    cv_ends: tuple[float, float]  # medians over trajectories of the first and the last value
    n_with_work: int  # trajectories whose work is known
    final_work: float | None  # kcal/mol, mean over those
    energies: dict[str, float]  # kcal/mol, median by kind of term
    n_terms: dict[str, int]
    terms_source: str
    notes: tuple[str, ...]

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The dataset, and its modelled atoms for viewers."""
        topologies = (self.dataset.with_name(f"topology.{kind}") for kind in ("pdb", "psf"))
        return (self.dataset, *(path for path in topologies if path.is_file()))

    @property
    def hints(self) -> tuple[str, ...]:
        """What to type next."""
        return (RunFolder(self.dataset.parent).next_command("train-vae"),)

    def summary(self) -> list[tuple[str, str]]:
        """Rows of the table."""
        unit = self.cv_unit
        counts = [f"{self.pulls[split]} {split}" for split in SPLITS]
        frames = [f"{self.frames[split]} {split}" for split in SPLITS]
        rows = [
            ("pulls", f"{self._n_pulls()}  ({', '.join(counts)})"),
            ("frames", f"{sum(self.frames.values())}  ({', '.join(frames)})"),
            ("atoms", f"{self.n_atoms} of {self.n_topology_atoms}  ({self.selection})"),
            ("CV", f"{self.cv}: {self.cv_range[0]:.2f} to {self.cv_range[1]:.2f} {unit}"),
            (
                "CV from start to end",
                f"{self.cv_ends[0]:.2f} to {self.cv_ends[1]:.2f} {unit}"
                + (f"  (median over {self.n_trajectories} pulls)" if self.n_trajectories > 1 else ""),
            ),
            ("work", self._work()),
            ("bonded terms", f"{self.terms_source}"),
        ]
        for kind, energy in self.energies.items():
            label = kind.replace("_", "-")
            rows.append((f"  {label}", f"{energy:8.1f} kcal/mol median, {self.n_terms[kind]} terms"))
        return rows

    def _n_pulls(self) -> str:
        """The trajectories, and the blocks that one or two of them are split into."""
        n_parts = sum(self.pulls.values())
        if n_parts == self.n_trajectories:
            return str(n_parts)
        return f"{self.n_trajectories}, split into {n_parts} blocks"

    def _work(self) -> str:
        if self.final_work is None:
            return "not known (no table of the pull that fits)"
        mean = f", mean of {self.n_with_work} pulls" if self.n_with_work > 1 else ""
        return f"{self.final_work:.1f} kcal/mol at the end{mean}"


def run(config: PrepareConfig, run_dir: Path, progress: Progress) -> PrepareResult:
    """Make the dataset of a run folder.

    Args:
        config: The settings.
        run_dir: The run folder; it is made if it is not there.
        progress: Told of every chunk of frames.

    Raises:
        ConfigError: A setting out of range; a selection or CV that matches nothing.
        TopologyError: No topology, more than one, or one that does not fit.
        TrajectoryError: A trajectory that is damaged, too short, or of other atoms.
        ArtifactError: The dataset exists and `force` is off, or cannot be written.
        WorkerError: A worker process was lost.
    """
    began = time.monotonic()
    folder, config = RunFolder(run_dir), _checked(config, run_dir)
    with open_workers(min(config.workers, len(config.trajectories)), config.dask) as executor:
        loaded = _load(config, progress, executor)
        labels = _save(folder, loaded, began, progress, executor)
    dataset = open_dataset(folder.dataset)
    found = [*loaded.model.notes, *(note for source in loaded.sources for note in source.notes), *labels]
    found += [*remarks(dataset), *([] if config.cv else better_cv(dataset))]
    result = describe(dataset, loaded.model, joined(found))
    for note in result.notes:
        progress.note(note)
    return result


@dataclass(frozen=True)
class _Loaded:
    """All that is known before the frames are read."""

    model: Model
    sources: tuple[Source, ...]
    parts: list[Part]
    inputs: dict[str, dict[str, Any]]
    provenance: dict[str, Any]


def _checked(config: PrepareConfig, run_dir: Path) -> PrepareConfig:
    """The settings with their topology, if they make sense and the dataset may be written."""
    config = with_topology(config)
    check_settings(config)
    refuse_overwrite(RunFolder(run_dir).dataset, config.force)
    return config


def _load(config: PrepareConfig, progress: Progress, executor: Executor | None) -> _Loaded:
    progress.start("looking at the files", total=len(config.trajectories))
    whole, selected, sources = inspect(config, progress, executor, check_model)
    parts = _split(config, sources)
    progress.start("bonded terms")
    model = make_model(config, whole, selected, sources)
    inputs = hash_inputs(config, sources, progress)
    refuse_duplicates(sources, inputs)
    return _Loaded(model, sources, parts, inputs, _provenance(config, model, sources, inputs))


def _split(config: PrepareConfig, sources: Sequence[Source]) -> list[Part]:
    names, n_frames = [source.path.stem for source in sources], [len(source.chosen) for source in sources]
    return split_trajectories(names, n_frames, config.validation_share, config.test_share, config.seed)


def _save(
    folder: RunFolder, loaded: _Loaded, began: float, progress: Progress, executor: Executor | None
) -> list[str]:
    """Write the dataset, topologies for viewers and the record; returns notes on the frames."""
    is_new = not folder.path.exists()
    try:
        with folder.lock():
            notes = fill_dataset(
                folder.dataset,
                loaded.model,
                loaded.sources,
                loaded.parts,
                loaded.provenance,
                progress,
                executor,
            )
            _write_topologies(folder, open_dataset(folder.dataset))
            hashes = {path: str(entry["sha256"]) for path, entry in loaded.inputs.items()}
            folder.record("prepare", time.monotonic() - began, hashes)
    except BaseException:
        if is_new and folder.path.is_dir() and not any(folder.path.iterdir()):
            folder.path.rmdir()
        raise
    return notes


def _write_topologies(folder: RunFolder, dataset: Dataset) -> None:
    """The modelled atoms as PDB, and as PSF where they have types: what a viewer opens dataset.h5 with."""
    write_pdb(folder.topology, dataset.structure, dataset.positions(slice(0, 1))[0])
    if dataset.structure.types is not None:
        write_psf(folder.topology.with_suffix(".psf"), dataset.structure)
    else:  # of an earlier dataset
        folder.topology.with_suffix(".psf").unlink(missing_ok=True)


def plan(config: PrepareConfig, run_dir: Path) -> list[tuple[str, str]]:
    """What `--dry-run` shows: what would be read, modelled and written; raises what `run` would."""
    config = _checked(config, run_dir)
    whole, selected, sources = inspect(config, None, check=check_model)
    cv = choose_cv(config, whole, selected, sources[0].first)
    parts = _split(config, sources)
    counts = [f"{sum(part.split == split for part in parts)} {split}" for split in SPLITS]
    return [
        ("would read", f"{len(sources)} trajectories, {sum(len(s.chosen) for s in sources)} frames"),
        ("topology", str(sources[0].topology)),
        ("would model", f"{len(selected)} of {whole.n_atoms} atoms ({config.select})"),
        ("CV", f"{cv.name} ({cv.kind}, {cv.unit})"),
        ("split", ", ".join(counts)),
        ("would write", str(RunFolder(run_dir).dataset)),
    ]


def _provenance(
    config: PrepareConfig, model: Model, sources: Sequence[Source], inputs: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    atoms = {str(source.topology): source.atoms.tolist() for source in sources}
    return {
        "command": command_line(),
        "smdgen": __version__,
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "inputs": inputs,
        "topologies": {str(source.path): str(source.topology) for source in sources},
        "atoms": atoms,  # 0-based, of the modelled atoms in each topology
        "selection": model.selection,
        "n_topology_atoms": model.n_topology_atoms,
        "stride": config.stride,
        "seed": config.seed,
        "terms": model.terms.source,
    }


def describe(dataset: Dataset, model: Model, notes: tuple[str, ...]) -> PrepareResult:
    """What there is to say about a new dataset."""
    energies, n_terms = _energies(dataset)
    ends = [own[-1].stop - 1 for own in dataset.trajectories]
    first = [dataset.cv_values[own[0].start] for own in dataset.trajectories]
    last = dataset.cv_values[ends]
    work = np.array([]) if dataset.work is None else dataset.work[ends]
    work = work[np.isfinite(work)]
    return PrepareResult(
        dataset=dataset.path,
        n_trajectories=len(dataset.trajectories),
        pulls={split: len(dataset.of_split(split)) for split in SPLITS},
        frames={split: sum(pull.n_frames for pull in dataset.of_split(split)) for split in SPLITS},
        n_atoms=dataset.structure.n_atoms,
        n_topology_atoms=model.n_topology_atoms,
        selection=model.selection,
        cv=dataset.cv.name,
        cv_unit=dataset.cv.unit,
        cv_range=(float(dataset.cv_values.min()), float(dataset.cv_values.max())),
        cv_ends=(float(np.median(first)), float(np.median(last))),
        n_with_work=len(work),
        final_work=float(work.mean()) if len(work) else None,
        energies=energies,
        n_terms=n_terms,
        terms_source=dataset.terms.source,
        notes=notes,
    )


def _energies(dataset: Dataset) -> tuple[dict[str, float], dict[str, int]]:
    """Median energy over frames of the whole dataset, and number of terms, by kind of term that there is."""
    frames = np.unique(np.linspace(0, dataset.n_frames - 1, _ENERGY_FRAMES).astype(np.int64))
    score = BondedEnergy(dataset.terms)
    found = [score.energy(x) for x in blocks_of(dataset, frames)]
    parts = [torch.cat(values) for values in zip(*found, strict=True)]
    counts = {kind: len(getattr(dataset.terms, kind)) for kind in BondedEnergies._fields}
    medians = {
        kind: float(values.median()) for kind, values in zip(counts, parts, strict=True) if counts[kind]
    }
    return medians, {kind: counts[kind] for kind in medians}
