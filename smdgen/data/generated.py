"""Generated pulls (or any trajectories) read for comparison with the pulls of a dataset."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.data.dataset import Dataset, Pull
from smdgen.data.gate import check_coordinates
from smdgen.data.structure import find_topology, match_atoms, read_structure
from smdgen.data.trajectory import open_trajectory
from smdgen.errors import TrajectoryError
from smdgen.progress import Progress

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Generated:
    """The pulls to judge.

    Attributes:
        names: Of the files.
        paths: The files.
        positions: (n_pulls, n_frames, n_atoms, 3), A. Modelled atoms in the dataset's order.
        times_ps: (n_frames,), ps.
        aims: (n_pulls, n_frames); None if unknown.
        window: Where on the way of the real pulls they begin and end, from 0 to 1.
        start_pull: Name of the held-out pull they start from; None if unknown.
        notes: What was odd.
    """

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    positions: Frames
    times_ps: NDArray[np.float64]
    aims: NDArray[np.float64] | None
    window: tuple[float, float]
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
    window = (0.0, 1.0)
    if report is not None:
        window = _window(report, dataset, len(positions[0]) - 1)
        if report.get("dataset_hash") not in (None, dataset.content_hash):
            notes.append(
                "the pulls come from a model trained on another dataset: "
                "the held-out pulls here may be ones it has seen"
            )
    if window != (0.0, 1.0):
        notes.append(
            f"the pulls go from {window[0]:.0%} to {window[1]:.0%} of the way of the real ones "
            "and are compared with that part"
        )
    return Generated(
        names=_names(paths),
        paths=tuple(paths),
        positions=np.stack(positions),
        times_ps=times[0],
        aims=_aims(paths, positions[0].shape[0], dataset) if report is not None else None,
        window=window,
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
        target: CV aimed at by the last step.

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


def places(pull: Pull, n_frames: int, window: tuple[float, float]) -> NDArray[np.int64]:
    """(n_frames,). Frames of the store, evenly over a part of a pull.

    Step i of n belongs to frame round((begin + (end - begin) i / n) (frames of the pull - 1)).

    Args:
        pull: The pull.
        n_frames: How many.
        window: Begin and end of the part, from 0 to 1.
    """
    share = np.linspace(*window, n_frames)
    return pull.start + np.rint(share * (pull.n_frames - 1)).astype(np.int64)


def _read_trajectory(
    path: Path, topology: Path | None, dataset: Dataset, notes: list[str]
) -> tuple[Frames, NDArray[np.float64]]:
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
    if len({path.parent for path in paths}) > 1 or not file.is_file():
        return None
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) and report.get("kind") == "rollout" else None


def _window(report: Mapping[str, Any], dataset: Dataset, n_steps: int) -> tuple[float, float]:
    """The part of the way the pulls of a rollout cover."""
    pulls = [pull for pull in (dataset.of_split("train") or dataset.pulls) if pull.n_frames > 1]
    n_frames = min(pull.n_frames for pull in pulls)
    paths = np.stack([dataset.cv_values[places(pull, n_frames, (0.0, 1.0))] for pull in pulls])
    times = [float(dataset.times_ps[pull.stop - 1] - dataset.times_ps[pull.start]) for pull in pulls]
    share = n_steps * float(report["time_per_step_ps"]) / float(np.mean(times))
    begin, end = way_covered(paths, share, report.get("target"))
    return (0.0 if begin < 0.02 else begin), (1.0 if end > 0.98 else end)


def _aims(paths: Sequence[Path], n_frames: int, dataset: Dataset) -> NDArray[np.float64] | None:
    """The CV each frame of the rollouts was aimed at, from the cv.csv beside them."""
    column = f"{dataset.cv.name}_aim_{dataset.cv.unit}"
    try:
        with (paths[0].parent / "cv.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        aims = {(int(row["pull"]), int(row["frame"])): float(row[column]) for row in rows}
        pulls = [int(path.stem.removeprefix("pull_")) for path in paths]
        return np.array([[aims[pull, frame] for frame in range(n_frames)] for pull in pulls])
    except (OSError, KeyError, ValueError):
        return None


def _names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Names of the files; with their folders where two are alike."""
    names = [path.stem for path in paths]
    return tuple(names if len(set(names)) == len(names) else [str(path.with_suffix("")) for path in paths])
