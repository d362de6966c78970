"""Every benchmark is called in one way, and says so at its top."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = sorted(
    path
    for path in ROOT.glob("benchmarks/**/*.py")
    if path.stem == "__main__" or 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("path", RUN, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_benchmark_says_how_it_is_called(path: Path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    assert f"python -m {name}" in path.read_text(encoding="utf-8").split('"""')[1]


def test_no_page_calls_a_benchmark_by_its_path_or_by_a_name_that_is_gone():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")]
    pages.remove(ROOT / "CHANGELOG.md")
    texts = [page.read_text(encoding="utf-8") for page in pages]
    called = {name for text in texts for name in re.findall(r"python -m (benchmarks[\w.]*)", text)}
    known = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__") for path in RUN}
    assert called
    assert called <= known
    assert not [text for text in texts if "python benchmarks/" in text]
