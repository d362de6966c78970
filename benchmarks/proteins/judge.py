"""The goals of real proteins, measured on a run folder beside the baselines."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mdtraj
import numpy as np
import torch
from torch import Tensor

from benchmarks.proteins.data_sets import DataSet
from benchmarks.science.path_quality import read_path
from smdgen.arrays import Floats
from smdgen.dataset.dataset import Dataset, open_dataset
from smdgen.forcefield.energy import BondedEnergy
from smdgen.geometry.backbone import find_backbone
from smdgen.geometry.bonds import bonds_or_chain
from smdgen.geometry.cvs import evaluate
from smdgen.geometry.frames import rmsd, rmsd_matrix
from smdgen.geometry.internal import spanning_tree
from smdgen.io.structures.structure import match_atoms, read_structure
from smdgen.io.trajectories.trajectory import open_trajectory
from smdgen.quality.baseline_table import BaselineTable, RealFrames, baseline_table, compared_atoms
from smdgen.quality.baselines import BASELINES, baseline_pulls
from smdgen.quality.goals import Goal, at_most, at_most_real, between_real
from smdgen.quality.goals import judge as meets
from smdgen.stages.analyze import held_out, real_frames

#: Measures that are no rows of the quality table.
SAME_CV = "RMSD to the test pull at the same CV, A"
NEAREST = "nearest test frame, A"
COVERAGE = "held-out frame to the nearest of these, A"
DIVERSITY = "between pulls at one step, A"
STRUCTURE = "helix and strand along the CV, worst tenth"
CONTACTS = "native contacts along the CV, worst tenth"

#: Rows of the table of `analyze` that several pulls are judged by.
OF_PULLS = ("auc", "diversity", "nearest_real", "coverage", "nearest_training")

#: A. CA nearer than this in the first frame are a native contact, kept up to so many times that distance.
CONTACT, KEPT = 8.0, 1.2

_STRUCTURED = ("H", "E")


@dataclass(frozen=True)
class Measure:
    """One line of the table.

    Attributes:
        label: What it is.
        values: Of the generated pulls, of real ones, and of each baseline; NaN where it does not apply.
        goal: What is wanted; None: the line informs.
        met: Whether it is; None without a goal.
    """

    label: str
    values: tuple[float, ...]
    goal: Goal | None = None
    met: bool | None = None


def judge(data: DataSet, folder: Path) -> list[Measure]:
    """All measures of a run folder in which every command has run.

    Args:
        data: The data set.
        folder: With its files and smdgen-run.
    """
    run = folder / "smdgen-run"
    dataset = open_dataset(run / "dataset.h5")
    paths = [read_path(path, dataset) for path in sorted((run / "rollout").glob("pull_*.dcd"))]
    generated = torch.stack(paths)[:, 1:]
    cv = evaluate(dataset.cv, generated).numpy()
    pulls, _ = held_out(dataset)
    real = real_frames(dataset, pulls, generated.numpy())
    assert real is not None
    test, test_cv = real.held_out.double(), evaluate(dataset.cv, real.held_out.double()).numpy()
    if data.test_trajectory is not None:
        test = _read(folder / data.test_trajectory, folder / data.files[0], dataset)
        test_cv = evaluate(dataset.cv, test).numpy()
        real = RealFrames(real.training, real.paths, test, torch.cat([real.all_frames.double(), test]),
                          np.concatenate([real.all_cv, test_cv]))  # fmt: skip
    energy = BondedEnergy(dataset.terms, dtype=torch.float64)
    table = baseline_table(generated, cv, real, dataset.structure, energy, dataset.cv.periodic)
    tree = spanning_tree(dataset.structure.n_atoms, bonds_or_chain(dataset.structure))
    made = [generated, *(baseline_pulls(name, real.paths, cv, tree).double() for name in BASELINES)]
    measures = [
        *_frame_measures(table),
        *_distance_measures(data, table, made, test, test_cv, dataset),
        *_structure_measures(made, real, dataset),
    ]
    return [*measures, *(_measures_of_pulls(run) if data.several else [])]


def table(data: DataSet, seeds: Sequence[list[Measure]]) -> str:
    """The measures as Markdown; with several seeds mean and standard deviation, met if all meet the goal."""
    names = ["generated", "real", *BASELINES]
    head = f"| measure | goal | {' | '.join(names)} | met |"
    lines = [f"## {data.about}", "", head, "|---" * (len(names) + 3) + "|"]
    for rows in zip(*seeds, strict=True):
        values = np.array([row.values for row in rows], dtype=float)
        cells = [rows[0].label, _goal_text(rows[0]), *map(_number, values.T), _met(rows)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _goal_text(measure: Measure) -> str:
    return "" if measure.goal is None else measure.goal.text


def _met(measures: Sequence[Measure]) -> str:
    """Whether every seed meets the goal."""
    if measures[0].goal is None or measures[0].met is None:
        return ""
    return "yes" if all(measure.met for measure in measures) else "**no**"


def _frame_measures(table: BaselineTable) -> list[Measure]:
    """Whether frames are like those of MD."""
    assert table.generated.frames is not None
    measures = []
    for number, row in enumerate(table.generated.frames.rows):
        others = [column.frames.rows[number].generated for column in table.baselines if column.frames]
        label = f"{row.name}, share" if row.unit == "share" else row.name
        measures.append(Measure(label, (row.generated, row.real, *others), row.goal, row.met))
    return measures


def _distance_measures(
    data: DataSet,
    table: BaselineTable,
    made: Sequence[Tensor],
    test: Tensor,
    test_cv: Floats,
    dataset: Dataset,
) -> list[Measure]:
    columns = [table.generated, table.real, *table.baselines]
    atoms = compared_atoms(dataset.structure)
    near = [float(rmsd_matrix(x.flatten(0, 1)[:, atoms], test[:, atoms]).min(1).values.mean()) for x in made]
    same = [_at_same_cv(x, test, test_cv, dataset, atoms) for x in made]
    copy = 1
    measures = [
        _judged("nearest training frame, A", [column.nearest_training for column in columns], None),
        _judged(COVERAGE, [column.coverage for column in columns], at_most(table.baselines[1].coverage, 2)),
        _judged(DIVERSITY, [column.diversity for column in columns], between_real(0.7, 1.5)),
    ]  # fmt: skip
    if data.test_trajectory is None:
        return measures
    return [
        *measures,
        _judged(NEAREST, [near[0], near[copy], *near[1:]], at_most_real(1.05)),
        _judged(SAME_CV, [same[0], same[copy], *same[1:]], at_most(1.10, 2)),
    ]


def _at_same_cv(x: Tensor, test: Tensor, test_cv: Floats, dataset: Dataset, atoms: Floats) -> float:
    """A. Mean RMSD of frames (n_samples, n_steps, n_atoms, 3) to the test frame of the nearest CV."""
    frames = x.flatten(0, 1)
    values = evaluate(dataset.cv, frames).numpy()
    nearest = np.abs(values[:, None] - test_cv[None]).argmin(axis=1)
    return float(rmsd(frames[:, atoms], test[nearest][:, atoms]).mean())


def _structure_measures(made: Sequence[Tensor], real: RealFrames, dataset: Dataset) -> list[Measure]:
    """Largest difference from real frames in any tenth of the CV's range."""
    measures = []
    for label, of in ((STRUCTURE, _structured), (CONTACTS, _native)):
        theirs = of(real.all_frames.double(), real, dataset)
        worst = [math.nan] * len(made)
        for number, x in enumerate(made):
            frames = x.flatten(0, 1)
            cv = evaluate(dataset.cv, frames).numpy()
            worst[number] = _worst_tenth(of(frames, real, dataset), cv, theirs, real.all_cv)
        measures.append(_judged(label, [worst[0], math.nan, *worst[1:]], at_most(0.05, 2)))
    return measures


