"""Compare generated pulls with held-out real ones: rollouts + dataset -> tables, figures, report."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smdgen import __version__
from smdgen.config import AnalyzeConfig
from smdgen.dataset.dataset import Dataset, Pull, open_dataset
from smdgen.dataset.generated import Generated, Way, frames_to_show, places, read_generated
from smdgen.errors import ArtifactError
from smdgen.files import read_json, sha256_file
from smdgen.progress import Progress
from smdgen.store.folder import Results, refuse_results, whole_folder
from smdgen.store.run_record import RunFolder
from smdgen.training.devices import use_threads

if TYPE_CHECKING:
    from smdgen.forcefield.energy import BondedEnergy
    from smdgen.geometry.validity import Stereocentres
    from smdgen.view.report import Comparison, FilmFrames, Measures

Frames = NDArray[np.float32]

#: What an analysis leaves in its folder; nothing else there is ever replaced.
FILES = Results("report.json", (
    "cv.csv", "real.csv", "quality.csv", "report.json", "report.md",
    *(f"{name}.{kind}" for name in ("cv", "film", "energies", "ramachandran", "hydrogen_bonds")
      for kind in ("png", "pdf", "svg")),
))  # fmt: skip

#: Frames of a real pull in the figures, at most; frames of a training pull between two steps, at most.
FIGURE_FRAMES, TRAINING_FRAMES = 101, 20

#: Pulls of one kind that are compared, at most; more change no figure and cost time.
MAX_PULLS = 200

#: Frames of the film strip.
FILM_FRAMES = 6


@dataclass(frozen=True)
class AnalyzeResult:
    """What the command line shows.

    Attributes:
        outputs: Files written.
        n_pulls: Generated pulls.
        n_held_out: Real pulls they were compared with.
        quality: The rows of the quality table.
        met: Goals met.
        goals: Goals there are.
        hints: What to type next.
        verdict: Whether the pulls can be trusted, in words.
    """

    outputs: tuple[Path, ...]
    n_pulls: int
    n_held_out: int
    quality: tuple[Any, ...]
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
    from smdgen.view.report import quality_lines, write_report

    began = time.monotonic()
    folder = RunFolder(run_dir)
    output = config.output or folder.analysis
    refuse_results(output, FILES, config.force)
    dataset_path = _dataset_path(folder, config)
    dataset = open_dataset(dataset_path)
    use_threads(dataset.structure.n_atoms)
    paths = config.trajectories or _own_rollouts(folder)
    generated = read_generated(paths, config.topology, dataset, progress)
    comparison = compare(dataset, generated, progress)
    for note in comparison.notes:
        progress.note(note)
    progress.start("figures")
    with whole_folder(output, FILES, config.force) as new:
        write_report(new, comparison)
        names = sorted(file.name for file in new.iterdir())
    inputs = [dataset_path, *generated.paths]
    folder.record_or_note("analyze", time.monotonic() - began, inputs, output, progress)
    judged = [row.met for row in comparison.quality.rows if row.met is not None]
    return AnalyzeResult(
        outputs=tuple(output / name for name in names),
        n_pulls=len(generated.names),
        n_held_out=len(comparison.real_names),
        quality=comparison.quality.rows,
        lines=tuple(quality_lines(comparison.quality)),
        met=sum(judged),
        goals=len(judged),
        hints=_hints(output, generated.paths[0].parent),
        verdict=comparison.verdict,
    )


def _dataset_path(folder: RunFolder, config: AnalyzeConfig) -> Path:
    """The run's own dataset; the pulls shipped with the model where the rollout is of that."""
    generated = config.trajectories[0].parent if config.trajectories else folder.rollout
    report = read_json(generated / "rollout.json")
    of_shipped = isinstance(report, dict) and report.get("shipped_models") is True
    if of_shipped and not folder.dataset.exists():
        return Path(str(resources.files("smdgen"))) / "models" / "deca_alanine" / "reference.h5"
    return folder.require(folder.dataset, "prepare")


def plan(config: AnalyzeConfig, run_dir: Path) -> list[tuple[str, str]]:
    """What a dry run shows."""
    folder = RunFolder(run_dir)
    paths = config.trajectories or _own_rollouts(folder)
    return [
        ("reads", ", ".join(map(str, paths))),
        ("compares with", f"the held-out pulls of {_dataset_path(folder, config)}"),
        ("writes", f"{', '.join(FILES.patterns)} to {config.output or folder.analysis}"),
    ]


