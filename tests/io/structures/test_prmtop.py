"""Amber prmtop files are read by their own formats; contradictory ones are refused."""

from pathlib import Path

import numpy as np
import pytest

from smdgen.io.structures.prmtop import read_prmtop

#: A methanol-like residue and a chloride; POINTERS names 7 atoms and 2 residues.
PRMTOP = """\
%VERSION  VERSION_STAMP = V0001.000  DATE = 01/01/01  00:00:00
%FLAG TITLE
%FORMAT(20a4)
by hand
%FLAG POINTERS
%FORMAT(10I8)
       7       4       4       1       0       0       0       0       0       0
       0       2       1       0       0       3       0       0       4       0
       0       0       0       0       0       0       0       0       6       0
       0
%FLAG ATOM_NAME
%FORMAT(20a4)
CA  HA1 HA2 HA3 OG  HG  CL-
%FLAG CHARGE
%COMMENT  in Amber's unit
%FORMAT(5E16.8)
  1.82223000E+00  0.00000000E+00  0.00000000E+00  0.00000000E+00 -1.09333800E+01
  9.11115000E+00 -1.82223000E+01
%FLAG MASS
%FORMAT(5E16.8)
  1.20100000E+01  3.02400000E+00  1.00800000E+00  1.00800000E+00  1.60000000E+01
  1.00800000E+00  3.54500000E+01
%FLAG RESIDUE_LABEL
%FORMAT(20a4)
MOH CL-
%FLAG RESIDUE_POINTER
%FORMAT(10I8)
       1       7
%FLAG BONDS_INC_HYDROGEN
%FORMAT(10I8)
       0       3       1       0       6       1       0       9       1      12
      15       1
%FLAG BONDS_WITHOUT_HYDROGEN
%FORMAT(10I8)
       0      12       2
%FLAG AMBER_ATOM_TYPE
%FORMAT(20a4)
CT  H1  H1  H1  OH  HO  IM
"""


def test_every_section_is_read(tmp_path: Path) -> None:
    found = read_prmtop(_write(tmp_path, PRMTOP))
    assert found.names.tolist() == ["CA", "HA1", "HA2", "HA3", "OG", "HG", "CL-"]
    assert found.residue_names.tolist() == ["MOH"] * 6 + ["CL-"]
    assert found.residue_ids.tolist() == [1] * 6 + [2]
    assert found.elements.tolist() == ["C", "H", "H", "H", "O", "H", "Cl"]
    assert found.charges is not None
    assert np.allclose(found.charges, [0.1, 0, 0, 0, -0.6, 0.5, -1.0])
    assert found.masses.tolist() == [12.01, 3.024, 1.008, 1.008, 16.0, 1.008, 35.45]
    assert found.bonds.tolist() == [[0, 1], [0, 2], [0, 3], [0, 4], [4, 5]]
    assert found.types is not None
    assert found.types.tolist() == ["CT", "H1", "H1", "H1", "OH", "HO", "IM"]
    assert found.positions is None


def test_names_without_blanks_between_them(tmp_path: Path) -> None:
    """Four letters a name leave no blank, so columns count and not words."""
    found = read_prmtop(_write(tmp_path, PRMTOP.replace("HA1 HA2 HA3 ", "HA11HA12HA13")))
    assert found.names.tolist()[:5] == ["CA", "HA11", "HA12", "HA13", "OG"]


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_other_line_ends(tmp_path: Path, newline: str) -> None:
    found = read_prmtop(_write(tmp_path, PRMTOP.replace("\n", newline)))
    assert found.atom_hash == read_prmtop(_write(tmp_path, PRMTOP)).atom_hash


def test_residue_numbers_and_chains_if_the_file_has_them(tmp_path: Path) -> None:
    more = "%FLAG RESIDUE_NUMBER\n%FORMAT(20I4)\n  41  -2\n%FLAG RESIDUE_CHAINID\n%FORMAT(20a4)\nA   B\n"
    found = read_prmtop(_write(tmp_path, PRMTOP + more))
    assert found.residue_ids.tolist() == [41] * 6 + [-2]
    assert found.chain_ids.tolist() == ["A"] * 6 + ["B"]


BROKEN = {
    "no pointers": PRMTOP.replace("POINTERS", "PAINTERS"),
    "no masses": PRMTOP.replace("%FLAG MASS", "%FLAG MOSS"),
    "too many atoms": PRMTOP.replace("\n       7       4 ", "\n       8       4 "),
    "absurd atoms": PRMTOP.replace("\n       7       4 ", "\n99999999       4 "),
    "no residues": PRMTOP.replace("       0       2       1", "       0       0       1"),
    "bond outside": PRMTOP.replace("       0      12       2", "       0     120       2"),
    "bond to itself": PRMTOP.replace("       0      12       2", "       0       0       2"),
    "bond of two numbers": PRMTOP.replace("       0      12       2", "       0      12"),
    "a bond less than announced": PRMTOP.replace(
        "       7       4       4       1", "       7       4       5       1"
    ),
    "bond within an atom": PRMTOP.replace("       0      12       2", "       0      13       2"),
    "heavy": PRMTOP.replace("  3.02400000E+00", " 1.00000000E+300"),
    "negative mass": PRMTOP.replace("  3.02400000E+00", " -3.02400000E+00"),
    "residues fall": PRMTOP.replace("       1       7\n%FLAG BONDS_INC", "       7       1\n%FLAG BONDS_INC"),
    "nan mass": PRMTOP.replace("  3.02400000E+00", "             nan"),
    "letters": PRMTOP.replace("  3.02400000E+00", "           three"),
    "format": PRMTOP.replace("%FORMAT(20a4)\nCA", "%FORMAT(20q4)\nCA"),
    "zero width": PRMTOP.replace("%FORMAT(20a4)\nCA", "%FORMAT(20a0)\nCA"),
    "twice": PRMTOP + "%FLAG MASS\n",
    "cut after the bonds": PRMTOP.replace("1       0       0       0", "1       1       0       0", 1),
    "cut": PRMTOP[: PRMTOP.index("%FLAG BONDS_WITHOUT")],
    "old": "title\n    7    4\n",
}


def _write(folder: Path, text: str) -> Path:
    path = folder / "a.prmtop"
    path.write_bytes(text.encode("latin-1"))
    return path
