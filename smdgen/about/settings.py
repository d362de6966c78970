"""Every setting in words: what it means, its default, and all of them as a TOML file."""

import dataclasses
import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smdgen.config import Range, TrainLstmConfig, TrainVaeConfig, stage_name
from smdgen.method.presets import DEFAULT, METHODS, PAPER, autoencoder_settings, dynamics_settings

_PRESETS = {
    TrainVaeConfig: (autoencoder_settings(DEFAULT), autoencoder_settings(PAPER)),
    TrainLstmConfig: (dynamics_settings(DEFAULT), dynamics_settings(PAPER)),
}

#: Names that `--preset` takes.
PRESETS = tuple(METHODS)

_HEAD = """\
# All settings of smdgen with their defaults. Lines that begin with "#name =" are examples of settings
# that have no value of their own. Keep what you change and give the file with --config; flags win.
# Paths are relative to the folder of this file."""


@dataclass(frozen=True)
class Setting:
    """One setting of a command.

    Attributes:
        name: Its key in TOML.
        meaning: What it is for, in sentences, and the numbers it may be.
        default: In words; empty where it has to be given.
        toml: Its default, or an example, as it stands in TOML.
        is_set: Whether that is the default.
    """

    name: str
    meaning: str
    default: str
    toml: str
    is_set: bool

    @property
    def help(self) -> str:
        """Meaning and default, as `--help` shows them."""
        return f"{self.meaning} {f'Default: {self.default}.' if self.default else 'Required.'}"


def settings_of(config_type: type[Any]) -> tuple[Setting, ...]:
    """The settings of one command, in order.

    Args:
        config_type: One of the dataclasses of `smdgen.config`.
    """
    return tuple(_setting(config_type, field) for field in dataclasses.fields(config_type))


def as_toml(config_types: Sequence[type[Any]]) -> str:
    """A TOML file of all settings of some commands, each below its meaning; what is not set is a comment.

    Args:
        config_types: Dataclasses of `smdgen.config`.
    """
    tables = [
        "\n\n".join([f"[{stage_name(kind)}]", *map(_toml_lines, settings_of(kind))]) for kind in config_types
    ]
    return "\n\n\n".join([_HEAD, *tables]) + "\n"


def _toml_lines(setting: Setting) -> str:
    words = setting.meaning if setting.is_set else setting.help
    comment = textwrap.wrap(words, 98, initial_indent="# ", subsequent_indent="# ")
    return "\n".join([*comment, f"{'' if setting.is_set else '#'}{setting.name} = {setting.toml}"])


def _setting(config_type: type[Any], field: "dataclasses.Field[Any]") -> Setting:
    words, value = field.metadata, field.default
    numbers = [preset[field.name] for preset in _PRESETS.get(config_type, ()) if field.name in preset]
    is_required = value is dataclasses.MISSING
    is_set = not is_required and value not in (None, ()) and not isinstance(value, Path)
    if numbers:
        default, paper = (f"{number:g}" if number else str(words["unset"]) for number in numbers)
        text = default if default == paper else f"{default}; with preset paper {paper}"
    elif is_required:
        text = ""
    else:
        text = _in_words(value) or words["unset"]
    shown = value if is_set or isinstance(value, Path) else words["example"] or numbers[0] or numbers[1]
    meaning = words["meaning"]
    if words["allowed"] not in (None, Range()):
        meaning += f" {str(words['allowed']).removeprefix('a number ').capitalize()}."
    return Setting(field.name, meaning, text, _as_toml(shown), is_set)


def _in_words(value: Any) -> str:
    """A default as `--help` shows it; empty where there is none."""
    if value in (None, ()):
        return ""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _as_toml(value: Any) -> str:
    """A value as it stands in TOML, which takes the strings and lists of JSON."""
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
