"""The published method: its networks and its losses."""

import torch
from torch import nn

from smdgen.method.paper import PaperLstm, PaperVae, paper_losses, paper_sequence_loss, random_rotations


def energies(x):
    """Three stand-ins that see distances only."""
    d = torch.linalg.vector_norm(x[:, 1:] - x[:, :-1], dim=-1)
    return torch.stack([d.sum(-1), d.square().sum(-1), d[:, 0] * d[:, 1]], -1)


def cv(x):
    return torch.linalg.vector_norm(x[:, -1] - x[:, 0], dim=-1)


def seeded():
    return torch.Generator().manual_seed(0)


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


def test_rotations_are_proper_and_even():
    r = random_rotations(4000, seeded()).float()
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
    terms = paper_losses(vae, x[:50], energies, cv, seeded())
    squares = (energies(fixed[None]) - energies(x[:50])).square().mean(0)
    for i, name in enumerate(("bonds", "angles", "torsions")):
        torch.testing.assert_close(terms[name], squares[i].log())
    torch.testing.assert_close(terms["cv"], (cv(fixed[None]) - cv(x[:50])).square().mean())
    rotation = random_rotations(50, seeded())
    turned = (x[:50] - x[:50].mean(1, keepdim=True)) @ rotation.mT
    torch.testing.assert_close(terms["recon"], (turned - fixed).square().mean())
    mean, log_variance = vae.encode(turned)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1).mean()
    torch.testing.assert_close(terms["kl"], divergence * 2 / 21)


def test_paper_lstm_adds_its_action_to_the_latent():
    torch.manual_seed(0)
    lstm, z = PaperLstm(4, 6), torch.randn(2, 4)
    path = lstm(z, 3)
    hidden, state = lstm.lstm(z[:, None])
    torch.testing.assert_close(path[:, 0], z + lstm.action(hidden[:, 0]))
    hidden, _ = lstm.lstm(path[:, :1], state)
    torch.testing.assert_close(path[:, 1], path[:, 0] + lstm.action(hidden[:, 0]))
    assert path.shape == (2, 3, 4)


def test_paper_loss_compares_the_free_running_sequence_and_its_end():
    torch.manual_seed(0)
    lstm, z = PaperLstm(4, 6), torch.randn(5, 10, 4)
    terms = paper_sequence_loss(lstm, z)
    off = lstm(z[:, 0], 9) - z[:, 1:]
    torch.testing.assert_close(terms["sequence"], off.square().mean())
    torch.testing.assert_close(terms["end"], off[:, -1].square().mean())
