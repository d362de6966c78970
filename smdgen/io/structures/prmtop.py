"""Amber prmtop files: atoms, charges, masses and bonds."""

# Not read by OpenMM (8.6) or ParmEd (4.3), which refuse a file without force constants. Of a complete one
# with the variants of tests/io/structures/test_prmtop.py OpenMM reads "nan mass", "bond within an atom" and
# "a bond less than announced" without a word; "zero width" fills ParmEd's memory.

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import TopologyError
from smdgen.files import read_text_lines, require_regular_file
from smdgen.io.structures.atoms import Structure, sorted_bonds
from smdgen.io.structures.elements import elements_of_masses

#: Amber stores charges times the root of its Coulomb constant in kcal A/mol/e^2.
#: Source: ambermd.org/FileFormats.php.
_CHARGE_UNIT = 18.2223

_NO_TOP = "expected an Amber prmtop (version 7 or later): write or copy it again"
_FORMAT = re.compile(r"%FORMAT\s*\(\s*(\d+)\s*([aAiIeEfF])\s*(\d+)")
_MAX_NATOM = 10**8

#: Where POINTERS has the number of terms of each section.
_TERMS = {
    "BONDS_INC_HYDROGEN": 2, "ANGLES_INC_HYDROGEN": 4, "DIHEDRALS_INC_HYDROGEN": 6,
    "BONDS_WITHOUT_HYDROGEN": 12, "ANGLES_WITHOUT_HYDROGEN": 13, "DIHEDRALS_WITHOUT_HYDROGEN": 14,
}  # fmt: skip
_MOST_MASS = 1e4  # Da


def read_prmtop(path: Path) -> Structure:
    """Atoms and bonds of an Amber prmtop, without coordinates.

    Residues are numbered from 1 as Amber does, unless the file holds RESIDUE_NUMBER.

    Raises:
        TopologyError: It is no prmtop, cut, or contradicts itself.
    """
    require_regular_file(path, "an Amber prmtop", TopologyError)
    sections = _sections(path, read_text_lines(path))
    n_atoms, n_residues, n_terms = _counts(path, sections)
    for name, width in (("ANGLES", 4), ("DIHEDRALS", 5)):
        _read_terms(path, sections, name, width, n_terms)
    names = np.array(_read(path, sections, "ATOM_NAME", n_atoms, str), dtype=np.str_)
    masses = np.array(_read(path, sections, "MASS", n_atoms, float), dtype=np.float64)
    charges = np.array(_read(path, sections, "CHARGE", n_atoms, float), dtype=np.float64) / _CHARGE_UNIT
    if not (((masses >= 0) & (masses < _MOST_MASS)).all() and np.isfinite(charges).all()):
        raise TopologyError(f"{path} has masses or charges that cannot be; {_NO_TOP}")
    bonds = _bonds(path, sections, n_atoms, n_terms)
    residue = _residue_of_atoms(path, sections, n_atoms, n_residues)
    labels = np.array(_read(path, sections, "RESIDUE_LABEL", n_residues, str), dtype=np.str_)
    types = _read(path, sections, "AMBER_ATOM_TYPE", n_atoms, str) if "AMBER_ATOM_TYPE" in sections else None
    numbers = np.arange(1, n_residues + 1)
    if "RESIDUE_NUMBER" in sections:
        numbers = np.array(_read(path, sections, "RESIDUE_NUMBER", n_residues, int), dtype=np.int64)
    chains = np.full(n_residues, "")
    if "RESIDUE_CHAINID" in sections:
        chains = np.array(_read(path, sections, "RESIDUE_CHAINID", n_residues, str), dtype=np.str_)
    return Structure(
        names=names,
        residue_names=labels[residue],
        residue_ids=numbers[residue].astype(np.int64),
        insertion_codes=np.full(n_atoms, ""),
        chain_ids=chains[residue],
        segment_ids=np.full(n_atoms, ""),
        elements=_elements(path, sections, masses, names, labels[residue], bonds),
        masses=masses,
        bonds=bonds,
        charges=charges,
        types=None if types is None else np.array(types, dtype=np.str_),
        path=Path(path),
    )


