"""Remarks on a new dataset: few pulls, pulls that differ from the others, a better collective variable."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from smdgen.dataset.dataset import Dataset
from smdgen.dataset.frames import blocks_of
from smdgen.dataset.splits import MINIMUM_PULLS
from smdgen.geometry.backbone import find_backbone
from smdgen.geometry.cv_paths import difference
from smdgen.geometry.frames import rmsd_matrix
from smdgen.geometry.rigid_groups import rigid_groups
from smdgen.io.structures.selection import residue_selection

#: Pulls to train on below which a user is told that the data are thin.
_ENOUGH_PULLS = 16

#: Share of the usual way along the CV below which a pull is pointed out.
_STILL = 0.25

#: A. Frames less apart are the same frame, read from another format.
_SAME = 0.02

#: Frames of nearest CV among which the last frame of a pull is looked for.
_DUPLICATE_FRAMES = 100

#: A dihedral's turn between two frames (deg) that says little of the way round, and the share remarked.
_WILD, _WILD_SHARE = 120.0, 0.001


#: Another CV is proposed from so many residues on, if it moves by so much (A) and so many times as far.
_FEWEST_CA, _LEAST_MOVE, _MUCH_MORE = 30, 2.0, 2.5


def remarks(dataset: Dataset) -> list[str]:
    """All remarks on a dataset."""
    n_trajectories = len(dataset.trajectories)
    if n_trajectories < MINIMUM_PULLS:
        found = "a single trajectory" if n_trajectories == 1 else f"{n_trajectories} trajectories"
        return [
            f"{found}: what is held out are blocks of frames, a weaker test than whole pulls; "
            f"give {MINIMUM_PULLS} trajectories or more for a split by pull",
        ]
    about = (_uneven_lengths, _uneven_times, _still_pulls, _duplicates, _wild_turns, thin_data)
    return [remark for find in about for remark in find(dataset)]


def thin_data(dataset: Dataset) -> list[str]:
    """A remark if the pulls to train on are few; also shown by train-vae."""
    train = dataset.of_split("train")
    n_pulls = sum(any(pull.split == "train" for pull in own) for own in dataset.trajectories)
    if n_pulls >= _ENOUGH_PULLS:
        return []
    blocks = f" in {len(train)} blocks" if dataset.has_blocks else ""
    return [
        f"few training pulls: {n_pulls} pull{'s' * (n_pulls != 1)}{blocks} with "
        f"{sum(pull.n_frames for pull in train)} frames to train on; "
        f"generated pulls will vary less than real ones. {_ENOUGH_PULLS} or more are better"
    ]


def better_cv(dataset: Dataset) -> list[str]:
    """A remark on a default CV that hardly moves, with another where one is found."""
    found = _rigid_group_cv(dataset)
    lowest, highest = float(dataset.cv_values.min()), float(dataset.cv_values.max())
    if found or highest - lowest > _LEAST_MOVE / 2:
        return found
    return [
        f"the default CV hardly moves ({lowest:.1f} to {highest:.1f} A), as between the ends of a ring; "
        "give what was pulled with --cv"
    ]


def _rigid_group_cv(dataset: Dataset) -> list[str]:
    """A remark if two rigid groups move much more against each other than the ends that the default CV takes.

    The first trajectory is looked at, from its first frame to its last.
    """
    own, structure = dataset.trajectories[0], dataset.structure
    ends = np.array([own[0].start, own[-1].stop - 1])
    points = find_backbone(structure).atoms["CA"]
    if len(points) < _FEWEST_CA:
        return []
    frames = dataset.positions(ends)
    groups = rigid_groups(*frames[:, points])
    if groups is None:
        return []
    centres = [frames[:, points[group]].mean(axis=1) for group in groups]
    there = np.linalg.norm(centres[1] - centres[0], axis=1)
    here = dataset.cv_values[ends]
    moves, needed = abs(there[1] - there[0]), max(_LEAST_MOVE, _MUCH_MORE * abs(here[1] - here[0]))
    if moves < needed:
        return []
    texts = [f"name CA and ({residue_selection(structure, points[group])})" for group in groups]
    return [
        f"the default CV hardly moves ({here[0]:.1f} to {here[1]:.1f} A), while two rigid groups go from "
        f'{there[0]:.1f} to {there[1]:.1f} A: consider --cv "domains=distance({"; ".join(texts)})"'
    ]


def _uneven_lengths(dataset: Dataset) -> list[str]:
    usual, _ = Counter(pull.n_frames for pull in dataset.pulls).most_common(1)[0]
    others = [f"{pull.name} ({pull.n_frames})" for pull in dataset.pulls if pull.n_frames != usual]
    return [f"not of {usual} frames like most pulls: {_some(others)}"] if others else []


def _uneven_times(dataset: Dataset) -> list[str]:
    spacings = Counter(
        float(f"{np.median(np.diff(dataset.times_ps[pull.start : pull.stop])):.4g}") for pull in dataset.pulls
    )
    if len(spacings) == 1:
        return []
    found = ", ".join(f"{spacing:g} ps in {count}" for spacing, count in spacings.most_common())
    return [f"the time between frames differs: {found} pulls; the model takes them as equal"]


def _still_pulls(dataset: Dataset) -> list[str]:
    ways = [float(np.ptp(dataset.cv_values[pull.start : pull.stop])) for pull in dataset.pulls]
    usual, unit = float(np.median(ways)), dataset.cv.unit
    still = [
        f"{pull.name} ({way:.1f} {unit})"
        for pull, way in zip(dataset.pulls, ways, strict=True)
        if way < _STILL * usual
    ]
    return [f"the CV hardly moves (usually {usual:.1f} {unit}) in {_some(still)}"] if still else []


def _duplicates(dataset: Dataset) -> list[str]:
    """Pulls whose last frame another one has too: the same pull in another format, or joined to others."""
    owner = np.repeat(np.arange(len(dataset.pulls)), [pull.n_frames for pull in dataset.pulls])
    pairs = set()
    for number, pull in enumerate(dataset.pulls):
        last = np.array([pull.stop - 1])
        apart = np.abs(dataset.cv_values - dataset.cv_values[last])
        apart[owner == number] = np.inf
        near = np.argpartition(apart, min(_DUPLICATE_FRAMES, len(apart) - 1))[:_DUPLICATE_FRAMES]
        near = np.sort(near[np.isfinite(apart[near])])
        (end,) = blocks_of(dataset, last)
        same = [(rmsd_matrix(x, end)[:, 0] < _SAME).numpy() for x in blocks_of(dataset, near)]
        pairs |= {tuple(sorted((number, other))) for other in owner[near[np.concatenate(same)]].tolist()}
    same_pulls = [" and ".join(dataset.pulls[number].name for number in pair) for pair in sorted(pairs)]
    if not same_pulls:
        return []
    return [f"the last frame of one pull is in the other: {_some(same_pulls)}; leave out what is there twice"]


def _wild_turns(dataset: Dataset) -> list[str]:
    """A dihedral that turns nearly half round between two frames may have turned either way."""
    if not dataset.cv.periodic:
        return []
    steps = np.concatenate([np.diff(dataset.cv_values[pull.start : pull.stop]) for pull in dataset.pulls])
    n_wild = int((np.abs(difference(steps, np.zeros(()), periodic=True)) > _WILD).sum())
    if n_wild <= _WILD_SHARE * len(steps):
        return []
    return [
        f"the dihedral turns by more than {_WILD:g} degrees between two frames {n_wild} times: the "
        "direction of these turns is not known, and rollouts without --to may end anywhere; keep more frames "
        "or use another CV"
    ]


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - 3} more" if len(items) > 3 else ""
    return ", ".join(items[:3]) + more
