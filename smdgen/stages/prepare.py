"""From trajectories and a topology to the dataset: read, check, label, split by pull, store."""

import importlib.metadata
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from smdgen import __version__
from smdgen.config import PrepareConfig
from smdgen.dataset.dataset import Dataset, DatasetWriter, Pull, create_dataset, open_dataset
from smdgen.dataset.splits import MINIMUM_PULLS, SPLITS, Split, split_blocks, split_pulls
from smdgen.errors import ConfigError, TrajectoryError
from smdgen.files import refuse_overwrite, require_regular_file
from smdgen.forcefield.bonded_terms import Terms
from smdgen.forcefield.system import file_kind, require_forcefield
from smdgen.geometry import cvs
from smdgen.geometry.cvs import CollectiveVariable
from smdgen.geometry.lattice import box_shares
from smdgen.geometry.periodic import make_whole, plan_wholeness
from smdgen.io.structures.coordinate_checks import (
    Warnings,
    check_coordinates,
    join,
    messages,
    validate_coordinates,
)
from smdgen.io.structures.molecules import molecules_of
from smdgen.io.structures.selection import selection_notes
from smdgen.io.structures.selection_language import parse
from smdgen.io.structures.structure import ONLY_STRUCTURE_SUFFIXES, Structure, subset, write_pdb, write_psf
from smdgen.io.tables.pull_labels import LabelledFrames, PullLabels, read_labels
from smdgen.io.trajectories.images import follow, image_notes, joint_notes, offsets_of
from smdgen.io.trajectories.trajectory import Trajectory, open_trajectory
from smdgen.notes import Note
from smdgen.progress import Progress
from smdgen.stages._prepare_report import PrepareResult, make_result
from smdgen.stages._prepare_sources import Source, check_model, choose_cv, hash_inputs, look, refuse_twins
from smdgen.stages._prepare_terms import terms_of
from smdgen.store.run_record import RunFolder, command_line
from smdgen.workers import in_order, open_workers

#: Bytes of coordinates that are in memory at a time.
_CHUNK_BYTES = 1 << 20

#: Chunks of a DCD that another process reads at once; of other formats it reads the whole file.
_CHUNKS_A_TASK = 16

#: Frames from which geometry-only terms are measured, if it comes to that.
_TERM_FRAMES = 20

_LIBRARIES = ("h5py", "mdtraj", "numpy", "openmm", "prody", "torch", "torchmd")


@dataclass(frozen=True)
class _Model:
    """The modelled atoms."""

    structure: Structure
    terms: Terms
    cv: CollectiveVariable
    selection: str
    n_topology_atoms: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """A run of kept frames of one trajectory, which becomes a pull of the dataset."""

    source: int
    first: int  # into the source's kept frames
    stop: int
    split: Split
    name: str


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
    folder = RunFolder(run_dir)
    config = _with_topology(config)
    _check(config)
    refuse_overwrite(folder.dataset, config.force)
    with open_workers(min(config.workers, len(config.trajectories)), config.dask) as executor:
        return _run(config, folder, progress, executor, began)


def _run(
    config: PrepareConfig, folder: RunFolder, progress: Progress, executor: Executor | None, began: float
) -> PrepareResult:
    progress.start("looking at the files", total=len(config.trajectories))
    whole, selected, sources = look(config, progress, executor, check_model)
    parts = _split(config, sources)
    progress.start("bonded terms")
    model = _model(config, whole, selected, sources)
    inputs = hash_inputs(config, sources, progress)
    refuse_twins(sources, inputs)
    provenance = _provenance(config, model, sources, inputs)
    is_new = not folder.path.exists()
    try:
        with folder.lock():
            labels = _write(folder.dataset, model, sources, parts, provenance, progress, executor)
            dataset = open_dataset(folder.dataset)
            _write_topologies(folder, dataset)
            hashes = {path: str(entry["sha256"]) for path, entry in inputs.items()}
            folder.record("prepare", time.monotonic() - began, hashes)
    except BaseException:
        if is_new and folder.path.is_dir() and not any(folder.path.iterdir()):
            folder.path.rmdir()
        raise
    notes = (*model.notes, *(note for source in sources for note in source.notes), *labels)
    result = make_result(
        dataset, model.selection, model.n_topology_atoms, len(sources), notes, default_cv=not config.cv
    )
    for note in result.notes:
        progress.note(note)
    return result


