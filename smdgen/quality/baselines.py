"""What anybody has without a model: copies of training frames, interpolated ones, a straight line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from smdgen.arrays import Floats
from smdgen.geometry.cv_paths import difference
from smdgen.geometry.frames import superpose, wrap
from smdgen.geometry.internal import InternalTree, to_cartesian, to_internal


@dataclass(frozen=True)
class RealPath:
    """A real pull, or all training blocks of one.

    Attributes:
        frames: (n_frames, n_atoms, 3), A. In the order of time.
        cv: (n_frames,). Their CV.
    """

    frames: Tensor
    cv: Floats


def copies(path: RealPath, cv: Floats, periodic: bool = False) -> Tensor:
    """The frame of the nearest CV.

    Args:
        path: A real pull.
        cv: (n,). CV of the frames that are asked for.
        periodic: Whether 360 is one turn.

    Returns:
        (n, n_atoms, 3), A.
    """
    return path.frames[np.abs(difference(cv[:, None], path.cv[None], periodic)).argmin(axis=1)]


def interpolated(path: RealPath, cv: Floats, tree: InternalTree, periodic: bool = False) -> Tensor:
    """Between the frame of the nearest CV and its neighbour in time on the other side: torsions, rebuilt.

    Neighbours in the CV alone may be far from each other in time, and their mixtures worse than copies.

    Args:
        path: A real pull.
        cv: (n,). CV of the frames that are asked for; where no neighbour is on the other side, a copy.
        tree: Spanning tree of the atoms, whose lengths, angles and torsions are mixed.
        periodic: Whether 360 is one turn.

    Returns:
        (n, n_atoms, 3), A, each on the nearest frame.
    """
    gap, rows = difference(path.cv[None], cv[:, None], periodic), np.arange(len(cv))
    nearest = np.abs(gap).argmin(axis=1)
    own = gap[rows, nearest]
    other, across = nearest, np.full(len(cv), np.inf)
    for step in (-1, 1):
        beside = np.clip(nearest + step, 0, len(path.cv) - 1)
        found = gap[rows, beside]
        better = (own * found < 0) & (np.abs(found) < across)
        other, across = np.where(better, beside, other), np.where(better, np.abs(found), across)
    weight = torch.from_numpy(np.abs(own) / (np.abs(own) + across))[:, None]
    first, second = (to_internal(path.frames[places].double(), tree) for places in (nearest, other))
    lengths, angles = (a + weight * (b - a) for a, b in zip(first[:2], second[:2], strict=True))
    torsions = first[2] + weight * wrap(second[2] - first[2])
    rebuilt = to_cartesian(lengths, angles, torsions, tree)
    return superpose(rebuilt, path.frames[nearest].double()).to(path.frames)


def straight_line(path: RealPath, cv: Floats, periodic: bool = False) -> Tensor:
    """Between the first and the last frame, superposed, in proportion to the CV.

    Args:
        path: A real pull.
        cv: (n,). CV of the frames that are asked for.
        periodic: Whether 360 is one turn.

    Returns:
        (n, n_atoms, 3), A.
    """
    first, last = path.frames[0].double(), path.frames[-1].double()
    first = superpose(first, last)
    width = float(difference(path.cv[-1:], path.cv[:1], periodic)[0])
    share = np.clip(difference(cv, path.cv[:1], periodic) / (width or 1.0), 0.0, 1.0)
    line = first + torch.from_numpy(np.asarray(share))[:, None, None] * (last - first)
    return line.to(path.frames)


#: The baselines in the order of tables, by their words.
BASELINES: Mapping[str, Callable[[RealPath, Floats, InternalTree, bool], Tensor]] = {
    "training frame at the same CV": lambda path, cv, _, periodic: copies(path, cv, periodic),
    "between neighbouring training frames": interpolated,
    "straight line": lambda path, cv, _, periodic: straight_line(path, cv, periodic),
}


def baseline_pulls(
    name: str, paths: Sequence[RealPath], cv: Floats, tree: InternalTree, periodic: bool = False
) -> Tensor:
    """What a baseline gives in place of generated pulls, one training pull after the other.

    Args:
        name: One of `BASELINES`.
        paths: The training pulls.
        cv: (n_samples, n_steps). CV of the generated frames.
        tree: Spanning tree of the atoms.
        periodic: Whether 360 is one turn.

    Returns:
        (n_samples, n_steps, n_atoms, 3), A.
    """
    made = [
        BASELINES[name](paths[i % len(paths)], np.asarray(row), tree, periodic) for i, row in enumerate(cv)
    ]
    return torch.stack(made)
