"""Tables of collective variables as the Colvars module writes them, one row a frame."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smdgen.errors import ConfigError, TrajectoryError
from smdgen.files import atomic_path, read_text_lines, require_regular_file
from smdgen.io.tables.pull_table import Line, read_rows, settle

_COLVARS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,17}")
_VECTOR = re.compile(r"\([^()]*\)")
_ROWS_A_HEADER = 1000
_COLVARS = "a Colvars trajectory (`# step name ...`, then one row of numbers per frame)"


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

    Where a restart repeats steps, the later rows count; work that begins again there is joined. A cut last
    row, vector columns, and columns that not all parts have are left out with a note.

    Raises:
        TrajectoryError: The file is missing, has no header or no rows, or a row does not fit the header.
    """
    require_regular_file(path, "a .colvars.traj table", TrajectoryError)
    parts: list[tuple[list[str], list[Line]]] = []
    for number, line in enumerate(read_text_lines(Path(path)), start=1):
        text = _VECTOR.sub("nan", line)
        tokens = text.split()
        if not tokens:
            continue
        if tokens[0].startswith("#"):
            names = _header_names(tokens)
            if names:
                parts.append((["step", *names], []))
        elif parts:
            parts[-1][1].append((number, text))
        else:
            found = line.strip()[:60]
            raise TrajectoryError(f"{path}, line {number}: {found!r} has no header; expected {_COLVARS}")
    rows = read_rows(path, parts, _COLVARS)
    steps = rows.values[:, rows.names.index("step")]
    if not ((np.abs(steps) < 2**53) & (steps == np.rint(steps)))[np.isfinite(steps)].all():
        raise TrajectoryError(f"{path} has steps that are not whole numbers; expected {_COLVARS}")
    keys, columns, notes = settle(rows, "step", lambda name: name.startswith("W_"))
    if not columns:
        raise TrajectoryError(f"{path} has no column of finite numbers; expected {_COLVARS}")
    return ColvarsTable(keys.astype(np.int64), columns, tuple(notes))


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


def _checked_columns(path: Path, steps: ArrayLike, columns: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """(n, n_columns)."""
    for name in columns:
        if not _COLVARS_NAME.fullmatch(name):
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
