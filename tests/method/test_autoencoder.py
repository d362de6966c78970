"""The autoencoder of the default preset and the terms of its loss."""

import pytest
import torch

from smdgen.geometry.frames import rmsd
from smdgen.method.autoencoder import FeatureVae
from smdgen.method.model import Physics, kl_to_standard_normal


def energies(x):
    """Three stand-ins that see distances only."""
    d = torch.linalg.vector_norm(x[:, 1:] - x[:, :-1], dim=-1)
    return torch.stack([d.sum(-1), d.square().sum(-1), d[:, 0] * d[:, 1]], -1)


def cv(x):
    return torch.linalg.vector_norm(x[:, -1] - x[:, 0], dim=-1)


def physics(x):
    return Physics(energies, torch.ones(3).to(x), cv)


def seeded():
    return torch.Generator().manual_seed(0)


def test_before_training_the_latent_space_loses_nothing(x, vae):
    z, _ = vae.encode(x)
    assert rmsd(vae.decode(z), x).max() < 1e-5
    covariance = torch.cov(z.T, correction=0)
    variance = covariance.diagonal()
    torch.testing.assert_close(covariance - variance.diag(), torch.zeros_like(covariance), atol=1e-8, rtol=0)
    assert (variance < 1 + 1e-8).all()


def test_fewer_latents_keep_the_largest_components(x, vae):
    f = vae.features.encode(x)
    small = FeatureVae(vae.features, 3, 8).double()
    small.init_from_pca(lambda: f.split(90))
    left = (small.decode_features(small.encode_features(f)[0]) - f).square().sum(1).mean()
    spectrum = torch.linalg.eigvalsh(torch.cov(f.T, correction=0))
    torch.testing.assert_close(left, spectrum[:-3].sum())


def test_decoder_noise_has_the_learned_deviation(x, vae):
    z = vae.encode(x[:1])[0].expand(20000, -1)
    noise = torch.randn(
        20000, vae.features.n_features, generator=torch.Generator().manual_seed(1), dtype=x.dtype
    )
    f = vae.features.encode(vae.decode(z, noise))
    narrow = torch.from_numpy(vae.features.quantities() < 2)  # lengths and angles
    torch.testing.assert_close(f.std(0)[narrow], vae.log_std.exp()[narrow].detach(), rtol=0.03, atol=0)


def test_decoder_noise_is_lowered_to_what_is_lost_and_never_raised(x, vae):
    """With all latents nothing is lost; with three, more than half of the features bear already."""
    f = vae.features.encode(x)
    vae.shrink_decoder_std(lambda: x.split(70))
    assert vae.log_std.exp().max() < 1e-5
    small = FeatureVae(vae.features, 3, 8).double()
    small.init_from_pca(lambda: f.split(90))
    lost = (small.decode_features(small.encode_features(f)[0]) - f).square().mean(0).sqrt()
    small.log_std.data[::2] = 0.5
    learned = small.log_std.exp().detach().clone()
    small.shrink_decoder_std(lambda: x.split(70))
    found = small.log_std.exp().detach()
    assert (lost < learned).any()
    assert (lost > learned).any()
    torch.testing.assert_close(found, torch.minimum(lost, learned).detach(), atol=1e-9, rtol=1e-6)


def test_divergence_is_that_of_torch():
    mean, log_variance = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
    standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = torch.distributions.kl_divergence(normal, standard).sum(-1)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)


def test_default_terms_vanish_for_a_lossless_latent_space(x, vae):
    with torch.no_grad():
        vae.latent_log_variance.fill_(-60.0)
        vae.log_std.fill_(0.0)
    terms = vae.loss_terms(x, physics(x), seeded())
    for name in ("recon", "shape", "bonds", "angles", "torsions", "cv"):
        assert terms[name].abs() < 1e-4, name
    expected = 0.5 * (vae.encode(x)[0].square().mean(0).sum() + 16 * (60 - 1)) / 16
    torch.testing.assert_close(terms["kl"], expected)


@pytest.mark.parametrize("times", [2, 3])
def test_a_repeated_batch_has_the_same_loss(x, vae, times):
    with torch.no_grad():
        vae.latent_log_variance.fill_(-60.0)
        vae.network_out[-1].bias.fill_(0.3)
    terms = [vae.loss_terms(batch, physics(x), seeded()) for batch in (x[:40], x[:40].repeat(times, 1, 1))]
    for name, value in terms[0].items():
        torch.testing.assert_close(terms[1][name], value, msg=name)
