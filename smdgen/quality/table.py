"""The quality table: what makes generated pulls good, beside the same measures of real pulls."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smdgen.arrays import Floats, Indices
from smdgen.forcefield.energy import BondedEnergy
from smdgen.geometry import cvs
from smdgen.geometry.atoms import Molecule
from smdgen.quality import similarity
from smdgen.quality.auc import RealAuc, auc_rows
from smdgen.quality.comparison import Comparison, band_limit, compare
from smdgen.quality.measure import make_gauge, measure
from smdgen.quality.rows import (
    QualityRow,
    cv_rows,
    distance_rows,
    energy_rows,
    fault_rows,
    profile_rows,
    profiles_of,
    reconstruction_row,
    row_dict,
    torsion_rows,
    training_row,
)
from smdgen.quality.two_sample import FOLDS
from smdgen.quality.verdict import LEAST_CONTROL

#: Halvings on which the (slow) two-sample test of real against real is repeated.
AUC_HALVINGS = 3


@dataclass(frozen=True)
class Profile:
    """A measure against the step, for plots.

    Attributes:
        generated: (n_steps,). Mean of the generated pulls.
        real: (n_steps,). Mean of the real pulls.
        low: (n_steps,). Lower edge of the band that holds 95 % of all real mean profiles whole.
        high: (n_steps,). Upper edge.
    """

    generated: tuple[float, ...]
    real: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class QualityTable:
    """All measures of one set of generated pulls.

    Attributes:
        rows: The measures.
        profiles: CV and hydrogen bonds against the step.
        notes: What limits the measures (few pulls, missing atoms).
    """

    rows: tuple[QualityRow, ...]
    profiles: dict[str, Profile]
    notes: tuple[str, ...]

    def row(self, key: str) -> QualityRow:
        """The row of that key."""
        return next(row for row in self.rows if row.key == key)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: NaN becomes None."""
        profiles = {name: asdict(profile) for name, profile in self.profiles.items()}
        values: dict[str, Any] = _without_nan(
            {"rows": [row_dict(row) for row in self.rows], "profiles": profiles, "notes": self.notes}
        )
        return values


def quality_table(
    generated: Tensor | Floats,
    real: Tensor | Floats,
    *,
    structure: Molecule,
    energy: BondedEnergy,
    cv: cvs.CollectiveVariable,
    starts: Indices | None = None,
    seed: int = 0,
    **more: Any,
) -> QualityTable:
    """Score generated pulls against held-out real pulls, step by step.

    The definitions are in docs/quality-measures.md.

    Args:
        generated: (n_samples, n_steps, n_atoms, 3), A. Without the start frame, which is not generated.
        real: (n_pulls, n_steps, n_atoms, 3), A. Held-out pulls at the same steps.
        structure: The modelled atoms.
        energy: Their bonded energy.
        cv: The steered variable.
        starts: (n_samples,). The held-out pull whose first frame each sample started from; None: unknown.
        seed: Of halvings, folds and the noise of the control.
        **more: As `tabulate` takes them.
    """
    generated, real = torch.as_tensor(generated), torch.as_tensor(real)
    gauge = make_gauge(structure, real, energy, cv)
    compared = compare(measure(generated, gauge), measure(real, gauge), starts, seed)
    return tabulate(compared, structure, cv, seed=seed, **more)


