"""A ligand that no force field knows loses its own terms, never the protein's."""

import numpy as np

from smdgen.config import PrepareConfig
from smdgen.data.dataset import open_dataset
from smdgen.data.dcd import DcdFile, write_dcd
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
