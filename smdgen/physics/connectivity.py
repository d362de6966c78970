"""Which atoms are held together by bonds."""

import numpy as np
from numpy.typing import NDArray


def molecule_numbers(n_atoms: int, bonds: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n_atoms,). The molecule each atom belongs to, counted from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(bonds), dtype=np.int8), bonds.T), shape=(n_atoms, n_atoms))
    numbers: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return numbers
