"""The steered LSTM and its flow."""

import torch

from smdgen.method.dynamics import FlowDynamics, flow_matching_loss
from smdgen.method.model import Condition
from smdgen.method.presets import SamplingNumbers


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def steered(latent=3):
    """Three features a latent could not be simpler: two residues, the last feature soft."""
    torch.manual_seed(0)
    sizes = {"n_features": 3, "n_residues": 2, "n_kinds": 2, "n_soft": 1}
    lstm = FlowDynamics(latent, hidden_size=8, head_size=16, n_blocks=2, **sizes).double()
    torch.nn.init.normal_(lstm.to_features)
    torch.nn.init.normal_(lstm.to_latents)
    lstm.soft.fill_(2)
    return lstm


def steering(n, n_steps, generator):
    now = torch.rand(n, n_steps, generator=generator, dtype=torch.float64)
    return Condition(now, now + 0.1, torch.full_like(now, 20.0))


def test_memory_step_by_step_equals_the_whole_sequence():
    lstm, generator = steered(), torch.Generator().manual_seed(0)
    z, told = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64), steering(2, 5, generator)
    at_once, _ = lstm.encode_history(z, told)
    state, parts = None, []
    for i in range(5):
        now = Condition(told.cv[:, i : i + 1], told.target_cv[:, i : i + 1], told.dt_ps[:, i : i + 1])
        part, state = lstm.encode_history(z[:, i : i + 1], now, state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), at_once)


def test_sampling_follows_the_flow_of_a_known_gaussian():
    """For data N(m, s^2) the straight-path velocity is known; its flow must turn N(0, 1) into N(m, s^2)."""
    lstm = steered(latent=1)
    m, sd = 0.7, 0.3

    def velocity(u, s, _):
        """E[data - noise | u] for u = (1 - s) noise + s data, jointly Gaussian."""
        s = s[..., None]
        variance = (1 - s) ** 2 + (s * sd) ** 2
        return m + (s * sd**2 - (1 - s)) / variance * (u - s * m)

    lstm.velocity = velocity
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    found = lstm.sample(torch.zeros(9, 1, dtype=torch.float64), noise, SamplingNumbers(n_ode_steps=50))
    torch.testing.assert_close(found, m + sd * noise, atol=2e-3, rtol=0)


def test_flow_loss_is_least_for_the_true_velocity_and_keeps_to_its_generator():
    lstm, generator = steered(), torch.Generator().manual_seed(0)
    z, told = torch.randn(40, 4, 3, generator=generator, dtype=torch.float64), steering(40, 3, generator)
    losses = [flow_matching_loss(lstm, z, told, seeded(s)) for s in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    lstm.standardise(z.flatten(0, 1), told.cv.flatten())
    scaled = (z - lstm.z_centre) / lstm.z_scale
    lstm.velocity = lambda u, s, context: torch.zeros_like(u)
    draw = torch.Generator().manual_seed(3)
    torch.randn(40, 3, lstm.n_soft, generator=draw, dtype=z.dtype)
    torch.rand(40, 3, generator=draw, dtype=z.dtype)
    noise = torch.randn(40, 3, 3, generator=draw, dtype=z.dtype)
    expected = (scaled[:, 1:] - noise).square().mean()
    torch.testing.assert_close(flow_matching_loss(lstm, z, told, seeded(3)), expected)


def test_sampling_is_pulled_on_the_way_and_what_is_left_of_the_flow_keeps_to_it():
    """The velocity leads straight to the latent expected at s = 0.3 and after; the pull wants another."""
    lstm, asked = steered(latent=1), []
    wanted = torch.tensor([[2.0], [-3.0]], dtype=torch.float64)

    def pull(expected):
        asked.append(expected)
        return wanted - expected

    lstm.velocity = lambda u, s, context: u / s[..., None].clamp_min(0.05)
    noise = torch.tensor([[0.4], [0.1]], dtype=torch.float64)
    found = lstm.sample(torch.zeros(2, 1, dtype=torch.float64), noise, SamplingNumbers(), pull)
    assert len(asked) == 13, "at 0.30, 0.35 .. 0.90"
    assert (asked[0] - wanted).abs().min() > 1
    torch.testing.assert_close(found, wanted, atol=2e-2, rtol=0)
