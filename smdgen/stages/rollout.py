"""Generate new pulls from a start structure: models + start -> DCDs, tables and view scripts."""

import hashlib
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from smdgen import __version__
from smdgen.config import RolloutConfig
from smdgen.errors import ArtifactError, ConfigError, TopologyError
from smdgen.files import sha256_file
from smdgen.io.kinds import refuse_unread
from smdgen.io.structures.coordinate_checks import broken_bonds
from smdgen.io.structures.start import Start, check_distance, read_start
from smdgen.io.structures.structure import Structure, structure_from_json
from smdgen.io.tables.schedule_file import (
    ScheduleFile,
    begin_notes,
    n_steps_of,
    read_schedule_file,
    values_of,
)
from smdgen.progress import Progress
from smdgen.store.folder import ROLLOUT_FILES, refuse_results, whole_folder, write_record
from smdgen.store.manifest import taken_apart
from smdgen.store.run_record import RunFolder
from smdgen.store.trained import TrainedPaths, no_models, trained_paths

if TYPE_CHECKING:
    from smdgen.method.model import PullModel, Rollout
    from smdgen.quality.frames import FrameVerdict
    from smdgen.view.pull_folder import RealPull

#: Steps when neither a flag nor a schedule says how many.
DEFAULT_STEPS = 10

#: Share of generated frames that may be farther from the training frames than unseen real ones are.
MOST_FAR = 0.05

#: Atoms of all frames of one run, at most: they are held in memory.
MOST_ATOMS = 200_000_000


@dataclass(frozen=True)
class Models:
    """The two networks with what their files say about them."""

    pull_model: "PullModel[Any, Any]"
    structure: Structure
    content_hash: str  # of the dataset they were trained on
    paths: TrainedPaths


@dataclass(frozen=True)
class RolloutResult:
    """What the command line shows.

    Attributes:
        outputs: Files written.
        n_samples: Pulls generated.
        n_steps: Steps of each.
        cv: Column name of the collective variable.
        first: CV of the start.
        last: (n_samples,). CV of the last frames.
        target_cv: (n_samples,). Their target CV.
        missed: (n_steps,), in the CV's unit. |CV - target CV| of each step, mean over the pulls.
        largest_miss: Largest |CV - target CV| of any frame, in the CV's unit.
        distance: A. RMSD of the start to the nearest of the training frames in the model.
        n_reference_frames: How many these are.
        training_radius: A. The same for held-out frames, at most.
        duration_ps: ps. Time from the first to the last frame.
        model: Which models were used, in words.
        start: Where the start comes from.
        frames: Whether the frames are like those of MD, in words.
        hints: What to type next.
    """

    outputs: tuple[Path, ...]
    n_samples: int
    n_steps: int
    cv: str
    first: float
    last: tuple[float, ...]
    target_cv: tuple[float, ...]
    missed: tuple[float, ...]
    largest_miss: float
    distance: float
    n_reference_frames: int
    training_radius: float
    duration_ps: float
    model: str
    start: str
    frames: str
    hints: tuple[str, ...]

    def summary(self) -> list[tuple[str, str]]:
        """Rows of the table."""
        last = f"{np.mean(self.last):.2f}" + (f" +- {np.std(self.last):.2f}" if self.n_samples > 1 else "")
        plural = "s" * (self.n_samples > 1)
        return [
            (
                "generated",
                f"{self.n_samples} pull{plural} of {self.n_steps} steps, {self.duration_ps:.4g} ps each",
            ),
            ("model", self.model),
            ("start", self.start),
            (
                "closest training frame",
                f"{self.distance:.2f} A RMSD, of {self.n_reference_frames} "
                f"(unseen: up to {self.training_radius:.2f} A)",
            ),
            (self.cv, f"{self.first:.2f} to {last} (target {np.mean(self.target_cv):.2f})"),
            ("distance from target", f"mean {np.mean(self.missed):.3f}, largest {self.largest_miss:.3f}"),
            ("frames", self.frames),
            ("mean per step", ", ".join(f"{step}: {self.missed[step - 1]:.3f}" for step in self._shown())),
        ]

    def _shown(self) -> list[int]:
        """At most ten steps, evenly; cv.csv has all."""
        return sorted({round(step) for step in np.linspace(1, self.n_steps, 10).tolist()})


