"""What the default networks read and write in place of coordinates, whatever the representation."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from smdgen.geometry.internal import InternalTree


class Features(Protocol):
    """A module of torch without parameters, fitted to training frames: `FeatureVae` is built on it.

    | symbol   | here                                                                                   |
    |----------|----------------------------------------------------------------------------------------|
    | x        | frames, (..., n_atoms, 3), A                                                           |
    | f        | features of them, (..., n_features), standardised over the training frames             |
    """

    n_features: int

    @property
    def representation(self) -> str:
        """Its name, in model files."""

    @property
    def tree(self) -> InternalTree | None:
        """Spanning tree of the atoms, if it has one."""

    def encode(self, x: Tensor) -> Tensor:
        """X -> f; the same for a frame that is moved or turned."""

    def decode(self, f: Tensor) -> Tensor:
        """F -> x, in a frame of their own."""

    def noisy(self, noise: Tensor) -> Tensor:
        """The noise (..., n_features) that decoding bears."""

    def placed_atoms(self) -> NDArray[np.int64]:
        """(n_features,). The atom that each feature helps to place."""

    def quantities(self) -> NDArray[np.int64]:
        """(n_features,). Equal for the same quantity, say the sine of a torsion, of all atoms, from 0."""

    def is_soft(self) -> NDArray[np.bool_]:
        """(n_features,). Which features tell the conformation."""
