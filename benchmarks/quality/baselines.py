"""Baselines that learn nothing but averages: straight lines and mean paths; and training pulls themselves."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smdgen.geometry.cvs import CollectiveVariable
from smdgen.geometry.frames import superpose

#: Share of the variance that the principal components keep.
KEPT_VARIANCE = 0.99

#: Rounds of superposing frames on their mean.
MEAN_ROUNDS = 3


@dataclass(frozen=True)
class RealPulls:
    """What a baseline may learn from.

    Attributes:
        train: (n_pulls, n_frames, n_atoms, 3), A.
        validation: (n_pulls, n_frames, n_atoms, 3), A.
        cv: The pulled variable.
        duration_ps: ps. From the first to the last frame.
        n_steps: Steps of a rollout over the whole way.
    """

    train: Tensor
    validation: Tensor
    cv: CollectiveVariable
    duration_ps: float
    n_steps: int

    @property
    def stride(self) -> int:
        """Frames of a step."""
        return max(1, (self.train.shape[1] - 1) // self.n_steps)


@dataclass(frozen=True)
class Generator:
    """Whatever makes pulls.

    Attributes:
        pulls: (start (n_atoms, 3), n_samples, seed) -> (n_samples, n_steps, n_atoms, 3), A, and what they
            were steered to, (n_samples, n_steps), or None.
        following: (pulls (n, n_frames, n_atoms, 3), seed) -> (n, n_frames - 1, n_atoms, 3), A: each next
            frame from the true frames before it; None for what does not step.
        rebuilt: (n, n_atoms, 3) -> the same frames through the model; None without an encoder.
    """

    pulls: Callable[[Tensor, int, int], tuple[Tensor, Tensor | None]]
    following: Callable[[Tensor, int], Tensor] | None = None
    rebuilt: Callable[[Tensor], Tensor] | None = None


def training_pulls(real: RealPulls) -> Generator:
    """A training pull itself, whatever the start, and as every sample: what other real pulls reach.

    Seeds that follow each other give other pulls: one that came from two starts would be known by heart in
    the two-sample test.
    """
    frames = real.train[:, _steps(real)]

    def pulls(start: Tensor, n_samples: int, seed: int) -> tuple[Tensor, None]:  # noqa: ARG001
        return frames[seed % len(frames)].expand(n_samples, -1, -1, -1), None

    return Generator(pulls)


def straight_line(real: RealPulls) -> Generator:
    """From the start on a straight line to the last frame of a training pull drawn at random."""
    weights = _weights(real)

    def pulls(start: Tensor, n_samples: int, seed: int) -> tuple[Tensor, None]:
        ends = superpose(_draw(real.train[:, -1], n_samples, seed), start)
        return torch.lerp(start[None, None], ends[:, None], weights[:, None, None]), None

    return Generator(pulls)


def principal_path(real: RealPulls) -> Generator:
    """The same in the principal components of the superposed coordinates."""
    weights, reference = _weights(real), real.train[0, 0]
    frames = superpose(real.train.flatten(0, 1), reference).flatten(1)
    mean = frames.mean(0)
    _, deviations, axes = torch.linalg.svd(frames - mean, full_matrices=False)
    share = deviations.square().cumsum(0) / deviations.square().sum()
    axes = axes[: int((share < KEPT_VARIANCE).sum()) + 1]

    def encode(x: Tensor) -> Tensor:
        return (superpose(x, reference).flatten(-2) - mean) @ axes.T

    def decode(z: Tensor) -> Tensor:
        return (mean + z @ axes).unflatten(-1, reference.shape)

    def pulls(start: Tensor, n_samples: int, seed: int) -> tuple[Tensor, None]:
        ends = encode(_draw(real.train[:, -1], n_samples, seed))
        return decode(torch.lerp(encode(start)[None, None], ends[:, None], weights[:, None])), None

    return Generator(pulls, rebuilt=lambda x: decode(encode(x)))


def mean_path(real: RealPulls) -> Generator:
    """The mean training pull: at each step the frames superposed on their mean, and averaged."""
    frames = real.train[:, _steps(real)]
    mean = frames[0]
    for _ in range(MEAN_ROUNDS):
        mean = superpose(frames, mean).mean(0)

    def pulls(start: Tensor, n_samples: int, seed: int) -> tuple[Tensor, None]:  # noqa: ARG001
        return superpose(mean, start).expand(n_samples, -1, -1, -1), None

    return Generator(pulls)


def _steps(real: RealPulls) -> NDArray[np.int64]:
    """(n_steps,). Frames of the steps of a rollout."""
    return np.linspace(0, real.train.shape[1] - 1, real.n_steps + 1).round().astype(np.int64)[1:]


def _weights(real: RealPulls) -> Tensor:
    """(n_steps,). How far along the way each step is."""
    return torch.arange(1, real.n_steps + 1, dtype=real.train.dtype) / real.n_steps


def _draw(frames: Tensor, n: int, seed: int) -> Tensor:
    """(n, n_atoms, 3). Frames drawn at random."""
    return frames[torch.randint(len(frames), (n,), generator=torch.Generator().manual_seed(seed))]
