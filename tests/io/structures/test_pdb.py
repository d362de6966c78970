"""PDB files as VMD, CHARMM and the Protein Data Bank write them are read; broken ones are refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smdgen.errors import TopologyError
from smdgen.io.structures.atoms import sorted_bonds
from smdgen.io.structures.hybrid36 import decode_hybrid36, encode_hybrid36
from smdgen.io.structures.pdb import read_pdb, read_pdb_models, write_pdb
from smdgen.io.structures.structure import Structure
from tests.tools.molfile import read_frames_as_vmd, read_structure_as_vmd

GLYCINES = """\
REMARK by hand
CRYST1   30.000   31.000   32.000  90.00  80.00  70.00 P 1           1
ATOM      1  N   GLY A   1       0.000   0.000   0.000  1.00  0.00      SEGA N
ATOM      2  CA  GLY A   1       1.458   0.000   0.000  1.00  0.00      SEGA C
ATOM      3  C   GLY A   1       2.009   1.420   0.000  1.00  0.00      SEGA C
ATOM      4  O   GLY A   1       1.251   2.390   0.000  1.00  0.00      SEGA O
ATOM      5  N   GLY A   2       3.332   1.545   0.000  1.00  0.00      SEGA N
ATOM      6  CA  GLY A   2       3.988   2.847   0.000  1.00  0.00      SEGA C
ATOM      7  C   GLY A   2       5.504   2.700   0.000  1.00  0.00      SEGA C
ATOM      8  O   GLY A   2       6.035   1.590   0.000  1.00  0.00      SEGA O
TER
END
"""
BONDS = [[0, 1], [1, 2], [2, 3], [2, 4], [4, 5], [5, 6], [6, 7]]


def test_every_column_is_read(tmp_path: Path) -> None:
    found = read_pdb(_write(tmp_path, GLYCINES))
    assert found.names.tolist() == ["N", "CA", "C", "O"] * 2
    assert found.residue_names.tolist() == ["GLY"] * 8
    assert found.residue_ids.tolist() == [1] * 4 + [2] * 4
    assert found.chain_ids.tolist() == ["A"] * 8
    assert found.segment_ids.tolist() == ["SEGA"] * 8
    assert found.elements.tolist() == ["N", "C", "C", "O"] * 2
    assert found.masses[:2].tolist() == [14.007, 12.011]
    assert found.bonds.tolist() == BONDS
    assert found.positions is not None
    assert found.positions[4].tolist() == [3.332, 1.545, 0.0]
    assert found.cell is not None
    assert found.cell.tolist() == [30, 31, 32, 90, 80, 70]
    assert found.notes == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\xef\xbb\xbf" + text,
        lambda text: text.replace("by hand", "Ångström \x85"),
        lambda text: text.replace("TER\n", "").replace("END\n", ""),
        lambda text: text.replace("ATOM  ", "HETATM"),
        lambda text: "\n".join(line[:78] for line in text.split("\n")),
    ],
    ids=["crlf", "byte-order mark", "latin-1", "no end", "hetatm", "trimmed"],
)
def test_spellings_that_mean_the_same(tmp_path: Path, change) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "odd.pdb"
    path.write_bytes(change(GLYCINES).encode("latin-1"))
    found, plain = read_pdb(path), read_pdb(_write(tmp_path, GLYCINES))
    assert found.atom_hash == plain.atom_hash
    assert np.array_equal(found.positions, plain.positions)
    assert found.bonds.tolist() == BONDS


def test_without_elements_ca_is_carbon_in_a_protein_and_calcium_in_an_ion(tmp_path: Path) -> None:
    lines = [line[:76] if line.startswith("ATOM") else line for line in GLYCINES.splitlines()]
    lines[-2:] = [
        "ATOM      9  HG1 THR A   3      20.000  20.000  20.000  1.00  0.00      SEGA",
        "ATOM     10 CA   CAL B   4      25.000  20.000  20.000  1.00  0.00      IONS",
        "ATOM     11 CA    CA B   5      29.000  20.000  20.000  1.00  0.00      IONS",
        "ATOM     12 SOD  SOD B   6      29.000  25.000  20.000  1.00  0.00      IONS",
        "ATOM     13 SE   MSE A   7      29.000  29.000  20.000  1.00  0.00      SEGA",
    ]
    found = read_pdb(_write(tmp_path, "\n".join(lines)))
    assert found.elements.tolist() == [*["N", "C", "C", "O"] * 2, "H", "Ca", "Ca", "Na", "Se"]
    assert any("element" in note for note in found.notes)


def test_water_beside_the_chain_column(tmp_path: Path) -> None:
    """CHARMM's TIP3 takes the column before the chain too."""
    line = "ATOM      1  OH2 TIP3W   1       0.000   0.000   0.000  1.00  0.00      WT1  O\n"
    found = read_pdb(_write(tmp_path, line))
    assert (found.residue_names[0], found.chain_ids[0], found.segment_ids[0]) == ("TIP3", "W", "WT1")


