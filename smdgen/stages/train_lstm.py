"""Stage 2: latents.h5 -> lstm.safetensors."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smdgen.config import TrainLstmConfig
from smdgen.dataset.dataset import Dataset, open_dataset
from smdgen.errors import ArtifactError
from smdgen.forcefield.system import residue_rows
from smdgen.geometry.cvs import unrolled
from smdgen.method.model import Autoencoder, Dynamics, Method, PullModel
from smdgen.method.presets import CRITIC_SAMPLES, METHODS, PathNumbers, dynamics_settings, method_of, recorded
from smdgen.method.training_paths import TrainingPaths
from smdgen.progress import Progress
from smdgen.store.checkpoints import checkpoint_of
from smdgen.store.headers import DynamicsHeader
from smdgen.store.latents import Latents, read_latents
from smdgen.store.manifest import taken_apart
from smdgen.store.models import AutoencoderFile, DynamicsFile
from smdgen.store.run_record import RunFolder
from smdgen.training.checkpoint import (
    Interrupted,
    Job,
    keep_finished,
    refuse_to_begin,
    stopped_by_sigterm,
    train,
)
from smdgen.training.critic import CriticOutcome, train_critic
from smdgen.training.devices import choose_device
from smdgen.training.distributed import is_rank_zero, lock_once, training_group
from smdgen.training.fit import fit_settings
from smdgen.training.history import history_files, loss_verdict, write_history
from smdgen.training.sequences import EncodedPulls, Sequences, draw_batch, sequences, windows
from smdgen.training.settings import chosen, refuse_unknown_preset, training_plan
from smdgen.training.verdicts import check_dynamics


@dataclass(frozen=True)
class TrainLstmResult:
    """What the dynamics reached, on validation pulls in 10 steps from their first frames."""

    preset: str
    n_parameters: int
    epochs: int
    critic: str  # what chooses among candidates for a next frame
    one_step_A: float  # mean RMSD of the frame predicted from the true one before
    free_running_A: float  # mean RMSD of all frames of a rollout, over the pulls that allow one
    copies_A: float  # mean RMSD of the training frames of the same CV, in place of the generated ones
    real_A: float  # mean RMSD between two real pulls at the same step
    not_rolled_out: tuple[str, ...]  # validation pulls from whose first frame no rollout can begin
    frames: str  # whether generated frames are like those of MD, in words
    history: dict[str, list[float]]
    outputs: tuple[Path, ...]
    hints: tuple[str, ...]
    validation_loss: str = ""  # how it went, in words
    notes: tuple[str, ...] = ()

    def summary(self) -> list[tuple[str, str]]:
        """Rows for the console."""
        return [
            ("preset", self.preset),
            ("parameters", f"{self.n_parameters:,}"),
            ("epochs", str(self.epochs)),
            ("validation loss", self.validation_loss),
            ("critic", self.critic),
            ("one-step error", f"{self.one_step_A:.2f} A RMSD to the true next frame"),
            ("free-running error", self._free_running()),
            ("training frames", self._copies()),
            ("two real pulls", self._real()),
            ("generated frames", self.frames),
        ]

    def _free_running(self) -> str:
        without = f"without {', '.join(self.not_rolled_out)}" if self.not_rolled_out else ""
        if math.isnan(self.free_running_A):
            return "not known: no validation pull lies where the training pulls go"
        return f"{self.free_running_A:.2f} A RMSD to the true pull at the same step {without}".rstrip()

    def _copies(self) -> str:
        if math.isnan(self.copies_A):
            return "not compared"
        return f"{self.copies_A:.2f} A RMSD to the true pull at the same CV"

    def _real(self) -> str:
        if math.isnan(self.real_A):
            return "not known: there is one validation pull only"
        return f"{self.real_A:.2f} A RMSD apart at the same step"


def run(config: TrainLstmConfig, run_dir: Path, progress: Progress) -> TrainLstmResult:
    """Train the LSTM on the encoded training pulls.

    Args:
        config: Settings; None stands for the preset's own.
        run_dir: The run folder, with dataset.h5, vae.safetensors and latents.h5.
        progress: Told after each epoch.

    Raises:
        ArtifactError: A step is missing or belongs to another model, or a model is in the way.
        TrainingError: The loss became infinite.
        KeyboardInterrupt: Stopped by the user; what was reached is on disk.
    """
    began = time.monotonic()
    folder = RunFolder(run_dir)
    dataset, latents, vae_file, preset = _inputs(config, folder)
    with training_group(config.device), lock_once(folder), stopped_by_sigterm():
        device = choose_device(config.device, dataset.structure.n_atoms, config.threads)
        settings = chosen(config, dynamics_settings(METHODS[preset]))
        torch.manual_seed(config.seed)
        with taken_apart(folder.vae):
            vae = _opened(vae_file, dataset, latents)
        encoded = _encoded(dataset, latents)
        parts = {split: sequences(encoded, split) for split in ("train", "validation")}
        numbers, method = METHODS[preset], method_of(METHODS[preset])
        _refuse_short(parts, method)
        structure, data = dataset.structure, parts["train"]
        dynamics, sizes = method.new_dynamics(
            vae, int(settings["hidden_size"]), data.z, data.cv, structure.names.tolist(),
            residue_rows(structure),
        )  # fmt: skip
        settings = fitted_to(method, dynamics, len(data.z), settings, config)
        job = _job(config, method, settings, folder, latents, dynamics.to(device), parts, device)
        try:
            state, stop = train(job, resume=config.resume, progress=progress), None
        except Interrupted as interruption:
            state, stop = interruption.state, interruption
        keep_finished(stop, folder.lstm)
        row, notes = loss_verdict(state, job.settings)
        for note in notes:
            progress.note(note)
        paths = training_paths(encoded, numbers.paths)
        model: PullModel[Any, Any] = PullModel(
            method, vae.to(device), dynamics, dataset.cv, paths, vae_file.reference_frames,
            vae_file.header.training_radius_A,
            method.clash_limits(dataset.structure, vae_file.reference_frames),
        )  # fmt: skip
        judge = CriticOutcome()
        if stop is None and method.critic is not None:
            try:
                n_samples = critic_samples(config, preset)
                judge = train_critic(model, parts, dataset.structure, n_samples, config.seed, progress)
            except KeyboardInterrupt:
                stop = Interrupted(state)
                keep_finished(stop, folder.lstm)
        model = replace(model, autoencoder=vae.cpu(), dynamics=dynamics.cpu(), critic=judge.critic)
        files = history_files(folder.path, "lstm")
        header = DynamicsHeader(
            preset, recorded(numbers, vae.representation), sizes, settings, _plain(config),
            latents.vae_hash, dataset.content_hash,
            paths.duration_ps, parts["train"].interval_ps, state.epoch, judge.score(),
        )  # fmt: skip
        if is_rank_zero():
            DynamicsFile(header, dynamics.state_dict(), paths.paths, judge.weights()).save(folder.lstm)
            write_history(folder.path, "lstm", state.history)
            folder.record("train-lstm", time.monotonic() - began, [folder.vae, folder.latents])
        if stop is not None:
            raise stop
        try:
            check = check_dynamics(model, dataset, progress)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{folder.lstm} is finished; only its errors on the validation pulls are not known"
            ) from None
    for note in check.notes():
        progress.note(note)
    n_parameters = sum(p.numel() for p in dynamics.parameters())
    hints = (folder.next_command("rollout --steps 10"),)
    return TrainLstmResult(
        preset, n_parameters, state.epoch, judge.text(), check.one_step, check.free_running, check.copies,
        check.real, check.without, check.frames.brief, state.history, (folder.lstm, *files), hints, row,
        (*notes, *check.notes()),
    )  # fmt: skip


def plan(config: TrainLstmConfig, run_dir: Path) -> list[tuple[str, str]]:
    """What a dry run shows."""
    folder = RunFolder(run_dir)
    dataset, *_, preset = _inputs(config, folder)
    return training_plan(dataset, preset, (folder.lstm, *history_files(folder.path, "lstm")))


def _inputs(config: TrainLstmConfig, folder: RunFolder) -> tuple[Dataset, Latents, AutoencoderFile, str]:
    """Dataset, latents, the autoencoder's file, and the preset, if they belong together."""
    refuse_unknown_preset(config.preset)
    dataset = open_dataset(folder.require(folder.dataset, "prepare"))
    latents = read_latents(folder.require(folder.latents, "train-vae"))
    vae = AutoencoderFile.open(folder.require(folder.vae, "train-vae"))
    _check_same_run(folder, dataset, latents, vae)
    preset = vae.header.preset if config.preset is None else config.preset
    if preset != vae.header.preset:
        raise ArtifactError(
            f"{folder.vae} is of preset {vae.header.preset}, asked for {preset}; "
            f"run `{folder.next_command(f'train-vae --preset {preset} --force')}` first"
        )
    refuse_to_begin(config, folder.lstm, latents.vae_hash)
    return dataset, latents, vae, preset


