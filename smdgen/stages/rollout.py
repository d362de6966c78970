"""Generate new pulls from a start structure: models + start -> DCDs, tables and view scripts."""

import hashlib
import json
import math
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smdgen import __version__
from smdgen.config import RolloutConfig
from smdgen.errors import ArtifactError, ConfigError, TopologyError
from smdgen.files import sha256_file
from smdgen.io.kinds import refuse_unread
from smdgen.io.structures.handedness import mirror_notes
from smdgen.io.structures.start import Start, read_start
from smdgen.io.structures.structure import Structure, structure_from_json
from smdgen.io.tables.schedule_file import ScheduleFile, n_steps_of, read_schedule_file, values_of
from smdgen.progress import Progress
from smdgen.store.folder import Results, refuse_results, whole_folder
from smdgen.store.manifest import taken_apart
from smdgen.store.run_record import RunFolder

if TYPE_CHECKING:
    from smdgen.dataset.dataset import Dataset, Pull
    from smdgen.geometry.cvs import CollectiveVariable
    from smdgen.method.model import PullModel, Rollout
    from smdgen.view.pull_folder import RealPull

#: What `smdgen relax` adds to the folder, and what a new rollout there makes out of date.
RELAXED = ("relaxed_#.dcd", "relaxed.pdb", "relaxed.csv", "relaxed.json")

#: What a rollout leaves in its folder; nothing else there is ever replaced.
FILES = Results("rollout.json", (
    "pull_#.dcd", "pull_#.colvars.traj", "pull_#.colvars.in", "real_#.dcd", "real_#.colvars.traj",
    "real_#.colvars.in", "centres_pull_#.dcd", "centres_real_#.dcd", "centres.pdb",
    "topology.pdb", "topology.psf", "view.vmd", "view.pml", "cv.csv", "rollout.json", *RELAXED,
), also=("relaxed.json",))  # fmt: skip

#: A. Bonds of generated frames beyond these are broken, as in `io.structures.coordinate_checks`.
LONGEST_BOND, SHORTEST_BOND = 2.6, 0.7

#: Steps when neither a flag nor a schedule says how many.
DEFAULT_STEPS = 10

#: Atoms of all frames of one run, at most: they are held in memory.
MOST_ATOMS = 200_000_000

#: A start farther from the training frames than this many times their own reach is refused.
REFUSED_FROM = 2.0

#: A start of the wrong hand is a mirror image of training frames if its reflection is so much nearer to them.
MIRRORED_BELOW = 0.5


@dataclass(frozen=True)
class Models:
    """The two networks with what their files say about them."""

    pull_model: "PullModel[Any, Any]"
    structure: Structure
    cv: "CollectiveVariable"
    content_hash: str  # of the dataset they were trained on
    paths: tuple[Path, Path]
    shipped: bool


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
        aimed: (n_samples,). What these were aimed at.
        missed: (n_steps,), in the CV's unit. |CV - aim| of each step, mean over the pulls.
        largest_miss: Largest |CV - aim| of any frame, in the CV's unit.
        distance: A. RMSD of the start to the nearest of the training frames in the model.
        n_landmarks: How many these are.
        reach: A. The same for held-out frames, at most.
        duration_ps: ps. Time from the first to the last frame.
        model: Which models were used, in words.
        start: Where the start comes from.
        hints: What to type next.
    """

    outputs: tuple[Path, ...]
    n_samples: int
    n_steps: int
    cv: str
    first: float
    last: tuple[float, ...]
    aimed: tuple[float, ...]
    missed: tuple[float, ...]
    largest_miss: float
    distance: float
    n_landmarks: int
    reach: float
    duration_ps: float
    model: str
    start: str
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
                f"{self.distance:.2f} A RMSD, of {self.n_landmarks} (unseen: up to {self.reach:.2f} A)",
            ),
            (self.cv, f"{self.first:.2f} to {last} (target {np.mean(self.aimed):.2f})"),
            ("distance from target", f"mean {np.mean(self.missed):.3f}, largest {self.largest_miss:.3f}"),
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
        ConfigError: Settings out of range, or a start unlike the training data.
        ArtifactError: Models missing, damaged or of different runs; output in the way.
        TopologyError: The start lacks modelled atoms.
        TrajectoryError: The start's coordinates cannot be a structure.
    """
    began = time.monotonic()
    _check_settings(config)
    schedule = None if config.schedule is None else read_schedule_file(config.schedule)
    n_steps = _n_steps(config, schedule)
    folder = RunFolder(run_dir)
    output = config.output or folder.rollout
    refuse_results(output, FILES, config.force)
    models = load_models(folder, config, progress)
    start = _load_start(config, folder, models)
    for note in start.notes:
        progress.note(note)
    _check_size(config.samples, n_steps, start.structure.n_atoms)
    distance = check_start(models, start, progress)
    rollout = _generate(models, start, config, n_steps, schedule, progress)
    for note in broken_bonds(rollout.positions[:, 1:].cpu().numpy(), start.structure):
        progress.note(note)
    report = _report(models, start, config, distance, rollout)
    real = _real_pull(folder, models, start, report, rollout.aims.cpu().numpy())
    with whole_folder(output, FILES, config.force) as new:
        _write(new, output, rollout, models, start, real, report)
        names = sorted(file.name for file in new.iterdir())
    if folder.path.is_dir():
        inputs = [*models.paths, *(path for path in (config.start, config.schedule) if path)]
        folder.record_or_note("rollout", time.monotonic() - began, inputs, output, progress)
    return _result(tuple(output / name for name in names), rollout, models, start, config, distance, run_dir)


