"""Frames as standardised internal coordinates."""

import torch

from smdgen.geometry.frames import bond_lengths, rmsd
from smdgen.geometry.internal import to_cartesian, to_internal
from smdgen.method.autoencoder import FeatureVae
from smdgen.method.default import DefaultMethod
from smdgen.method.features.internal import InternalFeatures
from smdgen.method.model import with_weights


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


def test_rigid_bonds_are_no_features_and_get_their_length_back_whatever_the_noise(x, tree):
    lengths, angles, torsions = to_internal(x, tree)
    lengths[:, 2] = 1.08 + 1e-6 * torch.randn(len(x), dtype=x.dtype)
    x = to_cartesian(lengths, angles, torsions, tree)
    features = InternalFeatures.fit(lambda: x.split(70), tree)
    f = features.encode(x)
    assert f.shape[1] == features.n_features == (5 + 5 + 4) + 1
    assert features.placed_atoms().shape == features.quantities().shape == features.is_soft().shape == (15,)
    assert tree.bonds[2, 1] not in features.placed_atoms()[:5]
    assert rmsd(features.decode(f), x).max() < 1e-5
    trembling = bond_lengths(features.decode(f + torch.randn(f.shape, dtype=f.dtype)), tree.bonds)
    torch.testing.assert_close(trembling[:, 2], torch.full_like(trembling[:, 2], 1.08), atol=1e-6, rtol=0)
    assert trembling.std(0)[[0, 1, 3, 4, 5]].min() > 0.02


def test_an_autoencoder_with_rigid_bonds_comes_back_from_its_weights(x, tree):
    lengths, angles, torsions = to_internal(x, tree)
    lengths[:, 2] = 1.08
    x = to_cartesian(lengths, angles, torsions, tree).float()
    vae = FeatureVae(InternalFeatures.fit(lambda: x.split(70), tree), 5, 32)
    sizes = {"n_atoms": tree.n_atoms, "latent_size": 5, "hidden_size": 32}
    weights = vae.state_dict()
    again = DefaultMethod().empty_autoencoder(sizes, weights, vae.representation, vae.tree)
    again = with_weights(again, weights)
    z = torch.randn(3, 5)
    torch.testing.assert_close(again.decode(z), vae.decode(z), atol=0, rtol=0)
