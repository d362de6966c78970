"""Minimisation with a tie: the exact answer on a toy, frame by frame."""

import numpy as np
import openmm
import pytest

from smdgen.errors import SimulationError
from smdgen.forcefield.minimise import TIE, relax

STIFFNESS, REST = 20.0, 1.5  # kcal/mol/A^2, E = K/2 (r - r0)^2; A


def two_beads() -> openmm.System:
    system = openmm.System()
    for _ in range(2):
        system.addParticle(12.0)
    spring = openmm.HarmonicBondForce()
    spring.addBond(0, 1, REST / 10, STIFFNESS * 4.184 * 100)
    system.addForce(spring)
    return system


def test_both_ends_give_way_until_spring_and_ties_balance():
    """Each bead moves by d = K (r0 - r) / (k + 2 K) outwards; every frame is tied to its own place."""
    found = np.array([1.2, 1.5, 2.1])
    frames = np.zeros((3, 2, 3))
    frames[:, 1, 0] = found
    relaxed = relax(two_beads(), frames, np.array([0, 1]))
    moved = STIFFNESS * (REST - found) / (TIE + 2 * STIFFNESS)
    np.testing.assert_allclose(relaxed.positions[:, 1, 0], found + moved, atol=2e-3)
    np.testing.assert_allclose(relaxed.moved, np.abs(moved)[:, None].repeat(2, 1), atol=2e-3)
    np.testing.assert_allclose(relaxed.before, STIFFNESS / 2 * (found - REST) ** 2, atol=1e-4)
    np.testing.assert_allclose(relaxed.after, STIFFNESS / 2 * (found + 2 * moved - REST) ** 2, atol=1e-2)


def test_an_atom_that_is_not_tied_is_free():
    frames = np.array([[[0.0, 0, 0], [1.2, 0, 0]]])
    relaxed = relax(two_beads(), frames, np.array([0]))
    assert np.linalg.norm(np.diff(relaxed.positions[0], axis=0)) == pytest.approx(REST, abs=1e-2)
    assert relaxed.moved.max() < 1e-2


def test_a_frame_without_an_energy_is_named():
    frames = np.zeros((2, 2, 3))
    frames[0, 1, 0] = REST
    frames[1] = np.nan
    with pytest.raises(SimulationError, match="frame 1 cannot be relaxed"):
        relax(two_beads(), frames, np.array([0, 1]))
