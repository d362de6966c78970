"""Rollouts: they start where told, meet their target CV, and turn with the start."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from smdgen.errors import ConfigError
from smdgen.geometry.cvs import evaluate
from smdgen.geometry.frames import rmsd, superpose
from smdgen.method.default import DefaultMethod
from smdgen.method.dynamics import FlowDynamics
from smdgen.method.guidance import move_to_target
from smdgen.method.model import PullModel, refuse_sizes, start_distance
from smdgen.method.paper import PaperLstm, PaperMethod, PaperVae
from smdgen.method.rollout import generate, next_frames
from smdgen.method.training_paths import TrainingPaths
from smdgen.method.transformer import residue_layout


def turn(x):
    """A rotation by 2 rad about a skew axis and a shift."""
    axis = torch.nn.functional.normalize(torch.tensor([1.0, -2.0, 0.5], dtype=x.dtype), dim=0)
    cross = torch.linalg.cross(torch.eye(3, dtype=x.dtype), axis.expand(3, 3))
    rotation = torch.linalg.matrix_exp(2 * cross)
    return x @ rotation + torch.tensor([10.0, -4.0, 3.0], dtype=x.dtype)


@pytest.fixture(params=["default", "paper"])
def model(request, x, vae, ends):
    """Untrained networks are as good as trained ones for what is tested here."""
    torch.manual_seed(1)
    cv = evaluate(ends, x)
    n_pulls = 10
    paths = torch.sort(cv).values.reshape(-1, n_pulls).T.float().double()
    reference_frames = superpose(x[::10], x[0] - x[0].mean(0))
    if request.param == "paper":
        method, networks = (
            PaperMethod(),
            (PaperVae(7, 4, 10).double().eval(), PaperLstm(4, 4).double().eval()),
        )
    else:
        layout = residue_layout(vae.features, ["N", "CA", "C", "N", "CA", "C", "CB"], [0, 0, 0, 1, 1, 1, 0])
        dynamics = FlowDynamics(vae.latent_size, 16, 16, 1, **layout.sizes).double().eval()
        dynamics.read_features(vae, layout)
        dynamics.standardise(vae.encode(x)[0].detach(), cv)
        method, networks = DefaultMethod(), (vae, dynamics)
    nothing_clashes = torch.zeros(7, 7, dtype=x.dtype)
    return PullModel(
        method, *networks, ends, TrainingPaths(paths, 100.0), reference_frames, 1.0, nothing_clashes
    )


def a_start(model):
    return model.reference_frames[int(evaluate(model.cv, model.reference_frames).argsort()[2])]


def test_the_first_frame_is_the_start_and_the_same_seed_gives_the_same_pulls(model):
    start = a_start(model)
    first, second, other = (generate(model, start, 4, 3, seed=s).positions for s in (1, 1, 2))
    assert torch.equal(first[:, 0], start.expand(3, -1, -1))
    assert torch.equal(first, second)
    if isinstance(model.dynamics, FlowDynamics):
        assert rmsd(first[0, 1:], other[0, 1:]).min() > 1e-3
        assert rmsd(first[0, 1:], first[1, 1:]).min() > 1e-3


def test_a_turned_start_gives_the_turned_pull(model):
    start = a_start(model)
    expected = turn(generate(model, start, 3, 2, seed=3).positions)
    found = generate(model, turn(start), 3, 2, seed=3).positions
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_a_mirrored_start_is_far_from_all_reference_frames(model):
    start = a_start(model)
    assert start_distance(model, turn(start)) < 1e-6
    assert start_distance(model, start * torch.tensor([1.0, 1.0, -1.0])) > 0.1


def test_newton_steps_meet_the_target_with_the_decoder_noise_on(x, vae, ends):
    z = vae.encode(x[:20])[0].detach()
    noise = torch.randn(
        20, vae.features.n_features, generator=torch.Generator().manual_seed(0), dtype=z.dtype
    )
    value = evaluate(ends, vae.decode(z, noise)).detach()
    target_cv = value + torch.linspace(-0.3, 0.3, 20, dtype=z.dtype)
    moved = move_to_target(vae, ends, z, noise, target_cv)
    off = (evaluate(ends, vae.decode(moved, noise)) - target_cv).abs()
    assert off.max() < 0.01
    still = move_to_target(vae, ends, z, noise, value)
    torch.testing.assert_close(still, z, atol=1e-9, rtol=0)


def test_each_frame_is_laid_onto_the_one_before(model):
    path = generate(model, a_start(model), 4, 1, seed=0).positions[0]
    if isinstance(model.dynamics, FlowDynamics):
        torch.testing.assert_close(superpose(path[1:], path[:-1]), path[1:], atol=1e-6, rtol=0)


def test_a_target_out_of_reach_is_refused(model):
    steered = isinstance(model.dynamics, FlowDynamics)
    for asked in ({"target": 100.0}, {"values": [100.0] * 3}):
        with pytest.raises(ConfigError, match="outside" if steered else "cannot be steered"):
            generate(model, a_start(model), 3, 1, **asked)


def test_the_next_frames_depend_on_the_frames_before_only_and_meet_the_true_cv(model, x):
    if isinstance(model.dynamics, FlowDynamics):  # untrained, its head leaves the memory out
        torch.nn.init.normal_(model.dynamics.output_proj.weight, std=0.1)
    pulls = x[:40].reshape(4, 10, 7, 3)
    frames = next_frames(model, pulls, 5.0, seed=1)
    assert frames.shape == (4, 9, 7, 3)
    changed = pulls.clone()
    changed[:, 6] = changed[:, 3]
    again = next_frames(model, changed, 5.0, seed=1)
    assert rmsd(again[:, :5], frames[:, :5]).max() < 1e-9
    assert (rmsd(again[:, 6:], frames[:, 6:]).amax(1) > 1e-7).all()
    torch.testing.assert_close(frames, superpose(frames, pulls[:, :-1]), atol=1e-6, rtol=0)
    if isinstance(model.dynamics, FlowDynamics):
        off = (evaluate(model.cv, frames) - evaluate(model.cv, pulls[:, 1:])).abs()
        assert off.median() < 1e-3
        assert rmsd(frames, next_frames(model, pulls, 5.0, seed=2)).min() > 1e-3


def test_frames_with_a_clash_are_drawn_again(model):
    """Atoms 0 and 6 are made to clash below the median of their distance: no such frame is left."""
    start = a_start(model)
    plain = generate(model, start, 6, 20, seed=5).positions[:, 1:]
    distance = torch.linalg.vector_norm(plain[..., 0, :] - plain[..., 6, :], dim=-1)
    limits = torch.zeros_like(model.clash_limits)
    limits[0, 6] = limits[6, 0] = distance.median()
    found = generate(replace(model, clash_limits=limits), start, 6, 20, seed=5).positions[:, 1:]
    again = torch.linalg.vector_norm(found[..., 0, :] - found[..., 6, :], dim=-1)
    if isinstance(model.dynamics, FlowDynamics):
        assert (distance < limits[0, 6]).double().mean() > 0.4
        assert (again < limits[0, 6]).double().mean() < 0.05
    else:  # deterministic: there is nothing to draw
        assert torch.equal(found, plain)


class Prefers(torch.nn.Module):
    """A critic for which the shorter of two atoms' distances is always real."""

    def distances(self, x):
        return torch.linalg.vector_norm(x[..., 0, :] - x[..., 6, :], dim=-1)[..., None]

    def forward(self, distances, scaled_condition):
        assert scaled_condition.shape == (*distances.shape[:-1], 4)
        return -1e4 * distances[..., 0]


