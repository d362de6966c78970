"""Atoms are found by what they are called, not by where they stand in the file."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smdgen.errors import TopologyError
from smdgen.io.structures.matching import match_atoms
from smdgen.io.structures.selection import select_atoms
from smdgen.io.structures.structure import Structure, subset
from tests.tools.pulls import ATOM_FIELDS


@pytest.fixture(scope="module")
def backbone(peptide: Structure) -> Structure:
    return subset(peptide, select_atoms(peptide, "name N CA C O"))


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_order_is_undone(peptide: Structure, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(peptide.n_atoms)
    shuffled = subset(peptide, order)
    assert np.array_equal(order[match_atoms(peptide, shuffled)], np.arange(peptide.n_atoms))


def test_additional_atoms_do_not_matter(backbone: Structure, peptide: Structure) -> None:
    matched = match_atoms(backbone, peptide)
    assert peptide.names[matched].tolist() == backbone.names.tolist()
    assert peptide.residue_ids[matched].tolist() == backbone.residue_ids.tolist()


@pytest.mark.parametrize("side", ["wanted", "found", "both"])
@pytest.mark.parametrize("columns", [("segment_ids",), ("segment_ids", "chain_ids")])
def test_segments_and_chains_may_be_unknown(
    backbone: Structure, peptide: Structure, side: str, columns: tuple[str, ...]
) -> None:
    changes = {column: np.full(peptide.n_atoms, "") for column in columns}
    wanted_changes = {column: np.full(backbone.n_atoms, "") for column in columns}
    wanted = dataclasses.replace(backbone, **wanted_changes) if side != "found" else backbone
    found = dataclasses.replace(peptide, **changes) if side != "wanted" else peptide
    assert np.array_equal(match_atoms(wanted, found), match_atoms(backbone, peptide))


def test_another_segment_name_does_not_matter_for_one_chain(backbone: Structure, peptide: Structure) -> None:
    renamed = dataclasses.replace(peptide, segment_ids=np.full(peptide.n_atoms, "PEP"))
    assert np.array_equal(match_atoms(backbone, renamed), match_atoms(backbone, peptide))


def test_a_segment_may_be_the_other_files_chain(backbone: Structure, peptide: Structure) -> None:
    wanted = dataclasses.replace(_twice(backbone), segment_ids=np.repeat(["A", "B"], 40))
    found = _twice(peptide)
    found = dataclasses.replace(
        found, chain_ids=np.repeat(["B", "A"], 104), segment_ids=np.full(found.n_atoms, "")
    )
    matched = match_atoms(wanted, found)
    assert found.chain_ids[matched].tolist() == wanted.segment_ids.tolist()


def test_copies_are_told_apart_by_segment(backbone: Structure, peptide: Structure) -> None:
    wanted = dataclasses.replace(_twice(backbone), segment_ids=np.repeat(["ONE", "TWO"], 40))
    found = dataclasses.replace(_twice(peptide), segment_ids=np.repeat(["TWO", "ONE"], 104))
    matched = match_atoms(wanted, found)
    assert found.segment_ids[matched].tolist() == wanted.segment_ids.tolist()
    assert found.names[matched].tolist() == wanted.names.tolist()


def test_numbers_that_start_again(backbone: Structure, peptide: Structure) -> None:
    """Large systems have several atoms of one name and place, in the same order in both files."""
    wanted, found = _twice(backbone), _twice(peptide)
    expected = match_atoms(backbone, peptide)
    assert np.array_equal(match_atoms(wanted, found), np.concatenate([expected, expected + 104]))


def test_a_water_of_the_same_number_is_another_residue(backbone: Structure, peptide: Structure) -> None:
    found = _twice(peptide)
    names = found.residue_names.copy()
    names[104:] = "HOH"
    found = dataclasses.replace(found, residue_names=names)
    assert np.array_equal(match_atoms(backbone, found), match_atoms(backbone, peptide))


def test_copies_that_cannot_be_told_apart_are_refused(backbone: Structure, peptide: Structure) -> None:
    found = dataclasses.replace(_twice(peptide), segment_ids=np.full(208, ""))
    with pytest.raises(TopologyError, match=r"2 atoms that could be DECA ALA 1 N"):
        match_atoms(backbone, found)


@pytest.mark.parametrize(
    ("ours", "theirs"), [("HN", "H"), ("HT1", "H1"), ("HT2", "H2"), ("O", "OT1")], ids=lambda name: name
)
def test_names_of_other_programs(peptide: Structure, ours: str, theirs: str) -> None:
    renamed = _renamed(peptide, ours, theirs)
    assert (renamed.names != peptide.names).any()
    assert np.array_equal(match_atoms(peptide, renamed), np.arange(peptide.n_atoms))
    assert np.array_equal(match_atoms(renamed, peptide), np.arange(peptide.n_atoms))


def test_the_exact_name_goes_first(peptide: Structure) -> None:
    """A carboxylate has O beside OXT in one file, OT1 beside OT2 in the other."""
    end = subset(
        peptide, np.flatnonzero((peptide.residue_ids == 10) & np.isin(peptide.names, ["C", "O", "NT"]))
    )
    wanted = _renamed(end, "NT", "OXT")
    found = subset(_renamed(_renamed(end, "O", "OT1"), "NT", "OT2"), [2, 1, 0])
    assert found.names[match_atoms(wanted, found)].tolist() == [
        {"O": "OT1", "OXT": "OT2", "C": "C"}[name] for name in wanted.names
    ]


def test_a_name_is_not_confused_with_its_synonym(peptide: Structure) -> None:
    """Where both names are there they are two atoms; one atom never answers to two names."""
    both = _renamed(peptide, "HB1", "OT1")
    assert np.array_equal(match_atoms(both, both), np.arange(peptide.n_atoms))
    with pytest.raises(TopologyError, match="answers to two atoms"):
        match_atoms(both, subset(both, np.flatnonzero(both.names != "OT1")))


def test_histidine_by_any_name(peptide: Structure) -> None:
    wanted = dataclasses.replace(peptide, residue_names=np.full(104, "HSD"))
    found = dataclasses.replace(peptide, residue_names=np.full(104, "HIS"))
    assert np.array_equal(match_atoms(wanted, found), np.arange(104))


def test_a_missing_atom_is_named(backbone: Structure, peptide: Structure) -> None:
    lacking = subset(peptide, np.flatnonzero((peptide.names != "CA") | (peptide.residue_ids != 3)))
    with pytest.raises(TopologyError, match=r"lacks DECA ALA 3 CA of .*residue 3 has N HN HA") as caught:
        match_atoms(backbone, lacking)
    assert "\n" not in str(caught.value)


def test_another_molecule_is_refused(backbone: Structure, peptide: Structure) -> None:
    names = peptide.residue_names.copy()
    names[peptide.residue_ids == 5] = "VAL"
    with pytest.raises(TopologyError, match=r"another molecule.*VAL 5 N.*ALA 5 N"):
        match_atoms(backbone, dataclasses.replace(peptide, residue_names=names))


def test_shifted_residue_numbers_are_refused(backbone: Structure, peptide: Structure) -> None:
    shifted = dataclasses.replace(peptide, residue_ids=peptide.residue_ids + 100)
    with pytest.raises(TopologyError, match="residue 1 has nothing"):
        match_atoms(backbone, shifted)


def test_insertion_codes_count(backbone: Structure, peptide: Structure) -> None:
    inserted = dataclasses.replace(peptide, insertion_codes=np.full(104, "A"))
    with pytest.raises(TopologyError):
        match_atoms(backbone, inserted)


def _twice(structure: Structure) -> Structure:
    order: NDArray[np.int64] = np.tile(np.arange(structure.n_atoms), 2)
    taken = {field: getattr(structure, field)[order] for field in ATOM_FIELDS}
    bonds = np.concatenate([structure.bonds, structure.bonds + structure.n_atoms])
    return Structure(**taken, bonds=bonds)


def _renamed(structure: Structure, old: str, new: str) -> Structure:
    names = np.where(structure.names == old, new, structure.names)
    return dataclasses.replace(structure, names=names)
