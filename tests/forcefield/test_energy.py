"""Bonded energies: against OpenMM, against TorchMD's own loop, and on frames that break naive code."""

from types import SimpleNamespace

import numpy as np
import openmm
import pytest
import torch
from openmm import unit

from smdgen.forcefield.energy import BondedEnergy

KINDS = ("bonds", "angles", "torsions", "impropers", "urey_bradley")


def chain_terms(n_atoms=10, seed=0):
    """Terms of a chain with CHARMM-like constants; several periodicities on every torsion."""
    rng = np.random.default_rng(seed)
    rows = {
        width: np.stack([np.arange(i, n_atoms - width + 1 + i) for i in range(width)], 1)
        for width in (2, 3, 4)
    }
    torsions = np.repeat(rows[4], 3, 0)
    impropers = rows[4][:, [1, 0, 2, 3]][::2]
    ends = rows[3][::2][:, [0, 2]]
    phases = rng.choice([0.0, np.pi, 1.0], len(torsions))
    return SimpleNamespace(
        bonds=rows[2],
        bond_parameters=np.stack([rng.uniform(200, 600, n_atoms - 1), rng.uniform(1.2, 1.5, n_atoms - 1)], 1),
        angles=rows[3],
        angle_parameters=np.stack([rng.uniform(30, 80, n_atoms - 2), rng.uniform(1.8, 2.1, n_atoms - 2)], 1),
        torsions=torsions,
        torsion_parameters=np.stack(
            [rng.uniform(-1, 3, len(torsions)), phases, np.tile([1.0, 2.0, 3.0], len(rows[4]))], 1
        ),
        impropers=impropers,
        improper_parameters=np.stack(
            [rng.uniform(10, 90, len(impropers)), rng.choice([0.0, np.pi], len(impropers))], 1
        ),
        urey_bradley=ends,
        urey_bradley_parameters=np.stack(
            [rng.uniform(5, 30, len(ends)), rng.uniform(2.2, 2.5, len(ends))], 1
        ),
        source="test",
    )


def frames(n_frames, n_atoms=10, seed=1):
    """(n_frames, n_atoms, 3), A, float64. Zigzag chains with strong noise: all torsions occur."""
    rng = np.random.default_rng(seed)
    zigzag = np.stack([1.2 * np.arange(n_atoms), np.arange(n_atoms) % 2, np.zeros(n_atoms)], 1)
    return torch.tensor(zigzag + 0.35 * rng.standard_normal((n_frames, n_atoms, 3)))


def openmm_context(terms, n_atoms):
    """An OpenMM system of the same terms, one force group a kind, in OpenMM's own conventions."""
    system = openmm.System()
    for _ in range(n_atoms):
        system.addParticle(1.0)
    bonds, urey_bradley, angles = (
        openmm.HarmonicBondForce(),
        openmm.HarmonicBondForce(),
        openmm.HarmonicAngleForce(),
    )
    torsions = openmm.PeriodicTorsionForce()
    impropers = openmm.CustomTorsionForce("k*min(d, 6.283185307179586-d)^2; d=abs(theta-psi0)")
    impropers.addPerTorsionParameter("k")
    impropers.addPerTorsionParameter("psi0")
    for force, pairs, parameters in (
        (bonds, terms.bonds, terms.bond_parameters),
        (urey_bradley, terms.urey_bradley, terms.urey_bradley_parameters),
    ):
        for pair, (k, r0) in zip(pairs, parameters, strict=True):
            force.addBond(*map(int, pair), r0 / 10, k * 2 * 418.4)
    for triple, (k, theta0) in zip(terms.angles, terms.angle_parameters, strict=True):
        angles.addAngle(*map(int, triple), theta0, k * 2 * 4.184)
    for quad, (k, phase, n) in zip(terms.torsions, terms.torsion_parameters, strict=True):
        torsions.addTorsion(*map(int, quad), int(n), phase, k * 4.184)
    for quad, (k, psi0) in zip(terms.impropers, terms.improper_parameters, strict=True):
        impropers.addTorsion(*map(int, quad), [k * 4.184, psi0])
    for group, force in enumerate((bonds, angles, torsions, impropers, urey_bradley)):
        force.setForceGroup(group)
        system.addForce(force)
    platform = openmm.Platform.getPlatformByName("Reference")
    return openmm.Context(system, openmm.VerletIntegrator(0.001), platform)


def test_energies_and_gradients_agree_with_openmm():
    terms, x = chain_terms(), frames(3).requires_grad_()
    energies = BondedEnergy(terms, dtype=torch.float64).energy(x)
    context = openmm_context(terms, 10)
    for group, kind in enumerate(KINDS):
        (gradient,) = torch.autograd.grad(getattr(energies, kind).sum(), x, retain_graph=True)
        for i in range(len(x)):
            context.setPositions(x[i].detach().numpy() / 10)
            state = context.getState(getEnergy=True, getForces=True, groups={group})
            expected = state.getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole)
            forces = state.getForces(asNumpy=True).value_in_unit(unit.kilocalorie_per_mole / unit.angstrom)
            assert float(getattr(energies, kind)[i].detach()) == pytest.approx(expected, abs=1e-6), kind
            assert np.abs(forces + gradient[i].numpy()).max() < 1e-4, kind


