"""Schedule files: a small table of step (or fraction of the way) against the CV wanted there."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import ConfigError
from smdgen.files import require_regular_file
from smdgen.geometry.cv_paths import difference

#: Larger files are something else.
_MOST_BYTES = 1 << 20

_FORM = "expected two columns, step (or fraction) and CV, such as `10, 25.5`"


@dataclass(frozen=True)
class ScheduleFile:
    """What a schedule file says.

    Attributes:
        path: The file.
        column: What the rows count: "step", or "fraction" of the way, from 0 to 1.
        places: (n_rows,). Rising.
        values: (n_rows,), in the CV's unit.
    """

    path: Path
    column: str
    places: NDArray[np.float64]
    values: NDArray[np.float64]


def read_schedule_file(path: Path) -> ScheduleFile:
    """Read a schedule file: two columns apart by commas, semicolons or blanks.

    The first line may name the columns; the first name, `step` or `fraction`, says what the rows
    count, steps without it. Lines that begin with # are comments.

    Raises:
        ConfigError: No such file, no such table, or rows that do not rise.
    """
    require_regular_file(path, "a schedule (step against CV)", ConfigError)
    if path.stat().st_size > _MOST_BYTES:
        raise ConfigError(f"{path} has {path.stat().st_size} bytes; {_FORM}")
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = [(number, line.split("#")[0].strip()) for number, line in enumerate(text.splitlines(), 1)]
    rows = [(number, line, re.split(r"\s*[,;]\s*|\s+", line)) for number, line in lines if line]
    column = "step"
    if rows and rows[0][2][0].lower() in ("step", "fraction"):
        column = rows[0][2][0].lower()
        rows = rows[1:]
    numbers = np.array([_row(path, *row) for row in rows]).reshape(-1, 2)
    places, values = numbers[:, 0], numbers[:, 1]
    _check_places(path, column, places)
    return ScheduleFile(path, column, places, values)


def n_steps_of(schedule: ScheduleFile, asked: int | None, default: int) -> int:
    """Steps of a rollout: those asked for, else those of the file.

    Args:
        schedule: The file.
        asked: `--steps`; None if not given.
        default: For a file of fractions.

    Raises:
        ConfigError: The file ends at another step.
    """
    if schedule.column == "fraction":
        return asked or default
    last = int(schedule.places[-1])
    if asked not in (None, last):
        raise ConfigError(
            f"{schedule.path} ends at step {last}, --steps is {asked}; leave --steps out or make them agree"
        )
    return last


def values_of(schedule: ScheduleFile, n_steps: int, start: float, periodic: bool) -> NDArray[np.float64]:
    """The CV of each step, on straight lines between the rows.

    Args:
        schedule: The file.
        n_steps: Steps of the rollout.
        start: CV of the start, which stands in for a row at 0.
        periodic: Whether 360 is one turn: then each line goes the short way.

    Returns:
        (n_steps,), in the CV's unit. Step 0, the start, is not among them.
    """
    places = schedule.places * (n_steps if schedule.column == "fraction" else 1)
    ahead = places > 0
    places, values = np.append(0.0, places[ahead]), np.append(start, schedule.values[ahead])
    if periodic:
        values = np.unwrap(values, period=360)
    path: NDArray[np.float64] = np.interp(np.arange(1, n_steps + 1), places, values)
    return path


def begin_notes(schedule: ScheduleFile, start: float, periodic: bool, unit: str) -> list[str]:
    """A note where a schedule begins elsewhere than the start.

    Args:
        schedule: The file.
        start: CV of the start.
        periodic: Whether 360 is one turn.
        unit: Of the CV.
    """
    off = abs(difference(schedule.values[:1], np.array([start]), periodic))
    return [
        f"{schedule.path} begins at {schedule.values[0]:.2f}, the start is at {start:.2f} {unit}: "
        "the pulls begin at the start"
    ] * bool(schedule.places[0] == 0 and off > 0.5)


def _row(path: Path, number: int, line: str, words: list[str]) -> tuple[float, float]:
    try:
        place, value = (float(word) for word in words)
    except ValueError:
        place = value = np.nan
    if not (np.isfinite(place) and np.isfinite(value)):
        raise ConfigError(f"{path}, line {number}: found {line[:60]!r}, {_FORM}, with a point in decimals")
    return place, value


def _check_places(path: Path, column: str, places: NDArray[np.float64]) -> None:
    if not len(places) or places[-1] <= 0:
        raise ConfigError(f"{path} has no row after the start; {_FORM}")
    if (np.diff(places) <= 0).any() or places[0] < 0:
        raise ConfigError(f"{path}: the {column}s do not rise from 0 on; sort them and name each once")
    if column == "step" and (places != np.rint(places)).any():
        raise ConfigError(
            f"{path} has steps that are not whole numbers; "
            "write `fraction` above the first column if they are fractions of the path"
        )
    if column == "fraction" and places[-1] != 1:
        raise ConfigError(f"{path} ends at fraction {places[-1]:g}, expected 1, the last step")
