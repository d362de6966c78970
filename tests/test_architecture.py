"""Imports go one way, so that every part can be read and tested without the parts above it."""

import ast
import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from smdgen.cli.app import app
from smdgen.config import STAGES, stage_name

PACKAGE = Path(__file__).parents[1] / "smdgen"

#: What each part may import besides itself; a module directly under smdgen/ belongs to "base".
ALLOWED = {
    "base": set(),
    "geometry": {"base"},
    "forcefield": {"base", "geometry"},
    "method": {"base", "geometry", "forcefield"},
    "training": {"base", "geometry", "forcefield", "method", "quality", "store", "io", "dataset", "view"},
    "quality": {"base", "geometry", "forcefield"},
    "steered_md": {"base", "geometry", "forcefield", "store", "io"},
    "store": {"base", "geometry", "method"},
    "io": {"base", "geometry"},
    "dataset": {"base", "geometry", "forcefield", "store", "io"},
    "view": {"base", "geometry", "quality", "io"},
    "stages": {
        "base",
        "geometry",
        "forcefield",
        "quality",
        "steered_md",
        "method",
        "training",
        "store",
        "io",
        "dataset",
        "view",
    },
    "about": {"base", "geometry", "forcefield", "method", "store", "io", "dataset"},
    "cli": {"base", "stages", "about", "training"},
}

HEAVY = (
    "torch",
    "prody",
    "mdtraj",
    "openmm",
    "h5py",
    "torchmd",
    "matplotlib",
    "scipy",
    "MDAnalysis",
    "pymol",
)

MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(module: str) -> str:
    """`smdgen.forcefield.energy` -> `forcefield`; `smdgen.errors` -> `base`."""
    words = module.split(".")
    if words[1:] == ["__main__"]:
        return "cli"
    return words[1] if len(words) > 1 and words[1] in ALLOWED else "base"


def module_name(path: Path) -> str:
    return ".".join(["smdgen", *path.relative_to(PACKAGE).with_suffix("").parts])


def imported_modules(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def users_of(library: str) -> list[str]:
    trees = ((path, ast.parse(path.read_text(encoding="utf-8"))) for path in MODULES)
    return [
        module_name(path)
        for path, tree in trees
        if any(name.split(".")[0] == library for name in imported_modules(tree))
    ]


@pytest.mark.parametrize("path", MODULES, ids=[module_name(path) for path in MODULES])
def test_imports_go_one_way(path: Path):
    here = part_of(module_name(path))
    imported = imported_modules(ast.parse(path.read_text(encoding="utf-8")))
    parts = {part_of(name) for name in imported if name.split(".")[0] == "smdgen" and name != "smdgen"}
    assert parts <= ALLOWED[here] | {here}, f"{here} may not import {parts - ALLOWED[here] - {here}}"


def test_only_the_store_reads_headers_by_key():
    """Elsewhere a header of a model file has fields, with types."""
    by_key = re.compile(r"header(\[|\.get\()")
    found = {module_name(path) for path in MODULES if by_key.search(path.read_text(encoding="utf-8"))}
    assert {part_of(name) for name in found} <= {"store"}


def test_the_numbers_of_the_methods_stand_in_presets():
    """So that a model file, which keeps them, is complete."""
    others = {
        ("dynamics", "CONDITION_SIZE"),  # of a condition, one by one
        ("components", "MOST_EXACT"),  # how components are found, not which
        ("components", "_SPARE, _ROUNDS"),
        ("default", "_NO_RESIDUES"),  # that there are none
        ("fold", "_TOLD"),  # what a residue is told, one by one
    }
    found = {
        (path.stem, ast.unparse(target).strip("()"))
        for path in (PACKAGE / "method").rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if path.stem != "presets"
        and isinstance(node, ast.Assign)
        and any(_is_number(part) for part in ast.walk(node.value))
        for target in node.targets
    }
    assert found == others


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def test_only_one_module_uses_torchmd():
    assert set(users_of("torchmd")) <= {"smdgen.forcefield.energy"}


@pytest.mark.parametrize("part", ["method", "geometry"])
def test_the_method_and_geometry_only_compute(part: str):
    """No library that reads files, selects atoms or runs simulations."""
    own = [path for path in MODULES if part_of(module_name(path)) == part]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in own]
    libraries = {name.split(".")[0] for tree in trees for name in imported_modules(tree)}
    allowed = {"smdgen", "numpy", "torch"} | ({"mdtraj", "scipy"} if part == "geometry" else set())
    assert libraries - sys.stdlib_module_names <= allowed


