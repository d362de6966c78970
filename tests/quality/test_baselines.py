"""What is free of any model does what its name says."""

import numpy as np
import pytest
import torch

from smdgen.geometry.frames import rmsd
from smdgen.geometry.internal import spanning_tree, to_internal
from smdgen.quality.baselines import (
    BASELINES,
    RealPath,
    baseline_pulls,
    copies,
    interpolated,
    straight_line,
)
from tests.tools.pulls import end_to_end, make_pull, make_structure

TREE = spanning_tree(40, make_structure().bonds)


def path(seed: int = 1) -> RealPath:
    frames = make_pull(30, seed)
    return RealPath(torch.from_numpy(frames).double(), end_to_end(frames).astype(float))


def test_each_baseline_gives_the_frames_of_its_own_cvs():
    """At the CV of a training frame the first two are that frame."""
    own = path()
    wanted = own.cv[[3, 17, 29]]
    for made in (copies(own, wanted), interpolated(own, wanted, TREE)):
        assert rmsd(made, own.frames[[3, 17, 29]]).max() < 1e-5
    ends = straight_line(own, own.cv[[0, 29]])
    assert rmsd(ends, own.frames[[0, 29]]).max() < 1e-6


def test_copies_are_nearest_in_the_cv():
    own = RealPath(torch.arange(3.0)[:, None, None].expand(3, 5, 3), np.array([10.0, 20.0, 15.0]))
    assert copies(own, np.array([9.0, 14.0, 18.0]))[:, 0, 0].tolist() == [0.0, 2.0, 1.0]
    turn = RealPath(own.frames, np.array([170.0, 0.0, 90.0]))
    assert copies(turn, np.array([-179.0]), periodic=True)[:, 0, 0].tolist() == [0.0]


def test_torsions_go_the_short_way_in_proportion_to_the_cv():
    frames = torch.from_numpy(make_pull(2, seed=4)).double()
    own = RealPath(frames, np.array([10.0, 20.0]))
    made = interpolated(own, np.array([12.5, 9.0, 30.0]), TREE)
    first, second, between = (to_internal(x, TREE) for x in (frames[0], frames[1], made[0]))
    turned = (second[2] - first[2] + torch.pi) % (2 * torch.pi) - torch.pi
    off = (between[2] - first[2] - turned / 4 + torch.pi) % (2 * torch.pi) - torch.pi
    assert off.abs().max() < 1e-6
    assert torch.allclose(between[0], first[0] + (second[0] - first[0]) / 4)
    assert rmsd(made[1:], frames).max() < 1e-6  # beyond the ends: the ends


def test_the_line_is_half_way_at_half_the_cv():
    own = path()
    middle = (own.cv[0] + own.cv[-1]) / 2
    made = straight_line(own, np.array([middle, -100.0, 1000.0]))
    to_ends = rmsd(made[:1].expand(2, -1, -1), own.frames[[0, -1]])
    assert float(to_ends[0]) == pytest.approx(float(to_ends[1]), rel=0.05)
    assert rmsd(made[1:], own.frames[[0, -1]]).max() < 1e-6


def test_samples_take_the_training_pulls_in_turn():
    paths = [path(1), path(2)]
    cv = np.linspace(15, 28, 5)[None].repeat(3, axis=0)
    for name in BASELINES:
        made = baseline_pulls(name, paths, cv, TREE)
        assert made.shape == (3, 5, 40, 3)
        assert torch.equal(made[0], made[2])
        assert not torch.equal(made[0], made[1])


def test_frames_far_apart_in_time_are_not_mixed():
    """The last frame is next in the CV to the first, but not in time: it is copied."""
    frames = torch.from_numpy(make_pull(3, seed=4)).double()
    own = RealPath(frames, np.array([10.0, 20.0, 11.0]))
    made = interpolated(own, np.array([10.8, 11.5]), TREE)
    assert float(rmsd(made[0], frames[2])) < 1e-6
    assert float(rmsd(made[1], frames[2])) > 1e-3
