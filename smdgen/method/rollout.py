"""New pulls from a trained pair of networks."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from smdgen.errors import ConfigError
from smdgen.geometry.cvs import difference, evaluate, nearest_turn
from smdgen.geometry.frames import rotation_onto, superpose
from smdgen.geometry.validity import clashing
from smdgen.method.autoencoder import InternalVae
from smdgen.method.dynamics import N_CONDITIONS, SteeredLstm, Steering
from smdgen.method.guidance import newton_step, steer
from smdgen.method.model import PullModel, Rollout
from smdgen.method.paper import PaperLstm, PaperVae
from smdgen.method.target_path import Aims, draw_aims, follow
from smdgen.progress import Progress, Silent


def can_begin(model: PullModel, value: float) -> bool:
    """Whether the training pulls go on from a CV."""
    here = _counted(model, value, float(model.schedule.paths[:, 0].mean()))
    try:
        draw_aims(model.schedule, here, 1, 1, None, torch.Generator())
    except ConfigError:
        return False
    return True


@torch.no_grad()
def generate(
    model: PullModel,
    start: Tensor,
    n_steps: int,
    n_samples: int,
    target: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    values: Sequence[float] | None = None,
) -> Rollout:
    """Generate pulls from one start structure.

    The default model sees internal coordinates only; each new frame is laid onto the frame before,
    so the pull stays where the start is and turns with it. The paper's model sees coordinates: the
    start is laid onto its first landmark and the way back is the same motion reversed.

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
        ConfigError: Start, target or values outside of what the training pulls cover, or asked of the
            paper's model, which cannot be steered.
    """
    progress = progress or Silent()
    start = start.to(model.landmarks)
    generator = torch.Generator().manual_seed(seed)
    aims = _aims(model, start, n_steps, n_samples, target, values, generator)
    progress.start("rollout", n_steps)
    if isinstance(model.vae, PaperVae):
        positions = _paper_path(model, start, n_steps).expand(n_samples, -1, -1, -1)
        progress.advance(n_steps)
    else:
        positions = _steered_path(model, start, aims, generator, progress)
    times = torch.arange(n_steps + 1, dtype=torch.float64) * aims.stride_ps
    shown = difference(model.cv, aims.values, torch.zeros(())) if model.cv.periodic else aims.values
    return Rollout(positions.contiguous(), shown.to(positions.device), evaluate(model.cv, positions), times)


def _aims(
    model: PullModel,
    start: Tensor,
    n_steps: int,
    n_samples: int,
    target: float | None,
    values: Sequence[float] | None,
    generator: torch.Generator,
) -> Aims:
    """The CV of each step; of a dihedral counted in turns as the training pulls are."""
    if isinstance(model.vae, PaperVae) and (target is not None or values is not None):
        raise ConfigError(
            "the paper's model cannot be steered: it always follows the training pulls; "
            "leave --to and --schedule out, or train the default preset"
        )
    paths = model.schedule.paths
    here = _counted(model, float(evaluate(model.cv, start)), float(paths[:, 0].mean()))
    if values is None:
        there = None if target is None else _counted(model, target, here)
        return draw_aims(model.schedule, here, n_steps, n_samples, there, generator)
    way = [here]
    for value in values:
        way.append(float(nearest_turn(model.cv, torch.tensor(value, dtype=torch.float64), way[-1])))
    return follow(model.schedule, torch.tensor(way, dtype=torch.float64), n_samples)


def _counted(model: PullModel, value: float, near: float) -> float:
    """A dihedral in the turn that the training pulls cover, nearest to another value; else as it is."""
    if not model.cv.periodic:
        return value
    low, high = float(model.schedule.paths.min()), float(model.schedule.paths.max())
    candidates = [value + 360 * turn for turn in range(-3, 4)]
    covered = [candidate for candidate in candidates if low <= candidate <= high]
    return min(covered or candidates, key=lambda candidate: abs(candidate - near))


def _paper_path(model: PullModel, start: Tensor, n_steps: int) -> Tensor:
    """(n_steps + 1, n_atoms, 3), A."""
    assert isinstance(model.vae, PaperVae)
    assert isinstance(model.lstm, PaperLstm)
    reference = model.landmarks[0] - model.landmarks[0].mean(-2)
    centre = start.mean(-2)
    rotation = rotation_onto(start - centre, reference)
    mean, _ = model.vae.encode((start - centre) @ rotation)
    decoded = model.vae.decode(model.lstm(mean[None], n_steps)[0])
    return torch.cat([start[None], decoded @ rotation.mT + centre])


def _steered_path(
    model: PullModel, start: Tensor, aims: Aims, generator: torch.Generator, progress: Progress
) -> Tensor:
    """(n_samples, n_steps + 1, n_atoms, 3), A."""
    assert isinstance(model.vae, InternalVae)
    assert isinstance(model.lstm, SteeredLstm)
    lstm = model.lstm
    n_samples, n_frames = aims.values.shape
    values = aims.values.to(start)
    z = model.vae.encode(start)[0].expand(n_samples, -1)
    now, path, state = values[:, 0], [start.expand(n_samples, -1, -1)], None
    stride = torch.full_like(values[:, :1], aims.stride_ps)
    for step in range(1, n_frames):
        aim = values[:, step]
        known = ((z - lstm.z_centre) / lstm.z_scale)[:, None]
        context, state = lstm.remember(known, Steering(now[:, None], aim[:, None], stride), state)
        z, frame = _sample_next(model, context[:, 0], aim, generator)
        path.append(superpose(frame, path[-1]))
        now = nearest_turn(model.cv, evaluate(model.cv, frame), aim)
        progress.advance()
    return torch.stack(path, 1)


@torch.no_grad()
def next_frames(model: PullModel, pulls: Tensor, stride_ps: float, seed: int = 0) -> Tensor:
    """Each next frame of real pulls, sampled from the true frames before it and aimed at its true CV.

    Args:
        model: The trained networks.
        pulls: (n_pulls, n_frames, n_atoms, 3), A.
        stride_ps: ps. Time between the frames.
        seed: The same seed gives the same frames.

    Returns:
        (n_pulls, n_frames - 1, n_atoms, 3), A, each laid onto the true frame before it.
    """
    pulls = pulls.to(model.landmarks)
    before = pulls[:, :-1]
    if isinstance(model.vae, PaperVae):
        return superpose(_paper_next(model, before), before)
    assert isinstance(model.lstm, SteeredLstm)
    lstm, middle = model.lstm, float(model.schedule.paths.mean())
    cv = nearest_turn(model.cv, evaluate(model.cv, pulls), middle)
    steering = Steering(cv[:, :-1], cv[:, 1:], torch.full_like(cv[:, 1:], stride_ps))
    context, _ = lstm.remember((model.vae.encode(before)[0] - lstm.z_centre) / lstm.z_scale, steering)
    generator = torch.Generator().manual_seed(seed)
    _, frames = _sample_next(model, context.flatten(0, 1), steering.aim.flatten(), generator)
    return superpose(frames.unflatten(0, before.shape[:2]), before)


def _paper_next(model: PullModel, before: Tensor) -> Tensor:
    """(n_pulls, n_frames, n_atoms, 3), A. The frames after these, where the model puts them."""
    assert isinstance(model.vae, PaperVae)
    assert isinstance(model.lstm, PaperLstm)
    z = model.vae.encode(superpose(before, model.landmarks[0]))[0]
    hidden, _ = model.lstm.lstm(z)
    return model.vae.decode(z + model.lstm.action(hidden))


def _sample_next(
    model: PullModel, context: Tensor, aim: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Next latents (n, latent_size) and frames (n, n_atoms, 3), A, steered to their aims (n,).

    Where all candidates clash or are unlikely, more are drawn: what remains is the model's distribution of
    frames without a clash, made as much like the real one as the critic can tell.
    """
    assert isinstance(model.lstm, SteeredLstm)
    own = model.lstm.numbers.sampling
    z, frames, odds = _choose_next(model, context, aim, generator)
    enough = 0.0 if model.critic is None else math.log(own.min_total_weight)
    for _ in range(own.most_redraws):
        again = odds < enough
        if not again.any():
            break
        other_z, other_frames, other = _choose_next(model, context[again], aim[again], generator)
        both = torch.logaddexp(odds[again], other)
        drawn = torch.rand(len(both), generator=generator, dtype=torch.float64).to(both.device)
        better = drawn < (other - both).exp()
        z[again] = torch.where(better[:, None], other_z, z[again])
        frames[again] = torch.where(better[:, None, None], other_frames, frames[again])
        odds[again] = both
    return z, frames