def run(config: RolloutConfig, run_dir: Path, progress: Progress) -> RolloutResult:
    """Generate pulls and write them where VMD and PyMOL find everything together.

    Args:
        config: Start, steps, samples, target, seed, output.
        run_dir: The run folder with the trained models; without models there, the shipped ones are
            used if the start fits them.
        progress: Told about each step.

    Raises:
        ConfigError: Settings that do not go together, or a start unlike the training data.
        ArtifactError: Models missing, damaged or of different runs; output in the way.
        TopologyError: The start lacks modelled atoms.
        TrajectoryError: The start's coordinates cannot be a structure.
    """
    began = time.monotonic()
    schedule, n_steps = _asked(config)
    folder = RunFolder(run_dir)
    output = config.output or folder.rollout
    refuse_results(output, ROLLOUT_FILES, config.force)
    models = load_models(folder, config, progress)
    start = _load_start(config, folder, models)
    for note in start.notes:
        progress.note(note)
    _check_size(config.samples, n_steps, start.structure.n_atoms)
    distance = _start_distance(models, start, progress)
    rollout = _generate(models, start, config, n_steps, schedule, progress)
    for note in broken_bonds(rollout.positions[:, 1:].cpu().numpy(), start.structure):
        progress.note(note)
    verdict = judge(models, rollout)
    if not verdict.like_md:
        progress.note(f"the generated frames are {verdict.words()}")
    for note in far_frames(models, rollout):
        progress.note(note)
    made = _Made(config, models, start, distance, rollout, verdict)
    report = _report(made)
    real = _real_pull(made, report)
    with whole_folder(output, ROLLOUT_FILES, config.force) as new:
        _write(new, output, made, real, report)
        names = sorted(file.name for file in new.iterdir())
    if folder.path.is_dir():
        inputs = [*models.paths.models, *filter(None, (config.start, config.schedule))]
        folder.record_or_note("rollout", time.monotonic() - began, inputs, output, progress)
    return _result(tuple(output / name for name in names), made, folder)


def plan(config: RolloutConfig, run_dir: Path) -> list[tuple[str, str]]:
    """What a dry run shows: which models, which start, which folder."""
    _, n_steps = _asked(config)
    folder = RunFolder(run_dir)
    output = config.output or folder.rollout
    refuse_results(output, ROLLOUT_FILES, config.force)
    paths = trained_paths(folder)
    held_out = f"first frame of a pull of {folder.dataset}, held out if one can begin a rollout"
    return [
        ("models", f"{paths.vae}, {paths.lstm}" + " (shipped with smdgen)" * paths.shipped),
        ("start", str(config.start or held_out)),
        ("writes", f"{config.samples} pulls of {n_steps} steps to {output}"),
    ]


def load_models(folder: RunFolder, config: RolloutConfig, progress: Progress) -> Models:
    """The models of a run folder, or the shipped ones where there is no run.

    Raises:
        ArtifactError: A step of the run is missing, or nothing fits.
    """
    from smdgen.method.model import on_device
    from smdgen.store.models import build_model, open_pair
    from smdgen.training.devices import choose_device

    paths = trained_paths(folder)
    progress.start("models")
    vae, dynamics = open_pair(*paths.models, f"run `{folder.next_command('train-lstm --force')}`")
    with taken_apart(paths.vae):
        structure = structure_from_json(vae.header.structure)
    device = choose_device(config.device, structure.n_atoms, threads=0)
    if paths.shipped:
        _check_shipped_fits(config, folder, structure)
        progress.note(
            f"no models in {folder.path}: using the deca-alanine model shipped with smdgen; "
            "train your own with `smdgen prepare`, `smdgen train-vae`, `smdgen train-lstm`"
        )
    with taken_apart(*paths.models):
        if vae.reference_frames.shape[1] != structure.n_atoms:
            raise ValueError("reference frames of other atoms")
        model = on_device(build_model(vae, dynamics, structure), device)
    return Models(model, structure, vae.header.content_hash, paths)


def _asked(config: RolloutConfig) -> tuple[ScheduleFile | None, int]:
    """The schedule to follow and the number of steps.

    Raises:
        ConfigError: Two settings do not go together.
    """
    if config.target is not None and config.schedule is not None:
        raise ConfigError("--to and --schedule both say where to go; give one of them")
    if config.schedule is None:
        return None, config.steps or DEFAULT_STEPS
    schedule = read_schedule_file(config.schedule)
    return schedule, n_steps_of(schedule, config.steps, DEFAULT_STEPS)


def _check_size(n_samples: int, n_steps: int, n_atoms: int) -> None:
    """Refuse what no memory holds."""
    n_frames = n_samples * (n_steps + 1)
    if n_frames * n_atoms > MOST_ATOMS:
        raise ConfigError(
            f"{n_samples} pulls of {n_steps} steps have {n_frames * n_atoms:.3g} atoms in all "
            f"frames, expected at most {MOST_ATOMS:.3g}; generate fewer at a time"
        )


