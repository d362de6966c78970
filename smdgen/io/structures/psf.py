"""PSF files of CHARMM, X-PLOR and NAMD: a strict reader and a writer that VMD reads."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import TopologyError
from smdgen.files import atomic_path, read_text_lines, require_regular_file
from smdgen.io.structures.atoms import Structure, sorted_bonds
from smdgen.io.structures.elements import elements_of_masses

_NO_PSF = "expected a PSF written by VMD, CHARMM or CHARMM-GUI: write or copy it again"
_MAX_COUNT = 10**8
_SECTIONS = ("NBOND", "NTHETA", "NPHI", "NIMPHI", "NCRTERM")
_WIDTH = {"NBOND": 2, "NTHETA": 3, "NPHI": 4, "NIMPHI": 4, "NCRTERM": 8}


@dataclass(frozen=True)
class PsfTerms:
    """The bonded terms a PSF lists, as 0-based atoms; an absent section has no rows."""

    bonds: NDArray[np.int64]  # (n, 2)
    angles: NDArray[np.int64]  # (n, 3)
    dihedrals: NDArray[np.int64]  # (n, 4)
    impropers: NDArray[np.int64]  # (n, 4)
    cross_terms: NDArray[np.int64]  # (n, 8)


def read_psf(path: Path) -> Structure:
    """Atoms and bonds of a PSF, without coordinates.

    Raises:
        TopologyError: It is no PSF, cut, contradicts itself, or needs Drude particles or lone pairs.
    """
    lines = _read_lines(path)
    flags = lines[0].split()
    sections = _find_sections(path, lines)
    columns = _read_atoms(path, lines, sections, extended="EXT" in flags)
    segments, residues, residue_names, names, types, charges, masses = columns
    numbers, insertions = _split_residues(path, residues)
    terms = _read_terms(path, lines, sections)
    bonds = terms.bonds
    if (bonds[:, 0] == bonds[:, 1]).any():
        raise TopologyError(f"{path}: an atom is bonded to itself; {_NO_PSF}")
    notes = [f"{path.name}: {note}" for note in _term_notes(terms)]
    if "NBOND" not in sections:
        notes.append(f"{path.name} lists no bonds (no !NBOND section)")
    name_array, residue_array = np.array(names), np.array(residue_names)
    n_cross, _ = sections.get("NCRTERM", (0, 0))
    return Structure(
        names=name_array,
        residue_names=residue_array,
        residue_ids=numbers,
        insertion_codes=insertions,
        chain_ids=np.full(len(names), "", dtype=np.str_),
        segment_ids=np.array(segments),
        elements=elements_of_masses(masses, name_array, residue_array, bonds),
        masses=masses,
        bonds=sorted_bonds(bonds),
        charges=charges,
        types=np.array(types),
        path=Path(path),
        notes=tuple(notes),
        has_cross_terms=n_cross > 0,
    )


def read_psf_terms(path: Path) -> PsfTerms:
    """The bonded terms a PSF lists.

    Raises:
        TopologyError: As `read_psf`.
    """
    lines = _read_lines(path)
    return _read_terms(path, lines, _find_sections(path, lines))


def write_psf(path: Path, structure: Structure, terms: PsfTerms | None = None) -> None:
    """Write atoms and bonds as a PSF that VMD, NAMD and MDTraj read; the same input gives the same bytes.

    Names longer than four letters, or more than 9,999,999 atoms, make it an EXT file.

    Args:
        path: Written whole or not at all.
        structure: Types are `X` and charges 0 where it has none.
        terms: Angles, dihedrals, impropers and cross terms to list as well; None for bonds only.

    Raises:
        ArtifactError: The file cannot be written.
    """
    columns = (structure.segment_ids, structure.residue_names, structure.names)
    types = structure.types if structure.types is not None else np.full(structure.n_atoms, "X")
    longest = max((len(text) for column in (*columns, types) for text in column), default=0)
    is_extended = longest > 4 or structure.n_atoms > 9_999_999
    flags = ["PSF"] + (["EXT"] if is_extended else []) + (["XPLOR"] if is_extended else [])
    lines = [" ".join(flags), "", f"{1:8d} !NTITLE", " REMARKS written by smdgen", ""]
    lines += [f"{structure.n_atoms:8d} !NATOM", *_atom_lines(structure, types, is_extended), ""]
    width = 10 if is_extended else 8
    empty = np.zeros((0, 1), dtype=np.int64)
    listed = [
        ("NBOND: bonds", structure.bonds, 8),
        ("NTHETA: angles", terms.angles if terms else empty, 9),
        ("NPHI: dihedrals", terms.dihedrals if terms else empty, 8),
        ("NIMPHI: impropers", terms.impropers if terms else empty, 8),
        ("NDON: donors", empty, 8),
        ("NACC: acceptors", empty, 8),
    ]
    for title, rows, per_line in listed:
        lines += [f"{len(rows):{width}d} !{title}", *_number_lines(rows + 1, per_line, width), ""]
    lines += [f"{0:{width}d} !NNB", "", *_number_lines(np.zeros(structure.n_atoms, int), 8, width), ""]
    lines += [f"{1:{width}d}{0:{width}d} !NGRP", "".join(f"{0:{width}d}" for _ in range(3)), ""]
    if terms is not None and len(terms.cross_terms):
        rows = terms.cross_terms
        lines += [f"{len(rows):{width}d} !NCRTERM: cross-terms", *_number_lines(rows + 1, 8, width), ""]
    with atomic_path(Path(path)) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="latin-1", errors="replace")


def _read_lines(path: Path) -> list[str]:
    require_regular_file(path, "a PSF", TopologyError)
    lines = read_text_lines(path)
    if not lines or not lines[0].split() or lines[0].split()[0] != "PSF":
        start = lines[0][:30].strip() if lines else ""
        raise TopologyError(f"{path} is not a PSF file: it starts with {start!r}; {_NO_PSF}")
    if "DRUDE" in lines[0].split():
        raise TopologyError(f"{path} has Drude particles, which are not supported; give a PSF without them")
    return lines


def _find_sections(path: Path, lines: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Count and first body line of each section."""
    sections: dict[str, tuple[int, int]] = {}
    for number, line in enumerate(lines[1:], start=1):
        before, mark, after = line.partition("!")
        if not mark or before.split()[:1] in ([], ["REMARKS"], ["*"]):
            continue
        name = after.split()[0].rstrip(":") if after.split() else ""
        count = _count(before.split()[0])
        if count is None and name not in (*_SECTIONS, "NATOM"):
            continue
        if count is None:
            raise TopologyError(
                f"{path}, line {number + 1}: {before.strip()[:20]!r} is not a count; {_NO_PSF}"
            )
        if not 0 <= count <= _MAX_COUNT:
            raise TopologyError(f"{path}, line {number + 1}: {count} !{name} makes no sense; {_NO_PSF}")
        if name in sections:
            raise TopologyError(f"{path}, line {number + 1}: a second !{name} section; {_NO_PSF}")
        sections[name] = (count, number + 1)
    if sections.get("NATOM", (0, 0))[0] < 1:
        raise TopologyError(f"{path} lists no atoms (!NATOM); {_NO_PSF}")
    return sections


