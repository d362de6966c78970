"""The made-up large protein: a compact chain without clashes, in the force field's own terms."""

import numpy as np
import openmm
import pytest
import torch

from benchmarks.speed import large_protein
from smdgen.forcefield.energy import BondedEnergy
from smdgen.forcefield.parametrise import structure_terms
from smdgen.geometry.validity import clash_limits, clashing
from smdgen.io.tables.colvars import read_colvars_traj
from smdgen.io.trajectories.trajectory import open_trajectory
from smdgen.units import ANGSTROM_PER_NM, KJ_PER_KCAL


@pytest.mark.parametrize("n_residues", [60, 500])
def test_the_chain_is_compact_and_has_no_clash(n_residues):
    structure = large_protein.chain(n_residues)
    x = torch.from_numpy(structure.positions)
    assert structure.n_atoms == 4 * n_residues
    assert not clashing(x[None], clash_limits(structure)).any()
    helix = 1.5 * n_residues  # A, of a straight one
    assert np.linalg.norm(x[1] - x[-3]) < helix / 3


def test_the_system_has_the_force_fields_bonded_terms_and_springs_at_rest():
    structure = large_protein.chain(46)
    start = np.asarray(structure.positions)
    terms, _ = structure_terms(structure, np.arange(structure.n_atoms), frames=start)
    system = large_protein.elastic_system(structure, terms, start)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    alphas = structure.names == "CA"
    rest = np.linalg.norm(start[alphas, None] - start[alphas], axis=-1)
    tied = np.triu(rest < large_protein.NEAR, 3)
    assert tied[:20, 23:43].any(), "the helices are tied to each other"
    for x in (start, start + np.random.default_rng(0).normal(0, 0.05, start.shape)):
        context.setPositions(x / ANGSTROM_PER_NM)
        found = context.getState(energy=True).getPotentialEnergy()._value / KJ_PER_KCAL
        bonded = float(BondedEnergy(terms, dtype=torch.float64).energy(torch.from_numpy(x[None])).total())
        apart = np.linalg.norm(x[alphas, None] - x[alphas], axis=-1)
        springs = large_protein.STIFFNESS / 2 * ((apart - rest)[tied] ** 2).sum()
        assert found == pytest.approx(bonded + springs, rel=1e-6)


def test_the_pull_takes_the_ends_apart_and_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(large_protein, "DURATION_PS", 2.0)
    large_protein.make_pulls(tmp_path, 46, 1, 11)
    first = (tmp_path / "pull_000.dcd").stat().st_mtime_ns
    large_protein.make_pulls(tmp_path, 46, 2, 11)
    assert (tmp_path / "pull_000.dcd").stat().st_mtime_ns == first
    ways = []
    for i in range(2):
        distance = read_colvars_traj(tmp_path / f"pull_{i:03d}.colvars.traj").columns["end_to_end"]
        ways.append(distance[-1] / distance[0])
        with open_trajectory(tmp_path / f"pull_{i:03d}.dcd", 4 * 46) as trajectory:
            assert trajectory.n_frames == 11
            assert np.diff(trajectory.times_ps) == pytest.approx(np.full(10, 0.2))
    assert min(ways) > 1.1
    assert ways[0] != ways[1]
