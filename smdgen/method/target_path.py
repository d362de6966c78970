"""The CV that each step of a new pull is to have: drawn as the training pulls go, or given and checked.

| symbol   | here                                                                                   |
|----------|----------------------------------------------------------------------------------------|
| m(t)     | `expected`: mean of the training paths between start and target                        |
| K        | `spread.T @ spread`: their covariance                                                  |
| y, s     | `wanted`, `training.numbers.given_deviation`: CVs that are given, their uncertainty    |
| gain     | K(:, given) (K(given, given) + s^2)^-1                                                 |
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from smdgen.errors import ConfigError
from smdgen.method.training_paths import TrainingPaths, goes, interpolate, one_way, turns, wobble


@dataclass(frozen=True)
class TargetPath:
    """The target CV of every step of a rollout.

    Attributes:
        values: (n_samples, n_steps + 1). Target CV of each step, the start's first.
        dt_ps: ps. Time between steps.
    """

    values: Tensor
    dt_ps: float


def sample_target_path(
    training: TrainingPaths,
    start: float,
    n_steps: int,
    n_samples: int,
    target: float | None,
    generator: torch.Generator,
) -> TargetPath:
    """CV paths from a start to a target with the mean and the fluctuations of the training pulls.

    The pulls are taken as a Gaussian process with their own mean and covariance, of which paths
    are drawn given the start's CV (and the target, when there is one). The way covered is the part
    of the mean path between the start's CV and the target; without a target, up to its end.

    Args:
        training: CV of the training pulls.
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
    training = _towards(training, start, target)
    mean = training.paths.mean(0)
    first, last = _way(training, mean, start, target)
    times = torch.linspace(first, last, n_steps + 1, dtype=torch.float64)
    paths = interpolate(training.paths.double(), times)
    expected = paths.mean(0)
    spread = (paths - expected) / max(len(paths) - 1, 1) ** 0.5
    weights = torch.randn(n_samples, len(paths), generator=generator, dtype=torch.float64)
    values = expected + weights @ spread
    given = [0] if target is None else [0, n_steps]
    wanted = torch.tensor([start] if target is None else [start, target], dtype=torch.float64)
    covariance = spread[:, given].T @ spread
    known = covariance[:, given] + training.numbers.given_deviation**2 * torch.eye(
        len(given), dtype=torch.float64
    )
    gain = torch.linalg.solve(known, covariance).T
    values = values + (wanted - values[:, given]) @ gain.T
    values[:, given] = wanted
    dt_ps = training.duration_ps * (last - first) / (mean.numel() - 1) / n_steps
    return TargetPath(values.to(training.paths.dtype), float(dt_ps))


def follow_schedule(training: TrainingPaths, values: Tensor, n_samples: int) -> TargetPath:
    """A path given step by step, if the training pulls go that way.

    Parts that turn back by no more than the training pulls do on their way count as fluctuations. Each
    other part takes the time the training pulls take for it, and all steps are equally long; if there is
    none, a step takes as long as the frame of a training pull.

    Args:
        training: CV of the training pulls.
        values: (n_steps + 1,). CV at each step, the start's first.
        n_samples: Paths wanted; all are the same.

    Raises:
        ConfigError: A value outside of what the training pulls cover, or a part against their direction.
    """
    for step, value in enumerate(values.tolist()):
        _check_range(training, f"step {step} of the schedule" if step else "the start", value)
    tolerance, way = wobble(training), 0.0
    points = turns(values, tolerance)
    for here, there in itertools.pairwise(points):
        first, last = float(values[here]), float(values[there])
        if abs(last - first) > tolerance:
            what = f"steps {here} to {there} of the schedule"
            part = _in_direction(training, first, last, what)
            part = _covering(part, training, first, last, what)
            begin, end = _way(part, part.paths.mean(0), first, last)
            way += (end - begin) * part.duration_ps
    n_steps, n_times = len(values) - 1, training.paths.shape[1]
    dt_ps = (way or training.duration_ps * n_steps) / (n_times - 1) / n_steps
    return TargetPath(values.to(training.paths).expand(n_samples, -1), dt_ps)


