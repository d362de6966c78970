"""Which pulls, or which blocks of a single trajectory, are trained on and which are held out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from smdgen.errors import ConfigError, TrajectoryError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

#: Fewer trajectories than this are split by blocks of frames.
MINIMUM_PULLS = 3

#: Frames a trajectory needs to be split by blocks.
MINIMUM_FRAMES = 12

LONG = 24  # frames from which on blocks of a split lie all over the trajectory


@dataclass(frozen=True)
class Part:
    """A run of kept frames of one trajectory, which becomes a pull of the dataset."""

    source: int  # number of the trajectory
    first: int  # into its kept frames
    stop: int
    split: Split
    name: str


def split_trajectories(
    names: Sequence[str], n_frames: Sequence[int], validation_share: float, test_share: float, seed: int
) -> list[Part]:
    """A split for every trajectory, or, where they are too few, for blocks of each.

    Args:
        names: Of the trajectories; those that are alike are numbered.
        n_frames: Frames that are kept of each.
        validation_share: Wanted share for early stopping.
        test_share: Wanted share that no training sees.
        seed: The same seed gives the same split.

    Raises:
        TrajectoryError: Too few frames for blocks.
        ConfigError: Shares that leave nothing to train on.
    """
    names = _numbered(names)
    if len(names) >= MINIMUM_PULLS:
        splits = split_pulls(len(names), validation_share, test_share, seed)
        return [Part(i, 0, n, splits[i], names[i]) for i, n in enumerate(n_frames)]
    return [
        Part(i, first, stop, split, f"{names[i]}_block{number}")
        for i, n in enumerate(n_frames)
        for number, (first, stop, split) in enumerate(split_blocks(n, validation_share, test_share), start=1)
    ]


def _numbered(names: Sequence[str]) -> list[str]:
    """The names, with a number where several are alike."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    counts, out = dict.fromkeys(seen, 0), []
    for name in names:
        counts[name] += 1
        out.append(name if seen[name] == 1 else f"{name}_{counts[name]}")
    return out


def split_pulls(n_pulls: int, validation_share: float, test_share: float, seed: int) -> list[Split]:
    """A split for every pull, at random, with at least one pull in each.

    Args:
        n_pulls: At least `MINIMUM_PULLS`.
        validation_share: Wanted share of pulls for early stopping.
        test_share: Wanted share of pulls that no training sees.
        seed: The same seed gives the same split.

    Raises:
        ConfigError: Shares that leave nothing to train on.
    """
    _check_shares(validation_share, test_share)
    assert n_pulls >= MINIMUM_PULLS
    n_test = max(1, round(test_share * n_pulls))
    n_validation = max(1, round(validation_share * n_pulls))
    while n_test + n_validation >= n_pulls:
        n_test, n_validation = max(1, n_test - 1), max(1, n_validation - 1)
    splits: list[Split] = ["train"] * n_pulls
    for rank, pull in enumerate(np.random.default_rng(seed).permutation(n_pulls)):
        if rank < n_test:
            splits[pull] = "test"
        elif rank < n_test + n_validation:
            splits[pull] = "validation"
    return splits


def split_blocks(n_frames: int, validation_share: float, test_share: float) -> list[tuple[int, int, Split]]:
    """Contiguous blocks of one trajectory with gaps between them, for want of more pulls.

    Neighbouring frames are alike, so that held-out blocks say less about new pulls than held-out pulls do.
    The held-out blocks lie between blocks that are trained on, so that training sees both ends of the way.

    Args:
        n_frames: Frames of the trajectory.
        validation_share: Wanted share of frames for early stopping.
        test_share: Wanted share of frames that no training sees.

    Returns:
        First frame, frame after the last, and split of each block.

    Raises:
        TrajectoryError: Too few frames.
        ConfigError: Shares that leave nothing to train on.
    """
    _check_shares(validation_share, test_share)
    if n_frames < MINIMUM_FRAMES:
        raise TrajectoryError(
            f"found {n_frames} frames, expected {MINIMUM_FRAMES} or more to hold some back; "
            f"give more frames (a smaller --stride) or at least {MINIMUM_PULLS} trajectories"
        )
    train_share = 1.0 - validation_share - test_share
    plan: list[tuple[float, Split]] = [
        (train_share / 2, "train"), (validation_share, "validation"), (test_share, "test"),
        (train_share / 2, "train"),
    ]  # fmt: skip
    if n_frames >= LONG:
        quarter, half = train_share / 4, test_share / 2
        plan = [
            (quarter, "train"), (half, "test"), (quarter, "train"), (validation_share, "validation"),
            (quarter, "train"), (half, "test"), (quarter, "train"),
        ]  # fmt: skip
    plan = [(share, split) for share, split in plan if share > 0]
    gap = max(1, n_frames // 100)
    ends = np.cumsum([share for share, _ in plan]) * n_frames
    blocks: list[tuple[int, int, Split]] = []
    start = 0
    for end, (_, split) in zip(ends.round().astype(int).tolist(), plan, strict=True):
        stop = n_frames if len(blocks) + 1 == len(plan) else max(end - gap, start + 2)
        blocks.append((start, stop, split))
        start = stop + gap
    if blocks[-1][1] - blocks[-1][0] < 2:
        raise ConfigError(
            f"shares {validation_share}, {test_share} leave blocks below 2 of {n_frames} frames; lower them"
        )
    return blocks


def _check_shares(validation_share: float, test_share: float) -> None:
    if not (validation_share >= 0 and test_share >= 0 and validation_share + test_share < 1):
        raise ConfigError(
            f"validation_share {validation_share} and test_share {test_share}: expected numbers from 0 "
            "whose sum stays below 1"
        )
