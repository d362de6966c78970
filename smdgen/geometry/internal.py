"""Bond lengths, angles and torsions along a spanning tree of the atoms, and the way back to coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from smdgen.errors import TopologyError
from smdgen.geometry.bonds import molecule_numbers, neighbours
from smdgen.geometry.frames import angles as bond_angles
from smdgen.geometry.frames import bond_lengths, dihedrals


@dataclass(frozen=True)
class InternalTree:
    """Which atom is placed from which: each atom but the root hangs on a parent.

    Attributes:
        parent: (n_atoms,). Parent of each atom; -1 for the root.
        primary: (n_atoms,). The first child of the atom's parent. Its torsion about the bond
            grandparent-parent is absolute, that of its siblings is relative to it, so that a turn
            about the bond is one number and the siblings' offsets stay stiff. -1 for the root.
        depth: (n_atoms,). Bonds to the root.
    """

    parent: NDArray[np.int64]
    primary: NDArray[np.int64]
    depth: NDArray[np.int64]

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.parent)

    @property
    def bonds(self) -> NDArray[np.int64]:
        """(n_atoms - 1, 2). Parent, atom."""
        child = np.flatnonzero(self.depth >= 1)
        return np.stack([self.parent[child], child], axis=1)

    @property
    def angles(self) -> NDArray[np.int64]:
        """(n_atoms - 2, 3). Grandparent, parent, atom."""
        child = np.flatnonzero(self.depth >= 2)
        return np.stack([self.parent[self.parent[child]], self.parent[child], child], axis=1)

    @property
    def torsions(self) -> NDArray[np.int64]:
        """(n_atoms - 3, 4). Reference, grandparent, parent, atom; see `primary`."""
        is_primary = self.primary == np.arange(self.n_atoms)
        child = np.flatnonzero((self.depth >= 2) & ~((self.depth == 2) & is_primary))
        parent = self.parent[child]
        grand = self.parent[parent]
        reference = np.where(is_primary[child], self.parent[grand], self.primary[child])
        return np.stack([reference, grand, parent, child], axis=1)

    @property
    def rotors(self) -> NDArray[np.bool_]:
        """(n_atoms - 3,). Which torsions turn or invert a group of end atoms: methyl, amine, carboxylate."""
        n_children = np.bincount(self.parent[self.parent >= 0], minlength=self.n_atoms)
        inner = np.bincount(self.parent[(self.parent >= 0) & (n_children > 0)], minlength=self.n_atoms)
        group = self.torsions[:, 2]
        found: NDArray[np.bool_] = np.logical_and(n_children[group] > 1, inner[group] == 0)
        return found


def spanning_tree(n_atoms: int, bonds: NDArray[np.int64]) -> InternalTree:
    """A spanning tree of the bonded graph, rooted at an end of it, not in a methyl or the like if it can be.

    Parts that no bond joins (chains, or a selection such as CA alone) are joined by a
    pseudo-bond between the atoms that follow each other in the file.

    Args:
        n_atoms: Number of atoms, at least 4.
        bonds: (n_bonds, 2). Bonded pairs.

    Raises:
        TopologyError: Fewer than 4 atoms.
    """
    if n_atoms < 4:
        raise TopologyError(f"found {n_atoms} modelled atoms, expected at least 4; widen --select")
    graph = _joined_neighbours(n_atoms, bonds)
    root = _an_end(graph)
    if root is None:  # rings only: cut them open first
        cut = _breadth_first(graph, 0)
        graph = _joined_neighbours(n_atoms, [(i, up) for i, up in enumerate(cut) if up >= 0])
        root = _an_end(graph)
        assert root is not None, "a tree has ends"
    parent = _breadth_first(graph, root)
    depth = _depths(parent)
    primary = _primary_children(parent, depth)
    return InternalTree(parent, primary, depth)


def to_internal(x: Tensor, tree: InternalTree) -> tuple[Tensor, Tensor, Tensor]:
    """Bond lengths, angles and torsions of frames.

    Args:
        x: (..., n_atoms, 3), A.
        tree: The spanning tree.

    Returns:
        Lengths (..., n_atoms - 1) in A, angles (..., n_atoms - 2) and torsions
        (..., n_atoms - 3) in rad, in the order of `tree.bonds`, `tree.angles`, `tree.torsions`.
    """
    return bond_lengths(x, tree.bonds), bond_angles(x, tree.angles), dihedrals(x, tree.torsions)


def to_cartesian(lengths: Tensor, angles: Tensor, torsions: Tensor, tree: InternalTree) -> Tensor:
    """Coordinates from internal ones, with the root at the origin; the inverse of `to_internal`.

    Every atom carries a frame: origin at the atom, x from parent to atom, y towards the
    grandparent. A frame is its parent's frame times a local one, and the products along all
    branches are taken together in log2(depth) rounds of pointer jumping.

    Args:
        lengths: (..., n_atoms - 1), A.
        angles: (..., n_atoms - 2), rad.
        torsions: (..., n_atoms - 3), rad.
        tree: The spanning tree.

    Returns:
        (..., n_atoms, 3), A.

    Source: J. Parsons et al., J. Comput. Chem. 26, 1063 (2005), for the local frame; W. D. Hillis
    and G. L. Steele, Commun. ACM 29, 1170 (1986), for pointer jumping.
    """
    rotation, origin = _local_frames(lengths, angles, _absolute_torsions(torsions, tree), tree)
    jump = torch.as_tensor(np.where(tree.parent < 0, tree.n_atoms, tree.parent), device=lengths.device)
    identity = torch.eye(3, dtype=lengths.dtype, device=lengths.device).expand(*lengths.shape[:-1], 1, 3, 3)
    zero = torch.zeros(*lengths.shape[:-1], 1, 3, dtype=lengths.dtype, device=lengths.device)
    jump = torch.cat([jump, jump.new_tensor([tree.n_atoms])])
    rotation, origin = torch.cat([rotation, identity], -3), torch.cat([origin, zero], -2)
    for _ in range(int(np.ceil(np.log2(tree.depth.max() + 1)))):
        ahead = rotation[..., jump, :, :]
        origin = origin[..., jump, :] + (ahead @ origin[..., None]).squeeze(-1)
        rotation = ahead @ rotation
        jump = jump[jump]
    return origin[..., :-1, :]


def _absolute_torsions(torsions: Tensor, tree: InternalTree) -> Tensor:
    """(..., n_atoms). Torsion of each atom against its own chain of parents; 0 where there is none."""
    full = torch.zeros(*torsions.shape[:-1], tree.n_atoms, dtype=torsions.dtype, device=torsions.device)
    child = torch.as_tensor(tree.torsions[:, 3], device=torsions.device)
    full = full.index_copy(-1, child, torsions)
    is_primary = tree.primary == np.arange(tree.n_atoms)
    follows = np.where((tree.primary >= 0) & ~is_primary, tree.primary, tree.n_atoms)
    padded = torch.cat([full, torch.zeros_like(full[..., :1])], -1)
    return full + padded[..., torch.as_tensor(follows, device=torsions.device)]


def _local_frames(
    lengths: Tensor, angles: Tensor, torsions: Tensor, tree: InternalTree
) -> tuple[Tensor, Tensor]:
    """(..., n_atoms, 3, 3) and (..., n_atoms, 3). Frame of each atom in its parent's frame."""
    shape, device = (*lengths.shape[:-1], tree.n_atoms), lengths.device
    r = lengths.new_zeros(shape).index_copy(-1, torch.as_tensor(tree.bonds[:, 1], device=device), lengths)
    theta = lengths.new_full(shape, np.pi)  # a child of the root lies straight ahead
    theta = theta.index_copy(-1, torch.as_tensor(tree.angles[:, 2], device=device), angles)
    c, s, cos, sin = theta.cos(), theta.sin(), torsions.cos(), torsions.sin()
    zero = torch.zeros_like(c)
    x = torch.stack([-c, s * cos, s * sin], -1)
    y = torch.stack([-s, -c * cos, -c * sin], -1)
    z = torch.stack([zero, -sin, cos], -1)
    return torch.stack([x, y, z], -1), r[..., None] * x


