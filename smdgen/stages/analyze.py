"""Compare generated pulls with held-out real ones: rollouts + dataset -> tables, figures, report."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smdgen import __version__
from smdgen.arrays import Floats, Positions
from smdgen.config import AnalyzeConfig
from smdgen.dataset.dataset import Dataset, Pull, open_dataset
from smdgen.dataset.generated import Generated, Way, frames_to_show, places, read_generated
from smdgen.errors import ArtifactError
from smdgen.files import read_json, sha256_file
from smdgen.forcefield.bonded_terms import Terms
from smdgen.geometry.bonds import even_choice
from smdgen.geometry.cv_paths import difference
from smdgen.geometry.cvs import CollectiveVariable
from smdgen.io.structures.atoms import Structure
from smdgen.progress import Progress
from smdgen.store.folder import Results, refuse_results, whole_folder
from smdgen.store.run_record import RunFolder
from smdgen.store.trained import SHIPPED
from smdgen.training.devices import use_threads

if TYPE_CHECKING:
    from smdgen.quality.baseline_table import RealFrames
    from smdgen.view.report import FilmFrames, Report


#: What an analysis leaves in its folder; nothing else there is ever replaced.
ANALYSIS_FILES = Results("report.json", (
    "cv.csv", "real.csv", "quality.csv", "report.json", "report.md",
    *(f"{name}.{kind}" for name in ("cv", "film", "energies", "ramachandran", "hydrogen_bonds")
      for kind in ("png", "pdf", "svg")),
))  # fmt: skip

#: Frames of a real pull in the figures, at most; frames of a training pull between two steps, at most.
FIGURE_FRAMES, TRAINING_FRAMES = 101, 20

#: Pulls of one kind that are compared, at most; more change no measure and cost time.
MAX_PULLS = 200

#: Training frames among which the nearest is sought, frames of a training pull for the baselines, real frames
#: that generated ones are judged by, at most.
NEAREST_FRAMES, PATH_FRAMES, JUDGING_FRAMES = 5000, 1000, 400

#: Frames of the film strip.
FILM_FRAMES = 6


@dataclass(frozen=True)
class Inputs:
    """Everything that an analysis is computed from, in memory.

    Attributes:
        structure: The modelled atoms.
        terms: Their bonded terms.
        cv: The steered variable.
        generated: The pulls to judge.
        real: (n_pulls, between * n_steps + 1, n_atoms, 3), A. Held-out pulls over the same way.
        real_names: Of the held-out pulls; the one that the generated pulls start from comes first.
        between: Frames of `real` per step: its first frame, and each of that many, belong to a generated one.
        example: (n_steps + 1, n_atoms, 3), A. A real pull to be seen with the first generated one.
        training: (n_training_pulls, n_training_frames, n_atoms, 3), A. Over the same way; None without any.
        training_frames: (n_steps,). The training frame that belongs to each step; None without any.
        beside: Real frames that the generated ones and the baselines are held against; None without training
            pulls.
        independent: Whether the held-out pulls are pulls of their own, not blocks of one trained on.
        notes: What a reader has to know of them.
        provenance: Where all this is from; for report.json.
    """

    structure: Structure
    terms: Terms
    cv: CollectiveVariable
    generated: Generated
    real: Positions
    real_names: tuple[str, ...]
    between: int
    example: Positions
    training: Positions | None
    training_frames: NDArray[np.int64] | None
    beside: "RealFrames | None"
    independent: bool
    notes: tuple[str, ...]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class AnalyzeResult:
    """What the command line shows.

    Attributes:
        outputs: Files written.
        n_pulls: Generated pulls.
        n_held_out: Real pulls they were compared with.
        quality: The rows of the quality table, for JSON, as in report.json.
        met: Goals met.
        goals: Goals there are.
        hints: What to type next.
        verdict: Whether the pulls can be trusted, in words.
    """

    outputs: tuple[Path, ...]
    n_pulls: int
    n_held_out: int
    quality: tuple[dict[str, Any], ...]
    lines: tuple[tuple[str, str], ...]
    met: int
    goals: int
    hints: tuple[str, ...]
    verdict: str

    def summary(self) -> list[tuple[str, str]]:
        """Rows of the table."""
        held_out = f"{self.n_held_out} held-out real pull{'s' * (self.n_held_out > 1)}"
        compared = f"{self.n_pulls} generated with {held_out}"
        met = f"{self.met} of {self.goals}" if self.goals else "none judged"
        return [("compared", compared), *self.lines, ("goals met", met)]


def run(config: AnalyzeConfig, run_dir: Path, progress: Progress) -> AnalyzeResult:
    """Judge rollouts (or any trajectories of the modelled atoms) against the held-out pulls.

    Args:
        config: Trajectories (none: the run's own rollouts), their topology, output.
        run_dir: The run folder with the dataset.
        progress: Told about the parts of the work.

    Raises:
        ArtifactError: No dataset, no rollouts, or output in the way.
        TopologyError: The trajectories lack modelled atoms.
        TrajectoryError: A trajectory is damaged, has one frame, or its length differs from the others'.
    """
    from smdgen.quality.rows import row_dict
    from smdgen.view.report import quality_lines, write_report

    began = time.monotonic()
    folder = RunFolder(run_dir)
    output = config.output or folder.analysis
    refuse_results(output, ANALYSIS_FILES, config.force)
    dataset_path = _dataset_path(folder, config)
    dataset = open_dataset(dataset_path)
    use_threads(dataset.structure.n_atoms)
    paths = config.trajectories or _own_rollouts(folder)
    inputs = load(dataset, read_generated(paths, config.topology, dataset, progress), progress)
    progress.start("quality")
    report = compute(inputs)
    for note in report.notes:
        progress.note(note)
    progress.start("figures")
    with whole_folder(output, ANALYSIS_FILES, config.force) as new:
        write_report(new, report)
        names = sorted(file.name for file in new.iterdir())
    sources = inputs.generated.paths
    folder.record_or_note("analyze", time.monotonic() - began, [dataset_path, *sources], output, progress)
    judged = [row.met for row in report.quality.rows if row.met is not None]
    return AnalyzeResult(
        outputs=tuple(output / name for name in names),
        n_pulls=len(report.names),
        n_held_out=len(report.real_names),
        quality=tuple(map(row_dict, report.quality.rows)),
        lines=tuple(quality_lines(report.quality)),
        met=sum(judged),
        goals=len(judged),
        hints=_hints(output, sources[0].parent),
        verdict=report.verdict,
    )


def _dataset_path(folder: RunFolder, config: AnalyzeConfig) -> Path:
    """The run's own dataset; the pulls shipped with the model where the rollout is of that."""
    generated = config.trajectories[0].parent if config.trajectories else folder.rollout
    report = read_json(generated / "rollout.json")
    of_shipped = isinstance(report, dict) and report.get("shipped_models") is True
    if of_shipped and not folder.dataset.exists():
        return SHIPPED / "reference.h5"
    return folder.require(folder.dataset, "prepare")


def plan(config: AnalyzeConfig, run_dir: Path) -> list[tuple[str, str]]:
    """What a dry run shows."""
    folder = RunFolder(run_dir)
    refuse_results(config.output or folder.analysis, ANALYSIS_FILES, config.force)
    paths = config.trajectories or _own_rollouts(folder)
    return [
        ("reads", ", ".join(map(str, paths))),
        ("compares with", f"the held-out pulls of {_dataset_path(folder, config)}"),
        ("writes", f"{', '.join(ANALYSIS_FILES.patterns)} to {config.output or folder.analysis}"),
    ]


def load(dataset: Dataset, generated: Generated, progress: Progress) -> Inputs:
    """The real pulls over the way of the generated ones.

    Args:
        dataset: Has the pulls.
        generated: The pulls to judge.
        progress: Told after each held-out pull.

    Raises:
        ArtifactError: The dataset has none but training pulls.
    """
    pulls, notes = held_out(dataset)
    pulls = _start_first(pulls, generated.start_pull)
    n_steps = generated.positions.shape[1] - 1
    between = _frames_between(pulls, n_steps, generated.way, (FIGURE_FRAMES - 1) // n_steps)
    progress.start("held-out pulls", len(pulls))
    real = _frames_of(dataset, pulls, between * n_steps + 1, generated.way, progress)
    training, training_frames = _training(dataset, n_steps, generated.way)
    return Inputs(
        structure=dataset.structure,
        terms=dataset.terms,
        cv=dataset.cv,
        generated=generated,
        real=real,
        real_names=tuple(pull.name for pull in pulls),
        between=between,
        example=dataset.positions(frames_to_show(dataset, pulls[0], n_steps + 1, generated.way)),
        training=training,
        training_frames=training_frames,
        beside=real_frames(dataset, pulls, generated.positions[:, 1:]),
        independent=not any(map(dataset.is_block, pulls)),
        notes=(*generated.notes, *notes),
        provenance=_provenance(dataset, generated, pulls),
    )


def compute(inputs: Inputs) -> "Report":
    """All numbers of the report: every frame is measured once, and the table is made of these numbers."""
    import torch

    from smdgen.forcefield.energy import BondedEnergy
    from smdgen.geometry.frames import rmsd
    from smdgen.quality.baseline_table import baseline_table
    from smdgen.quality.comparison import compare, step_distances
    from smdgen.quality.measure import make_gauge, measure
    from smdgen.quality.table import tabulate
    from smdgen.quality.verdict import unjudged, verdict, with_power
    from smdgen.view.report import Report

    made, n_generated, n_real = inputs.generated, len(inputs.generated.names), len(inputs.real_names)
    x, real = torch.from_numpy(made.positions), torch.from_numpy(inputs.real)
    energy = BondedEnergy(inputs.terms, dtype=torch.float64)
    steps, real_steps = slice(1, None), slice(inputs.between, None, inputs.between)
    gauge = make_gauge(inputs.structure, real, energy, inputs.cv)
    ours, theirs = measure(x, gauge), measure(real, gauge)
    alike = made.start_pull == inputs.real_names[0]
    starts = np.zeros(n_generated, dtype=np.int64) if alike else None
    comparison = compare(ours.frames(steps), theirs.frames(real_steps), starts, seed=0)
    quality = tabulate(
        comparison,
        inputs.structure,
        inputs.cv,
        targets=None if made.target_cv is None else made.target_cv[:, steps],
        training=inputs.training,
        training_frames=inputs.training_frames,
    )
    judged = with_power(quality.rows, n_real) if inputs.independent else unjudged(quality.rows)
    quality = replace(quality, rows=judged)
    baselines = None
    if inputs.beside is not None:
        baselines = baseline_table(
            x[:, steps], ours.cv[:, steps], inputs.beside, inputs.structure, energy, inputs.cv.periodic
        )
    trust = verdict(quality.rows, n_generated, n_real, independent=inputs.independent)
    to_real = np.concatenate([step_distances(x[:, :1], real[:, :1]), comparison.to_real])
    return Report(
        structure=inputs.structure,
        cv=inputs.cv,
        names=made.names,
        times_ps=made.times_ps,
        generated=ours,
        real=theirs,
        real_names=inputs.real_names,
        rmsd_to_start=rmsd(x.double(), x[:, :1].double()).numpy(),
        rmsd_to_real=to_real.min(axis=2).T,
        target_cv=made.target_cv,
        film=_film(made.positions[0], inputs.example, made.way.cv is None or not inputs.independent),
        quality=quality,
        baselines=baselines,
        verdict=trust if baselines is None else f"{baselines.verdict()} {trust}",
        notes=(*inputs.notes, *quality.notes),
        provenance=inputs.provenance,
    )


def real_frames(dataset: Dataset, pulls: Sequence[Pull], generated: Positions) -> "RealFrames | None":
    """Real frames from the CVs that generated ones have.

    Args:
        dataset: Has the frames.
        pulls: The held-out pulls.
        generated: (n_samples, n_steps, n_atoms, 3), A.

    Returns:
        None without training pulls.
    """
    import torch

    from smdgen.geometry.cvs import evaluate
    from smdgen.quality.baseline_table import RealFrames
    from smdgen.quality.baselines import RealPath

    def frames(rows: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(dataset.positions(rows))

    own = [[pull for pull in parts if pull.split == "train"] for parts in dataset.trajectories]
    every = np.arange(dataset.n_frames)
    training = [np.concatenate([every[pull.start : pull.stop] for pull in parts]) for parts in own if parts]
    if not training:
        return None
    cv = evaluate(dataset.cv, torch.from_numpy(generated).double()).numpy()
    paths = [even_choice(rows, PATH_FRAMES) for rows in training[: len(generated)]]
    inside = (dataset.cv_values >= cv.min()) & (dataset.cv_values <= cv.max())
    judging = even_choice(every[inside] if inside.sum() >= JUDGING_FRAMES // 20 else every, JUDGING_FRAMES)
    return RealFrames(
        training=frames(even_choice(np.concatenate(training), NEAREST_FRAMES)),
        paths=tuple(RealPath(frames(rows), dataset.cv_values[rows]) for rows in paths),
        held_out=frames(_at_steps(dataset, pulls, np.median(cv, axis=0))),
        all_frames=frames(judging),
        all_cv=dataset.cv_values[judging],
    )


def _at_steps(dataset: Dataset, pulls: Sequence[Pull], cv: Floats) -> NDArray[np.int64]:
    """Frames of held-out pulls with the CV of a step: within half a step of it, where there are any such."""
    near = max(np.median(np.abs(np.diff(cv))) / 2 if len(cv) > 1 else np.inf, 1e-6)
    found: list[NDArray[np.int64]] = []
    nearest: list[NDArray[np.int64]] = []
    for pull in pulls:
        gap = np.abs(
            difference(cv[:, None], dataset.cv_values[None, pull.start : pull.stop], dataset.cv.periodic)
        )
        rows = pull.start + gap.argmin(axis=1)
        nearest.append(rows)
        found.append(rows[gap.min(axis=1) <= near])
    rows = np.unique(np.concatenate(found))
    return rows if len(rows) else np.unique(np.concatenate(nearest))


def held_out(dataset: Dataset) -> tuple[tuple[Pull, ...], tuple[str, ...]]:
    """The pulls to compare with, and what is to be said about them.

    Raises:
        ArtifactError: The dataset has none but training pulls.
    """
    notes: tuple[str, ...] = ()
    pulls = [pull for pull in dataset.of_split("test") if pull.n_frames > 1]
    if not pulls:
        pulls = [pull for pull in dataset.of_split("validation") if pull.n_frames > 1]
        notes = ("there are no test pulls: compared with validation pulls, which training has seen",)
    if not pulls:
        raise ArtifactError(f"{dataset.path} has no held-out pulls; run `smdgen prepare` with more pulls")
    return tuple(pulls[:MAX_PULLS]), notes


def _own_rollouts(folder: RunFolder) -> tuple[Path, ...]:
    paths = tuple(sorted(folder.rollout.glob("pull_*.dcd")))
    if not paths:
        raise ArtifactError(
            f"no trajectories in {folder.rollout}; run `smdgen rollout` first or name trajectories"
        )
    return paths


def _start_first(pulls: tuple[Pull, ...], name: str | None) -> tuple[Pull, ...]:
    """The pull that the generated ones start from comes first: it is the one to show beside them."""
    return tuple(sorted(pulls, key=lambda pull: pull.name != name))


def _frames_of(
    dataset: Dataset,
    pulls: Sequence[Pull],
    n_frames: int,
    way: Way,
    progress: Progress | None = None,
) -> Positions:
    """(n_pulls, n_frames, n_atoms, 3), A."""
    frames = np.empty((len(pulls), n_frames, dataset.structure.n_atoms, 3), dtype=np.float32)
    for i, pull in enumerate(pulls):
        frames[i] = dataset.positions(places(dataset, pull, n_frames, way))
        if progress is not None:
            progress.advance()
    return frames


def _training(dataset: Dataset, n_steps: int, way: Way) -> tuple[Positions | None, NDArray[np.int64] | None]:
    """Training frames along the same way, and which of them belongs to each step."""
    pulls = [pull for pull in dataset.of_split("train") if pull.n_frames > 1][:MAX_PULLS]
    if not pulls:
        return None, None
    between = _frames_between(pulls, n_steps, way, TRAINING_FRAMES)
    frames = _frames_of(dataset, pulls, between * n_steps + 1, way)
    return frames, between * np.arange(1, n_steps + 1)


def _frames_between(pulls: Sequence[Pull], n_steps: int, way: Way, most: int) -> int:
    """Frames of a real pull per step: 1 to `most`, no more than the shortest one has (none is repeated)."""
    intervals = min(pull.n_frames - 1 for pull in pulls) * (way.window[1] - way.window[0])
    return max(1, min(int(intervals + 1e-6) // n_steps, most))


def _film(generated: Positions, real: Positions, timed: bool) -> "FilmFrames":
    from smdgen.view.report import FilmFrames

    n_frames = len(generated)
    steps = np.unique(np.rint(np.linspace(0, n_frames - 1, min(n_frames, FILM_FRAMES))).astype(int))
    return FilmFrames(steps.tolist(), generated[steps], real[steps], timed)


def _provenance(dataset: Dataset, generated: Generated, pulls: Sequence[Pull]) -> dict[str, Any]:
    way = generated.way
    by = "time" if way.cv is None else "CV"
    return {
        "kind": "analysis",
        "schema": 1,
        "version": __version__,
        "units": {"length": "A", "energy": "kcal/mol", "time": "ps", dataset.cv.name: dataset.cv.unit},
        "atom_hash": dataset.structure.atom_hash,
        "dataset_hash": dataset.content_hash,
        "trajectories": {path.name: sha256_file(path) for path in generated.paths},
        "compared_with": {
            "split": pulls[0].split,
            "by": by,
            "from": way.window[0],
            "to": way.window[1],
        },
        "bonded_terms": dataset.terms.source,
    }


def _hints(output: Path, rollout: Path) -> tuple[str, ...]:
    scripts = (("vmd -e", rollout / "view.vmd"), ("pymol", rollout / "view.pml"))
    views = [f"{program} {shlex.quote(str(script))}" for program, script in scripts if script.is_file()]
    return (f"look at {output / 'report.md'} and the pictures in its folder", *views)
