"""Frames of trajectories, some at a time: read, checked, every molecule in one piece."""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from smdgen.dataset.sources import Source
from smdgen.dataset.splits import Part
from smdgen.errors import TrajectoryError
from smdgen.geometry.periodic import make_whole
from smdgen.io.structures.coordinate_checks import Warnings, validate_coordinates
from smdgen.io.trajectories.images import offsets_of
from smdgen.io.trajectories.trajectory import Readable, chunks, open_trajectory
from smdgen.workers import in_order

#: Chunks of a DCD that another process reads at once.
_CHUNKS_A_TASK = 16


@dataclass(frozen=True)
class Chunk:
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


def read_chunks(
    executor: Executor | None,
    sources: Sequence[Source],
    own_parts: Sequence[Sequence[Part]],
) -> Iterator[Chunk]:
    """All frames in order; the chunks are the same wherever they are read."""
    tasks = []
    for source, own in zip(sources, own_parts, strict=True):
        n_atoms = len(source.reach.atoms)
        pieces = [piece for part in own for piece in chunks(source.chosen[part.first : part.stop], n_atoms)]
        size = _CHUNKS_A_TASK if executor is not None and source.kept is None else len(pieces)
        light = replace(source, sample=None)  # nothing that reading needs, so it is not sent
        tasks += [_Task(light, tuple(pieces[i : i + size])) for i in range(0, len(pieces), size)]
    for is_here, own_tasks in itertools.groupby(
        tasks, lambda task: executor is None or task.source.kept is not None
    ):
        if is_here:
            for task in own_tasks:
                yield from _read(task)
        else:
            for found in in_order(executor, _read_together, own_tasks):
                yield from found


def _read(task: _Task) -> Iterator[Chunk]:
    """The chunks of one task, one at a time."""
    source = task.source
    if source.kept is not None:
        yield from (_read_whole(source.kept, source, frames) for frames in task.chunks)
        return
    with open_trajectory(
        source.path, source.n_topology_atoms, salvage=source.salvage, known=source.sound
    ) as trajectory:
        for frames in task.chunks:
            yield _read_whole(trajectory, source, frames)


def _read_together(task: _Task) -> list[Chunk]:
    """The work of another process."""
    torch.set_num_threads(1)
    return list(_read(task))


def _read_whole(trajectory: Readable, source: Source, frames: NDArray[np.int64]) -> Chunk:
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
    return Chunk(np.ascontiguousarray(positions[:, : reach.n_modelled]), offsets, cells, warnings)