def _opened(file: AutoencoderFile, dataset: Dataset, latents: Latents) -> Autoencoder:
    """The autoencoder, if it fits the atoms and the latents."""
    vae = file.network()
    n_atoms = file.reference_frames.shape[1]
    shape = (dataset.n_frames, vae.latent_size)
    if n_atoms != dataset.structure.n_atoms or latents.means.shape != shape:
        raise ValueError("reference frames or latents of other shapes")
    return vae


def _encoded(dataset: Dataset, latents: Latents) -> EncodedPulls:
    """The pulls of the dataset with their latents; dihedrals go on beyond +-180."""
    parts = unrolled(dataset.cv, [dataset.cv_values[pull.start : pull.stop] for pull in dataset.pulls])
    return EncodedPulls(latents.means, np.concatenate(parts), dataset.times_ps, tuple(dataset.pulls))


def critic_samples(config: TrainLstmConfig, preset: str) -> int:
    """Most samples for the critic: fewer for fewer epochs than the preset's, unless a number is given."""
    if config.critic_samples is not None:
        return config.critic_samples
    own = dynamics_settings(METHODS[preset])
    return round(CRITIC_SAMPLES * min(1.0, chosen(config, own)["epochs"] / own["epochs"]))


def training_paths(encoded: EncodedPulls, numbers: PathNumbers) -> TrainingPaths:
    """CV against time of the training pulls, at as many even times as the typical pull has frames.

    Training blocks of one trajectory are parts of one pull: its CV goes straight across what is held back.

    Args:
        encoded: Encoded pulls.
        numbers: What counts as a way of the pulls.
    """
    pulls: dict[str | int, list[NDArray[np.int64]]] = {}
    for number, pull in enumerate(encoded.pulls):
        if pull.split == "train":
            pulls.setdefault(pull.source or number, []).append(np.arange(pull.start, pull.stop))
    paths = [_path(encoded, parts) for parts in pulls.values()]
    even = np.linspace(0, 1, int(np.median([n_frames for n_frames, *_ in paths])))
    durations = [duration for _, duration, *_ in paths]
    values = [np.interp(even, place, cv) for *_, place, cv in paths]
    return TrainingPaths(torch.from_numpy(np.stack(values)).float(), float(np.median(durations)), numbers)