def test_the_location_of_highest_occupancy_is_kept(tmp_path: Path) -> None:
    text = GLYCINES.replace(
        "ATOM      6  CA  GLY A   2       3.988   2.847   0.000  1.00",
        "ATOM      6  CA AGLY A   2       3.900   2.800   0.100  0.30  0.00      SEGA C\n"
        "ATOM      6  CA BGLY A   2       3.988   2.847   0.000  0.70",
    )
    found = read_pdb(_write(tmp_path, text))
    assert found.n_atoms == 8
    assert found.positions is not None
    assert found.positions[5].tolist() == [3.988, 2.847, 0.0]
    assert found.bonds.tolist() == BONDS
    assert any("alternative locations" in note and "1 atoms" in note for note in found.notes)


SERINE = """\
ATOM      1  N   SER A   1       0.000   0.000   0.000  1.00  0.00           N
ATOM      2  CA  SER A   1       1.458   0.000   0.000  1.00  0.00           C
ATOM      3  C   SER A   1       2.009   1.420   0.000  1.00  0.00           C
ATOM      4  O   SER A   1       1.251   2.390   0.000  1.00  0.00           O
ATOM      5  CB ASER A   1       1.988  -0.773  -1.199  0.60  0.00           C
ATOM      6  CB BSER A   1       1.998  -0.703  -1.229  0.40  0.00           C
ATOM      7  OG BSER A   1       1.560  -0.080  -2.430  1.00  0.00           O
ATOM      8  HG BSER A   1       1.900  -0.570  -3.180  1.00  0.00           H
END
"""


def test_occupancy_decides_not_the_number_of_atoms(tmp_path: Path) -> None:
    """A is the more occupied of the atom that both have; the further atoms of B say 1.00."""
    found = read_pdb(_write(tmp_path, SERINE))
    assert found.names.tolist() == ["N", "CA", "C", "O", "CB"]
    assert found.positions is not None
    assert found.positions[4].tolist() == [1.988, -0.773, -1.199]


def test_a_location_without_a_letter_is_one(tmp_path: Path) -> None:
    found = read_pdb(_write(tmp_path, SERINE.replace("CB ASER", "CB  SER")))
    assert found.names.tolist() == ["N", "CA", "C", "O", "CB"]
    found = read_pdb(_write(tmp_path, SERINE.replace("CB ASER", "CB  SER").replace("0.60", "0.20")))
    assert found.names.tolist() == ["N", "CA", "C", "O", "CB", "OG", "HG"]


def test_atoms_of_no_known_element_are_noted(tmp_path: Path) -> None:
    found = read_pdb(
        _write(
            tmp_path,
            GLYCINES.replace("C   GLY A   2", "XX  GLY A   2").replace(
                "SEGA C\nATOM      8", "SEGA\nATOM      8"
            ),
        )
    )
    assert any(
        "the element of 1 atoms is not known" in note and "XX of GLY 2" in note for note in found.notes
    )


def test_insertion_codes_make_residues(tmp_path: Path) -> None:
    text = GLYCINES.replace("GLY A   2 ", "GLY A   1A")
    found = read_pdb(_write(tmp_path, text))
    assert found.insertion_codes.tolist() == [""] * 4 + ["A"] * 4
    assert found.bonds.tolist() == BONDS
    assert found.notes == ()


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("9999 ", "A000 ", [9999, 10000]),
        ("9999 ", "2710 ", [9999, 10000]),
        ("9999 ", "10000", [9999, 10000]),
        ("  -1 ", "   0 ", [-1, 0]),
    ],
    ids=["hybrid-36", "hexadecimal", "one column more", "negative"],
)
def test_residue_numbers(tmp_path: Path, first: str, second: str, expected: list[int]) -> None:
    text = GLYCINES.replace("GLY A   1 ", f"GLY A{first}").replace("GLY A   2 ", f"GLY A{second}")
    found = read_pdb(_write(tmp_path, text))
    assert found.residue_ids[[0, 4]].tolist() == expected
    assert found.bonds.tolist() == BONDS


@given(st.integers(-999, 10**4 + 2 * 26 * 36**3 - 1))
def test_hybrid36_round_trip(number: int) -> None:
    assert decode_hybrid36(encode_hybrid36(number, 4).strip(), 4) == number