def _choose_next(
    model: PullModel, context: Tensor, aim: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """One of several candidates each, taken by its odds, and the logarithm of the sum of all odds (n,)."""
    assert isinstance(model.lstm, SteeredLstm)
    own = model.lstm.numbers.sampling
    n = 1 if model.critic is None else own.n_candidates
    contexts, aims = (part.repeat_interleave(n, 0) for part in (context, aim))
    z, frames = draw_next(model, contexts, aims, generator)
    odds = torch.zeros(len(aims), dtype=torch.float64, device=aims.device)
    if model.critic is not None:
        log_odds = model.critic(model.critic.distances(frames), contexts[:, -N_CONDITIONS:])
        odds += own.critic_exponent * log_odds
    odds = odds.masked_fill(clashing(frames, model.limits).bool(), own.clash_log_weight).view(-1, n)
    rows = torch.arange(len(aim), device=aim.device) * n
    if n > 1:
        taken = torch.multinomial(odds.softmax(-1).cpu(), 1, generator=generator)[:, 0]
        rows = rows + taken.to(rows.device)
    return z[rows], frames[rows], odds.logsumexp(-1)


def draw_next(
    model: PullModel, context: Tensor, aim: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Next latents (n, latent_size) and frames (n, n_atoms, 3), A, of the flow, steered to their aims.

    Args:
        model: The default preset's networks.
        context: (n, ...). Of `SteeredLstm.remember`.
        aim: (n,). CV aimed at.
        generator: Of all noise.
    """
    assert isinstance(model.vae, InternalVae)
    assert isinstance(model.lstm, SteeredLstm)

    def normal(size: int) -> Tensor:
        return torch.randn(len(aim), size, generator=generator).to(context)

    vae, cv, lstm = model.vae, model.cv, model.lstm
    start, noise = normal(vae.latent_size), normal(vae.features.n_features)

    def pull(u: Tensor) -> Tensor:
        return newton_step(vae, cv, u * lstm.z_scale + lstm.z_centre, noise, aim)[0] / lstm.z_scale

    u = lstm.sample(context, start, lstm.numbers.sampling, pull)
    z = steer(vae, cv, u * lstm.z_scale + lstm.z_centre, noise, aim, lstm.numbers.sampling)
    return z, vae.decode(z, noise)
