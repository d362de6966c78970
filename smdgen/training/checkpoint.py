"""Training with a checkpoint after every epoch, and what an interruption leaves behind."""

import contextlib
import math
import shlex
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from smdgen.config import TrainLstmConfig, TrainVaeConfig
from smdgen.errors import ArtifactError
from smdgen.files import refuse_overwrite, refuse_unwritable
from smdgen.progress import Progress
from smdgen.store.artifacts import read_model, write_model
from smdgen.store.checkpoints import checkpoint_of, is_finished, unfinished, without_beginning
from smdgen.store.headers import CheckpointHeader, header_of
from smdgen.store.manifest import SCHEMA, taken_apart
from smdgen.store.plain import to_plain
from smdgen.store.run_record import RunFolder, command_line
from smdgen.training.distributed import is_rank_zero
from smdgen.training.fit import BatchLosses, FitSettings, FitState, fit


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        model: Trained in place.
        losses: Terms of a batch; see `training.fit.fit`.
        validate: Terms on the validation pulls.
        n_items: Items an epoch.
        settings: How to train.
        identity: What a checkpoint must have been made from to be gone on with: configuration
            and hashes.
        checkpoint: Where to keep the state.
        label: For the progress bar.
    """

    model: nn.Module
    losses: BatchLosses
    validate: Callable[[], dict[str, float]]
    n_items: int
    settings: FitSettings
    identity: dict[str, Any]
    checkpoint: Path
    label: str


def train(job: Job, *, resume: bool, progress: Progress) -> FitState:
    """Fit the model, with a checkpoint after every epoch.

    On Ctrl-C the weights to keep so far are in the model, the checkpoint holds the last whole
    epoch, and the interruption goes on up, once the caller has saved the model.

    Raises:
        ArtifactError: `resume` without a checkpoint, or with one of other data or settings.
        TrainingError: The loss became infinite.
    """
    identity = {**job.identity, "settings": asdict(job.settings)}
    state = _read(job, identity) if resume else None

    def keep(new: FitState) -> None:
        nonlocal state
        state = new
        if is_rank_zero():
            _write(job.checkpoint, new, identity)

    try:
        return fit(
            job.model, job.losses, job.n_items, job.validate, job.settings, progress,
            label=job.label, state=state, keep=keep,
        )  # fmt: skip
    except KeyboardInterrupt:
        if state is None:
            raise KeyboardInterrupt("no epoch was finished; nothing was written") from None
        job.model.load_state_dict(state.kept(job.settings))
        job.model.eval()
        raise Interrupted(state) from None


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM after at least one epoch; carries the state to save."""

    def __init__(self, state: FitState) -> None:
        super().__init__(f"kept what {state.epoch} epochs reached; --resume continues")
        self.state = state


@contextlib.contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, which clusters send before they end a job, stop a training as Ctrl-C does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread, which alone may do so
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def refuse_to_begin(config: TrainVaeConfig | TrainLstmConfig, model: Path, made_from: str) -> None:
    """Raise if a new training would replace a network, or begin anew what `--resume` continues.

    Args:
        config: Of the training.
        model: Where its network goes; the checkpoint lies beside it.
        made_from: Content hash of what it learns from.

    Raises:
        ArtifactError: So it would, and `force` is false; or its folder may not be written to.
    """
    refuse_unwritable(model.parent)
    if config.resume or config.force:
        return
    stopped = unfinished(model)
    if stopped is not None and stopped.made_from == made_from:
        if RunFolder(model.parent).is_locked():
            raise ArtifactError(
                f"{model.parent} is in use: a training is at {stopped.text}; wait, or use another --run"
            )
        raise ArtifactError(
            f"{checkpoint_of(model)} holds {stopped.text} of a training that was stopped; "
            "add --resume to continue it or --force to begin anew"
        )
    refuse_overwrite(model, force=False)


def keep_finished(stop: KeyboardInterrupt | None, model: Path) -> None:
    """Raise an interruption of a training where a finished network stands: that one stays.

    Raises:
        KeyboardInterrupt: Saying so.
    """
    if stop is not None and is_finished(model):
        raise KeyboardInterrupt(
            f"{model} is still the finished one; what the new training reached is in "
            f"{checkpoint_of(model).name}: --resume continues it"
        ) from stop


