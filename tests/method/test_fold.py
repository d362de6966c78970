"""The autoencoder of folded chains: maps of distances, local geometry, and frames made of both."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from smdgen.geometry.cvs import evaluate
from smdgen.geometry.frames import rmsd, rmsd_matrix
from smdgen.geometry.internal import spanning_tree
from smdgen.method.features.local import LocalGeometry
from smdgen.method.fold import FoldVae, has_fold
from smdgen.method.model import Physics, TrainingFrames
from smdgen.method.presets import DEFAULT
from smdgen.progress import Silent
from smdgen.training.fit import fit, fit_settings
from tests.tools.pulls import make_cv, make_pull, make_structure

N_RESIDUES = 16
STRUCTURE, CV = make_structure(N_RESIDUES), make_cv(N_RESIDUES)
TREE = spanning_tree(len(STRUCTURE.names), STRUCTURE.bonds)
FOLD = DEFAULT.fold
assert FOLD is not None


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    """(240, 64, 3), A. Three pulls."""
    return torch.cat([torch.from_numpy(make_pull(80, seed, N_RESIDUES)) for seed in range(3)])


def untrained(x: torch.Tensor) -> FoldVae:
    torch.manual_seed(0)
    frames = TrainingFrames(STRUCTURE, lambda: x.split(100), len(x), lambda: [x], x.dtype)
    return FoldVae.fit(frames, 0, FOLD, DEFAULT.internal, DEFAULT.sampling)


@pytest.fixture(scope="module")
def vae(x: torch.Tensor) -> FoldVae:
    """Trained for a short time on two of the pulls."""
    vae, physics = untrained(x[:160]), Physics(lambda x: x[:, :3, 0], torch.ones(3), lambda x: x[:, 0, 0])
    settings = fit_settings(FOLD.fit, {"epochs": 6, "batch_size": 16, "learning_rate": 5e-3}, seed=0)

    def losses(batch: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {"loss": vae.loss_terms(x[batch % 160], physics, generator)["recon"]}

    fit(vae, losses, 640, lambda: {"loss": 0.0}, settings, Silent(), label="")
    return vae


def noise(n: int, vae: FoldVae, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, vae.noise_size, generator=torch.Generator().manual_seed(seed))


def test_local_geometry_comes_back_without_loss(x: torch.Tensor):
    local = LocalGeometry.fit(lambda: x.split(50), TREE, STRUCTURE, DEFAULT.internal)
    assert rmsd(local.decode(local.encode(x)), x).max() < 1e-3


def test_scales_belong_to_kinds_and_not_to_residues(x: torch.Tensor):
    """A torsion that one residue keeps still is standardised as it is in the others."""
    local = LocalGeometry.fit(lambda: [x], TREE, STRUCTURE, DEFAULT.internal)
    f, present = local.encode(x), local.present()
    assert len(local.scale) == local.n_columns < 20
    assert f.square().sum() / (len(x) * present.sum()) == pytest.approx(1.0, abs=0.01)
    assert not f[:, ~present].any()


def test_the_size_of_the_network_follows_neither_frames_nor_residues(x: torch.Tensor):
    few, many = untrained(x[:40]), untrained(x)
    assert sum(p.numel() for p in few.parameters()) == sum(p.numel() for p in many.parameters())
    longer = make_structure(30)
    pull = torch.from_numpy(make_pull(40, 1, 30))
    frames = TrainingFrames(longer, lambda: [pull], 40, lambda: [pull], pull.dtype)
    other = FoldVae.fit(frames, 0, FOLD, DEFAULT.internal, DEFAULT.sampling)
    assert sum(p.numel() for p in other.parameters()) == sum(p.numel() for p in many.parameters())


def test_frames_of_an_unseen_pull_come_back_nearer_than_the_nearest_training_frame(
    x: torch.Tensor, vae: FoldVae
):
    unseen = x[160::8]
    again = vae.decode(vae.encode(unseen)[0])
    ca = np.flatnonzero(STRUCTURE.names == "CA")
    back = torch.diagonal(rmsd_matrix(again[:, ca], unseen[:, ca])).mean()
    copied = rmsd_matrix(unseen[:, ca], x[:160, ca]).min(1).values.mean()
    assert back < 0.8 * copied


def test_frames_meet_the_cv(x: torch.Tensor, vae: FoldVae):
    z, aims = vae.encode(x[160::8])[0], evaluate(CV, x[160::8]) + 1.0
    frames = vae.decode(z, noise(len(z), vae), CV, aims)
    assert (evaluate(CV, frames) - aims).abs().max() < 2e-3


def test_noise_makes_different_frames_of_one_latent(x: torch.Tensor, vae: FoldVae):
    z = vae.encode(x[200:201])[0].expand(2, -1)
    one, other = vae.decode(z, noise(2, vae))
    assert 0.2 < rmsd(one[None], other[None]).item() < 3.0


def test_noise_is_scaled_to_the_energies_of_validation_frames(x: torch.Tensor):
    """An energy that counts squared deviations of lengths: an untrained flow draws each at its full scale."""
    vae = untrained(x)

    def energies(frames: torch.Tensor) -> torch.Tensor:
        return vae.local.encode(frames).square().sum((1, 2))[:, None].expand(-1, 3)

    physics = Physics(energies, torch.ones(3), lambda x: x[:, 0, 0])
    vae.finish(lambda: [x], physics)
    real = float(vae.noise_scale)
    assert 0.9 < real <= 1.0
    quiet = Physics(lambda y: 2.0 * energies(y) if y is not x else energies(y), torch.ones(3), physics.cv)
    vae.finish(lambda: [x], quiet)
    assert float(vae.noise_scale) < real


def test_one_whole_chain_has_a_fold(x: torch.Tensor):
    assert has_fold(STRUCTURE, FOLD)
    assert not has_fold(make_structure(8), FOLD), "too short"
    cut = replace(STRUCTURE, bonds=STRUCTURE.bonds[(STRUCTURE.bonds != [30, 32]).any(1)])
    assert not has_fold(cut, FOLD), "two chains"
    ring = replace(STRUCTURE, bonds=np.concatenate([STRUCTURE.bonds, [[0, 3]]]))
    assert not has_fold(ring, FOLD), "a ring"
