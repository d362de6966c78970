"""In which directions of the CV the training pulls go, and how far."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from smdgen.method.presets import DEFAULT, PathNumbers


@dataclass(frozen=True)
class TrainingPaths:
    """CV against time of the training pulls.

    Attributes:
        paths: (n_pulls, n_times). CV of each pull at even times from its first to its last frame; dihedrals
            without jumps.
        duration_ps: ps. From first to last frame.
        numbers: What counts as a way of the pulls.
    """

    paths: Tensor
    duration_ps: float
    numbers: PathNumbers = DEFAULT.paths


def one_way(training: TrainingPaths, sign: float, *, whole: bool = False) -> TrainingPaths | None:
    """The pulls that go one way, and the parts that do of pulls that go both ways.

    Args:
        training: CV of the training pulls.
        sign: 1 for a rising CV, -1 for a falling one.
        whole: Leave parts out.

    Returns:
        None if too few pulls go that way. As many times as in `training`, and the typical duration.
    """
    n_pulls, n_times = training.paths.shape
    own = training.numbers
    least = own.part_share * float(training.paths.max() - training.paths.min())
    parts, shares = [], []
    for path in training.paths:
        ahead = sign * path
        first, last = _longest_rise(ahead)
        if ahead[-1] - ahead[0] >= own.net_share * (path.max() - path.min()):
            first, last = 0, n_times - 1
        elif whole or ahead[last] - ahead[first] < least or last == first:
            continue
        even = torch.linspace(first, last, n_times, dtype=path.dtype)
        parts.append(interpolate(path[None], even)[0])
        shares.append((last - first) / (n_times - 1))
    if len(parts) < max(1, own.least_pulls * n_pulls):
        return None
    return replace(
        training, paths=torch.stack(parts), duration_ps=training.duration_ps * sum(shares) / len(shares)
    )


def wobble(training: TrainingPaths) -> float:
    """How far pulls that go one way typically turn back on it: the median of their largest turns."""
    falls = []
    for path in training.paths:
        for ahead in (path, -path):
            if ahead[-1] - ahead[0] >= training.numbers.net_share * (path.max() - path.min()):
                first, last = _longest_rise(-ahead)
                falls.append(float(ahead[first] - ahead[last]))
    return float(torch.tensor(falls).median()) if falls else 0.0


def goes(training: TrainingPaths) -> str:
    """The ways of the pulls in words: `from 14.01 to 31.02`."""
    means = [part.paths.mean(0) for sign in (1.0, -1.0) if (part := one_way(training, sign)) is not None]
    return " and ".join(f"from {mean[0]:.2f} to {mean[-1]:.2f}" for mean in means) or "nowhere"


def turns(values: Tensor, tolerance: float) -> Sequence[int]:
    """Where a path turns, with its first and last index; turns within the tolerance do not count.

    Args:
        values: (n,).
        tolerance: In the unit of the values.
    """
    numbers = values.tolist()
    found, sign, low, high = [0], 0, 0, 0
    for i, value in enumerate(numbers):
        high = i if value > numbers[high] else high
        low = i if value < numbers[low] else low
        if sign >= 0 and numbers[high] - value > tolerance:
            found, sign, low = [*found, high], -1, i
        elif sign <= 0 and value - numbers[low] > tolerance:
            found, sign, high = [*found, low], 1, i
    return sorted({*found, len(numbers) - 1})


def interpolate(paths: Tensor, times: Tensor) -> Tensor:
    """(n_pulls, n): (n_pulls, n_times) at fractional indices (n,)."""
    left = times.floor().long().clamp(0, paths.shape[1] - 2)
    return torch.lerp(paths[:, left], paths[:, left + 1], (times - left).expand(len(paths), -1))


def _longest_rise(ahead: Tensor) -> tuple[int, int]:
    """Indices i <= j with the largest ahead[j] - ahead[i]."""
    lowest, where = torch.cummin(ahead, 0)
    last = int((ahead - lowest).argmax())
    return int(where[last]), last
