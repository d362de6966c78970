"""Frames as standardised internal coordinates."""

import torch

from smdgen.nets.features import InternalFeatures
from smdgen.physics.geometry import rmsd


def test_decoding_gives_the_frame_back_in_its_own_hand(x, tree):
    features = InternalFeatures.fit(lambda: x.split(70), tree)
    back = features.decode(features.encode(x))
    assert rmsd(back, x).max() < 1e-6
    assert rmsd(back * torch.tensor([1.0, 1.0, -1.0]), x).min() > 0.1


def test_training_features_are_standardised_and_only_wide_torsions_take_two_columns(x, tree):
    features = InternalFeatures.fit(lambda: x.split(70), tree)
    f = features.encode(x)
    assert features.wide.sum() == 1
    assert f.shape[1] == (6 + 5 + 4) + 1
    torch.testing.assert_close(f.mean(0), torch.zeros_like(f[0]), atol=1e-9, rtol=0)
    torch.testing.assert_close(f.square().mean(), torch.ones_like(f[0, 0]), atol=1e-9, rtol=0)


def test_rotation_and_translation_change_nothing(x, tree):
    features = InternalFeatures.fit(lambda: x.split(70), tree)
    angle = torch.tensor(0.8, dtype=x.dtype)
    turn = torch.eye(3, dtype=x.dtype)
    turn[:2, :2] = torch.stack(
        [torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])]
    )
    torch.testing.assert_close(features.encode(x @ turn - 30), features.encode(x), atol=1e-9, rtol=0)


def test_a_narrow_torsion_at_the_seam_has_no_jump(x, tree):
    """A torsion of 2.9 +- 0.1 rad crosses pi: its feature must stay near 0."""
    features = InternalFeatures.fit(lambda: x.split(70), tree)
    column = features.n_lengths + features.n_angles
    assert features.encode(x)[:, column : column + features.n_narrow].abs().max() < 5
