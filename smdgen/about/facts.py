"""Facts about a file, each with a text for people and a value for programs."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

#: Names shown of a long list.
_FEW_FILES = 6

#: Words of a command line up to which it is shown in full.
_MOST_WORDS = 20


@dataclass(frozen=True)
class Fact:
    """One row of a table."""

    label: str
    text: str
    value: Any  # plain, for JSON


@dataclass(frozen=True)
class Description:
    """What is in one file or folder.

    Attributes:
        path: As the user named it.
        kind: In words.
        facts: In the order of reading.
        notes: What is odd.
        hints: Lines to type next.
    """

    path: Path
    kind: str
    facts: tuple[Fact, ...]
    notes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()

    def summary(self) -> list[tuple[str, str]]:
        """Rows of the table."""
        return [*((fact.label, fact.text) for fact in self.facts), *(("note", note) for note in self.notes)]

    def as_json(self) -> dict[str, Any]:
        """The same for programs: labels with _ for blanks are the keys."""
        values = {fact.label.replace(" ", "_").replace("-", "_"): fact.value for fact in self.facts}
        return {
            "file": str(self.path), "kind": self.kind, **values, "notes": self.notes, "next": self.hints
        }  # fmt: skip


def fact(label: str, value: Any, text: str | None = None) -> Fact:
    """A fact whose text, unless given, is its value as people write it."""
    return Fact(label, _text(value) if text is None else text, value)


def span(label: str, values: ArrayLike, unit: str) -> Fact:
    """The least and the largest of some values."""
    numbers = np.asarray(values, dtype=np.float64)
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    return Fact(label, f"{low:.4g} to {high:.4g} {unit}", {"least": low, "largest": high, "unit": unit})


def size(path: Path) -> Fact:
    """Bytes of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    n_bytes = sum(file.stat().st_size for file in files if file.is_file())
    number, unit = n_bytes / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if number >= 1000:
            number, unit = number / 1000, larger
    return Fact("size", f"{number:,.1f} {unit}" if n_bytes >= 1000 else f"{n_bytes} bytes", n_bytes)


def counts(label: str, numbers: Mapping[str, int]) -> Fact:
    """A total and what it is made of."""
    parts = ", ".join(f"{number} {name}" for name, number in numbers.items())
    return Fact(label, f"{sum(numbers.values())}  ({parts})", dict(numbers))


def some(names: Iterable[str]) -> str:
    """The first few of some names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - _FEW_FILES} more" if len(listed) > _FEW_FILES else ""
    return ", ".join(listed[:_FEW_FILES]) + more


def typed(argv: Sequence[str]) -> str:
    """A command line; of a long one the beginning and the end."""
    words = [shlex.quote(word) for word in argv]
    if len(words) > _MOST_WORDS:
        words = [*words[:4], f"... ({len(words) - 8} more) ...", *words[-4:]]
    return " ".join(words)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if value >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return some(map(_text, value)) or "none"
    return str(value)
