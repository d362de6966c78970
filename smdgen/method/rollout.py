"""New pulls from a trained pair of networks.

| symbol   | here                                                                                   |
|----------|----------------------------------------------------------------------------------------|
| x(t)     | `path[t]`, `frame`: (n_samples, n_atoms, 3), A; x(0) is the start                      |
| z(t)     | `z`: latents of the frames; `standardised` for the dynamics                            |
| c(t)     | `cv`: CV of the frame as it came out                                                   |
| c'(t)    | `target_cv`, a column of `target_path.values`: CV that frame t + 1 is to have          |
| dt       | `dt_ps`, ps                                                                            |
| h(t)     | `history` of z(0..t), c, c', dt; `state` is that of its LSTM                           |

x(t + 1) ~ `sample_next`(h(t), c'(t)), superposed on x(t).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from smdgen.errors import ConfigError
from smdgen.geometry.cvs import difference, evaluate, nearest_turn
from smdgen.geometry.frames import superpose
from smdgen.method.critic import sample_next
from smdgen.method.guidance import FlowModel
from smdgen.method.model import Condition, PullModel, Rollout
from smdgen.method.target_path import TargetPath, follow_schedule, sample_target_path
from smdgen.progress import Progress, Silent


def can_begin(model: PullModel[Any, Any], value: float) -> bool:
    """Whether the training pulls go on from a CV."""
    here = _counted(model, value, float(model.training_paths.paths[:, 0].mean()))
    try:
        sample_target_path(model.training_paths, here, 1, 1, None, torch.Generator())
    except ConfigError:
        return False
    return True


@torch.no_grad()
def generate(
    model: PullModel[Any, Any],
    start: Tensor,
    n_steps: int,
    n_samples: int,
    target: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    values: Sequence[float] | None = None,
) -> Rollout:
    """Generate pulls from one start structure.

    Generated pulls stay where the start is and turn with it.

    Args:
        model: The trained networks.
        start: (n_atoms, 3), A. Anywhere in space, modelled atoms in the model's order.
        n_steps: Steps to take.
        n_samples: Pulls to generate.
        target: CV to end at; None: where the training pulls end.
        seed: The same seed gives the same pulls.
        progress: Told after each step.
        values: (n_steps,). CV of each step, to be followed by all pulls; None: as the training pulls go.

    Raises:
        ConfigError: Start, target or values outside of what the training pulls cover, or asked of a
            method that cannot be steered.
    """
    progress = progress or Silent()
    start = start.to(model.reference_frames)
    generator = torch.Generator().manual_seed(seed)
    target_path = _target_path(model, start, n_steps, n_samples, target, values, generator)
    progress.start("rollout", n_steps)
    positions = model.method.path(model, start, target_path, generator, progress)
    times = torch.arange(n_steps + 1, dtype=torch.float64) * target_path.dt_ps
    targets = target_path.values
    shown = difference(model.cv, targets, torch.zeros(())) if model.cv.periodic else targets
    return Rollout(positions.contiguous(), shown.to(positions.device), evaluate(model.cv, positions), times)


def _target_path(
    model: PullModel[Any, Any],
    start: Tensor,
    n_steps: int,
    n_samples: int,
    target: float | None,
    values: Sequence[float] | None,
    generator: torch.Generator,
) -> TargetPath:
    """The CV of each step; of a dihedral counted in turns as the training pulls are."""
    if not model.method.steerable and (target is not None or values is not None):
        raise ConfigError(
            f"a model of preset {model.method.name} cannot be steered: it always follows the training pulls; "
            "leave --to and --schedule out, or train the default preset"
        )
    paths = model.training_paths.paths
    here = _counted(model, float(evaluate(model.cv, start)), float(paths[:, 0].mean()))
    if values is None:
        there = None if target is None else _counted(model, target, here)
        return sample_target_path(model.training_paths, here, n_steps, n_samples, there, generator)
    way = [here]
    for value in values:
        way.append(float(nearest_turn(model.cv, torch.tensor(value, dtype=torch.float64), way[-1])))
    return follow_schedule(model.training_paths, torch.tensor(way, dtype=torch.float64), n_samples)


def _counted(model: PullModel[Any, Any], value: float, near: float) -> float:
    """A dihedral in the turn that the training pulls cover, nearest to another value; else as it is."""
    if not model.cv.periodic:
        return value
    low, high = float(model.training_paths.paths.min()), float(model.training_paths.paths.max())
    candidates = [value + 360 * turn for turn in range(-3, 4)]
    covered = [candidate for candidate in candidates if low <= candidate <= high]
    return min(covered or candidates, key=lambda candidate: abs(candidate - near))


def guided_path(
    model: FlowModel, start: Tensor, target_path: TargetPath, generator: torch.Generator, progress: Progress
) -> Tensor:
    """(n_samples, n_steps + 1, n_atoms, 3), A. Pulls along target paths, each frame on the one before."""
    dynamics = model.dynamics
    n_samples, n_frames = target_path.values.shape
    values = target_path.values.to(start)
    z = model.autoencoder.encode(start)[0].expand(n_samples, -1)
    cv, path, state = values[:, 0], [start.expand(n_samples, -1, -1)], None
    dt_ps = torch.full_like(values[:, :1], target_path.dt_ps)
    for step in range(1, n_frames):
        target_cv = values[:, step]
        condition = Condition(cv[:, None], target_cv[:, None], dt_ps)
        known = dynamics.standardised(z, cv)[:, None]
        history, state = dynamics.encode_history(known, condition, state)
        z, frame = sample_next(model, history[:, 0], target_cv, generator)
        path.append(superpose(frame, path[-1]))
        cv = nearest_turn(model.cv, evaluate(model.cv, frame), target_cv)
        progress.advance()
    return torch.stack(path, 1)


@torch.no_grad()
def next_frames(model: PullModel[Any, Any], pulls: Tensor, dt_ps: float, seed: int = 0) -> Tensor:
    """Each next frame of real pulls, sampled from the true frames before it, with its true CV as target.

    Args:
        model: The trained networks.
        pulls: (n_pulls, n_frames, n_atoms, 3), A.
        dt_ps: ps. Time between the frames.
        seed: The same seed gives the same frames.

    Returns:
        (n_pulls, n_frames - 1, n_atoms, 3), A, each laid onto the true frame before it.
    """
    pulls = pulls.to(model.reference_frames)
    generator = torch.Generator().manual_seed(seed)
    frames = model.method.next_frames(model, pulls, dt_ps, generator)
    return superpose(frames, pulls[:, :-1])


def guided_next(model: FlowModel, pulls: Tensor, dt_ps: float, generator: torch.Generator) -> Tensor:
    """(n_pulls, n_frames - 1, n_atoms, 3), A. A next frame for each of all but the last, at its true CV."""
    dynamics, before = model.dynamics, pulls[:, :-1]
    cv = nearest_turn(model.cv, evaluate(model.cv, pulls), float(model.training_paths.paths.mean()))
    condition = Condition(cv[:, :-1], cv[:, 1:], torch.full_like(cv[:, 1:], dt_ps))
    u = dynamics.standardised(model.autoencoder.encode(before)[0], cv[:, :-1])
    history, _ = dynamics.encode_history(u, condition)
    _, frames = sample_next(model, history.flatten(0, 1), condition.target_cv.flatten(), generator)
    following: Tensor = frames.unflatten(0, before.shape[:2])
    return following