def compare(dataset: Dataset, generated: Generated, progress: Progress) -> "Comparison":
    """All numbers of the report, in memory."""
    import torch

    from smdgen.forcefield.energy import BondedEnergy
    from smdgen.geometry.frames import rmsd, rmsd_matrix
    from smdgen.geometry.validity import find_stereocentres
    from smdgen.quality.table import quality_table
    from smdgen.quality.verdict import unjudged, verdict
    from smdgen.view.report import Comparison

    pulls, notes = held_out(dataset)
    pulls = _start_first(pulls, generated.start_pull)
    n_steps = generated.positions.shape[1] - 1
    energy = BondedEnergy(dataset.terms, dtype=torch.float64)
    progress.start("held-out pulls", len(pulls))
    between = _frames_between(pulls, n_steps, generated.way, (FIGURE_FRAMES - 1) // n_steps)
    fine = _frames_of(dataset, pulls, between * n_steps + 1, generated.way, progress)
    real = fine[:, ::between]
    shown = dataset.positions(frames_to_show(dataset, pulls[0], n_steps + 1, generated.way))
    progress.start("quality")
    training, training_places = _training(dataset, n_steps, generated.way)
    starts = None
    if generated.start_pull == pulls[0].name:
        starts = np.zeros(len(generated.names), dtype=np.int64)
    quality = quality_table(
        generated.positions[:, 1:],
        real[:, 1:],
        structure=dataset.structure,
        energy=energy,
        cv=dataset.cv,
        starts=starts,
        targets=None if generated.aims is None else generated.aims[:, 1:],
        training=training,
        training_frames=training_places,
    )
    independent = not any(map(dataset.is_block, pulls))
    if not independent:
        quality = replace(quality, rows=unjudged(quality.rows))
    progress.start("frames")
    centres = find_stereocentres(torch.from_numpy(real).flatten(0, 1).double(), dataset.structure)
    x = torch.from_numpy(generated.positions).double()
    nearest = [rmsd_matrix(x[:, t], torch.from_numpy(real[:, t])).min(1).values for t in range(n_steps + 1)]
    return Comparison(
        structure=dataset.structure,
        cv=dataset.cv,
        names=generated.names,
        times_ps=generated.times_ps,
        generated=measure(generated.positions, dataset, energy, centres),
        real=measure(fine, dataset, energy, centres),
        real_names=[pull.name for pull in pulls],
        rmsd_to_start=rmsd(x, x[:, :1]).numpy(),
        rmsd_to_real=torch.stack(nearest, 1).numpy(),
        aims=generated.aims,
        film=_film(generated.positions[0], shown, generated.way.cv is None or not independent),
        quality=quality,
        verdict=verdict(quality.rows, len(generated.names), len(pulls), independent=independent),
        notes=(*generated.notes, *notes, *quality.notes),
        provenance=_provenance(dataset, generated, pulls),
    )


def measure(
    positions: Frames, dataset: Dataset, energy: "BondedEnergy", centres: "Stereocentres"
) -> "Measures":
    """Numbers of every frame.

    Args:
        positions: (n_pulls, n_frames, n_atoms, 3), A.
        dataset: Says which atoms they are.
        energy: Their bonded energy.
        centres: Atoms that keep one hand in real pulls.
    """
    import torch

    from smdgen.geometry import cvs, validity
    from smdgen.geometry.backbone import find_backbone
    from smdgen.geometry.frames import dihedrals
    from smdgen.geometry.hydrogen_bonds import count_helix_bonds, has_peptides
    from smdgen.view.report import Measures

    structure, shape = dataset.structure, positions.shape[:2]
    x = torch.from_numpy(np.ascontiguousarray(positions)).double()
    backbone = find_backbone(structure)
    _, first, second = np.intersect1d(backbone.phi_residues, backbone.psi_residues, return_indices=True)
    phi_psi = torch.stack([dihedrals(x, backbone.phi[first]), dihedrals(x, backbone.psi[second])], -1)
    bonds = None
    if has_peptides(backbone):
        flat = np.ascontiguousarray(positions).reshape(-1, *positions.shape[2:])
        bonds = count_helix_bonds(flat, backbone).reshape(*shape, -1).astype(float)
    return Measures(
        cv=cvs.evaluate(dataset.cv, x).numpy(),
        energies=energy.three(x).double().numpy(),
        hydrogen_bonds=bonds,
        phi_psi=np.degrees(phi_psi.numpy()),
        faults={
            "clash": validity.clashing(x.flatten(0, 1), validity.clash_limits(structure)).view(shape).numpy(),
            "inverted_centre": validity.inverted_centres(x, centres).numpy(),
            "positive_phi": validity.positive_phi(x, backbone).numpy(),
            "left_turn": validity.left_turns(x, backbone).numpy(),
            "cis_omega": validity.cis_bonds(x, backbone).numpy(),
        },
    )


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
) -> Frames:
    """(n_pulls, n_frames, n_atoms, 3), A."""
    frames = np.empty((len(pulls), n_frames, dataset.structure.n_atoms, 3), dtype=np.float32)
    for i, pull in enumerate(pulls):
        frames[i] = dataset.positions(places(dataset, pull, n_frames, way))
        if progress is not None:
            progress.advance()
    return frames


def _training(dataset: Dataset, n_steps: int, way: Way) -> tuple[Frames | None, NDArray[np.int64] | None]:
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


def _film(generated: Frames, real: Frames, timed: bool) -> "FilmFrames":
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
    return (f"look at {output / 'report.md'} and the pictures beside it", *views)
