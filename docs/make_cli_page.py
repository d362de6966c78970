"""Writes docs/cli.md from the commands themselves: python docs/make_cli_page.py."""

import ast
import dataclasses
import inspect
from pathlib import Path
from typing import Any

import typer

from smdgen import config
from smdgen.cli.app import app
from smdgen.cli.options import SHARED

PAGE = Path(__file__).with_name("cli.md")

INTRODUCTION = """# Commands

<!-- Written by docs/make_cli_page.py (make docs); a test compares it with the commands. -->

The steps in pipeline order, then what looks at files and at the installation. All steps but `simulate`
share a run folder (`--run`, default `smdgen-run`), so no path is typed twice. Results go to standard output,
progress and notes to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage or input, 130 interrupted.

Every setting listed below can stand in a TOML file given with `--config`, one table a command; flags win.
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
    """Every field of the stage's dataclass, with the remark beside it in smdgen/config.py; '' without one."""
    config_type = next((item for item in config.STAGES if config.stage_name(item) == name), None)
    if config_type is None:
        return ""
    remarks = _remarks(config_type.__name__)
    rows = [
        (f"`{field.name}`", _default(field), remarks.get(field.name, ""))
        for field in dataclasses.fields(config_type)
        if field.default is not dataclasses.MISSING  # else it is an argument
    ]
    return f"Settings of `[{name}]` in TOML:\n\n" + _table(("setting", "default", "meaning"), rows)


def _remarks(class_name: str) -> dict[str, str]:
    """Field to the comment at the end of its line."""
    source = inspect.getsource(config)
    lines = source.splitlines()
    body = next(
        node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == class_name
    )
    return {
        node.target.id: lines[(node.end_lineno or 1) - 1].partition("  # ")[2]
        for node in body.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _default(field: Any) -> str:
    value = str(field.default) if isinstance(field.default, Path) else field.default
    return (
        ""
        if value in (None, "", ())
        else f"`{value!r}`".replace("'", '"').replace("True", "true").replace("False", "false")
    )


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
