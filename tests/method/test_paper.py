"""The published method: its networks and its losses."""

import pytest
import torch
from torch import nn

from smdgen.geometry.cvs import CollectiveVariable
from smdgen.method.model import Physics, PullModel
from smdgen.method.paper import PaperLstm, PaperMethod, PaperVae, random_rotations
from smdgen.method.rollout import generate, next_frames
from smdgen.method.training_paths import TrainingPaths
from smdgen.training.sequences import windows


def energies(x):
    """Three stand-ins that see distances only."""
    d = torch.linalg.vector_norm(x[:, 1:] - x[:, :-1], dim=-1)
    return torch.stack([d.sum(-1), d.square().sum(-1), d[:, 0] * d[:, 1]], -1)


def cv(x):
    return torch.linalg.vector_norm(x[:, -1] - x[:, 0], dim=-1)


PHYSICS = Physics(energies, torch.ones(3), cv)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


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
    terms = vae.loss_terms(x[:50], PHYSICS, seeded())
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
    terms = lstm.loss_terms(z, None, seeded())
    off = lstm(z[:, 0], 9) - z[:, 1:]
    torch.testing.assert_close(terms["sequence"], off.square().mean())
    torch.testing.assert_close(terms["end"], off[:, -1].square().mean())
    torch.testing.assert_close(terms["loss"], terms["sequence"] + terms["end"])


def test_ten_steps_span_a_pull_and_a_sequence_has_nine():
    method = PaperMethod()
    stride = method.draw_stride(101, seeded())
    assert (stride, method.most_steps, method.least_frames) == (10, 9, 10)
    assert len(windows([range(101)], method.most_steps + 1, stride)) == 11
    assert method.draw_stride(10, seeded()) == 1


def test_losses_and_paths_are_those_recorded_of_the_first_version():
    """Dropout, noise, rotations and the path of a rollout, in double precision."""
    torch.manual_seed(0)
    vae, lstm = PaperVae(7, 4, 10).double(), PaperLstm(4, 6).double()
    x = 3 * torch.randn(20, 7, 3, generator=seeded(1), dtype=torch.float64)
    torch.manual_seed(2)
    terms = {name: value.item() for name, value in vae.loss_terms(x, PHYSICS, seeded(3)).items()}
    assert terms == pytest.approx(
        {
            "bonds": 7.248354009778142, "angles": 11.561286486607058, "torsions": 7.450354455388756,
            "cv": 63.73359632638744, "recon": 8.16339985391788, "kl": 0.02741347630417479,
        }, rel=1e-9,
    )  # fmt: skip
    z = torch.randn(5, 10, 4, generator=seeded(4), dtype=torch.float64)
    terms = {name: value.item() for name, value in lstm.loss_terms(z, None, seeded()).items()}
    sequence, end = 5.978450993546614, 14.461524418325917
    assert terms == pytest.approx({"loss": sequence + end, "sequence": sequence, "end": end}, rel=1e-9)
    ends = CollectiveVariable("d", "distance", ((0,), (6,)), ((1.0,), (1.0,)))
    shift = torch.tensor([[0.0], [0.1], [0.2]], dtype=torch.float64)
    paths = torch.linspace(2.0, 12.0, 10, dtype=torch.float64).expand(3, -1) + shift
    nothing_clashes = torch.zeros(7, 7, dtype=torch.float64)
    model = PullModel(
        PaperMethod(), vae.eval(), lstm.eval(), ends, TrainingPaths(paths, 100.0), x[:2], 1.0, nothing_clashes
    )
    path = generate(model, x[0], 4, 1).positions[0]
    squares = [
        4.909847322383011,
        0.6294343406385619,
        0.6309287976853672,
        0.6332208959133384,
        0.6368652977582058,
    ]
    assert path.square().mean((-2, -1)).tolist() == pytest.approx(squares, rel=1e-9)
    atom = [0.06617879785578273, 1.3229212924216205, 0.35751281983249894]
    assert path[-1, 3].tolist() == pytest.approx(atom, rel=1e-9)
    frames = next_frames(model, x[None, :4], 5.0)[0]
    squares = [0.6362821839846766, 3.6230068119498045, 4.185285287699709]
    assert frames.square().mean((-2, -1)).tolist() == pytest.approx(squares, rel=1e-9)
