"""The one training loop: AdamW or Muon, one-cycle learning rate, averaged weights, exact resume."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import torch
from torch import Tensor, nn

from smdgen.errors import TrainingError
from smdgen.method.presets import Fitting
from smdgen.progress import Progress
from smdgen.training.distributed import average_gradients, average_values, group_place, own_rows

#: Losses of a batch by name: (indices (n_rows,), source of all noise) -> terms; "loss" is the one minimised.
BatchLosses = Callable[[Tensor, torch.Generator], dict[str, Tensor]]


@dataclass(frozen=True)
class FitSettings(Fitting):
    """How to train: a preset's numbers, or a user's, and a seed.

    Attributes:
        seed: Of order, noise and dropout. Epoch e draws from a generator of its own, so a
            resumed run needs no generator state.
    """

    seed: int = 0


def fit_settings(numbers: Fitting, settings: Mapping[str, float], seed: int) -> FitSettings:
    """How to train: a preset's numbers, with the epochs, batch size and rate that were settled on."""
    settled = {
        "epochs": int(settings["epochs"]),
        "batch_size": int(settings["batch_size"]),
        "learning_rate": settings["learning_rate"],
    }
    return FitSettings(**{**asdict(numbers), **settled}, seed=seed)


@dataclass(frozen=True)
class FitState:
    """Where training stands: everything that a bit-identical continuation needs."""

    epoch: int  # finished epochs
    weights: dict[str, Tensor]
    averaged: dict[str, Tensor]
    optimiser: dict[str, Tensor]  # "<parameter>.<slot>"
    best: dict[str, Tensor]  # weights with the lowest validation loss, those before training included
    best_loss: float = math.inf
    history: dict[str, list[float]] = field(default_factory=dict)
    first_loss: float = math.inf  # validation loss before training

    @property
    def best_epoch(self) -> int:
        """The epoch with the lowest validation loss; 0 if none is lower than before training."""
        losses = self.history.get("validation loss", [])
        return losses.index(self.best_loss) + 1 if self.best_loss in losses else 0

    def diverged(self, settings: Fitting) -> bool:
        """Whether the last validation loss is above that before training, or far above the lowest."""
        if not self.history:
            return False
        last = self.history["validation loss"][-1]
        far_above = self.best_loss > 0 and last > settings.divergence * self.best_loss
        return not last <= self.first_loss or far_above

    def kept(self, settings: Fitting) -> dict[str, Tensor]:
        """The weights that a training leaves: the best, or the last if asked for and not diverged."""
        return self.averaged if settings.keep_last and not self.diverged(settings) else self.best


def fit(
    model: nn.Module,
    losses: BatchLosses,
    n_items: int,
    validate: Callable[[], dict[str, float]],
    settings: FitSettings,
    progress: Progress,
    *,
    label: str,
    state: FitState | None = None,
    keep: Callable[[FitState], None] = lambda _: None,
) -> FitState:
    """Train a model in place and leave its best weights, or its last, in it.

    Where torch.distributed is initialised, every process computes its own rows of each batch with noise of
    its own, and gradients are averaged, so that all have the same weights at any time.

    Args:
        model: The model; its parameters are changed.
        losses: Terms of one batch.
        n_items: Items to draw batches from.
        validate: Terms on the validation items, "loss" among them, with the averaged weights in
            the model; the epoch with the lowest "loss" is the best, unless the last one is asked for.
        settings: How to train.
        progress: Told after each epoch.
        label: What the progress bar says.
        state: Where to go on from; None to begin.
        keep: Called with the state after each epoch, to put it on disk.

    Returns:
        The last state.

    Raises:
        TrainingError: The loss is no finite number.

    Source: K. Jordan et al. (2024), https://kellerjordan.github.io/posts/muon (Muon); J. Liu et al.,
    arXiv:2502.16982 (its steps as large as AdamW's).
    """
    optimisers = _optimisers(model, settings)
    state = state or _begin(model, validate)
    _restore(model, optimisers, state)
    n_batches = math.ceil(n_items / settings.batch_size)
    n_steps = n_batches * settings.epochs
    rank, _ = group_place()
    progress.start(label, settings.epochs)
    progress.advance(state.epoch)
    for epoch in range(state.epoch, settings.epochs):
        averaged = _copy(state.averaged)
        generator = torch.Generator().manual_seed(_seed(settings, epoch))
        order = torch.randperm(n_items, generator=generator)
        if rank:  # all have one order, and each its own noise
            generator.manual_seed(_seed(settings, epoch, rank))
        sums: dict[str, float] = {}
        model.train()
        with torch.random.fork_rng():
            torch.manual_seed(_seed(settings, epoch, rank))
            for number, batch in enumerate(order.split(settings.batch_size)):
                step = epoch * n_batches + number
                for optimiser in optimisers:
                    for group in optimiser.param_groups:
                        group["lr"] = settings.learning_rate * rate_share(step / n_steps, settings)
                own = batch[own_rows(len(batch))]
                terms = _step(model, optimisers, losses(own, generator), settings, epoch)
                for name, value in terms.items():
                    sums[name] = sums.get(name, 0.0) + value * len(batch) / n_items
                averaged = _average(averaged, model, settings, step)
        sums = average_values(sums)
        state = _after_epoch(model, optimisers, replace(state, averaged=averaged), sums, validate)
        keep(state)
        progress.advance(
            note=f"loss {sums['loss']:.4g}, validation {state.history['validation loss'][-1]:.4g}"
        )
    model.load_state_dict(state.kept(settings))
    model.eval()
    return state


