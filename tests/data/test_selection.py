"""Selections name the atoms they say, in any naming, and errors tell what there is."""

import dataclasses

import numpy as np
import pytest

from smdgen.data.selection import protein_mask, select_atoms
from smdgen.data.structure import Structure, subset
from smdgen.errors import ConfigError


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        ("all", 104),
        ("protein", 104),
        ("protein and name N CA C O", 40),
        ("name CA", 10),
        ("ca", 10),
        ("resid 1 to 3 and name CA", 3),
        ("resid 1 and name CA", 1),
        ("index 5", 1),
        ("segname DECA", 104),
        ("not protein or name NT", 1),
        ("(name N C) and resid 2 3", 4),
    ],
)
def test_counts_on_the_peptide(peptide: Structure, selection: str, count: int) -> None:
    assert len(select_atoms(peptide, selection)) == count


def test_indices_are_those_of_the_structure(peptide: Structure) -> None:
    found = select_atoms(peptide, "resid 4 and name N CA C O")
    assert [peptide.label(i) for i in found] == [f"DECA ALA 4 {name}" for name in ("N", "CA", "C", "O")]


def test_the_order_of_the_file_is_kept(peptide: Structure) -> None:
    shuffled = subset(peptide, np.random.default_rng(0).permutation(peptide.n_atoms))
    found = select_atoms(shuffled, "name CA")
    assert (np.diff(found) > 0).all()
    assert set(shuffled.names[found]) == {"CA"}


def test_a_backbone_alone_is_protein(peptide: Structure) -> None:
    backbone = subset(peptide, select_atoms(peptide, "name N CA C O"))
    assert len(select_atoms(backbone, "protein and name N CA C O")) == 40


@pytest.mark.parametrize("name", ["HSD", "HSE", "CYX", "NALA", "XYZ"])
def test_residues_with_a_backbone_are_protein_whatever_their_name(peptide: Structure, name: str) -> None:
    renamed = dataclasses.replace(peptide, residue_names=np.full(peptide.n_atoms, name))
    assert len(select_atoms(renamed, "protein and name CA")) == 10


def test_caps_and_ions_are_no_protein(peptide: Structure) -> None:
    """NMA calls its methyl CA, and calcium is CA too: neither is an end of the chain."""
    names = peptide.residue_names.copy()
    names[peptide.residue_ids == 10] = "NMA"
    names[peptide.residue_ids == 1] = "CAL"
    is_end = np.isin(peptide.residue_ids, (1, 10))
    kept = np.flatnonzero(~is_end | (peptide.names == "CA"))
    mixed = subset(dataclasses.replace(peptide, residue_names=names), kept)
    assert len(select_atoms(mixed, "name CA")) == 10
    assert len(select_atoms(mixed, "protein and name CA")) == 8


def test_protein_needs_no_segments_or_chains(peptide: Structure) -> None:
    blank = np.full(peptide.n_atoms, "")
    assert protein_mask(dataclasses.replace(peptide, segment_ids=blank, chain_ids=blank)).all()


def test_distances_need_positions(peptide: Structure, folded: Structure) -> None:
    near = select_atoms(folded, "name CA and within 6 of (resid 1 and name CA)")
    assert folded.positions is not None
    ca = np.flatnonzero(folded.names == "CA")
    distances = np.linalg.norm(folded.positions[ca] - folded.positions[ca[0]], axis=1)
    assert near.tolist() == ca[distances < 6].tolist()
    with pytest.raises(ConfigError, match="coordinates"):
        select_atoms(peptide, "within 6 of name CA")


def test_no_match_tells_what_there_is(peptide: Structure) -> None:
    with pytest.raises(ConfigError, match=r"matches no atom.*residues ALA.*names N HT1.*segments DECA"):
        select_atoms(peptide, "name XX")


@pytest.mark.parametrize(
    "selection", ["", "  ", "name (", "foo bar", "resid", "and", "resid a to b", "(((", "'"]
)
def test_what_cannot_be_read_is_refused_in_one_line(peptide: Structure, selection: str) -> None:
    with pytest.raises(ConfigError) as caught:
        select_atoms(peptide, selection)
    assert "\n" not in str(caught.value)
