"""Stage 1: dataset.h5 -> vae.safetensors and latents.h5."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smdgen.config import TrainVaeConfig
from smdgen.dataset.dataset import Dataset, Pull, open_dataset
from smdgen.dataset.frames import Frames
from smdgen.dataset.remarks import thin_data
from smdgen.dataset.splits import Split
from smdgen.errors import ArtifactError
from smdgen.forcefield.energy import BondedEnergy
from smdgen.geometry.cvs import evaluate
from smdgen.geometry.cvs import to_dict as cv_to_dict
from smdgen.geometry.frames import rmsd_matrix, superpose
from smdgen.io.structures.structure import structure_to_json
from smdgen.method.model import Autoencoder, Physics, TrainingFrames, reconstruction_error
from smdgen.method.presets import METHODS, autoencoder_settings, autoencoder_weights, method_of, recorded
from smdgen.progress import Progress
from smdgen.store.artifacts import model_hash
from smdgen.store.checkpoints import checkpoint_of
from smdgen.store.headers import AutoencoderHeader
from smdgen.store.latents import Latents, write_latents
from smdgen.store.models import AutoencoderFile
from smdgen.store.run_record import RunFolder
from smdgen.training.checkpoint import (
    Interrupted,
    Job,
    keep_finished,
    refuse_to_begin,
    stopped_by_sigterm,
    train,
)
from smdgen.training.devices import choose_device
from smdgen.training.distributed import is_rank_zero, lock_once, training_group
from smdgen.training.fit import FitState, fit_settings
from smdgen.training.history import history_files, loss_verdict, write_history
from smdgen.training.settings import chosen, refuse_unknown_preset, training_plan
from smdgen.training.verdicts import judge_reconstruction, reconstruction_notes

#: What an autoencoder may have of its own where the user gives nothing.
_FITTED = ("epochs", "batch_size", "learning_rate")

#: Frames that are encoded at a time, for memory.
_ENCODED_AT_ONCE = 4096


@dataclass(frozen=True)
class TrainVaeResult:
    """What the autoencoder reached."""

    preset: str
    latent_size: int
    n_parameters: int
    epochs: int
    reconstruction_A: float  # mean RMSD of validation frames
    nearest_A: float  # mean RMSD of validation frames to the nearest training frame
    history: dict[str, list[float]]
    outputs: tuple[Path, ...]
    frames: str = ""  # whether validation frames come back like frames of MD, in words
    validation_loss: str = ""  # how it went, in words
    notes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()

    def summary(self) -> list[tuple[str, str]]:
        """Rows for the console."""
        return [
            ("preset", self.preset),
            ("latent size", str(self.latent_size)),
            ("parameters", f"{self.n_parameters:,}"),
            ("epochs", str(self.epochs)),
            ("validation loss", self.validation_loss),
            ("validation reconstruction", f"{self.reconstruction_A:.3f} A RMSD"),
            ("nearest training frame", f"{self.nearest_A:.3f} A RMSD"),
            ("reconstructed frames", self.frames),
        ]


def run(config: TrainVaeConfig, run_dir: Path, progress: Progress) -> TrainVaeResult:
    """Train the autoencoder on the training pulls.

    Args:
        config: Settings; None stands for the preset's own.
        run_dir: The run folder, with dataset.h5.
        progress: Told after each epoch.

    Raises:
        ArtifactError: No dataset, a damaged one, an existing model without `force`.
        TrainingError: The loss became infinite.
        KeyboardInterrupt: Stopped by the user; what was reached is on disk.
    """
    began = time.monotonic()
    folder, dataset = _inputs(config, run_dir)
    with training_group(config.device), lock_once(folder), stopped_by_sigterm():
        device = choose_device(config.device, dataset.structure.n_atoms, config.threads)
        notes = tuple(thin_data(dataset))
        for note in notes:
            progress.note(note)
        frames = {split: _frames(dataset, split, config, device) for split in ("train", "validation")}
        torch.manual_seed(config.seed)
        vae = _new_vae(config, dataset, frames).to(device)
        settings = settings_of(config, vae)
        physics = _physics(config, dataset, frames["train"], device)
        job = _job(config, settings, folder, dataset, vae, frames, physics)
        try:
            state, stop = train(job, resume=config.resume, progress=progress), None
        except Interrupted as interruption:
            state, stop = interruption.state, interruption
        keep_finished(stop, folder.vae)
        result = _save(folder, config, settings, dataset, vae, frames, physics, state)
        verdict = judge_reconstruction(vae, frames["validation"], dataset.structure)
        if is_rank_zero():
            folder.record("train-vae", time.monotonic() - began, [folder.dataset])
    if stop is not None:
        raise stop
    row, went_wrong = loss_verdict(state, job.settings)
    went_wrong += reconstruction_notes(result.reconstruction_A, result.nearest_A, verdict)
    for note in went_wrong:
        progress.note(note)
    hints = (folder.next_command("train-lstm"),)
    return replace(
        result, frames=verdict.brief, validation_loss=row, notes=(*notes, *went_wrong), hints=hints
    )


def plan(config: TrainVaeConfig, run_dir: Path) -> list[tuple[str, str]]:
    """What a dry run shows."""
    folder, dataset = _inputs(config, run_dir)
    outputs = (folder.vae, folder.latents, *history_files(folder.path, "vae"))
    return training_plan(dataset, config.preset, outputs)


def _inputs(config: TrainVaeConfig, run_dir: Path) -> tuple[RunFolder, Dataset]:
    """The run folder and its dataset, once the settings and the place of the model are in order."""
    refuse_unknown_preset(config.preset)
    folder = RunFolder(run_dir)
    dataset = open_dataset(folder.require(folder.dataset, "prepare"))
    refuse_to_begin(config, folder.vae, dataset.content_hash)
    return folder, dataset


def settings_of(config: TrainVaeConfig, vae: Autoencoder) -> dict[str, float]:
    """The preset's values, with the user's in place of those that were given."""
    own = {} if vae.own_fit is None else {name: getattr(vae.own_fit, name) for name in _FITTED}
    values = chosen(config, {**autoencoder_settings(METHODS[config.preset]), **own})
    return {**values, "latent_size": vae.latent_size}


def _frames(dataset: Dataset, split: Split, config: TrainVaeConfig, device: torch.device) -> Frames:
    pulls = dataset.of_split(split)
    if not pulls:
        raise ArtifactError(
            f"{dataset.path} has no {split} pulls; run `smdgen prepare --force` with more pulls"
        )
    return Frames(dataset, pulls, getattr(torch, config.precision), device, config.memory_gb * 1e9)


def _new_vae(config: TrainVaeConfig, dataset: Dataset, frames: dict[str, Frames]) -> Autoencoder:
    structure, train = dataset.structure, frames["train"]
    made_from = TrainingFrames(
        structure, train.blocks, len(train), frames["validation"].blocks,
        getattr(torch, config.precision),
    )  # fmt: skip
    values = chosen(config, autoencoder_settings(METHODS[config.preset]))
    method = method_of(METHODS[config.preset])
    return method.new_autoencoder(made_from, int(values["latent_size"]), int(values["hidden_size"]))


def _job(
    config: TrainVaeConfig,
    settings: dict[str, float],
    folder: RunFolder,
    dataset: Dataset,
    vae: Autoencoder,
    frames: dict[str, Frames],
    physics: Physics,
) -> Job:
    weights = autoencoder_weights(METHODS[config.preset], settings)
    losses = _losses(vae, weights, physics)

    def validate() -> dict[str, float]:
        generator = torch.Generator().manual_seed(0)
        sums: dict[str, float] = {}
        for x in frames["validation"].blocks():
            for name, value in losses(x, generator).items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(x) / len(frames["validation"])
        return sums

    fit = vae.own_fit or method_of(METHODS[config.preset]).autoencoder_fit
    n_frames, batches = len(frames["train"]), vae.batches_per_epoch
    n_items = n_frames if batches is None else batches * int(settings["batch_size"])
    return Job(
        model=vae,
        losses=lambda batch, generator: losses(frames["train"][batch % n_frames], generator),
        validate=validate,
        n_items=n_items,
        settings=fit_settings(fit, settings, config.seed),
        identity={"kind": "vae", "preset": config.preset, "values": settings, "dataset": dataset.content_hash,
                  "precision": config.precision},
        checkpoint=checkpoint_of(folder.vae),
        label="train-vae",
    )  # fmt: skip


def _physics(config: TrainVaeConfig, dataset: Dataset, frames: Frames, device: torch.device) -> Physics:
    energy = BondedEnergy(dataset.terms, device, getattr(torch, config.precision))
    scale = torch.cat([energy.three(x) for x in frames.blocks()]).std(0)
    return Physics(energy.three, scale, lambda x: evaluate(dataset.cv, x))


def _losses(
    vae: Autoencoder,
    weights: dict[str, float],
    physics: Physics,
) -> Callable[[Tensor, torch.Generator], dict[str, Tensor]]:
    def losses(batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        terms = vae.loss_terms(batch, physics, generator)
        total = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        return {"loss": total, **terms}

    return losses


def _save(
    folder: RunFolder,
    config: TrainVaeConfig,
    settings: dict[str, float],
    dataset: Dataset,
    vae: Autoencoder,
    frames: dict[str, Frames],
    physics: Physics,
    state: FitState,
) -> TrainVaeResult:
    vae.finish(frames["validation"].blocks, physics)
    numbers = METHODS[config.preset]
    reference_frames = _reference_frames(frames["train"], numbers.n_reference_frames)
    nearest = torch.cat(
        [rmsd_matrix(x, reference_frames).min(1).values for x in frames["validation"].blocks()]
    )
    reconstruction = reconstruction_error(vae, frames["validation"].blocks)
    vae.cpu()
    files = (folder.vae, folder.latents, *history_files(folder.path, "vae"))
    result = TrainVaeResult(
        config.preset, vae.latent_size, sum(p.numel() for p in vae.parameters()), state.epoch,
        reconstruction, float(nearest.mean()), state.history, files,
    )  # fmt: skip
    if not is_rank_zero():
        return result
    structure = dataset.structure
    header = AutoencoderHeader(
        preset=config.preset,
        numbers=recorded(numbers, vae.representation),
        representation=vae.representation,
        sizes={
            "n_atoms": structure.n_atoms,
            "latent_size": vae.latent_size,
            "hidden_size": vae.hidden_size,
        },
        settings=settings,
        config={name: value for name, value in asdict(config).items() if name not in {"resume", "force"}},
        structure=structure_to_json(structure),
        atom_hash=structure.atom_hash,
        cv=cv_to_dict(dataset.cv),
        content_hash=dataset.content_hash,
        terms=dataset.terms.source,
        units={"length": "A", "energy": "kcal/mol"},
        epochs=state.epoch,
        validation_rmsd_A=reconstruction,
        training_radius_A=float(nearest.max()),
    )
    AutoencoderFile(header, vae.state_dict(), reference_frames, vae.tree).save(folder.vae)
    _encode_all(folder, dataset, vae)
    write_history(folder.path, "vae", state.history)
    return result


def _reference_frames(frames: Frames, most: int) -> Tensor:
    """(n, n_atoms, 3), A. Training frames spread over the pulls and their times, on the first."""
    chosen = frames[_spread(len(frames), min(most, len(frames)))]
    first = chosen[0] - chosen[0].mean(0)
    return superpose(chosen, first)


def _spread(n_frames: int, n: int) -> Tensor:
    """(n,). Frame 0 and one drawn from each of n equal parts: even steps could meet each pull at one time."""
    drawn = torch.rand(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn[:1] = 0.0
    first = torch.arange(n + 1) * n_frames // n
    return first[:-1] + (drawn * first.diff()).long()


@torch.no_grad()
def _encode_all(folder: RunFolder, dataset: Dataset, vae: Autoencoder) -> None:
    """latents.h5: the mean latent of every frame of every pull."""
    dtype = next(vae.parameters()).dtype

    def encode(pull: Pull) -> np.ndarray[Any, Any]:
        x = torch.from_numpy(dataset.positions(pull)).to(dtype)
        return torch.cat([vae.encode(part)[0] for part in x.split(_ENCODED_AT_ONCE)]).numpy()

    means = np.concatenate([encode(pull) for pull in dataset.pulls])
    write_latents(folder.latents, Latents(means, model_hash(folder.vae)))
