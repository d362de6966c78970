"""The CV a new pull aims at, step by step: as the training pulls go."""

from dataclasses import dataclass

import torch
from torch import Tensor

from smdgen.errors import ConfigError

#: Uncertainty of a CV that is given (start, target), in the CV's unit.
_GIVEN_DEVIATION = 0.05


@dataclass(frozen=True)
class Schedule:
    """CV against time of the training pulls.

    Attributes:
        paths: (n_pulls, n_times). CV of each pull at even times from its first to its last frame.
        duration_ps: ps. From first to last frame.
    """

    paths: Tensor
    duration_ps: float


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
        ConfigError: The target lies outside of what the training pulls cover, or behind the start.

    Source: C. E. Rasmussen and C. Williams, Gaussian Processes for Machine Learning (2006), eq. 2.19.
    """
    mean = schedule.paths.mean(0)
    first, last = _way(schedule, mean, start, target)
    times = torch.linspace(first, last, n_steps + 1, dtype=torch.float64)
    paths = _interpolate(schedule.paths.double(), times)
    expected = paths.mean(0)
    spread = (paths - expected) / max(len(paths) - 1, 1) ** 0.5
    weights = torch.randn(n_samples, len(paths), generator=generator, dtype=torch.float64)
    values = expected + weights @ spread
    given = [0] if target is None else [0, n_steps]
    wanted = torch.tensor([start] if target is None else [start, target], dtype=torch.float64)
    covariance = spread.T @ spread
    known = covariance[given][:, given] + _GIVEN_DEVIATION**2 * torch.eye(len(given), dtype=torch.float64)
    gain = torch.linalg.solve(known, covariance[given]).T
    values = values + (wanted - values[:, given]) @ gain.T
    values[:, given] = wanted
    stride = schedule.duration_ps * (last - first) / (mean.numel() - 1) / n_steps
    return Aims(values.to(schedule.paths.dtype), float(stride))


def _way(schedule: Schedule, mean: Tensor, start: float, target: float | None) -> tuple[float, float]:
    """Where on the mean path (in its own index) a rollout begins and ends.

    A start within twice the usual spread of where the pulls begin is their beginning, because a mean path
    may first fall back (a slack spring) and pass the same value much later.
    """
    sign = 1.0 if mean[-1] >= mean[0] else -1.0
    low, high = float(schedule.paths.min()), float(schedule.paths.max())
    if not low <= start <= high:
        raise ConfigError(
            f"the start has CV {start:.2f}, "
            f"the training pulls cover {low:.2f} to {high:.2f}; give a start within"
        )
    if target is not None and not low <= target <= high:
        raise ConfigError(
            f"target {target:.2f} is outside of {low:.2f} to {high:.2f}, which the training pulls cover; "
            "give a target within, or train on pulls that reach it"
        )
    if target is not None and sign * (target - start) <= 0:
        raise ConfigError(
            f"target {target:.2f} lies behind the start at {start:.2f}: the training pulls go from "
            f"{mean[0]:.2f} to {mean[-1]:.2f}; give a target ahead, or train on pulls that go back"
        )
    climb = torch.cummax(sign * mean, 0).values
    end = mean.numel() - 1
    spread = float(schedule.paths.std(0, correction=0).mean())
    first = int((climb < sign * start).sum()) if sign * start > float(climb[0]) + 2 * spread else 0
    last = end if target is None else min(int((climb < sign * target).sum()), end)
    if first >= end:
        raise ConfigError(
            f"the start has CV {start:.2f}, where the training pulls end ({mean[-1]:.2f}); "
            "give a start earlier on the way"
        )
    return float(first), float(max(last, first + 1))


def _interpolate(paths: Tensor, times: Tensor) -> Tensor:
    """(n_pulls, n): (n_pulls, n_times) at fractional indices (n,)."""
    left = times.floor().long().clamp(0, paths.shape[1] - 2)
    return torch.lerp(paths[:, left], paths[:, left + 1], (times - left).expand(len(paths), -1))
