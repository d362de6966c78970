"""Baselines of the quality benchmark: each recovers what it must on pulls whose answer is known."""

import numpy as np
import pytest
import torch

from benchmarks.quality import baseline_nets
from benchmarks.quality.baseline_heads import FlowHead, MixtureHead
from benchmarks.quality.baseline_nets import latent_lstm, latent_mlp, raw_lstm
from benchmarks.quality.baselines import RealPulls, mean_path, principal_path, straight_line, training_pulls
from smdgen.geometry.cvs import CollectiveVariable, evaluate
from smdgen.geometry.frames import rmsd, superpose
from smdgen.geometry.internal import spanning_tree
from smdgen.method.autoencoder import FeatureVae
from smdgen.method.features.internal import InternalFeatures

N_STEPS = 5
ENDS = CollectiveVariable("d", "distance", ((0,), (5,)), ((1.0,), (1.0,)))


@pytest.fixture
def real():
    """Zigzag molecules that stretch: frame t is the first one scaled by 1 + 0.02 t, and turned a little."""
    generator = torch.Generator().manual_seed(0)
    base = torch.tensor([[1.2 * i, 0.9 * (i % 2), 0.3 * (i % 3)] for i in range(6)])
    scales = 1 + 0.02 * torch.arange(26)
    pulls = []
    for _ in range(6):
        x = base * scales[:, None, None] + 0.01 * torch.randn(26, 6, 3, generator=generator)
        turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator))
        pulls.append(x @ (turn * torch.linalg.det(turn)))
    return RealPulls(torch.stack(pulls[:4]), torch.stack(pulls[4:]), ENDS, 25.0, N_STEPS)


@pytest.fixture
def vae(real):
    frames = real.train.flatten(0, 1)
    features = InternalFeatures.fit(
        lambda: [frames], spanning_tree(6, np.array([[i, i + 1] for i in range(5)]))
    )
    vae = FeatureVae(features, features.n_features, 16)
    vae.init_from_pca(lambda: [features.encode(frames)])
    torch.nn.init.constant_(vae.log_std, -6.0)
    return vae.eval()


def test_the_straight_line_ends_at_a_training_end_and_is_even(real):
    start = real.validation[0, 0]
    path, target_cv = straight_line(real).pulls(start, 3, 0)
    assert target_cv is None
    nearest = rmsd(path[:, None, -1], real.train[None, :, -1]).amin(1)
    assert nearest.max() < 1e-3
    torch.testing.assert_close(path[:, 0], start + (path[:, -1] - start) / N_STEPS)


def test_the_principal_path_keeps_what_varies_most(real):
    generator = principal_path(real)
    assert rmsd(generator.rebuilt(real.validation[0]), real.validation[0]).max() < 0.05
    path, _ = generator.pulls(real.validation[0, 0], 2, 1)
    assert rmsd(path[0, -1], real.validation[0, -1]) < 0.05
    assert rmsd(path[0, 0], path[0, -1]) > 0.5


def test_training_pulls_are_given_as_they_are_and_others_by_the_next_seed(real):
    generator = training_pulls(real)
    first, target_cv = generator.pulls(real.validation[0, 0], 2, 0)
    assert target_cv is None
    steps = real.train[:, 5::5]
    assert torch.equal(first, steps[[0, 0]])
    assert torch.equal(generator.pulls(real.validation[0, 0], 1, len(steps) + 1)[0], steps[[1]])


def test_the_mean_path_is_the_mean_whatever_way_the_pulls_are_turned(real):
    path, _ = mean_path(real).pulls(real.validation[0, 0], 2, 1)
    assert path.shape == (2, N_STEPS, 6, 3)
    assert rmsd(path[0], real.validation[0, 5::5]).max() < 0.03
    assert torch.equal(path[0], path[1])


@pytest.mark.parametrize("name", ["lstm_raw", "mlp", "point", "mixture", "flow"])
def test_networks_learn_how_the_molecule_stretches(real, vae, name, monkeypatch):
    """Twelve epochs of six batches: enough for a path on which all pulls agree."""
    monkeypatch.setattr(baseline_nets, "BATCHES", 6)
    if name == "lstm_raw":
        generator = raw_lstm(real, 0, epochs=12)
    elif name == "mlp":
        generator = latent_mlp(real, vae, 0, epochs=12)
    else:
        generator = latent_lstm(real, vae, name, 0, epochs=12)
    start = real.validation[0, 0]
    path, target_cv = generator.pulls(start, 3, 0)
    assert path.shape == (3, N_STEPS, 6, 3)
    values, true = evaluate(ENDS, path), evaluate(ENDS, real.validation[0, 5::5])
    assert (values - true).abs().max() < 0.8  # the way is 3.1
    assert (values[:, -1] - values[:, 0]).min() > 1.5
    if target_cv is not None:
        assert (values - target_cv).abs().max() < 0.01
    pulls = real.validation[:, ::5]
    following = generator.following(pulls, 1)
    assert following.shape == (2, N_STEPS, 6, 3)
    assert rmsd(following, pulls[:, 1:]).mean() < rmsd(pulls[:, :-1], pulls[:, 1:]).mean() + 0.3
    changed = pulls.clone()
    changed[:, 4] = pulls[:, 0]
    again = generator.following(changed, 1)
    torch.testing.assert_close(again[:, :3], following[:, :3], atol=2e-3, rtol=0)
    assert rmsd(again[:, 4], following[:, 4]).max() > 1e-3
    torch.testing.assert_close(following, superpose(following, pulls[:, :-1]), atol=1e-4, rtol=0)


def test_the_mixture_loss_is_the_likelihood_of_the_mixture():
    torch.manual_seed(0)
    head, z, context, target = MixtureHead(3, 4), torch.randn(7, 3), torch.randn(7, 4), torch.randn(7, 3)
    weights, mean, log_std = head._parts(z, context)
    parts = torch.distributions.Independent(torch.distributions.Normal(mean, log_std.exp()), 1)
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=weights), parts)
    expected = -mixture.log_prob(target).mean() / 3
    torch.testing.assert_close(head.loss(z, context, target, torch.Generator()), expected)


def test_the_flow_learns_a_distribution_and_not_its_mean():
    """Targets at -1 and 1 in equal parts."""
    torch.manual_seed(0)
    generator, head = torch.Generator().manual_seed(0), FlowHead(1, 1)
    optimiser = torch.optim.Adam(head.parameters(), 3e-3)
    for _ in range(200):
        target = torch.randint(0, 2, (128, 1), generator=generator).float() * 2 - 1
        loss = head.loss(target, torch.zeros(128, 1), target, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        found = head.sample(torch.zeros(400, 1), torch.zeros(400, 1), generator)
    assert (found.abs() - 1).abs().median() < 0.2
    assert 0.3 < (found > 0).float().mean() < 0.7