def _worst_tenth(ours: Floats, cv: Floats, theirs: Floats, real_cv: Floats) -> float:
    """Largest difference between means in the tenths of the CV's range that both have frames in."""
    edges = np.linspace(min(cv.min(), real_cv.min()), max(cv.max(), real_cv.max()), 11)[1:-1]
    first, second = np.digitize(cv, edges), np.digitize(real_cv, edges)
    both = set(first.tolist()) & set(second.tolist())
    return max(abs(float(ours[first == k].mean() - theirs[second == k].mean())) for k in both)


def _structured(x: Tensor, _: RealFrames, dataset: Dataset) -> Floats:
    """(n,). Share of residues in a helix or a strand, by DSSP."""
    backbone = find_backbone(dataset.structure)
    complete = np.flatnonzero(np.all([backbone.atoms[name] >= 0 for name in ("N", "CA", "C", "O")], axis=0))
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for name in backbone.residue_names[complete]:
        residue = topology.add_residue(str(name), chain)
        for atom, element in (("N", "N"), ("CA", "C"), ("C", "C"), ("O", "O")):
            topology.add_atom(atom, mdtraj.element.get_by_symbol(element), residue)
    order = np.stack([backbone.atoms[name][complete] for name in ("N", "CA", "C", "O")], axis=1).reshape(-1)
    frames = mdtraj.Trajectory(np.ascontiguousarray(x.numpy()[:, order] / 10, dtype=np.float32), topology)
    found = mdtraj.compute_dssp(frames, simplified=True)
    return np.isin(found, _STRUCTURED).mean(axis=1)


