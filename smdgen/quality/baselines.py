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
    """Between the two frames whose CVs are next below and above: lengths, angles and torsions, rebuilt.

    Args:
        path: A real pull.
        cv: (n,). CV of the frames that are asked for; beyond all others the last frame is copied.
        tree: Spanning tree of the atoms.
        periodic: Whether 360 is one turn.

    Returns:
        (n, n_atoms, 3), A, each on the frame below.
    """
    gap = difference(path.cv[None], cv[:, None], periodic)
    below = np.where(gap <= 0, gap, -np.inf).argmax(axis=1)
    above = np.where(gap >= 0, gap, np.inf).argmin(axis=1)
    below = np.where((gap <= 0).any(axis=1), below, above)
    above = np.where((gap >= 0).any(axis=1), above, below)
    rows = np.arange(len(cv))
    width = gap[rows, above] - gap[rows, below]
    share = np.divide(-gap[rows, below], width, out=np.zeros(len(cv)), where=width > 0)
    weight = torch.from_numpy(share)[:, None]
    first, second = (to_internal(path.frames[places].double(), tree) for places in (below, above))
    lengths, angles = (a + weight * (b - a) for a, b in zip(first[:2], second[:2], strict=True))
    torsions = first[2] + weight * wrap(second[2] - first[2])
    rebuilt = to_cartesian(lengths, angles, torsions, tree)
    return superpose(rebuilt, path.frames[below].double()).to(path.frames)


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
    "between its two neighbours in CV": interpolated,
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
