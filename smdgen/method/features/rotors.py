"""Angles whose values crowd in a few wells, spread evenly over the circle, and back.

A methyl group stands in one of three wells. On the plain circle a network that blurs by a few degrees fills
the barriers between them; where each angle is replaced by the share of training angles below it, wells are
wide and barriers narrow, so the same blur keeps to the wells.
"""

import torch
from torch import Tensor

#: Bins of the distribution, and the share of an even distribution in it, so that no bin is empty.
N_BINS, EVEN_SHARE = 72, 0.02


def count(angles: Tensor) -> Tensor:
    """Angles in each of the even bins from -pi to pi.

    Args:
        angles: (n_frames, n_rotors), rad.

    Returns:
        (n_rotors, N_BINS), 64-bit.
    """
    bins = _bin(angles)[0].T
    counts = torch.zeros(len(bins), N_BINS, dtype=torch.float64, device=angles.device)
    return counts.scatter_add_(1, bins, torch.ones_like(bins, dtype=counts.dtype))


def distribution(counts: Tensor) -> Tensor:
    """(n_rotors, N_BINS + 1). Cumulative distribution at the edges of the bins, from 0 to 1."""
    share = (1 - EVEN_SHARE) * counts / counts.sum(1, keepdim=True) + EVEN_SHARE / N_BINS
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
    bins, within = _bin(angles)
    rotor = torch.arange(len(table), device=table.device)
    below, above = table[rotor, bins], table[rotor, bins + 1]
    return 2 * torch.pi * torch.lerp(below, above, within) - torch.pi


def gathered(angles: Tensor, table: Tensor) -> Tensor:
    """The inverse of `spread`: (..., n_rotors), rad, from -pi to pi; differentiable."""
    share = ((angles + torch.pi) / (2 * torch.pi)).clamp(0, 1)
    flat = share.detach().reshape(-1, len(table)).T.contiguous()
    bins = (torch.searchsorted(table, flat, right=True) - 1).clamp(0, N_BINS - 1).T.reshape(share.shape)
    rotor = torch.arange(len(table), device=table.device)
    below, above = table[rotor, bins], table[rotor, bins + 1]
    return 2 * torch.pi / N_BINS * (bins + (share - below) / (above - below)) - torch.pi


def _bin(angles: Tensor) -> tuple[Tensor, Tensor]:
    """Number of the bin of each angle, and where in it the angle lies, from 0 to 1."""
    place = torch.remainder(angles + torch.pi, 2 * torch.pi) * (N_BINS / (2 * torch.pi))
    bins = place.detach().floor().long().clamp(0, N_BINS - 1)
    return bins, place - bins
