"""Pulls whose next frame is in one of two states, at random: what each method makes of them.

The branch of a small chain stands on one side or the other, with equal odds in each frame, and its bond and
angle with it, while a torsion of the chain turns and its ends move apart. The branch does not change the
distance of the ends.
"""

import numpy as np
import torch

from smdgen.geometry.cvs import CollectiveVariable, evaluate
from smdgen.geometry.frames import bond_lengths, superpose
from smdgen.geometry.internal import spanning_tree, to_cartesian, to_internal
from smdgen.io.structures.structure import Structure
from smdgen.method.default import DefaultMethod
from smdgen.method.model import Physics, PullModel, TrainingFrames
from smdgen.method.paper import PaperMethod
from smdgen.method.rollout import generate
from smdgen.method.training_paths import TrainingPaths
from smdgen.progress import Silent
from smdgen.training.fit import fit, fit_settings
from smdgen.training.sequences import Sequences, draw_batch

BONDS = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [2, 6]])
TREE = spanning_tree(7, BONDS)
ENDS = CollectiveVariable("d", "distance", ((0,), (5,)), ((1.0,), (1.0,)))
N_PULLS, N_FRAMES = 60, 15


def side(x):
    """(...,) whether the branch stands on the first side, of frames (..., 7, 3)."""
    return to_internal(x, TREE)[2][..., 3] > 0


def pulls():
    """(N_PULLS, N_FRAMES, 7, 3), A."""
    generator = torch.Generator().manual_seed(0)

    def normal(*size):
        return torch.randn(N_PULLS, N_FRAMES, *size, generator=generator)

    first = torch.rand(N_PULLS, N_FRAMES, generator=generator) < 0.5
    sign = torch.where(first, 1.0, -1.0)
    lengths, angles = 1.5 + 0.02 * normal(6), 1.9 + 0.03 * normal(5)
    torsions = 0.05 * normal(4) + torch.tensor([2.9, 0.0, 2.9, 0.0])
    torsions[..., 1] += torch.linspace(0.6, 2.8, N_FRAMES)
    torsions[..., 3] += sign * 2.1
    lengths[..., 5] += 0.1 * sign
    angles[..., 4] += 0.15 * sign
    return to_cartesian(lengths, angles, torsions, TREE)


STRUCTURE = Structure(
    names=np.array(["N", "CA", "C", "N", "CA", "C", "CB"]),
    residue_names=np.full(7, "ALA"),
    residue_ids=np.array([1, 1, 1, 2, 2, 2, 1]),
    insertion_codes=np.full(7, ""),
    chain_ids=np.full(7, "A"),
    segment_ids=np.full(7, ""),
    elements=np.array(["N", "C", "C", "N", "C", "C", "C"]),
    masses=np.full(7, 12.0),
    bonds=np.asarray(BONDS, dtype=np.int64),
)


def train(network, losses, n_items, numbers, epochs, batch_size):
    settings = {"epochs": epochs, "batch_size": batch_size, "learning_rate": numbers.learning_rate}
    settings = fit_settings(numbers, settings, seed=0)
    fit(network, losses, n_items, lambda: {"loss": 0.0}, settings, Silent(), label="")


def trained(method, x, vae_epochs, n_batches):
    """A model of a method, trained for a short time on pulls (n_pulls, n_frames, n_atoms, 3), A."""
    torch.manual_seed(0)
    flat, cv = x.flatten(0, 1), evaluate(ENDS, x)
    frames = TrainingFrames(STRUCTURE, lambda: [flat], len(flat), lambda: [flat], x.dtype)
    vae = method.new_autoencoder(frames, 0, 0)
    physics = Physics(lambda x: bond_lengths(x, BONDS)[:, :3], torch.ones(3), lambda x: evaluate(ENDS, x))

    def of_frames(batch, generator):
        terms = vae.loss_terms(flat[batch], physics, generator)
        return {"loss": terms["recon"] + 0.003 * terms["kl"]}

    train(vae, of_frames, len(flat), method.autoencoder_fit, vae_epochs, 64)
    vae.finish(frames.validation, physics)
    with torch.no_grad():
        z = vae.encode(flat)[0]
    ranges = tuple(slice(i * N_FRAMES, (i + 1) * N_FRAMES) for i in range(len(x)))
    data = Sequences(z, cv.flatten(), ranges, 1.0)
    residues = (STRUCTURE.residue_ids - 1).tolist()
    dynamics, _ = method.new_dynamics(vae, 0, z, cv.flatten(), STRUCTURE.names.tolist(), residues)

    def of_sequences(items, generator):
        stride = method.draw_stride(N_FRAMES, generator)
        return dynamics.loss_terms(
            *draw_batch(data, stride, method.most_steps, len(items), generator), generator
        )

    train(dynamics, of_sequences, 32 * n_batches, method.dynamics_fit, 5, 32)
    reference = superpose(flat[::10], flat[0] - flat[0].mean(0))
    paths = TrainingPaths(cv, float(N_FRAMES - 1))
    nothing_clashes = torch.zeros(7, 7, dtype=torch.float64)
    return PullModel(method, vae, dynamics, ENDS, paths, reference, 1.0, nothing_clashes)


def test_the_default_gives_both_states_and_meets_its_target():
    x = pulls()
    model = trained(DefaultMethod(), x, vae_epochs=5, n_batches=60)
    rollout = generate(model, x[0, 0], 4, 300, target=float(evaluate(ENDS, x[:, 10]).mean()), seed=1)
    generated = rollout.positions[:, 1:]
    assert abs(float(side(generated[:, 0]).double().mean()) - 0.5) < 0.07, "the next frame"
    assert abs(float(side(generated).double().mean()) - 0.5) < 0.07, "all frames"
    assert (rollout.cv_values - rollout.target_cv)[:, 1:].abs().max() < 0.01
    torsions = to_internal(generated, TREE)[2][..., 3]
    assert (torsions.abs() - 2.1).abs().median() < 0.25, "in a state, and not between the two"


def test_the_published_method_gives_one():
    x = pulls()
    model = trained(PaperMethod(), x, vae_epochs=20, n_batches=20)
    sides = side(generate(model, x[0, 0], 4, 50, seed=1).positions[:, -1])
    assert sides.all() or not sides.any()
