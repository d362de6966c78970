"""The CV a new pull aims at, step by step: as the training pulls go."""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from smdgen.errors import ConfigError
from smdgen.method.training_paths import Schedule, goes, interpolate, one_way, turns, wobble


@dataclass(frozen=True)
class Aims:
    """What one rollout aims at.

    Attributes:
        values: (n_samples, n_steps + 1). CV at each step, the start's first.
        stride_ps: ps. Time between steps.
    """

    values: Tensor
    stride_ps: float


def draw_aims(
    schedule: Schedule,
    start: float,
    n_steps: int,
    n_samples: int,
    target: float | None,
    generator: torch.Generator,
) -> Aims:
    """CV paths from a start to a target with the mean and the fluctuations of the training pulls.

    The pulls are taken as a Gaussian process with their own mean and covariance, of which paths
    are drawn given the start's CV (and the target, when there is one). The way covered is the part
    of the mean path between the start's CV and the target; without a target, up to its end.

    Args:
        schedule: CV of the training pulls.
        start: CV of the start structure.
        n_steps: Steps of the rollout.
        n_samples: Paths to draw.
        target: CV to end at; None: where the training pulls end.
        generator: Draws the fluctuations.

    Raises:
        ConfigError: The start or the target lies outside of what the training pulls cover, or they do not
            go that way.

    Source: C. E. Rasmussen and C. Williams, Gaussian Processes for Machine Learning (2006), eq. 2.19.
    """
    schedule = _towards(schedule, start, target)
    mean = schedule.paths.mean(0)
    first, last = _way(schedule, mean, start, target)
    times = torch.linspace(first, last, n_steps + 1, dtype=torch.float64)
    paths = interpolate(schedule.paths.double(), times)
    expected = paths.mean(0)
    spread = (paths - expected) / max(len(paths) - 1, 1) ** 0.5
    weights = torch.randn(n_samples, len(paths), generator=generator, dtype=torch.float64)
    values = expected + weights @ spread
    given = [0] if target is None else [0, n_steps]
    wanted = torch.tensor([start] if target is None else [start, target], dtype=torch.float64)
    covariance = spread[:, given].T @ spread
    known = covariance[:, given] + schedule.numbers.given_deviation**2 * torch.eye(
        len(given), dtype=torch.float64
    )
    gain = torch.linalg.solve(known, covariance).T
    values = values + (wanted - values[:, given]) @ gain.T
    values[:, given] = wanted
    stride = schedule.duration_ps * (last - first) / (mean.numel() - 1) / n_steps
    return Aims(values.to(schedule.paths.dtype), float(stride))


def follow(schedule: Schedule, values: Tensor, n_samples: int) -> Aims:
    """A path given step by step, if the training pulls go that way.

    Parts that turn back by no more than the training pulls do on their way count as fluctuations. Each
    other part takes the time the training pulls take for it, and all steps are equally long; if there is
    none, a step takes as long as the frame of a training pull.

    Args:
        schedule: CV of the training pulls.
        values: (n_steps + 1,). CV at each step, the start's first.
        n_samples: Paths wanted; all are the same.

    Raises:
        ConfigError: A value outside of what the training pulls cover, or a part against their direction.
    """
    for step, value in enumerate(values.tolist()):
        _check_range(schedule, f"step {step} of the schedule" if step else "the start", value)
    tolerance, way = wobble(schedule), 0.0
    points = turns(values, tolerance)
    for here, there in itertools.pairwise(points):
        first, last = float(values[here]), float(values[there])
        if abs(last - first) > tolerance:
            what = f"steps {here} to {there} of the schedule"
            part = _in_direction(schedule, first, last, what)
            part = _covering(part, schedule, first, last, what)
            begin, end = _way(part, part.paths.mean(0), first, last)
            way += (end - begin) * part.duration_ps
    n_steps, n_times = len(values) - 1, schedule.paths.shape[1]
    stride = (way or schedule.duration_ps * n_steps) / (n_times - 1) / n_steps
    return Aims(values.to(schedule.paths).expand(n_samples, -1), stride)