def _towards(training: TrainingPaths, start: float, target: float | None) -> TrainingPaths:
    """The training pulls, or parts of them, that go from the start to the target."""
    _check_range(training, "the start", start)
    if target is not None:
        towards = _in_direction(training, start, target, "the target")
        _check_range(training, "the target", target)
        return _covering(towards, training, start, target, "the target")
    both = [part for sign in (1.0, -1.0) if (part := one_way(training, sign, whole=True)) is not None]
    return min(both, key=lambda part: abs(float(part.paths[:, 0].mean()) - start), default=training)


def _usual_spread(training: TrainingPaths) -> float:
    """How far training pulls are apart at one time: the width that their spring leaves them, sqrt(kT / k).

    A start, a target or a step of a schedule may lie that far beyond all of them. Of a single pull it is the
    standard deviation of its steps.
    """
    paths = training.paths
    spread = paths.std(0, correction=0).mean() if len(paths) > 1 else paths.diff().std(correction=0)
    return float(spread)


def _check_range(training: TrainingPaths, what: str, value: float) -> None:
    low, high = float(training.paths.min()), float(training.paths.max())
    slack = _usual_spread(training)
    if not low - slack <= value <= high + slack:
        raise ConfigError(
            f"{what} has CV {value:.2f}, outside of {low:.2f} to {high:.2f}, which the training pulls cover; "
            "give one within, or train on pulls that reach it"
        )


def _in_direction(training: TrainingPaths, first: float, last: float, what: str) -> TrainingPaths:
    """The pulls, or parts of them, that go in the direction from one value to another.

    Raises:
        ConfigError: There are none.
    """
    signs = [1.0] * (last >= first) + [-1.0] * (last <= first)
    part = next((part for sign in signs if (part := one_way(training, sign)) is not None), None)
    if part is None:
        raise ConfigError(
            f"{what} would lead from {first:.2f} to {last:.2f}, but all training pulls go {goes(training)} "
            f"(reversals of {wobble(training):.2f} are usual); give values in that direction, or train on "
            "pulls that also go back"
        )
    return part


def _covering(
    part: TrainingPaths, training: TrainingPaths, first: float, last: float, what: str
) -> TrainingPaths:
    """The pulls of one direction, if they reach from one value to another.

    Raises:
        ConfigError: They do not.
    """
    low, high = float(part.paths.min()), float(part.paths.max())
    slack = _usual_spread(training)
    if not (low - slack <= first <= high + slack and low - slack <= last <= high + slack):
        raise ConfigError(
            f"{what} would lead from {first:.2f} to {last:.2f}, but the training pulls of that direction "
            f"cover {low:.2f} to {high:.2f}; give values within"
        )
    return part


def _way(training: TrainingPaths, mean: Tensor, start: float, target: float | None) -> tuple[float, float]:
    """Where on the mean path (in its own index) a rollout begins and ends.

    A start within a few usual spreads of where the pulls begin is their beginning, because a mean path
    may first fall back (a slack spring) and pass the same value much later.
    """
    sign = 1.0 if mean[-1] >= mean[0] else -1.0
    climb = torch.cummax(sign * mean, 0).values
    end = mean.numel() - 1
    near = training.numbers.near_start * _usual_spread(training)
    first = int((climb < sign * start).sum()) if sign * start > float(climb[0]) + near else 0
    last = end if target is None else min(int((climb < sign * target).sum()), end)
    if first >= end and target is None:
        raise ConfigError(
            f"the start has CV {start:.2f}, where the training pulls end ({mean[-1]:.2f}); "
            "give a start at which they are not finished"
        )
    first = min(first, end - 1)
    return float(first), float(max(last, first + 1))