def plan(config: RolloutConfig, run_dir: Path) -> list[tuple[str, str]]:
    """What a dry run shows: which models, which start, which folder."""
    _check_settings(config)
    n_steps = _n_steps(config, None if config.schedule is None else read_schedule_file(config.schedule))
    folder = RunFolder(run_dir)
    refuse_results(config.output or folder.rollout, FILES, config.force)
    vae, lstm, shipped = _model_paths(folder)
    return [
        ("models", f"{vae}, {lstm}" + (" (shipped with smdgen)" if shipped else "")),
        (
            "start",
            str(
                config.start
                or f"first frame of a pull of {folder.dataset}, held out if one can begin a rollout"
            ),
        ),
        ("writes", f"{config.samples} pulls of {n_steps} steps to {config.output or folder.rollout}"),
    ]


def load_models(folder: RunFolder, config: RolloutConfig, progress: Progress) -> Models:
    """The models of a run folder, or the shipped ones where there is no run.

    Raises:
        ArtifactError: A step of the run is missing, or nothing fits.
    """
    from smdgen.method.model import on_device
    from smdgen.store.models import AutoencoderFile, DynamicsFile, build_model
    from smdgen.training.devices import choose_device

    vae_path, lstm_path, shipped = _model_paths(folder)
    progress.start("models")
    vae, lstm = AutoencoderFile.open(vae_path), DynamicsFile.open(lstm_path)
    if lstm.header.vae_sha256 != vae.sha256:
        raise ArtifactError(
            f"{lstm_path} belongs to another {vae_path.name}; "
            f"run `{folder.next_command('train-lstm --force')}`"
        )
    with taken_apart(vae_path):
        structure = structure_from_json(vae.header.structure)
    device = choose_device(config.device, structure.n_atoms, threads=0)
    if shipped:
        _check_shipped_fits(config, folder, structure)
        progress.note(
            f"no models in {folder.path}: using the deca-alanine model shipped with smdgen; "
            "train your own with `smdgen prepare`, `smdgen train-vae`, `smdgen train-lstm`"
        )
    with taken_apart(vae_path, lstm_path):
        if vae.reference_frames.shape[1] != structure.n_atoms:
            raise ValueError("reference frames of other atoms")
        model = on_device(build_model(vae, lstm, structure), device)
    return Models(model, structure, model.cv, vae.header.content_hash, (vae_path, lstm_path), shipped)


