"""Generated pulls (or any trajectories) read for comparison with the pulls of a dataset."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.arrays import Positions
from smdgen.dataset.dataset import Dataset, Pull
from smdgen.errors import TrajectoryError
from smdgen.files import read_json
from smdgen.geometry.cv_paths import difference, mean_path
from smdgen.geometry.cvs import unrolled
from smdgen.io.structures.coordinate_checks import check_coordinates
from smdgen.io.structures.structure import find_topology, match_atoms, read_structure
from smdgen.io.trajectories.trajectory import open_trajectory
from smdgen.progress import Progress


@dataclass(frozen=True)
class Way:
    """Which frames of a real pull belong to the frames of the generated ones.

    Attributes:
        window: The part of the real pulls that generated ones cover, from 0 to 1, at even times; where real
            ones are blocks, the part of their whole trajectory.
        cv: (n_frames,). Where generated pulls follow a schedule, or real ones go both ways or are blocks of
            a trajectory: the target CV, mean over the pulls; a real pull's frames are then those with the
            nearest CV.
    """

    window: tuple[float, float] = (0.0, 1.0)
    cv: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Generated:
    """The pulls to judge.

    Attributes:
        names: Of the files.
        paths: The files.
        positions: (n_pulls, n_frames, n_atoms, 3), A. Modelled atoms in the dataset's order.
        times_ps: (n_frames,), ps.
        target_cv: (n_pulls, n_frames); None if unknown.
        way: Where on the real pulls they go.
        start_pull: Name of the held-out pull they start from; None if unknown.
        notes: What was odd.
    """

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    positions: Positions
    times_ps: NDArray[np.float64]
    target_cv: NDArray[np.float64] | None
    way: Way
    start_pull: str | None
    notes: tuple[str, ...]


def read_generated(
    paths: Sequence[Path], topology: Path | None, dataset: Dataset, progress: Progress
) -> Generated:
    """Read the pulls to judge.

    Args:
        paths: Trajectories of the modelled atoms, in any order of atoms, perhaps with others.
        topology: Of all of them; None: the one beside each.
        dataset: Says which atoms and which way.
        progress: Told after each file.

    Raises:
        TopologyError: No topology, or modelled atoms are missing.
        TrajectoryError: A trajectory is damaged, has one frame, or its length differs from the others'.
    """
    notes: list[str] = []
    progress.start("trajectories", len(paths))
    positions, times = [], []
    for path in paths:
        frames, time_ps = _read_trajectory(path, topology, dataset, notes)
        positions.append(frames)
        times.append(time_ps)
        progress.advance()
    lengths = sorted({len(frames) for frames in positions})
    if len(lengths) > 1:
        raise TrajectoryError(
            f"the trajectories have {lengths[0]} to {lengths[-1]} frames, but pulls are compared "
            "step by step; analyze those of one length at a time"
        )
    report = _rollout_report(paths)
    way, target_cv = Way(), None
    if report is not None:
        target_cv = _target_cv(paths, len(positions[0]), dataset)
        way = way_of(report, dataset, len(positions[0]) - 1, target_cv)
        known = (None, dataset.content_hash, dataset.provenance.get("part_of"))
        if report.get("dataset_hash") not in known:
            notes.append(
                "the pulls come from a model trained on another dataset: "
                "the held-out pulls here may be ones it has seen"
            )
    if way.cv is not None:
        why = "the pulls follow a schedule, or real pulls go in both directions"
        if dataset.has_blocks:
            why = "the held-out data are blocks of a trajectory, which cover only parts of it"
        notes.append(f"{why}: each step is compared with the frames of real pulls whose CV is closest")
    elif way.window != (0.0, 1.0):
        begin, end = way.window
        notes.append(
            f"the pulls cover the part from {begin:.0%} to {end:.0%} of the real ones "
            "and are compared with that part"
        )
    return Generated(
        names=_names(paths),
        paths=tuple(paths),
        positions=np.stack(positions),
        times_ps=times[0],
        target_cv=target_cv,
        way=way,
        start_pull=None if report is None else report.get("start_pull"),
        notes=tuple(dict.fromkeys(notes)),
    )


def way_covered(cv_paths: NDArray[np.float64], share: float, target: float | None) -> tuple[float, float]:
    """Which part of the real pulls a rollout goes along.

    A rollout ends where the mean CV of the real pulls first reaches its target (without a target: where
    they end) and is `share` of their duration long.

    Args:
        cv_paths: (n_pulls, n_frames). CV of real pulls at even times.
        share: Duration of the rollout over that of a real pull.
        target: Target CV of the last step.

    Returns:
        Begin and end, from 0 to 1.
    """
    mean = cv_paths.mean(axis=0)
    sign = 1.0 if mean[-1] >= mean[0] else -1.0
    end = 1.0
    if target is not None:
        reached = np.flatnonzero(np.maximum.accumulate(sign * mean) >= sign * target)
        end = float(reached[0]) / (len(mean) - 1) if len(reached) else 1.0
    begin = min(max(end - share, 0.0), 1.0)
    return begin, max(end, begin + 1.0 / (len(mean) - 1))


def places(dataset: Dataset, pull: Pull, n_frames: int, way: Way) -> NDArray[np.int64]:
    """(n_frames,). Frames of the store that belong to the frames of generated pulls, or lie evenly between.

    At even times step i of n belongs to frame round((begin + (end - begin) i / n) (frames of the pull - 1)).

    Args:
        dataset: Has the CV of each frame.
        pull: The real pull.
        n_frames: How many.
        way: Where the generated pulls go.
    """
    if way.cv is None:
        return _evenly(np.arange(pull.start, pull.stop), n_frames, way.window)
    even = np.linspace(0, len(way.cv) - 1, n_frames)
    period = 360 if dataset.cv.periodic else None
    path = way.cv if period is None else np.unwrap(way.cv, period=period)
    wanted = np.interp(even, np.arange(len(path)), path)
    gap = difference(wanted[:, None], dataset.cv_values[None, pull.start : pull.stop], dataset.cv.periodic)
    nearest: NDArray[np.int64] = pull.start + np.abs(gap).argmin(axis=1)
    return nearest


def _read_trajectory(
    path: Path, topology: Path | None, dataset: Dataset, notes: list[str]
) -> tuple[Positions, NDArray[np.float64]]:
    """Frames of the modelled atoms in the dataset's order, and their times."""
    beside = path.parent / "topology.pdb"
    topology = topology or (beside if beside.is_file() else find_topology(path))
    structure = read_structure(topology)
    atoms = match_atoms(dataset.structure, structure)
    with open_trajectory(path, structure.n_atoms) as trajectory:
        if trajectory.n_frames < 2:
            raise TrajectoryError(f"{path} has {trajectory.n_frames} frame, expected a pull of two or more")
        frames = trajectory.read(atoms=atoms)
        notes += [f"{path.name}: {note}" for note in trajectory.notes]
        times = trajectory.times_ps
    if not np.isfinite(frames).all():  # broken bonds are what is to be judged, missing numbers are not
        try:
            check_coordinates(frames, dataset.structure)
        except TrajectoryError as error:
            raise TrajectoryError(f"{path}, {error}") from error
    return frames, times


