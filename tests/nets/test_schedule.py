"""The CV a new pull aims at."""

import pytest
import torch

from smdgen.errors import ConfigError
from smdgen.nets.schedule import Schedule, draw_aims


@pytest.fixture
def schedule():
    """40 pulls from 12 to 32 in 1000 ps whose deviations are a random slope and a random bow."""
    generator = torch.Generator().manual_seed(0)
    t = torch.linspace(0, 1, 201, dtype=torch.float64)
    slope, bow = (torch.randn(40, 1, generator=generator, dtype=torch.float64) for _ in range(2))
    return Schedule(12 + 20 * t + 0.5 * slope * t + 0.8 * bow * t * (1 - t), 1000.0)


def draw(schedule, start, n_steps, target=None, n_samples=4000, seed=1):
    return draw_aims(schedule, start, n_steps, n_samples, target, torch.Generator().manual_seed(seed))


def test_paths_have_the_mean_and_the_spread_of_the_training_pulls(schedule):
    aims = draw(schedule, float(schedule.paths[0, 0]), 10)
    real = schedule.paths[:, ::20]
    torch.testing.assert_close(aims.values.mean(0), real.mean(0), atol=0.05, rtol=0)
    torch.testing.assert_close(aims.values.std(0), real.std(0), atol=0.03, rtol=0.05)
    assert aims.stride_ps == pytest.approx(100.0)


def test_start_and_target_are_met_exactly_and_the_way_between_shrinks(schedule):
    aims = draw(schedule, 13.0, 5, target=25.0)
    assert (aims.values[:, 0] == 13.0).all()
    assert (aims.values[:, -1] == 25.0).all()
    assert aims.stride_ps == pytest.approx(1000 * 12 / 20 / 5, rel=0.05)
    assert (aims.values.diff(dim=1) > 0).all()


@pytest.mark.parametrize("n_steps", [1, 10, 200])
def test_any_number_of_steps_spans_the_whole_way(schedule, n_steps):
    aims = draw(schedule, 12.0, n_steps)
    assert aims.values.shape[1] == n_steps + 1
    assert aims.values[:, -1].mean() == pytest.approx(float(schedule.paths[:, -1].mean()), abs=0.1)


def test_same_generator_same_paths(schedule):
    first, second, other = (draw(schedule, 12.5, 6, n_samples=3, seed=s).values for s in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("start", "target", "says"),
    [(12.5, 60.0, "covers?"), (20.0, 15.0, "behind the start"), (5.0, None, "give a start within")],
)
def test_what_the_pulls_do_not_cover_is_refused(schedule, start, target, says):
    with pytest.raises(ConfigError, match=says):
        draw(schedule, start, 10, target)


def test_falling_pulls_work_the_same_way(schedule):
    falling = Schedule(schedule.paths.flip(1), 1000.0)
    aims = draw(falling, 30.0, 5, target=20.0)
    assert (aims.values.diff(dim=1) < 0).all()


def test_a_start_near_the_beginning_is_the_beginning_although_the_path_first_falls_back(schedule):
    """A slack spring lets the pulls sag from 14 to 12 before they go on: 14.1 is not a later point."""
    t = torch.linspace(0, 1, 201, dtype=torch.float64)
    sagging = Schedule(schedule.paths + 2 * torch.exp(-t / 0.02), 1000.0)
    aims = draw(sagging, 14.1, 10)
    assert aims.stride_ps == pytest.approx(100.0)
    assert draw(sagging, 18.0, 10).stride_ps < 85
