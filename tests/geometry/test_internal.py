"""Internal coordinates: the way there and back, invariances, and the tree."""

import numpy as np
import pytest
import torch

from smdgen.errors import TopologyError
from smdgen.geometry.internal import spanning_tree, to_cartesian, to_internal

GRAPHS = {
    "chain": (8, [(i, i + 1) for i in range(7)]),
    "branched": (9, [(0, 1), (1, 2), (2, 3), (2, 4), (4, 5), (4, 6), (4, 7), (7, 8)]),
    "shuffled": (6, [(3, 5), (5, 0), (0, 4), (4, 1), (0, 2)]),
    "ring with a tail": (7, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 1), (3, 5), (5, 6)]),
    "ring only": (5, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)]),
    "two chains": (8, [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (6, 7)]),
    "no bonds": (5, []),
}


def frames(n_atoms, n_frames=20, seed=0):
    """(n_frames, n_atoms, 3): random walks with steps near 1.5 A."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(n_frames, n_atoms, 3, generator=generator, dtype=torch.float64)
    return (1.5 * torch.nn.functional.normalize(steps, dim=-1)).cumsum(1) + 0.2 * steps


@pytest.mark.parametrize("name", GRAPHS)
def test_round_trip_gives_the_same_shape_and_hand(name):
    n_atoms, bonds = GRAPHS[name]
    x = frames(n_atoms)
    tree = spanning_tree(n_atoms, np.array(bonds, dtype=np.int64).reshape(-1, 2))
    y = to_cartesian(*to_internal(x, tree), tree)
    torch.testing.assert_close(torch.cdist(y, y), torch.cdist(x, x), atol=1e-6, rtol=0)
    volume = [torch.linalg.det(z[:, 1:4] - z[:, :1]) for z in (x, y)]
    torch.testing.assert_close(volume[1], volume[0], atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_atom_has_one_number_less_than_it_has_freedoms(name):
    n_atoms, bonds = GRAPHS[name]
    tree = spanning_tree(n_atoms, np.array(bonds, dtype=np.int64).reshape(-1, 2))
    assert (len(tree.bonds), len(tree.angles), len(tree.torsions)) == (n_atoms - 1, n_atoms - 2, n_atoms - 3)
    assert (tree.parent < 0).sum() == 1
    assert len({tuple(sorted(pair)) for pair in tree.bonds.tolist()} - {tuple(sorted(b)) for b in bonds}) == (
        {"two chains": 1, "no bonds": 4}.get(name, 0)
    ), "no pseudo-bond where bonds suffice"


def test_rotation_and_translation_change_nothing_and_a_mirror_turns_torsions():
    n_atoms, bonds = GRAPHS["branched"]
    tree, x = spanning_tree(n_atoms, np.array(bonds)), frames(n_atoms)
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=x.dtype))[
        0
    ]
    rotation = rotation * torch.linalg.det(rotation)
    for moved, original in zip(to_internal(x @ rotation + 5, tree), to_internal(x, tree), strict=True):
        torch.testing.assert_close(moved, original)
    mirrored = to_internal(x * torch.tensor([1.0, 1.0, -1.0]), tree)
    torch.testing.assert_close(mirrored[2], -to_internal(x, tree)[2])


def test_a_turn_about_a_bond_is_one_number():
    """All that hangs on a bond turns with its leading child; the siblings' offsets stay."""
    n_atoms, bonds = GRAPHS["branched"]
    tree, x = spanning_tree(n_atoms, np.array(bonds)), frames(n_atoms)
    lengths, angles, torsions = to_internal(x, tree)
    row = next(i for i, (a, b, c, _) in enumerate(tree.torsions) if (b, c) == (2, 4) and a == 1)
    turned = torsions.clone()
    turned[:, row] += 0.7
    y = to_cartesian(lengths, angles, turned, tree)
    changed = [i for i in range(len(tree.torsions)) if i != row]
    torch.testing.assert_close(to_internal(y, tree)[2][:, changed], torsions[:, changed])
    siblings = [5, 6, 7]
    torch.testing.assert_close(
        torch.cdist(y[:, siblings], y[:, siblings]), torch.cdist(x[:, siblings], x[:, siblings])
    )


def test_a_group_of_ends_turns_as_one_also_at_the_start_of_the_file():
    """NH3: atoms 0, 2 and 3 on 1; the root is elsewhere, so one torsion turns all three."""
    tree = spanning_tree(9, np.array([(0, 1), (1, 2), (1, 3), (1, 4), (4, 5), (5, 6), (5, 7), (7, 8)]))
    assert tree.parent[8] == -1
    assert tree.parent[[0, 2, 3]].tolist() == [1, 1, 1]
    assert tree.torsions[tree.rotors].tolist() == [[5, 4, 1, 0], [0, 4, 1, 2], [0, 4, 1, 3]]


def test_rebuilding_equals_placing_one_atom_after_another():
    """Against the textbook loop (natural extension reference frame) on a chain."""
    n_atoms, bonds = GRAPHS["chain"]
    tree, x = spanning_tree(n_atoms, np.array(bonds)), frames(n_atoms, 1)
    lengths, angles, torsions = (values[0].numpy() for values in to_internal(x, tree))
    placed = to_cartesian(*to_internal(x, tree), tree)[0].numpy()
    for i in range(3, n_atoms):
        a, b, c = placed[i - 3], placed[i - 2], placed[i - 1]
        along = (c - b) / np.linalg.norm(c - b)
        normal = np.cross(b - a, along)
        normal /= np.linalg.norm(normal)
        r, theta, phi = lengths[i - 1], angles[i - 2], torsions[i - 3]
        local = r * np.array([-np.cos(theta), np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi)])
        expected = c + np.stack([along, np.cross(normal, along), normal], 1) @ local
        np.testing.assert_allclose(placed[i], expected, atol=1e-9)


def test_gradients_agree_with_finite_differences():
    n_atoms, bonds = GRAPHS["branched"]
    tree = spanning_tree(n_atoms, np.array(bonds))
    values = [v.requires_grad_() for v in to_internal(frames(n_atoms, 2), tree)]
    assert torch.autograd.gradcheck(lambda *q: to_cartesian(*q, tree), values)


def test_too_few_atoms_are_refused():
    with pytest.raises(TopologyError, match="3 modelled atoms"):
        spanning_tree(3, np.array([[0, 1], [1, 2]]))
