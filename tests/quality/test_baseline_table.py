"""Copies are called copies, and new pulls are not."""

import numpy as np
import pytest
import torch

from smdgen.quality.baseline_table import RealFrames, baseline_table, compared_atoms
from smdgen.quality.baselines import BASELINES, RealPath
from tests.tools.pulls import end_to_end, make_pull, make_structure

STRUCTURE = make_structure()
TRAINING = [make_pull(40, seed) for seed in range(6)]
HELD_OUT = [make_pull(40, seed) for seed in range(10, 14)]


def real_frames() -> RealFrames:
    every = np.concatenate([*TRAINING, *HELD_OUT])
    paths = [RealPath(torch.from_numpy(x).double(), end_to_end(x).astype(float)) for x in TRAINING]
    return RealFrames(
        torch.from_numpy(np.concatenate(TRAINING)).double(),
        tuple(paths),
        torch.from_numpy(np.concatenate([x[4::4] for x in HELD_OUT])).double(),
        torch.from_numpy(every).double(),
        end_to_end(every).astype(float),
    )


def judged(pulls):
    x = np.stack([pull[4::4] for pull in pulls])
    return baseline_table(torch.from_numpy(x).double(), end_to_end(x).astype(float), real_frames(), STRUCTURE)


def test_training_pulls_are_copies():
    table = judged(TRAINING[:4])
    assert table.generated.nearest_training == pytest.approx(0.0, abs=1e-4)
    assert table.real.nearest_training > 0.3
    assert table.are_copies
    assert table.verdict().startswith("The frames are like MD in all ")
    assert "The model copies: generated frames are 0.00 A from the nearest training frame" in table.verdict()
    assert table.to_dict()["copies"] is True


def test_other_pulls_are_not_and_are_as_near_and_as_far_apart_as_real_ones():
    table = judged([make_pull(40, seed) for seed in range(20, 24)])
    assert not table.are_copies
    assert "copies" not in table.verdict()
    assert "A copy would do better" not in table.verdict()
    assert table.generated.nearest_training == pytest.approx(table.real.nearest_training, rel=0.3)
    assert table.generated.diversity == pytest.approx(table.real.diversity, rel=0.35)


def test_baselines_are_measured_as_the_pulls_are():
    table = judged(TRAINING[:4])
    copy, between, line = table.baselines
    assert [column.name for column in table.baselines] == list(BASELINES)
    assert copy.nearest_training == pytest.approx(0.0, abs=1e-4)
    assert between.nearest_training == pytest.approx(0.0, abs=1e-2)
    assert copy.frames.like_md
    assert not line.frames.like_md
    for label, values in table.rows():
        assert len(values) == 2 + len(BASELINES), label


def test_noise_is_worse_than_a_copy():
    noise = np.random.default_rng(0).normal(0, 1.0, (4, 40, 40, 3))
    table = judged(np.stack(HELD_OUT) + noise)
    assert not table.are_copies
    assert table.verdict().startswith("The frames are not like MD: ")
    assert "A copy would do better: held-out frames are " in table.verdict()


def test_proteins_are_compared_by_their_ca():
    assert len(compared_atoms(make_structure(20))) == 80
    assert compared_atoms(make_structure(21)).tolist() == list(range(1, 84, 4))
