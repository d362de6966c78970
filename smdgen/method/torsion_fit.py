"""The least turn of bonds that brings atoms to wanted distances, keeps them apart and meets a CV.

| symbol      | here                                                                                    |
|-------------|-----------------------------------------------------------------------------------------|
| theta       | `torsions`, the torsions that may turn, rad; theta(0): where they are wanted            |
| n, p        | `Turns.axis`: direction of a bond about which atoms turn, and a point on it             |
| d(a, b)     | distance of a pair; u = (x_b - x_a) / d                                                 |
| J           | dd / dtheta = +-(n . (x_b x u) - u . (n x p)), 0 where both atoms turn or neither       |
| r           | residuals: distances, theta - theta(0), overlaps and the CV, each over its deviation    |
| H, g        | J' W J and J' W r                                                                       |
| step        | -(H + lambda diag H)^-1 g, taken if the sum of squares falls                            |

A torsion moves all that follows, so that first-order methods crawl; Levenberg-Marquardt steps see the lever
arms and need some ten. Distances along the chain come first, then ever longer ones: each stage starts near
enough, and the last one meets a map of distances from any start.

Source: D. W. Marquardt, J. SIAM 11, 431 (1963); W. Braun and N. Go, J. Mol. Biol. 186, 611 (1985), who fit
torsions to distances from the near to the far.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smdgen.geometry.frames import wrap
from smdgen.geometry.internal import InternalTree, to_cartesian
from smdgen.method.presets import TorsionFitNumbers

#: Frames (n, n_atoms, 3) -> how far their CV is from what it is to be, (n,), in its unit.
CvError = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Turns:
    """Torsions that may turn, and what they move.

    Attributes:
        rows: (n_turns,). Among the torsions of the tree.
        axis: (n_turns, 2). The bond each turns about; its second atom and what hangs on it turn.
        moved: (n_turns, n_atoms). 1 for what turns, 0 for what stays.
    """

    rows: Tensor
    axis: Tensor
    moved: Tensor

    def to(self, x: Tensor) -> "Turns":
        """The same on the device and in the precision of a tensor."""
        return Turns(self.rows.to(x.device), self.axis.to(x.device), self.moved.to(x))


def turns_of(tree: InternalTree, rows: NDArray[np.int64]) -> Turns:
    """What these torsions of a tree move.

    Args:
        tree: The spanning tree.
        rows: (n_turns,). Torsions of first children (see `InternalTree.primary`), from 0.
    """
    below = np.zeros((tree.n_atoms, tree.n_atoms), dtype=bool)  # [i, j]: j hangs on i
    for atom in np.argsort(tree.depth, kind="stable"):
        above = tree.parent[atom]
        if above >= 0:
            below[:, atom] = below[:, above]
            below[above, atom] = True
    axis = tree.torsions[rows, 1:3]
    moved = torch.from_numpy(below[axis[:, 1]]).float()
    return Turns(torch.from_numpy(np.asarray(rows)), torch.from_numpy(axis), moved)


@dataclass(frozen=True)
class Wanted:
    """What a fit is to meet.

    Attributes:
        pairs: (n_pairs, 2) atoms.
        apart: (n_pairs,). Residues between them along the chain.
        distances: (n, n_pairs), A.
        deviations: (n, n_pairs), A.
        limits: (n_atoms, n_atoms), A. Nearer than this atoms overlap; 0 where they may.
        cv_error: The CV of frames, less what it is to be; None to leave it alone.
    """

    pairs: Tensor
    apart: Tensor
    distances: Tensor
    deviations: Tensor
    limits: Tensor
    cv_error: CvError | None = None


def fit_torsions(
    lengths: Tensor,
    angles: Tensor,
    torsions: Tensor,
    tree: InternalTree,
    turns: Turns,
    wanted: Wanted,
    numbers: TorsionFitNumbers,
) -> Tensor:
    """Frames at wanted distances, by turning some of their torsions as little as possible.

    Args:
        lengths: (n, n_atoms - 1), A.
        angles: (n, n_atoms - 2), rad.
        torsions: (n, n_atoms - 3), rad; of `turns` where they are wanted, and the start.
        tree: Of these coordinates.
        turns: Torsions that may turn.
        wanted: Distances, overlaps and the CV.
        numbers: How.

    Returns:
        (n, n_atoms, 3), A.
    """
    turns = turns.to(lengths)

    def build(theta: Tensor) -> Tensor:
        return to_cartesian(lengths, angles, torsions.index_copy(-1, turns.rows, theta), tree)

    first = torsions[:, turns.rows]
    theta, longest = first, int(wanted.apart.max()) if len(wanted.apart) else 0
    for span in (*(span for span in numbers.spans if span < longest), longest):
        stage = _Stage(build, turns, wanted, first, numbers, span)
        theta = _minimise(stage, theta, numbers.stage_steps, numbers)
    theta = _minimise(_Stage(build, turns, wanted, first, numbers, None), theta, numbers.last_steps, numbers)
    if wanted.cv_error is not None:
        theta = _meet(build, turns, wanted.cv_error, theta, numbers)
    return build(theta)


def distance_slopes(x: Tensor, turns: Turns, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Distances of pairs of atoms and how they change with torsions.

    Args:
        x: (n, n_atoms, 3), A.
        turns: The torsions.
        pairs: (n_pairs, 2), or (n, n_pairs, 2) where frames have their own.

    Returns:
        (n, n_pairs), A, and (n, n_pairs, n_turns), A/rad.
    """
    axis, moment = _axes(x, turns)
    if pairs.ndim == 2:
        a, b = x[:, pairs[:, 0]], x[:, pairs[:, 1]]
    else:
        a, b = (x.gather(1, pairs[..., k, None].expand(-1, -1, 3)) for k in (0, 1))
    distance = (b - a).norm(dim=-1)
    u = (b - a) / distance[..., None].clamp_min(torch.finfo(x.dtype).eps)
    slope = torch.linalg.cross(b, u) @ axis.mT - u @ moment.mT
    return distance, slope * (turns.moved.T[pairs[..., 1]] - turns.moved.T[pairs[..., 0]])


