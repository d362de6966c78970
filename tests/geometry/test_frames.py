"""Superposition, RMSD matrices and internal coordinates against MDTraj, naive code and exact cases."""

import mdtraj
import numpy as np
import pytest
import torch

from smdgen.geometry import frames
from smdgen.geometry.frames import (
    angle_cosines,
    angles,
    bond_lengths,
    dihedrals,
    rmsd,
    rmsd_matrix,
    rotation_onto,
    superpose,
    wrap,
)


def random_frames(n, n_atoms=12, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return 4 * torch.randn(n, n_atoms, 3, generator=generator, dtype=dtype)


def random_rotations(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(n, 3, 3, generator=generator, dtype=torch.float64))[0]
    return q * torch.linalg.det(q)[:, None, None]


def as_mdtraj(x):
    return mdtraj.Trajectory(x.numpy() / 10, None)


def test_superposition_undoes_any_rigid_motion():
    x = random_frames(5)
    moved = x @ random_rotations(5) + 3.0
    assert torch.allclose(superpose(moved, x), x, atol=1e-9)


def test_mirror_image_is_not_matched():
    x = random_frames(4)
    mirror = x * torch.tensor([1.0, 1.0, -1.0])
    assert bool((rmsd(mirror, x) > 1.0).all())
    assert bool((rmsd_matrix(mirror, x).diagonal() > 1.0).all())
    rotation = rotation_onto(mirror - mirror.mean(1, keepdim=True), x - x.mean(1, keepdim=True))
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(4, dtype=torch.float64))


def test_rmsd_matrix_agrees_with_mdtraj():
    a, b = random_frames(7, seed=1), random_frames(9, seed=2)
    b[0] = a[0] + 0.01 * random_frames(1, seed=3)[0]
    expected = np.stack([10 * mdtraj.rmsd(as_mdtraj(b), as_mdtraj(a), i) for i in range(7)])
    assert np.abs(rmsd_matrix(a, b).numpy() - expected).max() < 1e-4


def test_rmsd_matrix_agrees_with_superposing_each_pair():
    a, b = random_frames(6, seed=1), random_frames(5, seed=2) * 0.3
    for i in range(6):
        paired = rmsd(b, a[i])
        assert torch.allclose(rmsd_matrix(a[i : i + 1], b)[0], paired, atol=1e-9)


@pytest.mark.parametrize(("thickness", "tolerance"), [(1.0, 1e-5), (0.03, 1e-4), (1e-3, 1e-3)])
def test_moved_copies_have_rmsd_zero_even_when_almost_straight(thickness, tolerance):
    x = random_frames(8) * torch.tensor([3.0, thickness, thickness])
    copies = x @ random_rotations(8, seed=5) + 10
    assert float(rmsd_matrix(copies, x).diagonal().max()) < tolerance


def test_rmsd_matrix_of_planar_and_single_precision_frames():
    x = random_frames(4, dtype=torch.float32) * torch.tensor([1.0, 1.0, 0.0])
    matrix = rmsd_matrix(x, x)
    assert float(matrix.diagonal().max()) < 1e-5
    assert torch.allclose(matrix[0, 1:], rmsd(x[1:].double(), x[0].double()), atol=1e-6)


def test_rmsd_matrix_in_blocks_is_the_same(monkeypatch):
    a, b = random_frames(11, seed=1), random_frames(4, seed=2)
    whole = rmsd_matrix(a, b)
    monkeypatch.setattr(frames, "_PAIRS", 9)
    assert torch.equal(rmsd_matrix(a, b), whole)
    assert rmsd_matrix(a[:0], b).shape == (0, 4)


def test_weights_leave_atoms_out_of_the_fit():
    x = random_frames(1)[0]
    moved = x @ random_rotations(1)[0]
    moved[-1] += 50.0
    weights = torch.ones(12, dtype=torch.float64)
    weights[-1] = 0.0
    assert torch.allclose(superpose(moved, x, weights)[:-1], x[:-1], atol=1e-9)


def test_rmsd_gradient_agrees_with_finite_differences():
    a, b = random_frames(2).requires_grad_(), random_frames(2, seed=7)
    assert torch.autograd.gradcheck(lambda x: rmsd(x, b), (a,), atol=1e-6)


def test_lengths_angles_and_torsions_agree_with_mdtraj():
    x = random_frames(6)
    quads = np.array([[0, 1, 2, 3], [5, 2, 7, 9], [11, 3, 0, 4]])
    trajectory = as_mdtraj(x)
    trajectory.topology = _topology(12)
    lengths = 10 * mdtraj.compute_distances(trajectory, quads[:, :2], periodic=False)
    bends = mdtraj.compute_angles(trajectory, quads[:, :3], periodic=False)
    turns = mdtraj.compute_dihedrals(trajectory, quads, periodic=False)
    assert np.abs(bond_lengths(x, quads[:, :2]).numpy() - lengths).max() < 1e-4
    assert np.abs(angles(x, quads[:, :3]).numpy() - bends).max() < 1e-4
    assert np.abs(angle_cosines(x, quads[:, :3]).numpy() - np.cos(bends)).max() < 1e-4
    assert np.abs(dihedrals(x, quads).numpy() - turns).max() < 1e-4


def test_mirroring_turns_the_sign_of_torsions():
    x, quads = random_frames(3), np.array([[0, 1, 2, 3]])
    mirror = x * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(dihedrals(mirror, quads), -dihedrals(x, quads))


@pytest.mark.parametrize("function", [bond_lengths, angle_cosines, angles, dihedrals])
def test_gradients_are_finite_on_collapsed_and_straight_frames(function):
    width = {"bond_lengths": 2, "dihedrals": 4}.get(function.__name__, 3)
    straight = torch.arange(12.0)[:, None] * torch.tensor([1.0, 0.0, 0.0])
    x = torch.stack([torch.zeros(12, 3), straight]).requires_grad_()
    values = function(x, np.arange(width)[None])
    values.sum().backward()
    assert bool(values.isfinite().all())
    assert bool(x.grad.isfinite().all())


def test_wrapping():
    angle = torch.tensor([0.1, 3.5, -3.5, 6.5, -9.5])
    assert torch.allclose(torch.sin(wrap(angle)), torch.sin(angle), atol=1e-6)
    assert bool((wrap(angle).abs() <= torch.pi).all())


def _topology(n_atoms):
    topology = mdtraj.Topology()
    residue = topology.add_residue("X", topology.add_chain())
    for _ in range(n_atoms):
        topology.add_atom("C", mdtraj.element.carbon, residue)
    return topology