def _sections(path: Path, lines: Sequence[str]) -> dict[str, list[str]]:
    """Lines of each section after its %FLAG; the first is its %FORMAT."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if line.startswith("%FLAG"):
            name = line[5:].strip()
            if name in sections:
                raise TopologyError(f"{path} has two sections {name}; {_NO_TOP}")
            current = sections.setdefault(name, [])
        elif not line.startswith("%COMMENT"):
            current.append(line)
    if "POINTERS" not in sections:
        raise TopologyError(f"{path} has no section POINTERS; {_NO_TOP}")
    return sections


def _counts(path: Path, sections: dict[str, list[str]]) -> tuple[int, int, dict[str, int]]:
    """Number of atoms, of residues, and of bonds, angles and torsions by their sections."""
    pointers = _read(path, sections, "POINTERS", None, int)
    if len(pointers) < 30 or not 0 < pointers[0] < _MAX_NATOM or not 0 < pointers[11] <= pointers[0]:
        raise TopologyError(f"{path}: section POINTERS makes no sense; {_NO_TOP}")
    return pointers[0], pointers[11], {name: pointers[place] for name, place in _TERMS.items()}


def _read(
    path: Path, sections: dict[str, list[str]], name: str, count: int | None, convert: Callable[[str], Any]
) -> list[Any]:
    """Values of a section by its own %FORMAT; as many as announced, None for any number."""
    lines = sections.get(name, [])
    match = _FORMAT.match(lines[0]) if lines else None
    if match is None:
        raise TopologyError(f"{path} has no section {name}; {_NO_TOP}")
    per_line, width = int(match[1]), int(match[3])
    if not 0 < width <= 200 or not 0 < per_line <= 1000:
        raise TopologyError(f"{path}: the format of section {name} makes no sense; {_NO_TOP}")
    is_text = match[2] in "aA"
    fields = []
    for line in lines[1:]:
        stop = per_line * width if is_text else len(line.rstrip())
        fields += [line[i : i + width].strip() for i in range(0, min(stop, per_line * width), width)]
    if is_text:
        fields = fields[:count]  # blanks fill the last line
    if count is not None and len(fields) != count:
        raise TopologyError(f"{path}: section {name} holds {len(fields)} of {count} values; {_NO_TOP}")
    try:
        values = [convert(field) for field in fields]
        if any(isinstance(value, int) and abs(value) >= 2**31 for value in values):
            raise ValueError("a number beyond 32 bits")
        return values
    except ValueError as error:
        raise TopologyError(f"{path}: section {name} cannot be read ({error}); {_NO_TOP}") from error


def _residue_of_atoms(
    path: Path, sections: dict[str, list[str]], n_atoms: int, n_residues: int
) -> NDArray[np.int64]:
    """(n_atoms,). Residue of each atom, from 0."""
    first = np.array(_read(path, sections, "RESIDUE_POINTER", n_residues, int), dtype=np.int64) - 1
    if first[0] != 0 or (np.diff(first) <= 0).any() or first[-1] >= n_atoms:
        raise TopologyError(f"{path}: section RESIDUE_POINTER does not rise from 1 to {n_atoms}; {_NO_TOP}")
    return np.searchsorted(first, np.arange(n_atoms), side="right").astype(np.int64) - 1


def _elements(
    path: Path,
    sections: dict[str, list[str]],
    masses: NDArray[np.float64],
    names: NDArray[np.str_],
    residue_names: NDArray[np.str_],
    bonds: NDArray[np.int64],
) -> NDArray[np.str_]:
    guessed = elements_of_masses(masses, names, residue_names, bonds)
    if "ATOMIC_NUMBER" not in sections:
        return guessed
    numbers = _read(path, sections, "ATOMIC_NUMBER", len(masses), int)
    light = {1: "H", 6: "C", 7: "N", 8: "O", 9: "F", 15: "P", 16: "S", 17: "Cl"}
    return np.array([light.get(n, g) for n, g in zip(numbers, guessed, strict=True)], dtype=np.str_)


def _read_terms(
    path: Path, sections: dict[str, list[str]], kind: str, width: int, counts: Mapping[str, int]
) -> NDArray[np.int64]:
    """(n_terms, width). Those with hydrogen and those without, as many as POINTERS says."""
    found = []
    for name in (f"{kind}_INC_HYDROGEN", f"{kind}_WITHOUT_HYDROGEN"):
        is_there = counts[name] or name in sections
        values = _read(path, sections, name, width * counts[name], int) if is_there else []
        found.append(np.array(values, dtype=np.int64).reshape(-1, width))
    return np.concatenate(found)


def _bonds(
    path: Path, sections: dict[str, list[str]], n_atoms: int, counts: Mapping[str, int]
) -> NDArray[np.int64]:
    """(n_bonds, 2). Amber stores three times the index of each atom, then the type."""
    pairs = _read_terms(path, sections, "BONDS", 3, counts)[:, :2]
    if (pairs % 3).any():
        raise TopologyError(f"{path}: a bond's index is not a multiple of three; {_NO_TOP}")
    if len(pairs) and (pairs.min() < 0 or pairs.max() // 3 >= n_atoms or (pairs[:, 0] == pairs[:, 1]).any()):
        raise TopologyError(f"{path}: a bond names an atom outside 1 to {n_atoms}, or itself; {_NO_TOP}")
    return sorted_bonds(pairs // 3)
