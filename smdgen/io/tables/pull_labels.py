"""Restraint centre and accumulated work of the frames of a pull, from the table a program left beside it."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import TrajectoryError
from smdgen.io.tables.colvars import read_colvars_traj
from smdgen.io.tables.gromacs_pull import read_gromacs_pull
from smdgen.io.tables.namd_log import is_namd_smd_log, read_namd_log
from smdgen.io.tables.plumed import read_plumed, unit_factors
from smdgen.io.tables.pull_proof import has_other_sign, moves_along, thermal_ratio
from smdgen.io.tables.pull_table import PullTable, Units
from smdgen.notes import Note
from smdgen.units import ANGSTROM_PER_NM, KJ_PER_KCAL

#: How far a CV in the table may lie from the one computed from the frame, by unit.
_TOLERANCE = {"A": 0.05, "deg": 0.5}

#: Columns of a Colvars table that are no variable: centre, work, velocity, forces, energy.
_NO_VARIABLE = ("x0_", "W_", "v_", "fs_", "ft_", "fa_", "E_")

#: A jump is further off the line between its neighbours than so many medians and this (A, kcal/mol).
_USUAL_TIMES, _SMALL_JUMP = 10.0, 0.5
_ROWS_FOR_JUMPS = 6

#: Frames whose CV has to agree where only the number of rows tells which are theirs.
_FRAMES_FOR_ROWS = 6

#: Fluctuations, as a share of a free spring's, that are usual, and those beyond which the unit is in doubt.
_THERMAL, _POSSIBLE = (0.4, 1.6), (0.36, 2.4)

#: Frame and row have the same time if they differ by less than this share of the time between two rows, or
#: of the time itself (the time step in a DCD has seven digits).
_SAME_TIME, _SAME_TIME_RELATIVE = 0.01, 2e-6


@dataclass(frozen=True)
class PullLabels:
    """What a table says about some frames; None where it says nothing that fits."""

    centre: NDArray[np.float64] | None = None  # (n_frames,), the CV's unit
    work: NDArray[np.float64] | None = None  # (n_frames,), kcal/mol
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelledFrames:
    """The frames of a trajectory that are to be labelled.

    Attributes:
        n_frames: Frames of the trajectory.
        chosen: (n,). The frames that are kept, 0-based.
        steps: (n_frames,). MD step of every frame; None if the file does not say.
        times_ps: (n,), ps. Time of the frames that are kept; None if the file does not say.
        cv_name: Name of the CV.
        cv_unit: "A" or "deg".
        cv_values: (n,). The CV computed from the frames that are kept.
    """

    n_frames: int
    chosen: NDArray[np.int64]
    steps: NDArray[np.int64] | None
    times_ps: NDArray[np.float64] | None
    cv_name: str
    cv_unit: str
    cv_values: NDArray[np.float64]


def tables_beside(trajectory: Path) -> tuple[Path, ...]:
    """The label files of a trajectory, by its stem: the one that is read, then what belongs to it.

    For `pull.dcd`, in this order: Colvars `pull.colvars.traj`; PLUMED `pull.colvar` or `COLVAR.pull`; GROMACS
    `pull_pullx.xvg` or `pullx_pull.xvg`, with pullf; NAMD `pull.log` or `pull.out`, if it has lines of
    steered MD. `.`, `_` and `-` join the parts. Beside the only trajectory of its kind also PLUMED's and
    GROMACS' own names, `COLVAR` and `pullx.xvg`.
    """
    stem, folder = trajectory.stem, trajectory.parent
    is_alone = sum(path.suffix == trajectory.suffix for path in folder.iterdir()) == 1
    plumed = [f"{stem}.colvar", *_joined("COLVAR", stem), *(["COLVAR", "colvar"] if is_alone else [])]
    gromacs = [*zip(*(_joined(name, stem, ".xvg") for name in ("pullx", "pullf")), strict=True)]
    gromacs += [("pullx.xvg", "pullf.xvg")] if is_alone else []
    for name in (f"{stem}.colvars.traj", *plumed):
        if (folder / name).is_file():
            return (folder / name,)
    for positions, forces in gromacs:
        found = [folder / name for name in (positions, forces) if (folder / name).is_file()]
        if found:
            return tuple(found)
    logs = (folder / f"{stem}{suffix}" for suffix in (".log", ".out"))
    return tuple(path for path in logs if path.is_file() and is_namd_smd_log(path))[:1]


def _joined(name: str, stem: str, suffix: str = "") -> list[str]:
    """The names of a table of a trajectory, the usual one first."""
    pairs = ((stem, name), (name, stem))
    return [f"{first}{mark}{second}{suffix}" for mark in "_.-" for first, second in pairs]


def read_labels(tables: tuple[Path, ...], frames: LabelledFrames, units: str | None = None) -> PullLabels:
    """Labels of frames, whose rows are found by step or time and tried against the CV of the frames.

    Args:
        tables: What `tables_beside` found.
        frames: The frames that are kept.
        units: Units of a Colvars or PLUMED table, see `read_plumed`; None: those that fit.

    Returns:
        (n,) labels. Work and centre are left out, with a note, where rows cannot be told or no variable of
        the table has the values of the CV: nothing else shows that it belongs to the frames, and its units.

    Raises:
        ConfigError: Units that are not known.
        TrajectoryError: The table cannot be read.
    """
    table = _read_table(tables, units or "", frames.cv_unit)
    candidates = _row_candidates(table, frames)
    if not candidates:
        what = "steps" if table.clock == "step" else "times"
        found = f"{len(table.keys)} rows whose {what} are not those of the {frames.n_frames} frames"
        note = Note(f"{found}; work and centre are left out", table.path.name)
        return PullLabels(notes=(*table.notes, note))
    for rows in candidates:
        for read_as in table.units:
            factor = read_as.scale[frames.cv_unit]
            for name in sorted(table.variables, key=lambda variable: variable != frames.cv_name):
                off = _largest_difference(factor * table.variables[name][rows], frames)
                if off <= _TOLERANCE[frames.cv_unit]:
                    return _labels(table, read_as, rows, name, frames.cv_unit)
    for rows in candidates:
        for name, values in table.variables.items():
            if moves_along(values[rows], frames.cv_values):
                return _of_another_variable(table, rows, name, frames)
    return _unverified(table, candidates[0], frames)


def _read_table(tables: tuple[Path, ...], units: str, cv_unit: str) -> PullTable:
    path = tables[0]
    if path.name.endswith(".colvars.traj"):
        return _read_colvars(path, units)
    if path.suffix == ".xvg":
        if "pullx" not in path.name:
            raise TrajectoryError(
                f"{path} holds forces, and no pullx.xvg is beside it; write that too (pull-nstxout)"
            )
        return read_gromacs_pull(path, tables[1] if len(tables) > 1 and cv_unit == "A" else None)
    return read_namd_log(path) if path.suffix in (".log", ".out") else read_plumed(path, units)


def _read_colvars(path: Path, units: str) -> PullTable:
    found = read_colvars_traj(path)
    parts: dict[str, dict[str, NDArray[np.float64]]] = {"": {}, "x0_": {}, "W_": {}}
    for name, column in found.columns.items():
        prefix = next((prefix for prefix in _NO_VARIABLE if name.startswith(prefix)), "")
        if prefix in parts:
            parts[prefix][name if prefix == "W_" else name.removeprefix(prefix)] = column
    keys = found.steps.astype(np.float64)
    if units:
        length, energy, _ = unit_factors(path, units.split())
        possible = [Units({"A": length, "deg": 1.0}, energy, are_given=True)]
    else:  # Colvars takes over the units of its program: NAMD and LAMMPS, or GROMACS
        in_nm = {"A": ANGSTROM_PER_NM, "deg": 1.0}
        possible = [Units(are_paired=True), Units(in_nm, 1 / KJ_PER_KCAL, are_paired=True)]
    return PullTable(path, keys, "step", parts[""], parts["x0_"], parts["W_"], tuple(possible), found.notes)


def _row_candidates(table: PullTable, frames: LabelledFrames) -> list[NDArray[np.int64]]:
    """(n,) row of every kept frame, the likeliest reading first."""
    candidates = []
    if table.clock == "step" and frames.steps is not None:
        wanted, tolerance = frames.steps[frames.chosen].astype(np.float64), np.zeros(1)
    elif table.clock == "ps" and frames.times_ps is not None:
        wanted = frames.times_ps
        between = float(np.median(np.diff(table.keys))) if len(table.keys) > 1 else 0.0
        tolerance = np.maximum(_SAME_TIME * between, _SAME_TIME_RELATIVE * np.abs(wanted))
    else:
        wanted, tolerance = np.full(len(frames.chosen), np.nan), np.zeros(1)
    middles = (table.keys[1:] + table.keys[:-1]) / 2
    rows = np.searchsorted(middles, wanted)
    if (np.abs(table.keys[rows] - wanted) <= tolerance).all():  # NaN compares as false
        candidates.append(rows.astype(np.int64))
    # Else one to one, or with a row for step 0, which has no frame.
    surplus = len(table.keys) - frames.n_frames
    if surplus in (0, 1):
        return [*candidates, frames.chosen + surplus]
    return candidates if candidates or _has_clock(table, frames) else _every_few_rows(table, frames)


def _has_clock(table: PullTable, frames: LabelledFrames) -> bool:
    """Whether frames have the times or steps that the table has; their mere numbers are none."""
    if table.clock == "ps":
        return frames.times_ps is not None
    return frames.steps is not None and not (np.diff(frames.steps) == 1).all()


def _every_few_rows(table: PullTable, frames: LabelledFrames) -> list[NDArray[np.int64]]:
    """(n,) rows of a table that was written so many times as often as the frames, with step 0 or without."""
    n_rows, n_frames = len(table.keys), frames.n_frames
    if len(frames.chosen) < _FRAMES_FOR_ROWS:
        return []
    readings = (
        (n_rows - 1, n_frames - 1, 0, 0),  # the first row and frame are the same
        (n_rows - 1, n_frames, 1, 0),  # the first row is step 0, which has no frame
        (n_rows, n_frames, 1, 1),
    )
    return [
        (frames.chosen + lead) * (rows // count) - back
        for rows, count, lead, back in readings
        if rows % count == 0
    ]


def _of_another_variable(
    table: PullTable, rows: NDArray[np.int64], name: str, frames: LabelledFrames
) -> PullLabels:
    """Labels from a table of these frames without the CV: the work, if its unit is given or proved."""
    pulled = name if name in table.centres else next(iter(table.centres), name)
    known = [replace(units, are_paired=False) for units in table.units if units.energy is not None]
    found = [_labels(table, units, rows, "", frames.cv_unit, pulled) for units in known]
    labels = next((one for one in found if one.work is not None), found[0])
    note = (
        f"{name} is not the CV {frames.cv_name} but fluctuates with it, so the table is "
        f"of these frames. The spring acted on {pulled}: the centre of the CV is not known, and a spring's "
        f"width sqrt(kT/k) is not that of the CV; give that variable with --cv to have both"
    )
    return replace(labels, notes=(*labels.notes, Note(note, table.path.name)))


def _unverified(table: PullTable, rows: NDArray[np.int64], frames: LabelledFrames) -> PullLabels:
    """No variable of the table is the CV of the frames: nothing shows that it belongs to them."""
    name, unit = frames.cv_name, frames.cv_unit
    if name in table.variables:
        off = _largest_difference(table.units[0].scale[unit] * table.variables[name][rows], frames)
        found = (
            f"{name} in {table.path.name} is up to {off:.2f} {unit} from that of the frames, so it "
            "seems to belong to another trajectory"
        )
        file = ""
    else:
        known = ", ".join(table.variables)
        what = f"its variables ({known}) are not the CV {name}" if known else "it has no variable"
        found = f"{what}: the spring acted on something else, or the table is of another trajectory"
        file = table.path.name
    advice = "give the variable that was pulled with --cv to have them"
    note = Note(f"{found}; work and centre are left out: {advice}", file)
    return PullLabels(notes=(*table.notes, note))


def _labels(
    table: PullTable, read_as: Units, rows: NDArray[np.int64], variable: str, cv_unit: str, pulled: str = ""
) -> PullLabels:
    """Centre and work of rows of a table whose variable proved to be the CV; "" where it has none.

    The unit of the work is proved by that variable, else by the one that was pulled.
    """
    notes, works, factor = list(table.notes), list(table.works), read_as.scale[cv_unit]
    centre = factor * table.centres[variable][rows] if variable in table.centres else None
    work = None
    if len(works) > 1:
        notes.append(f"work is left out: several columns hold some ({', '.join(works)})")
    elif works and read_as.energy is not None:
        work = read_as.energy * table.works[works[0]][rows]
        doubt = _doubt(table, read_as, variable or pulled, cv_unit)
        if doubt:
            work, notes = None, [*notes, doubt]
    elif works:
        notes.append(
            f"{table.path.name} is in A, so the unit of its work is not known and work is left out; "
            'set label_units, for example to "A kcal/mol ps"'
        )
    others = [name for name in table.centres if name != variable]
    if centre is not None:
        steady = np.unwrap(centre, period=360.0) if cv_unit == "deg" else centre
        notes += _jump_notes(table, "centre", steady, rows)
    elif variable and others:
        note = (
            f"the spring acted on {', '.join(others)}, not on the CV {variable}, whose centre is not known; "
            "generated pulls that follow this CV are not what the spring did"
        )
        notes.append(Note(note, table.path.name))
    elif variable and work is not None:
        notes.append(Note("no centre in the table of a steered pull", table.path.name))
    if work is not None:
        notes += _jump_notes(table, "work", work, rows)
    elif centre is not None and not works:
        notes.append(Note("no work in the table of a steered pull", table.path.name))
    return PullLabels(centre, work, tuple(notes))


def _doubt(table: PullTable, read_as: Units, variable: str, cv_unit: str) -> str:
    """A note where the sign of the work is wrong or its unit not proved.

    A spring of constant k lets its variable fluctuate with k var = kT, less if the variable is stiff itself:
    a unit is wrong where work, centre and variable fit each other at room temperature in the other only.
    """
    (work,) = table.works.values()
    is_distance = variable in table.centres and cv_unit == "A"
    if is_distance and has_other_sign(table.variables[variable], table.centres[variable], work):
        note = (
            f"work falls where the spring pulls {variable} along, so its sign is in doubt and work is left "
            "out; expected the work that the spring does"
        )
        return Note(note, table.path.name)
    if read_as.are_given or read_as.energy is None:
        return ""
    found = math.nan
    if variable in table.centres:
        factor = read_as.scale[cv_unit]
        x, centre = factor * table.variables[variable], factor * table.centres[variable]
        if cv_unit == "deg":
            centre = np.unwrap(centre, period=360.0)
            x = x + 360.0 * np.rint((centre - x) / 360.0)
        found = thermal_ratio(x, centre, read_as.energy * work)
    names = {1.0: "kcal/mol", 1 / KJ_PER_KCAL: "kJ/mol"}
    usual, other = names.pop(read_as.energy), next(iter(names))
    instead = found * other / read_as.energy
    if _POSSIBLE[0] < found < _POSSIBLE[1]:
        return ""
    length = "nm" if read_as.scale["A"] == ANGSTROM_PER_NM else "A"
    if math.isnan(found):
        reason, likely = f"nothing shows that its work is in {usual} (too few rows, or no centre)", usual
    else:
        reason = (
            f"with its work in {usual} the spring's variable fluctuates {found:.2g} times as much as at "
            f"300 K, in {names[other]} {instead:.2g} times"
        )
        likely = names[other]
    is_proved = read_as.are_paired and cv_unit == "A"
    if is_proved and not _THERMAL[0] < instead < _THERMAL[1]:  # NaN: the length is proof enough
        return ""
    note = f'set label_units, for example to "{length} {likely} ps"'
    return Note(f"{reason}, so the unit is in doubt and work is left out; {note}", table.path.name)


def _jump_notes(
    table: PullTable, name: str, values: NDArray[np.float64], rows: NDArray[np.int64]
) -> list[str]:
    """A value far off the line between its neighbours: a steered pull has none, a damaged digit makes one."""
    if len(values) < _ROWS_FOR_JUMPS:
        return []
    off = np.abs(values[1:-1] - (values[:-2] + values[2:]) / 2)
    usual = max(_USUAL_TIMES * float(np.median(off)), float(np.median(np.abs(np.diff(values)))))
    ends = np.abs(values[[0, -1]] - 2 * values[[1, -2]] + values[[2, -3]]) / 2
    jumps = np.concatenate([ends[:1], off, ends[1:]]) > usual + _SMALL_JUMP
    if not jumps.any():
        return []
    place = table.place(int(rows[int(np.argmax(jumps))]))
    return [f"{name} jumps near {place} of {table.path.name}; the table may be damaged there"]


def _largest_difference(values: NDArray[np.float64], frames: LabelledFrames) -> float:
    off = np.abs(values - frames.cv_values)
    if frames.cv_unit == "deg":
        off = np.abs(off - 360.0 * np.rint(off / 360.0))
    return float(off.max())
