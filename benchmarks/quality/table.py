"""The cells of the quality benchmark as one compressed table, a line a measure."""

import csv
import gzip
import io
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from smdgen.files import atomic_path

#: What a cell is, in the order of the columns; then its measures.
CELL_COLUMNS = ("data", "split", "train_pulls", "method", "seed", "quick", "code", "n_atoms", "n_frames")
COUNTS = ("train", "validation", "test")
SECONDS = ("vae", "lstm", "method", "score")
ROW_COLUMNS = (
    "key", "label", "goal", "generated", "generated_spread", "real", "real_spread", "met",
)  # fmt: skip
COLUMNS = (
    *CELL_COLUMNS, *(f"n_{name}" for name in COUNTS), *(f"{name}_seconds" for name in SECONDS), "notes",
    *ROW_COLUMNS,
)  # fmt: skip

Cells = list[dict[str, Any]]


def write_table(cells: Cells, path: Path) -> None:
    """Write the cells without their profiles; the same cells give the same bytes.

    Args:
        cells: As the benchmark makes them.
        path: A gzipped CSV file.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cell in cells:
        about = [cell[name] for name in CELL_COLUMNS]
        about += [cell["pulls"][name] for name in COUNTS]
        about += [cell["seconds"].get(name) for name in SECONDS]
        about.append("; ".join(cell["notes"]))
        writer.writerows([*about, *(row[name] for name in ROW_COLUMNS)] for row in cell["rows"])
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def read_table(path: Path) -> Cells:
    """The cells that `write_table` wrote."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        lines = csv.DictReader(stream)
        return [_cell(list(group)) for _, group in itertools.groupby(lines, key=_about)]


def _about(line: dict[str, str]) -> tuple[str, ...]:
    return tuple(line[name] for name in COLUMNS if name not in ROW_COLUMNS)


def _cell(lines: list[dict[str, str]]) -> dict[str, Any]:
    first = lines[0]
    return {
        **{name: first[name] for name in ("data", "split", "train_pulls", "method", "code")},
        **{name: int(first[name]) for name in ("seed", "n_atoms", "n_frames")},
        "quick": first["quick"] == "True",
        "pulls": {name: int(first[f"n_{name}"]) for name in COUNTS},
        "seconds": dict(_numbers(first, SECONDS, "_seconds")),
        "notes": first["notes"].split("; ") if first["notes"] else [],
        "rows": [_row(line) for line in lines],
    }


def _row(line: dict[str, str]) -> dict[str, Any]:
    numbers = ("generated", "generated_spread", "real", "real_spread")
    return {
        **{name: line[name] for name in ("key", "label", "goal")},
        **dict.fromkeys(numbers), **dict(_numbers(line, numbers, "")),
        "met": {"": None, "True": True, "False": False}[line["met"]],
    }  # fmt: skip


def _numbers(line: dict[str, str], names: Iterable[str], end: str) -> Iterable[tuple[str, float]]:
    return ((name, float(line[name + end])) for name in names if line[name + end] != "")
