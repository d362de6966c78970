"""Small pulls of a made-up decapeptide backbone, in files as users have them."""

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:  # fixtures import what they need, so that tests of one part load no other
    from smdgen.io.structures.structure import Structure

EXAMPLE = Path(__file__).parents[1] / "examples" / "deca_alanine"

#: A force field for a backbone of N, CA, C and O, in CHARMM's format; constants as in CHARMM22, no torsions.
PARAMETERS = """* backbone
*

BONDS
N    CA    320.0   1.430
CA   C     250.0   1.490
C    O     620.0   1.230
C    N     370.0   1.345

ANGLES
N    CA   C     50.0   107.0
CA   C    O     80.0   121.0
CA   C    N     80.0   116.5
O    C    N     80.0   122.5
C    N    CA    50.0   120.0

NONBONDED nbxmod  5 atom cdiel shift vatom vdistance vswitch -
cutnb 14.0 ctofnb 12.0 ctonnb 10.0 eps 1.0 e14fac 1.0 wmin 1.5
N      0.000000  -0.200000     1.850000
CA     0.000000  -0.020000     2.275000
C      0.000000  -0.110000     2.000000
O      0.000000  -0.120000     1.700000
END
"""


@dataclass(frozen=True)
class PullFiles:
    """A folder with a topology and pulls as DCDs with Colvars tables."""

    folder: Path
    structure: "Structure"
    topology: Path
    parameters: Path
    trajectories: tuple[Path, ...]
    positions: tuple[NDArray[np.float32], ...]  # (n_frames, n_atoms, 3) each, A


def write_pull(folder: Path, name: str, positions: NDArray[np.float32], table: bool = True) -> Path:
    """A DCD of a frame every 1 ps, and the table that a steered run leaves beside it."""
    from smdgen.io.tables.colvars import ColvarsTable, write_colvars_traj
    from smdgen.io.trajectories.dcd import write_dcd
    from tests.tools.pulls import end_to_end

    path = folder / f"{name}.dcd"
    write_dcd(path, positions, timestep_ps=0.002, steps_per_frame=500)
    if table:
        distance = end_to_end(positions.astype(np.float64))
        centre = np.linspace(distance[0], distance[-1], len(positions))
        columns = {"end_to_end": distance, "x0_end_to_end": centre, "W_pull": 0.1 * np.arange(len(positions))}
        table_of_pull = ColvarsTable(500 * np.arange(len(positions)), columns)
        write_colvars_traj(path.with_suffix(".colvars.traj"), table_of_pull)
    return path


def angles_of(bonds: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, 3). Every two bonds that share an atom."""
    found = []
    for i, first in enumerate(bonds.tolist()):
        for second in bonds[i + 1 :].tolist():
            shared = set(first) & set(second)
            if shared:
                (middle,) = shared
                a, b = sorted(set(first) ^ set(second))
                found.append((a, middle, b))
    return np.array(sorted(found), dtype=np.int64)


@pytest.fixture(scope="session")
def master_pull_files(tmp_path_factory: pytest.TempPathFactory) -> PullFiles:
    """Written once, because every file is synced to the disk; tests get a copy."""
    return make_pull_files(tmp_path_factory.mktemp("pull_files"))


def make_pull_files(folder: Path) -> PullFiles:
    """Six pulls of 25 frames with a PSF and its parameters."""
    from smdgen.io.structures.structure import PsfTerms, write_psf
    from tests.tools.pulls import make_pull, make_structure

    positions = tuple(make_pull(25, seed) for seed in range(6))
    paths = tuple(write_pull(folder, f"pull_{i}", x) for i, x in enumerate(positions))
    structure = make_structure()
    structure = dataclasses.replace(structure, types=structure.names, charges=np.zeros(structure.n_atoms))
    topology = folder / "system.psf"
    none, cross = np.zeros((0, 4), dtype=np.int64), np.zeros((0, 8), dtype=np.int64)
    write_psf(topology, structure, PsfTerms(structure.bonds, angles_of(structure.bonds), none, none, cross))
    parameters = folder / "backbone.prm"
    parameters.write_text(PARAMETERS)
    return PullFiles(folder, structure, topology, parameters, paths, positions)


@pytest.fixture
def pull_files(master_pull_files: PullFiles, tmp_path: Path) -> PullFiles:
    """Six pulls of 25 frames with a PSF and its parameters beside them, in a folder of the test's own."""
    folder = tmp_path / "in"
    shutil.copytree(master_pull_files.folder, folder)
    return dataclasses.replace(
        master_pull_files,
        folder=folder,
        topology=folder / master_pull_files.topology.name,
        parameters=folder / master_pull_files.parameters.name,
        trajectories=tuple(folder / path.name for path in master_pull_files.trajectories),
    )


@pytest.fixture
def run_dir(pull_files: PullFiles, tmp_path: Path) -> Path:
    """A run folder with a dataset of the backbone."""
    from smdgen.config import PrepareConfig
    from smdgen.progress import Silent
    from smdgen.stages import prepare

    config = PrepareConfig(
        pull_files.trajectories, pull_files.topology, (pull_files.parameters,), select="name N CA C O"
    )
    prepare.run(config, tmp_path / "run", Silent())
    return tmp_path / "run"


@pytest.fixture(scope="session")
def example_psf() -> Path:
    return EXAMPLE / "deca_alanine.psf"


@pytest.fixture(scope="session")
def example_pdb() -> Path:
    return EXAMPLE / "deca_alanine.pdb"


@pytest.fixture(scope="session")
def peptide(example_psf: Path) -> "Structure":
    """Deca-alanine from its PSF, without coordinates."""
    from smdgen.io.structures.structure import read_structure

    return read_structure(example_psf)


@pytest.fixture(scope="session")
def folded(example_pdb: Path) -> "Structure":
    """Deca-alanine from its PDB, with coordinates."""
    from smdgen.io.structures.structure import read_structure

    return read_structure(example_pdb)
