"""A goal is stated once, in `smdgen.quality.goals`: its words, its judgement and the docs say the same."""

import ast
import math
import re
from pathlib import Path

import pytest

from smdgen.quality import goals
from smdgen.quality.goals import GOALS, LEAST, Goal, goal_of, judge

ROOT = Path(__file__).parents[2]

#: Methods of text, and functions over it, by which a program would read what a goal says.
READERS = {"startswith", "endswith", "split", "partition", "find", "index", "removesuffix", "removeprefix"}
READERS |= {"findall", "match", "search", "fullmatch"}


@pytest.mark.parametrize(
    ("goal", "inside", "outside"),
    [
        (goals.at_most(0.25), (0.25, -3.0), (0.2501,)),
        (goals.between(0.95, 1.05), (0.95, 1.0, 1.05), (0.949, 1.051)),
        (goals.at_most_real(1.05), (0.0, 2.1), (2.11,)),
        (goals.between_real(0.95, 1.05), (1.9, 2.1), (1.89, 2.11)),
        (goals.near_real(0.03), (1.9701, 2.0299), (1.96, 2.04)),
        (goals.ALL_STEPS, (1.0,), (0.999,)),
        (goals.NO_MORE_THAN_REAL, (0.0, 2.0), (2.001,)),
        (goals.no_more_than_real(1), (0.0, 2.0, 2.009), (2.011,)),
    ],
)
def test_a_goal_is_met_up_to_its_ends(goal, inside, outside):
    """The real measure is 2."""
    assert all(judge(goal, measure, 2.0) is True for measure in inside)
    assert all(judge(goal, measure, 2.0) is False for measure in outside)


@pytest.mark.parametrize("key", GOALS)
def test_the_words_of_a_goal_have_its_numbers(key):
    goal = GOALS[key]
    stated = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", goal.text)}
    if "point" in goal.text:
        stated = {number / 100 for number in stated}
    meant = {goal.low, goal.high} - {0.0, -math.inf}
    assert stated in ({abs(number) for number in meant}, set())
    assert ("real" in goal.text) == (goal.of != "value")


@pytest.mark.parametrize("goal", GOALS.values(), ids=GOALS)
def test_nothing_is_judged_without_a_figure_or_the_real_one(goal):
    assert judge(goal, math.nan, 1.0) is None
    assert (judge(goal, 1.0) is None) == (goal.of != "value")
    assert judge(None, 1.0, 1.0) is None


def test_goals_in_angstrom_are_for_angstrom():
    assert goal_of("cv_error", "A") == GOALS["cv_error"]
    assert goal_of("cv_error", "deg") is None
    assert goal_of("bond_energy_ratio", "") == GOALS["bond_energy_ratio"]
    assert goal_of("cv_progress") is None


def test_what_is_asked_at_least_is_less_than_the_goal():
    for key, least in LEAST.items():
        assert (least.low, -least.high) <= (GOALS[key].low, -GOALS[key].high), key


def test_the_page_of_definitions_states_the_goals():
    """Every goal with its words; every row of the page that has none informs."""
    page = (ROOT / "docs" / "quality-measures.md").read_text(encoding="utf-8")
    table = page[page.index("## Rows") : page.index('"No more than real"')]
    rows = re.findall(r"^\| (`[^|]*`) \|.*\| ([^|]*) \|$", table, flags=re.MULTILINE)
    stated = {key: text for keys, text in rows for key in re.findall(r"`(\w+)`", keys)}
    for key, goal in GOALS.items():
        more = " if in A" if key in goals.IN_ANGSTROM else ""
        assert stated.pop(key) == goal.text + more, key
    assert set(stated.values()) == {"(informs)"}


def reads_goals(source: str) -> list[int]:
    """Lines that search or take apart the words of a goal."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        called = isinstance(node, ast.Call) and getattr(node.func, "attr", "") in READERS
        tests = node.ops if isinstance(node, ast.Compare) else []
        searched = any(isinstance(test, ast.In | ast.NotIn) for test in tests)
        parts = list(ast.walk(node))
        names = {getattr(part, kind, None) for part in parts for kind in ("id", "attr", "value")}
        if (called or searched) and names & {"goal", "goal_text"}:
            lines.append(node.lineno)
    return lines


def test_the_search_finds_programs_that_read_goals():
    lines = ['goal.endswith("x")', 're.findall("1", row["goal"])', '"to" in row.goal_text', "goal.text"]
    assert reads_goals("\n".join(lines)) == [1, 2, 3]


def test_no_program_reads_the_words_of_a_goal():
    files = [path for folder in ("smdgen", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert files
    found = {path.name: reads_goals(path.read_text(encoding="utf-8")) for path in files}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_a_goal_is_data():
    """So that two of them can be compared, and one be shown."""
    assert goals.at_most(0.55) == Goal("<= 0.55", high=0.55)
    assert goals.at_most(0.6, decimals=2).text == "<= 0.60"