def _write_topologies(folder: RunFolder, dataset: Dataset) -> None:
    """The modelled atoms as PDB, and as PSF where they have types: what a viewer opens dataset.h5 with."""
    write_pdb(folder.topology, dataset.structure, dataset.positions(slice(0, 1))[0])
    if dataset.structure.types is not None:
        write_psf(folder.topology.with_suffix(".psf"), dataset.structure)


def plan(config: PrepareConfig, run_dir: Path) -> list[tuple[str, str]]:
    """What `--dry-run` shows: what would be read, modelled and written; raises what `run` would."""
    config = _with_topology(config)
    _check(config)
    refuse_overwrite(RunFolder(run_dir).dataset, config.force)
    whole, selected, sources = look(config, None, check=check_model)
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


# --- looking ---------------------------------------------------------------------------------------------


def _with_topology(config: PrepareConfig) -> PrepareConfig:
    """A structure among the trajectories, as `vmd system.psf pull.dcd` has it, is the topology.

    Raises:
        ConfigError: It is not the only one, or a topology was named too.
    """
    found = [path for path in config.trajectories if path.suffix.lower() in ONLY_STRUCTURE_SUFFIXES]
    if not found:
        return config
    others = tuple(path for path in config.trajectories if path not in found)
    if config.topology is not None or len(found) > 1 or not others:
        named = config.topology or (found[1] if len(found) > 1 else "no trajectory")
        raise ConfigError(
            f"{found[0]} is a structure, expected a trajectory (found {named} too); name one topology with "
            "--top and trajectories without a flag"
        )
    return replace(config, trajectories=others, topology=found[0])


def _check(config: PrepareConfig) -> None:
    if not config.trajectories:
        raise ConfigError("found no trajectory, expected at least one; name a DCD")
    if config.stride < 1:
        raise ConfigError(f"--stride {config.stride}: expected 1 or more")
    for path in config.parameters:
        require_regular_file(path, "a parameter file", ConfigError)
    require_forcefield(config.forcefield)
    for selection in (config.select, *(cvs.selections(config.cv) if config.cv else ())):
        parse(selection)
    named = [os.path.realpath(path) for path in config.trajectories]
    for path in config.trajectories:
        if named.count(os.path.realpath(path)) > 1:
            raise ConfigError(f"{path} is named twice; name every trajectory once")


def _model(
    config: PrepareConfig, whole: Structure, selected: NDArray[np.int64], sources: Sequence[Source]
) -> _Model:
    structure = replace(subset(whole, selected), notes=())
    cv = choose_cv(config, whole, selected, sources[0].first)
    atoms = _atoms_of_force_field(config, whole, selected)
    places = np.searchsorted(atoms, selected)
    frames = _sample(sources[0], whole, atoms)
    check_coordinates(frames[:, places], structure)
    terms, notes = terms_of(config, whole, atoms, selected, frames)
    notes = (*whole.notes, *_selection_notes(config, whole), *notes)
    return _Model(structure, terms, cv, config.select, whole.n_atoms, notes)


def _selection_notes(config: PrepareConfig, whole: Structure) -> list[str]:
    """Values in selections that no atom has."""
    texts = [config.select, *(cvs.selections(config.cv) if config.cv else [])]
    return [note for text in texts for note in selection_notes(whole, text)]


