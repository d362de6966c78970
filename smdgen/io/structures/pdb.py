"""PDB files as VMD, NAMD, CHARMM-GUI and the Protein Data Bank write them."""

# Not read by gemmi (0.7.5), which of the variants in tests/faults takes '********' and '   1.2.3' in columns
# 31 to 54 for coordinates, loses the first atom behind a byte-order mark, and joins models of other atoms;
# it reads the hybrid-36 number a000 as A000.

import dataclasses
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smdgen.errors import TopologyError
from smdgen.files import atomic_path, read_text_lines, require_regular_file
from smdgen.geometry.cell import real_cells
from smdgen.io.structures.atom_records import SEVERAL_MODELS, AtomRecord, Link, assemble, linked_records
from smdgen.io.structures.atoms import Structure
from smdgen.io.structures.elements import ATOMIC_WEIGHTS, PROTEIN_RESIDUES, WATER_RESIDUES
from smdgen.io.structures.hybrid36 import decode_hybrid36, encode_hybrid36

_NO_PDB = "expected a PDB file with ATOM lines: write or copy it again"
_COORDINATE = re.compile(r" {0,3}-?\d{1,4}\.\d{3}|-?\d+\.\d+")  # %8.3f; wide numbers have fewer decimals
_BLANK = re.compile(r" {0,3}")
_ATOM_RECORDS = ("ATOM", "HETATM")
_RECORDS = frozenset(
    """ATOM HETATM TER END ENDMDL MODEL CRYST1 REMARK HEADER TITLE COMPND SOURCE KEYWDS EXPDTA AUTHOR REVDAT
    JRNL DBREF DBREF1 DBREF2 SEQADV SEQRES MODRES HET HETNAM HETSYN FORMUL HELIX SHEET TURN SSBOND LINK LINKR
    CISPEP SITE ORIGX1 ORIGX2 ORIGX3 SCALE1 SCALE2 SCALE3 MTRIX1 MTRIX2 MTRIX3 ANISOU SIGATM SIGUIJ CONECT
    MASTER SPRSDE OBSLTE SPLIT CAVEAT NUMMDL MDLTYP TVECT HYDBND SLTBRG FTNOTE USER""".split()
)
_CELL_COLUMNS = (6, 15, 24, 33, 40, 47, 54)
_LOWEST, _HIGHEST = -999.9995, 9999.9995  # A, what %8.3f holds


def read_pdb(path: Path) -> Structure:
    """Atoms of the first model of a PDB, with bonds listed, by templates and by distance.

    Of alternative locations each residue keeps the one with the highest occupancy.

    Raises:
        TopologyError: It is no PDB, cut, or a line cannot be read.
    """
    lines = _read_lines(path)
    atoms, stop = _next_model(path, lines, 0)
    structure = assemble(
        path, atoms, _residue_numbers(path, atoms), _cell(lines), _listed_bonds(lines, atoms)
    )
    notes = [f"{path.name}: {note}" for note in _line_notes(lines)]
    if _has_atoms(lines, stop):
        notes.append(f"{path.name} {SEVERAL_MODELS}")
    return dataclasses.replace(structure, notes=(*structure.notes, *notes))


@dataclass(frozen=True)
class Models:
    """The models of a PDB, all atom lines as they stand."""

    positions: NDArray[np.float64]  # (n_models, n_atoms, 3), A
    cells: NDArray[np.float64] | None  # (n_models, 6), A A A deg deg deg: a CRYST1 line for each, or for all
    notes: tuple[str, ...]