def _axes(x: Tensor, turns: Turns) -> tuple[Tensor, Tensor]:
    """(n, n_turns, 3) each. Directions n of the axes, and n x p for a point p on each."""
    foot = x[:, turns.axis[:, 1]]
    axis = torch.nn.functional.normalize(foot - x[:, turns.axis[:, 0]], dim=-1)
    return axis, torch.linalg.cross(axis, foot)


def _cv_slopes(x: Tensor, turns: Turns, cv_error: CvError) -> tuple[Tensor, Tensor]:
    """How far the CV is off, (n,), and how it changes with torsions, (n, n_turns)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        off = cv_error(x)
        (force,) = torch.autograd.grad(off.sum(), x)
    axis, moment = _axes(x.detach(), turns)
    torque = turns.moved @ torch.linalg.cross(x.detach(), force)
    return off.detach(), ((axis * torque) - (moment * (turns.moved @ force))).sum(-1)


@dataclass(frozen=True)
class _Stage:
    """The sum of squares of one stage: all of it, or distances up to some residues along the chain."""

    build: Callable[[Tensor], Tensor]
    turns: Turns
    wanted: Wanted
    first: Tensor
    numbers: TorsionFitNumbers
    span: int | None

    def __call__(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Half the sum of squares (n,), H (n, n_turns, n_turns) and g (n, n_turns) at torsions."""
        own, x = self.numbers, self.build(theta)
        off = wrap(theta - self.first) / own.torsion_deviation
        cost = 0.5 * off.square().sum(-1)
        g = off / own.torsion_deviation
        h = torch.eye(theta.shape[-1]).to(theta).expand(len(theta), -1, -1) / own.torsion_deviation**2
        for cost_part, slope, residual in self._parts(x):
            cost, h = cost + cost_part, h + slope.mT @ slope
            g = g + (slope.mT @ residual[..., None])[..., 0]
        return cost, h, g

    def _parts(self, x: Tensor) -> "list[tuple[Tensor, Tensor, Tensor]]":
        """Cost, weighted slopes and weighted residuals of distances, and in the last stage of the rest."""
        if self.span is not None:
            near = (self.wanted.apart <= self.span).nonzero()[:, 0]
            return [self._distances(x, near, None)]
        everything = torch.arange(len(self.wanted.apart), device=x.device)
        parts = [self._distances(x, everything, self.numbers.outlier), self._overlaps(x)]
        if self.wanted.cv_error is not None:
            off, slope = _cv_slopes(x, self.turns, self.wanted.cv_error)
            off, slope = off / self.numbers.cv_deviation, slope / self.numbers.cv_deviation
            parts.append((0.5 * off.square(), slope[:, None], off[:, None]))
        return parts

    def _distances(self, x: Tensor, rows: Tensor, outlier: float | None) -> tuple[Tensor, Tensor, Tensor]:
        pairs = self.wanted.pairs[rows]
        distance, slope = distance_slopes(x, self.turns, pairs)
        share = self.numbers.distance_share * 3 * len(pairs.unique()) / max(len(rows), 1)
        deviation = self.wanted.deviations[:, rows] / share**0.5
        r = (distance - self.wanted.distances[:, rows]) / deviation
        if outlier is None:
            return 0.5 * r.square().sum(-1), slope / deviation[..., None], r
        far = outlier * share**0.5
        cost = torch.where(r.abs() < far, 0.5 * r.square(), far * (r.abs() - 0.5 * far)).sum(-1)
        weight = (far / r.abs().clamp_min(far)).sqrt()
        return cost, slope * (weight / deviation)[..., None], weight * r

    def _overlaps(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        own, limits = self.numbers, self.wanted.limits.to(x)
        n_atoms = x.shape[-2]
        room = torch.cdist(x, x) - limits - own.margin
        room = room.masked_fill((limits == 0) | _lower(limits), torch.inf).flatten(1)
        least, where = room.topk(min(own.most_overlaps, room.shape[1]), largest=False)
        used = int((least < 0).sum(-1).max())
        over = (-least[:, :used]).clamp_min(0) / own.overlap_deviation
        pairs = torch.stack([where[:, :used] // n_atoms, where[:, :used] % n_atoms], -1)
        _, slope = distance_slopes(x, self.turns, pairs)
        active = (over > 0).to(x) / own.overlap_deviation
        return 0.5 * over.square().sum(-1), slope * active[..., None], -over


def _lower(limits: Tensor) -> Tensor:
    """(n_atoms, n_atoms). Where a pair stands a second time."""
    return torch.ones_like(limits, dtype=torch.bool).tril()


def _minimise(stage: _Stage, theta: Tensor, n_steps: int, numbers: TorsionFitNumbers) -> Tensor:
    """Torsions after Levenberg-Marquardt steps, each frame with its own damping."""
    damping = theta.new_full((len(theta), 1), numbers.first_damping)
    cost, h, g = stage(theta)
    for _ in range(n_steps):
        diagonal = torch.diagonal(h, dim1=-2, dim2=-1)
        step = -torch.linalg.solve(h + torch.diag_embed(damping * diagonal), g)
        step = step * (numbers.longest_turn / step.abs().amax(-1, keepdim=True)).clamp_max(1.0)
        tried = theta + step
        new_cost, new_h, new_g = stage(tried)
        better = new_cost < cost
        fallen = torch.where(better, 1 - new_cost / cost, torch.ones_like(cost))
        theta = torch.where(better[:, None], tried, theta)
        h, g = torch.where(better[:, None, None], new_h, h), torch.where(better[:, None], new_g, g)
        cost = torch.where(better, new_cost, cost)
        damping = damping * torch.where(better, numbers.relaxed, numbers.stiffened)[:, None]
        damping = damping.clamp_min(numbers.least_damping)
        if (fallen < numbers.settled).all():
            break
    return theta


def _meet(
    build: Callable[[Tensor], Tensor],
    turns: Turns,
    cv_error: CvError,
    theta: Tensor,
    numbers: TorsionFitNumbers,
) -> Tensor:
    """Torsions turned the least way that brings the CV onto its target."""
    for _ in range(numbers.newton_steps):
        off, slope = _cv_slopes(build(theta), turns, cv_error)
        if off.abs().max() < numbers.on_target:
            break
        theta = theta - off[:, None] * slope / slope.square().sum(-1, keepdim=True).clamp_min(
            torch.finfo(slope.dtype).eps
        )
    return theta
