"""The dynamics: their memory and their flow."""

import torch

from smdgen.method.dynamics import FlowDynamics, flow_matching_loss
from smdgen.method.model import Condition
from smdgen.method.presets import SamplingNumbers


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def untrained(latent=3):
    """Three features a latent could not be simpler: two residues, the last feature soft."""
    torch.manual_seed(0)
    sizes = {"n_features": 3, "n_residues": 2, "n_kinds": 2, "n_soft": 1}
    dynamics = FlowDynamics(latent, hidden_size=8, head_size=16, n_blocks=2, **sizes).double()
    torch.nn.init.normal_(dynamics.to_features)
    torch.nn.init.normal_(dynamics.to_latents)
    dynamics.soft.fill_(2)
    return dynamics


def conditions(n, n_steps, generator):
    now = torch.rand(n, n_steps, generator=generator, dtype=torch.float64)
    return Condition(now, now + 0.1, torch.full_like(now, 20.0))


def test_memory_step_by_step_equals_the_whole_sequence():
    dynamics, generator = untrained(), torch.Generator().manual_seed(0)
    z, condition = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64), conditions(2, 5, generator)
    at_once, _ = dynamics.encode_history(z, condition)
    state, parts = None, []
    for i in range(5):
        now = Condition(
            condition.cv[:, i : i + 1], condition.target_cv[:, i : i + 1], condition.dt_ps[:, i : i + 1]
        )
        part, state = dynamics.encode_history(z[:, i : i + 1], now, state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), at_once)


def test_sampling_follows_the_flow_of_a_known_gaussian():
    """For data N(m, s^2) the straight-path velocity is known; its flow must turn N(0, 1) into N(m, s^2)."""
    dynamics = untrained(latent=1)
    m, sd = 0.7, 0.3

    def velocity(u, s, _):
        """E[data - noise | u] for u = (1 - s) noise + s data, jointly Gaussian."""
        s = s[..., None]
        variance = (1 - s) ** 2 + (s * sd) ** 2
        return m + (s * sd**2 - (1 - s)) / variance * (u - s * m)

    dynamics.velocity = velocity
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    found = dynamics.sample(torch.zeros(9, 1, dtype=torch.float64), noise, SamplingNumbers(n_ode_steps=50))
    torch.testing.assert_close(found, m + sd * noise, atol=2e-3, rtol=0)


def test_flow_loss_is_least_for_the_true_velocity_and_keeps_to_its_generator():
    dynamics, generator = untrained(), torch.Generator().manual_seed(0)
    z, condition = (
        torch.randn(40, 4, 3, generator=generator, dtype=torch.float64),
        conditions(40, 3, generator),
    )
    losses = [flow_matching_loss(dynamics, z, condition, seeded(s)) for s in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    dynamics.standardise(z.flatten(0, 1), condition.cv.flatten())
    scaled = (z - dynamics.z_centre) / dynamics.z_scale
    dynamics.velocity = lambda u, s, history: torch.zeros_like(u)
    draw = torch.Generator().manual_seed(3)
    torch.randn(40, 3, dynamics.n_soft, generator=draw, dtype=z.dtype)
    torch.rand(40, 3, generator=draw, dtype=z.dtype)
    noise = torch.randn(40, 3, 3, generator=draw, dtype=z.dtype)
    expected = (scaled[:, 1:] - noise).square().mean()
    torch.testing.assert_close(flow_matching_loss(dynamics, z, condition, seeded(3)), expected)


def test_sampling_is_pulled_on_the_way_and_what_is_left_of_the_flow_keeps_to_it():
    """The velocity leads straight to the latent expected at s = 0.3 and after; the pull wants another."""
    dynamics, asked = untrained(latent=1), []
    wanted = torch.tensor([[2.0], [-3.0]], dtype=torch.float64)

    def pull(expected):
        asked.append(expected)
        return wanted - expected

    dynamics.velocity = lambda u, s, history: u / s[..., None].clamp_min(0.05)
    noise = torch.tensor([[0.4], [0.1]], dtype=torch.float64)
    found = dynamics.sample(torch.zeros(2, 1, dtype=torch.float64), noise, SamplingNumbers(), pull)
    assert len(asked) == 13, "at 0.30, 0.35 .. 0.90"
    assert (asked[0] - wanted).abs().min() > 1
    torch.testing.assert_close(found, wanted, atol=2e-2, rtol=0)