def read_pdb_models(path: Path) -> Models:
    """Coordinates and unit cells of every model of a PDB.

    Raises:
        TopologyError: As `read_pdb`, or models of other atoms.
    """
    lines = _read_lines(path)
    models: list[list[tuple[float, float, float]]] = []
    names: list[tuple[str, str, str]] = []
    stop = 0
    while not models or _has_atoms(lines, stop):
        atoms, stop = _next_model(path, lines, stop)
        found = [(atom.residue_id, atom.residue_name, atom.name) for atom in atoms]
        names = names or found
        if len(found) != len(names):
            raise TopologyError(
                f"{path}: model {len(models) + 1} has {len(found)} atoms, the first has {len(names)}; "
                "models must be of one length"
            )
        if found != names:
            atom = next(i for i, pair in enumerate(zip(found, names, strict=True)) if pair[0] != pair[1])
            raise TopologyError(
                f"{path}: atom {atom + 1} of model {len(models) + 1} is {' '.join(found[atom])}, in the "
                f"first it is {' '.join(names[atom])}; models must hold the same atoms"
            )
        models.append([atom.position for atom in atoms])
    n_declared = sum(line[:6].rstrip().upper() == "MODEL" for line in lines)
    if n_declared > len(models):
        raise TopologyError(
            f"{path} names {n_declared} models, {len(models)} of them hold atoms; write or copy it again"
        )
    cells, cell_notes = _model_cells(_cells(lines), len(models))
    return Models(np.array(models, dtype=np.float64), cells, (*_line_notes(lines), *cell_notes))


def _model_cells(cells: NDArray[np.float64], n_models: int) -> tuple[NDArray[np.float64] | None, list[str]]:
    """As of `Models`, and what was odd."""
    if len(cells) not in (0, 1, n_models):
        return None, [f"{len(cells)} unit cells for {n_models} models; none is used"]
    return real_cells(np.repeat(cells, n_models, axis=0) if len(cells) == 1 else cells)


def write_pdb(path: Path, structure: Structure, positions: ArrayLike | None = None) -> None:
    """Write one model; the same input gives the same bytes.

    Args:
        path: Written whole or not at all.
        structure: Names longer than four letters are cut, numbers above 9999 become hybrid-36.
        positions: (n_atoms, 3), A; None for the structure's own.

    Raises:
        TopologyError: No positions, or some that a PDB cannot hold.
        ArtifactError: The file cannot be written.
    """
    placed = structure.positions if positions is None else np.asarray(positions, dtype=np.float64)
    if placed is None or placed.shape != (structure.n_atoms, 3):
        found = "none" if placed is None else str(placed.shape)
        raise TopologyError(f"cannot write {path}: positions are {found}, expected ({structure.n_atoms}, 3)")
    if not ((placed > _LOWEST) & (placed < _HIGHEST)).all():  # NaN compares as false
        raise TopologyError(f"cannot write {path}: a PDB holds -999.999 to 9999.999 A only; centre the atoms")
    lines = [_cryst1(structure.cell)] if structure.cell is not None else []
    for i in range(structure.n_atoms):
        lines.append(_atom_line(structure, i, placed[i]))
        if i + 1 < structure.n_atoms and _place(structure, i) != _place(structure, i + 1):
            lines.append("TER")
    with atomic_path(Path(path)) as temporary:
        temporary.write_text("\n".join([*lines, "END"]) + "\n", encoding="latin-1", errors="replace")


def _read_lines(path: Path) -> list[str]:
    require_regular_file(path, "a PDB file", TopologyError)
    return read_text_lines(path)


def _line_notes(lines: Sequence[str]) -> list[str]:
    """Lines that no PDB has, models that are not counted from the first on, and no end."""
    notes = []
    records = [(line[:6].rstrip().upper(), number) for number, line in enumerate(lines, 1) if line.strip()]
    odd = [(record, number) for record, number in records if record not in _RECORDS]
    if odd:
        record, number = odd[0]
        notes.append(f"{len(odd)} lines are not PDB records, first line {number} ({record!r})")
    models = [lines[number - 1].split()[1:2] for record, number in records if record == "MODEL"]
    counts = [int(words[0]) if words and words[0].isdecimal() else -1 for words in models]
    if any(later - earlier != 1 for earlier, later in itertools.pairwise(counts)):
        notes.append("the models are not numbered one after the other; some may be missing")
    n_ends = sum(record in ("END", "ENDMDL") for record, _ in records)
    if n_ends < max(len(models), 1):
        notes.append("an END line is missing; the file may be cut")
    return notes


