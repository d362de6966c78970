"""Frozen dataclasses as the plain data of a JSON object, and back with every value checked."""

import dataclasses
import math
from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


def to_plain(record: Any) -> dict[str, Any]:
    """What JSON can hold of a frozen dataclass; a field that is its default None is left out."""
    return {
        field.name: _plain(value)
        for field in dataclasses.fields(record)
        if (value := getattr(record, field.name)) is not None or field.default is not None
    }


def from_plain(kind: type[Record], value: Any, name: str = "it") -> Record:
    """The dataclass that `to_plain` took apart; only a field that is None by default may be absent.

    Args:
        kind: A frozen dataclass of numbers, texts, tuples, mappings and other such dataclasses.
        value: What JSON gave.
        name: What to call it.

    Raises:
        ValueError: A field is missing, unknown, of another type, or not finite.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is {_short(value)}, expected an object")
    fields, hints = dataclasses.fields(kind), get_type_hints(kind)  # type: ignore[arg-type]
    unknown = sorted(value.keys() - hints.keys())
    if unknown:
        raise ValueError(f"{name} has an unknown {unknown[0]!r}")
    missing = [field.name for field in fields if field.default is not None and field.name not in value]
    if missing:
        raise ValueError(f"{name} has no {missing[0]!r}")
    return kind(**{key: _read(hints[key], item, key) for key, item in value.items()})


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_plain(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _read(kind: Any, value: Any, name: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return from_plain(kind, value, name)  # type: ignore[arg-type]
    if origin is UnionType:
        return _union(inner, value, name)
    if origin is tuple:
        return _tuple(inner, value, name)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} is {_short(value)}, expected an object")
        return {str(key): _read(inner[1], item, f"{name}.{key}") for key, item in value.items()}
    return _scalar(kind, value, name)


def _union(inner: tuple[Any, ...], value: Any, name: str) -> Any:
    """None, if that is one of the kinds; of several dataclasses the one that has these fields."""
    if value is None and type(None) in inner:
        return None
    keys = set(value) if isinstance(value, Mapping) else set()
    fitting = [kind for kind in inner if keys and keys <= get_type_hints(kind).keys()]
    return _read((fitting or inner)[0], value, name)


def _tuple(inner: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} is {_short(value)}, expected a list")
    kinds = inner[:1] * len(value) if inner[1:] == (...,) else inner
    if len(kinds) != len(value):
        raise ValueError(f"{name} has {len(value)} items, expected {len(kinds)}")
    return tuple(_read(kind, item, name) for kind, item in zip(kinds, value, strict=True))


def _scalar(kind: type, value: Any, name: str) -> Any:
    """A text, a number or a truth value; whole numbers count as numbers."""
    fits = type(value) is kind or (kind is float and type(value) is int)
    if not fits or (kind is float and not math.isfinite(value)):
        raise ValueError(f"{name} is {_short(value)}, expected {kind.__name__}")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
