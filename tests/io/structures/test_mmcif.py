"""mmCIF files give the same atoms as the PDB of the same entry; broken ones are refused."""

from pathlib import Path

import pytest

from smdgen.io.structures.mmcif import read_mmcif
from smdgen.io.structures.pdb import read_pdb, write_pdb
from smdgen.io.structures.selection import select_atoms

MMCIF = """\
data_TEST
_cell.length_a   30.000
_cell.length_b   31.000
_cell.length_c   32.000
_cell.angle_alpha   90.00
_cell.angle_beta    80.00
_cell.angle_gamma   70.00
#
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_seq_id
_atom_site.pdbx_PDB_ins_code
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
_atom_site.occupancy
_atom_site.auth_seq_id
_atom_site.auth_asym_id
_atom_site.pdbx_PDB_model_num
ATOM   1 N N     . GLY A 1 ? 0.000 0.000 0.000 1.00 41 H 1
ATOM   2 C CA    . GLY A 1 ? 1.458 0.000 0.000 1.00 41 H 1
ATOM   3 C C     . GLY A 1 ? 2.009 1.420 0.000 1.00 41 H 1
ATOM   4 O "O"   . GLY A 1 ? 1.251 2.390 0.000 1.00 41 H 1
ATOM   5 N N     . GLY A 2 A 3.332 1.545 0.000 1.00 41 H 1
ATOM   6 C CA    A GLY A 2 A 3.900 2.800 0.100 0.30 41 H 1
ATOM   7 C CA    B GLY A 2 A 3.988 2.847 0.000 0.70 41 H 1
HETATM 8 O "O5'" . LIG B . ? 9.900 9.800 9.100 1.00 301 H 1
ATOM   9 N N     . GLY A 1 ? 5.000 0.000 0.000 1.00 41 H 2
#
"""


def test_every_column_is_read(tmp_path: Path) -> None:
    found = read_mmcif(_write(tmp_path, MMCIF))
    assert found.names.tolist() == ["N", "CA", "C", "O", "N", "CA", "O5'"]
    assert found.residue_names.tolist() == ["GLY"] * 6 + ["LIG"]
    assert found.residue_ids.tolist() == [41] * 6 + [301]
    assert found.insertion_codes.tolist() == [""] * 4 + ["A", "A", ""]
    assert found.chain_ids.tolist() == ["H"] * 7
    assert found.elements.tolist() == ["N", "C", "C", "O", "N", "C", "O"]
    assert found.positions is not None
    assert found.positions[5].tolist() == [3.988, 2.847, 0.0]
    assert found.cell is not None
    assert found.cell.tolist() == [30, 31, 32, 90, 80, 70]
    assert found.bonds.tolist() == [[0, 1], [1, 2], [2, 3], [2, 4], [4, 5]]
    assert any("alternative locations" in note for note in found.notes)
    assert "a.cif holds several models; the first is taken" in found.notes


CONNECTIONS = """\
loop_
_struct_conn.id
_struct_conn.conn_type_id
_struct_conn.ptnr1_label_atom_id
_struct_conn.ptnr1_auth_asym_id
_struct_conn.ptnr1_auth_seq_id
_struct_conn.pdbx_ptnr1_PDB_ins_code
_struct_conn.ptnr2_label_atom_id
_struct_conn.ptnr2_auth_asym_id
_struct_conn.ptnr2_auth_seq_id
_struct_conn.pdbx_ptnr2_PDB_ins_code
covale1 covale O H 41 ? "O5'" H 301 ?
metalc1 metalc N H 41 ? "O5'" H 301 ?
#
"""


def test_connections_are_bonds_and_coordination_is_not(tmp_path: Path) -> None:
    bonds = read_mmcif(_write(tmp_path, MMCIF + CONNECTIONS)).bonds.tolist()
    assert [3, 6] in bonds
    assert [0, 6] not in bonds
    names = [line for line in CONNECTIONS.splitlines() if line.startswith("_")]
    values = CONNECTIONS.splitlines()[-3].split()
    single = "\n".join(f"{name}   {value}" for name, value in zip(names, values, strict=True))
    assert [3, 6] in read_mmcif(_write(tmp_path, f"{MMCIF}{single}\n#\n")).bonds.tolist()


def test_a_chain_of_two_letters_is_found_in_the_pdb_that_we_write(tmp_path: Path) -> None:
    text = MMCIF.replace(" 41 H 1", " 41 AA 1").replace(" 301 H 1", " 301 AB 1")
    structure = read_mmcif(_write(tmp_path, text))
    assert any("chains of several letters (AA, AB) become segments" in note for note in structure.notes)
    write_pdb(tmp_path / "a.pdb", structure)
    again = read_pdb(tmp_path / "a.pdb")
    for selection in ("chain AA", "chain AB", "chain AA and name CA"):
        assert select_atoms(again, selection).tolist() == select_atoms(structure, selection).tolist()
    assert select_atoms(again, "segname AA").tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("line", ["", "# a remark"])
def test_blanks_and_remarks_do_not_end_the_table(tmp_path: Path, line: str) -> None:
    found = read_mmcif(_write(tmp_path, MMCIF.replace("ATOM   4", f"{line}\nATOM   4")))
    assert found.n_atoms == 7


BROKEN = {
    "no table": MMCIF.replace("_atom_site.", "_other."),
    "column twice": MMCIF.replace("_atom_site.id\n", "_atom_site.id\n_atom_site.id\n"),
    "no x": MMCIF.replace("_atom_site.Cartn_x\n", ""),
    "no rows": MMCIF[: MMCIF.index("ATOM   1")],
    "short row": MMCIF.replace(" 1.00 41 H 1\nATOM   2", "\nATOM   2"),
    "letters": MMCIF.replace("1.458", "l.458"),
    "unknown": MMCIF.replace("1.458", "?"),
    "nan": MMCIF.replace("1.458", "nan"),
    "residue": MMCIF.replace(" 41 H", " forty H"),
    "no model": MMCIF.replace("0.000 1.00 41 H 1\nATOM   4", "0.000 1.00 41 H ?\nATOM   4"),
    "cut": MMCIF[: MMCIF.index("2.800")],
}


def _write(folder: Path, text: str) -> Path:
    path = folder / "a.cif"
    path.write_bytes(text.encode("latin-1"))
    return path
