"""One name, one meaning: constants differ between modules, and array types live in one module."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "smdgen"


def assignments(source: str) -> Iterator[tuple[str, str]]:
    """Names that a module assigns at its top level, each with the source of its value."""
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        value = ast.unparse(node.value) if targets and node.value is not None else ""
        for target in targets:
            for name in ast.walk(target):
                if isinstance(name, ast.Name):
                    yield name.id, value


def modules_of(wanted: str, values: str = "") -> dict[str, set[str]]:
    """The modules that assign each name, of those names and values that match."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        for name, value in assignments(path.read_text(encoding="utf-8")):
            if re.fullmatch(wanted, name) and re.match(values, value):
                found[name].add(path.relative_to(PACKAGE).as_posix())
    return found


def test_the_search_finds_every_form_of_assignment():
    source = "A, B_1 = 1, 2\n_C: int = 3\nX = Y = 4\nfrom a import D\ndef f():\n    E = 5\n"
    assert [name for name, _ in assignments(source)] == ["A", "B_1", "_C", "X", "Y"]


def test_no_two_modules_assign_the_same_constant():
    shared = {name: modules for name, modules in modules_of("_?[A-Z][A-Z0-9_]*").items() if len(modules) > 1}
    assert shared == {}


def test_types_of_arrays_live_in_one_module():
    array = r"(slice \| |Tensor \| |torch\.Tensor \| )*(np\.typing\.)?NDArray\["
    places = modules_of("_?[A-Z][A-Za-z0-9]*", array)
    assert places
    assert {module for modules in places.values() for module in modules} == {"arrays.py"}


def test_no_two_modules_name_a_type_alike():
    aliases = modules_of("_?[A-Z][a-z][A-Za-z0-9]*")
    assert {name: modules for name, modules in aliases.items() if len(modules) > 1} == {}