def _write(path: Path, state: FitState, identity: dict[str, Any]) -> None:
    groups = {"w": state.weights, "a": state.averaged, "o": state.optimiser, "b": state.best}
    tensors = {f"{letter}:{name}": value for letter, group in groups.items() for name, value in group.items()}
    best, first = (None if math.isinf(loss) else loss for loss in (state.best_loss, state.first_loss))
    history = tuple((name, tuple(values)) for name, values in state.history.items())
    command = tuple(without_beginning(command_line()))
    header = CheckpointHeader(state.epoch, best, first, history, identity, command)
    write_model(path, "checkpoint", tensors, to_plain(header))


def _read(job: Job, identity: dict[str, Any]) -> FitState:
    path = job.checkpoint
    if not path.exists():
        raise ArtifactError(f"{path} not found: there is no training to resume; leave --resume out")
    tensors, manifest = read_model(path, "checkpoint")
    if manifest.schema < SCHEMA:
        raise ArtifactError(
            f"{path} is of a training that smdgen {manifest.version} began, in an earlier layout; "
            "give --force in place of --resume to begin anew"
        )
    header = header_of(manifest, CheckpointHeader)
    with taken_apart(path):
        made_from = header.identity
        if made_from != identity:
            raise ArtifactError(_of_another_training(path, made_from, identity, header.command))

        def group(letter: str) -> dict[str, Tensor]:
            return {name[2:]: value for name, value in tensors.items() if name.startswith(f"{letter}:")}

        best, first = (math.inf if loss is None else loss for loss in (header.best_loss, header.first_loss))
        history = {name: [float(value) for value in values] for name, values in header.history}
        state = FitState(header.epoch, group("w"), group("a"), group("o"), group("b"), best, history, first)
        _refuse_misfit(state, job)
        return state


def _of_another_training(
    path: Path, made_from: Mapping[str, Any], identity: Mapping[str, Any], command: Sequence[str]
) -> str:
    """Why a checkpoint is not continued: other data, or which settings differ and the line that had them."""
    anew = "give --force in place of --resume to begin anew"
    source = next(key for key in ("dataset", "vae") if key in identity)
    if made_from.get(source) != identity[source]:
        return f"{path} belongs to another training, on another {source}; {anew}"
    then, now = (
        {key: value for part in ("values", "settings") for key, value in group.get(part, {}).items()}
        | {key: value for key, value in group.items() if not isinstance(value, dict)}
        for group in (made_from, identity)
    )
    changed = [f"{key} was {then.get(key)}, is {now.get(key)}" for key in now if then.get(key) != now[key]]
    typed = shlex.join([*command, "--resume"]) if command else "--resume with the same settings"
    return f"{path} belongs to another training ({', '.join(changed)}); `{typed}` continues it, or {anew}"


def _refuse_misfit(state: FitState, job: Job) -> None:
    """Hold what a checkpoint says to the model and the settings that go on with it.

    Raises:
        ValueError: Epochs, losses or tensors are not those that training leaves.
    """
    epochs, losses = state.epoch, state.history.values()
    if not 0 < epochs <= job.settings.epochs:
        raise ValueError(f"epoch {epochs} of {job.settings.epochs}")
    if "validation loss" not in state.history or any(len(values) != epochs for values in losses):
        raise ValueError(f"losses of other than {epochs} epochs")
    lowest = min(*state.history["validation loss"], state.first_loss)
    if not (job.settings.keep_last or state.best_loss == lowest):
        raise ValueError(f"a lowest loss of {state.best_loss}, which is none of its losses")
    own = {name: (value.shape, value.dtype) for name, value in job.model.state_dict().items()}
    for tensors in (state.weights, state.averaged, state.best):
        if {name: (value.shape, value.dtype) for name, value in tensors.items()} != own:
            raise ValueError("weights of another model")
    shapes = {name: parameter.shape for name, parameter in job.model.named_parameters()}
    kept = {key.rpartition(".")[0] for key in state.optimiser}
    if kept != set(shapes):
        raise ValueError("an optimiser of other parameters")
    for key, value in state.optimiser.items():
        name, _, slot = key.rpartition(".")
        if not value.is_floating_point() or value.shape != (() if slot == "step" else shapes[name]):
            raise ValueError(f"an optimiser whose {key} is {value.dtype} of shape {tuple(value.shape)}")