def _path(
    encoded: EncodedPulls, parts: Sequence[NDArray[np.int64]]
) -> tuple[int, float, NDArray[np.float64], NDArray[np.float64]]:
    """Frames of a pull, what it lasts (ps), and where on its way (0 to 1) which CV is known."""
    rows = np.concatenate(parts)
    times = encoded.times_ps[rows]
    duration = float(times[-1] - times[0])
    if len(parts) == 1:
        return len(rows), duration, np.linspace(0, 1, len(rows)), encoded.cv_values[rows]
    n_frames = round(duration / float(np.median(np.diff(times)))) + 1
    return n_frames, duration, (times - times[0]) / duration, encoded.cv_values[rows]


def fitted_to(
    method: Method, dynamics: Dynamics, n_frames: int, settings: dict[str, float], config: TrainLstmConfig
) -> dict[str, float]:
    """Settings that the network and the training frames bear, but for what the user set."""
    given = {name: getattr(config, name) for name in ("learning_rate", "epochs")}
    kept = {name: value for name, value in given.items() if value is not None}
    return {**method.fitted(dynamics, n_frames, settings), **kept}


def _job(
    config: TrainLstmConfig,
    method: Method,
    settings: dict[str, float],
    folder: RunFolder,
    latents: Latents,
    dynamics: Dynamics,
    parts: dict[str, Sequences],
    device: torch.device,
) -> Job:
    batch_size = int(settings["batch_size"])

    def losses(data: Sequences, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        stride = method.draw_stride(data.longest, generator)
        z, condition = draw_batch(data, stride, method.most_steps, n, generator)
        return dynamics.loss_terms(z.to(device), condition.to(device), generator)

    def validate() -> dict[str, float]:
        generator, n = torch.Generator().manual_seed(0), method.n_validation(batch_size)
        rounds = [losses(parts["validation"], n, generator) for _ in range(method.n_validation_rounds)]
        return {name: float(np.mean([terms[name].item() for terms in rounds])) for name in rounds[0]}

    return Job(
        model=dynamics,
        losses=lambda items, generator: losses(parts["train"], len(items), generator),
        validate=validate,
        n_items=_items_per_epoch(method, parts["train"], batch_size),
        settings=fit_settings(method.dynamics_fit, settings, config.seed),
        identity={"kind": "lstm", "preset": method.name, "values": settings, "vae": latents.vae_hash},
        checkpoint=checkpoint_of(folder.lstm),
        label="train-lstm",
    )


def _items_per_epoch(method: Method, data: Sequences, batch_size: int) -> int:
    if method.batches_per_epoch is not None:
        return method.batches_per_epoch * batch_size
    stride = method.draw_stride(data.longest, torch.Generator())
    return len(windows(data.ranges, method.most_steps + 1, stride))


def _refuse_short(parts: dict[str, Sequences], method: Method) -> None:
    for split, data in parts.items():
        if data.longest < method.least_frames:
            raise ArtifactError(
                f"the longest {split} pull has {data.longest} frames, a sequence of the preset {method.name} "
                f"{method.least_frames}; prepare longer pulls or take the preset default"
            )


def _check_same_run(folder: RunFolder, dataset: Dataset, latents: Latents, vae: AutoencoderFile) -> None:
    if vae.header.content_hash != dataset.content_hash:
        raise ArtifactError(
            f"{folder.vae} was trained on another {folder.dataset.name}; "
            f"run `{folder.next_command('train-vae --force')}`"
        )
    if latents.vae_hash != vae.sha256:
        raise ArtifactError(
            f"{folder.latents} belongs to another {folder.vae.name}; "
            f"run `{folder.next_command('train-vae --force')}`"
        )


def _plain(config: TrainLstmConfig) -> dict[str, object]:
    return {name: value for name, value in asdict(config).items() if name not in {"resume", "force"}}