def check_start(models: Models, start: Start, progress: Progress) -> float:
    """RMSD, A, from the start to the nearest of the training frames in the model.

    Raises:
        ConfigError: It is so far that what follows would mean nothing.
    """
    import torch

    from smdgen.method.model import start_distance

    model = models.pull_model
    positions = torch.from_numpy(start.positions).to(model.reference_frames)
    distance, reflected = (float(start_distance(model, x)) for x in (positions, -positions))
    if mirror_notes(start.positions[None], start.structure) and reflected < MIRRORED_BELOW * distance:
        raise ConfigError(
            f"the start is a mirror image: {distance:.2f} A from the nearest training frame, its reflection "
            f"{reflected:.2f} A; an axis was negated, so give the start as it was"
        )
    reach = float(model.training_radius)
    found = (
        f"the start is {distance:.2f} A from the closest of {len(model.reference_frames)} training frames "
        f"(unseen frames: up to {reach:.2f} A)"
    )
    if not distance <= REFUSED_FROM * reach:
        raise ConfigError(
            f"{found}; give a start of the same fold as the training pulls, "
            "or train on pulls that begin like it"
        )
    if distance > reach:
        progress.note(f"{found}: it lies outside the training data, so check the result with care")
    return distance


def _check_settings(config: RolloutConfig) -> None:
    for flag, value in (("--steps", config.steps), ("--samples", config.samples)):
        if value is not None and value < 1:
            raise ConfigError(f"{flag} is {value}, expected 1 or more")
    if config.target is not None and config.schedule is not None:
        raise ConfigError("--to and --schedule both say where to go; give one of them")
    if config.target is not None and not math.isfinite(config.target):
        raise ConfigError(
            f"--to is {config.target}, expected a number in the unit of the collective variable"
        )


def _check_size(n_samples: int, n_steps: int, n_atoms: int) -> None:
    """Refuse what no memory holds."""
    n_frames = n_samples * (n_steps + 1)
    if n_frames * n_atoms > MOST_ATOMS:
        raise ConfigError(
            f"{n_samples} pulls of {n_steps} steps have {n_frames * n_atoms:.3g} atoms in all "
            f"frames, expected at most {MOST_ATOMS:.3g}; generate fewer at a time"
        )


def _n_steps(config: RolloutConfig, schedule: ScheduleFile | None) -> int:
    """As many as asked for, or as the schedule has."""
    if schedule is None:
        return config.steps or DEFAULT_STEPS
    return n_steps_of(schedule, config.steps, DEFAULT_STEPS)


def _model_paths(folder: RunFolder) -> tuple[Path, Path, bool]:
    """VAE, LSTM, and whether they are the shipped ones.

    Raises:
        ArtifactError: A run was begun and a step is missing.
    """
    if folder.dataset.exists() or folder.vae.exists() or folder.lstm.exists():
        return folder.require(folder.vae, "train-vae"), folder.require(folder.lstm, "train-lstm"), False
    shipped = Path(str(resources.files("smdgen"))) / "models" / "deca_alanine"
    vae, lstm = shipped / "vae.safetensors", shipped / "lstm.safetensors"
    if not (vae.is_file() and lstm.is_file()):
        raise ArtifactError(_no_models(folder))
    return vae, lstm, True


def _no_models(folder: RunFolder) -> str:
    return (
        f"no trained models in {folder.path}; run `smdgen prepare TRAJECTORY...`, `smdgen train-vae` and "
        "`smdgen train-lstm` first, or name their run folder with --run"
    )


def _check_shipped_fits(config: RolloutConfig, folder: RunFolder, structure: Structure) -> None:
    if config.start is None:
        raise ArtifactError(
            f"{_no_models(folder)}; the shipped model needs a start: `smdgen rollout start.pdb`"
        )
    if config.start.is_file():
        refuse_unread(config.start, TopologyError)
    try:
        read_start(config.start, structure)
    except TopologyError as error:
        if not config.start.is_file():
            raise
        raise ArtifactError(
            f"{_no_models(folder)} (the shipped deca-alanine model does not fit: {error})"
        ) from error