def _joined_neighbours(n_atoms: int, bonds: ArrayLike) -> list[list[int]]:
    """Bonded neighbours, with a pseudo-bond from each loose part to the atom before it in the file."""
    pairs = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    _, first = np.unique(molecule_numbers(n_atoms, pairs), return_index=True)
    loose = np.array([(atom - 1, atom) for atom in first.tolist() if atom], dtype=np.int64).reshape(-1, 2)
    return [sorted(set(atoms)) for atoms in neighbours(n_atoms, np.concatenate([pairs, loose]))]


def _an_end(neighbours: Sequence[Sequence[int]]) -> int | None:
    """An atom with one neighbour, on which the fewest other ends hang; None in a graph of rings only.

    An end of a group (NH3, CH3) is a bad root: the chain would hang on it, and the group not turn as one.
    """

    def crowd(atom: int) -> tuple[int, int]:
        beside = neighbours[neighbours[atom][0]]
        return sum(len(neighbours[other]) == 1 for other in beside), len(beside)

    ends = [atom for atom, others in enumerate(neighbours) if len(others) == 1]
    return min(ends, key=crowd, default=None)


def _breadth_first(neighbours: Sequence[Sequence[int]], root: int) -> NDArray[np.int64]:
    parent = np.full(len(neighbours), -2, dtype=np.int64)
    parent[root] = -1
    queue = [root]
    for atom in queue:
        for other in neighbours[atom]:
            if parent[other] == -2:
                parent[other] = atom
                queue.append(other)
    return parent


def _depths(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    depth = np.zeros(len(parent), dtype=np.int64)
    above = parent.copy()
    while (above >= 0).any():
        depth += above >= 0
        above = np.where(above >= 0, parent[above], -1)
    return depth


def _primary_children(parent: NDArray[np.int64], depth: NDArray[np.int64]) -> NDArray[np.int64]:
    """The child with the largest branch leads its siblings."""
    size = np.ones(len(parent), dtype=np.int64)
    for atom in np.argsort(-depth, kind="stable"):
        if parent[atom] >= 0:
            size[parent[atom]] += size[atom]
    lead: dict[int, int] = {}
    for atom in range(len(parent)):
        up = int(parent[atom])
        if up >= 0 and (up not in lead or size[atom] > size[lead[up]]):
            lead[up] = atom
    return np.array([lead[int(up)] if up >= 0 else -1 for up in parent], dtype=np.int64)