#: Seeds between the epochs of one seed and those of the next: a prime, above any number of epochs.
_BETWEEN_SEEDS = 1_000_003

#: Bits of a seed below those that tell processes apart.
_RANK_BITS = 32


def _seed(settings: FitSettings, epoch: int, rank: int = 0) -> int:
    return settings.seed * _BETWEEN_SEEDS + epoch + (rank << _RANK_BITS)


def _optimisers(model: nn.Module, settings: FitSettings) -> list[torch.optim.Optimizer]:
    """AdamW and, if asked for, Muon."""
    layers: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_layer = parameter.ndim == 2 and name.rpartition(".")[2].startswith("weight")
        (layers if settings.muon and is_layer else others).append(parameter)
    rate, decay = settings.learning_rate, settings.weight_decay
    found: list[torch.optim.Optimizer] = [torch.optim.AdamW(others, rate, weight_decay=decay)]
    if layers:
        found.append(torch.optim.Muon(layers, rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
    return found


@torch.no_grad()
def _begin(model: nn.Module, validate: Callable[[], dict[str, float]]) -> FitState:
    weights = _copy(model.state_dict())
    model.eval()
    loss = validate()["loss"]
    first = loss if math.isfinite(loss) else math.inf
    return FitState(0, weights, _copy(weights), {}, _copy(weights), first, {}, first)


def _step(
    model: nn.Module,
    optimisers: Sequence[torch.optim.Optimizer],
    terms: Mapping[str, Tensor],
    settings: FitSettings,
    epoch: int,
) -> dict[str, float]:
    model.zero_grad(set_to_none=True)
    terms["loss"].backward()
    average_gradients(model.parameters())
    most = math.inf if settings.gradient_norm is None else settings.gradient_norm
    norm = nn.utils.clip_grad_norm_(model.parameters(), most)
    if not torch.isfinite(norm):
        named = ", ".join(f"{name} {value.item():.3g}" for name, value in terms.items())
        raise TrainingError(
            f"epoch {epoch + 1}: the gradient is not finite ({named}); "
            "lower learning_rate, or look at the frames for broken ones"
        )
    for optimiser in optimisers:
        optimiser.step()
    return {name: value.item() for name, value in terms.items()}


def rate_share(progress: float, settings: Fitting) -> float:
    """Share of the highest learning rate: in a cycle up a line, then down a cosine."""
    if not settings.one_cycle:
        return 1.0
    first, last, warm_up = settings.first_rate, settings.last_rate, settings.warm_up
    if progress < warm_up:
        return first + (1 - first) * progress / warm_up
    return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def _average(
    averaged: dict[str, Tensor], model: nn.Module, settings: Fitting, step: int
) -> dict[str, Tensor]:
    """Exponential average of the weights, warmed up so that early weights are soon forgotten."""
    decay = min(settings.ema_decay, (1 + step) / (settings.ema_warm_up + step))
    for name, value in model.state_dict().items():
        if decay and value.is_floating_point():
            averaged[name].lerp_(value, 1 - decay)
        else:
            averaged[name].copy_(value)
    return averaged


@torch.no_grad()
def _after_epoch(
    model: nn.Module,
    optimisers: Sequence[torch.optim.Optimizer],
    state: FitState,
    sums: Mapping[str, float],
    validate: Callable[[], dict[str, float]],
) -> FitState:
    weights = _copy(model.state_dict())
    model.load_state_dict(state.averaged)
    model.eval()
    found = validate()
    model.load_state_dict(weights)
    history = {name: list(values) for name, values in state.history.items()}
    for name, value in [*sums.items(), *((f"validation {name}", value) for name, value in found.items())]:
        history.setdefault(name, []).append(value)
    better = found["loss"] < state.best_loss
    return FitState(
        state.epoch + 1,
        weights,
        state.averaged,
        {
            f"{name}.{slot}": value.clone()
            for optimiser in optimisers
            for name, parameter in model.named_parameters()
            if parameter in optimiser.state
            for slot, value in optimiser.state[parameter].items()
        },
        _copy(state.averaged) if better else state.best,
        found["loss"] if better else state.best_loss,
        history,
        state.first_loss,
    )


def _restore(model: nn.Module, optimisers: Sequence[torch.optim.Optimizer], state: FitState) -> None:
    model.load_state_dict(state.weights)
    parameters = dict(model.named_parameters())
    for optimiser in optimisers:
        own = {parameter for group in optimiser.param_groups for parameter in group["params"]}
        for key, value in state.optimiser.items():
            name, slot = key.rsplit(".", 1)
            if parameters[name] in own:
                optimiser.state[parameters[name]][slot] = value.clone()


def _copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors.items()}
