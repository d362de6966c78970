"""Writes docs/cli.md from the commands themselves: python docs/make_cli_page.py."""

import inspect
from pathlib import Path
from typing import Any

import typer

from smdgen import config
from smdgen.about.settings import settings_of
from smdgen.cli.app import app
from smdgen.cli.options import SHARED

PAGE = Path(__file__).with_name("cli.md")

INTRODUCTION = """# Commands

<!-- Written by docs/make_cli_page.py (make docs); a test compares it with the commands. -->

The steps in pipeline order, then what looks at files and at the installation. All steps but `simulate`
share a run folder (`--run`, default `smdgen-run`), so you never have to repeat a path. Results go to
standard output, progress and notes to standard error.
Exit codes: 0 done, 1 failed, 2 wrong usage or input, 130 interrupted.

Every setting listed below can stand in a TOML file given with `--config`, one table per command; flags win.
[`smdgen config`](config.md) prints such a file with all settings, their meanings and their defaults.
Paths in it are relative to its own folder:

```toml
[prepare]
select = "name N CA C O"
stride = 2

[train-vae]
preset = "paper"
```
"""


def cli_page() -> str:
    """The whole page."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    shared = [item for item in commands["prepare"].params if _panel(item) == SHARED]
    sections = [INTRODUCTION, "## Shared options\n\n" + _options_table(shared)]
    sections += [_section(name, command) for name, command in commands.items()]
    return "\n".join(sections)


def _section(name: str, command: Any) -> str:
    """Usage, options, examples and settings of one command."""
    own = [item for item in command.params if item.name != "help" and _panel(item) != SHARED]
    arguments = [item for item in own if item.param_type_name == "argument"]
    options = [item for item in own if item.param_type_name == "option"]
    usage = " ".join(["smdgen", name, *(_usage(item) for item in arguments), "[OPTIONS]"])
    examples = "\n".join(line for line in command.epilog.split("\n\n")[1:])
    parts = [f"## smdgen {name}\n", inspect.cleandoc(command.help) + "\n", f"```\n{usage}\n```\n"]
    if arguments:
        parts.append(_argument_table(arguments))
    parts += [_options_table(options)] if options else []
    parts += [f"Examples:\n\n```\n{examples}\n```\n", _settings_table(name)]
    return "\n".join(part for part in parts if part)


def _usage(argument: Any) -> str:
    text = argument.metavar + ("..." if argument.nargs == -1 else "")
    return text if argument.required else f"[{text}]"


def _argument_table(arguments: list[Any]) -> str:
    return _table(("argument", "meaning"), [(f"`{item.metavar}`", item.help) for item in arguments])


def _options_table(options: list[Any]) -> str:
    rows = [(f"`{', '.join([*item.opts])}{_value(item)}`", item.help or "") for item in options]
    return _table(("option", "meaning"), rows)


def _value(option: Any) -> str:
    """What follows the flag, if anything."""
    return "" if option.is_flag else f" {option.metavar}"


def _panel(option: Any) -> str | None:
    return getattr(option, "rich_help_panel", None)


def _settings_table(name: str) -> str:
    """Every setting of a command but its required arguments, with default and meaning; '' without one."""
    config_type = next((item for item in config.STAGES if config.stage_name(item) == name), None)
    if config_type is None:
        return ""
    rows = [
        (f"`{item.name}`", item.default, item.meaning) for item in settings_of(config_type) if item.default
    ]
    return f"Settings of `[{name}]` in TOML:\n\n" + _table(("setting", "default", "meaning"), rows)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    lines = [head, tuple("---" for _ in head), *rows]
    return (
        "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        + "\n"
    )


if __name__ == "__main__":
    PAGE.write_text(cli_page(), encoding="utf-8")
    print(f"wrote {PAGE}")
