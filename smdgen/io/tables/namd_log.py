"""NAMD's own steered MD, as it stands in a log: `SMD  ts x y z fx fy fz`."""

import re
from pathlib import Path

import numpy as np

from smdgen.arrays import FloatArray
from smdgen.errors import TrajectoryError
from smdgen.files import require_regular_file
from smdgen.io.tables.pull_table import PullTable, read_rows, settle
from smdgen.io.tables.spring import accumulated_work, fit_spring
from smdgen.notes import Note

#: pN in one kcal/mol/A, the factor NAMD multiplies with (exactly it is 69.477).
PN_PER_KCAL_MOL_A = 69.479

_SMD_LOG = "lines `SMD  step x y z fx fy fz` of a NAMD log"
_FORCES = ("fx", "fy", "fz")
_SMD_COLUMNS = ("ts", "x", "y", "z", *_FORCES)
_LOG_NUMBER = r"([-+.\deE]+)"
_VELOCITY = re.compile(rf"Info:\s+SMD VELOCITY\s+{_LOG_NUMBER}")
_DIRECTION = re.compile(rf"Info:\s+SMD DIRECTION\s+{_LOG_NUMBER}\s+{_LOG_NUMBER}\s+{_LOG_NUMBER}")


def is_namd_smd_log(path: Path) -> bool:
    """Whether a text file has a line of steered MD."""
    with path.open("rb") as stream:
        return any(line.startswith(b"SMD ") for line in stream)


def read_namd_log(path: Path) -> PullTable:
    """Accumulated work of a constant-velocity pull: force along its direction times the way of the spring.

    The speed and the direction stand in the log's head (`Info: SMD VELOCITY`, `Info: SMD DIRECTION`); where
    the head is missing they are worked out from the forces, which are those of a spring at constant speed.
    Forces are in pN, positions in A, the speed in A a step. The log's position is that of the pulled atoms,
    not of a variable between two groups, so there is no centre of the CV in it.

    Raises:
        TrajectoryError: No such lines, or one that does not fit.

    Source: NAMD User's Guide, Steered Molecular Dynamics (SMD).
    """
    require_regular_file(path, _SMD_LOG, TrajectoryError)
    lines, head = [], ""
    with path.open(encoding="latin-1") as stream:
        for number, line in enumerate(stream, start=1):
            if line.startswith("SMD "):
                lines.append((number, line[4:]))
            elif line.startswith("Info: SMD "):
                head += line
    steps, columns, notes = settle(read_rows(path, [(_SMD_COLUMNS, lines)], _SMD_LOG), "ts")
    if len(columns) < len(_SMD_COLUMNS) - 1:
        raise TrajectoryError(f"{notes[-1]}; expected {_SMD_LOG}")
    positions, forces = (np.stack([columns[name] for name in part], axis=1) for part in ("xyz", _FORCES))
    forces = forces / PN_PER_KCAL_MOL_A
    centre_way, more = _spring_way(path, head, steps, positions, forces)
    if centre_way is None:
        return PullTable(path, steps, "step", {}, {}, {}, notes=(*notes, *more))
    direction, way = centre_way
    works = {"SMD": accumulated_work(forces @ direction, way)}
    return PullTable(path, steps, "step", {"SMD": positions @ direction}, {}, works, notes=(*notes, *more))


def _spring_way(
    path: Path, head: str, steps: FloatArray, positions: FloatArray, forces: FloatArray
) -> tuple[tuple[FloatArray, FloatArray] | None, list[str]]:
    """Unit direction (3,) and how far the spring's end has gone along it at each row, A."""
    velocity, direction = _VELOCITY.search(head), _DIRECTION.search(head)
    if velocity and direction:
        vector = np.array([float(word) for word in direction.groups()])
        if np.linalg.norm(vector) > 0:
            return (vector / np.linalg.norm(vector), float(velocity[1]) * (steps - steps[0])), []
    along = np.linalg.svd(forces, full_matrices=False)[2][0]
    along = along if (positions[-1] - positions[0]) @ along >= 0 else -along
    spring = fit_spring(steps, positions @ along, forces @ along)
    across = forces - np.outer(forces @ along, along)
    if spring is None or np.abs(across).max() > 0.01 * np.abs(forces).max():
        reason = "has no `Info: SMD VELOCITY` and `SMD DIRECTION`, and its forces are not those of one spring"
        return None, [f"{path.name} {reason}; work is left out"]
    found = ", ".join(f"{x:.3f}" for x in along)
    note = f"speed {spring.speed:.4g} A a step and direction ({found}) worked out from its forces"
    return (along, spring.centre), [Note(note, path.name)]
