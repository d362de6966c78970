"""What every part of `physics` reads of a structure, whatever class it is."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Atoms(Protocol):
    """Arrays over the atoms."""

    @property
    def names(self) -> NDArray[np.str_]: ...  # noqa: D102
    @property
    def residue_ids(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def insertion_codes(self) -> NDArray[np.str_]: ...  # noqa: D102
    @property
    def chain_ids(self) -> NDArray[np.str_]: ...  # noqa: D102
    @property
    def segment_ids(self) -> NDArray[np.str_]: ...  # noqa: D102
    @property
    def masses(self) -> NDArray[np.float64]: ...  # noqa: D102


class Molecule(Atoms, Protocol):
    """Arrays over the atoms, with elements, residue names and bonds."""

    @property
    def residue_names(self) -> NDArray[np.str_]: ...  # noqa: D102
    @property
    def elements(self) -> NDArray[np.str_]: ...  # noqa: D102
    @property
    def bonds(self) -> NDArray[np.int64]: ...  # noqa: D102


def is_carbon(structure: Molecule, atom: int) -> bool:
    """Whether an atom named CA is a carbon, by its element if known: calcium ions bear the name too."""
    return str(structure.elements[atom]).upper() in ("", "C")
