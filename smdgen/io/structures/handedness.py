"""Whether a protein is a mirror image, as where an axis was negated: its residues have the other hand."""

import numpy as np
from numpy.typing import NDArray

from smdgen.geometry.backbone import find_backbone
from smdgen.geometry.lattice import nearest_image
from smdgen.io.structures.atoms import Structure, subset

_FEWEST_TORSIONS = 4  # few residues have phi above zero, but some do


def mirror_notes(
    positions: NDArray[np.floating], structure: Structure, cells: NDArray[np.float64] | None = None
) -> list[str]:
    """A note if most residues have the wrong hand; glycines have none.

    The hand is the sign of the volume that N, C and CB span around CA. Where no residue has a CB it is that
    of phi, which few residues have above zero.

    Args:
        positions: (n_frames, n_atoms, 3), A.
        structure: The same atoms.
        cells: (n_frames, 6), A A A deg deg deg. With it bonds may cross the box.
    """
    atoms = np.flatnonzero(np.isin(structure.names, ("N", "CA", "C", "CB")))
    backbone = find_backbone(subset(structure, atoms))
    has_hand = backbone.residue_names != "GLY"
    centres = np.stack([backbone.atoms[name] for name in ("CA", "N", "C", "CB")], axis=1)
    centres = centres[has_hand & (centres >= 0).all(axis=1)]
    torsions = backbone.phi[has_hand[backbone.phi_residues]]
    if len(centres):
        starts, ends, sign, what = (
            centres[:, [0, 0, 0]],
            centres[:, 1:],
            1.0,
            "CB are on the wrong side of CA",
        )
    elif len(torsions) >= _FEWEST_TORSIONS:
        starts, ends, sign, what = torsions[:, :3], torsions[:, 1:], -1.0, "phi are above zero"
    else:
        return []
    vectors = positions[:, atoms[ends]] - positions[:, atoms[starts]]  # (n_frames, n, 3 bonds, 3)
    if cells is not None:
        vectors = nearest_image(vectors.reshape(len(cells), -1, 3), cells).reshape(vectors.shape)
    wrong = sign * np.linalg.det(vectors) < 0
    if wrong.mean() <= 0.5:
        return []
    n_wrong = round(float(wrong.mean(axis=0).sum()))
    return [
        f"the structure looks like a mirror image: {n_wrong} of {len(ends)} {what}; "
        "unless these are D amino acids, an axis was negated"
    ]
