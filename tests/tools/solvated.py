"""A made-up solvated system: two chains of a backbone with water before, between and after them, as a PSF."""

from pathlib import Path

import numpy as np

from smdgen.io.structures.structure import PsfTerms, Structure, write_psf
from tests.tools.pulls import ATOM_FIELDS, make_structure

N_RESIDUES = 6

#: Every kind of term that CHARMM has but CMAP, with made-up constants; types are the atoms' names.
PARAMETERS = """* a backbone and water
*

BONDS
N    CA    320.0   1.430
CA   C     250.0   1.490
C    O     620.0   1.230
C    N     370.0   1.345
OT   HT    450.0   0.957
HT   HT      0.0   1.514

ANGLES
N    CA   C     50.0   107.0
CA   C    O     80.0   121.0   15.0   2.38
CA   C    N     80.0   116.5
O    C    N     80.0   122.5
C    N    CA    50.0   120.0   12.0   2.42
HT   OT   HT    55.0   104.5

DIHEDRALS
N    CA   C    N      0.60  1     0.0
N    CA   C    N      0.40  2   180.0
CA   C    N    CA     2.50  2   180.0
CA   C    N    CA     1.60  1     0.0
C    N    CA   C      0.20  1   180.0
O    C    N    CA     2.50  2   180.0

IMPROPER
C    CA   N    O    120.0  0     0.0

NONBONDED nbxmod  5 atom cdiel shift vatom vdistance vswitch -
cutnb 14.0 ctofnb 12.0 ctonnb 10.0 eps 1.0 e14fac 1.0 wmin 1.5
N      0.000000  -0.200000     1.850000
CA     0.000000  -0.020000     2.275000
C      0.000000  -0.110000     2.000000
O      0.000000  -0.120000     1.700000
OT     0.000000  -0.152100     1.768200
HT     0.000000  -0.046000     0.224500
END
"""


def write_solvated(path: Path) -> Path:
    """Write the PSF: 20 waters, chain A, 20 waters, chain B, 20 waters."""
    pieces = [_water("W1"), _chain("A"), _water("W2"), _chain("B"), _water("W3")]
    starts = np.cumsum([0, *(piece.n_atoms for piece, _ in pieces)])
    columns = {field: np.concatenate([getattr(piece, field) for piece, _ in pieces]) for field in ATOM_FIELDS}
    listed = {
        field: np.concatenate(
            [getattr(terms, field) + start for (_, terms), start in zip(pieces, starts, strict=False)]
        )
        for field in ("bonds", "angles", "dihedrals", "impropers", "cross_terms")
    }
    water = np.char.startswith(columns["segment_ids"], "W")
    types = np.where(water, np.where(columns["elements"] == "O", "OT", "HT"), columns["names"])
    structure = Structure(**columns, bonds=listed["bonds"], types=types, charges=np.zeros(len(types)))
    write_psf(path, structure, PsfTerms(**listed))
    return path


def _chain(segment: str) -> tuple[Structure, PsfTerms]:
    chain = make_structure(N_RESIDUES)
    n, ca, c, o = (4 * np.arange(N_RESIDUES) + k for k in range(4))
    angles = [_rows(n, ca, c), _rows(ca, c, o), _rows(ca[:-1], c[:-1], n[1:]), _rows(o[:-1], c[:-1], n[1:])]
    angles.append(_rows(c[:-1], n[1:], ca[1:]))
    dihedrals = [_rows(n[:-1], ca[:-1], c[:-1], n[1:]), _rows(ca[:-1], c[:-1], n[1:], ca[1:])]
    dihedrals += [_rows(c[:-1], n[1:], ca[1:], c[1:]), _rows(o[:-1], c[:-1], n[1:], ca[1:])]
    terms = PsfTerms(
        chain.bonds,
        np.concatenate(angles),
        np.concatenate(dihedrals),
        _rows(c[:-1], ca[:-1], n[1:], o[:-1]),
        np.zeros((0, 8), dtype=np.int64),
    )
    columns = {**vars(chain), "segment_ids": np.full(chain.n_atoms, segment)}
    return Structure(**columns), terms


def _water(segment: str, n: int = 20) -> tuple[Structure, PsfTerms]:
    oxygen = 3 * np.arange(n)
    bonds = np.concatenate(
        [_rows(oxygen, oxygen + 1), _rows(oxygen, oxygen + 2), _rows(oxygen + 1, oxygen + 2)]
    )
    structure = Structure(
        names=np.array(["OH2", "H1", "H2"] * n),
        residue_names=np.full(3 * n, "TIP3"),
        residue_ids=np.repeat(np.arange(1, n + 1), 3),
        insertion_codes=np.full(3 * n, ""),
        chain_ids=np.full(3 * n, ""),
        segment_ids=np.full(3 * n, segment),
        elements=np.array(["O", "H", "H"] * n),
        masses=np.array([15.999, 1.008, 1.008] * n),
        bonds=bonds,
    )
    none = np.zeros((0, 4), dtype=np.int64)
    terms = PsfTerms(
        bonds, _rows(oxygen + 1, oxygen, oxygen + 2), none, none, np.zeros((0, 8), dtype=np.int64)
    )
    return structure, terms


def _rows(*columns: np.ndarray) -> np.ndarray:
    return np.stack(columns, axis=1)
