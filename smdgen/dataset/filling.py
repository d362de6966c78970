"""Fill the dataset: frames, CV, centre and work of every trajectory, in the order of its pulls."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from smdgen.dataset.dataset import DatasetWriter, Pull, create_dataset
from smdgen.dataset.model import Model
from smdgen.dataset.reading import Chunk, read_chunks
from smdgen.dataset.sources import Source
from smdgen.dataset.splits import Part
from smdgen.errors import TrajectoryError
from smdgen.geometry import cvs
from smdgen.geometry.cvs import CollectiveVariable
from smdgen.geometry.lattice import box_shares
from smdgen.io.structures.coordinate_checks import Warnings, join, messages
from smdgen.io.tables.pull_labels import LabelledFrames, PullLabels, read_labels
from smdgen.io.trajectories.images import follow, image_notes, joint_notes
from smdgen.notes import Note
from smdgen.progress import Progress


@dataclass
class _Columns:
    """Per-frame values, in the order of the store."""

    times_ps: list[NDArray[np.float64]]
    cv_values: list[NDArray[np.float64]]
    centre: list[NDArray[np.float64]]
    work: list[NDArray[np.float64]]


def fill_dataset(
    path: Path,
    model: Model,
    sources: Sequence[Source],
    parts: Sequence[Part],
    provenance: dict[str, Any],
    progress: Progress,
    executor: Executor | None,
) -> list[str]:
    """Read every kept frame once and store it; returns what was odd.

    Args:
        path: Of the new dataset.
        model: What is modelled.
        sources: The trajectories.
        parts: Their runs of frames that become pulls, in order.
        provenance: Where all came from.
        progress: Told of every chunk of frames.
        executor: Processes that read; None to read here.

    Raises:
        TrajectoryError: A damaged trajectory, or coordinates that cannot be those of the structure.
        ArtifactError: The dataset cannot be written.
        WorkerError: A worker process was lost.
    """
    n_frames = sum(part.stop - part.first for part in parts)
    columns = _Columns([], [], [], [])
    notes: list[str] = []
    odd_images: list[tuple[str, dict[str, str]]] = []
    pulls: list[Pull] = []
    labelled: dict[str, str] = {}  # trajectory to the file its labels came from
    progress.start("reading frames", total=n_frames)
    own_parts = [[part for part in parts if part.source == index] for index in range(len(sources))]
    with create_dataset(path, n_frames, len(parts), model.structure) as writer:
        chunks = read_chunks(executor, sources, own_parts)
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


def _store(
    writer: DatasetWriter,
    cv: CollectiveVariable,
    source: Source,
    chunks: Iterator[Chunk],
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


def _labels(
    source: Source, cv: CollectiveVariable, parts: Sequence[Part], values: NDArray[np.float64]
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
    parts: Sequence[Part],
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
