"""What a program wrote beside a trajectory while it pulled: variables, restraint centres, work."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import TrajectoryError

Column = NDArray[np.float64]

#: A clock that is in the file as step or as time.
Clock = Literal["step", "ps"]

#: Factors from the file's unit to A and to degrees, for programs that write A and degrees.
_SAME = {"A": 1.0, "deg": 1.0}


@dataclass(frozen=True)
class PullTable:
    """Rows of a run; each array is (n_rows,).

    Attributes:
        path: The file.
        keys: Step or time of every row, strictly increasing.
        clock: Which of the two.
        variables: Values by name, in the file's unit.
        centres: Restraint centres by the name of their variable, in the file's unit.
        works: kcal/mol. Accumulated work by column name.
        scale: By the unit of a variable the factor from the file's own unit.
        bare_scale: The same if the file is in A and degrees although its program usually is not; then the
            unit of its energies is not known.
        notes: What was odd while reading.
    """

    path: Path
    keys: NDArray[np.float64]
    clock: Clock
    variables: dict[str, Column]
    centres: dict[str, Column]
    works: dict[str, Column]
    scale: dict[str, float] = field(default_factory=lambda: dict(_SAME))
    bare_scale: dict[str, float] | None = None
    notes: tuple[str, ...] = ()

    def place(self, row: int) -> str:
        """A row in words: `step 500`, `12.5 ps`."""
        key = f"{self.keys[row]:.9g}"
        return f"step {key}" if self.clock == "step" else f"{key} ps"


def read_rows(path: Path, lines: Sequence[tuple[int, str]], n_columns: int, expected: str) -> Column:
    """(n_rows, n_columns). Numbers of some lines of a file; a cut last line is left out.

    Args:
        path: The file, for the message.
        lines: Number (from 1) and text of each line.
        n_columns: Numbers a line.
        expected: What the file should be, for the message.

    Raises:
        TrajectoryError: No row at all, or one that does not fit.
    """
    rows: list[list[float]] = []
    for place, (number, line) in enumerate(lines):
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            row = []
        if len(row) != n_columns or not np.isfinite(row).all():
            if place == len(lines) - 1 and rows:
                break
            raise TrajectoryError(
                f"{path}, line {number}: {line.strip()[:60]!r} is not {n_columns} numbers, as in {expected}"
            )
        rows.append(row)
    if not rows:
        raise TrajectoryError(f"{path} has no rows; expected {expected}")
    return np.array(rows, dtype=np.float64)


def kept_rows(keys: Column) -> NDArray[np.int64]:
    """Rows that count where a restart repeats steps or times: those before which no later row goes back."""
    later = np.minimum.accumulate(keys[::-1])[::-1]
    is_kept = np.append(keys[:-1] < later[1:], True)
    return np.flatnonzero(is_kept)


def restart_notes(path: Path, keys: Column, kept: NDArray[np.int64]) -> list[str]:
    """A note if rows were left out."""
    if len(kept) == len(keys):
        return []
    return [f"{path.name}: steps or times repeat (a restart); the later rows count"]
