"""GROMACS' pull code: pullx.xvg (coordinates) and pullf.xvg (forces)."""

import re
from pathlib import Path

import numpy as np

from smdgen.arrays import FloatArray
from smdgen.errors import TrajectoryError
from smdgen.files import read_text_lines, require_regular_file
from smdgen.io.tables.pull_table import PullTable, Units, read_rows, settle
from smdgen.io.tables.spring import accumulated_work, fit_spring
from smdgen.notes import Note
from smdgen.units import ANGSTROM_PER_NM, KJ_PER_KCAL

_XVG = 'an .xvg of GROMACS\' pull code (`@ s0 legend "1"`, then time and a number a coordinate)'
_SAME_ROW_TIME = 1e-4  # ps
_LEGEND = re.compile(r'@\s*s(\d+)\s+legend\s+"([^"]*)"')


def read_gromacs_pull(path: Path, forces: Path | None) -> PullTable:
    """Pull coordinates, their references, and the work of the moving references.

    The reference is in pullx.xvg with `pull-print-ref-value = yes`. Else it is worked out from the forces,
    which a spring that moves at constant speed ties to time and coordinate: `f = k (r0 + v t - x)`.

    Args:
        path: pullx.xvg; distances in nm. Angles (degrees) are read, but no work along them.
        forces: pullf.xvg of the same run, kJ/mol/nm; None without.

    Raises:
        TrajectoryError: A file is none, or a row does not fit.
    """
    times, columns, notes = _read_xvg(path)
    variables = {name: column for name, column in columns.items() if name.isdigit()}
    if not variables:
        odd = "".join(f"; {note.text}" for note in notes)
        raise TrajectoryError(f"{path} has no column of a pull coordinate{odd}; expected {_XVG}")
    centres = {name: columns[f"{name} ref"] for name in variables if f"{name} ref" in columns}
    works: dict[str, FloatArray] = {}
    if forces is not None:
        force_times, pulls, more = _read_xvg(forces)
        notes += more
        rows = np.searchsorted(force_times, times - _SAME_ROW_TIME).clip(max=len(force_times) - 1)
        is_there = np.isclose(force_times[rows], times, rtol=1e-6, atol=_SAME_ROW_TIME)
        if is_there.sum() >= min(len(times), len(force_times)) / 2:  # one may be written more often
            times, rows = times[is_there], rows[is_there]
            variables, centres = (
                {name: column[is_there] for name, column in part.items()} for part in (variables, centres)
            )
            works = _works(
                times, variables, centres, {name: pull[rows] for name, pull in pulls.items()}, notes
            )
        else:
            notes.append(Note(f"{forces.name} lacks times of {path.name}, so the work is not known"))
    else:
        notes.append(Note(f"no pullf.xvg beside {path.name}, so the work is not known"))
    return PullTable(
        path, times, "ps", variables, centres, works,
        (Units({"A": ANGSTROM_PER_NM, "deg": 1.0}, are_given=True),), notes=tuple(notes),
    )  # fmt: skip


def _works(
    times: FloatArray,
    variables: dict[str, FloatArray],
    centres: dict[str, FloatArray],
    forces: dict[str, FloatArray],
    notes: list[Note],
) -> dict[str, FloatArray]:
    """Work of all coordinates together; fills in centres that the file does not hold."""
    total = np.zeros_like(times)
    for name, x in variables.items():
        if name not in forces:
            notes.append(Note(f"no force of pull coordinate {name}, so the work is not known"))
            return {}
        if name not in centres:
            spring = fit_spring(times, x, forces[name])
            if spring is None:
                reason = "is not in the file and its force not that of a spring at constant speed"
                notes.append(
                    Note(
                        f"the reference of pull coordinate {name} {reason}, so the work is not known; "
                        "pull-print-ref-value = yes writes it"
                    )
                )
                return {}
            centres[name] = spring.centre
            found = f"{spring.constant:.4g} kJ/mol/nm^2, {spring.speed:.4g} nm/ps"
            notes.append(
                Note(f"reference of pull coordinate {name} worked out from its forces: spring {found}")
            )
        total = total + accumulated_work(forces[name], centres[name])
    return {"pull": total / KJ_PER_KCAL}


def _read_xvg(path: Path) -> tuple[FloatArray, dict[str, FloatArray], list[Note]]:
    """Times, columns by legend, and what was odd; a single column without legend is pull coordinate 1."""
    require_regular_file(path, _XVG, TrajectoryError)
    legends: dict[int, str] = {}
    lines = []
    for number, line in enumerate(read_text_lines(path), start=1):
        found = _LEGEND.match(line.strip())
        if found:
            legends[int(found[1])] = found[2]
        elif line.strip() and not line.lstrip().startswith(("#", "@", "&")):
            lines.append((number, line))
    if not legends and lines and len(lines[0][1].split()) == 2:
        legends = {0: "1"}  # GROMACS names columns only where there are several
    if not legends or sorted(legends) != list(range(len(legends))):
        raise TrajectoryError(f"{path} has no legends s0, s1, ...; expected {_XVG}")
    names = ["time", *(legends[i] for i in range(len(legends)))]
    return settle(read_rows(path, [(names, lines)], _XVG), "time")