def _check_shipped_fits(config: RolloutConfig, folder: RunFolder, structure: Structure) -> None:
    if config.start is None:
        raise ArtifactError(
            f"{no_models(folder)}; the shipped model needs a start: `smdgen rollout start.pdb`"
        )
    if config.start.is_file():
        refuse_unread(config.start, TopologyError)
    try:
        read_start(config.start, structure)
    except TopologyError as error:
        if not config.start.is_file():
            raise
        raise ArtifactError(
            f"{no_models(folder)} (the shipped deca-alanine model does not fit: {error})"
        ) from error


def _load_start(config: RolloutConfig, folder: RunFolder, models: Models) -> Start:
    """The user's start, or the first frame of a held-out pull."""
    if config.start is not None:
        return read_start(config.start, models.structure)
    from smdgen.dataset.dataset import open_dataset
    from smdgen.dataset.held_out import held_out_start
    from smdgen.method.rollout import can_begin

    dataset = open_dataset(folder.require(folder.dataset, "prepare"))
    if dataset.content_hash != models.content_hash:
        raise ArtifactError(
            f"{models.paths.vae} was trained on another {folder.dataset.name}, so none of "
            f"its pulls is known to be held out; "
            f"run `{folder.next_command('train-vae --force')}` or give a start"
        )
    return held_out_start(dataset, lambda cv: can_begin(models.pull_model, cv))


def _start_distance(models: Models, start: Start, progress: Progress) -> float:
    """RMSD, A, from the start to the nearest of the training frames in the model."""
    import torch

    from smdgen.method.model import start_distance

    model = models.pull_model
    positions = torch.from_numpy(start.positions).to(model.reference_frames)
    distance, reflected = (float(start_distance(model, x)) for x in (positions, -positions))
    radius = float(model.training_radius)
    for note in check_distance(start, distance, reflected, len(model.reference_frames), radius):
        progress.note(note)
    return distance


def _generate(
    models: Models,
    start: Start,
    config: RolloutConfig,
    n_steps: int,
    schedule: ScheduleFile | None,
    progress: Progress,
) -> "Rollout":
    import torch

    from smdgen.geometry.cvs import evaluate
    from smdgen.method.rollout import generate

    model, cv = models.pull_model, models.pull_model.cv
    positions, values = torch.from_numpy(start.positions), None
    if schedule is not None:
        first = float(evaluate(cv, positions.double()))
        for note in begin_notes(schedule, first, cv.periodic, cv.unit):
            progress.note(note)
        values = values_of(schedule, n_steps, first, cv.periodic).tolist()
    return generate(model, positions, n_steps, config.samples, config.target, config.seed, progress, values)


def judge(models: Models, rollout: "Rollout") -> "FrameVerdict":
    """The generated frames beside training frames of the same CVs; energies where the dataset is at hand."""
    import torch

    from smdgen.dataset.dataset import open_dataset
    from smdgen.forcefield.energy import BondedEnergy
    from smdgen.geometry.cvs import evaluate
    from smdgen.quality.frames import at_these_cvs, judge_frames

    model, energy = models.pull_model, None
    if models.paths.dataset.exists():
        dataset = open_dataset(models.paths.dataset)
        if models.content_hash in (dataset.content_hash, dataset.provenance.get("part_of")):
            energy = BondedEnergy(dataset.terms, dtype=torch.float64)
    real = model.reference_frames
    same = at_these_cvs(real, evaluate(model.cv, real), rollout.cv_values.to(real.device))
    return judge_frames(rollout.positions[:, 1:], same, models.structure, energy)


def far_frames(models: Models, rollout: "Rollout") -> list[str]:
    """A note if generated frames are farther from all training frames than unseen real frames are at most."""
    from smdgen.geometry.frames import rmsd_matrix

    model = models.pull_model
    frames = rollout.positions[:, 1:].flatten(0, 1).to(model.reference_frames)
    distance = rmsd_matrix(frames, model.reference_frames).min(1).values
    share = float((distance > model.training_radius).double().mean())
    if share <= MOST_FAR:
        return []
    farthest, radius = float(distance.max()), float(model.training_radius)
    return [
        f"{share:.0%} of the generated frames are farther from all training frames ({farthest:.2f} A at "
        f"most) than unseen real frames are ({radius:.2f} A at most)"
    ]


@dataclass(frozen=True)
class _Made:
    """Pulls and all that they come from."""

    config: RolloutConfig
    models: Models
    start: Start
    distance: float  # A, of the start from the training frames
    rollout: "Rollout"
    verdict: "FrameVerdict"


