"""The rows of the quality table, measure by measure; their definitions are in docs/quality-measures.md."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smdgen.arrays import Floats, Indices
from smdgen.geometry import cvs
from smdgen.geometry.cv_paths import difference
from smdgen.geometry.frames import rmsd, rmsd_matrix
from smdgen.quality import similarity
from smdgen.quality.comparison import Comparison, band_limit
from smdgen.quality.faults import FAULTS
from smdgen.quality.goals import Goal, goal_of, judge
from smdgen.quality.measure import ENERGIES, HELIX_BONDS, Measured

_Numbers = TypeVar("_Numbers")


@dataclass(frozen=True)
class QualityRow:
    """One measure of the table.

    Attributes:
        key: Short name, for programs.
        name: Name, for people.
        unit: Of the numbers; "share" from 0 to 1; empty for a plain number.
        generated: The measure of the generated pulls; NaN if it does not apply.
        generated_spread: Its standard deviation over halvings (AUC: over folds); NaN if none.
        real: The same measure of real pulls against other real pulls; NaN if it does not apply.
        real_spread: Its standard deviation over halvings.
        goal: What is wanted; None if the row only informs.
        met: Whether it is; None without a goal or without a value.
    """

    key: str
    name: str
    unit: str
    generated: float
    generated_spread: float = math.nan
    real: float = math.nan
    real_spread: float = math.nan
    goal: Goal | None = None
    met: bool | None = None

    @property
    def label(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    @property
    def goal_text(self) -> str:
        """The goal in words; empty without one."""
        return self.goal.text if self.goal else ""


def row_dict(row: QualityRow) -> dict[str, Any]:
    """A row for JSON; NaN stays."""
    numbers = (row.generated, row.generated_spread, row.real, row.real_spread)
    names = ("generated", "generated_spread", "real", "real_spread")
    return {
        "key": row.key, "label": row.label, **dict(zip(names, numbers, strict=True)), "goal": row.goal_text,
        "met": row.met,
    }  # fmt: skip


def row_json(row: QualityRow) -> dict[str, Any]:
    """A row for a file that may not hold NaN: None stands for it."""
    return {key: None if value != value else value for key, value in row_dict(row).items()}


def reconstruction_row(rebuilt: Tensor, original: Tensor) -> QualityRow:
    """Mean minimal RMSD of held-out frames through the model.

    Args:
        rebuilt: (n_frames, n_atoms, 3), A.
        original: (n_frames, n_atoms, 3), A.
    """
    value = float(rmsd(rebuilt.double(), original.double()).mean())
    return _row("reconstruction", "reconstruction RMSD", "A", value)


def energy_rows(c: Comparison) -> Iterator[QualityRow]:
    """Ratios of the median bonded energies, and the share of frames with all three in the real band."""
    ours, theirs = c.generated.energies, c.real.energies
    value = similarity.energy_ratio(ours, theirs)
    halved = _halved(c, ours, theirs, lambda x, i, j: similarity.energy_ratio(x[i], theirs[j]))
    for kind, name in enumerate(ENERGIES):
        yield _row(
            f"{name}_energy_ratio",
            f"{name} energy, median / real median",
            "",
            float(value[kind]),
            halved=halved[:, :, kind] if halved.size else halved,
        )
    yield _averaged(
        "in_band_share",
        "frames with all three energies in the real 1-99 % band",
        "share",
        _halved(c, ours, theirs, lambda x, i, j: similarity.in_band_share(x[i], theirs[j])),
    )


def cv_rows(c: Comparison, cv: cvs.CollectiveVariable, targets: Floats | None) -> Iterator[QualityRow]:
    """Error of the mean path, distance from the targets, and whether the variable moves at all."""
    turn, ours, theirs = cv.periodic, c.generated.cv, c.real.cv
    halved = _halved(c, ours, theirs, lambda x, i, j: similarity.path_error(x[i], theirs[j], turn))
    value = similarity.path_error(ours, theirs, turn)
    real = math.nan
    if c.halvings:
        # A mean over n pulls is off by about sd / sqrt(n): bring the halves to the size of the whole sets.
        a, b = len(c.halvings[0].stand_in), len(c.halvings[0].reference)
        real = float(halved[:, 1].mean()) * math.sqrt((1 / len(ours) + 1 / len(theirs)) / (1 / a + 1 / b))
    yield _row("cv_error", f"mean {cv.name} against the step, RMSE", cv.unit, value, real, halved)
    if targets is not None:
        missed = np.abs(difference(ours, np.asarray(targets), turn)).mean(axis=0)
        for key, which, value in (("", "mean", missed.mean()), ("_worst", "worst step", missed.max())):
            yield _row(f"target_error{key}", f"|{cv.name} - target|, {which}", cv.unit, float(value))
    way, real_way = (
        float(np.abs(difference(part[:, -1], part[:, 0], turn)).mean()) for part in (ours, theirs)
    )
    yield _row("cv_progress", f"way of {cv.name} from first to last step", cv.unit, way, real_way)


def distance_rows(c: Comparison) -> Iterator[QualityRow]:
    """Fidelity, coverage and diversity by the RMSD between frames of the same step."""
    to_real = c.to_real, c.among_real
    fidelity = _halved(c, *to_real, lambda d, i, j: similarity.nearest(d[:, i][:, :, j]))
    coverage = _halved(c, *to_real, lambda d, i, j: similarity.nearest(d[:, i][:, :, j].swapaxes(1, 2)))
    yield _averaged("nearest_real", "nearest real frame", "A", fidelity)
    yield _averaged("coverage", "coverage: real frame to nearest generated", "A", coverage)
    value = similarity.diversity(c.among_generated, c.starts)
    real = similarity.diversity(c.among_real)
    among = c.among_generated, c.among_real
    spread = _halved(c, *among, lambda d, i, _: similarity.diversity(d[:, i][:, :, i]))
    yield _row("diversity", "diversity: mean RMSD between pulls", "A", value, real, spread)


def torsion_rows(c: Comparison) -> Iterator[QualityRow]:
    """Jensen-Shannon divergence of the phi, psi and omega histograms."""
    divergence, theirs_of = similarity.jensen_shannon, _torsions(c.real)
    for name, angles in _torsions(c.generated).items():
        ours, theirs = _histograms(angles), _histograms(theirs_of[name])
        halved = _halved(
            c,
            ours,
            theirs,
            lambda x, i, j: divergence(x[i].sum(0), theirs[j].sum(0)),  # noqa: B023
        )
        yield _averaged(f"{name}_jsd", f"{name} histogram, Jensen-Shannon divergence", "", halved)


def profile_rows(c: Comparison) -> Iterator[QualityRow]:
    """Share of the steps at which the mean number of helix hydrogen bonds is inside the real band."""
    ours_of, theirs_of = profiles_of(c.generated), profiles_of(c.real)
    for name, separation in (("hbonds_i_i4", 4), ("hbonds_i_i3", 3)):
        if name not in theirs_of or not c.halvings:
            continue
        ours, theirs = ours_of[name], theirs_of[name]
        limit, score = band_limit(theirs, c.halvings), similarity.profile_scores
        value = float((score(ours, theirs) <= limit).mean())
        halved = _halved(
            c,
            ours,
            theirs,
            lambda x, i, j: (score(x[i], theirs[j]) <= limit).mean(),  # noqa: B023
        )
        label = f"i,i+{separation} hydrogen bonds: steps inside the real band"
        yield _row(name, label, "share", value, halved=halved)


def fault_rows(c: Comparison) -> Iterator[QualityRow]:
    """What no sound structure has, beside the real share or, if larger, that of 95 % of real halves."""
    for name, label in FAULTS.items():
        ours, theirs = c.generated.faults[name], c.real.faults[name]
        if np.isnan(theirs).all():
            continue
        halved = _halved(c, ours, theirs, lambda x, i, _: x[i].mean())
        most = float(np.percentile(halved[:, 1], 95)) if halved.size else float(theirs.mean())
        value, real = float(ours.mean()), float(theirs.mean())
        yield _row(name, label, "share", value, real, halved, limit=max(most, real))


def profiles_of(measured: Measured) -> dict[str, Floats]:
    """What is followed step by step, each (n_pulls, n_steps): the CV, and hydrogen bonds of peptides."""
    counts = measured.helix_bonds
    bonds = {f"hbonds_{name}": counts[..., place] for place, name in enumerate(HELIX_BONDS)}
    return {"cv": measured.cv} | (bonds if counts.shape[-1] else {})


def training_row(generated: Tensor, real: Tensor, training: Tensor, frames: Indices | None) -> QualityRow:
    """Distance to the nearest training frame near the same step, beside that of held-out frames.

    Args:
        generated: (n_samples, n_steps, n_atoms, 3), A.
        real: (n_pulls, n_steps, n_atoms, 3), A.
        training: (n_training_pulls, n_training_frames, n_atoms, 3), A.
        frames: (n_steps,). Training frame of each step; None: the same steps.
    """
    windows = training_windows(real.shape[1], training.shape[1], frames)
    value, beside = (_nearest_training(x, training, windows) for x in (generated, real))
    return _row("nearest_training", "nearest training frame", "A", value, beside)


def training_windows(n_steps: int, n_frames: int, frames: Indices | None) -> list[slice]:
    """For each step the training frames near it: up to half way to the neighbouring steps.

    Args:
        n_steps: Steps of the pulls that are scored.
        n_frames: Frames of a training pull.
        frames: (n_steps,). Training frame of each step; None: the same steps.
    """
    if frames is None:
        if n_frames != n_steps:
            raise ValueError(f"{n_frames} training frames for {n_steps} steps: say which belong together")
        frames = np.arange(n_steps)
    half = int(np.median(np.abs(np.diff(frames)))) // 2 if len(frames) > 1 else 0
    return [slice(max(0, int(frame) - half), int(frame) + half + 1) for frame in frames]


def _nearest_training(x: Tensor, training: Tensor, windows: Sequence[slice]) -> float:
    """Mean over the steps of the RMSD from each frame to the nearest training frame of its window."""
    steps = [
        rmsd_matrix(x[:, t], training[:, window].flatten(0, 1)).min(1).values.mean()
        for t, window in enumerate(windows)
    ]
    return float(torch.stack(steps).mean())


def _halved(
    c: Comparison,
    ours: _Numbers,
    theirs: _Numbers,
    measure: Callable[[_Numbers, Indices, Indices], Any],
) -> NDArray[np.float64]:
    """(n_halvings, 2, ...). The measure of generated and of real pulls against the reference half.

    Args:
        c: Has the halvings.
        ours: Numbers of the generated pulls.
        theirs: The same numbers of the real pulls.
        measure: Of numbers, the pulls of them that count, and the real pulls they are held against.
    """
    return np.array(
        [
            (measure(ours, h.generated, h.reference), measure(theirs, h.stand_in, h.reference))
            for h in c.halvings
        ],
        dtype=np.float64,
    )


def _row(
    key: str,
    name: str,
    unit: str,
    value: float,
    real: float | None = None,
    halved: NDArray[np.float64] | None = None,
    limit: float | None = None,
) -> QualityRow:
    """A row whose measure is of all pulls, judged by its goal.

    The halvings give the spreads and, unless given, the real measure; the goal is judged against the real
    measure or, if given, a limit.
    """
    spread, means = (math.nan, math.nan), (math.nan, math.nan)
    if halved is not None and halved.size:
        spread, means = tuple(halved.std(axis=0).tolist()), tuple(halved.mean(axis=0).tolist())
    real = means[1] if real is None else real
    goal = goal_of(key, unit)
    met = judge(goal, value, real if limit is None else limit)
    return QualityRow(key, name, unit, value, spread[0], real, spread[1], goal, met)


def _averaged(key: str, name: str, unit: str, halved: NDArray[np.float64]) -> QualityRow:
    """A row whose measure depends on the number of pulls, so that both columns are means over halvings."""
    value, real = halved.mean(axis=0).tolist() if halved.size else (math.nan, math.nan)
    return _row(key, name, unit, value, real, halved)


def _torsions(measured: Measured) -> Mapping[str, Floats]:
    """The kinds of torsions that there are, each (n_pulls, n_steps, n_torsions), rad."""
    torsions = {"phi": measured.phi, "psi": measured.psi, "omega": measured.omega}
    return {name: angles for name, angles in torsions.items() if angles.shape[-1]}


def _histograms(angles: Floats) -> NDArray[np.int64]:
    """(n_pulls, n_bins). Counts of the angles of each pull."""
    return np.stack([similarity.torsion_histogram(pull) for pull in angles])
