"""Whether generated pulls can be taken for real ones: the quality table in a few sentences."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from smdgen.quality.goals import FRAME_GOALS, LEAST, judge
from smdgen.quality.rows import QualityRow

#: Fewer goals met than this share: other pulls.
MOST_GOALS = 0.6

#: Fewer held-out pulls than this say nothing of distributions over pulls: their halves are single pulls.
LEAST_HELD_OUT = 4

#: What is asked of single frames, or of targets.
_WITHOUT_PULLS = {*FRAME_GOALS, "target_error", "target_error_worst", "reconstruction"}

#: Least AUC of real frames with noise at which the two-sample test could see anything.
LEAST_CONTROL = 0.9

#: Missed goals that are put into words; the table has all.
MOST_NAMED = 4

_PHRASES: Mapping[str, Callable[[QualityRow], str]] = {
    "bond_energy_ratio": lambda r: f"bond energy {r.generated:.2f} x real",
    "angle_energy_ratio": lambda r: f"angle energy {r.generated:.2f} x real",
    "torsion_energy_ratio": lambda r: f"torsion energy {r.generated:.2f} x real",
    "in_band_share": lambda r: f"{r.generated:.0%} of frames in the real energy band (real {r.real:.0%})",
    "cv_error": lambda r: f"mean CV off by {r.generated:.2f} A (between real pulls {_or_unknown(r.real)})",
    "target_error": lambda r: f"target CV missed by {r.generated:.2f} A on average",
    "target_error_worst": lambda r: f"target CV missed by {r.generated:.2f} A at the worst step",
    "nearest_real": lambda r: f"frames {r.generated:.2f} A from the nearest real one (real {r.real:.2f})",
    "coverage": lambda r: f"real frames {r.generated:.2f} A from the nearest generated (real {r.real:.2f})",
    "diversity": lambda r: f"pulls {_more_or_less(r)} diverse than real ones",
    "hbonds_i_i4": lambda _: "alpha-helix hydrogen bonds break at other steps",
    "hbonds_i_i3": lambda _: "3-10-helix hydrogen bonds break at other steps",
    "phi_jsd": lambda _: "phi angles distributed otherwise",
    "psi_jsd": lambda _: "psi angles distributed otherwise",
    "omega_jsd": lambda _: "omega angles distributed otherwise",
    "nearest_training": lambda r: f"frames {_more_or_less(r)} far from training frames than real ones",
    "auc": lambda r: (
        f"a classifier distinguishes some from real frames (AUC {r.generated:.2f}; guessing gives 0.5)"
    ),
}


def unjudged(rows: Sequence[QualityRow]) -> tuple[QualityRow, ...]:
    """The rows with their goals, none of them judged: there is nothing independent to judge by."""
    return tuple(replace(row, met=None) for row in rows)


def with_power(rows: Sequence[QualityRow], n_held_out: int) -> tuple[QualityRow, ...]:
    """The rows, judged only where so many held-out pulls can tell anything.

    Args:
        rows: Of the quality table.
        n_held_out: Real pulls that the generated ones were compared with.
    """
    control = [row.real for row in rows if row.key == "auc_control"]
    blind = {"auc"} if control and not control[0] >= LEAST_CONTROL else set()
    if n_held_out < LEAST_HELD_OUT:
        blind |= {row.key for row in rows} - _WITHOUT_PULLS
    return tuple(replace(row, met=None) if row.key in blind else row for row in rows)


def verdict(rows: Sequence[QualityRow], n_generated: int, n_held_out: int, *, independent: bool) -> str:
    """Whether the pulls can be trusted, why not, and how much this judgement is worth.

    Args:
        rows: Of the quality table.
        n_generated: Generated pulls.
        n_held_out: Real pulls they were compared with.
        independent: Whether these are pulls of their own, and no blocks of a trajectory that was trained on.
    """
    if not independent:
        return (
            "Not judged: there are no independent pulls to judge with, only blocks of a trajectory that was "
            "also trained on. The figures say how close the generated frames are to that trajectory, not "
            "whether they resemble new pulls; no goal is counted. A judgement needs three or more pulls of "
            "one protocol."
        )
    judged = [row for row in rows if row.met is not None]
    missed = [row for row in judged if not row.met]
    count = f"{len(judged) - len(missed)} of {len(judged)} goals met"
    sentences = [_headline(judged, missed, count, n_generated, n_held_out)]
    if missed:
        shown = [_in_words(row) for row in missed[:MOST_NAMED]]
        more = len(missed) - len(shown)
        sentences.append("; ".join(shown) + (f"; and {more} more." if more else "."))
    return " ".join([*sentences, _worth(missed, n_generated, n_held_out)]).strip()


def _headline(
    judged: Sequence[QualityRow], missed: Sequence[QualityRow], count: str, n_generated: int, n_held_out: int
) -> str:
    by = f"{n_generated} pull{'s' * (n_generated > 1)} judged by {_held_out(n_held_out)}"
    broken = [row.key for row in missed if _is_broken(row)]
    if broken or len(missed) > (1 - MOST_GOALS) * len(judged):
        return f"Do not take these pulls for real ones ({by}, {count}):"
    if n_held_out < LEAST_HELD_OUT or n_generated < 2:
        few = _held_out(n_held_out) if n_held_out < LEAST_HELD_OUT else "one generated pull"
        lacks = "the two-sample test is left out"
        if n_held_out < LEAST_HELD_OUT:
            lacks = "nothing is said of distributions over pulls"
        return f"Judged in part only: with {few} {lacks} ({count})" + (":" if missed else ".")
    if missed:
        return f"Close to real pulls, but not in everything ({by}, {count}):"
    return f"Like real pulls in everything that is judged ({by}, {count})."


def _is_broken(row: QualityRow) -> bool:
    """Whether a missed goal means molecules that are none, or frames that a machine knows at sight."""
    least = LEAST.get(row.key)
    return least is not None and not judge(least, row.generated, row.real)


def _worth(missed: Sequence[QualityRow], n_generated: int, n_held_out: int) -> str:
    """What limits the judgement itself."""
    if n_generated < 2:
        return "Generate more for a full judgement: --samples 8."
    if n_held_out < LEAST_HELD_OUT:
        return "More pulls in `prepare` give more held-out ones."
    if missed and n_held_out < 25:
        return f"With {_held_out(n_held_out)}, other real pulls would miss some goals too."
    return ""


def _in_words(row: QualityRow) -> str:
    words = _PHRASES.get(row.key)
    return words(row) if words else f"{row.name}: {row.generated:.1%} (real {row.real:.1%})"


def _more_or_less(row: QualityRow) -> str:
    change = row.generated / row.real - 1
    return f"{abs(change):.0%} {'more' if change > 0 else 'less'}"


def _or_unknown(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.2f}"


def _held_out(n_pulls: int) -> str:
    return f"{n_pulls} held-out pull{'s' * (n_pulls > 1)}"
