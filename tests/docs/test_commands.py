"""Every smdgen command line of the README and the docs is one that the program takes."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from smdgen.cli.app import app
from smdgen.config import PrepareConfig
from smdgen.progress import Silent
from smdgen.stages import prepare

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
_BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def command_lines(page: Path) -> list[str]:
    """Lines of code blocks that call smdgen, continued ones joined, without pipes and remarks."""
    lines = []
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            line = re.split(r"\s#\s|\s\|\s|\s>\s|\s&&\s", line.strip())[0]
            if line.startswith("smdgen ") and not re.search(r"[<>\[\]]|\.\.\.", line):
                lines.append(line)
    return lines


CASES = [(page.relative_to(ROOT).as_posix(), line) for page in PAGES for line in command_lines(page)]


def test_there_are_commands_in_the_readme():
    assert sum(page == "README.md" for page, _ in CASES) > 10


@pytest.mark.parametrize(("page", "line"), CASES)
def test_the_program_takes_it(page, line):
    _, name, *words = shlex.split(line)
    if name.startswith("-"):
        return
    group = typer.main.get_command(app)
    assert name in group.commands, f"{page}: {line}"
    group.commands[name].make_context(name, words)


def test_no_rollout_is_written_twice_into_one_run_folder():
    """Blocks of the README run one after another: a second rollout of a run would be refused."""
    seen = set()
    for page, line in CASES:
        if page == "README.md" and line.startswith("smdgen rollout"):
            words = shlex.split(line)
            run = words[words.index("--run") + 1] if "--run" in words else "smdgen-run"
            assert run not in seen, line
            seen.add(run)


def test_python_snippets_run(tmp_path, monkeypatch):
    """On a run folder as the pages assume it."""
    pulls = sorted((ROOT / "examples/deca_alanine/pulls").glob("*.dcd"))[:12]
    config = PrepareConfig(tuple(pulls), ROOT / "examples/deca_alanine/deca_alanine.psf")
    prepare.run(config, tmp_path / "smdgen-run", Silent())
    monkeypatch.chdir(tmp_path)
    snippets = [
        code
        for page in PAGES
        for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    ]
    assert len(snippets) >= 2
    for code in snippets:
        exec(compile(code, "snippet", "exec"), {})
