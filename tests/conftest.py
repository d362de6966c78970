"""Small pulls of a made-up decapeptide backbone, in files as users have them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:  # fixtures import what they need, so that tests of one part load no other
    from smdgen.data.structure import Structure


@dataclass(frozen=True)
class PullFiles:
    """A folder with a topology and pulls as DCDs with Colvars tables."""

    folder: Path
    structure: "Structure"
    topology: Path
    trajectories: tuple[Path, ...]
    positions: tuple[NDArray[np.float32], ...]  # (n_frames, n_atoms, 3) each, A


def write_pull(folder: Path, name: str, positions: NDArray[np.float32], table: bool = True) -> Path:
    """A DCD of a frame every 1 ps, and the table that a steered run leaves beside it."""
    from smdgen.data.colvars import ColvarsTable, write_colvars_traj
    from smdgen.data.dcd import write_dcd
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


@pytest.fixture
def pull_files(tmp_path: Path) -> PullFiles:
    """Six pulls of 25 frames with a PDB beside them, in a folder of their own."""
    from smdgen.data.structure import write_pdb

    from tests.tools.pulls import make_pull, make_structure

    folder = tmp_path / "in"
    folder.mkdir()
    positions = tuple(make_pull(25, seed) for seed in range(6))
    paths = tuple(write_pull(folder, f"pull_{i}", x) for i, x in enumerate(positions))
    topology = folder / "system.pdb"
    write_pdb(topology, make_structure(), positions[0][0].astype(np.float64))
    return PullFiles(folder, make_structure(), topology, paths, positions)
