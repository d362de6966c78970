"""Selections name the atoms they say, in any naming, and errors tell what there is."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from smdgen.errors import ConfigError
from smdgen.geometry.atoms import residue_numbers
from smdgen.geometry.backbone import find_backbone
from smdgen.io.structures.selection import protein_mask, select_atoms, selection_notes
from smdgen.io.structures.structure import Structure, read_structure, subset
from tests.tools.pulls import make_structure


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


def test_water_is_no_protein_where_residue_numbers_start_again(tmp_path: Path, example_pdb: Path) -> None:
    """After 9999 the numbers of a PDB begin anew, so waters have the protein's, twice, in one chain."""
    lines = [line[:72] for line in example_pdb.read_text().splitlines() if line.startswith("ATOM")]
    for water in range(20):
        for name in ("OW", "HW1", "HW2"):
            place = f"{40 + 5 * water + 0.5 * (name == 'HW1'):8.3f}{0.8 * (name != 'OW'):8.3f}{0:8.3f}"
            start = f"ATOM  {len(lines) + 1:5d}  {name:<3} SOL A{water % 10 + 1:4d}"
            lines.append(f"{start}    {place}  1.00  0.00".ljust(72))
    (tmp_path / "system.pdb").write_text("\n".join([*lines, "END", ""]))
    system = read_structure(tmp_path / "system.pdb")
    assert select_atoms(system, "protein").tolist() == list(range(104))
    assert (residue_numbers(system)[104:] == 10 + np.arange(60) // 3).all()
    assert select_atoms(system, "same residue as serial 135").tolist() == [134, 135, 136]
    assert not any("two parts" in note for note in system.notes)
    assert find_backbone(system).n_residues == 10


def test_a_residue_may_continue_at_the_end_of_the_file(peptide: Structure) -> None:
    """Programs that add hydrogens append them; they belong to the residue that lacks them."""
    order = np.argsort(peptide.elements == "H", kind="stable")
    found = residue_numbers(subset(peptide, order))
    assert (found == peptide.residue_ids[order] - 1).all()


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


@pytest.fixture
def numbered(peptide: Structure) -> Structure:
    """Ten residues from -2 on, with a 3A after the 3, in chains A and B, in segments of nine letters."""
    ids = peptide.residue_ids - 3
    codes = np.full(peptide.n_atoms, "", dtype="<U1")
    codes[ids == 4] = "A"
    ids[ids == 4] = 3
    chains = np.where(ids < 2, "A", "B")
    segments = np.where(ids < 2, "PROTEINAB", "PROTEINAC")
    return dataclasses.replace(
        peptide, residue_ids=ids, insertion_codes=codes, chain_ids=chains, segment_ids=segments
    )


def residues(structure: Structure, selection: str) -> list[str]:
    """The residues a selection touches, in order."""
    atoms = select_atoms(structure, selection)
    return list(dict.fromkeys(f"{structure.residue_ids[i]}{structure.insertion_codes[i]}" for i in atoms))


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("resid 1, 2, 3", "1 2 3 3A"),
        ("resid 1,2,3", "1 2 3 3A"),
        ("resid 1 2 and name N, CA", "1 2"),
        ("resid -2", "-2"),
        ("resid -2 -1 5", "-2 -1 5"),
        ("resid -2 to 0", "-2 -1 0"),
        ("resid `-2` to 0", "-2 -1 0"),
        ("resid `-2 to 0`", "-2 -1 0"),
        ("resid `-2`", "-2"),
        ("resid 3A", "3A"),
        ("resid 3_", "3"),
        ("resid 3A 5", "3A 5"),
        ("resid 2 to 5, 7", "2 3 3A 5 7"),
        ("resid < 0", "-2 -1"),
        ("0 <= resid and resid <= 2", "0 1 2"),
        ("-1 <= resid < 2", "-1 0 1"),
        ("residue 0 to 2", "-2 -1 0"),
        ("segname PROTEINAB", "-2 -1 0 1"),
        ("not segname PROTEINAB and name CA", "2 3 3A 5 6 7"),
        ("same chain as resid 7", "2 3 3A 5 6 7"),
        ("chain A and not resid 0 or resid 7", "-2 -1 1 7"),
        ('chain "A" or chain "B" and resid 5', "-2 -1 0 1 5"),
        ("(resid + 1) % 4 = 0 and resid > 0", "3 3A 7"),
    ],
)
def test_every_value_counts(numbered: Structure, selection: str, expected: str) -> None:
    """ProDy takes the last of `1, 2, 3`, the ends of `-2 to 0`, nothing of long segment names."""
    assert residues(numbered, selection) == expected.split()