def _rollout_report(paths: Sequence[Path]) -> dict[str, Any] | None:
    """What `smdgen rollout` says about the pulls, if they are its own and lie together."""
    file = paths[0].parent / "rollout.json"
    if len({path.parent for path in paths}) > 1:
        return None
    report = read_json(file)
    if not isinstance(report, dict) or report.get("kind") != "rollout":
        return None
    numbers = report.get("time_per_step_ps"), report.get("target") or 0.0
    return report if all(isinstance(number, int | float) for number in numbers) else None


def way_of(
    report: Mapping[str, Any], dataset: Dataset, n_steps: int, target_cv: NDArray[np.floating] | None
) -> Way:
    """The part of the way the pulls of a rollout cover; by the CV where time says nothing.

    Args:
        report: What rollout.json holds.
        dataset: The real pulls.
        n_steps: Of the generated pulls.
        target_cv: (n_pulls, n_steps + 1). Target CV of each frame; None if unknown.
    """
    pulls = [pull for pull in (dataset.of_split("train") or dataset.pulls) if pull.n_frames > 1]
    tracks = [np.arange(pull.start, pull.stop) for pull in pulls]
    if dataset.has_blocks:
        tracks = [_joined(own) for own in dataset.trajectories]
    n_frames = min(map(len, tracks))
    values = [dataset.cv_values[_evenly(track, n_frames, (0.0, 1.0))] for track in tracks]
    paths = np.stack(unrolled(dataset.cv, values))
    target, mean, net = report.get("target"), paths.mean(axis=0), paths[:, -1] - paths[:, 0]
    cv = None
    both_ways = net.min() < 0 < net.max()
    if target_cv is not None and (both_ways or report.get("schedule_sha256") or dataset.has_blocks):
        cv = np.asarray(mean_path(target_cv, dataset.cv.periodic), dtype=np.float64)
        if not dataset.has_blocks:
            return Way(cv=cv)
    times = [float(dataset.times_ps[track[-1]] - dataset.times_ps[track[0]]) for track in tracks]
    share = n_steps * float(report["time_per_step_ps"]) / float(np.mean(times))
    if target is not None and dataset.cv.periodic:
        target = mean[-1] + float(difference(target, mean[-1], periodic=True))
    begin, end = way_covered(paths, share, target)
    return Way((0.0 if begin < 0.02 else begin, 1.0 if end > 0.98 else end), cv)


def frames_to_show(dataset: Dataset, pull: Pull, n_frames: int, way: Way) -> NDArray[np.int64]:
    """(n_frames,). Frames of a real pull to be seen with generated ones; a block stands for all of them."""
    if not dataset.is_block(pull):
        return places(dataset, pull, n_frames, way)
    return _evenly(_joined(next(own for own in dataset.trajectories if pull in own)), n_frames, way.window)


def _joined(pulls: Sequence[Pull]) -> NDArray[np.int64]:
    """Frames of the blocks of a trajectory, in their order."""
    return np.concatenate([np.arange(pull.start, pull.stop) for pull in pulls])


def _evenly(frames: NDArray[np.int64], n_frames: int, window: tuple[float, float]) -> NDArray[np.int64]:
    """`n_frames` of the frames at even times in a part of them, from 0 to 1."""
    chosen: NDArray[np.int64] = frames[
        np.rint(np.linspace(*window, n_frames) * (len(frames) - 1)).astype(int)
    ]
    return chosen


def _target_cv(paths: Sequence[Path], n_frames: int, dataset: Dataset) -> NDArray[np.float64] | None:
    """The target CV of each frame of the rollouts, from the cv.csv beside them."""
    column = f"{dataset.cv.name}_aim_{dataset.cv.unit}"
    try:
        with (paths[0].parent / "cv.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        target_cv = {(int(row["pull"]), int(row["frame"])): float(row[column]) for row in rows}
        pulls = [int(path.stem.removeprefix("pull_")) for path in paths]
        return np.array([[target_cv[pull, frame] for frame in range(n_frames)] for pull in pulls])
    except (OSError, KeyError, ValueError):
        return None


def _names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Names of the files; with their folders where two are alike."""
    names = [path.stem for path in paths]
    return tuple(names if len(set(names)) == len(names) else [str(path.with_suffix("")) for path in paths])
