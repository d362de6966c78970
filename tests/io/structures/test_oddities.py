"""Names that programs usually write raise no remark; a letter that damage changed does."""

from dataclasses import replace

import numpy as np
import pytest

from smdgen.io.structures.oddities import find_oddities
from smdgen.io.structures.pdb import read_pdb

ATOMS = (("N", "N"), ("CA", "C"), ("C", "C"), ("O", "O"))


@pytest.fixture
def peptide(tmp_path):
    lines = []
    for residue in range(1, 5):
        for name, element in ATOMS:
            serial = len(lines) + 1
            lines.append(
                f"ATOM  {serial:5d}  {name:<3} ALA A{residue:4d}    "
                f"{3.8 * residue:8.3f}{serial % 4:8.3f}{0:8.3f}  1.00  0.00          {element:>2}"
            )
    path = tmp_path / "peptide.pdb"
    path.write_text("\n".join([*lines, "END", ""]))
    return read_pdb(path)


@pytest.mark.parametrize("name", ["OXT", "OT1", "OC1", "OC2"])
def test_usual_names_of_a_terminal_oxygen_raise_no_remark(peptide, name):
    names = peptide.names.astype("U4")
    names[-1] = name
    assert "unusual" not in " ".join(find_oddities(replace(peptide, names=names)))


def test_an_unknown_name_is_said(peptide):
    names = peptide.names.astype("U4")
    names[np.flatnonzero(names == "O")[1]] = "QX"
    assert "unusual names" in " ".join(find_oddities(replace(peptide, names=names)))


def test_two_chains_of_one_letter_are_told_how_to_select_them(tmp_path, peptide):
    lines = peptide.path.read_text().splitlines()[:-1]
    path = tmp_path / "dimer.pdb"
    path.write_text(
        "\n".join([*lines, "TER", *(line[:38] + f"{60:8.3f}" + line[46:] for line in lines), "END\n"])
    )
    notes = find_oddities(read_pdb(path))
    assert notes == [
        "residue numbers that two chains of one letter share: 8, first A ALA 1 N; resid takes both, "
        "index or fragment tells them apart"
    ]


def test_a_residue_in_two_parts_is_no_second_chain(peptide):
    numbers = peptide.residue_ids.copy()
    numbers[-1] = 1
    notes = " ".join(find_oddities(replace(peptide, residue_ids=numbers)))
    assert "residues in two parts or with one number: 2, first A ALA 1 N" in notes
    assert "share" not in notes


def test_the_bond_that_closes_a_ring_is_no_jump_of_numbers(peptide):
    bonds = np.concatenate([peptide.bonds, [[0, peptide.n_atoms - 2]]])
    assert find_oddities(replace(peptide, bonds=bonds)) == []