def _count(word: str) -> int | None:
    try:
        return int(word)
    except ValueError:
        return None


AtomColumns = tuple[
    list[str], list[str], list[str], list[str], list[str], NDArray[np.float64], NDArray[np.float64]
]


def _read_atoms(
    path: Path, lines: Sequence[str], sections: dict[str, tuple[int, int]], extended: bool
) -> AtomColumns:
    """Segment, residue number, residue name, name, type, charge, mass of every atom."""
    count, first = sections["NATOM"]
    if len(lines) - first < count:
        raise TopologyError(f"{path} announces {count} atoms but ends after {len(lines) - first}; {_NO_PSF}")
    after = next((line for line in lines[first + count :] if line.strip()), "!")
    if "!" not in after:
        raise TopologyError(f"{path} announces {count} atoms, then {after[:40].strip()!r} follows; {_NO_PSF}")
    rows = [_split_atom(line, extended) for line in lines[first : first + count]]
    for index, row in enumerate(rows):
        if row is None or row[0].lstrip("0") != str(index + 1):
            raise TopologyError(
                f"{path}, line {first + index + 1}: {lines[first + index][:40].strip()!r} is not atom "
                f"{index + 1} of {count}; {_NO_PSF}"
            )
    whole = [row for row in rows if row is not None]
    charges, masses = (np.array([_number(row[i]) for row in whole]) for i in (6, 7))
    possible = (np.abs(charges) < 100.0) & (masses >= 0.0) & (masses < 1000.0)  # NaN compares as false
    if not possible.all():
        index = int(np.argmin(possible))
        charge, mass = (word[:20] for word in whole[index][6:])
        raise TopologyError(f"{path}: atom {index + 1} has charge {charge!r}, mass {mass!r}; {_NO_PSF}")
    segments, residues, residue_names, names, types = ([row[i] for row in whole] for i in range(1, 6))
    return segments, residues, residue_names, names, types, charges, masses


def _split_atom(line: str, extended: bool) -> list[str] | None:
    """Number, segment, residue, residue name, name, type, charge, mass; None if it is no atom line.

    A blank segment shifts the words, which shows by the charge one word earlier.
    """
    words = line.split()
    if len(words) >= 8 and _is_decimal(words[6]) and not (_is_decimal(words[5]) and "." in words[6]):
        return words[:8]
    if len(words) >= 7 and _is_decimal(words[5]) and _is_decimal(words[6]):
        return [words[0], "", *words[1:7]]
    cuts = (0, 10, 19, 28, 37, 46, 53) if extended else (0, 8, 13, 18, 23, 28, 33)
    parts = [line[start:stop].strip() for start, stop in itertools.pairwise(cuts)]
    rest = line[cuts[-1] :].split()
    return [*parts, *rest[:2]] if len(rest) >= 2 and parts[0] and parts[4] else None


