"""Two rigid bodies on a hinge are found, whatever the points in between do."""

import numpy as np
import pytest

from smdgen.geometry.rigid_groups import rigid_groups


def hinge(angle, n=40, loop=6, seed=0):
    """(2 n + loop, 3), A. Two random rigid bodies, the second turned about the origin; a loop between."""
    random = np.random.default_rng(seed)
    first, second = (random.normal(0, 5, (n, 3)) + np.array([shift, 0, 0]) for shift in (-12.0, 12.0))
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = second @ np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    middle = np.random.default_rng(int(1000 * angle)).normal(0, 3, (loop, 3))
    return np.concatenate([first, middle, turned])


@pytest.mark.parametrize("shift", [0.0, 30.0])
def test_the_bodies_of_a_hinge_are_the_groups(shift):
    first, last = hinge(0.0), hinge(0.8) + shift
    groups = rigid_groups(first, last)
    assert groups is not None
    loop = set(range(40, 46))
    assert set(groups[0].tolist()) - loop <= set(range(40))
    assert set(groups[1].tolist()) - loop <= set(range(46, 86))
    assert min(map(len, groups)) > 30


def test_a_rigid_molecule_and_a_small_one_have_no_groups():
    random = np.random.default_rng(1)
    assert rigid_groups(*random.normal(0, 5, (2, 6, 3))) is None
