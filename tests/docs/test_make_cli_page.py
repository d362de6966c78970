"""The page of commands is what the commands say."""

import dataclasses
import re
import runpy
from pathlib import Path

import pytest

from smdgen import config

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date():
    written = runpy.run_path(str(DOCS / "make_cli_page.py"))["cli_page"]()
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == written, "run: make docs"


@pytest.mark.parametrize("config_type", config.STAGES)
def test_every_setting_has_its_row(config_type):
    """But those without a default: they are arguments."""
    section = (
        (DOCS / "cli.md")
        .read_text(encoding="utf-8")
        .split(f"## smdgen {config.stage_name(config_type)}\n")[1]
    )
    settings = section.split("\n## ")[0].split("in TOML:")[1]
    assert re.findall(r"^\| `(\w+)` \|", settings, re.M) == [
        item.name for item in dataclasses.fields(config_type) if item.default is not dataclasses.MISSING
    ]
    rows = re.findall(r"^\| `\w+` \| (.*) \| (.*) \|$", settings, re.M)
    assert all(default and "None" not in default and meaning for default, meaning in rows)
