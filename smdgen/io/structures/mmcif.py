"""mmCIF files of the Protein Data Bank: the atoms of the first model."""

# Not read by gemmi (0.7.5), which drops an atom that names no model without a word (the variant "no model" of
# tests/io/structures/test_mmcif.py) and refuses a byte-order mark.

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import TopologyError
from smdgen.files import read_text_lines, require_regular_file
from smdgen.geometry.cell import real_cells
from smdgen.io.structures.atom_records import SEVERAL_MODELS, AtomRecord, Link, assemble, linked_records
from smdgen.io.structures.atoms import Structure
from smdgen.io.structures.elements import ATOMIC_WEIGHTS

_NO_CIF = "expected an mmCIF with an _atom_site table: write or copy it again"
_WORD = re.compile(r"'((?:[^']|'(?=\S))*)'|\"((?:[^\"]|\"(?=\S))*)\"|(\S+)")
_NEEDED = ("label_atom_id", "label_comp_id", "Cartn_x", "Cartn_y", "Cartn_z")
_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")


def read_mmcif(path: Path) -> Structure:
    """Atoms of the first model of an mmCIF, in the authors' naming, with bonds from distances.

    Raises:
        TopologyError: It has no table of atoms, or a row that does not fit it.
    """
    require_regular_file(path, "an mmCIF file", TopologyError)
    lines = read_text_lines(path)
    columns, rows = _atom_site(path, lines)
    models = [row[columns["pdbx_PDB_model_num"]] if "pdbx_PDB_model_num" in columns else "1" for row in rows]
    first = [row for row, model in zip(rows, models, strict=True) if model == models[0]]
    if len(first) < len(rows) and not all(map(str.isdecimal, models)):
        raise TopologyError(f"{path}: some atoms name a model and some do not; {_NO_CIF}")
    records = [_record(path, columns, row) for row in first]
    numbers = [record.residue_id for record in records]
    try:
        residue_ids = np.array([int(number) if number else 0 for number in numbers], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise TopologyError(f"{path}: a residue number cannot be read ({error}); {_NO_CIF}") from error
    structure = assemble(path, records, residue_ids, _cell(lines), linked_records(records, _links(lines)))
    long = [chain for chain in dict.fromkeys(structure.chain_ids.tolist()) if len(chain) > 1]
    if long:
        note = (
            f"{path.name}: chains of several letters ({', '.join(long[:4])}) become segments in PDB files "
            f"that smdgen writes; select segname {long[0]} there, or chain {long[0]} in smdgen"
        )
        structure = replace(structure, notes=(*structure.notes, note))
    if len(first) == len(rows):
        return structure
    return replace(structure, notes=(*structure.notes, f"{path.name} {SEVERAL_MODELS}"))


def _atom_site(path: Path, lines: Sequence[str]) -> tuple[dict[str, int], list[list[str]]]:
    """Columns of the table of atoms by name, and its rows."""
    names = [line.split()[0] for line in lines if line.startswith("_atom_site.")]
    columns = {name.removeprefix("_atom_site."): i for i, name in enumerate(names)}
    if len(columns) != len(names):
        raise TopologyError(f"{path}: the table of atoms has a column twice; {_NO_CIF}")
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise TopologyError(f"{path} has no atoms: _atom_site.{missing[0]} is not there; {_NO_CIF}")
    start = max(i for i, line in enumerate(lines) if line.startswith("_atom_site.")) + 1
    rows = []
    for number, line in enumerate(lines[start:], start=start + 1):
        if line.startswith(("loop_", "data_", "_")):
            break
        if not line.strip() or line.startswith("#"):
            continue
        row = ["".join(match) for match in _WORD.findall(line)]
        if len(row) != len(columns):
            raise TopologyError(
                f"{path}, line {number}: {len(row)} values in a table of {len(columns)} columns; {_NO_CIF}"
            )
        rows.append(row)
    if not rows:
        raise TopologyError(f"{path} lists no atoms; {_NO_CIF}")
    return columns, rows


def _record(path: Path, columns: dict[str, int], row: Sequence[str]) -> AtomRecord:
    def value(*names: str) -> str:
        for name in names:
            if name in columns and row[columns[name]] not in (".", "?"):
                return row[columns[name]]
        return ""

    try:
        x, y, z = (float(value(f"Cartn_{axis}")) for axis in "xyz")
    except ValueError as error:
        raise TopologyError(f"{path}: atom {value('id')} has no coordinates; {_NO_CIF}") from error
    element = value("type_symbol")
    return AtomRecord(
        serial=value("id"),
        name=value("auth_atom_id", "label_atom_id"),
        altloc=value("label_alt_id"),
        residue_name=value("auth_comp_id", "label_comp_id"),
        chain=value("auth_asym_id", "label_asym_id"),
        residue_id=value("auth_seq_id", "label_seq_id"),
        insertion=value("pdbx_PDB_ins_code"),
        segment="",
        element=element.capitalize() if element.upper() in ATOMIC_WEIGHTS else "",
        part=0,
        occupancy=_occupancy(value("occupancy")),
        position=(x, y, z),
    )


def _links(lines: Sequence[str]) -> list[Link]:
    """Covalent links and disulphides of the table of connections."""
    fields = [line.split() for line in lines if line.startswith("_struct_conn.")]
    names = [words[0].removeprefix("_struct_conn.") for words in fields]
    if fields and len(fields[0]) > 1:  # one connection: a name and a value per line
        rows = [["".join(_WORD.findall(" ".join(words[1:]))[0]) for words in fields]]
    else:
        last = max(
            (i for i, line in enumerate(lines) if line.startswith("_struct_conn.")), default=len(lines)
        )
        table = itertools.takewhile(
            lambda line: not line.startswith(("loop_", "data_", "_", "#")), lines[last + 1 :]
        )
        rows = [["".join(match) for match in _WORD.findall(line)] for line in table]
    found = []
    for row in rows:
        values = dict(zip(names, row, strict=False))
        if values.get("conn_type_id", "").lower() not in ("covale", "disulf"):
            continue
        if values.get("ptnr1_symmetry") != values.get("ptnr2_symmetry"):
            continue
        first, second = (
            tuple(
                "" if values.get(name, "?") in (".", "?") else values[name]
                for name in (
                    f"ptnr{i}_label_atom_id", f"ptnr{i}_auth_asym_id", f"ptnr{i}_auth_seq_id",
                    f"pdbx_ptnr{i}_PDB_ins_code",
                )
            )
            for i in (1, 2)
        )  # fmt: skip
        found.append((first, second))
    return found  # type: ignore[return-value]


def _occupancy(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0


def _cell(lines: Sequence[str]) -> NDArray[np.float64] | None:
    """(6,), A A A deg deg deg; None without, or with a dummy one."""
    found: dict[str, float] = {}
    for line in lines:
        words = line.split()
        if len(words) == 2 and words[0].startswith("_cell."):
            try:
                found[words[0].removeprefix("_cell.")] = float(words[1])
            except ValueError:
                continue
    cells, _ = real_cells(np.array([[found.get(name, 0.0) for name in _CELL]]))
    return None if cells is None else cells[0]
