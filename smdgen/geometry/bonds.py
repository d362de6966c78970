"""The bond graph: molecules, neighbours, angles and torsions of bonded atoms, pairs of CA atoms."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from smdgen.arrays import Indices
from smdgen.geometry.atoms import Molecule
from smdgen.geometry.backbone import Backbone


def bond_matrix(n_atoms: int, bonds: ArrayLike) -> Any:
    """(n_atoms, n_atoms), sparse. How often each bond (n_bonds, 2) is listed, from first to second atom."""
    from scipy.sparse import coo_array

    pairs = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    ones = np.ones(len(pairs), dtype=np.int64)
    return coo_array((ones, pairs.T), shape=(n_atoms, n_atoms)).tocsr()


def molecule_numbers(n_atoms: int, bonds: Indices) -> Indices:
    """(n_atoms,). The molecule each atom belongs to, counted from 0."""
    from scipy.sparse.csgraph import connected_components

    graph = bond_matrix(n_atoms, bonds)
    numbers: Indices = connected_components(graph, directed=False)[1].astype(np.int64)
    return numbers


def bonds_apart(n_atoms: int, bonds: ArrayLike, most: int) -> tuple[Indices, Indices]:
    """Pairs of atoms that few bonds join.

    Args:
        n_atoms: Number of atoms.
        bonds: (n_bonds, 2).
        most: Bonds between the atoms of a pair, at most.

    Returns:
        (n_pairs, 2), the lower atom first, sorted; (n_pairs,), the bonds between.
    """
    one_way = bond_matrix(n_atoms, bonds)
    graph = one_way + one_way.T
    reached, found = graph, dict[tuple[int, int], int]()
    for apart in range(1, most + 1):
        pairs = np.stack(reached.nonzero(), 1)
        for pair in map(tuple, pairs[pairs[:, 0] < pairs[:, 1]].tolist()):
            found.setdefault(pair, apart)
        reached = reached @ graph
    order = sorted(found)
    return np.array(order, dtype=np.int64).reshape(-1, 2), np.array([found[pair] for pair in order])


def bonds_or_chain(structure: Molecule) -> Indices:
    """(n_bonds, 2). The bonds; without any, pairs of atoms that follow each other."""
    if len(structure.bonds):
        return np.asarray(structure.bonds, dtype=np.int64)
    first = np.arange(len(structure.names) - 1)
    return np.stack([first, first + 1], axis=1)


def neighbours(n_atoms: int, bonds: ArrayLike) -> list[list[int]]:
    """For each atom the atoms bonded to it, in rising order."""
    bonded: list[list[int]] = [[] for _ in range(n_atoms)]
    for i, j in np.asarray(bonds, dtype=np.int64).reshape(-1, 2).tolist():
        bonded[i].append(j)
        bonded[j].append(i)
    return [sorted(others) for others in bonded]


def bonded_angles(n_atoms: int, bonds: ArrayLike) -> Indices:
    """(n_angles, 3). Every angle between two bonds at one atom."""
    bonded = neighbours(n_atoms, bonds)
    rows = [(a, j, b) for j in range(n_atoms) for i, a in enumerate(bonded[j]) for b in bonded[j][i + 1 :]]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def other_torsions(structure: Molecule, bonds: Indices, backbone: Backbone) -> Indices:
    """(n_torsions, 4). One torsion about each bond that bears no phi, psi or omega."""
    bonded = neighbours(len(structure.names), bonds)
    rows = np.concatenate([backbone.phi, backbone.psi, backbone.omega])
    taken = {tuple(sorted(row)) for row in rows[:, 1:3].tolist()}
    torsions = []
    for j, k in np.asarray(bonds).tolist():
        first, last = [i for i in bonded[j] if i != k], [m for m in bonded[k] if m != j]
        if tuple(sorted((j, k))) not in taken and first and last and first[0] != last[0]:
            torsions.append((first[0], j, k, last[0]))
    return np.array(torsions, dtype=np.int64).reshape(-1, 4)


def ca_pairs(backbone: Backbone, apart: int = 2) -> Indices:
    """(n_pairs, 2). CA atoms at least `apart` residues from each other, or in different chains."""
    chain = np.concatenate([[0], np.cumsum(~backbone.linked)]) if backbone.n_residues else np.zeros(0)
    first, second = np.triu_indices(backbone.n_residues, 1)
    keep = (second - first >= apart) | (chain[first] != chain[second])
    ca = backbone.atoms["CA"]
    return np.stack([ca[first[keep]], ca[second[keep]]], axis=1)


def even_choice(rows: Indices, most: int) -> Indices:
    """Of more rows (n, ...) than some number so many, evenly from the first to the last."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