def _has_atoms(lines: Sequence[str], start: int) -> bool:
    """Whether there are atoms from a line on."""
    return any(line.startswith(_ATOM_RECORDS) for line in itertools.islice(lines, start, None))


def _next_model(path: Path, lines: Sequence[str], start: int) -> tuple[list[AtomRecord], int]:
    """Atoms from a line, 0-based, up to the next ENDMDL or END, and the line after it."""
    atoms: list[AtomRecord] = []
    part = 0
    for number, line in enumerate(itertools.islice(lines, start, None), start + 1):
        record = line[:6].rstrip().upper()
        if record in _ATOM_RECORDS:
            atoms.append(_parse_atom(path, number, line, part))
        elif record == "TER":
            part += 1
        elif record in ("ENDMDL", "END") and atoms:
            return atoms, number
    if not atoms:
        first = next((line.strip()[:30] for line in lines if line.strip()), "")
        raise TopologyError(f"{path} has no ATOM lines; it starts with {first!r}; {_NO_PDB}")
    return atoms, len(lines)


def _parse_atom(path: Path, number: int, line: str, part: int) -> AtomRecord:
    fields = line[30:38], line[38:46], line[46:54]
    if not all(len(field) == 8 and _COORDINATE.fullmatch(field) for field in fields) or not _BLANK.fullmatch(
        line[27:30]
    ):
        raise TopologyError(
            f"{path}, line {number}: no coordinates in columns 31 to 54 of {line[:60]!r}; {_NO_PDB}"
        )
    x, y, z = map(float, fields)
    element = line[76:78].strip()
    # CHARMM writes residue numbers above 9999 one column to the right, where the insertion code is.
    is_wide = line[26:27].isdecimal()
    return AtomRecord(
        serial=line[6:11].strip(),
        name=line[12:16].strip(),
        altloc=line[16:17].strip(),
        residue_name=line[17:21].strip(),
        chain=line[21:22].strip(),
        residue_id=line[22:27].strip() if is_wide else line[22:26].strip(),
        insertion="" if is_wide else line[26:27].strip(),
        segment=line[72:76].strip(),
        element=element.capitalize() if element.upper() in ATOMIC_WEIGHTS else "",
        part=part,
        occupancy=_number_or(line[54:60], 1.0),
        position=(x, y, z),
    )


def _number_or(text: str, default: float) -> float:
    try:
        return float(text)
    except ValueError:
        return default


def _residue_numbers(path: Path, atoms: Sequence[AtomRecord]) -> NDArray[np.int64]:
    """(n_atoms,). Residue numbers, also hybrid-36 (A000 = 10000) and VMD's hexadecimal (2710 after 9999)."""
    numbers = np.zeros(len(atoms), dtype=np.int64)
    previous, is_hex = 0, False
    for i, atom in enumerate(atoms):
        text = atom.residue_id
        is_hex = (is_hex or (previous == 9999 and text.lower() == "2710")) and _is_hexadecimal(text)
        try:
            numbers[i] = int(text, 16) if is_hex else decode_hybrid36(text, 4)
        except ValueError as error:
            raise TopologyError(
                f"{path}: atom {i + 1} ({atom.name}) has residue number {text!r}; {_NO_PDB}"
            ) from error
        previous = int(numbers[i])
    return numbers


def _is_hexadecimal(text: str) -> bool:
    return len(text) >= 4 and all(letter in "0123456789abcdefABCDEF" for letter in text)


def _listed_bonds(lines: Sequence[str], atoms: Sequence[AtomRecord]) -> NDArray[np.int64]:
    """(n, 2). The bonds that a file lists."""
    return np.concatenate([_conect(lines, atoms), linked_records(atoms, _links(lines))])


