"""The critic of next frames: what it sees, and its way to the disk and back."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from smdgen.geometry.bonds import even_choice
from smdgen.method.critic import Critic
from smdgen.method.presets import DEFAULT
from smdgen.store.models import build_critic
from tests.method.test_rollout import turn

PAIRS = np.array([[0, 3], [1, 5], [2, 6]])


@pytest.fixture
def critic(x) -> Critic:
    torch.manual_seed(0)
    atoms = torch.from_numpy(PAIRS)
    distances = torch.linalg.vector_norm(x[:, atoms[:, 0]] - x[:, atoms[:, 1]], dim=-1)
    return Critic.of(PAIRS, distances, torch.randn(len(x), 4, dtype=x.dtype)).eval()


def test_a_turned_frame_has_the_same_odds_and_another_frame_others(critic, x):
    condition = torch.zeros(4, dtype=x.dtype).expand(len(x), -1)
    odds = critic(critic.distances(x), condition)
    assert odds.shape == (300,)
    torch.testing.assert_close(critic(critic.distances(turn(x)), condition), odds, atol=1e-8, rtol=0)
    assert odds.std() > 1e-3
    assert (critic(critic.distances(x), condition + 1) - odds).abs().min() > 1e-6, "it reads the condition"


def test_an_input_far_from_all_training_frames_counts_no_more_than_a_little_outside(critic, x):
    condition = torch.zeros(1, 4, dtype=x.dtype)
    far, farther = (torch.full((1, 3), d, dtype=x.dtype) for d in (1e4, 1e6))
    assert torch.equal(critic(far, condition), critic(farther, condition))


def test_it_comes_back_from_a_model_file_and_one_of_other_atoms_is_refused(critic, x):
    again = build_critic(critic.state_dict(), SimpleNamespace(names=["C"] * 7), DEFAULT.critic)
    condition = torch.zeros(300, 4, dtype=x.dtype)
    assert torch.equal(again(again.distances(x), condition), critic(critic.distances(x), condition))
    with pytest.raises(ValueError, match="other atoms"):
        build_critic(critic.state_dict(), SimpleNamespace(names=["C"] * 6), DEFAULT.critic)


def test_of_too_many_pairs_an_even_choice_is_watched():
    pairs = np.stack(np.triu_indices(100, 2), 1)
    most = DEFAULT.critic.most_distances
    watched = even_choice(pairs, most)
    assert len(pairs) > len(watched) == len(np.unique(watched, axis=0)) == most
    np.testing.assert_array_equal(watched[[0, -1]], pairs[[0, -1]])
    np.testing.assert_array_equal(even_choice(PAIRS, most), PAIRS)