def tabulate(
    c: Comparison,
    structure: Molecule,
    cv: cvs.CollectiveVariable,
    *,
    targets: Floats | None = None,
    training: Tensor | Floats | None = None,
    training_frames: Indices | None = None,
    reconstruction: tuple[Tensor | Floats, Tensor | Floats] | None = None,
    seed: int = 0,
    auc_halvings: int = AUC_HALVINGS,
    real_auc: RealAuc | None = None,
) -> QualityTable:
    """The table of pulls that are measured and paired.

    Args:
        c: The pulls.
        structure: The modelled atoms.
        cv: The steered variable.
        targets: (n_samples, n_steps), in the variable's unit. What the samples were steered to.
        training: (n_training_pulls, n_training_frames, n_atoms, 3), A.
        training_frames: (n_steps,). The training frame that belongs to each step; neighbours up to half
            way to the next step count too. None: training pulls have the same steps.
        reconstruction: Held-out frames through the model and the frames themselves, (n, n_atoms, 3), A.
        seed: Of folds and the noise of the control.
        auc_halvings: Real-real repeats of the two-sample test; 0: no two-sample test at all.
        real_auc: The two-sample test among these real pulls, if it is known: it is the slower half.
    """
    generated, real = c.generated.positions, c.real.positions
    rows = [
        *([] if reconstruction is None else [reconstruction_row(*map(torch.as_tensor, reconstruction))]),
        *energy_rows(c),
        *cv_rows(c, cv, targets),
        *distance_rows(c),
        *torsion_rows(c),
        *profile_rows(c),
        *fault_rows(c),
        *_training_rows(generated, real, training, training_frames),
        *auc_rows(generated, real, structure, c.starts, c.halvings[:auc_halvings], seed, real_auc),
    ]
    return QualityTable(tuple(rows), _profiles(c), (*_notes(c), *_power_note(rows)))


def _training_rows(
    generated: Tensor, real: Tensor, training: Tensor | Floats | None, frames: Indices | None
) -> list[QualityRow]:
    if training is None:
        return []
    return [training_row(generated, real, torch.as_tensor(training), frames)]


def _profiles(c: Comparison) -> dict[str, Profile]:
    """Means against the step, with the band in which the mean of as many real pulls would lie."""
    ours_of = profiles_of(c.generated)
    return {name: _profile(ours_of[name], theirs, c) for name, theirs in profiles_of(c.real).items()}


def _profile(ours: Floats, theirs: Floats, c: Comparison) -> Profile:
    """Of generated pulls (n_samples, n_steps) beside real ones (n_pulls, n_steps)."""
    mean = theirs.mean(axis=0)
    half = np.full_like(mean, math.nan)
    if c.halvings:
        half = band_limit(theirs, c.halvings) * similarity.profile_errors(ours, theirs)
    return Profile(*(tuple(map(float, line)) for line in (ours.mean(axis=0), mean, mean - half, mean + half)))


def _notes(c: Comparison) -> tuple[str, ...]:
    """What limits the measures."""
    notes = []
    n_pulls, n_samples = len(c.real.cv), len(c.generated.cv)
    if n_pulls == 1:
        notes.append("one held-out pull: no real-real column, and figures that need one are left out")
    elif n_pulls < 2 * FOLDS:
        notes.append(f"{n_pulls} held-out pulls: halves of {n_pulls // 2}, so the real-real column is coarse")
    origins = n_samples if c.starts is None else len(np.unique(c.starts))
    if origins == 1 and n_samples > 1:
        notes.append("all generated pulls began alike, real ones did not: read the first steps with care")
    groups = min(n_pulls, n_samples if origins == 1 else origins)
    if 1 < groups < FOLDS:
        notes.append(f"two-sample test in {groups} instead of {FOLDS} folds: too few pulls in a class")
    if groups < 2:
        notes.append("a single generated or held-out pull: no two-sample test")
    if not any(angles.shape[-1] for angles in (c.real.phi, c.real.psi, c.real.omega)):
        notes.append("no N, CA and C of successive residues: no torsion histograms")
    return tuple(notes)


def _power_note(rows: list[QualityRow]) -> list[str]:
    """Whether the two-sample test can see anything with so few frames."""
    control = [row.real for row in rows if row.key == "auc_control"]
    if not control or control[0] >= LEAST_CONTROL:
        return []
    seen = "no result" if math.isnan(control[0]) else f"AUC {control[0]:.2f}"
    return [f"two-sample test without power: real frames with 0.1 A of noise give {seen}; add held-out pulls"]


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
