"""A ligand that no force field knows loses its own terms, never the protein's."""

import numpy as np

from smdgen.config import PrepareConfig
from smdgen.dataset.dataset import open_dataset
from smdgen.forcefield.system import another_that_fits
from smdgen.io.structures.structure import read_structure
from smdgen.io.trajectories.dcd import DcdFile, write_dcd
from smdgen.progress import Silent
from smdgen.stages import prepare
from tests.stages.test_simulate import EXAMPLE

#: A molecule without parameters: fluoromethanol's skeleton with its fluorine on the oxygen.
NAMES = ("C1", "O1", "H1", "H2", "H3", "F1")
PLACES = np.array(
    [[0, 0, 0], [1.42, 0, 0], [-0.36, 1.03, 0], [-0.36, -0.51, 0.89], [-0.36, -0.51, -0.89], [1.74, 0.91, 0]]
)


def test_the_protein_keeps_its_force_field(tmp_path):
    protein = [line for line in (EXAMPLE / "deca_alanine.pdb").read_text().splitlines() if line[:4] == "ATOM"]
    rest = "  1.00  0.00          "
    ligand = [
        f"HETATM{105 + i:5d}  {name:<3s} LIG B   1    {x:8.3f}{y:8.3f}{z:8.3f}{rest}{name[0]:>2s}"
        for i, (name, (x, y, z)) in enumerate(zip(NAMES, PLACES + 20, strict=True))
    ]
    (tmp_path / "lig.pdb").write_text("\n".join([*protein, "TER", *ligand, "END"]) + "\n")
    for number in range(3):
        with DcdFile(EXAMPLE / "pulls" / f"pull_{number:03d}.dcd") as pull:
            own = pull.read(slice(0, 200, 5))
        moving = np.random.default_rng(number).normal(0, 0.02, (len(own), 6, 3)) + PLACES + 20
        frames = np.concatenate([own, moving], axis=1).astype(np.float32)
        write_dcd(tmp_path / f"lig{number}.dcd", frames, timestep_ps=0.002, steps_per_frame=500)
    paths = tuple(tmp_path / f"lig{number}.dcd" for number in range(3))
    config = PrepareConfig(trajectories=paths, topology=tmp_path / "lig.pdb", select="all")
    result = prepare.run(config, tmp_path / "run", Silent())
    terms = open_dataset(tmp_path / "run" / "dataset.h5").terms
    of_protein = (terms.bonds < 104).all(axis=1)
    assert of_protein.sum() == 103
    assert (~of_protein).sum() == 5
    assert len(terms.torsions) > 150, "torsions come from the force field only"
    assert (terms.torsions < 104).all()
    assert (terms.bonds[~of_protein] >= 104).all()
    assert "charmm36" in terms.source
    (note,) = [note for note in result.notes if "NO FORCE FIELD FITS" in note]
    assert note.startswith("molecule of B LIG 1: ")


#: ACE-ALA-NME, extended: residue, atom, place.
CAPPED = """
ACE HH31 2.000 1.000 0.000
ACE CH3 2.000 2.090 0.000
ACE HH32 1.486 2.454 0.890
ACE HH33 1.486 2.454 -0.890
ACE C 3.427 2.641 0.000
ACE O 4.391 1.877 0.000
ALA N 3.555 3.970 0.000
ALA H 2.733 4.556 0.000
ALA CA 4.853 4.614 0.000
ALA HA 5.408 4.316 0.890
ALA CB 5.661 4.221 -1.232
ALA HB1 5.123 4.521 -2.131
ALA HB2 6.630 4.719 -1.206
ALA HB3 5.809 3.141 -1.241
ALA C 4.713 6.129 0.000
ALA O 3.601 6.653 0.000
NME N 5.846 6.835 0.000
NME H 6.737 6.359 0.000
NME C 5.846 8.284 0.000
NME H1 4.819 8.648 0.000
NME H2 6.360 8.648 0.890
NME H3 6.360 8.648 -0.890
"""


def test_two_templates_that_both_match_are_a_force_field_that_does_not_fit(tmp_path):
    """CHARMM36 of OpenMM has the capped alanine twice; Amber's describes it."""
    rows = [line.split() for line in CAPPED.split("\n") if line]
    places = np.array([row[2:] for row in rows], dtype=float)
    numbers = {"ACE": 1, "ALA": 2, "NME": 3}
    atoms = [
        f"ATOM  {i:5d} {name if len(name) == 4 else f' {name:<3s}'} {residue} A{numbers[residue]:4d}    "
        f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {name[0]:>2s}"
        for i, ((residue, name, *_), (x, y, z)) in enumerate(zip(rows, places, strict=True), 1)
    ]
    (tmp_path / "capped.pdb").write_text("\n".join([*atoms, "TER", "END"]) + "\n")
    frames = places + np.random.default_rng(0).normal(0, 0.03, (60, 22, 3))
    write_dcd(tmp_path / "a.dcd", frames.astype(np.float32), timestep_ps=0.002, steps_per_frame=500)
    config = PrepareConfig(
        trajectories=(tmp_path / "a.dcd",),
        topology=tmp_path / "capped.pdb",
        select="all",
        cv="d=distance(resname ACE and name CH3; resname NME and name C)",
    )
    result = prepare.run(config, tmp_path / "run", Silent())
    (note,) = [note for note in result.notes if "NO FORCE FIELD FITS" in note]
    assert "--forcefield amber14 fits" in note
    capped = read_structure(tmp_path / "capped.pdb")
    assert another_that_fits(capped, "charmm36") == "amber14"
    assert another_that_fits(capped, "amber14") == ""
