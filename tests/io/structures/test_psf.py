"""PSF files in the spellings of VMD, CHARMM and NAMD are read; cut and contradictory ones are refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from smdgen.io.structures.psf import read_psf, read_psf_terms, write_psf
from smdgen.io.structures.structure import Structure, read_structure, subset
from tests.tools.molfile import read_structure_as_vmd

WATER = """PSF

       2 !NTITLE
 REMARKS a water, by hand
 REMARKS in X-PLOR spelling

       3 !NATOM
       1 WAT  1    TIP3 OH2  OT    -0.834000       15.9994           0
       2 WAT  1    TIP3 H1   HT     0.417000        1.0080           0
       3 WAT  1    TIP3 H2   HT     0.417000        1.0080           0

       2 !NBOND: bonds
       1       2       1       3

       1 !NTHETA: angles
       2       1       3

       0 !NPHI: dihedrals


       0 !NIMPHI: impropers


"""


@pytest.fixture
def water(tmp_path: Path) -> Path:
    return _write(tmp_path, WATER)


def test_every_column_is_read(water: Path) -> None:
    found = read_psf(water)
    assert found.segment_ids.tolist() == ["WAT"] * 3
    assert found.residue_ids.tolist() == [1, 1, 1]
    assert found.residue_names.tolist() == ["TIP3"] * 3
    assert found.names.tolist() == ["OH2", "H1", "H2"]
    assert found.types is not None
    assert found.types.tolist() == ["OT", "HT", "HT"]
    assert found.charges is not None
    assert found.charges.tolist() == [-0.834, 0.417, 0.417]
    assert found.masses.tolist() == [15.9994, 1.008, 1.008]
    assert found.elements.tolist() == ["O", "H", "H"]
    assert found.bonds.tolist() == [[0, 1], [0, 2]]
    assert found.has_cross_terms is False
    assert read_psf_terms(water).angles.tolist() == [[1, 0, 2]]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\xef\xbb\xbf" + text,
        lambda text: text.replace("by hand", "Åland \x85 \x0c"),
        lambda text: text.replace(" !NBOND: bonds", " !NBOND"),
        lambda text: text.replace("OT    -0.834", "75    -0.834"),
        lambda text: text.replace("PSF\n", "PSF CMAP CHEQ\n", 1).replace(
            "  0\n", "  0   0.00000     -0.301140E-02\n"
        ),
        lambda text: text.replace("!NTHETA", "!NTHETA").rstrip(),
    ],
    ids=["crlf", "byte-order mark", "latin-1", "bare title", "numeric type", "cheq columns", "no last lines"],
)
def test_spellings_that_mean_the_same(tmp_path: Path, water: Path, change) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "odd.psf"
    path.write_bytes(change(WATER).encode("latin-1"))
    found, plain = read_psf(path), read_psf(water)
    assert found.atom_hash == plain.atom_hash
    assert np.array_equal(found.bonds, plain.bonds)
    assert np.array_equal(found.charges, plain.charges)


def test_extended_columns(tmp_path: Path) -> None:
    text = """PSF EXT CMAP XPLOR

         1 !NTITLE
 REMARKS long names

         2 !NATOM
         1 SEGMENTA 10001    TIP3LONG OH2LONG  OTLONG    -0.834000       15.9994           0
         2 SEGMENTA 10001B   TIP3LONG H1       HT         0.417000        1.0080           0

         1 !NBOND: bonds
         1         2

         1 !NCRTERM: cross-terms
         1         2         1         2         1         2         1         2
