"""PLUMED's COLVAR tables of a moving restraint."""

import math
from pathlib import Path

from smdgen.arrays import FloatArray
from smdgen.errors import ConfigError, TrajectoryError
from smdgen.files import read_text_lines, require_regular_file
from smdgen.io.tables.pull_table import Line, PullTable, Units, read_rows, settle
from smdgen.units import ANGSTROM_PER_NM, KJ_PER_KCAL

_PLUMED = "a PLUMED table (`#! FIELDS time name ...`, then rows of numbers)"
_TO_ANGSTROM = {"nm": ANGSTROM_PER_NM, "A": 1.0}
_TO_PS = {"ps": 1.0, "fs": 1e-3, "ns": 1e3}
_TO_KCAL = {"kJ/mol": 1 / KJ_PER_KCAL, "kcal/mol": 1.0}

#: Lines `#! SET <key> <unit>` that tell the units of a table, and PLUMED's own units.
UNIT_KEYS = {"length_unit": "nm", "energy_unit": "kJ/mol", "time_unit": "ps"}

#: Ends of column names that are no variable: bias, force, kappa.
_NO_VALUE = ("bias", "force2", "_kappa", "_cntr", "work", "_steps")

#: Ends of column names that add up over the run.
_SUMS = (".work", "_work")


def read_plumed(path: Path, units: str = "") -> PullTable:
    """Variables, centres and work of a COLVAR file; restarts may repeat its header and times.

    A moving restraint `r` on `d` writes `r.d_cntr` (centre), `r.d_work` and `r.work` (accumulated work, of
    one variable and of all).

    Args:
        path: The file.
        units: Length, energy and time unit in any order, such as "A kcal/mol ps"; empty: as the file's
            `#! SET` lines say, else nm, kJ/mol and ps.

    Raises:
        ConfigError: A unit that is not known.
        TrajectoryError: The file is none, or a row does not fit.
    """
    require_regular_file(path, _PLUMED, TrajectoryError)
    told: dict[str, str] = {}
    parts: list[tuple[list[str], list[Line]]] = []
    for number, line in enumerate(read_text_lines(path), start=1):
        words = line.split()
        if words[:2] == ["#!", "FIELDS"]:
            parts.append((words[2:], []))
        elif words[:2] == ["#!", "SET"] and len(words) == 4 and words[2] in UNIT_KEYS:
            told[words[2]] = words[3]
        elif words and not words[0].startswith("#") and parts:
            parts[-1][1].append((number, line))
    if not parts or any("time" not in names for names, _ in parts):
        raise TrajectoryError(f"{path} has no `#! FIELDS time ...`; expected {_PLUMED}")
    length, energy, time = unit_factors(path, units.split() if units else [*(UNIT_KEYS | told).values()])
    times, columns, notes = settle(read_rows(path, parts, _PLUMED), "time", lambda name: name.endswith(_SUMS))
    likely = Units(
        {"A": length, "deg": 180 / math.pi}, energy, are_given=bool(units) or "energy_unit" in told
    )
    bare = Units(energy=None)  # as of PLUMED with `UNITS LENGTH=A`, which says nothing of the energy
    return PullTable(
        path=path,
        keys=times * time,
        clock="ps",
        variables={name: column for name, column in columns.items() if not name.endswith(_NO_VALUE)},
        centres={
            name.removesuffix("_cntr").split(".", 1)[-1]: column
            for name, column in columns.items()
            if name.endswith("_cntr")
        },
        works=_works(columns),
        units=(likely,) if likely.are_given else (likely, bare),
        notes=tuple(notes),
    )


def _works(columns: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """The total work of each restraint, else its work on each variable."""
    totals = {name: column for name, column in columns.items() if name.endswith(".work")}
    return totals or {name: column for name, column in columns.items() if name.endswith("_work")}


def unit_factors(path: Path, words: list[str]) -> tuple[float, float, float]:
    """Factors of length, energy and time to A, kcal/mol and ps.

    Args:
        path: The table, for the message.
        words: The three units in any order, such as `A kcal/mol ps`.

    Raises:
        ConfigError: A unit that is not known.
    """
    tables = (_TO_ANGSTROM, _TO_KCAL, _TO_PS)
    found = [[table[word] for word in words if word in table] for table in tables]
    if len(words) != 3 or any(len(factors) != 1 for factors in found):
        known = "; ".join(" or ".join(table) for table in tables)
        raise ConfigError(f"units {' '.join(words)!r} of {path}: expected one each of {known}")
    return found[0][0], found[1][0], found[2][0]
