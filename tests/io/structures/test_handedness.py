"""Mirror images are told, by CB and without; sound proteins, glycines and water are not."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from smdgen.io.structures.atoms import Structure, subset
from smdgen.io.structures.handedness import mirror_notes
from smdgen.io.structures.start import read_start
from smdgen.io.structures.structure import write_pdb
from smdgen.io.trajectories.dcd import DcdFile, write_dcd
from smdgen.io.trajectories.trajectory import check_topology
from tests.conftest import EXAMPLE
from tests.tools.pulls import make_pull, make_structure


@pytest.fixture(scope="module")
def frames() -> NDArray[np.float32]:
    with DcdFile(EXAMPLE / "pulls" / "pull_000.dcd") as dcd:
        return dcd.read(slice(None, None, 40))


@pytest.mark.parametrize("axes", [[0], [1], [0, 1, 2]])
def test_by_cb(frames: NDArray[np.float32], peptide: Structure, axes: list[int]) -> None:
    mirrored = frames.copy()
    mirrored[..., axes] *= -1
    assert mirror_notes(frames, peptide) == []
    (note,) = mirror_notes(mirrored, peptide)
    assert note.startswith("the structure looks like a mirror image: 10 of 10 CB are on the wrong side")


def test_two_negated_axes_are_a_rotation(frames: NDArray[np.float32], peptide: Structure) -> None:
    assert mirror_notes(frames * np.float32([-1, 1, -1]), peptide) == []


def test_by_phi_where_there_is_no_cb(frames: NDArray[np.float32], peptide: Structure) -> None:
    chosen = np.flatnonzero(np.isin(peptide.names, ("N", "CA", "C")))
    for structure, x in (
        (subset(peptide, chosen), frames[:, chosen]),
        (make_structure(), make_pull(25, 0)),
    ):
        assert mirror_notes(x, structure) == []
        (note,) = mirror_notes(-x, structure)
        assert "phi are above zero" in note


def test_mirrored_frames_within_a_trajectory_are_named(
    frames: NDArray[np.float32], peptide: Structure, tmp_path: Path
) -> None:
    sides = np.where(np.arange(len(frames)) == len(frames) - 1, -1, 1).astype(np.float32)
    write_dcd(tmp_path / "a.dcd", frames * sides[:, None, None], timestep_ps=0.002, steps_per_frame=1)
    with DcdFile(tmp_path / "a.dcd") as dcd:
        (note,) = check_topology(dcd, peptide)
    assert note.startswith(f"frame {len(frames)}: the structure looks like a mirror image")


def test_molecules_may_cross_the_box(frames: NDArray[np.float32], peptide: Structure) -> None:
    side = 9.0
    cells = np.tile([side, side, side, 90.0, 90.0, 90.0], (len(frames), 1))
    assert mirror_notes(frames % side, peptide, cells) == []
    assert len(mirror_notes(-frames % side, peptide, cells)) == 1


def test_nothing_is_said_of_what_has_no_hand(peptide: Structure) -> None:
    glycines = dataclasses.replace(make_structure(), residue_names=np.full(40, "GLY"))
    assert mirror_notes(-make_pull(5, 0), glycines) == []
    short = make_structure(3)
    assert mirror_notes(-make_pull(5, 0, 3), short) == []
    ions = subset(peptide, np.flatnonzero(peptide.elements == "H"))
    assert mirror_notes(np.zeros((1, ions.n_atoms, 3)), ions) == []


def test_a_mirrored_start_is_noted(folded: Structure, tmp_path: Path) -> None:
    assert folded.positions is not None
    for sign, expected in ((1.0, False), (-1.0, True)):
        write_pdb(tmp_path / "start.pdb", folded, sign * folded.positions)
        notes = read_start(tmp_path / "start.pdb", folded).notes
        assert any("mirror image" in note for note in notes) == expected
