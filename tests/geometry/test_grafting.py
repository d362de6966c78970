"""Atoms that come along: rigid groups in the right hand, on real frames of all atoms."""

from pathlib import Path

import numpy as np
import pytest

from smdgen.geometry.grafting import graft_side_groups
from smdgen.io.structures.structure import read_structure
from smdgen.io.trajectories.dcd import DcdFile

EXAMPLE = Path(__file__).parents[2] / "examples" / "deca_alanine"


@pytest.fixture(scope="module")
def real():
    """Structure and 11 frames of a real pull, helix to strand."""
    with DcdFile(EXAMPLE / "pulls" / "pull_000.dcd") as pull:
        return read_structure(EXAMPLE / "deca_alanine.psf"), pull.read(slice(0, 201, 20)).astype(float)


def lengths(x, pairs):
    return np.linalg.norm(x[:, pairs[:, 0]] - x[:, pairs[:, 1]], axis=-1)


def hand(x, structure):
    """(n_frames, 10). Sign of the volume N, C, CB around CA."""
    at = {name: np.flatnonzero(structure.names == name) for name in ("N", "CA", "C", "CB")}
    u, v, w = (x[:, at[name]] - x[:, at["CA"]] for name in ("N", "C", "CB"))
    return np.sign((np.cross(u, v) * w).sum(-1))


@pytest.mark.parametrize("names", [("N", "CA", "C", "O"), ("CA",)])
def test_groups_move_rigidly_and_modelled_atoms_stay(real, names):
    structure, x = real
    modelled = np.flatnonzero(np.isin(structure.names, names))
    out = graft_side_groups(x[0], structure.bonds, modelled, x[:, modelled])
    np.testing.assert_array_equal(out[:, modelled], x[:, modelled])
    np.testing.assert_allclose(out[0], x[0], atol=1e-9)
    inside = structure.bonds[~np.isin(structure.bonds, modelled).any(axis=1)]
    np.testing.assert_allclose(lengths(out, inside), lengths(out[:1], inside).repeat(11, 0), atol=1e-9)


def test_side_chains_and_amide_hydrogens_land_near_the_real_ones(real):
    """The backbone fixes CB, HA and HN to a few tenths of an Angstrom, in helix and strand alike."""
    structure, x = real
    modelled = np.flatnonzero(np.isin(structure.names, ("N", "CA", "C", "O")))
    out = graft_side_groups(x[0], structure.bonds, modelled, x[:, modelled])
    fixed = np.flatnonzero(np.isin(structure.names, ("CB", "HA", "HN")))
    assert np.linalg.norm(out[:, fixed] - x[:, fixed], axis=-1).max() < 0.6
    assert (hand(out, structure) == hand(x[:1], structure)).all()


def test_loose_molecules_follow_all_modelled_atoms(real):
    """A water turns with the whole."""
    structure, x = real
    water = x[0].mean(0) + np.array([[9.0, 0, 0], [9.6, 0.8, 0]])
    start = np.concatenate([x[0], water])
    bonds = np.concatenate([structure.bonds, [[104, 105]]])
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    modelled = np.flatnonzero(structure.names == "CA")
    out = graft_side_groups(start, bonds, modelled, (start @ turn + 5)[None, modelled])
    np.testing.assert_allclose(out[0], start @ turn + 5, atol=1e-9)
