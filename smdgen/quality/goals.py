"""What is wanted of each measure: the text of the goal and its judgement, in one place."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Goal:
    """A range that a measure has to lie in.

    Attributes:
        text: How people read it.
        low: Lower end of the range, which belongs to it.
        high: Upper end, which belongs to it.
        of: What has to lie in the range: the measure itself, its ratio to the real measure, or its difference
            from it.
        every_seed: Whether each of several trainings has to meet it, and not their mean alone.
    """

    text: str
    low: float = -math.inf
    high: float = math.inf
    of: Literal["value", "ratio", "difference"] = "value"
    every_seed: bool = False


def at_most(high: float, decimals: int | None = None) -> Goal:
    """Not above a number, written with so many decimals (None: as many as it has)."""
    return Goal(f"<= {high:g}" if decimals is None else f"<= {high:.{decimals}f}", high=high)


def between(low: float, high: float) -> Goal:
    """From one number to another."""
    return Goal(f"{low:g} to {high:g}", low, high)


def at_most_real(times: float) -> Goal:
    """Not above the real measure times a number; for measures that are never below zero."""
    return Goal(f"<= {times:g} x real", 0.0, times, "ratio")


def between_real(low: float, high: float) -> Goal:
    """From the real measure times one number to the real measure times another."""
    return Goal(f"{low:g} to {high:g} x real", low, high, "ratio")


def near_real(gap: float) -> Goal:
    """Not farther than a number from the real measure."""
    return Goal(f"within {gap:g} of real", -gap, gap, "difference")


#: Every step lies where real pulls lie.
ALL_STEPS = Goal("all steps", 1.0, 1.0, every_seed=True)

#: A fault is not more frequent than in most halves of the real pulls.
NO_MORE_THAN_REAL = Goal("no more than real", 0.0, 1.0, "ratio", every_seed=True)


def no_more_than_real(points: float) -> Goal:
    """A share that exceeds the real one by at most so many percentage points."""
    return Goal(f"<= real + {points:g} point{'s' * (points > 1)}", high=points / 100, of="difference")


#: The goal of each measure by its key; measures that are not here inform only.
GOALS: Mapping[str, Goal] = {
    "reconstruction": at_most(0.25),
    "bond_energy_ratio": between(0.95, 1.05),
    "angle_energy_ratio": between(0.95, 1.05),
    "torsion_energy_ratio": between(0.95, 1.05),
    "in_band_share": near_real(0.03),
    "cv_error": at_most(0.2),
    "target_error": at_most(0.2),
    "target_error_worst": at_most(0.2),
    "nearest_real": at_most_real(1.05),
    "coverage": at_most_real(1.05),
    "diversity": between_real(0.95, 1.05),
    "phi_jsd": at_most_real(1.5),
    "psi_jsd": at_most_real(1.5),
    "omega_jsd": at_most_real(1.5),
    "hbonds_i_i4": ALL_STEPS,
    "hbonds_i_i3": ALL_STEPS,
    "positive_phi": NO_MORE_THAN_REAL,
    "left_turns": NO_MORE_THAN_REAL,
    "inverted_centres": NO_MORE_THAN_REAL,
    "clashes": NO_MORE_THAN_REAL,
    "cis_omega": NO_MORE_THAN_REAL,
    "ramachandran": no_more_than_real(2),
    "twisted_omega": no_more_than_real(1),
    "ca_outside": at_most(0.001),
    "nearest_training": between_real(0.95, 1.05),
    "auc": at_most(0.55),
}

#: Goals of frames that are like those of MD; the goals above also ask whether pulls are like real ones.
FRAME_GOALS: Mapping[str, Goal] = {
    "ramachandran": GOALS["ramachandran"],
    "inverted_centres": NO_MORE_THAN_REAL,
    "clashes": no_more_than_real(1),
    "cis_omega": no_more_than_real(1),
    "twisted_omega": GOALS["twisted_omega"],
    "ca_outside": GOALS["ca_outside"],
    "bond_energy_ratio": GOALS["bond_energy_ratio"],
    "angle_energy_ratio": GOALS["angle_energy_ratio"],
    "torsion_energy_ratio": between(0.95, 1.1),
}

#: Measures whose goal is in angstrom, and says nothing of a variable in degrees.
IN_ANGSTROM = ("cv_error", "target_error", "target_error_worst")

#: What a measure that misses its goal has to meet still, or the frames are no molecules or known at sight.
LEAST: Mapping[str, Goal] = {
    "bond_energy_ratio": between(0.8, 1.25),
    "angle_energy_ratio": between(0.8, 1.25),
    "inverted_centres": NO_MORE_THAN_REAL,
    "clashes": NO_MORE_THAN_REAL,
    "cis_omega": NO_MORE_THAN_REAL,
    "auc": at_most(0.8),
}


def goal_of(key: str, unit: str = "A") -> Goal | None:
    """The goal of a measure; None if it only informs.

    Args:
        key: Of the measure.
        unit: Of the measure.
    """
    return None if key in IN_ANGSTROM and unit != "A" else GOALS.get(key)


def judge(goal: Goal | None, value: float, real: float = math.nan) -> bool | None:
    """Whether a measure meets its goal; None without a goal, a measure, or the real measure it asks for.

    Args:
        goal: What is wanted.
        value: Of the generated pulls.
        real: What it is compared with; NaN: unknown.
    """
    if goal is None or math.isnan(value) or (goal.of != "value" and math.isnan(real)):
        return None
    if goal.of == "difference":
        return goal.low <= value - real <= goal.high
    unit = real if goal.of == "ratio" else 1.0
    return bool(goal.low * unit <= value <= goal.high * unit)


def shortfall(goal: Goal, value: float, real: float = math.nan) -> float:
    """How far a measure is off the nearer end of its goal, in the measure's unit; 0 where it meets it."""
    base, unit = (real, 1.0) if goal.of == "difference" else (0.0, real if goal.of == "ratio" else 1.0)
    return max(0.0, base + goal.low * unit - value, value - base - goal.high * unit)