#: Columns of atom name, chain, residue number and insertion code of both partners.
_LINK_COLUMNS = (((12, 16), (21, 22), (22, 26), (26, 27)), ((42, 46), (51, 52), (52, 56), (56, 57)))
_SSBOND_COLUMNS = (((0, 0), (15, 16), (17, 21), (21, 22)), ((0, 0), (29, 30), (31, 35), (35, 36)))


def _links(lines: Sequence[str]) -> list[Link]:
    """Partners of the LINK and SSBOND lines, but for those with a symmetry copy."""
    found = []
    for line in lines:
        record = line[:6].strip()
        if record not in ("LINK", "SSBOND") or line[59:65].strip() != line[66:72].strip():
            continue
        columns = _LINK_COLUMNS if record == "LINK" else _SSBOND_COLUMNS
        ends = [tuple(line[slice(*column)].strip() for column in end) for end in columns]
        first, second = ((name or "SG", chain, number, code) for name, chain, number, code in ends)
        found.append((first, second))
    return found


def _conect(lines: Sequence[str], atoms: Sequence[AtomRecord]) -> NDArray[np.int64]:
    """Bonds of the CONECT lines; serial numbers that are there twice or not at all are passed over."""
    places: dict[str, int] = {}
    twice = set()
    for i, atom in enumerate(atoms):
        if atom.serial in places:
            twice.add(atom.serial)
        places[atom.serial] = i
    pairs = []
    for line in lines:
        if line.startswith("CONECT"):
            fields = [line[start : start + 5].strip() for start in range(6, min(len(line), 31), 5)]
            known = [places.get(field, -1) if field not in twice else -1 for field in fields if field]
            pairs += [
                (known[0], other) for other in known[1:] if min(known[0], other) >= 0 and known[0] != other
            ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _cell(lines: Sequence[str]) -> NDArray[np.float64] | None:
    """Unit cell of the first CRYST1 line; None without, or with a dummy one."""
    cells, _ = real_cells(_cells(lines)[:1])
    return None if cells is None else cells[0]


def _cells(lines: Sequence[str]) -> NDArray[np.float64]:
    """(n, 6), A A A deg deg deg, of the CRYST1 lines; NaN where one cannot be read."""
    found = []
    for line in lines:
        if line.startswith("CRYST1"):
            try:
                found.append([float(line[start:stop]) for start, stop in itertools.pairwise(_CELL_COLUMNS)])
            except ValueError:
                found.append([np.nan] * 6)
    return np.array(found, dtype=np.float64).reshape(-1, 6)


def _cryst1(cell: NDArray[np.float64]) -> str:
    lengths = "".join(f"{length:9.3f}" for length in cell[:3])
    return f"CRYST1{lengths}{''.join(f'{angle:7.2f}' for angle in cell[3:])} P 1           1"


def _place(structure: Structure, i: int) -> tuple[str, str]:
    return str(structure.segment_ids[i]), str(structure.chain_ids[i])


def _atom_line(structure: Structure, i: int, position: NDArray[np.float64]) -> str:
    name, residue = str(structure.names[i])[:4], str(structure.residue_names[i])[:4]
    element = str(structure.elements[i]).upper()
    shown = f"{name:<4s}" if len(element) == 2 or len(name) == 4 else f" {name:<3s}"
    record = "ATOM  " if residue in PROTEIN_RESIDUES | WATER_RESIDUES else "HETATM"
    number = encode_hybrid36(int(structure.residue_ids[i]), 4)
    chain, segment = str(structure.chain_ids[i]), str(structure.segment_ids[i])
    if len(chain) > 1:  # there is room for one letter, and for four in the segment
        chain, segment = "", segment or chain
    x, y, z = position
    return (
        f"{record}{encode_hybrid36(i + 1, 5)} {shown} {residue:<4s}{chain:1s}{number}"
        f"{str(structure.insertion_codes[i])[:1]:1s}   {x:8.3f}{y:8.3f}{z:8.3f}{1.0:6.2f}{0.0:6.2f}      "
        f"{segment[:4]:<4s}{element:>2s}"
    )
