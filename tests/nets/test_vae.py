"""The two autoencoders."""

import torch
from torch import nn

from smdgen.geometry.frames import rmsd
from smdgen.nets.vae import InternalVae, PaperVae, kl_to_standard_normal


def test_paper_network_is_the_one_of_the_paper():
    """Linear 120-100-100-60 and 60-100-100-120, dropout 0.05 after every layer but the last."""
    vae = PaperVae(40, 60, 100)
    for network, sizes in (
        (vae.encoder, [(120, 100), (100, 100), (100, 2 * 60)]),
        (vae.decoder, [(60, 100), (100, 100), (100, 120)]),
    ):
        linear = [(m.in_features, m.out_features) for m in network if isinstance(m, nn.Linear)]
        assert linear == sizes
        assert [m.p for m in network if isinstance(m, nn.Dropout)] == [0.05, 0.05]
        assert isinstance(network[-1], nn.Linear)


def test_paper_network_ignores_where_the_molecule_is_but_not_how_it_is_turned():
    torch.manual_seed(0)
    vae, x = PaperVae(5, 4, 10).eval(), torch.randn(3, 5, 3)
    torch.testing.assert_close(vae.encode(x + 7)[0], vae.encode(x)[0], atol=1e-5, rtol=1e-4)
    assert (vae.encode(x.flip(-1))[0] - vae.encode(x)[0]).abs().max() > 1e-2


def test_before_training_the_latent_space_loses_nothing(x, vae):
    z, _ = vae.encode(x)
    assert rmsd(vae.decode(z), x).max() < 1e-5
    covariance = torch.cov(z.T, correction=0)
    variance = covariance.diagonal()
    torch.testing.assert_close(covariance - variance.diag(), torch.zeros_like(covariance), atol=1e-8, rtol=0)
    assert (variance < 1 + 1e-8).all()


def test_fewer_latents_keep_the_largest_components(x, vae):
    f = vae.features.encode(x)
    small = InternalVae(vae.features, 3, 8).double()
    small.start_from_components(lambda: f.split(90))
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
    torch.testing.assert_close(f.std(0)[narrow], vae.log_deviation.exp()[narrow].detach(), rtol=0.03, atol=0)


def test_decoder_noise_is_lowered_to_what_is_lost_and_never_raised(x, vae):
    """With all latents nothing is lost; with three, more than half of the features bear already."""
    f = vae.features.encode(x)
    vae.lower_noise(lambda: x.split(70))
    assert vae.log_deviation.exp().max() < 1e-5
    small = InternalVae(vae.features, 3, 8).double()
    small.start_from_components(lambda: f.split(90))
    lost = (small.decode_features(small.encode_features(f)[0]) - f).square().mean(0).sqrt()
    small.log_deviation.data[::2] = 0.5
    learned = small.log_deviation.exp().detach().clone()
    small.lower_noise(lambda: x.split(70))
    found = small.log_deviation.exp().detach()
    assert (lost < learned).any()
    assert (lost > learned).any()
    torch.testing.assert_close(found, torch.minimum(lost, learned).detach(), atol=1e-9, rtol=1e-6)


def test_divergence_is_that_of_torch():
    mean, log_variance = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
    standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = torch.distributions.kl_divergence(normal, standard).sum(-1)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)
