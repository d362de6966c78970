"""Every choice of a number stands in presets.py: elsewhere are only those of formulas and shapes."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "smdgen"

#: The method, and the trainings of its networks.
MODULES = [
    *(path for path in (PACKAGE / "method").rglob("*.py") if path.name != "presets.py"),
    *(PACKAGE / "training" / f"{name}.py" for name in ("fit", "critic", "sequences")),
]

#: Of formulas (halves, squares, a full turn), of shapes and places.
OF_FORMULAS = {0, 0.5, 1, 2, 3, 4, 5, 360}

#: How something is computed, not what comes out.
NAMED = {"MOST_EXACT", "_SPARE, _ROUNDS", "_BETWEEN_SEEDS", "_RANK_BITS"}


def choices(source: str) -> list[str]:
    """Lines with a number that no formula explains, but for those that are named."""
    tree = ast.parse(source)
    named = [
        {id(part) for part in ast.walk(node)}
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).strip("()") in NAMED
    ]
    lines = source.splitlines()
    return [
        lines[node.lineno - 1].strip()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and type(node.value) in (int, float)
        and node.value not in OF_FORMULAS
        and not any(id(node) in parts for parts in named)
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_number_that_is_a_choice_stands_in_presets(path):
    assert choices(path.read_text(encoding="utf-8")) == []


def test_the_search_finds_a_choice_and_passes_formulas_and_names():
    assert choices("_BETWEEN_SEEDS = 1_000_003\ny = 0.5 * x**2\n") == []
    assert choices("z = x.clamp_min(1e-3)\n") == ["z = x.clamp_min(1e-3)"]
    assert choices("def f(decay=0.99):\n    return 7 * decay\n") == ["def f(decay=0.99):", "return 7 * decay"]
