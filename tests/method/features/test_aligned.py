"""Places and near distances as features: what is lost, what is invariant, what the sweeps mend."""

import itertools

import networkx
import numpy as np
import pytest
import torch

from smdgen.forcefield.system import residue_rows
from smdgen.geometry.bonds import bonds_apart
from smdgen.geometry.frames import bond_lengths, rmsd
from smdgen.method.autoencoder import FeatureVae
from smdgen.method.features.aligned import AlignedFeatures
from smdgen.method.transformer import residue_layout
from tests.tools.pulls import make_pull, make_structure


@pytest.fixture(scope="module")
def structure():
    return make_structure()


@pytest.fixture(scope="module")
def x():
    return torch.from_numpy(make_pull(60, seed=1)).double()


@pytest.fixture(scope="module")
def features(x, structure):
    return AlignedFeatures.fit(lambda: x.split(25), structure.n_atoms, structure.bonds).eval()


def test_nothing_is_lost_and_all_is_standardised(x, features):
    f = features.encode(x)
    assert rmsd(features.decode(f), x).max() < 1e-6
    places, distances = f.split([3 * 40, len(features.pairs)], -1)
    assert float(places.square().mean()) == pytest.approx(1)
    torch.testing.assert_close(
        distances.mean(0), torch.zeros(len(features.pairs), dtype=x.dtype), atol=1e-9, rtol=0
    )
    moving = features.length_spread > 0.02  # the first bond of the made-up pulls is rigid
    deviation = distances.std(0, correction=0)[moving]
    torch.testing.assert_close(deviation, torch.full_like(deviation, 0.1))


def test_features_do_not_see_place_and_turn_but_the_hand(x, features):
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=x.dtype, generator=torch.Generator().manual_seed(0)))
    turn = turn * torch.linalg.det(turn)
    torch.testing.assert_close(features.encode(x @ turn + 5), features.encode(x), atol=1e-6, rtol=0)
    assert rmsd(features.decode(features.encode(-x)), x).min() > 1


def test_one_frame_and_many_pulls_of_frames_are_the_same(x, features):
    f = features.encode(x)
    torch.testing.assert_close(features.encode(x[3]), f[3])
    torch.testing.assert_close(features.encode(x.view(3, 20, 40, 3)).flatten(0, 1), f)
    torch.testing.assert_close(features.decode(f.view(3, 20, -1)).flatten(0, 1), features.decode(f))


def test_atoms_that_are_off_come_back_with_sound_bonds(x, features, structure):
    f = features.encode(x)
    shaken = f.clone()
    shaken[:, : 3 * 40] += (
        0.15 / features.spread * torch.randn(60, 120, generator=torch.Generator().manual_seed(0))
    )
    wanted, found = bond_lengths(x, structure.bonds), bond_lengths(features.decode(shaken), structure.bonds)
    assert (found - wanted).square().mean().sqrt() < 0.006, "0.2 without the sweeps"
    assert rmsd(features.decode(shaken), x).mean() < 0.27, "no more than what was shaken: sqrt(3) 0.15"


def test_noise_makes_bonds_tremble_and_nothing_else(x, features, structure):
    noise = features.noisy(torch.ones(2, features.n_features))
    assert noise[:, :120].abs().max() == 0
    trembling = features.pairs[noise[0, 120:] == 1]
    assert sorted(trembling.tolist()) == structure.bonds.tolist()
    assert noise[:, 120:].sum() == 2 * len(structure.bonds)
    vae = FeatureVae(features, 10, 8).double()
    z = torch.zeros(500, 10, dtype=x.dtype)
    generator = torch.Generator().manual_seed(1)
    frames = vae.decode(z, torch.randn(500, features.n_features, generator=generator, dtype=x.dtype))
    assert rmsd(frames, frames[:1]).mean() < 0.1


def test_near_pairs_are_those_of_a_walk_over_the_bonds(structure):
    pairs, apart = bonds_apart(structure.n_atoms, structure.bonds, most=3)
    graph = networkx.Graph(structure.bonds.tolist())
    lengths = dict(networkx.all_pairs_shortest_path_length(graph, cutoff=3))
    wanted = {(i, j): lengths[i][j] for i, j in itertools.combinations(range(40), 2) if j in lengths[i]}
    assert dict(zip(map(tuple, pairs.tolist()), apart.tolist(), strict=True)) == wanted


def test_each_feature_has_a_place_of_its_own_among_the_residues(features, structure):
    layout = residue_layout(features, structure.names.tolist(), residue_rows(structure))
    taken = layout.residue * (layout.kind.max() + 1) + layout.kind
    assert len(np.unique(taken)) == features.n_features
    soft = features.placed_atoms()[layout.soft]
    assert set(structure.names[soft]) == {"C"}, "where the chain branches"
    assert len(soft) == 3 * 9, "the last residue ends there"
