"""The checks of coordinates: bonds by element, angles and planes that only damage makes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from smdgen.errors import TrajectoryError
from smdgen.io.structures.atoms import Structure
from smdgen.io.structures.coordinate_checks import broken_bonds, check_coordinates
from smdgen.io.structures.structure import subset
from smdgen.io.trajectories.dcd import DcdFile
from tests.conftest import EXAMPLE
from tests.tools.pulls import make_pull, make_structure


@pytest.fixture(scope="module")
def frames() -> NDArray[np.float32]:
    with DcdFile(Path(EXAMPLE / "pulls" / "pull_000.dcd")) as dcd:
        return dcd.read()


def _move_along_bond(
    frames: NDArray[np.float32], structure: Structure, atom: str, length: float
) -> NDArray[np.float32]:
    """Frame 4 with an atom of residue 3 at `length` from its only partner."""
    (i,) = np.flatnonzero((structure.residue_ids == 3) & (structure.names == atom))
    (bond,) = structure.bonds[(structure.bonds == i).any(axis=1)]
    partner = int(bond.sum() - i)
    moved = frames.copy()
    vector = moved[3, i] - moved[3, partner]
    moved[3, i] = moved[3, partner] + vector * (length / np.linalg.norm(vector))
    return moved


@pytest.mark.parametrize(
    ("atom", "length"), [("HA", 2.4), ("HA", 1.55), ("HN", 1.5), ("O", 2.2), ("HA", 0.6)]
)
def test_a_bond_is_judged_by_its_elements(
    frames: NDArray[np.float32], peptide: Structure, atom: str, length: float
) -> None:
    """2.4 A is below the 2.6 A that any bond may have, but no bond of a hydrogen."""
    broken = _move_along_bond(frames, peptide, atom, length)
    with pytest.raises(TrajectoryError, match=f"frame 4: the bond .*DECA ALA 3 {atom}"):
        check_coordinates(broken, peptide)


@pytest.mark.parametrize(("atom", "length"), [("HA", 1.4), ("O", 1.8)])
def test_a_bond_no_thermal_motion_reaches_is_noted(
    frames: NDArray[np.float32], peptide: Structure, atom: str, length: float
) -> None:
    (note,) = check_coordinates(_move_along_bond(frames, peptide, atom, length), peptide)
    assert "in 1 frames" in note
    assert "frame 4" in note


def test_frames_are_called_by_their_numbers(frames: NDArray[np.float32], peptide: Structure) -> None:
    """Of every fifth frame of a file from the 7th on, the fourth is the 22nd."""
    numbers = np.arange(6, 6 + 5 * len(frames), 5)
    with pytest.raises(TrajectoryError, match=r"^frame 22: the bond"):
        check_coordinates(_move_along_bond(frames, peptide, "HA", 2.4), peptide, None, numbers)
    (note,) = check_coordinates(_move_along_bond(frames, peptide, "HA", 1.4), peptide, None, numbers)
    assert "in frame 22;" in note
    empty, wild = frames.copy(), frames.copy()
    empty[3], wild[3, 5, 1] = 0, np.nan
    for broken, words in ((empty, r"^frame 22 is all zeros"), (wild, r"^frame 22: y of atom")):
        with pytest.raises(TrajectoryError, match=words):
            check_coordinates(broken, peptide, None, numbers)


def test_every_atom_with_partners_around_it_is_noticed_when_it_moves(
    frames: NDArray[np.float32], peptide: Structure
) -> None:
    """By 1.5 A in a random direction: refused, or noted; in all atoms but those that may turn freely."""
    random = np.random.default_rng(5)
    unseen = []
    for atom in range(peptide.n_atoms):
        direction = random.normal(size=3)
        moved = frames[:1].copy()
        moved[0, atom] += 1.5 * direction / np.linalg.norm(direction)
        try:
            seen = bool(check_coordinates(moved, peptide))
        except TrajectoryError:
            seen = True
        if not seen:
            unseen.append(peptide.label(atom))
    assert unseen == []


def test_real_pulls_pass_without_a_remark(frames: NDArray[np.float32], peptide: Structure) -> None:
    assert check_coordinates(frames, peptide) == []


def test_rigid_water_passes(frames: NDArray[np.float32], peptide: Structure) -> None:
    """CHARMM's water has a bond between its hydrogens, and a sharp angle with it."""
    three = subset(peptide, [10, 2, 4])
    water = Structure(
        names=np.array(["OH2", "H1", "H2"]),
        residue_names=np.full(3, "TIP3"),
        residue_ids=np.ones(3, dtype=np.int64),
        insertion_codes=three.insertion_codes,
        chain_ids=three.chain_ids,
        segment_ids=three.segment_ids,
        elements=np.array(["O", "H", "H"]),
        masses=np.array([15.999, 1.008, 1.008]),
        bonds=np.array([[0, 1], [0, 2], [1, 2]]),
    )
    positions = np.array([[[0, 0, 0], [0.9572, 0, 0], [-0.24, 0.9266, 0]]])
    assert check_coordinates(positions, water) == []


def test_a_virtual_site_may_sit_on_its_atom(frames: NDArray[np.float32], peptide: Structure) -> None:
    """The fourth point of water lies 0.15 A from its oxygen, and some topologies list that as a bond."""
    moved = _move_along_bond(frames, peptide, "O", 0.15)
    site = (peptide.residue_ids == 3) & (peptide.names == "O")
    elements, masses = np.where(site, "", peptide.elements), np.where(site, 0.0, peptide.masses)
    check_coordinates(moved, dataclasses.replace(peptide, elements=elements, masses=masses))
    with pytest.raises(TrajectoryError, match="the bond"):
        check_coordinates(moved, peptide)


def test_one_misplaced_atom_is_named_and_another_order_is_told_apart(
    frames: NDArray[np.float32], peptide: Structure
) -> None:
    moved, atom = frames[:1].copy(), int(np.flatnonzero(peptide.names == "HB2")[4])
    moved[0, atom] += 5.0
    with pytest.raises(TrajectoryError, match="DECA ALA 5 HB2 is misplaced, or the bond is not there"):
        check_coordinates(moved, peptide)
    shuffled = frames[:1, np.random.default_rng(0).permutation(peptide.n_atoms)]
    with pytest.raises(TrajectoryError, match="of another system or order of atoms"):
        check_coordinates(shuffled, peptide)


def test_a_molecule_that_spans_a_box_nobody_knows_is_to_be_made_whole(
    frames: NDArray[np.float32], peptide: Structure
) -> None:
    """One bond crosses the wall, and both its atoms could be called misplaced."""
    cut = frames[:1].copy()
    cut[0, peptide.residue_ids > 5] += [0.0, 0.0, 60.0]
    with pytest.raises(
        TrajectoryError, match=r"may cut the molecule: make it whole first, as with `gmx trjconv"
    ):
        check_coordinates(cut, peptide)


def test_broken_bonds_of_generated_frames_are_noted():
    """A ring whose last bond did not close in one of two frames."""
    positions = np.stack([make_pull(2, 0)[:2]]).astype(float)
    assert broken_bonds(positions, make_structure()) == []
    positions[0, 1, -4:] += 4.0
    (note,) = broken_bonds(positions, make_structure())
    assert note.startswith("1 of 2 generated frames have a broken bond, the worst ")
    assert "A): they are not valid structures" in note