"""
    found = read_psf(_write(tmp_path, text))
    assert found.names.tolist() == ["OH2LONG", "H1"]
    assert found.segment_ids[0] == "SEGMENTA"
    assert found.residue_ids.tolist() == [10001, 10001]
    assert found.insertion_codes.tolist() == ["", "B"]
    assert found.has_cross_terms is True


def test_blank_segments(tmp_path: Path) -> None:
    found = read_psf(_write(tmp_path, WATER.replace(" WAT ", "     ")))
    assert found.segment_ids.tolist() == [""] * 3
    assert found.names.tolist() == ["OH2", "H1", "H2"]
    assert found.masses.tolist() == [15.9994, 1.008, 1.008]


def test_a_file_without_bonds_is_read_with_a_note(tmp_path: Path) -> None:
    found = read_psf(_write(tmp_path, WATER[: WATER.index("       2 !NBOND")]))
    assert len(found.bonds) == 0
    assert any("no bonds" in note for note in found.notes)


BROKEN = {
    "no psf": WATER.replace("PSF", "PDB", 1),
    "no atoms": WATER.replace("!NATOM", "!NATOX"),
    "zero atoms": WATER.replace("       3 !NATOM", "       0 !NATOM"),
    "negative atoms": WATER.replace("       3 !NATOM", "      -3 !NATOM"),
    "absurd atoms": WATER.replace("       3 !NATOM", "1000000000 !NATOM"),
    "too many atoms": WATER.replace("       3 !NATOM", "       4 !NATOM"),
    "too few atoms": WATER.replace("       3 !NATOM", "       2 !NATOM"),
    "atom cut": WATER[: WATER.index("1.0080")],
    "atom number": WATER.replace("       2 WAT", "       7 WAT"),
    "nan mass": WATER.replace("15.9994", "    nan"),
    "negative mass": WATER.replace("       15.9994", "      -15.9994"),
    "letters for charge": WATER.replace("0.417000", "O.417OOO"),
    "bond to atom 0": WATER.replace("       1       2       1       3", "       0       2       1       3"),
    "bond to atom 4": WATER.replace("       1       2       1       3", "       4       2       1       3"),
    "bond to itself": WATER.replace("       1       2       1       3", "       1       1       1       3"),
    "bonds cut": WATER[: WATER.index("       1       3")],
    "absurd bonds": WATER.replace("       2 !NBOND", "99999999999 !NBOND"),
    "letters for bonds": WATER.replace(
        "       1       2       1       3", "       1       x       1       3"
    ),
    "two atom sections": WATER + "\n       1 !NATOM\n",
    "residue number": WATER.replace("WAT  1 ", "WAT  ?1"),
    "drude": WATER.replace("PSF", "PSF EXT DRUDE XPLOR", 1),
    "superscript": WATER.replace("       2 !NBOND", "       ² !NBOND"),
    "binary": "PSF\n" + "\0\x01\x02" * 100,
}


def test_vmd_reads_what_we_write(tmp_path: Path, peptide: Structure, example_psf: Path) -> None:
    one, two = tmp_path / "a.psf", tmp_path / "b.psf"
    for path in (one, two):
        write_psf(path, peptide, read_psf_terms(example_psf))
    assert one.read_bytes() == two.read_bytes()
    seen, original = read_structure_as_vmd(one, "psf"), read_structure_as_vmd(example_psf, "psf")
    assert seen.atoms == original.atoms
    assert sorted(tuple(sorted(bond)) for bond in seen.bonds) == [
        tuple(bond) for bond in peptide.bonds.tolist()
    ]


def test_a_round_trip_keeps_everything(tmp_path: Path, peptide: Structure, example_psf: Path) -> None:
    path = tmp_path / "a.psf"
    terms = read_psf_terms(example_psf)
    write_psf(path, peptide, terms)
    found = read_psf(path)
    assert found.atom_hash == peptide.atom_hash
    for field in ("bonds", "charges", "types", "masses", "elements"):
        assert np.array_equal(getattr(found, field), getattr(peptide, field)), field
    for field in dataclasses.fields(terms):
        assert np.array_equal(getattr(read_psf_terms(path), field.name), getattr(terms, field.name)), (
            field.name
        )


def test_a_subset_in_mdtraj(tmp_path: Path, peptide: Structure) -> None:
    mdtraj = pytest.importorskip("mdtraj")
    backbone = subset(peptide, np.flatnonzero(np.isin(peptide.names, ["N", "CA", "C", "O"])))
    write_psf(tmp_path / "a.psf", backbone)
    topology = mdtraj.load_psf(str(tmp_path / "a.psf"))
    assert (topology.n_atoms, topology.n_bonds, topology.n_residues) == (40, 39, 10)


def test_long_names_make_an_extended_file(tmp_path: Path, peptide: Structure) -> None:
    segments = np.full(peptide.n_atoms, "LONGSEGM")
    long = dataclasses.replace(peptide, segment_ids=segments)
    write_psf(tmp_path / "a.psf", long)
    assert read_psf(tmp_path / "a.psf").atom_hash == long.atom_hash
    atoms = read_structure_as_vmd(tmp_path / "a.psf", "psf").atoms
    assert [atom["name"] for atom in atoms] == peptide.names.tolist()


def _write(folder: Path, text: str) -> Path:
    path = folder / "water.psf"
    path.write_bytes(text.encode("latin-1"))
    return path


def test_repartitioned_masses_are_still_those_of_the_elements(tmp_path: Path, example_psf: Path) -> None:
    """Every hydrogen 3.024 dalton, its partner lighter: an amide N weighs 11.991, as C nearly does."""
    plain = read_psf(example_psf)
    masses = plain.masses.copy()
    for bond in plain.bonds:
        for one, other in (bond, bond[::-1]):
            if plain.elements[one] == "H":
                masses[one] += 2.016
                masses[other] -= 2.016
    path = tmp_path / "hmr.psf"
    write_psf(path, dataclasses.replace(plain, masses=masses), read_psf_terms(example_psf))
    found = read_structure(path)
    assert found.masses[plain.names == "N"].min() < 11.992
    assert found.elements.tolist() == plain.elements.tolist()
    assert found.notes == ()
