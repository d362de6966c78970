"""The mean of latents along the CV."""

import torch

from smdgen.method.mean_path import at, mean_path
from smdgen.method.presets import MeanPathNumbers

NUMBERS = MeanPathNumbers()


def test_a_straight_way_with_noise_is_found_and_goes_on():
    generator = torch.Generator().manual_seed(0)
    cv = torch.linspace(10, 30, 200)
    noise = 0.1 * torch.randn(200, 2, generator=generator)
    z = torch.stack([cv / 10, 3 - cv / 5], 1) + noise
    knots, values, deviation = mean_path(cv, z, torch.ones(2), 32, NUMBERS)
    there = at(torch.tensor([9.0, 20.0, 31.0]), knots, values)
    assert torch.allclose(there, torch.tensor([[0.9, 1.2], [2.0, -1.0], [3.1, -3.2]]), atol=0.12)
    assert torch.allclose(deviation, torch.tensor([0.1, 0.1]), atol=0.02)


def test_a_bend_takes_a_narrow_width_and_noise_a_wide_one():
    cv = torch.linspace(0, 1, 300)
    generator = torch.Generator().manual_seed(1)
    bent = torch.sin(12 * cv)[:, None]
    _, _, left = mean_path(cv, bent, torch.ones(1), 64, NUMBERS)
    assert left < 0.02  # a wide width would leave 0.7
    flat = torch.randn(300, 1, generator=generator)
    _, along, _ = mean_path(cv, flat, torch.ones(1), 64, NUMBERS)
    assert along.std() < 0.3


def test_frames_at_one_cv_give_their_mean():
    z = torch.tensor([[1.0], [3.0], [2.0], [2.0], [0.0], [4.0], [1.0], [3.0]])
    knots, values, _ = mean_path(torch.full((8,), 5.0), z, torch.ones(1), 4, NUMBERS)
    assert torch.allclose(at(torch.tensor([5.0]), knots, values), torch.tensor([[2.0]]))


def test_a_gap_is_bridged_and_not_left_by_the_slopes_of_its_ends():
    """Before the gap the latent rises, after it it falls: narrow widths alone would meet far above."""
    cv = torch.cat([torch.linspace(0, 40, 80), torch.linspace(60, 100, 80)])
    z = torch.where(cv < 50, cv, 100 - cv)[:, None] + 0.5 * torch.sin(3 * cv)[:, None]
    knots, values, _ = mean_path(cv, z, torch.ones(1), 101, NUMBERS)
    there = at(torch.tensor([45.0, 50.0, 55.0]), knots, values)
    assert there.min() > 38
    assert there.max() < 48


def test_latents_that_count_decide_the_width():
    cv = torch.linspace(0, 1, 300)
    generator = torch.Generator().manual_seed(2)
    z = torch.stack([torch.sin(12 * cv), torch.randn(300, generator=generator)], 1)
    for scale, bent_is_kept in (((1.0, 0.01), True), ((0.01, 1.0), False)):
        _, _, deviation = mean_path(cv, z, torch.tensor(scale), 64, NUMBERS)
        assert (float(deviation[0]) < 0.05) == bent_is_kept
