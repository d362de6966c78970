"""What is imported is declared in pyproject.toml, and what is declared is imported."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

#: Folders of code that is not installed, and the modules they import from each other by their bare names.
DEVELOPMENT = ("tests", "benchmarks", "docs", "examples")
OWN = {"smdgen", *DEVELOPMENT} | {path.stem for name in DEVELOPMENT for path in (ROOT / name).rglob("*.py")}

#: Tools that are run and never imported; and a package whose files are read, not its code.
NOT_IMPORTED = {"pytest-xdist", "mypy", "ruff", "smdgen", "mdanalysistests"}


def declared(requirements: list[str]) -> set[str]:
    """Names of distributions, as the package index compares them."""
    return {normal(re.split(r"[\[<>=!~; ]", line)[0]) for line in requirements}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(source: str) -> set[str]:
    """Top-level modules that a source imports, by statements, `importorskip` or `import_module`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("importorskip", "import_module"):
                found.add(str(node.args[0].value))
    return {name.split(".")[0] for name in found}


def used_by(*folders: str) -> set[str]:
    """Distributions of other people that the code of some folders imports."""
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert files
    modules = set().union(*(imported(path.read_text(encoding="utf-8")) for path in files))
    owners = importlib.metadata.packages_distributions()
    others = modules - OWN - set(sys.stdlib_module_names)
    return {normal(min(owners.get(module, [module]), key=len)) for module in others}


def test_the_walk_finds_every_form_of_import():
    source = (
        "import a.b, c as d\nfrom e.f import g\nfrom . import h\n"
        "def run():\n import k\n pytest.importorskip('m.n')\n importlib.import_module('o')\n"
    )
    assert imported(source) == {"a", "c", "e", "k", "m", "o"}


def test_the_package_declares_what_it_imports_and_nothing_else():
    optional = declared(PROJECT["optional-dependencies"]["dask"])
    assert used_by("smdgen") - optional == declared(PROJECT["dependencies"])


def test_tests_and_tools_declare_what_they_import():
    extras = PROJECT["optional-dependencies"]
    known = declared(PROJECT["dependencies"] + [line for lines in extras.values() for line in lines])
    assert used_by(*DEVELOPMENT) <= known
    assert known <= used_by("smdgen", *DEVELOPMENT) | NOT_IMPORTED


def test_versions_of_all_that_is_declared_are_pinned():
    extras = PROJECT["optional-dependencies"]
    wanted = PROJECT["dependencies"] + [line for name in ("test", "dev") for line in extras[name]]
    pins = declared((ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())
    assert declared(wanted) - {"smdgen"} <= pins
