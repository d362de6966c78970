"""Features of a frame that do not change with its place: what a two-sample test may look at."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smdgen.arrays import Indices
from smdgen.geometry.atoms import Molecule
from smdgen.geometry.backbone import find_backbone
from smdgen.geometry.bonds import bonded_angles, bonds_or_chain, ca_pairs, even_choice, other_torsions
from smdgen.geometry.frames import angle_cosines, bond_lengths, dihedrals

#: Feature groups of the two-sample test.
GROUPS = ("bonds", "angles", "phi", "psi", "omega", "ca_distances")


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
        "bonds": bond_lengths(x, bonds),
        "angles": angle_cosines(x, angles),
        "phi": _sine_cosine(x, backbone.phi),
        "psi": _sine_cosine(x, backbone.psi),
        "omega": _sine_cosine(x, backbone.omega),
        "ca_distances": bond_lengths(x, pairs),
        "other_torsions": _sine_cosine(x, torsions),
    }
    return {name: values.numpy() for name, values in features.items()}


def joined(features: Mapping[str, NDArray[Any]], groups: tuple[str, ...] = GROUPS) -> NDArray[np.float64]:
    """(n_frames, n_features). The named groups side by side."""
    return np.concatenate([features[group] for group in groups], axis=1)


def _sine_cosine(x: Tensor, quadruples: Indices) -> Tensor:
    angle = dihedrals(x, quadruples)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
