"""Bonds by name: what distances would get wrong, and the spellings of every program."""

import numpy as np
import pytest

from smdgen.io.structures.bonding import find_bonds
from smdgen.io.structures.elements import guess_element
from smdgen.io.structures.pdb import read_pdb
from smdgen.io.structures.residue_templates import template_of

#: One leucine, A; HG is 0.4 A from CB, as a real file has it.
LEU = {
    "N": (0.0, 0.0, 0.0), "CA": (1.46, 0.0, 0.0), "C": (2.0, 1.42, 0.0), "O": (1.3, 2.4, 0.0),
    "CB": (2.0, -0.77, -1.2), "CG": (1.6, -2.24, -1.26), "HG": (2.0, -1.15, -1.3), "HB1": (3.1, -0.7, -1.2),
    "HB2": (1.63, -0.3, -2.1), "HA": (1.8, -0.5, 0.9), "HN": (-0.4, -0.5, 0.8),
}  # fmt: skip


def bonds_of(names, positions, residue="LEU"):
    n = len(names)
    elements = np.array([guess_element(name, residue) for name in names])
    found = find_bonds(
        np.array(names), np.full(n, residue), elements, np.zeros(n, dtype=int), np.zeros(n, dtype=int),
        np.array(positions, dtype=float),
    )  # fmt: skip
    return {frozenset((names[i], names[j])) for i, j in found.tolist()}


def test_a_misplaced_hydrogen_is_bonded_as_its_name_says():
    bonds = bonds_of(list(LEU), list(LEU.values()))
    assert frozenset(("CG", "HG")) in bonds
    assert frozenset(("CB", "HG")) not in bonds
    assert len(bonds) == 10


def test_what_no_template_knows_goes_by_distance():
    names = [*LEU, "XH"]
    bonds = bonds_of(names, [*LEU.values(), (2.45, -2.9, -0.6)])
    assert frozenset(("CG", "XH")) not in bonds, "its element is not known"
    names[-1] = "CX1"
    assert frozenset(("CG", "CX1")) in bonds_of(names, [*LEU.values(), (2.5, -3.3, -0.6)])


@pytest.mark.parametrize(
    ("residue", "name", "standard"),
    [
        ("HSD", "HB1", "HB3"), ("HIE", "HN", "H"), ("CYX", "SG", "SG"), ("ILE", "CD", "CD1"),
        ("ILE", "HD1", "HD11"), ("TIP3", "OH2", "O"), ("SOL", "HW1", "H1"), ("ALA", "OT1", "O"),
        ("ALA", "HT2", "H2"), ("DA", "O1P", "OP1"), ("GLY", "HA1", "HA3"), ("LEU", "1HB", "HB3"),
        ("LYN", "NZ", "NZ"),
    ],
)  # fmt: skip
def test_names_of_charmm_amber_and_gromacs_are_known(residue, name, standard):
    template = template_of(residue)
    assert template is not None
    assert template.standard(name) == standard


def test_a_ligand_has_no_template():
    assert template_of("LIG") is None


PDB = (
    "ATOM      1  N   CYS A   1       0.000   0.000   0.000  1.00  0.00           N\n"
    "ATOM      2  CA  CYS A   1       1.460   0.000   0.000  1.00  0.00           C\n"
    "ATOM      3  SG  CYS A   1       2.000   4.000   0.000  1.00  0.00           S\n"
    "HETATM    4  C1  NAG B   7       9.000   0.000   0.000  1.00  0.00           C\n"
    "HETATM    5 ZN    ZN C   9      20.000   0.000   0.000  1.00  0.00          ZN\n"
    "END\n"
)


def test_links_are_bonds_but_not_to_metals_or_symmetry_copies(tmp_path):
    def link(first, second, symmetry="1555"):
        return f"LINK        {first}{'':15s}{second}{'':2s}{'1555':>6s} {symmetry:>6s} 1.45\n"

    own, sugar, zinc = " N   CYS A   1 ", " C1  NAG B   7 ", "ZN    ZN C   9 "
    path = tmp_path / "a.pdb"
    path.write_text(link(own, sugar) + link(own, zinc) + PDB)
    assert [0, 3] in read_pdb(path).bonds.tolist()
    assert not any(4 in bond for bond in read_pdb(path).bonds.tolist())
    path.write_text(link(own, sugar, "2555") + PDB)
    assert [0, 3] not in read_pdb(path).bonds.tolist()