def _real_pull(made: _Made, report: Mapping[str, Any]) -> "RealPull | None":
    """The held-out pull to see beside the generated ones, from the dataset that the models come with."""
    from smdgen.dataset.dataset import open_dataset
    from smdgen.dataset.held_out import pull_to_show
    from smdgen.view.pull_folder import RealPull

    path = made.models.paths.dataset
    if not path.exists():
        return None
    found = pull_to_show(open_dataset(path), report, made.rollout.target_cv.cpu().numpy())
    return None if found is None else RealPull(found[0].name, *found[1:])


def _write(folder: Path, home: Path, made: _Made, real: "RealPull | None", report: Mapping[str, Any]) -> None:
    from smdgen.view.pull_folder import write_pull_folder

    rollout, cv = made.rollout, made.models.pull_model.cv
    positions = rollout.positions.cpu().numpy().astype(np.float32)
    times, target_cv = rollout.times_ps.cpu().numpy(), rollout.target_cv.cpu().numpy()
    write_pull_folder(folder, made.start.structure, cv, positions, times, target_cv, home, real)
    write_record(folder, ROLLOUT_FILES, report)


def _report(made: _Made) -> Mapping[str, Any]:
    """rollout.json: how the pulls came about; no dates and no paths, so that it is the same every time."""
    from smdgen.geometry.cvs import to_dict
    from smdgen.quality.rows import row_json

    config, models, start, rollout = made.config, made.models, made.start, made.rollout
    cv = models.pull_model.cv
    return {
        "kind": "rollout",
        "schema": 1,
        "version": __version__,
        "units": {"length": "A", "time": "ps", cv.name: cv.unit},
        "atom_hash": start.structure.atom_hash,
        "dataset_hash": models.content_hash,
        "models": {path.name: sha256_file(path) for path in models.paths.models},
        "shipped_models": models.paths.shipped,
        "start": start.source if config.start is None else config.start.name,
        "start_pull": start.pull,
        "start_sha256": hashlib.sha256(np.ascontiguousarray(start.positions).tobytes()).hexdigest(),
        "start_distance_A": round(made.distance, 4),
        "reach_A": round(float(models.pull_model.training_radius), 4),
        "n_steps": rollout.positions.shape[1] - 1,
        "n_samples": config.samples,
        "target": config.target,
        "schedule_sha256": None if config.schedule is None else sha256_file(config.schedule),
        "seed": config.seed,
        "time_per_step_ps": float(rollout.times_ps[1] - rollout.times_ps[0]),
        "cv": to_dict(cv),
        "frames": {"verdict": made.verdict.words(), "measures": [*map(row_json, made.verdict.rows)]},
    }


def _result(outputs: tuple[Path, ...], made: _Made, run_folder: RunFolder) -> RolloutResult:
    from smdgen.geometry.cvs import difference

    model, rollout = made.models.pull_model, made.rollout
    missed = difference(model.cv, rollout.cv_values, rollout.target_cv).abs().double().cpu().numpy()
    values, target_cv = rollout.cv_values.double().cpu().numpy(), rollout.target_cv.double().cpu().numpy()
    folder, paths = outputs[0].parent, made.models.paths
    which = "shipped with smdgen (deca-alanine backbone)" if paths.shipped else str(paths.vae.parent)
    hints = [
        f"vmd -e {shlex.quote(str(folder / 'view.vmd'))}",
        f"pymol {shlex.quote(str(folder / 'view.pml'))}",
    ]
    analyze = "analyze"
    if made.config.output is not None:
        to = shlex.quote(f"{folder}-analysis")
        analyze = f"analyze {shlex.quote(str(folder))}/pull_*.dcd --output {to}"
    hints.append(run_folder.next_command(analyze))
    return RolloutResult(
        outputs=outputs,
        n_samples=made.config.samples,
        n_steps=rollout.positions.shape[1] - 1,
        cv=model.cv.column,
        first=float(values[0, 0]),
        last=tuple(values[:, -1].tolist()),
        target_cv=tuple(target_cv[:, -1].tolist()),
        missed=tuple(missed[:, 1:].mean(axis=0).tolist()),
        largest_miss=float(missed.max()),
        distance=made.distance,
        n_reference_frames=len(model.reference_frames),
        training_radius=float(model.training_radius),
        duration_ps=float(rollout.times_ps[-1]),
        model=which,
        start=made.start.source,
        frames=made.verdict.brief,
        hints=tuple(hints),
    )