def test_names_with_commas_are_all_taken(peptide: Structure) -> None:
    found = select_atoms(peptide, "name N, CA, C, O")
    assert found.tolist() == np.flatnonzero(np.isin(peptide.names, ["N", "CA", "C", "O"])).tolist()


def test_serial_counts_from_1_as_colvars_and_vmd_do(peptide: Structure) -> None:
    assert select_atoms(peptide, "serial 1 5 to 7").tolist() == [0, 4, 5, 6]
    assert select_atoms(peptide, "index 0 4 to 6").tolist() == [0, 4, 5, 6]


@pytest.mark.parametrize(
    "selection",
    [
        "name CA CB and not resid 2 to 4",
        "(name N C) and resid 2 3 or index 50 to 60",
        'name "H.*" and resname ALA',
        "backbone or mass < 2 and resid 1",
        "not (hydrogen or name O)",
        "sidechain and resid 3 to 5",
        "x > 0 and sqrt(sq(y) + sq(z)) < 5",
        "same residue as within 4 of index 10",
        "exwithin 5 of resid 2 and name CA",
        "noh and (resid 1 or resid 10)",
        "12 <= mass <= 13.5",
        "element C O and resid 5",
        "abs(x) >= 3.5 or heavy and resid 9",
    ],
)
def test_prody_agrees_where_it_reads_every_word(folded: Structure, selection: str) -> None:
    import prody

    from smdgen.io.structures.selection import _atom_group

    prody.LOGGER.verbosity = "none"
    other = _atom_group(prody, folded).select(selection)
    assert select_atoms(folded, selection).tolist() == other.getIndices().tolist()


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        ("resid 1A to 4", "a range goes from number to number, without insertion codes"),
        ("resid 1:10", "write resid 1 to 10"),
        ("resid 1-10", "write resid 1 to 10"),
        ("resid 5 to 2", "the smaller number comes first"),
        ("resid 1 to", "ends too early"),
        ("resid 1.5", "expected whole numbers after 'resid', found '1.5'"),
        ("index CA", "expected whole numbers after 'index'"),
        ("not name H*", 'write name "H.*"'),
        ("name N+CA+C", "write name N CA C"),
        ("name CA protein", "expected 'and' or 'or' before 'protein'.*backquotes"),
        ("protein, water", "expected 'and' or 'or' before 'water'"),
        ("name CA & resid 5", "write 'and' for '&'"),
        ("name CA and", "expected a selection at the end"),
        ("name CA and and resid 5", "expected a selection before 'and'"),
        ("nmae CA", "'nmae' is not a keyword; did you mean 'name'"),
        ("resi 5", "'resi' is not a keyword; did you mean 'resid'"),
        ("protien", "did you mean 'protein'"),
        ("Protein and name CA", "did you mean 'protein'"),
        ("name", "'name' must be followed by values"),
        ("(name CA", "expected '\\)' at the end"),
        ("name CA) or all", "before '\\)'"),
        ('name "CA', "quotation mark is not closed"),
        ('name "(" ', "not a regular expression"),
        ("within x of name CA", "expected a number, found 'x'"),
        ("within 5 name CA", "expected 'of' before 'name'"),
        ("name = CA", "names go without signs"),
        ("resid 300 301", "matches no atom, no atom has resid 300, resid 301"),
        ("__import__('os') > 3", "comparison of numbers"),
        ("x.real > 3", "comparison of numbers"),
    ],
)
def test_nothing_is_passed_over_in_silence(folded: Structure, selection: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        select_atoms(folded, selection)
    assert "\n" not in str(caught.value)
    assert "pyparsing" not in str(caught.value)


def test_values_that_no_atom_has_are_noted(peptide: Structure) -> None:
    (note,) = selection_notes(peptide, "name N CA C 0 and resid 1 to 3 40 50 to 60")
    assert note.endswith("no atom has name 0, resid 40, resid 50 to 60")
    assert selection_notes(peptide, "name N CA C O and resid 1 to 30") == ()


@pytest.mark.parametrize("pattern", ["C.*", "C[AB]", "CA|CB"])
def test_a_pattern_in_single_quotes_is_answered_with_double_ones(pattern):
    """VMD and ProDy take single quotes literally; a shell makes people write them."""
    with pytest.raises(ConfigError, match=re.escape(f'for a pattern write name "{pattern}"')):
        select_atoms(make_structure(), f"name '{pattern}'")
    assert len(select_atoms(make_structure(), f'name "{pattern}"')) > 0