def _atoms_of_force_field(
    config: PrepareConfig, whole: Structure, selected: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The molecules that are modelled in part; all, where the user's file describes all."""
    is_complete = file_kind(whole) == "prmtop" or any(p.suffix.lower() == ".xml" for p in config.parameters)
    return np.arange(whole.n_atoms) if is_complete else molecules_of(whole, selected)


def _sample(source: Source, whole: Structure, atoms: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n_frames, n, 3), A. Some frames of some whole molecules, each in one piece."""
    chosen = np.unique(np.linspace(0, source.n_frames - 1, _TERM_FRAMES).astype(np.int64))
    wholeness = plan_wholeness(len(atoms), subset(whole, atoms).bonds)
    with open_trajectory(source.path, whole.n_atoms, source.salvage, source.sound) as trajectory:
        cells = None if trajectory.cells is None else trajectory.cells[chosen]
        return make_whole(trajectory.read(chosen, atoms), wholeness, cells)[0]


def _split(config: PrepareConfig, sources: Sequence[Source]) -> list[_Part]:
    names = _names([source.path for source in sources])
    shares = config.validation_share, config.test_share
    if len(sources) >= MINIMUM_PULLS:
        splits = split_pulls(len(sources), *shares, config.seed)
        return [_Part(i, 0, len(s.chosen), splits[i], names[i]) for i, s in enumerate(sources)]
    return [
        _Part(i, first, stop, split, f"{names[i]}_block{number}")
        for i, source in enumerate(sources)
        for number, (first, stop, split) in enumerate(split_blocks(len(source.chosen), *shares), start=1)
    ]


def _names(paths: Sequence[Path]) -> list[str]:
    """File stems, numbered where several are alike."""
    stems = [path.stem for path in paths]
    seen: dict[str, int] = {}
    names = []
    for stem in stems:
        seen[stem] = seen.get(stem, 0) + 1
        names.append(stem if stems.count(stem) == 1 else f"{stem}_{seen[stem]}")
    return names


# --- where it came from ------------------------------------------------------------------------------------


def _provenance(
    config: PrepareConfig, model: _Model, sources: Sequence[Source], inputs: dict[str, dict[str, Any]]
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


# --- reading and writing -----------------------------------------------------------------------------------


@dataclass
class _Columns:
    """Per-frame values, in the order of the store."""

    times_ps: list[NDArray[np.float64]]
    cv_values: list[NDArray[np.float64]]
    centre: list[NDArray[np.float64]]
    work: list[NDArray[np.float64]]


def _write(
    path: Path,
    model: _Model,
    sources: Sequence[Source],
    parts: Sequence[_Part],
    provenance: dict[str, Any],
    progress: Progress,
    executor: Executor | None,
) -> list[str]:
    """Read every kept frame once and store it; returns what was odd."""
    n_frames = sum(part.stop - part.first for part in parts)
    columns = _Columns([], [], [], [])
    notes: list[str] = []
    odd_images: list[tuple[str, dict[str, str]]] = []
    pulls: list[Pull] = []
    labelled: dict[str, str] = {}  # trajectory to the file its labels came from
    progress.start("reading frames", total=n_frames)
    own_parts = [[part for part in parts if part.source == index] for index in range(len(sources))]
    with create_dataset(path, n_frames, len(parts), model.structure) as writer:
        chunks = _read_all(executor, sources, own_parts)
        for source, own in zip(sources, own_parts, strict=True):
            kept = np.concatenate([source.chosen[part.first : part.stop] for part in own])
            values, found, odd = _store(writer, model.cv, source, chunks, kept, progress)
            odd_images.append((source.label, {**source.odd_images, **odd}))
            labels = _labels(source, model.cv, own, values)
            _collect(columns, source, own, values, labels)
            if labels.centre is not None or labels.work is not None:
                labelled[str(source.path)] = str(source.tables[0])
            notes += [Note(note, source.label) for note in found]
            is_named = source.label == source.path.name  # then its tables' names tell them apart too
            notes += [note if is_named else Note(note, source.label) for note in labels.notes]
            for part in own:
                start = pulls[-1].stop if pulls else 0
                stop = start + part.stop - part.first
                pulls.append(Pull(part.name, start, stop, part.split, str(source.path)))
        writer.finish(
            terms=model.terms,
            cv=model.cv,
            pulls=pulls,
            times_ps=np.concatenate(columns.times_ps),
            cv_values=np.concatenate(columns.cv_values),
            centre=_or_none(np.concatenate(columns.centre)),
            work=_or_none(np.concatenate(columns.work)),
            provenance={**provenance, "labels": labelled},
        )
    return [*notes, *joint_notes(odd_images)]


@dataclass(frozen=True)
class _Chunk:
    """Some frames in which every molecule is in one piece."""

    positions: NDArray[np.float32]  # (n, n_modelled, 3), A
    offsets: NDArray[np.float64]  # (n, n_molecules, 3), A, of `offsets_of`
    cells: NDArray[np.float64] | None  # (n, 6)
    warnings: Warnings


@dataclass(frozen=True)
class _Task:
    """Chunks of one trajectory that are read together."""

    source: Source
    chunks: tuple[NDArray[np.int64], ...]  # frames of the trajectory


def _read_all(
    executor: Executor | None,
    sources: Sequence[Source],
    own_parts: Sequence[Sequence[_Part]],
) -> Iterator[_Chunk]:
    """All frames in order; the chunks are the same wherever they are read."""
    tasks = []
    for source, own in zip(sources, own_parts, strict=True):
        chunks = tuple(_chunks(source, own, len(source.reach.atoms)))
        size = _CHUNKS_A_TASK if executor is not None and source.sound is not None else len(chunks)
        tasks += [_Task(source, chunks[i : i + size]) for i in range(0, len(chunks), size)]
    if executor is None:
        for task in tasks:
            yield from _read(task)
    else:
        for found in in_order(executor, _read_together, tasks):
            yield from found


def _read(task: _Task) -> Iterator[_Chunk]:
    """The chunks of one task, one at a time."""
    source = task.source
    with open_trajectory(
        source.path, source.n_topology_atoms, salvage=source.salvage, known=source.sound
    ) as trajectory:
        for frames in task.chunks:
            yield _read_whole(trajectory, source, frames)


def _read_together(task: _Task) -> list[_Chunk]:
    """The work of another process."""
    torch.set_num_threads(1)
    return list(_read(task))


def _store(
    writer: DatasetWriter,
    cv: CollectiveVariable,
    source: Source,
    chunks: Iterator[_Chunk],
    kept: NDArray[np.int64],
    progress: Progress,
) -> tuple[NDArray[np.float64], list[str], dict[str, str]]:
    """Store the frames `kept` of one trajectory, molecules followed; CV values, odd frames, odd images."""
    # small arrays kept between the large ones of the chunks would strew the heap
    values, widths, shares = np.empty(len(kept)), np.empty(len(kept)), np.zeros(len(kept))
    warnings, last, images, done = Warnings(), None, source.images, 0
    while done < len(kept):
        chunk = next(chunks)
        size = len(chunk.positions)
        rows = slice(done, done + size)
        positions, images, widths[rows] = follow(
            chunk.positions, chunk.offsets, chunk.cells, source.reach.molecules, images
        )
        x = torch.from_numpy(positions).double()
        values[rows] = cvs.evaluate(cv, x).numpy()
        if chunk.cells is not None and len(cv.groups) > 1:
            shares[rows] = box_shares(cvs.between_groups(cv, x).numpy(), chunk.cells).max(axis=1)
        done += size
        warnings = join(warnings, chunk.warnings)
        if last is not None and np.array_equal(last, positions[0]):
            warnings = join(warnings, Warnings(n_repeated=1))
        last = positions[-1].copy()
        writer.append(positions)
        progress.advance(size, source.label)
    return values, messages(warnings), image_notes(kept, widths, shares, values, cv.unit)


def _read_whole(trajectory: Trajectory, source: Source, frames: NDArray[np.int64]) -> _Chunk:
    """Some frames, checked, with whole molecules; what was odd is told by frames of the trajectory."""
    reach = source.reach
    positions = trajectory.read(frames, reach.atoms)
    cells = None if trajectory.cells is None else trajectory.cells[frames]
    try:
        warnings = validate_coordinates(positions, reach.structure, cells, frames)
    except TrajectoryError as error:
        raise TrajectoryError(f"{source.path}: {error}") from error
    positions, _ = make_whole(positions, reach.wholeness, cells)
    offsets = offsets_of(positions, reach.wholeness)
    return _Chunk(np.ascontiguousarray(positions[:, : reach.n_modelled]), offsets, cells, warnings)


def _chunks(source: Source, parts: Sequence[_Part], n_atoms: int) -> Iterator[NDArray[np.int64]]:
    """Frame numbers of the trajectory, a few megabytes of selected coordinates at a time."""
    size = max(1, _CHUNK_BYTES // (12 * n_atoms))
    for part in parts:
        for start in range(part.first, part.stop, size):
            yield source.chosen[start : min(start + size, part.stop)]


def _labels(
    source: Source, cv: CollectiveVariable, parts: Sequence[_Part], values: NDArray[np.float64]
) -> PullLabels:
    if not source.tables:
        return PullLabels()
    kept = np.concatenate([np.arange(part.first, part.stop) for part in parts])
    frames = LabelledFrames(
        n_frames=source.n_frames,
        chosen=source.chosen[kept],
        steps=source.steps,
        times_ps=source.times_ps[kept] if source.has_times else None,
        cv_name=cv.name,
        cv_unit=cv.unit,
        cv_values=values,
    )
    try:
        return read_labels(source.tables, frames, source.label_units)
    except TrajectoryError as error:  # labels are optional
        text = f"not read, so work and centre are left out: {error}"
        return PullLabels(notes=(Note(text, source.tables[0].name, kind="table not read"),))


def _collect(
    columns: _Columns,
    source: Source,
    parts: Sequence[_Part],
    values: NDArray[np.float64],
    labels: PullLabels,
) -> None:
    unknown = np.full(len(values), np.nan)
    columns.times_ps += [source.times_ps[part.first : part.stop] for part in parts]
    columns.cv_values.append(values)
    columns.centre.append(unknown if labels.centre is None else labels.centre)
    columns.work.append(unknown if labels.work is None else labels.work)


def _or_none(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    return None if np.isnan(values).all() else values