def test_gradients_agree_with_finite_differences():
    energy = BondedEnergy(chain_terms(), dtype=torch.float64)
    x = frames(2).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: torch.stack(list(energy.energy(y))), (x,), eps=1e-6, atol=1e-4)


def test_single_precision_keeps_the_energies():
    exact = BondedEnergy(chain_terms(), dtype=torch.float64).three(frames(20))
    single = BondedEnergy(chain_terms()).three(frames(20).float())
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), exact, rtol=2e-5, atol=1e-4)


def test_batch_shape_and_size_change_nothing():
    energy = BondedEnergy(chain_terms(), dtype=torch.float64)
    x = frames(6)
    whole = energy.three(x)
    assert torch.equal(energy.three(x.view(2, 3, 10, 3)), whole.view(2, 3, 3))
    assert torch.allclose(energy.three(x[4]), whole[4], rtol=1e-12, atol=1e-10)
    assert energy.three(x[:0]).shape == (0, 3)


def test_few_frames_of_many_atoms_are_taken_at_once(monkeypatch):
    """What is held in memory is bounded in atoms, not in frames."""
    energy, x, sizes = BondedEnergy(chain_terms(), dtype=torch.float64), frames(6), []
    whole, chunk = energy.three(x), energy._chunk
    monkeypatch.setattr(energy, "_chunk", lambda part: sizes.append(len(part)) or chunk(part))
    monkeypatch.setattr("smdgen.forcefield.energy._ATOMS", 45)
    assert torch.allclose(energy.three(x), whole, rtol=1e-12, atol=1e-10)
    assert sizes == [4, 2]
    monkeypatch.setattr("smdgen.forcefield.energy._ATOMS", 5)
    assert torch.allclose(energy.three(x), whole, rtol=1e-12, atol=1e-10)


def test_motion_of_the_whole_molecule_changes_nothing():
    energy = BondedEnergy(chain_terms(), dtype=torch.float64)
    rotation = torch.linalg.qr(torch.tensor(np.random.default_rng(0).standard_normal((3, 3))))[0]
    rotation = rotation * torch.linalg.det(rotation)
    x = frames(4)
    assert torch.allclose(energy.three(x @ rotation.T + 7.0), energy.three(x), rtol=1e-9)


def test_three_counts_impropers_as_torsions_and_leaves_urey_bradley_out():
    energy, x = BondedEnergy(chain_terms(), dtype=torch.float64), frames(2)
    parts = energy.energy(x)
    expected = torch.stack([parts.bonds, parts.angles, parts.torsions + parts.impropers], -1)
    assert torch.equal(energy.three(x), expected)
    assert torch.allclose(parts.total() - expected.sum(-1), parts.urey_bradley)
    assert bool((parts.urey_bradley > 0).all())


def _collapsed():
    return torch.zeros(1, 10, 3)


def _straight():
    return torch.arange(10.0)[None, :, None] * torch.tensor([1.3, 0.0, 0.0])


def _folded():
    return (torch.arange(10) % 2)[None, :, None] * torch.tensor([0.4, 1.0, -0.6])


def _two_atoms_in_one_place():
    x = frames(1)
    x[0, 4] = x[0, 5]
    return x


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("build", [_collapsed, _straight, _folded, _two_atoms_in_one_place])
def test_broken_frames_have_finite_energies_and_gradients_and_spoil_no_other(build, dtype):
    energy = BondedEnergy(chain_terms(), dtype=dtype)
    good = frames(1).to(dtype)
    x = torch.cat([build().to(dtype), good]).requires_grad_()
    energies = torch.stack(list(energy.energy(x)))
    (gradient,) = torch.autograd.grad(energies.sum(), x)
    assert bool(energies.isfinite().all())
    assert bool(gradient.isfinite().all())
    alone = good.clone().requires_grad_()
    (expected,) = torch.autograd.grad(torch.stack(list(energy.energy(alone))).sum(), alone)
    assert torch.allclose(gradient[1:], expected, rtol=1e-3, atol=1e-2)


def test_a_straight_angle_keeps_its_energy():
    terms = chain_terms(3)
    k, theta0 = terms.angle_parameters[0]
    energy = BondedEnergy(terms, dtype=torch.float64).energy(_straight()[:, :3].double())
    assert float(energy.angles[0]) == pytest.approx(k * (np.pi - theta0) ** 2, rel=1e-4)


def test_molecule_without_torsions_has_torsion_energy_zero():
    terms = chain_terms(3)
    three = BondedEnergy(terms).three(frames(4, 3).float())
    assert three.shape == (4, 3)
    assert bool((three[:, 2] == 0).all())


def test_harmonic_torsion_among_the_periodic_ones_is_refused():
    """TorchMD would score ALL torsions of the list as harmonic."""
    terms = chain_terms()
    terms.torsion_parameters[3, 2] = 0
    with pytest.raises(ValueError, match="impropers"):
        BondedEnergy(terms)