def test_only_the_command_line_draws_on_the_terminal():
    assert {part_of(name) for name in [*users_of("rich"), *users_of("typer")]} == {"cli"}


def test_there_are_no_relative_imports():
    levels = [
        (module_name(path), node.lineno)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert levels == []


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["prepare", "--help"], ["info", "--help"], ["rollout", "--nonsense"]],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(arguments: list[str]):
    """`smdgen --help` answers at once: torch, ProDy, MDTraj and OpenMM cost seconds each."""
    code = (
        "import sys\nfrom smdgen.cli.app import main\nmain(sys.argv[1:])\n"
        f"print('LOADED', sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ.copy(),
    )
    assert child.stderr.splitlines()[-1] == "LOADED []"


def test_info_loads_no_torch():
    """`smdgen info` answers in a moment, but for trajectories that another library reads."""
    example = PACKAGE.parent / "examples" / "deca_alanine"
    files = [
        example / "deca_alanine.psf",
        example / "pulls" / "pull_000.dcd",
        *PACKAGE.rglob("*.safetensors"),
    ]
    code = (
        "import sys\nfrom smdgen.cli.app import main\nassert main(['info', *sys.argv[1:]]) == 0\n"
        f"print('LOADED', *sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ.copy(),
    )
    assert set(child.stderr.splitlines()[-1].split()) <= {"LOADED", "h5py"}


def test_a_stage_is_a_file_a_command_a_page_and_a_test():
    """`ls smdgen/stages` is the pipeline and nothing else."""
    root, stages = PACKAGE.parent, [stage_name(kind).replace("-", "_") for kind in STAGES]
    commands = [name.replace("-", "_") for name in typer.main.get_command(app).commands]
    pages = {path.stem.replace("-", "_") for path in (root / "docs").glob("*.md")}
    tests = {path.stem.removeprefix("test_") for path in (root / "tests" / "stages").glob("*.py")}
    assert {path.stem for path in (PACKAGE / "stages").glob("*.py")} == {*stages, "__init__"}
    assert commands == [*stages, "info", "check", "config"]
    assert pages >= set(commands)
    assert tests == set(stages)


#: What may know which method is at work: their numbers and names, and the published one.
KNOW_THE_METHOD = {"smdgen.method.presets", "smdgen.method.paper"}


@functools.cache
def networks() -> set[str]:
    """Names of the classes of networks, and of the numbers of methods."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (PACKAGE / "method").rglob("*.py")]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    bases = {"nn.Module", "Autoencoder", "Dynamics"}
    return {
        node.name
        for node in classes
        if {ast.unparse(base) for base in node.bases} & bases or node.name.endswith("Numbers")
    }


@pytest.mark.parametrize("path", MODULES, ids=[module_name(path) for path in MODULES])
def test_only_the_presets_and_the_published_method_ask_which_method_it_is(path: Path):
    """No `isinstance` on a network, and not the word itself: others use `method.model.Method`."""
    assert networks() >= {"PaperVae", "FeatureVae", "FlowDynamics", "InternalFeatures", "PaperNumbers"}
    if module_name(path) in KNOW_THE_METHOD:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant):
            assert node.value != "paper", f"line {node.lineno}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            asked = {word.id for word in ast.walk(node.args[1]) if isinstance(word, ast.Name)}
            assert not asked & networks(), f"line {node.lineno}"
