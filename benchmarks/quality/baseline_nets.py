"""Baselines that learn steps: networks on raw coordinates or on the default autoencoder's latents."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.quality.baseline_heads import HEADS
from benchmarks.quality.baselines import Generator, RealPulls
from smdgen.geometry.cvs import evaluate
from smdgen.geometry.frames import superpose
from smdgen.method.autoencoder import FeatureVae
from smdgen.method.guidance import move_to_target
from smdgen.method.target_path import sample_target_path
from smdgen.method.training_paths import TrainingPaths
from smdgen.progress import Silent
from smdgen.training.fit import FitSettings, fit
from smdgen.training.sequences import windows

#: Units of the LSTM; noise on the codes that a network sees in training, so that it bears its own errors.
MEMORY, INPUT_NOISE = 128, 0.1

#: Least scale of a code beside the usual one: what hardly varies in training must not be blown up.
LEAST_SCALE = 0.1

#: Training: batches of so many sequences, so many batches an epoch, epochs.
BATCH, BATCHES, EPOCHS = 64, 50, 60


@dataclass(frozen=True)
class Code:
    """Frames as numbers.

    Attributes:
        encode: (..., n_atoms, 3), A -> (..., size).
        decode: (n, size), target_cv (n,) or None, generator -> frames (n, n_atoms, 3) and the codes they
            have, which guidance may have moved.
        is_steered: Whether steps are told the CV now and the target CV.
        rebuilds: Whether decoding an encoded frame says anything.
    """

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor, Tensor | None, torch.Generator], tuple[Tensor, Tensor]]
    is_steered: bool
    rebuilds: bool


class Stepper(nn.Module):
    """Predicts the next standardised code from the code now and, with a memory, from those before."""

    centre: Tensor
    scale: Tensor
    cv_centre: Tensor
    cv_scale: Tensor

    def __init__(self, size: int, head: str, *, memory: bool, steered: bool) -> None:
        super().__init__()
        n_condition = 2 if steered else 0
        self.memory = nn.LSTM(size + n_condition, MEMORY, batch_first=True) if memory else None
        self.head = HEADS[head](size, size + n_condition + (MEMORY if memory else 0))
        for name, value in (("centre", torch.zeros(size)), ("scale", torch.ones(size))):
            self.register_buffer(name, value)
        self.register_buffer("cv_centre", torch.zeros(()))
        self.register_buffer("cv_scale", torch.ones(()))
        self.is_steered = steered

    def context(
        self, z: Tensor, now: Tensor, target_cv: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """What is known after each code: z (n, n_steps, size), now and target_cv (n, n_steps)."""
        known = z
        if self.is_steered:
            condition = (torch.stack([now, target_cv], -1) - self.cv_centre) / self.cv_scale
            known = torch.cat([z, condition], -1)
        if self.memory is None:
            return known, None
        hidden, state = self.memory(known, state)
        return torch.cat([known, hidden], -1), state


def raw_lstm(real: RealPulls, seed: int, epochs: int = EPOCHS) -> Generator:
    """An LSTM that predicts the next coordinates, superposed on one frame: deterministic."""
    reference = real.train[0, 0] - real.train[0, 0].mean(0)

    def encode(x: Tensor) -> Tensor:
        return superpose(x, reference).flatten(-2)

    def decode(z: Tensor, target_cv: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:  # noqa: ARG001
        return z.unflatten(-1, reference.shape), z

    return _trained(real, Code(encode, decode, False, False), "point", True, seed, epochs)


def latent_mlp(real: RealPulls, vae: FeatureVae, seed: int, epochs: int = EPOCHS) -> Generator:
    """A network without memory that predicts the next latent: a deterministic propagator."""

    def decode(z: Tensor, target_cv: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:  # noqa: ARG001
        return vae.decode(z), z

    return _trained(real, Code(lambda x: vae.encode(x)[0], decode, False, True), "point", False, seed, epochs)


def latent_lstm(real: RealPulls, vae: FeatureVae, head: str, seed: int, epochs: int = EPOCHS) -> Generator:
    """An LSTM over latents with one of three heads, guided after each step, decoded as the default is."""

    def decode(z: Tensor, target_cv: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        if target_cv is None:
            return vae.decode(z), z
        noise = torch.randn(len(z), vae.features.n_features, generator=generator, dtype=z.dtype)
        z = move_to_target(vae, real.cv, z, noise, target_cv)
        return vae.decode(z, noise), z

    return _trained(real, Code(lambda x: vae.encode(x)[0], decode, True, True), head, True, seed, epochs)


@torch.no_grad()
def _encoded(pulls: Tensor, code: Code) -> Tensor:
    """(n_pulls, n_frames, size)."""
    return torch.stack([code.encode(pull) for pull in pulls])


def _trained(real: RealPulls, code: Code, head: str, memory: bool, seed: int, epochs: int) -> Generator:
    """Train on windows of the test's own stride from everywhere in the pulls; the best epoch is kept."""
    parts = {}
    for name, pulls in (("train", real.train), ("validation", real.validation)):
        parts[name] = _encoded(pulls, code), evaluate(real.cv, pulls)
    torch.manual_seed(seed)
    z, cv = parts["train"]
    stepper = Stepper(z.shape[-1], head, memory=memory, steered=code.is_steered).to(z.dtype)
    stepper.centre.copy_(z.flatten(0, 1).mean(0))
    scale = z.flatten(0, 1).std(0)
    stepper.scale.copy_(scale.clamp_min(LEAST_SCALE * float(scale.median())))
    stepper.cv_centre.copy_(cv.mean())
    stepper.cv_scale.copy_(cv.std())

    def losses(name: str, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": _loss(stepper, *parts[name], real.stride, n, generator)}

    def validate() -> dict[str, float]:
        return {"loss": losses("validation", 256, torch.Generator().manual_seed(0))["loss"].item()}

    fit(
        stepper, lambda batch, generator: losses("train", len(batch), generator), BATCH * BATCHES, validate,
        FitSettings(epochs, BATCH, 1e-3, ema_decay=0.99, gradient_norm=1.0, seed=seed), Silent(),
        label="baseline",
    )  # fmt: skip
    return _generator(stepper, real, code)


def _loss(stepper: Stepper, z: Tensor, cv: Tensor, stride: int, n: int, generator: torch.Generator) -> Tensor:
    """() of n sequences drawn from everywhere: z (n_pulls, n_frames, size), cv (n_pulls, n_frames)."""
    n_pulls, n_frames = cv.shape
    ranges = [slice(i * n_frames, (i + 1) * n_frames) for i in range(n_pulls)]
    table = torch.from_numpy(windows(ranges, max(2, (n_frames - 1) // stride), stride))
    rows = table[torch.randint(len(table), (n,), generator=generator)]
    codes = (z.flatten(0, 1)[rows] - stepper.centre) / stepper.scale
    values = cv.flatten()[rows].to(codes.dtype)
    seen = codes[:, :-1]
    seen = seen + INPUT_NOISE * torch.randn(seen.shape, generator=generator, dtype=seen.dtype)
    context, _ = stepper.context(seen, values[:, :-1], values[:, 1:])
    loss: Tensor = stepper.head.loss(seen, context, codes[:, 1:], generator)
    return loss


def _generator(stepper: Stepper, real: RealPulls, code: Code) -> Generator:
    training = TrainingPaths(evaluate(real.cv, real.train), real.duration_ps)

    def following_codes(seen: Tensor, context: Tensor, generator: torch.Generator) -> Tensor:
        found: Tensor = stepper.head.sample(seen, context, generator)
        return found * stepper.scale + stepper.centre

    @torch.no_grad()
    def pulls(start: Tensor, n_samples: int, seed: int) -> tuple[Tensor, Tensor | None]:
        generator = torch.Generator().manual_seed(seed)
        now = evaluate(real.cv, start).expand(n_samples)
        targets = torch.zeros(n_samples, real.n_steps + 1, dtype=start.dtype)
        if code.is_steered:
            drawn = sample_target_path(training, float(now[0]), real.n_steps, n_samples, None, generator)
            targets = drawn.values.to(start)
        z, state, path = code.encode(start).expand(n_samples, -1), None, [start.expand(n_samples, -1, -1)]
        for step in range(1, real.n_steps + 1):
            target_cv = targets[:, step]
            seen = ((z - stepper.centre) / stepper.scale)[:, None]
            context, state = stepper.context(seen, now[:, None], target_cv[:, None], state)
            z = following_codes(seen[:, 0], context[:, 0], generator)
            frame, z = code.decode(z, target_cv if code.is_steered else None, generator)
            path.append(superpose(frame, path[-1]))
            now = evaluate(real.cv, frame)
        return torch.stack(path[1:], 1), targets[:, 1:] if code.is_steered else None

    @torch.no_grad()
    def following(pulls: Tensor, seed: int) -> Tensor:
        generator, cv = torch.Generator().manual_seed(seed), evaluate(real.cv, pulls)
        seen = (_encoded(pulls[:, :-1], code) - stepper.centre) / stepper.scale
        context, _ = stepper.context(seen, cv[:, :-1], cv[:, 1:])
        z = following_codes(seen.flatten(0, 1), context.flatten(0, 1), generator)
        frames, _ = code.decode(z, cv[:, 1:].flatten() if code.is_steered else None, generator)
        return superpose(frames.unflatten(0, seen.shape[:2]), pulls[:, :-1])

    @torch.no_grad()
    def rebuilt(x: Tensor) -> Tensor:
        return code.decode(code.encode(x), None, torch.Generator())[0]

    return Generator(pulls, following, rebuilt if code.rebuilds else None)
