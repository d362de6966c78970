"""The held-out pull that a rollout starts from, or is shown with."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.arrays import Positions
from smdgen.dataset.dataset import Dataset, Pull
from smdgen.dataset.generated import frames_to_show, way_of
from smdgen.io.structures.start import Start


def held_out_start(dataset: Dataset, can_begin: Callable[[float], bool]) -> Start:
    """The first frame of a pull from which a rollout can go on, of one that no training saw if there is any.

    Args:
        dataset: The pulls.
        can_begin: Whether a rollout can begin at a CV; at that of a block where pulls end it cannot.
    """
    pulls = [pull for split in ("test", "validation", "train") for pull in dataset.of_split(split)]
    pull = next((pull for pull in pulls if can_begin(float(dataset.cv_values[pull.start]))), pulls[0])
    frame = dataset.positions(np.array([pull.start]))[0]
    return Start(dataset.structure, frame, f"first frame of {pull.name} ({pull.split})", pull=pull.name)


def pull_to_show(
    dataset: Dataset, record: Mapping[str, Any], target_cv: NDArray[np.floating]
) -> tuple[Pull, Positions, bool] | None:
    """A held-out pull for the eye beside generated ones: the one that they start from, else the first one.

    Args:
        dataset: The pulls.
        record: What rollout.json holds.
        target_cv: (n_pulls, n_steps + 1). Target CV of each generated frame.

    Returns:
        The pull, frames of it, (n_steps + 1, n_atoms, 3), A, and whether these have the times of the
        generated frames, else the nearest CV. None if the models come from other pulls, or none was held out.
    """
    held_out = [*dataset.of_split("test"), *dataset.of_split("validation")]
    known = (dataset.content_hash, dataset.provenance.get("part_of"))
    if record["dataset_hash"] not in known or not held_out:
        return None
    pull = next((pull for pull in held_out if pull.name == record["start_pull"]), held_out[0])
    n_steps = target_cv.shape[1] - 1
    way = way_of(record, dataset, n_steps, target_cv)
    frames = dataset.positions(frames_to_show(dataset, pull, n_steps + 1, way))
    return pull, frames, way.cv is None or dataset.is_block(pull)