def _towards(schedule: Schedule, start: float, target: float | None) -> Schedule:
    """The training pulls, or parts of them, that go from the start to the target."""
    _check_range(schedule, "the start", start)
    if target is not None:
        towards = _in_direction(schedule, start, target, "the target")
        _check_range(schedule, "the target", target)
        return _covering(towards, schedule, start, target, "the target")
    both = [part for sign in (1.0, -1.0) if (part := one_way(schedule, sign, whole=True)) is not None]
    return min(both, key=lambda part: abs(float(part.paths[:, 0].mean()) - start), default=schedule)


def _usual_spread(schedule: Schedule) -> float:
    """How far training pulls are apart at one time: the width that their spring leaves them, sqrt(kT / k).

    A start, a target or a step of a schedule may lie that far beyond all of them. Of a single pull it is the
    standard deviation of its steps.
    """
    paths = schedule.paths
    spread = paths.std(0, correction=0).mean() if len(paths) > 1 else paths.diff().std(correction=0)
    return float(spread)


def _check_range(schedule: Schedule, what: str, value: float) -> None:
    low, high = float(schedule.paths.min()), float(schedule.paths.max())
    slack = _usual_spread(schedule)
    if not low - slack <= value <= high + slack:
        raise ConfigError(
            f"{what} has CV {value:.2f}, outside of {low:.2f} to {high:.2f}, which the training pulls cover; "
            "give one within, or train on pulls that reach it"
        )


def _in_direction(schedule: Schedule, first: float, last: float, what: str) -> Schedule:
    """The pulls, or parts of them, that go in the direction from one value to another.

    Raises:
        ConfigError: There are none.
    """
    signs = [1.0] * (last >= first) + [-1.0] * (last <= first)
    part = next((part for sign in signs if (part := one_way(schedule, sign)) is not None), None)
    if part is None:
        raise ConfigError(
            f"{what} would lead from {first:.2f} to {last:.2f}, but all training pulls go {goes(schedule)} "
            f"(reversals of {wobble(schedule):.2f} are usual); give values in that direction, or train on "
            "pulls that also go back"
        )
    return part


def _covering(part: Schedule, schedule: Schedule, first: float, last: float, what: str) -> Schedule:
    """The pulls of one direction, if they reach from one value to another.

    Raises:
        ConfigError: They do not.
    """
    low, high = float(part.paths.min()), float(part.paths.max())
    slack = _usual_spread(schedule)
    if not (low - slack <= first <= high + slack and low - slack <= last <= high + slack):
        raise ConfigError(
            f"{what} would lead from {first:.2f} to {last:.2f}, but the training pulls of that direction "
            f"cover {low:.2f} to {high:.2f}; give values within"
        )
    return part


def _way(schedule: Schedule, mean: Tensor, start: float, target: float | None) -> tuple[float, float]:
    """Where on the mean path (in its own index) a rollout begins and ends.

    A start within a few usual spreads of where the pulls begin is their beginning, because a mean path
    may first fall back (a slack spring) and pass the same value much later.
    """
    sign = 1.0 if mean[-1] >= mean[0] else -1.0
    climb = torch.cummax(sign * mean, 0).values
    end = mean.numel() - 1
    near = schedule.numbers.near_start * _usual_spread(schedule)
    first = int((climb < sign * start).sum()) if sign * start > float(climb[0]) + near else 0
    last = end if target is None else min(int((climb < sign * target).sum()), end)
    if first >= end and target is None:
        raise ConfigError(
            f"the start has CV {start:.2f}, where the training pulls end ({mean[-1]:.2f}); "
            "give a start at which they are not finished"
        )
    first = min(first, end - 1)
    return float(first), float(max(last, first + 1))
