"""The mean of latents along the CV: what a step is, before anything is learned of how pulls differ.

| symbol   | here                                                                                   |
|----------|----------------------------------------------------------------------------------------|
| c        | CV of a frame                                                                          |
| z(c)     | mean latent at a CV: local linear regression with Gaussian weights of width h          |
| h        | the width that tells left-out frames best; frames next to them in time are left out    |
|          | too; within a gap it grows, so that frames of both sides count                         |

Source: W. S. Cleveland, J. Am. Stat. Assoc. 74, 829 (1979), local linear regression.
"""

import torch
from torch import Tensor

from smdgen.method.presets import MeanPathNumbers


def mean_path(
    cv: Tensor, z: Tensor, scale: Tensor, n_knots: int, numbers: MeanPathNumbers
) -> tuple[Tensor, Tensor, Tensor]:
    """The mean of latents along the CV.

    Args:
        cv: (n_frames,). Of training frames, in the order of time within a pull.
        z: (n_frames, latent_size).
        scale: (latent_size,). What a unit of each latent counts, where widths are compared.
        n_knots: Knots of the path, at even CVs.
        numbers: Widths to try.

    Returns:
        CV of the knots (n_knots,), latents there (n_knots, latent_size), and the standard deviation of
        the frames from the path (latent_size,).
    """
    c, values = cv.double(), z.double()
    low, high = float(c.min()), float(c.max())
    span = max(high - low, numbers.least_range)
    near = (torch.arange(len(c))[:, None] - torch.arange(len(c))).abs() <= numbers.left_out

    def left_out_error(width: float) -> float:
        off = values - _regression(c, values, c, width, numbers, near)
        return float((off * scale.double()).square().mean())

    width = min((share * span for share in numbers.widths), key=left_out_error)
    knots = torch.linspace(low, high, n_knots, dtype=torch.float64)
    along = _regression(c, values, knots, width, numbers, None)
    off = values - _regression(c, values, c, width, numbers, None)
    return knots.to(cv), along.to(z), off.square().mean(0).sqrt().to(z)


def at(cv: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """(..., latent_size). The path at CVs (...,), straight between knots and beyond them."""
    step = (knots[-1] - knots[0]) / (len(knots) - 1)
    place = (cv - knots[0]) / step.clamp_min(torch.finfo(step.dtype).eps)
    left = place.floor().long().clamp(0, len(knots) - 2)
    return torch.lerp(values[left], values[left + 1], (place - left)[..., None].to(values))


def _regression(
    c: Tensor, values: Tensor, where: Tensor, width: float, numbers: MeanPathNumbers, left_out: Tensor | None
) -> Tensor:
    """(n_where, latent_size). Local linear regression of values (n, latent_size) on c (n,)."""
    apart = c - where[:, None]
    seen = torch.ones_like(apart, dtype=torch.bool) if left_out is None else ~left_out
    h = (numbers.gap_share * _to_both_sides(apart, seen)).clamp_min(width)[:, None]
    log_weight = (-0.5 * (apart / h).square()).masked_fill(~seen, -torch.inf)
    weight = (log_weight - log_weight.amax(1, keepdim=True)).exp()
    total = weight.sum(1, keepdim=True)
    centre = (weight * apart).sum(1, keepdim=True) / total
    spread = (weight * (apart - centre).square()).sum(1, keepdim=True) / total + numbers.ridge * h.square()
    slope_weight = weight * (apart - centre) / spread
    mean, slope = weight @ values / total, slope_weight @ values / total
    return mean - slope * centre


def _to_both_sides(apart: Tensor, seen: Tensor) -> Tensor:
    """(n_where,). How far the nearest frames of both sides are: the farther one, at an end the only one."""
    ahead = apart.masked_fill(~seen | (apart < 0), torch.inf).amin(1)
    behind = (-apart).masked_fill(~seen | (apart > 0), torch.inf).amin(1)
    farther = torch.maximum(ahead, behind)
    return torch.where(farther.isfinite(), farther, torch.minimum(ahead, behind))