def test_a_critic_chooses_among_candidates_and_never_one_that_clashes(model):
    start, critic = a_start(model), Prefers()
    plain = critic.distances(generate(model, start, 6, 20, seed=5).positions[:, 1:])
    judged = replace(model, critic=critic)
    found = generate(judged, start, 6, 20, seed=5).positions
    assert torch.equal(found, generate(judged, start, 6, 20, seed=5).positions)
    chosen = critic.distances(found[:, 1:])
    if not isinstance(model.dynamics, FlowDynamics):
        assert torch.equal(chosen, plain)
        return
    assert (chosen < plain.median()).double().mean() > 0.9, "half of the candidates lie below"
    off = (evaluate(model.cv, found) - generate(model, start, 6, 20, seed=5).target_cv).abs()
    assert off[:, 1:].median() < 1e-3
    limits = torch.zeros_like(model.clash_limits)
    limits[0, 6] = limits[6, 0] = plain.median()
    apart = critic.distances(
        generate(replace(judged, clash_limits=limits), start, 6, 20, seed=5).positions[:, 1:]
    )
    assert (apart < limits[0, 6]).double().mean() < 0.01
    assert apart.median() < plain.quantile(0.75), "the shortest of those that do not clash"


class Likes(Prefers):
    """A critic whose log odds are 4 where a distance is below a limit, and 0 elsewhere."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def forward(self, distances, scaled_condition):
        return 4.0 * (distances[..., 0] < self.limit)


def test_half_of_the_log_odds_counts(model):
    """Of 8 candidates k lie below, at random, and one of these is kept with k e^2 / (k e^2 + 8 - k)."""
    if not isinstance(model.dynamics, FlowDynamics):
        return
    start = a_start(model)
    plain = Prefers().distances(generate(model, start, 1, 500, seed=5).positions[:, 1])
    judged = replace(model, critic=Likes(plain.median()))
    chosen = Prefers().distances(generate(judged, start, 1, 500, seed=6).positions[:, 1])
    weight = math.exp(2)
    expected = sum(math.comb(8, k) / 2**8 * k * weight / (k * weight + 8 - k) for k in range(9))
    share = float((chosen < plain.median()).double().mean())
    assert share == pytest.approx(expected, abs=0.06)
    assert share < 0.92, "with the odds in full it is 0.97"


def test_training_frames_that_clash_lift_the_limits():
    names = np.array(["C"] * 6)
    bonds = np.array([[i, i + 1] for i in range(5)])
    molecule = SimpleNamespace(names=names, elements=names, bonds=bonds)
    straight = torch.zeros(1, 6, 3)
    straight[0, :, 0] = 1.5 * torch.arange(6)
    curled = straight.clone()
    curled[0, 5] = straight[0, 0] + torch.tensor([0.0, 1.0, 0.0])
    limits = DefaultMethod().clash_limits(molecule, straight)
    assert limits[0, 4] == limits[0, 5] == 2.4
    assert limits[0, 3] == 0
    assert not DefaultMethod().clash_limits(molecule, torch.cat([straight, curled])).any()


def test_sizes_beyond_the_weights_are_refused():
    with pytest.raises(ValueError, match="beyond the number of weights"):
        refuse_sizes({"hidden_size": 10**9}, {"w": torch.zeros(1)})
