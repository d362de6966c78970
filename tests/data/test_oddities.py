"""What one wrong letter or number leaves behind in the names of a structure."""

from pathlib import Path

import pytest

from smdgen.data.structure import Structure, read_structure
from tests.data.conftest import EXAMPLE

CHANGES = {
    "a name that its residue has already": ("DECA 3    ALA  CA ", "DECA 3    ALA  CB ", "same name"),
    "a name no residue has": ("DECA 3    ALA  CA ", "DECA 3    ALA  CQ ", "without their backbone"),
    "a hydrogen's name": ("DECA 4    ALA  HB2", "DECA 4    ALA  HG2", "unlike the others"),
    "a name of another element": ("DECA 3    ALA  O ", "DECA 3    ALA  S ", "do not fit the element"),
    "a mass of another element": (
        "O     -0.510000       15.9990",
        "O     -0.510000       32.0600",
        "element",
    ),
    "a residue number": ("DECA 3    ALA  CB ", "DECA 8    ALA  CB ", "two parts"),
    "a residue name": ("DECA 3    ALA  CB ", "DECA 3    GLY  CB ", "two parts"),
    "a segment": ("DECA 3    ALA  CB ", "DEKA 3    ALA  CB ", "without their backbone"),
    "a bond": ("       1       4       4       5", "       1       5       4       5", "not bonded"),
    "a bond twice": ("       4       6       4      10", "       4       5       4      10", "twice"),
}


@pytest.mark.parametrize(("old", "new", "words"), CHANGES.values(), ids=CHANGES.keys())
def test_a_change_of_a_psf_is_noted(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = (EXAMPLE / "deca_alanine.psf").read_text()
    assert old in text
    changed = tmp_path / "changed.psf"
    changed.write_text(text.replace(old, new, 1))
    notes = read_structure(changed).notes
    assert any(words in note for note in notes), notes


def test_a_renumbered_residue_is_noted(tmp_path: Path) -> None:
    text = (EXAMPLE / "deca_alanine.pdb").read_text()
    changed = tmp_path / "changed.pdb"
    changed.write_text(text.replace("ALA A   5", "ALA A  15"))
    assert any("do not follow" in note for note in read_structure(changed).notes)


def test_the_example_is_not_odd(peptide: Structure, folded: Structure) -> None:
    assert peptide.notes == folded.notes == ()
