"""Restraint centre and accumulated work of the frames of a pull, from the Colvars table beside it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.data.colvars import ColvarsTable, read_colvars_traj

#: How far a CV in the table may lie from the one computed from the frame, by unit.
_TOLERANCE = {"A": 0.05, "deg": 0.5}

#: Columns of a Colvars table that are no variable: centre, work, velocity, forces, energy.
_NO_VARIABLE = ("x0_", "W_", "v_", "fs_", "ft_", "fa_", "E_")

#: A jump is further off the line between its neighbours than so many medians and this (A, kcal/mol).
_USUAL_TIMES, _SMALL_JUMP = 10.0, 0.5
_ROWS_FOR_JUMPS = 6


@dataclass(frozen=True)
class PullLabels:
    """What a table says about some frames; None where it says nothing that fits."""

    centre: NDArray[np.float64] | None = None  # (n_frames,), the CV's unit
    work: NDArray[np.float64] | None = None  # (n_frames,), kcal/mol
    notes: tuple[str, ...] = ()


def table_beside(trajectory: Path) -> Path:
    """`pull_1.dcd` -> `pull_1.colvars.traj`."""
    return trajectory.with_suffix(".colvars.traj")


def read_labels(
    path: Path,
    steps: NDArray[np.int64] | None,
    chosen: NDArray[np.int64],
    n_frames: int,
    cv_name: str,
    cv_unit: str,
    cv_values: NDArray[np.float64],
) -> PullLabels:
    """Labels of frames, whose rows are found by step and tried against the CV of the frames.

    Args:
        path: The table.
        steps: (n_frames,). MD step of every frame of the trajectory; None if the file does not say.
        chosen: (n,). The frames that are kept, 0-based.
        n_frames: Frames of the trajectory.
        cv_name: Name of the CV.
        cv_unit: "A" or "deg".
        cv_values: (n,). The CV computed from the frames that are kept.

    Returns:
        (n,) labels. Work and centre are left out, with a note, where rows cannot be told or the table holds
        another variable under the CV's name.

    Raises:
        TrajectoryError: The table cannot be read.
    """
    table = read_colvars_traj(path)
    candidates = [rows[chosen] for rows in _row_candidates(table, steps, n_frames)]
    if not candidates:
        found = f"{len(table.steps)} rows whose steps are not those of the {n_frames} frames"
        return PullLabels(notes=(*table.notes, f"{path.name} has {found}; work and centre are left out"))
    variables = [name for name in table.columns if not name.startswith(_NO_VARIABLE)]
    for rows in candidates:
        for name in sorted(variables, key=lambda variable: variable != cv_name):
            if _largest_difference(table.columns[name][rows], cv_values, cv_unit) <= _TOLERANCE[cv_unit]:
                return _labels(table, rows, name, list(table.notes))
    return _unverified(path, table, candidates[0], variables, cv_name, cv_unit, cv_values)


def _row_candidates(
    table: ColvarsTable, steps: NDArray[np.int64] | None, n_frames: int
) -> list[NDArray[np.int64]]:
    """(n_frames,) row of every frame, the likeliest reading first."""
    candidates = []
    if steps is not None:
        rows = np.searchsorted(table.steps, steps).clip(max=len(table.steps) - 1)
        if (table.steps[rows] == steps).all():
            candidates.append(rows.astype(np.int64))
    if len(table.steps) == n_frames:
        candidates.append(np.arange(n_frames, dtype=np.int64))
    elif len(table.steps) == n_frames + 1:  # a row for step 0, which has no frame
        candidates.append(np.arange(1, n_frames + 1, dtype=np.int64))
    return candidates


def _unverified(
    path: Path,
    table: ColvarsTable,
    rows: NDArray[np.int64],
    variables: list[str],
    cv_name: str,
    cv_unit: str,
    cv_values: NDArray[np.float64],
) -> PullLabels:
    """No variable of the table is the CV of the frames."""
    notes = list(table.notes)
    if cv_name in variables:
        off = _largest_difference(table.columns[cv_name][rows], cv_values, cv_unit)
        notes.append(
            f"{cv_name} in {path.name} is up to {off:.2f} {cv_unit} from that of the frames, so it seems to "
            "belong to another trajectory; work and centre are left out"
        )
        return PullLabels(notes=tuple(notes))
    if variables:
        notes.append(
            f"{path.name} holds {', '.join(variables)}, none of which is the CV {cv_name}; "
            "its restraint centre is left out"
        )
        return _labels(table, rows, "", notes)
    centres = [name.removeprefix("x0_") for name in table.columns if name.startswith("x0_")]
    return _labels(table, rows, centres[0] if len(centres) == 1 else "", notes)


def _labels(table: ColvarsTable, rows: NDArray[np.int64], variable: str, notes: list[str]) -> PullLabels:
    centre = table.columns.get(f"x0_{variable}")
    works = [name for name in table.columns if name.startswith("W_")]
    if len(works) > 1:
        notes.append(f"work is left out: several columns hold some ({', '.join(works)})")
    found = {
        f"x0_{variable}": None if centre is None else centre[rows],
        "W_": table.columns[works[0]][rows] if len(works) == 1 else None,
    }
    for name, values in found.items():
        if values is not None:
            notes += _jump_notes(table, name, values, rows)
        elif any(other is not None for other in found.values()) and len(works) < 2:
            notes.append(f"no column {name}{'...' if name == 'W_' else ''} in the table of a steered pull")
    centre, work = found.values()
    return PullLabels(centre, work, tuple(notes))


def _jump_notes(
    table: ColvarsTable, name: str, values: NDArray[np.float64], rows: NDArray[np.int64]
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
    step = int(table.steps[rows[int(np.argmax(jumps))]])
    return [f"{name} jumps near step {step}; the table may be damaged there"]


def _largest_difference(a: NDArray[np.float64], b: NDArray[np.float64], unit: str) -> float:
    off = np.abs(a - b)
    if unit == "deg":
        off = np.minimum(off, np.abs(360.0 - off))
    return float(off.max())
