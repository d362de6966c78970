"""Whether frames are like those of MD: their faults and energies beside those of real frames, in words."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from smdgen.arrays import Floats
from smdgen.forcefield.energy import BondedEnergy
from smdgen.geometry import validity
from smdgen.geometry.atoms import Molecule
from smdgen.quality.faults import FAULTS, FaultGauge, count_faults, fault_gauge
from smdgen.quality.goals import FRAME_GOALS, Goal, judge, shortfall
from smdgen.quality.measure import ENERGIES
from smdgen.quality.rows import QualityRow
from smdgen.quality.similarity import energy_ratio

#: Standard errors that a measure of few frames may be off its goal; none for what no real frame has of these.
CERTAIN = 2.0
PROVED_BY_ONE = ("clashes", "inverted_centres", "ca_outside")

#: kcal/mol. Energies of real frames below this are those of terms that there are not, and have no ratio.
LEAST_ENERGY = 0.1

#: Missed measures that are put into words.
MOST_WORDS = 3


@dataclass(frozen=True)
class FrameNumbers:
    """Numbers of some frames.

    Attributes:
        faults: Some of `FAULTS`, each (n_frames,), a share or 0 and 1; NaN where it does not apply.
        energies: (n_frames, 3), kcal/mol; see `ENERGIES`. None: not known.
        ca_range: A. Least and largest distance of successive CA; NaN without any.
    """

    faults: Mapping[str, Floats]
    energies: Floats | None
    ca_range: tuple[float, float]


@dataclass(frozen=True)
class FrameVerdict:
    """Some frames judged by real ones.

    Attributes:
        rows: The measures that apply, each with its goal.
        n_frames: Frames that were judged.
        ca_ranges: A. Least and largest distance of successive CA, in these and in real frames.
    """

    rows: tuple[QualityRow, ...]
    n_frames: int
    ca_ranges: tuple[tuple[float, float], tuple[float, float]]

    @property
    def missed(self) -> tuple[QualityRow, ...]:
        """What is not as in real frames, the worst first."""
        return tuple(sorted((row for row in self.rows if row.met is False), key=_badness, reverse=True))

    @property
    def brief(self) -> str:
        """The verdict in a few words."""
        return (
            self.words()
            if self.like_md
            else f"not like MD in {len(self.missed)} of {len(self.rows)} measures"
        )

    @property
    def like_md(self) -> bool:
        """Whether nothing is missed."""
        return not self.missed

    def words(self, most: int = MOST_WORDS) -> str:
        """What is missed, the worst first, or that nothing is."""
        if self.like_md:
            return f"like MD in all {len(self.rows)} measures"
        missed = self.missed
        said = "; ".join(_WORDS[row.key](row, self) for row in missed[:most])
        more = len(missed) - most
        return f"not like MD: {said}" + (f"; and {more} more" if more > 0 else "")


def judge_frames(
    x: Tensor, real: Tensor, structure: Molecule, energy: BondedEnergy | None = None
) -> FrameVerdict:
    """Measure frames, and judge them by real frames of the same molecule.

    Args:
        x: (..., n_atoms, 3), A. Frames to judge.
        real: (..., n_atoms, 3), A. Real frames, best of the same CV. Never those of a test, where something
            is chosen by the outcome.
        structure: The modelled atoms.
        energy: Their bonded energy; None: energies are left out.
    """
    frames = [part.reshape(-1, *part.shape[-2:]).double().cpu() for part in (x, real)]
    gauge = fault_gauge(structure, frames[1])
    return compare_frames(*(number_frames(part, gauge, energy) for part in frames))


def at_these_cvs(real: Tensor, real_cv: Tensor, cv: Tensor, least: int = 20) -> Tensor:
    """Real frames from the range of CVs that other frames have; all of them where too few are.

    Args:
        real: (n, n_atoms, 3), A.
        real_cv: (n,). Their CV.
        cv: (...). CV of the other frames.
        least: So many have to be in the range.
    """
    inside = (real_cv >= cv.min()) & (real_cv <= cv.max())
    return real[inside] if int(inside.sum()) >= least else real


def number_frames(x: Tensor, gauge: FaultGauge, energy: BondedEnergy | None = None) -> FrameNumbers:
    """Faults, energies and CA-CA range of frames (n_frames, n_atoms, 3), A, float64."""
    faults = {name: values.numpy() for name, values in count_faults(x, gauge).items()}
    energies = None if energy is None else energy.three(x).double().numpy()
    return FrameNumbers(faults, energies, validity.ca_range(x, gauge.backbone))


def compare_frames(ours: FrameNumbers, theirs: FrameNumbers) -> FrameVerdict:
    """Judge the numbers of frames by those of real frames."""
    rows = [_fault_row(key, ours.faults[key], theirs.faults[key]) for key in FAULTS if key in FRAME_GOALS]
    if ours.energies is not None and theirs.energies is not None:
        rows += _energy_rows(ours.energies, theirs.energies)
    n_frames = len(next(iter(ours.faults.values())))
    judged = tuple(row for row in rows if row.met is not None)
    return FrameVerdict(judged, n_frames, (ours.ca_range, theirs.ca_range))


def _fault_row(key: str, ours: Floats, theirs: Floats) -> QualityRow:
    errors = [float(values.std() / math.sqrt(max(1, len(values)))) for values in (ours, theirs)]
    return _judged(
        key, FAULTS[key], "share", (float(ours.mean()), errors[0]), (float(theirs.mean()), errors[1])
    )


def _energy_rows(ours: Floats, theirs: Floats) -> list[QualityRow]:
    """Ratios of medians; the standard error of a median is that of a mean times sqrt(pi / 2)."""
    ratios, middle = energy_ratio(ours, theirs), np.median(theirs, axis=0)
    wide = math.sqrt(math.pi / 2)
    rows = []
    for kind, name in enumerate(ENERGIES):
        if abs(middle[kind]) < LEAST_ENERGY:
            continue
        errors = [
            float(wide * values[:, kind].std() / math.sqrt(len(values)) / abs(middle[kind]))
            for values in (ours, theirs)
        ]
        measure = float(ratios[kind]), errors[0]
        rows.append(_judged(f"{name}_energy_ratio", f"{name} energy / real", "", measure, (1.0, errors[1])))
    return rows


def _judged(
    key: str, name: str, unit: str, measure: tuple[float, float], real: tuple[float, float]
) -> QualityRow:
    """A row of a measure and the real one, both with their standard errors."""
    goal = FRAME_GOALS[key]
    met = judge(goal, measure[0], real[0])
    if met is False and not (key in PROVED_BY_ONE and real[0] == 0):
        met = shortfall(goal, measure[0], real[0]) <= CERTAIN * math.hypot(measure[1], real[1])
    return QualityRow(key, name, unit, *measure, *real, goal, met)


def _badness(row: QualityRow) -> float:
    """How far a row is off its goal, in units of what the goal allows."""
    assert row.goal is not None
    return shortfall(row.goal, row.generated, row.real) / _allowance(row.goal)


def _allowance(goal: Goal) -> float:
    if math.isfinite(goal.low) and goal.low > 0:
        return goal.high - goal.low
    return goal.high if goal.of == "difference" else 0.01


def _share(text: str) -> Callable[[QualityRow, FrameVerdict], str]:
    return lambda row, _: f"{_percent(row.generated)} {text} (real frames: {_percent(row.real)})"


def _energy(name: str) -> Callable[[QualityRow, FrameVerdict], str]:
    return lambda row, _: f"{name} energy {row.generated:.2f} x that of real frames"


def _ca_range(_: QualityRow, verdict: FrameVerdict) -> str:
    (low, high), (real_low, real_high) = verdict.ca_ranges
    return f"successive CA {low:.2f} to {high:.2f} A apart (real frames: {real_low:.2f} to {real_high:.2f} A)"


_WORDS: Mapping[str, Callable[[QualityRow, FrameVerdict], str]] = {
    "ramachandran": _share("Ramachandran outliers"),
    "inverted_centres": _share("of frames with an inverted centre"),
    "clashes": _share("of frames with a clash"),
    "cis_omega": _share("cis peptide bonds"),
    "twisted_omega": _share("twisted peptide bonds"),
    "ca_outside": _ca_range,
    **{f"{name}_energy_ratio": _energy(name) for name in ENERGIES},
}


def _percent(share: float) -> str:
    text = f"{100 * share:.0f}" if share >= 0.1 or share == 0 else f"{100 * share:.2g}"
    return f"{text} %"