def _native(x: Tensor, real: RealFrames, dataset: Dataset) -> Floats:
    """(n,). Share of the CA contacts of the first real frame that are kept."""
    ca = find_backbone(dataset.structure).atoms["CA"]
    first, second = np.triu_indices(len(ca), 4)
    start = real.paths[0].frames[0].double()
    native = torch.linalg.vector_norm(start[ca[first]] - start[ca[second]], dim=-1)
    pairs = (native < CONTACT).numpy()
    apart = torch.linalg.vector_norm(x[:, ca[first[pairs]]] - x[:, ca[second[pairs]]], dim=-1)
    kept: Floats = (apart < KEPT * native[pairs]).double().mean(1).numpy()
    return kept


def _measures_of_pulls(run: Path) -> list[Measure]:
    """Rows of the quality table of `analyze`."""
    rows = {
        row["key"]: row
        for row in json.loads((run / "analysis" / "report.json").read_text())["quality"]["rows"]
    }
    measures = []
    for key in OF_PULLS:
        if key in rows:
            row = rows[key]
            values = [math.nan if row[name] is None else float(row[name]) for name in ("generated", "real")]
            goal = Goal(row["goal"]) if row["goal"] else None
            measures.append(Measure(row["label"], (*values, *[math.nan] * len(BASELINES)), goal, row["met"]))
    return measures


def _judged(label: str, values: Sequence[float], goal: Goal | None) -> Measure:
    return Measure(label, tuple(values), goal, meets(goal, values[0], values[1]))


def _read(trajectory: Path, topology: Path, dataset: Dataset) -> Tensor:
    """(n_frames, n_atoms, 3), A. The modelled atoms of a trajectory."""
    structure = read_structure(topology)
    atoms = match_atoms(dataset.structure, structure)
    with open_trajectory(trajectory, structure.n_atoms) as opened:
        return torch.from_numpy(opened.read(atoms=atoms)).double()


def _number(values: Floats) -> str:
    if np.isnan(values).all():
        return ""
    mean = f"{values.mean():.3f}"
    return mean if len(values) == 1 else f"{mean} +- {values.std():.3f}"