@pytest.mark.parametrize(("text", "number"), [("A000", 10000), ("ZZZZ", 1223055), ("a000", 1223056)])
def test_hybrid36_reference(text: str, number: int) -> None:
    """The table in the description of hybrid-36."""
    assert decode_hybrid36(text, 4) == number
    assert encode_hybrid36(number, 4) == text


@pytest.mark.parametrize("gap", ["TER", "distance", "segment", "chain"])
def test_no_false_peptide_bond(tmp_path: Path, gap: str) -> None:
    """Two chains one after the other without a chain letter are not joined."""
    lines = GLYCINES.splitlines()
    if gap == "TER":
        lines.insert(6, "TER")
    elif gap == "distance":
        lines = [f"{line[:46]}{3.0:8.3f}{line[54:]}" if "GLY A   2" in line else line for line in lines]
    else:
        old, new = ("SEGA", "SEGB") if gap == "segment" else ("GLY A", "GLY B")
        lines = [line.replace(old, new) if "GLY A   2" in line else line for line in lines]
    bonds = read_pdb(_write(tmp_path, "\n".join(lines))).bonds.tolist()
    assert bonds == [bond for bond in BONDS if bond != [2, 4]]


def test_a_stretched_peptide_bond_is_one(tmp_path: Path) -> None:
    text = GLYCINES.replace("3.332   1.545   0.000", "3.900   2.000   0.000")
    assert [2, 4] in read_pdb(_write(tmp_path, text)).bonds.tolist()


def test_conect_adds_bonds(tmp_path: Path) -> None:
    text = GLYCINES.replace("END", "CONECT    1    8\nCONECT    8    1\nCONECT    1   99\nEND")
    assert read_pdb(_write(tmp_path, text)).bonds.tolist() == sorted([*BONDS, [0, 7]])


def test_bonds_are_those_of_the_psf(folded: Structure, peptide: Structure) -> None:
    """103 bonds from template and distances, with NT and the CONH2 end, against the PSF's own."""
    assert np.array_equal(folded.bonds, peptide.bonds)
    assert np.array_equal(folded.elements, peptide.elements)
    assert folded.atom_hash == peptide.atom_hash


@pytest.mark.parametrize("end", ["ENDMDL", "END"])
def test_models(tmp_path: Path, end: str) -> None:
    body = GLYCINES.replace("END\n", "").replace("REMARK by hand\n", "")
    moved = body.replace("   0.000  1.00", "   1.000  1.00")
    path = _write(tmp_path, f"MODEL        1\n{body}{end}\nMODEL        2\n{moved}{end}\n")
    read = read_pdb_models(path)
    models = read.positions
    assert read.notes == ()
    assert read.cells is not None
    assert read.cells.tolist() == 2 * [[30.0, 31.0, 32.0, 90.0, 80.0, 70.0]]
    assert models.shape == (2, 8, 3)
    assert np.allclose(models[1] - models[0], [0, 0, 1])
    found = read_pdb(path)
    assert np.array_equal(found.positions, models[0])
    assert any("several models" in note for note in found.notes)


def test_a_damaged_line_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    body = GLYCINES.replace("END\n", "").replace("REMARK by hand\n", "")
    damaged = body.replace("   0.000  1.00", "     nan  1.00", 1)
    text = f"MODEL        1\n{body}ENDMDL\nMODEL        2\n{damaged}ENDMDL\n"
    path = _write(tmp_path, text)
    line = text[: text.index("nan")].count("\n") + 1
    with pytest.raises(TopologyError, match=f"line {line}: no coordinates"):
        read_pdb_models(path)


def test_a_model_without_atoms_is_refused(tmp_path: Path) -> None:
    body = GLYCINES.replace("END\n", "").replace("REMARK by hand\n", "")
    empty = "MODEL        2\nENDMDL\n"
    path = _write(tmp_path, f"MODEL        1\n{body}ENDMDL\n{empty}MODEL        3\n{body}ENDMDL\n")
    with pytest.raises(TopologyError, match="names 3 models, 2 of them hold atoms"):
        read_pdb_models(path)


def test_models_of_different_length_are_refused(tmp_path: Path) -> None:
    body = GLYCINES.replace("END\n", "")
    short = "\n".join(body.splitlines()[:-2]) + "\n"
    with pytest.raises(TopologyError, match="model 2 has 7 atoms, the first has 8"):
        read_pdb_models(_write(tmp_path, f"{body}ENDMDL\n{short}ENDMDL\n"))


@pytest.mark.parametrize(
    "cell",
    ["   0.000    0.000    0.000  90.00  90.00  90.00", "   1.000    1.000    1.000  90.00  90.00  90.00"],
)
def test_dummy_cells_are_none(tmp_path: Path, cell: str) -> None:
    text = GLYCINES.replace("   30.000   31.000   32.000  90.00  80.00  70.00", cell)
    assert read_pdb(_write(tmp_path, text)).cell is None


