"""GROMACS' .gro files: atoms, residues, coordinates and the box."""

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import TopologyError
from smdgen.files import read_text_lines, require_regular_file
from smdgen.geometry.cell import cell_of_vectors, real_cells
from smdgen.io.structures.atom_records import AtomRecord, assemble
from smdgen.io.structures.atoms import Structure
from smdgen.units import ANGSTROM_PER_NM

_NO_GRO = "expected a .gro file of GROMACS: write or copy it again"
_FIRST = 20  # columns before the coordinates

#: Places in the box line of the three vectors' components.
_BOX_ORDER = ((0, 3, 4), (5, 1, 6), (7, 8, 2))


def is_gro(lines: list[str]) -> bool:
    """Whether a file begins as a .gro does: title, number of atoms, an atom in columns."""
    return len(lines) > 2 and lines[1].strip().isdecimal() and _width(lines[2]) > 0


def read_gro(path: Path) -> Structure:
    """Atoms of the first frame of a .gro file; residues beyond 99,999 count on from 0.

    Raises:
        TopologyError: It is none, cut, or a line cannot be read.
    """
    require_regular_file(path, "a .gro file", TopologyError)
    lines = read_text_lines(path)
    if not is_gro(lines):
        raise TopologyError(f"{path} has no number of atoms and atoms in its first lines; {_NO_GRO}")
    n_atoms, width = int(lines[1]), _width(lines[2])
    rows = lines[2 : 2 + n_atoms]
    if n_atoms < 1 or len(lines) < n_atoms + 3:
        raise TopologyError(f"{path} declares {n_atoms} atoms and has {max(len(lines) - 3, 0)}; {_NO_GRO}")
    records = [_record(path, number, line, width) for number, line in enumerate(rows, start=3)]
    try:
        residue_ids = np.array([int(record.residue_id) for record in records], dtype=np.int64)
    except ValueError as error:
        raise TopologyError(f"{path}: a residue number cannot be read ({error}); {_NO_GRO}") from error
    cell = _cell(path, lines[2 + n_atoms])
    structure = assemble(path, records, residue_ids, cell, np.zeros((0, 2), dtype=np.int64))
    n_frames = sum(bool(line.strip()) for line in lines) // (n_atoms + 3)
    if n_frames < 2:
        return structure
    note = f"{path.name} holds {n_frames} frames; the first is taken"
    return dataclasses.replace(structure, notes=(*structure.notes, note))


def _width(line: str) -> int:
    """Columns of one coordinate, from the distance of two decimal points; 0 if the line is no atom."""
    points = [i for i, letter in enumerate(line) if letter == "." and i >= _FIRST]
    return points[1] - points[0] if len(points) >= 3 and line[:5].strip().isdecimal() else 0


def _record(path: Path, number: int, line: str, width: int) -> AtomRecord:
    try:
        x, y, z = (float(line[_FIRST + width * i :][:width]) * ANGSTROM_PER_NM for i in range(3))
    except ValueError as error:
        raise TopologyError(f"{path}, line {number}: no atom in {line[:60]!r}; {_NO_GRO}") from error
    return AtomRecord(
        serial=line[15:20].strip(),
        name=line[10:15].strip(),
        altloc="",
        residue_name=line[5:10].strip(),
        chain="",
        residue_id=line[:5].strip(),
        insertion="",
        segment="",
        element="",
        part=0,
        occupancy=1.0,
        position=(x, y, z),
    )


def _cell(path: Path, line: str) -> NDArray[np.float64] | None:
    """(6,), A A A deg deg deg; None for a box of zeros."""
    try:
        values = [float(word) for word in line.split()]
    except ValueError as error:
        raise TopologyError(f"{path}: the box line is {line[:60]!r}; {_NO_GRO}") from error
    if len(values) not in (3, 9):
        raise TopologyError(f"{path}: the box line has {len(values)} numbers, not 3 or 9; {_NO_GRO}")
    values += [0.0] * (9 - len(values))
    vectors = ANGSTROM_PER_NM * np.array([[values[i] for i in row] for row in _BOX_ORDER])
    if not np.abs(vectors).any():
        return None
    cells, _ = real_cells(cell_of_vectors(vectors[None]))
    return None if cells is None else cells[0]