def _load_start(config: RolloutConfig, folder: RunFolder, models: Models) -> Start:
    """The user's start, or the first frame of a held-out pull."""
    if config.start is not None:
        return read_start(config.start, models.structure)
    from smdgen.dataset.dataset import open_dataset

    dataset = open_dataset(folder.require(folder.dataset, "prepare"))
    if dataset.content_hash != models.content_hash:
        raise ArtifactError(
            f"{models.paths[0]} was trained on another {folder.dataset.name}, so none of "
            f"its pulls is known to be held out; "
            f"run `{folder.next_command('train-vae --force')}` or give a start"
        )
    held_out = [*dataset.of_split("test"), *dataset.of_split("validation"), *dataset.of_split("train")]
    pull = next((pull for pull in held_out if _can_begin(models, dataset, pull)), held_out[0])
    frame = dataset.positions(np.array([pull.start]))[0]
    return Start(dataset.structure, frame, f"first frame of {pull.name} ({pull.split})", pull=pull.name)


def _can_begin(models: Models, dataset: "Dataset", pull: "Pull") -> bool:
    """Whether a rollout can go on from a pull's first frame: not that of a block where training pulls end."""
    from smdgen.method.rollout import can_begin

    return can_begin(models.pull_model, float(dataset.cv_values[pull.start]))


def _generate(
    models: Models,
    start: Start,
    config: RolloutConfig,
    n_steps: int,
    schedule: ScheduleFile | None,
    progress: Progress,
) -> "Rollout":
    import torch

    from smdgen.geometry.cv_paths import difference
    from smdgen.geometry.cvs import evaluate
    from smdgen.method.rollout import generate

    positions, values = torch.from_numpy(start.positions), None
    if schedule is not None:
        first = float(evaluate(models.cv, positions.double()))
        off = abs(difference(schedule.values[:1], np.array([first]), models.cv.periodic))
        if schedule.places[0] == 0 and off > 0.5:
            progress.note(
                f"{schedule.path} begins at {schedule.values[0]:.2f}, the start is at {first:.2f} "
                f"{models.cv.unit}: the pulls begin at the start"
            )
        values = values_of(schedule, n_steps, first, models.cv.periodic).tolist()
    return generate(
        models.pull_model,
        positions,
        n_steps,
        config.samples,
        config.target,
        config.seed,
        progress,
        values,
    )


def broken_bonds(positions: NDArray[np.floating], structure: Structure) -> list[str]:
    """A note if generated frames have a bond that no molecule has, as a ring that did not close.

    Args:
        positions: (n_pulls, n_frames, n_atoms, 3), A.
        structure: Its bonds are looked at.
    """
    first, second = structure.bonds.T
    lengths = np.linalg.norm(positions[..., first, :] - positions[..., second, :], axis=-1)
    is_broken = (lengths > LONGEST_BOND) | (lengths < SHORTEST_BOND)
    n_broken = int(is_broken.any(axis=-1).sum())
    if not n_broken:
        return []
    worst = int(np.abs(np.log(lengths / 1.5)).max(axis=(0, 1)).argmax())
    names = " - ".join(structure.label(int(atom)) for atom in structure.bonds[worst])
    low, high = float(lengths[..., worst].min()), float(lengths[..., worst].max())
    return [
        f"{n_broken} of {lengths[..., 0].size} generated frames have a broken bond, the worst {names} "
        f"({low:.2f} to {high:.2f} A): they are not valid structures; the model does not hold this "
        "molecule together"
    ]


def _real_pull(
    folder: RunFolder,
    models: Models,
    start: Start,
    report: Mapping[str, Any],
    aims: NDArray[np.floating[Any]],
) -> "RealPull | None":
    """The held-out pull that is shown beside the generated ones: the start's own, else the first one.

    Its frames are those of the generated pulls' times, or of their CV where these say nothing; None without
    the dataset the model was trained on (for the shipped model: the pulls shipped with it).
    """
    from smdgen.dataset.dataset import open_dataset
    from smdgen.dataset.generated import frames_to_show, way_of
    from smdgen.view.pull_folder import RealPull

    path = models.paths[0].with_name("reference.h5") if models.shipped else folder.dataset
    if not path.exists():
        return None
    dataset = open_dataset(path)
    held_out = [*dataset.of_split("test"), *dataset.of_split("validation")]
    known = (dataset.content_hash, dataset.provenance.get("part_of"))
    if models.content_hash not in known or not held_out:
        return None
    pull = next((pull for pull in held_out if pull.name == start.pull), held_out[0])
    n_steps = aims.shape[1] - 1
    way = way_of(report, dataset, n_steps, aims)
    frames = dataset.positions(frames_to_show(dataset, pull, n_steps + 1, way))
    return RealPull(pull.name, frames, timed=way.cv is None or dataset.is_block(pull))