BROKEN = {
    "no atoms": "REMARK nothing here\nEND\n",
    "text": "once upon a time\n",
    "binary": "\0\x01\x02" * 100,
    "cut line": GLYCINES[: GLYCINES.index("3.988") + 2],
    "nan": GLYCINES.replace("   1.458", "     nan"),
    "infinite": GLYCINES.replace("   1.458", "     inf"),
    "absurd": GLYCINES.replace("   1.458", "   1e300"),
    "stars": GLYCINES.replace("   1.458", "********"),
    "residue number": GLYCINES.replace("GLY A   2", "GLY A  ?2"),
}


def test_a_round_trip_keeps_everything(tmp_path: Path, folded: Structure) -> None:
    one, two = tmp_path / "a.pdb", tmp_path / "b.pdb"
    for path in (one, two):
        write_pdb(path, folded)
    assert one.read_bytes() == two.read_bytes()
    found = read_pdb(one)
    assert found.atom_hash == folded.atom_hash
    for field in ("positions", "elements", "chain_ids", "bonds"):
        assert np.array_equal(getattr(found, field), getattr(folded, field)), field


def test_vmd_reads_what_we_write(tmp_path: Path, folded: Structure) -> None:
    write_pdb(tmp_path / "a.pdb", folded)
    atoms = read_structure_as_vmd(tmp_path / "a.pdb", "pdb").atoms
    assert [atom["name"] for atom in atoms] == folded.names.tolist()
    assert [atom["residue_id"] for atom in atoms] == folded.residue_ids.tolist()
    assert [atom["segment"].strip() for atom in atoms] == folded.segment_ids.tolist()
    numbers = {"H": 1, "C": 6, "N": 7, "O": 8}
    assert [atom["atomic_number"] for atom in atoms] == [numbers[e] for e in folded.elements]
    frames, _ = read_frames_as_vmd(tmp_path / "a.pdb", "pdb")
    assert folded.positions is not None
    assert np.allclose(frames[0], folded.positions, atol=5e-4)


def test_numbers_too_large_for_the_columns(tmp_path: Path, folded: Structure) -> None:
    large = dataclasses.replace(folded, residue_ids=folded.residue_ids + 9995)
    write_pdb(tmp_path / "a.pdb", large)
    assert read_pdb(tmp_path / "a.pdb").residue_ids.tolist() == large.residue_ids.tolist()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 10000.0, -1000.0])
def test_positions_a_pdb_cannot_hold_are_not_written(tmp_path: Path, folded: Structure, bad: float) -> None:
    positions = np.zeros((folded.n_atoms, 3))
    positions[3, 1] = bad
    with pytest.raises(TopologyError, match="cannot write"):
        write_pdb(tmp_path / "a.pdb", folded, positions)
    assert list(tmp_path.iterdir()) == []


def test_positions_of_another_shape_are_not_written(tmp_path: Path, peptide: Structure) -> None:
    with pytest.raises(TopologyError, match="positions are none"):
        write_pdb(tmp_path / "a.pdb", peptide)
    with pytest.raises(TopologyError, match=r"\(1, 104, 3\)"):
        write_pdb(tmp_path / "a.pdb", peptide, np.zeros((1, 104, 3)))


def _write(folder: Path, text: str) -> Path:
    path = folder / "glycines.pdb"
    path.write_bytes(text.encode("latin-1"))
    return path


def test_hydrogens_after_all_heavy_atoms_are_bonded_as_where_they_belong(folded, tmp_path):
    """As in unordered_res.pdb of the tests of MDAnalysis."""
    lines = [line for line in folded.path.read_text().splitlines() if line.startswith("ATOM")]
    order = np.argsort([line[76:78].strip() == "H" for line in lines], kind="stable")
    (tmp_path / "a.pdb").write_text("\n".join([*(lines[i] for i in order), "END", ""]))
    found = read_pdb(tmp_path / "a.pdb")
    assert sorted_bonds(order[found.bonds]).tolist() == folded.bonds.tolist()
    assert not any("too far from all others" in note for note in found.notes)


def test_rarer_elements_have_their_mass(tmp_path):
    line = "HETATM    1 AS   CAC A   1       0.000   0.000   0.000  1.00  0.00          AS\nEND\n"
    (tmp_path / "a.pdb").write_text(line)
    found = read_pdb(tmp_path / "a.pdb")
    assert (found.elements.tolist(), found.masses.tolist(), found.notes) == (["As"], [74.922], ())
