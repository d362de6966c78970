"""Sequences of encoded pulls, as the dynamics learn from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smdgen.dataset.dataset import Pull
from smdgen.method.model import Condition


@dataclass(frozen=True)
class EncodedPulls:
    """The pulls of a dataset with their latents.

    Attributes:
        means: (n_frames, latent_size). Mean latent of each frame.
        cv_values: (n_frames,). CV of each frame, in its unit; dihedrals without jumps.
        times_ps: (n_frames,), ps. Time within the trajectory.
        pulls: Frames, split and trajectory of each.
    """

    means: NDArray[np.floating]
    cv_values: NDArray[np.float64]
    times_ps: NDArray[np.float64]
    pulls: tuple[Pull, ...]


@dataclass(frozen=True)
class Sequences:
    """Encoded pulls of one split: (n_frames, latent_size) and (n_frames,), and where each pull lies."""

    z: Tensor
    cv: Tensor
    ranges: tuple[slice, ...]
    interval_ps: float

    @property
    def longest(self) -> int:
        """Frames of the longest pull."""
        longest: int = max(part.stop - part.start for part in self.ranges)
        return longest


def sequences(encoded: EncodedPulls, split: str) -> Sequences:
    """The encoded pulls of one split, one after another."""
    chosen = [(pull.start, pull.stop) for pull in encoded.pulls if pull.split == split]
    rows = np.concatenate([np.arange(start, stop) for start, stop in chosen])
    ends = np.cumsum([stop - start for start, stop in chosen])
    ranges = tuple(slice(int(end - (b - a)), int(end)) for end, (a, b) in zip(ends, chosen, strict=True))
    steps = np.concatenate([np.diff(encoded.times_ps[start:stop]) for start, stop in chosen])
    z = torch.from_numpy(encoded.means[rows])
    return Sequences(
        z, torch.from_numpy(encoded.cv_values[rows]).to(z.dtype), ranges, float(np.median(steps))
    )


def draw_batch(
    data: Sequences, stride: int, most_steps: int, n_rows: int, generator: torch.Generator
) -> tuple[Tensor, Condition]:
    """Sequences with one stride from anywhere in the pulls.

    Args:
        data: Encoded pulls.
        stride: Frames between two steps.
        most_steps: Steps of a sequence, where the pulls are long enough.
        n_rows: How many to draw.
        generator: Draws them.

    Returns:
        Latents (n_rows, n_steps + 1, latent_size) and their condition, (n_rows, n_steps) each.
    """
    n_steps = max(1, min(most_steps, (data.longest - 1) // stride))
    table = torch.from_numpy(windows(data.ranges, n_steps + 1, stride))
    rows = table[torch.randint(len(table), (n_rows,), generator=generator)]
    cv = data.cv[rows]
    dt_ps = torch.full_like(cv[:, 1:], stride * data.interval_ps)
    return data.z[rows], Condition(cv[:, :-1], cv[:, 1:], dt_ps)


class FrameRange(Protocol):
    """What has a first frame and an end, such as a `Pull`."""

    @property
    def start(self) -> int:
        """First frame."""

    @property
    def stop(self) -> int:
        """Frame after the last."""


def windows(pulls: Sequence[FrameRange], length: int, stride: int = 1) -> NDArray[np.int64]:
    """Every window of frames, equally spaced, that lies within one pull.

    Args:
        pulls: Ranges of frames of the store.
        length: Frames in a window, at least 1.
        stride: Distance between two frames of a window, at least 1. Windows start at every frame.

    Returns:
        (n_windows, length) frame indices of the store, in the order of the pulls. Pulls shorter
        than a window add none.
    """
    assert length >= 1
    assert stride >= 1
    span = (length - 1) * stride
    starts = [np.arange(pull.start, max(pull.start, pull.stop - span), dtype=np.int64) for pull in pulls]
    firsts = np.concatenate([np.empty(0, dtype=np.int64), *starts])
    return firsts[:, None] + stride * np.arange(length, dtype=np.int64)
