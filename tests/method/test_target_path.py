"""The CV a new pull path at."""

import pytest
import torch

from smdgen.errors import ConfigError
from smdgen.method.target_path import follow_schedule, sample_target_path
from smdgen.method.training_paths import TrainingPaths


@pytest.fixture
def training():
    """40 pulls from 12 to 32 in 1000 ps whose deviations are a random slope and a random bow."""
    generator = torch.Generator().manual_seed(0)
    t = torch.linspace(0, 1, 201, dtype=torch.float64)
    slope, bow = (torch.randn(40, 1, generator=generator, dtype=torch.float64) for _ in range(2))
    return TrainingPaths(12 + 20 * t + 0.5 * slope * t + 0.8 * bow * t * (1 - t), 1000.0)


def draw(training, start, n_steps, target=None, n_samples=4000, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return sample_target_path(training, start, n_steps, n_samples, target, generator)


def test_paths_have_the_mean_and_the_spread_of_the_training_pulls(training):
    path = draw(training, float(training.paths[0, 0]), 10)
    real = training.paths[:, ::20]
    torch.testing.assert_close(path.values.mean(0), real.mean(0), atol=0.05, rtol=0)
    torch.testing.assert_close(path.values.std(0), real.std(0), atol=0.03, rtol=0.05)
    assert path.dt_ps == pytest.approx(100.0)


def test_start_and_target_are_met_exactly_and_the_way_between_shrinks(training):
    path = draw(training, 13.0, 5, target=25.0)
    assert (path.values[:, 0] == 13.0).all()
    assert (path.values[:, -1] == 25.0).all()
    assert path.dt_ps == pytest.approx(1000 * 12 / 20 / 5, rel=0.05)
    assert (path.values.diff(dim=1) > 0).all()


@pytest.mark.parametrize("n_steps", [1, 10, 200])
def test_any_number_of_steps_spans_the_whole_way(training, n_steps):
    path = draw(training, 12.0, n_steps)
    assert path.values.shape[1] == n_steps + 1
    assert path.values[:, -1].mean() == pytest.approx(float(training.paths[:, -1].mean()), abs=0.1)


def test_same_generator_same_paths(training):
    first, second, other = (draw(training, 12.5, 6, n_samples=3, seed=s).values for s in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("start", "target", "says"),
    [(12.5, 60.0, "covers?"), (20.0, 15.0, "go from 12.00 to 3"), (5.0, None, "give one within")],
)
def test_what_the_pulls_do_not_cover_is_refused(training, start, target, says):
    with pytest.raises(ConfigError, match=says):
        draw(training, start, 10, target)


def test_falling_pulls_work_the_same_way(training):
    falling = TrainingPaths(training.paths.flip(1), 1000.0)
    path = draw(falling, 30.0, 5, target=20.0)
    assert (path.values.diff(dim=1) < 0).all()


def test_a_start_near_the_beginning_is_the_beginning_although_the_path_first_falls_back(training):
    """A slack spring lets the pulls sag from 14 to 12 before they go on: 14.1 is not a later point."""
    t = torch.linspace(0, 1, 201, dtype=torch.float64)
    sagging = TrainingPaths(training.paths + 2 * torch.exp(-t / 0.02), 1000.0)
    path = draw(sagging, 14.1, 10)
    assert path.dt_ps == pytest.approx(100.0)
    assert draw(sagging, 18.0, 10).dt_ps < 85


def both_ways(training):
    """The pulls of `training`, each going back to where it began."""
    return TrainingPaths(torch.cat([training.paths, training.paths.flip(1)], 1)[:, ::2], 2000.0)


def refolding(training):
    """The pulls of `training`, and as many that go back the same way."""
    return TrainingPaths(torch.cat([training.paths, training.paths.flip(1)]), 1000.0)


@pytest.mark.parametrize("make", [both_ways, refolding])
def test_targets_behind_the_start_are_met_where_the_pulls_go_back(training, make):
    there, back = (draw(make(training), a, 5, target=b) for a, b in ((14.0, 28.0), (28.0, 14.0)))
    assert (there.values[:, -1] == 28.0).all()
    assert (back.values[:, -1] == 14.0).all()
    assert (back.values.diff(dim=1) < 0).all()
    assert back.dt_ps == pytest.approx(there.dt_ps, rel=0.05)
    assert back.dt_ps == pytest.approx(1000 * 14 / 20 / 5, rel=0.05)


def test_without_a_target_refolding_pulls_go_on_from_where_they_begin(training):
    for start, end in ((12.5, 32.0), (31.5, 12.0)):
        path = draw(refolding(training), start, 8)
        assert path.values[:, -1].mean() == pytest.approx(end, abs=0.2)


def test_a_direction_only_some_pulls_cover_has_their_range(training):
    """Half of the pulls go back from 32 to about 25: so far one may go back, and no further."""
    fall = training.paths[:20].flip(1)[:, :70]
    rise = torch.cat([training.paths[:20], fall], 1)[:, ::2]
    some = TrainingPaths(torch.cat([rise, training.paths[20:, : rise.shape[1]]]), 1000.0)
    assert (draw(some, 30.0, 4, target=27.0).values[:, -1] == 27.0).all()
    with pytest.raises(ConfigError, match=r"of that direction cover 2\d\.\d\d to 3"):
        draw(some, 30.0, 4, target=15.0)


def test_a_target_behind_the_start_is_told_the_direction_and_not_the_range(training):
    """A value within the range would be refused next."""
    for target in (5.0, 13.0):
        with pytest.raises(
            ConfigError, match=r"from 20\.00 to .* but all training pulls go from 12\.\d+ to 31"
        ):
            draw(training, 20.0, 4, target=target)
    with pytest.raises(ConfigError, match=r"has CV 50\.00, outside of"):
        draw(training, 20.0, 4, target=50.0)


def test_a_schedule_is_followed_as_it_is_and_takes_the_time_of_real_pulls(training):
    values = torch.tensor([12.0, 12.0, 17.0, 22.0], dtype=torch.float64)
    path = follow_schedule(training, values, 3)
    assert torch.equal(path.values, values.expand(3, -1))
    assert path.dt_ps == pytest.approx(500 / 3, rel=0.02)
    hold = follow_schedule(training, torch.full((4,), 20.0, dtype=torch.float64), 1)
    assert hold.dt_ps == pytest.approx(1000 / 200)


def test_a_schedule_may_turn_only_where_the_pulls_do(training):
    values = torch.tensor([13.0, 28.0, 16.0, 24.0], dtype=torch.float64)
    with pytest.raises(ConfigError, match=r"steps 1 to 2 of the schedule would lead from 28\.00 to 16\.00"):
        follow_schedule(training, values, 1)
    path = follow_schedule(refolding(training), values, 1)
    assert path.dt_ps == pytest.approx(1000 * (15 + 12 + 8) / 20 / 3, rel=0.05)
    with pytest.raises(ConfigError, match="step 2 of the schedule has CV 50"):
        follow_schedule(refolding(training), torch.tensor([13.0, 20.0, 50.0]), 1)


def test_a_schedule_may_fluctuate_as_much_as_the_pulls_do(training):
    """A real pull's own path can be followed; the same with larger steps back cannot."""
    shaking = training.paths + torch.randn(training.paths.shape, generator=torch.Generator().manual_seed(3))
    real = TrainingPaths(shaking, 1000.0)
    path = shaking[0].clamp(float(shaking[1:].min()), float(shaking[1:].max()))[::5]
    assert follow_schedule(real, path, 1).dt_ps == pytest.approx(25.0, rel=0.1)
    with pytest.raises(ConfigError, match="reversals of"):
        follow_schedule(real, torch.tensor([13.0, 25.0, 15.0]), 1)


def test_a_cv_may_lie_beyond_all_pulls_by_their_usual_spread(training):
    """The spread at one time, averaged over time, is 0.27; the start of all pulls is 12."""
    path = draw(training, 11.9, 10)
    assert torch.all(path.values[:, 0] == 11.9)
    with pytest.raises(ConfigError, match=r"the start has CV 11\.60, outside of 12\.00"):
        draw(training, 11.6, 10)
    most = float(training.paths.max())
    assert float(draw(training, 12.0, 10, most + 0.2).values[0, -1]) == pytest.approx(most + 0.2)
    assert float(follow_schedule(training, torch.tensor([12.0, 20.0, most + 0.2]), 1).values[0, -1]) > most
    with pytest.raises(ConfigError, match="the target has CV"):
        draw(training, 12.0, 10, most + 0.4)
    with pytest.raises(ConfigError, match="step 2 of the schedule has CV"):
        follow_schedule(training, torch.tensor([12.0, 20.0, most + 0.4]), 1)


def test_the_width_of_a_single_pull_is_that_of_its_steps(training):
    """One pull has no spread over pulls, but its start is known no better than to its fluctuations."""
    shaking = training.paths[:1] + 0.3 * torch.randn(
        1, training.paths.shape[1], generator=torch.Generator().manual_seed(3)
    )
    single = TrainingPaths(shaking, 1000.0)
    low = float(shaking.min())
    assert float(draw(single, low - 0.2, 10).values[0, 0]) == pytest.approx(low - 0.2)
    with pytest.raises(ConfigError, match="the start has CV"):
        draw(single, low - 1.0, 10)
