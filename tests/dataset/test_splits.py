"""Splits: every pull in one split, shares as asked, blocks apart from each other."""

import itertools

import pytest

from smdgen.dataset.splits import split_blocks, split_pulls
from smdgen.errors import ConfigError, TrajectoryError


@pytest.mark.parametrize("n_pulls", [3, 4, 5, 8, 32, 100])
def test_every_split_has_a_pull_and_training_the_most(n_pulls):
    splits = split_pulls(n_pulls, 0.15, 0.25, seed=1)
    assert len(splits) == n_pulls
    counts = {split: splits.count(split) for split in ("train", "validation", "test")}
    assert min(counts.values()) >= 1
    assert counts["train"] == max(counts.values())
    if n_pulls == 100:
        assert counts == {"train": 60, "validation": 15, "test": 25}


def test_the_seed_decides():
    assert split_pulls(32, 0.15, 0.25, seed=5) == split_pulls(32, 0.15, 0.25, seed=5)
    assert split_pulls(32, 0.15, 0.25, seed=5) != split_pulls(32, 0.15, 0.25, seed=6)


@pytest.mark.parametrize("n_frames", [*range(12, 30), 69, 70, 71, 98, 201, 5000])
def test_blocks_leave_gaps_and_reach_both_ends(n_frames):
    blocks = split_blocks(n_frames, 0.15, 0.25)
    assert blocks[0][0] == 0
    assert blocks[-1][1] == n_frames
    assert {split for _, _, split in blocks} == {"train", "validation", "test"}
    for start, stop, _ in blocks:
        assert stop - start >= 2
    for (_, stop, one), (start, _, other) in itertools.pairwise(blocks):
        assert start - stop >= max(1, n_frames // 100)
        assert one != other


@pytest.mark.parametrize("n_frames", [12, 24, 40, 1000])
def test_training_sees_both_ends_of_the_way(n_frames):
    blocks = split_blocks(n_frames, 0.15, 0.25)
    assert blocks[0][2] == blocks[-1][2] == "train"


def test_a_quarter_of_a_long_trajectory_is_held_out():
    blocks = split_blocks(1000, 0.15, 0.25)
    held = sum(stop - start for start, stop, split in blocks if split == "test")
    assert 200 < held <= 250


def test_too_short_and_wrong_shares_are_refused():
    with pytest.raises(TrajectoryError, match="found 11 frames, expected 12"):
        split_blocks(11, 0.15, 0.25)
    with pytest.raises(ConfigError, match="below 1"):
        split_blocks(100, 0.5, 0.5)
    with pytest.raises(ConfigError, match="from 0"):
        split_pulls(10, -0.1, 0.5, seed=0)