def _is_decimal(word: str) -> bool:
    """Whether a word is a number with a point, as charges and masses are and types are not."""
    return "." in word and math.isfinite(_number(word))


def _number(word: str) -> float:
    """NaN for what is no number."""
    try:
        return float(word)
    except ValueError:
        return math.nan


def _split_residues(path: Path, residues: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Residue numbers and insertion codes of `12`, `-3`, `52A`."""
    numbers, insertions = [], []
    for index, residue in enumerate(residues):
        digits = residue.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
        number = _count(digits)
        if number is None or abs(number) > _MAX_COUNT:
            raise TopologyError(f"{path}: atom {index + 1} has residue number {residue[:30]!r}; {_NO_PSF}")
        numbers.append(number)
        insertions.append(residue[len(digits) :])
    return np.array(numbers, dtype=np.int64), np.array(insertions, dtype=np.str_)


def _read_section(
    path: Path, lines: Sequence[str], sections: dict[str, tuple[int, int]], name: str, n_atoms: int
) -> NDArray[np.int64]:
    """(n, width) 0-based atoms of one section; no rows if it is absent."""
    width = _WIDTH[name]
    count, first = sections.get(name, (0, 0))
    words: list[str] = []
    for line in lines[first:] if name in sections else ():
        if "!" in line:
            break
        words += line.split()
    if len(words) != count * width:
        raise TopologyError(
            f"{path}: section !{name} announces {count} entries but holds {len(words) / width:g}; {_NO_PSF}"
        )
    try:
        atoms = np.array(words, dtype=np.int64).reshape(-1, width) - 1
    except (ValueError, OverflowError) as error:
        raise TopologyError(
            f"{path}: section !{name} holds something else than numbers; {_NO_PSF}"
        ) from error
    if atoms.size and (atoms.min() < 0 or atoms.max() >= n_atoms):
        bad = atoms.min() + 1 if atoms.min() < 0 else atoms.max() + 1
        raise TopologyError(f"{path}: section !{name} names atom {bad}, there are 1 to {n_atoms}; {_NO_PSF}")
    return atoms


def _read_terms(path: Path, lines: Sequence[str], sections: dict[str, tuple[int, int]]) -> PsfTerms:
    n_atoms = sections["NATOM"][0]
    return PsfTerms(*(_read_section(path, lines, sections, name, n_atoms) for name in _SECTIONS))


def _term_notes(terms: PsfTerms) -> list[str]:
    """Angles and dihedrals along pairs that are not bonded, bonds listed twice: the lists contradict."""
    bonds = sorted_bonds(terms.bonds)
    notes = []
    if len(bonds) < len(terms.bonds):
        notes.append(f"{len(terms.bonds) - len(bonds)} bonds are listed twice")
    size = int(
        max((rows.max() for rows in (terms.bonds, terms.angles, terms.dihedrals) if rows.size), default=0)
    )
    known = bonds @ np.array([size + 1, 1])
    for kind, rows in (("angles", terms.angles), ("dihedrals", terms.dihedrals)):
        along = np.stack([rows[:, :-1].reshape(-1), rows[:, 1:].reshape(-1)], axis=1)
        loose = ~np.isin(np.sort(along, axis=1) @ np.array([size + 1, 1]), known)
        if len(bonds) and loose.any():
            i, j = along[np.argmax(loose)] + 1
            notes.append(f"{kind} along atoms that are not bonded: {loose.sum()}, first {i} and {j}")
    return notes


def _atom_lines(structure: Structure, types: NDArray[np.str_], extended: bool) -> list[str]:
    charges = structure.charges if structure.charges is not None else np.zeros(structure.n_atoms)
    lines = []
    for i in range(structure.n_atoms):
        residue = f"{structure.residue_ids[i]}{structure.insertion_codes[i]}"
        segment = structure.segment_ids[i] or structure.chain_ids[i] or "SYS"
        texts = (segment, residue, structure.residue_names[i], structure.names[i])
        if extended:
            place = f"{i + 1:10d} " + " ".join(f"{text:<8s}" for text in texts) + f" {types[i]:<6s}"
        else:
            place = f"{i + 1:8d} " + " ".join(f"{text:<4s}" for text in texts) + f" {types[i]:<4s}"
        lines.append(f"{place} {charges[i]:10.6f}    {structure.masses[i]:10.4f}  {0:10d}")
    return lines


def _number_lines(rows: NDArray[np.int64], per_line: int, width: int) -> list[str]:
    flat = rows.reshape(-1)
    return [
        "".join(f"{number:{width}d}" for number in flat[start : start + per_line])
        for start in range(0, len(flat), per_line)
    ]
