"""Every page can be reached, and every link leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/*.md")]
)


def targets(page: Path) -> list[Path]:
    """Files of this repository that a page links to."""
    found = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    return [(page.parent / link).resolve() for link in found if "://" not in link]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert [str(target) for target in targets(page) if not target.exists()] == []


@pytest.mark.parametrize(
    "start", [ROOT / "README.md", ROOT / "docs" / "index.md"], ids=lambda page: page.name
)
def test_every_page_is_linked(start: Path) -> None:
    pages = {page for page in PAGES if page.parent.name == "docs" and page.name != "index.md"}
    assert pages - set(targets(start)) == set()
