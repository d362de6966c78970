"""A small molecule with two states, and networks for it."""

import numpy as np
import pytest
import torch

from smdgen.geometry.cvs import CollectiveVariable
from smdgen.geometry.internal import InternalTree, spanning_tree, to_cartesian
from smdgen.method.autoencoder import FeatureVae
from smdgen.method.features.internal import InternalFeatures

N_ATOMS = 7


@pytest.fixture
def tree() -> InternalTree:
    """A chain of six atoms with one branch."""
    return spanning_tree(N_ATOMS, np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [2, 6]]))


@pytest.fixture
def x(tree: InternalTree) -> torch.Tensor:
    """(300, 7, 3), A. Frames whose second torsion is wide and whose others are narrow."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    torsions = 0.1 * normal(300, 4) + torch.tensor([2.9, 0.4, 1.0, 2.0], dtype=torch.float64)
    torsions[:, 1] += torch.linspace(-3, 3, 300)
    return to_cartesian(1.5 + 0.03 * normal(300, 6), 1.9 + 0.05 * normal(300, 5), torsions, tree)


@pytest.fixture
def vae(x: torch.Tensor, tree: InternalTree) -> FeatureVae:
    """An untrained autoencoder that starts from the principal components."""
    torch.manual_seed(0)
    features = InternalFeatures.fit(lambda: x.split(70), tree)
    vae = FeatureVae(features, features.n_features, 32).double()
    vae.init_from_pca(lambda: features.encode(x).split(70))
    return vae.eval()


@pytest.fixture
def ends() -> CollectiveVariable:
    """The distance between the first and the last atom of the chain."""
    return CollectiveVariable("d", "distance", ((0,), (5,)), ((1.0,), (1.0,)))
