"""Features of a frame that do not change with its place: what a two-sample test may look at."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smdgen.physics import geometry
from smdgen.physics.atoms import Molecule
from smdgen.physics.backbone import Backbone, find_backbone

#: Feature groups of the two-sample test.
GROUPS = ("bonds", "angles", "phi", "psi", "omega", "ca_distances")

Indices = NDArray[np.int64]


def frame_features(
    x: Tensor, structure: Molecule, max_distances: int = 2000
) -> dict[str, NDArray[np.float64]]:
    """Bond lengths, angle cosines, torsions as sine and cosine, and distances of CA atoms.

    Args:
        x: (n_frames, n_atoms, 3), A.
        structure: The modelled atoms. Without any bond, atoms that follow each other count as bonded.
        max_distances: Above this number of CA pairs an even choice of them is used.

    Returns:
        For each of `GROUPS` and for "other_torsions" (one torsion about each other bond) an array
        (n_frames, n_features); some may have no column.
    """
    backbone, bonds = find_backbone(structure), bonds_or_chain(structure)
    angles, torsions = bonded_angles(len(structure.names), bonds), other_torsions(structure, bonds, backbone)
    pairs = even_choice(ca_pairs(backbone), max_distances)
    x = x.double()
    features = {
        "bonds": geometry.bond_lengths(x, bonds),
        "angles": geometry.angle_cosines(x, angles),
        "phi": _sine_cosine(x, backbone.phi),
        "psi": _sine_cosine(x, backbone.psi),
        "omega": _sine_cosine(x, backbone.omega),
        "ca_distances": geometry.bond_lengths(x, pairs),
        "other_torsions": _sine_cosine(x, torsions),
    }
    return {name: values.numpy() for name, values in features.items()}


def joined(features: Mapping[str, NDArray[Any]], groups: tuple[str, ...] = GROUPS) -> NDArray[np.float64]:
    """(n_frames, n_features). The named groups side by side."""
    return np.concatenate([features[group] for group in groups], axis=1)


def bonds_or_chain(structure: Molecule) -> Indices:
    """(n_bonds, 2). The bonds; without any, pairs of atoms that follow each other."""
    if len(structure.bonds):
        return np.asarray(structure.bonds, dtype=np.int64)
    first = np.arange(len(structure.names) - 1)
    return np.stack([first, first + 1], axis=1)


def neighbours(n_atoms: int, bonds: Indices) -> list[list[int]]:
    """For each atom the atoms bonded to it, in rising order."""
    bonded: list[list[int]] = [[] for _ in range(n_atoms)]
    for i, j in np.asarray(bonds).tolist():
        bonded[i].append(j)
        bonded[j].append(i)
    return [sorted(others) for others in bonded]


def bonded_angles(n_atoms: int, bonds: Indices) -> Indices:
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


def _sine_cosine(x: Tensor, quadruples: Indices) -> Tensor:
    angle = geometry.dihedrals(x, quadruples)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
