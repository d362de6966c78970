"""Work of a moving restraint and the free energy from it."""

import itertools
import math

import numpy as np
import pytest

from smdgen.errors import ConfigError
from smdgen.steered_md.work import jarzynski_profile, work_of_move
from smdgen.units import BOLTZMANN


def test_the_work_of_a_move_is_the_change_of_the_spring_energy():
    """k/2 (3 - 5)^2 - k/2 (3 - 4)^2 with k = 2 is 3."""
    assert work_of_move(3.0, 4.0, 5.0, 2.0) == pytest.approx(3.0)


def test_small_moves_add_up_to_the_integral_of_the_force():
    """A spring moved at a fixed CV does k/2 ((d - c1)^2 - (d - c0)^2), however fine the moves."""
    centres = np.linspace(12.0, 34.0, 1001)
    total = sum(work_of_move(20.0, a, b, 1.0) for a, b in itertools.pairwise(centres))
    assert total == pytest.approx(0.5 * (14.0**2 - 8.0**2))


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_gaussian_work_gives_the_known_free_energy(sigma):
    """For work ~ N(mean, sigma^2) the exact answer is mean - sigma^2 / 2kT."""
    work = np.random.default_rng(1).normal(10.0, sigma, size=(400_000, 1))
    expected = 10.0 - sigma**2 / (2 * BOLTZMANN * 300.0)
    assert jarzynski_profile(work, 300.0)[0] == pytest.approx(expected, abs=0.03)


def test_equal_work_is_the_free_energy_and_large_work_does_not_overflow():
    """exp(-W / kT) of 1e5 kcal/mol is 0 in floating point; the estimate must still be W."""
    assert jarzynski_profile(np.full(5, 1e5), 300.0) == pytest.approx(1e5)
    assert jarzynski_profile(np.full(5, -1e5), 300.0) == pytest.approx(-1e5)


def test_the_estimate_lies_between_the_smallest_work_and_the_mean():
    work = np.random.default_rng(2).normal(17.0, 2.0, size=(50, 20))
    estimate = jarzynski_profile(work, 300.0)
    assert (estimate <= work.mean(axis=0)).all()
    assert (estimate >= work.min(axis=0)).all()


@pytest.mark.parametrize(
    ("work", "temperature"), [(np.ones((1, 4)), 300.0), (np.ones(3), 0.0), (np.ones(3), math.nan)]
)
def test_too_few_pulls_or_no_temperature_is_refused(work, temperature):
    with pytest.raises(ConfigError):
        jarzynski_profile(work, temperature)
