"""The network over residues: shared weights, places of the features, and who sees whom."""

import numpy as np
import pytest
import torch

from smdgen.method.transformer import ResidueNet, residue_layout

NAMES = ["N", "CA", "C", "N", "CA", "C", "CB"]
RESIDUES = [0, 0, 0, 1, 1, 1, 0]


@pytest.fixture
def layout(vae):
    return residue_layout(vae.features, NAMES, RESIDUES)


@pytest.fixture
def net(layout):
    torch.manual_seed(0)
    sizes = layout.sizes
    net = ResidueNet(**sizes, n_conditioning=3).double().eval()
    net.arrange(layout)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net


def test_features_of_one_quantity_share_a_kind_and_each_stands_alone(vae, layout):
    """Atoms 2 and 5 are both called C: the lengths that place them are one kind, in residues 0 and 1."""
    atoms, quantity = vae.features.placed_atoms(), vae.features.quantities()
    first, second = (np.flatnonzero((quantity == 0) & (atoms == atom))[0] for atom in (2, 5))
    assert layout.kind[first] == layout.kind[second]
    assert (layout.residue[first], layout.residue[second]) == (0, 1)
    places = set(zip(layout.residue.tolist(), layout.kind.tolist(), strict=True))
    assert len(places) == vae.features.n_features


def test_soft_features_are_the_torsions_that_turn(vae, layout):
    """The fixture turns one torsion by 6 rad and lets the others vibrate by 0.1 rad."""
    quantity = vae.features.quantities()
    assert quantity[layout.soft].tolist() == [3, 4]


def test_residues_share_their_weights(net, layout):
    """With the vectors that tell residues apart made equal, swapping two residues swaps the answer."""
    with torch.no_grad():
        net.residue.copy_(net.residue[:1].expand_as(net.residue))
        for layer in net.layers:
            layer.bias.zero_()
    kinds = [set(layout.kind[layout.residue == r].tolist()) for r in (0, 1)]
    common = sorted(kinds[0] & kinds[1])
    at = {(r, k): i for i, (r, k) in enumerate(zip(layout.residue, layout.kind, strict=True))}
    a, b = ([at[r, k] for k in common] for r in (0, 1))
    soft, conditioning = (
        torch.zeros(1, len(layout.soft), dtype=torch.float64),
        torch.ones(1, 3, dtype=torch.float64),
    )
    f = torch.zeros(1, len(layout.kind), dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    f[:, a] = torch.randn(1, len(common), generator=generator, dtype=torch.float64)
    f[:, b] = torch.randn(1, len(common), generator=generator, dtype=torch.float64)
    swapped = f.clone()
    swapped[:, a], swapped[:, b] = f[:, b], f[:, a]
    found, again = net(f, soft, conditioning), net(swapped, soft, conditioning)
    torch.testing.assert_close(again[:, b], found[:, a])
    assert (found[:, a] - found[:, b]).abs().max() > 1e-3


def test_each_residue_sees_the_others_and_the_soft_torsions(net, layout):
    f = torch.zeros(1, len(layout.kind), dtype=torch.float64)
    soft, conditioning = (
        torch.zeros(1, len(layout.soft), dtype=torch.float64),
        torch.zeros(1, 3, dtype=torch.float64),
    )
    second = torch.from_numpy(layout.residue == 1)
    still = net(f, soft, conditioning)[:, second]
    moved = f.clone()
    moved[:, int(np.flatnonzero(layout.residue == 0)[0])] = 1.0
    assert (net(moved, soft, conditioning)[:, second] - still).abs().max() > 1e-6
    assert (net(f, soft + 1, conditioning)[:, second] - still).abs().max() > 1e-6
    assert (net(f, soft, conditioning + 1)[:, second] - still).abs().max() > 1e-6
