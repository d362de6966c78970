"""Wells spread over the circle: the way there and back, and why."""

import pytest
import torch

from smdgen.geometry.frames import wrap
from smdgen.geometry.internal import spanning_tree, to_cartesian, to_internal
from smdgen.method.features.internal import InternalFeatures
from smdgen.method.features.rotors import count, distribution, gathered, spread
from smdgen.method.presets import DEFAULT

N_BINS = DEFAULT.internal.n_bins


@pytest.fixture
def angles():
    """(6000, 2), rad. Three wells at 60, 180 and -60 degrees, 12 degrees wide, and one well."""
    generator = torch.Generator().manual_seed(0)
    noise = 0.21 * torch.randn(6000, 2, generator=generator, dtype=torch.float64)
    wells = torch.pi / 3 * torch.tensor([1.0, 3.0, -1.0]).double()[torch.arange(6000) % 3]
    return wrap(noise + torch.stack([wells, torch.full_like(wells, 2.0)], 1))


def at_barriers(angles):
    """Share within 20 degrees of a barrier of the first rotor."""
    return ((1.5 * angles[:, 0]).sin().abs() < 0.5).double().mean()


def test_there_and_back_and_even_in_between(angles):
    table = distribution(count(angles, N_BINS), DEFAULT.internal.even_share)
    even = spread(angles, table)
    torch.testing.assert_close(
        wrap(gathered(even, table) - angles), torch.zeros_like(angles), atol=1e-9, rtol=0
    )
    share = torch.histc(even[:, 0], 12, -torch.pi, torch.pi) / len(even)
    assert (share - 1 / 12).abs().max() < 0.02
    anywhere = torch.linspace(-3.14, 3.14, 500).double()[:, None].expand(-1, 2)
    torch.testing.assert_close(spread(gathered(anywhere, table), table), anywhere, atol=1e-9, rtol=0)


def test_blur_keeps_to_the_wells(angles):
    """Noise that fills the barriers on the plain circle leaves them nearly as empty as they are."""
    table = distribution(count(angles, N_BINS), DEFAULT.internal.even_share)
    noise = 0.8 * torch.randn(angles.shape, generator=torch.Generator().manual_seed(1), dtype=angles.dtype)
    blurred = gathered(wrap(spread(angles, table) + noise), table)
    assert at_barriers(wrap(angles + noise)) > 0.2
    assert at_barriers(blurred) < at_barriers(angles) + 0.03


def test_gradients_agree_with_finite_differences(angles):
    table = distribution(count(angles, N_BINS), DEFAULT.internal.even_share)
    x = angles[:20].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda a: spread(a, table), x, atol=1e-6)
    assert torch.autograd.gradcheck(lambda a: gathered(a, table), x, atol=1e-6)


def test_counts_of_parts_add_up(angles):
    assert torch.equal(count(angles[:100], N_BINS) + count(angles[100:], N_BINS), count(angles, N_BINS))
    assert count(angles, N_BINS).shape == (2, N_BINS)


def test_only_groups_of_end_atoms_are_rotors():
    """A chain of four with a methyl at its end, whose wells are seen by the features; a chain has none."""
    bonds = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (4, 6), (4, 7)]
    tree = spanning_tree(8, torch.tensor(bonds).numpy())
    assert tree.torsions[tree.rotors][:, 2:].tolist() == [[4, 5], [4, 6], [4, 7]]
    assert not spanning_tree(5, torch.tensor(bonds[:4]).numpy()).rotors.any()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 3, generator=generator, dtype=torch.float64).cumsum(0).expand(300, -1, -1)
    lengths, angles, torsions = to_internal(x, tree)
    row = int(tree.rotors.nonzero()[0][0])
    torsions[:, row] = torch.linspace(-3, 3, 300) ** 3 / 9
    x = to_cartesian(lengths, angles, torsions, tree)
    features = InternalFeatures.fit(lambda: x.split(100), tree)
    assert len(features.rotors) == 1, "the two that are narrow keep to one number"
    back = to_internal(features.decode(features.encode(x)), tree)[2]
    torch.testing.assert_close(wrap(back - torsions), torch.zeros_like(back), atol=1e-6, rtol=0)


def test_an_amine_that_inverts_has_wells_though_its_torsion_is_narrow():
    """The second hydrogen of NH2 stands at +-115 degrees from the first, within 2 rad of the mean at 180."""
    tree = spanning_tree(7, torch.tensor([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (4, 6)]).numpy())
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 3, generator=generator, dtype=torch.float64).cumsum(0).expand(400, -1, -1)
    lengths, angles, torsions = to_internal(x, tree)
    row = next(i for i, four in enumerate(tree.torsions) if four[3] == 6)
    side = torch.where(torch.arange(400) % 2 == 0, 2.0, -2.0)
    torsions[:, row] = side + 0.1 * torch.randn(400, generator=generator, dtype=torch.float64)
    x = to_cartesian(lengths, angles, torsions, tree)
    features = InternalFeatures.fit(lambda: x.split(100), tree)
    assert len(features.rotors) == 1
    blurred = features.encode(x) + 0.3 * torch.randn(400, features.n_features, generator=generator).double()
    blurred[:, : features.n_lengths + features.n_angles + features.n_narrow] = 0
    back = to_internal(features.decode(blurred), tree)[2][:, row]
    assert (back.abs() > 2.6).double().mean() < 0.05, "between the wells"
