"""Loss terms: their formulas, and that a larger batch does not change them."""

import pytest
import torch

from smdgen.nets.losses import internal_losses, paper_losses, random_rotations
from smdgen.nets.share import whole
from smdgen.nets.vae import PaperVae


def energies(x):
    """Three stand-ins that see distances only."""
    d = torch.linalg.vector_norm(x[:, 1:] - x[:, :-1], dim=-1)
    return torch.stack([d.sum(-1), d.square().sum(-1), d[:, 0] * d[:, 1]], -1)


def cv(x):
    return torch.linalg.vector_norm(x[:, -1] - x[:, 0], dim=-1)


def drawn(n):
    return whole(n, torch.Generator().manual_seed(0))


def test_rotations_are_proper_and_even():
    r = random_rotations(drawn(4000)).float()
    torch.testing.assert_close(r @ r.mT, torch.eye(3).expand_as(r), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(r), torch.ones(len(r)), atol=1e-5, rtol=0)
    assert r.mean(0).abs().max() < 0.04
    assert (r.square().mean(0) - 1 / 3).abs().max() < 0.02


def test_paper_terms_are_the_formulas_of_the_paper(x):
    """With a decoder that always gives the same frame, every term can be written down."""
    vae = PaperVae(7, 4, 10).double().eval()
    fixed = x[5] - x[5].mean(0)
    with torch.no_grad():
        vae.decoder[-1].weight.zero_()
        vae.decoder[-1].bias.copy_(fixed.flatten())
    terms = paper_losses(vae, x[:50], energies, cv, drawn(50))
    squares = (energies(fixed[None]) - energies(x[:50])).square().mean(0)
    for i, name in enumerate(("bonds", "angles", "torsions")):
        torch.testing.assert_close(terms[name], squares[i].log())
    torch.testing.assert_close(terms["cv"], (cv(fixed[None]) - cv(x[:50])).square().mean())
    rotation = random_rotations(drawn(50))
    turned = (x[:50] - x[:50].mean(1, keepdim=True)) @ rotation.mT
    torch.testing.assert_close(terms["recon"], (turned - fixed).square().mean())
    mean, log_variance = vae.encode(turned)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1).mean()
    torch.testing.assert_close(terms["kl"], divergence * 2 / 21)


def test_default_terms_vanish_for_a_lossless_latent_space(x, vae):
    with torch.no_grad():
        vae.latent_log_variance.fill_(-60.0)
        vae.log_deviation.fill_(0.0)
    terms = internal_losses(vae, x, energies, torch.ones(3).to(x), cv, drawn(300))
    for name in ("recon", "shape", "bonds", "angles", "torsions", "cv"):
        assert terms[name].abs() < 1e-4, name
    expected = 0.5 * (vae.encode(x)[0].square().mean(0).sum() + 16 * (60 - 1)) / 16
    torch.testing.assert_close(terms["kl"], expected)


@pytest.mark.parametrize("times", [2, 3])
def test_a_repeated_batch_has_the_same_loss(x, vae, times):
    with torch.no_grad():
        vae.latent_log_variance.fill_(-60.0)
        vae.network_out[-1].bias.fill_(0.3)
    terms = [
        internal_losses(vae, batch, energies, torch.ones(3).to(x), cv, drawn(len(batch)))
        for batch in (x[:40], x[:40].repeat(times, 1, 1))
    ]
    for name, value in terms[0].items():
        torch.testing.assert_close(terms[1][name], value, msg=name)
