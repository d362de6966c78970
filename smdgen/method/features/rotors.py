"""Angles whose values crowd in a few wells, spread evenly over the circle, and back.

A methyl group stands in one of three wells. On the plain circle a network that blurs by a few degrees fills
the barriers between them; where each angle is replaced by the share of training angles below it, wells are
wide and barriers narrow, so the same blur keeps to the wells.

| symbol   | here                                                                                   |
|----------|----------------------------------------------------------------------------------------|
| t        | `angles`, rad, from -pi to pi                                                          |
| F        | `table`: share of training angles below the edge of each bin, lines between            |
| u        | 2 pi F(t) - pi: `spread`; t from u: `gathered`                                         |
"""

import torch
from torch import Tensor


def count(angles: Tensor, n_bins: int) -> Tensor:
    """Angles in each of the even bins from -pi to pi.

    Args:
        angles: (n_frames, n_rotors), rad.
        n_bins: How many bins.

    Returns:
        (n_rotors, n_bins), 64-bit.
    """
    bins = _bin(angles, n_bins)[0].T
    counts = torch.zeros(len(bins), n_bins, dtype=torch.float64, device=angles.device)
    return counts.scatter_add_(1, bins, torch.ones_like(bins, dtype=counts.dtype))


def distribution(counts: Tensor, even_share: float) -> Tensor:
    """Cumulative distribution at the edges of the bins, from 0 to 1.

    Args:
        counts: (n_rotors, n_bins). From `count`.
        even_share: Share of an even distribution that is mixed in, so that no bin is empty.

    Returns:
        (n_rotors, n_bins + 1).
    """
    share = (1 - even_share) * counts / counts.sum(1, keepdim=True) + even_share / counts.shape[1]
    table = torch.cat([torch.zeros_like(share[:, :1]), share.cumsum(1)], 1)
    return table / table[:, -1:]


def spread(angles: Tensor, table: Tensor) -> Tensor:
    """Angles that spread evenly where `angles` follow the distribution.

    Args:
        angles: (..., n_rotors), rad.
        table: From `distribution`.

    Returns:
        (..., n_rotors), rad, from -pi to pi.
    """
    bins, within = _bin(angles, table.shape[1] - 1)
    rotor = torch.arange(len(table), device=table.device)
    below, above = table[rotor, bins], table[rotor, bins + 1]
    return 2 * torch.pi * torch.lerp(below, above, within) - torch.pi


def gathered(angles: Tensor, table: Tensor) -> Tensor:
    """The inverse of `spread`: (..., n_rotors), rad, from -pi to pi; differentiable."""
    share = ((angles + torch.pi) / (2 * torch.pi)).clamp(0, 1)
    flat = share.detach().reshape(-1, len(table)).T.contiguous()
    n_bins = table.shape[1] - 1
    bins = (torch.searchsorted(table, flat, right=True) - 1).clamp(0, n_bins - 1).T.reshape(share.shape)
    rotor = torch.arange(len(table), device=table.device)
    below, above = table[rotor, bins], table[rotor, bins + 1]
    return 2 * torch.pi / n_bins * (bins + (share - below) / (above - below)) - torch.pi


def _bin(angles: Tensor, n_bins: int) -> tuple[Tensor, Tensor]:
    """Number of the bin of each angle, and where in it the angle lies, from 0 to 1."""
    place = torch.remainder(angles + torch.pi, 2 * torch.pi) * (n_bins / (2 * torch.pi))
    bins = place.detach().floor().long().clamp(0, n_bins - 1)
    return bins, place - bins