def _write(
    folder: Path,
    home: Path,
    rollout: "Rollout",
    models: Models,
    start: Start,
    real: "RealPull | None",
    report: Mapping[str, Any],
) -> None:
    from smdgen.view.pull_folder import write_pull_folder

    positions = rollout.positions.cpu().numpy().astype(np.float32)
    times, aims = rollout.times_ps.cpu().numpy(), rollout.aims.cpu().numpy()
    write_pull_folder(folder, start.structure, models.cv, positions, times, aims, home, real)
    names = [FILES.record, *(file.name for file in folder.iterdir())]
    report = {**report, "files": sorted(names)}
    (folder / FILES.record).write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _report(
    models: Models, start: Start, config: RolloutConfig, distance: float, rollout: "Rollout"
) -> Mapping[str, Any]:
    """rollout.json: how the pulls came about; no dates and no paths, so that it is the same every time."""
    from smdgen.geometry.cvs import to_dict

    return {
        "kind": "rollout",
        "schema": 1,
        "version": __version__,
        "units": {"length": "A", "time": "ps", models.cv.name: models.cv.unit},
        "atom_hash": start.structure.atom_hash,
        "dataset_hash": models.content_hash,
        "models": {path.name: sha256_file(path) for path in models.paths},
        "shipped_models": models.shipped,
        "start": start.source if config.start is None else config.start.name,
        "start_pull": start.pull,
        "start_sha256": hashlib.sha256(np.ascontiguousarray(start.positions).tobytes()).hexdigest(),
        "start_distance_A": round(distance, 4),
        "reach_A": round(float(models.pull_model.training_radius), 4),
        "n_steps": rollout.positions.shape[1] - 1,
        "n_samples": config.samples,
        "target": config.target,
        "schedule_sha256": None if config.schedule is None else sha256_file(config.schedule),
        "seed": config.seed,
        "time_per_step_ps": float(rollout.times_ps[1] - rollout.times_ps[0]),
        "cv": to_dict(models.cv),
    }


def _result(
    outputs: tuple[Path, ...],
    rollout: "Rollout",
    models: Models,
    start: Start,
    config: RolloutConfig,
    distance: float,
    run_dir: Path,
) -> RolloutResult:
    from smdgen.geometry.cvs import difference

    missed = difference(models.cv, rollout.cv_values, rollout.aims).abs().double().cpu().numpy()
    values, aims = rollout.cv_values.double().cpu().numpy(), rollout.aims.double().cpu().numpy()
    folder = outputs[0].parent
    which = "shipped with smdgen (deca-alanine backbone)" if models.shipped else str(models.paths[0].parent)
    hints = [
        f"vmd -e {shlex.quote(str(folder / 'view.vmd'))}",
        f"pymol {shlex.quote(str(folder / 'view.pml'))}",
    ]
    if config.output is None:
        hints.append(RunFolder(run_dir).next_command("analyze"))
    else:
        to = shlex.quote(f"{folder}-analysis")
        own = f"analyze {shlex.quote(str(folder))}/pull_*.dcd --output {to}"
        hints.append(RunFolder(run_dir).next_command(own))
    return RolloutResult(
        outputs=outputs,
        n_samples=config.samples,
        n_steps=rollout.positions.shape[1] - 1,
        cv=models.cv.column,
        first=float(values[0, 0]),
        last=tuple(values[:, -1].tolist()),
        aimed=tuple(aims[:, -1].tolist()),
        missed=tuple(missed[:, 1:].mean(axis=0).tolist()),
        largest_miss=float(missed.max()),
        distance=distance,
        n_landmarks=len(models.pull_model.reference_frames),
        reach=float(models.pull_model.training_radius),
        duration_ps=float(rollout.times_ps[-1]),
        model=which,
        start=start.source,
        hints=tuple(hints),
    )
