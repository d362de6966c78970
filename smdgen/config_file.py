"""Settings of one stage from its defaults, a TOML file and the flags of the command line."""

import dataclasses
import math
import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from smdgen.config import STAGES, stage_name
from smdgen.errors import ConfigError
from smdgen.files import require_regular_file

#: Settings that a command had, and what takes their place.
_MOVED = {
    ("rollout", name): "frames are minimised by `smdgen relax` now: put it under [relax]"
    for name in ("relax", "parameters", "forcefield")
}

Config = TypeVar("Config", bound=Any)


def load_settings(config_type: type[Config], path: Path | None, **flags: Any) -> Config:
    """Settings of one stage from its defaults, a TOML file and the flags; flags win.

    Args:
        config_type: One of the dataclasses of this module.
        path: A TOML file with keys at the top level or under a table with the stage's name
            (`[simulate]`, `[train-vae]`); None for none.
        **flags: Values given on the command line; None means not given.

    Raises:
        ConfigError: The file is missing, is not TOML, or has a key the stage does not know; a number is out
            of its range.
    """
    values = {} if path is None else _read_table(config_type, path)
    values.update({name: value for name, value in flags.items() if value is not None})
    try:
        config: Config = config_type(**values)
    except TypeError as error:
        raise ConfigError(f"{stage_name(config_type)}: {error}") from error
    return config


def _read_table(config_type: type[Any], path: Path) -> dict[str, Any]:
    require_regular_file(path, "settings in a TOML file", ConfigError)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8 or leave --config out") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML ({error}); mend it or leave --config out") from error
    table = _own_table(document, stage_name(config_type), path)
    fields = {field.name: field for field in dataclasses.fields(config_type)}
    for name in sorted(set(table) - set(fields)):
        if advice := _MOVED.get((stage_name(config_type), name)):
            raise ConfigError(f"{path}: {name} is not a setting of {stage_name(config_type)}; {advice}")
    unknown = sorted(set(table) - set(fields))
    if unknown:
        raise ConfigError(
            f"{path}: unknown setting {', '.join(unknown)}; "
            f"{stage_name(config_type)} knows {', '.join(sorted(fields))}"
        )
    return {name: _convert(fields[name], value, path) for name, value in table.items()}


def _own_table(document: dict[str, Any], stage: str, path: Path) -> dict[str, Any]:
    """The settings of one stage: its table, or a file without tables."""
    stages = [stage_name(kind) for kind in STAGES]
    tables = {key: value for key, value in document.items() if key in stages or isinstance(value, dict)}
    for name, table in tables.items():
        if name not in stages:
            raise ConfigError(f"{path}: no command is named {name}; expected a table of {', '.join(stages)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {name} = {table!r}, expected a table, which begins with [{name}]")
    loose = sorted(set(document) - set(tables))
    if tables and loose:
        raise ConfigError(
            f"{path}: {', '.join(loose)} stands before the tables; put it into those of its commands"
        )
    return dict(tables.get(stage, {})) if tables else document


#: Types of settings, and what they are called to users.
_TYPE_NAMES: dict[str, tuple[type, str]] = {
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "str": (str, "a text in quotes"),
    "bool": (bool, "true or false"),
}


def _words(kind: Any) -> tuple[Any, ...]:
    """The words a `Literal` allows; none for another type."""
    return get_args(kind) if get_origin(kind) is Literal else ()


def _convert(field: "dataclasses.Field[Any]", value: Any, path: Path) -> Any:
    """A TOML value in the type of the field; relative paths are taken from the file's folder."""
    once = field.metadata.get("once")
    if once is not None and type(value) in (type(once), int) and value == once:
        return None
    kind = str(field.type)
    allowed = [word for part in (field.type, *get_args(field.type)) for word in _words(part)]
    if allowed and value not in allowed:
        raise ConfigError(
            f"{path}: {field.name} = {value!r}, expected one of {', '.join(map(repr, allowed))}"
        )
    if "Path" in kind:
        items = value if "tuple[" in kind and isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in items):
            raise ConfigError(f"{path}: {field.name} = {value!r}, expected a path in quotes")
        paths = tuple(path.parent / item for item in items)
        return paths if "tuple[" in kind else paths[0]
    if "float" in kind and type(value) is int:
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{path}: {field.name} = {value}, expected a finite number")
    for word, (python_type, meaning) in _TYPE_NAMES.items():
        if word in kind and "Literal" not in kind and type(value) is not python_type:
            found = str(value).lower() if isinstance(value, bool) else repr(value)
            raise ConfigError(f"{path}: {field.name} = {found}, expected {meaning}")
    return value
