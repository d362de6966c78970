"""GRO files: the same atoms as the PDB, and every cut or odd file named."""

import dataclasses

import numpy as np
import pytest

from smdgen.errors import TopologyError
from smdgen.geometry.cell import box_vectors
from smdgen.io.structures.gro import read_gro
from smdgen.io.structures.pdb import write_pdb
from smdgen.io.structures.structure import read_structure
from tests.tools.pulls import make_pull, make_structure


def lines_of(structure, positions, digits=3, velocities=False):
    rows = ["Made in a test, t= 0.0", str(len(positions))]
    for i, x in enumerate(positions / 10):
        numbers = "".join(f"{value:{digits + 5}.{digits}f}" for value in x)
        numbers += "  0.1000 -0.2000  0.3000" * velocities
        number = int(structure.residue_ids[i]) % 100_000
        rows.append(f"{number:5d}{structure.residue_names[i]:<5s}{structure.names[i]:>5s}{i + 1:5d}{numbers}")
    return [*rows, "   4.00000   5.00000   6.00000"]


@pytest.fixture
def structure():
    return make_structure()


@pytest.mark.parametrize(("digits", "velocities"), [(3, False), (3, True), (6, False)])
def test_a_gro_is_the_pdb(tmp_path, structure, digits, velocities):
    positions = make_pull(2, 1)[0].astype(float)
    (tmp_path / "a.gro").write_text("\n".join(lines_of(structure, positions, digits, velocities)) + "\n")
    write_pdb(tmp_path / "a.pdb", structure, positions)
    found, pdb = read_structure(tmp_path / "a.gro"), read_structure(tmp_path / "a.pdb")
    np.testing.assert_allclose(found.positions, positions, atol=0.006)
    assert found.names.tolist() == pdb.names.tolist()
    assert found.elements.tolist() == pdb.elements.tolist()
    assert found.residue_ids.tolist() == pdb.residue_ids.tolist()
    np.testing.assert_array_equal(found.bonds, pdb.bonds)
    np.testing.assert_allclose(found.cell, [40, 50, 60, 90, 90, 90])


@pytest.mark.parametrize("n_frames", [1, 2, 3])
def test_of_several_frames_the_first_is_taken_with_a_note(tmp_path, structure, n_frames):
    frames = [lines_of(structure, x.astype(float)) for x in make_pull(n_frames + 1, 1)[:n_frames]]
    (tmp_path / "a.gro").write_text("\n".join(line for lines in frames for line in lines) + "\n\n")
    found = read_structure(tmp_path / "a.gro")
    assert found.n_atoms == structure.n_atoms
    told = [note for note in found.notes if "frames" in note]
    assert told == [f"a.gro holds {n_frames} frames; the first is taken"] * (n_frames > 1)


def test_a_triclinic_box_and_none(tmp_path, structure):
    lines = lines_of(structure, make_pull(2, 1)[0].astype(float))
    path = tmp_path / "a.gro"
    lines[-1] = "5.0 5.0 3.53553 0.0 0.0 0.0 0.0 2.5 2.5"
    path.write_text("\n".join(lines))
    np.testing.assert_allclose(read_gro(path).cell, [50, 50, 50, 60, 60, 90], atol=1e-3)
    lines[-1] = "0.0 0.0 0.0"
    path.write_text("\n".join(lines))
    assert read_gro(path).cell is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:20], "declares 40 atoms and has 17"),
        (lambda lines: [lines[0], "41", *lines[2:]], "declares 41 atoms and has 40"),
        (lambda lines: [lines[0], "39", *lines[2:]], "the box line"),
        (lambda lines: [*lines[:9], lines[9].replace(".", "x", 1), *lines[10:]], "line 10: no atom in"),
        (lambda lines: [*lines[:9], lines[9][:20] + "     nan" * 3, *lines[10:]], "expected numbers below"),
        (lambda lines: [*lines[:-1], "4.0 5.0"], "box line has 2 numbers"),
        (lambda lines: [*lines[:-1], "nonsense here 1"], "the box line is"),
        (lambda lines: [*lines[:9], "    x" + lines[9][5:], *lines[10:]], "residue number cannot be read"),
        (lambda lines: ["title only"], "has no number of atoms"),
    ],
)
def test_damage_is_named(tmp_path, structure, change, words):
    lines = lines_of(structure, make_pull(2, 1)[0].astype(float))
    path = tmp_path / "a.gro"
    path.write_text("\n".join(change(lines)))
    with pytest.raises(TopologyError, match=words):
        read_gro(path)


@pytest.mark.parametrize("suffix", [".gro", ".pdb"])
@pytest.mark.parametrize(
    "cell", [(45, 45, 45, 60, 60, 90), (45, 45, 45, 70.5288, 109.4712, 70.5288), (40, 50, 60, 90, 90, 90)]
)
def test_molecules_that_the_box_cuts_keep_their_bonds(tmp_path, structure, cell, suffix):
    """As in most `confout.gro`: every atom is in the box, so its walls run through the chain."""
    box = np.array(cell, dtype=float)
    vectors = box_vectors(box)
    positions = make_pull(2, 1)[0].astype(float) + vectors[0] / 2
    shares = positions @ np.linalg.inv(vectors)
    wrapped = positions - np.floor(shares) @ vectors
    assert np.abs(wrapped - positions).max() > 10, "nothing is cut"
    path = tmp_path / f"a{suffix}"
    if suffix == ".pdb":
        write_pdb(path, dataclasses.replace(structure, cell=box), wrapped)
    else:
        a, b, c = vectors / 10
        numbers = [a[0], b[1], c[2], a[1], a[2], b[0], b[2], c[0], c[1]]
        rows = [*lines_of(structure, wrapped)[:-1], "".join(f"{value:10.5f}" for value in numbers)]
        path.write_text("\n".join(rows) + "\n")
    found = read_structure(path)
    np.testing.assert_array_equal(found.bonds, structure.bonds)
    centred, expected = (x - x[0] for x in (found.positions, positions))
    np.testing.assert_allclose(centred, expected, atol=0.02)
    assert any("the walls of the box cut molecules" in note for note in found.notes)


def test_a_disulphide_through_a_wall_of_the_box_is_a_bond(tmp_path):
    """Two chains, each whole, on opposite sides of the box."""
    rows = ["two chains", "4"]
    for i, (name, x) in enumerate([("CB", 0.25), ("SG", 0.08), ("CB", 3.70), ("SG", 3.88)]):
        rows.append(f"{1 + i // 2 * 9:5d}CYS  {name:>5s}{i + 1:5d}{x:8.3f}{1.0:8.3f}{1.0:8.3f}")
    (tmp_path / "a.gro").write_text("\n".join([*rows, "   4.00000   4.00000   4.00000"]) + "\n")
    assert [1, 3] in read_structure(tmp_path / "a.gro").bonds.tolist()
