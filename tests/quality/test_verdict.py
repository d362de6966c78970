"""The verdict says what the rows say, and no more than the pulls they were judged by allow."""

import math

import pytest

from smdgen.quality.goals import GOALS, at_most
from smdgen.quality.rows import QualityRow
from smdgen.quality.verdict import unjudged, verdict, with_power


def row(key: str, generated: float, real: float = 1.0, met: bool | None = True) -> QualityRow:
    return QualityRow(key, key, "share", generated, real=real, goal=GOALS.get(key, at_most(0.5)), met=met)


MET = [row("bond_energy_ratio", 1.0), row("angle_energy_ratio", 1.0), row("clashes", 0.0, 0.0)]
MET += [row("diversity", 1.0), row("auc", 0.5), row("coverage", 1.0), row("nearest_real", 1.0)]


def replaced(*missed: QualityRow) -> list[QualityRow]:
    keys = {one.key for one in missed}
    return [*(one for one in MET if one.key not in keys), *missed]


def test_all_goals_met():
    text = verdict(MET, 8, 10, independent=True)
    assert text.startswith("Like real pulls in everything that is judged (8 pulls judged by 10 held-out")
    assert text.endswith("7 of 7 goals met).")


@pytest.mark.parametrize(
    ("missed", "words"),
    [
        (row("diversity", 1.2, 1.5, met=False), "pulls 20% less diverse than real ones"),
        (row("bond_energy_ratio", 0.92, met=False), "bond energy 0.92 x real"),
        (row("phi_jsd", 0.2, 0.1, met=False), "phi angles distributed otherwise"),
        (row("left_turns", 0.02, 0.01, met=False), "left_turns: 2.0% (real 1.0%)"),
        (row("cv_error", 0.5, math.nan, met=False), "between real pulls unknown"),
    ],
)
def test_a_missed_goal_is_put_into_words(missed, words):
    text = verdict(replaced(missed), 8, 10, independent=True)
    assert text.startswith("Close to real pulls, but not in everything")
    assert words in text
    assert "With 10 held-out pulls, other real pulls would miss some goals too." in text


@pytest.mark.parametrize(
    "missed",
    [
        row("clashes", 0.1, 0.0, met=False),
        row("bond_energy_ratio", 1.3, met=False),
        row("angle_energy_ratio", 0.7, met=False),
        row("auc", 0.95, met=False),
    ],
)
def test_broken_molecules_and_frames_known_at_sight_are_no_pulls(missed):
    """One such row is enough, however many others are met."""
    assert verdict(replaced(missed), 8, 10, independent=True).startswith("Do not take these pulls")
    assert "(8 pulls judged by 1 held-out pull, " in verdict(replaced(missed), 8, 1, independent=True)


def test_most_goals_missed():
    missed = [row(f"other{i}", 1.0, met=False) for i in range(6)]
    text = verdict(replaced(*missed), 8, 30, independent=True)
    assert text.startswith("Do not take these pulls")
    assert text.endswith("and 2 more.")


@pytest.mark.parametrize(("n_generated", "n_held_out", "words"), [(1, 10, "--samples 8"), (8, 1, "prepare")])
def test_one_pull_is_no_full_judgement(n_generated, n_held_out, words):
    text = verdict(MET, n_generated, n_held_out, independent=True)
    assert text.startswith("Judged in part only")
    assert words in text


def test_few_held_out_pulls_judge_frames_but_no_distributions():
    """Halves of three pulls are a single pull and a pair: 5 % of their difference means nothing."""
    few, many = (with_power(MET, n) for n in (3, 4))
    assert [row.key for row in few if row.met is not None] == [
        "bond_energy_ratio", "angle_energy_ratio", "clashes"
    ]  # fmt: skip
    assert list(many) == MET
    text = verdict(few, 8, 3, independent=True)
    assert text.startswith("Judged in part only: with 3 held-out pulls nothing is said of distributions")
    assert "3 of 3 goals met" in text


def test_a_blind_two_sample_test_is_no_goal_met():
    blind = [*MET, row("auc_control", math.nan, 0.7, met=None)]
    assert [one.met for one in with_power(blind, 10) if one.key == "auc"] == [None]
    seeing = [*MET, row("auc_control", math.nan, 0.99, met=None)]
    assert [one.met for one in with_power(seeing, 10) if one.key == "auc"] == [True]


def test_blocks_of_one_trajectory_judge_nothing():
    """Even an AUC of 0.5 is no goal met: the frames beside it are neighbours of those trained on."""
    text = verdict(unjudged(MET), 8, 2, independent=False)
    assert text.startswith("Not judged")
    assert "goals met" not in text
    assert all(one.met is None and one.goal for one in unjudged(MET))
