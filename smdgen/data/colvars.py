"""Tables of collective variables as the Colvars module writes them, one row a frame."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smdgen.errors import ConfigError, TrajectoryError
from smdgen.files import atomic_path, require_regular_file

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,17}")
_VECTOR = re.compile(r"\([^()]*\)")
_ROWS_A_HEADER = 1000
_EXPECTED = "expected a Colvars trajectory (`# step name ...`, then one row of numbers a frame)"


@dataclass(frozen=True)
class ColvarsTable:
    """Values of collective variables, restraint centres and work at some steps of a pull.

    The units are those of the file, for NAMD A, degrees and kcal/mol.
    """

    steps: NDArray[np.int64]  # (n,), strictly increasing
    columns: dict[str, NDArray[np.float64]]  # (n,) each; centres `x0_<cv>`, work `W_<bias>`
    notes: tuple[str, ...] = ()  # what was odd while reading


def read_colvars_traj(path: Path) -> ColvarsTable:
    """The scalar columns of a `.colvars.traj`.

    Where a restart repeats steps, the later rows count. A cut last row is left out with a note, and so
    are vector columns.

    Raises:
        TrajectoryError: The file is missing, has no header or no rows, or a row does not fit the header.
    """
    require_regular_file(path, "a .colvars.traj table", TrajectoryError)
    names: list[str] = []
    steps: list[int] = []
    rows: list[list[float]] = []
    notes: list[str] = []
    lines = Path(path).read_text(encoding="latin-1").splitlines()
    for number, line in enumerate(lines, start=1):
        tokens = _VECTOR.sub("vector", line).split()
        if not tokens:
            continue
        if tokens[0].startswith("#"):
            names = _merge_header(path, number, names, _header_names(tokens))
            continue
        row = _parse_row(tokens, len(names))
        if row is None and number == len(lines) and rows:
            notes.append(f"the last row of {Path(path).name} is cut and left out")
            break
        if row is None:
            raise TrajectoryError(f"{path}, line {number}: {line.strip()[:60]!r} does not fit; {_EXPECTED}")
        while steps and steps[-1] >= row[0]:
            steps.pop()
            rows.pop()
            notes = _note_once(notes, f"steps repeat in {Path(path).name} (a restart); the later rows count")
        steps.append(row[0])
        rows.append(row[1])
    if not rows:
        raise TrajectoryError(f"{path} has no rows; {_EXPECTED}")
    return _table(path, names, steps, rows, notes)


def write_colvars_traj(path: Path, table: ColvarsTable) -> None:
    """Write a table in the layout of the Colvars module, which VMD's Colvars Dashboard reads.

    Raises:
        ConfigError: A name the Dashboard would not take.
        TrajectoryError: Columns of another length than the steps, or values that are not finite.
        ArtifactError: The file cannot be written.
    """
    values = _checked_columns(path, table.steps, table.columns)
    header = "# " + "step".ljust(10) + " " + "".join(f"  {name.ljust(21)}" for name in table.columns)
    lines: list[str] = []
    for index, (step, row) in enumerate(zip(table.steps, values, strict=True)):
        if index % _ROWS_A_HEADER == 0:
            lines.append(header.rstrip())
        lines.append(f"{step:12d} " + "".join(f"  {value:21.14e}" for value in row))
    with atomic_path(Path(path)) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii")


def write_colvars_input(path: Path, *definitions: str, trajectory_frequency: int = 1) -> None:
    """Write a Colvars input, from which NAMD or the Dashboard computes the same variables live.

    Args:
        path: Usually `<trajectory>.colvars.in`.
        *definitions: `colvar { ... }` blocks, one brace a line, atom numbers from 1.
        trajectory_frequency: Steps between two rows of the table.

    Raises:
        ConfigError: Braces that do not pair, or two on a line (the Dashboard cannot read that).
    """
    for definition in definitions:
        _check_braces(path, definition)
    text = "\n".join([f"colvarsTrajFrequency {trajectory_frequency}", *(d.strip("\n") for d in definitions)])
    with atomic_path(Path(path)) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _header_names(tokens: list[str]) -> list[str]:
    """Column names of a header line; none for another comment."""
    words = tokens[1:] if tokens[0] == "#" else [tokens[0][1:], *tokens[1:]]
    return words[1:] if words and words[0] == "step" else []


def _merge_header(path: Path, number: int, known: list[str], found: list[str]) -> list[str]:
    if found and known and found != known:
        raise TrajectoryError(
            f"{path}, line {number}: the columns change from {' '.join(known)} to {' '.join(found)}; "
            "split the file there"
        )
    if len(set(found)) != len(found):
        raise TrajectoryError(f"{path}, line {number}: a column name is there twice; rename one")
    return found or known


def _parse_row(tokens: list[str], n_columns: int) -> tuple[int, list[float]] | None:
    """Step and values of a row, NaN for a vector; None if it is no row of that many columns."""
    if n_columns == 0 or len(tokens) != n_columns + 1:
        return None
    try:
        step = int(tokens[0])
        values = [np.nan if token == "vector" else float(token) for token in tokens[1:]]
    except ValueError:
        return None
    return (step, values) if abs(step) < 2**62 else None


def _note_once(notes: list[str], note: str) -> list[str]:
    return notes if note in notes else [*notes, note]


def _table(
    path: Path, names: list[str], steps: list[int], rows: list[list[float]], notes: list[str]
) -> ColvarsTable:
    values = np.array(rows, dtype=np.float64)
    scalar = np.atleast_1d(np.isfinite(values).all(axis=0))
    if not scalar.any():
        raise TrajectoryError(f"{path} has no column of finite numbers; {_EXPECTED}")
    if not scalar.all():
        left_out = ", ".join(name for name, kept in zip(names, scalar, strict=True) if not kept)
        notes = [*notes, f"columns of {Path(path).name} left out (vectors or not finite): {left_out}"]
    columns = {name: values[:, i] for i, name in enumerate(names) if scalar[i]}
    return ColvarsTable(np.array(steps, dtype=np.int64), columns, tuple(notes))


def _checked_columns(path: Path, steps: ArrayLike, columns: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """(n, n_columns)."""
    for name in columns:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"column name {name!r}: the Dashboard takes a letter and at most 17 letters, digits, _"
            )
    n_rows = len(np.asarray(steps))
    for name, column in columns.items():
        values = np.asarray(column)
        if values.shape != (n_rows,) or not np.isfinite(values).all():
            raise TrajectoryError(
                f"cannot write {path}: column {name} is not {n_rows} finite numbers, one a step"
            )
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns.values()], axis=1)


def _check_braces(path: Path, definition: str) -> None:
    depth = 0
    for line in definition.splitlines():
        depth += line.count("{") - line.count("}")
        if line.count("{") + line.count("}") > 1 or depth < 0:
            raise ConfigError(f"cannot write {path}: {line.strip()!r}; write one brace a line, in pairs")
    if depth:
        raise ConfigError(f"cannot write {path}: {depth} braces stay open; close them")
