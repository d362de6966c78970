"""What a program wrote beside a trajectory while it pulled: variables, restraint centres, work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smdgen.arrays import FloatArray
from smdgen.errors import TrajectoryError
from smdgen.notes import Note

#: A clock that is in the file as step or as time.
Clock = Literal["step", "ps"]


@dataclass(frozen=True)
class Units:
    """One possibility for the units of a table.

    Attributes:
        scale: By the unit of a variable ("A", "deg") the factor from the file's own unit.
        energy: Factor from the file's unit of work to kcal/mol; None: not known.
        are_given: Whether the file or the user names them, so that they need no proof.
        are_paired: Whether the program ties energies to lengths, so that the length proves the energy.
    """

    scale: dict[str, float] = field(default_factory=lambda: {"A": 1.0, "deg": 1.0})
    energy: float | None = 1.0
    are_given: bool = False
    are_paired: bool = False


@dataclass(frozen=True)
class PullTable:
    """Rows of a run; each array is (n_rows,).

    Attributes:
        path: The file.
        keys: Step or time of every row, strictly increasing.
        clock: Which of the two.
        variables: Values by name, in the file's unit.
        centres: Restraint centres by the name of their variable, in the file's unit.
        works: Accumulated work by column name, in the file's unit.
        units: What the units may be, the likeliest first; the values of the variables tell which they are.
        notes: What was odd while reading.
    """

    path: Path
    keys: NDArray[np.float64]
    clock: Clock
    variables: dict[str, FloatArray]
    centres: dict[str, FloatArray]
    works: dict[str, FloatArray]
    units: tuple[Units, ...] = (Units(are_given=True),)
    notes: tuple[str, ...] = ()

    def place(self, row: int) -> str:
        """A row in words: `step 500`, `12.5 ps`."""
        key = f"{self.keys[row]:.9g}"
        return f"step {key}" if self.clock == "step" else f"{key} ps"


#: A line of a file: its number, from 1, and its text.
Line = tuple[int, str]

#: A restart that begins later than so many usual distances of rows has left some out.
_GAP = 1.5


@dataclass(frozen=True)
class Rows:
    """The rows of a file, before restarts are sorted out.

    Attributes:
        path: The file.
        names: Names of the columns.
        values: (n_rows, n_columns), in the file's units; not finite where the file has no number.
        lines: (n_rows,). Line of each row, from 1.
        starts: (n_parts,). First row below each header.
        notes: What was odd while reading.
    """

    path: Path
    names: tuple[str, ...]
    values: FloatArray
    lines: NDArray[np.int64]
    starts: NDArray[np.int64]
    notes: tuple[Note, ...]


def read_rows(path: Path, parts: Sequence[tuple[Sequence[str], Sequence[Line]]], expected: str) -> Rows:
    """Numbers of a file; of columns that change at a restart those that all parts have.

    Args:
        path: The file, for the message.
        parts: Names of the columns and the lines below each header. A last line that is cut is left out.
        expected: What the file should be, for the message.

    Raises:
        TrajectoryError: No row at all, one that does not fit, or no column that all parts have.
    """
    notes: list[Note] = []
    filled = [(tuple(names), lines) for names, lines in parts if lines]
    filled = _without_cut_number(path, filled, notes)
    blocks = [_numbers(path, names, lines, expected, notes) for names, lines in filled]
    if not sum(map(len, blocks)):
        raise TrajectoryError(f"{path} has no rows; expected {expected}")
    first = filled[0][0]
    common = tuple(name for name in first if all(name in names for names, _ in filled))
    changed = [lines[0][0] for names, lines in filled if names != first]
    if changed:
        lost = ", ".join(dict.fromkeys(name for names, _ in filled for name in names if name not in common))
        change = f"the columns change at line {changed[0]}" + f" (not in all parts: {lost})" * bool(lost)
        if len(common) < 2:
            raise TrajectoryError(f"{path}: {change}; split the file there")
        notes.append(Note(change + "; those are left out" * bool(lost), path.name))
    kept = [
        block[:, [names.index(name) for name in common]]
        for (names, _), block in zip(filled, blocks, strict=True)
    ]
    numbers = [
        number for (_, lines), block in zip(filled, blocks, strict=True) for number, _ in lines[: len(block)]
    ]
    starts = np.cumsum([0, *map(len, blocks)])[:-1]
    return Rows(path, common, np.concatenate(kept), np.array(numbers), starts, tuple(notes))


def _without_cut_number(
    path: Path, filled: list[tuple[tuple[str, ...], Sequence[Line]]], notes: list[Note]
) -> list[tuple[tuple[str, ...], Sequence[Line]]]:
    """The lines without a last one that ends in the middle of a number.

    Every program ends its lines. A file that does not, and whose last number is shorter than all before it in
    its column, was cut there: 2.2428e+01 becomes 2.2.
    """
    names, lines = filled[-1] if filled else ((), [])
    number, last = lines[-1] if lines else (0, "")
    before = [len(line.split()[-1]) for _, line in lines[:-1] if line.strip()]
    if not before or not last.strip() or len(last.split()[-1]) >= min(before):
        return filled
    if not path.read_bytes().endswith(last.encode("latin-1")):
        return filled
    notes.append(Note(f"line {number} has no end, its last number seems cut; it is left out", path.name))
    return [*filled[:-1], (names, lines[:-1])]


def _numbers(
    path: Path, names: tuple[str, ...], lines: Sequence[Line], expected: str, notes: list[Note]
) -> FloatArray:
    """(n_rows, n_columns). Values that are not finite stay; a last line that does not fit is left out."""
    if len(set(names)) != len(names):
        raise TrajectoryError(f"{path} has a column name twice ({' '.join(names)}); rename one")
    rows: list[list[float]] = []
    for number, line in lines:
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            row = []
        if len(row) == len(names):
            rows.append(row)
        elif (number, line) == lines[-1] and rows:
            notes.append(Note(f"line {number} is cut and left out", path.name))
        else:
            raise TrajectoryError(f"{path}, line {number}: {_misfit(names, line)}, as in {expected}")
    return np.array(rows, dtype=np.float64).reshape(-1, len(names))


def _misfit(names: tuple[str, ...], line: str) -> str:
    """Why a line is no row: the number of its words, or a word that is no number."""
    words = line.split()
    if len(words) == len(names):
        for name, word in zip(names, words, strict=True):
            try:
                float(word)
            except ValueError:
                return f"{name} is {word[:60]!r}, expected {len(names)} numbers"
    return f"{line.strip()[:60]!r} is not {len(names)} numbers"


def settle(
    rows: Rows, key: str, is_sum: Callable[[str], bool] = lambda _: False
) -> tuple[FloatArray, dict[str, FloatArray], list[Note]]:
    """One row a step or time: of those that a restart repeats, the later ones count.

    Args:
        rows: As they were read.
        key: The column that should rise.
        is_sum: Whether a column adds up over the run, and so begins again at 0 at some restarts.

    Returns:
        (n,) keys, strictly rising; the other columns (n,), all finite; what was odd.

    Raises:
        TrajectoryError: A key that is not finite.
    """
    path, place = rows.path, rows.names.index(key)
    keys = rows.values[:, place]
    if not np.isfinite(keys).all():
        line = rows.lines[int(np.argmin(np.isfinite(keys)))]
        raise TrajectoryError(f"{path}, line {line}: {key} is not finite; cut the file there")
    kept = kept_rows(keys)
    notes = [*rows.notes]
    if len(kept) < len(keys):
        notes.append(Note("steps or times repeat (a restart); the later rows count", path.name))
    sums = {name: join_sum(keys, rows.values[:, i], rows.starts)
            for i, name in enumerate(rows.names) if is_sum(name)}  # fmt: skip
    columns, left_out = {}, []
    for i, name in enumerate(rows.names):
        values = rows.values[kept, i]
        is_finite = np.isfinite(values)
        if not is_finite.all():
            left_out.append(f"{name} (line {rows.lines[kept[int(np.argmin(is_finite))]]})")
        elif i != place and (joined := sums.get(name, rows.values[:, i])) is not None:
            columns[name] = joined[kept]
    if left_out:
        notes.append(Note(f"columns left out (vectors or not finite): {', '.join(left_out)}", path.name))
    return keys[kept], columns, [*notes, *_sum_notes(rows, sums)]


def _sum_notes(rows: Rows, sums: dict[str, FloatArray | None]) -> list[Note]:
    """What became of the sums that begin again at a restart."""
    notes = []
    for name, joined in sums.items():
        begins = f"{name} begins again at 0 at a restart"
        if joined is None:
            notes.append(Note(f"{begins} and rows are missing there; it is left out", rows.path.name))
        elif not np.array_equal(joined, rows.values[:, rows.names.index(name)], equal_nan=True):
            notes.append(Note(f"{begins}; the parts are joined", rows.path.name))
    return notes


def kept_rows(keys: FloatArray) -> NDArray[np.int64]:
    """Rows that count where a restart repeats steps or times: those before which no later row goes back."""
    later = np.minimum.accumulate(keys[::-1])[::-1]
    is_kept = np.append(keys[:-1] < later[1:], True)
    return np.flatnonzero(is_kept)


def join_sum(keys: FloatArray, values: FloatArray, starts: NDArray[np.int64]) -> FloatArray | None:
    """A sum over a run whose restarts may have begun again at 0.

    A restart is where a header is, where keys go back, and where the sum falls to 0. The sum begins again if
    its first value there is nearer to 0 than to what the rows before say.

    Args:
        keys: (n,). Step or time, repeats included.
        values: (n,). The sum.
        starts: (n_parts,). Rows below headers.

    Returns:
        (n,), or None where rows between the parts are missing, or a value fits neither.
    """
    joined, offset = values.copy(), 0.0
    falls = (values[1:] == 0) & (values[:-1] != 0)
    restarts = {*starts.tolist(), *(np.flatnonzero((np.diff(keys) <= 0) | falls) + 1).tolist()} - {0}
    inside = np.delete(np.arange(len(keys)), sorted({0, *restarts}))
    spacing, usual = (np.abs(x[inside] - x[inside - 1]) for x in (keys, values))
    for start in sorted(restarts):
        value, goes_on = values[start], keys[start] > keys[start - 1]
        if goes_on and abs(value - values[start - 1]) <= abs(value):
            continue
        before = kept_rows(keys[:start])
        expected = float(np.interp(keys[start], keys[before], joined[before]))
        if abs(value + offset - expected) <= abs(value):
            continue
        late = keys[start] - keys[before[-1]] > _GAP * np.median(spacing) if len(spacing) else False
        if late or abs(value) > _GAP * usual.max(initial=0.0):
            return None
        is_overlap = keys[start] <= keys[before[-1]]
        if value == 0 and not is_overlap:  # the work since the row before is in neither part
            expected += _mean_step(joined[before[-2:]], values[start : start + 2])
        offset = expected - (value if is_overlap else 0.0)
        joined[start:] = values[start:] + offset
    return joined


def _mean_step(*pairs: FloatArray) -> float:
    """The mean of the steps that (2,) values make; shorter ones do not count."""
    steps = [float(pair[1] - pair[0]) for pair in pairs if len(pair) == 2]
    return sum(steps) / len(steps) if steps else 0.0
