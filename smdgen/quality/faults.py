"""What no sound structure has, counted frame by frame."""

from dataclasses import dataclass

from torch import Tensor

from smdgen.geometry import validity
from smdgen.geometry.atoms import Molecule
from smdgen.geometry.backbone import Backbone, find_backbone
from smdgen.geometry.ramachandran import ramachandran_outliers

#: The faults by the key of their numbers everywhere, in words.
FAULTS = {
    "positive_phi": "residues with phi > 0",
    "left_turns": "left-handed CA turns",
    "ramachandran": "Ramachandran outliers",
    "inverted_centres": "frames with an inverted centre",
    "clashes": "frames with a clash",
    "cis_omega": "cis peptide bonds",
    "twisted_omega": "twisted peptide bonds",
    "ca_outside": "successive CA nearer or farther than in real frames",
}


@dataclass(frozen=True)
class FaultGauge:
    """What faults are counted with.

    Attributes:
        backbone: Where the backbone is.
        centres: Atoms that keep one hand in real frames.
        clash_limits: (n_atoms, n_atoms), A. Nearer than this atoms clash.
        ca_range: A. Least and largest distance of successive CA in real frames.
    """

    backbone: Backbone
    centres: validity.Stereocentres
    clash_limits: Tensor
    ca_range: tuple[float, float]


def fault_gauge(structure: Molecule, real: Tensor) -> FaultGauge:
    """What the faults of generated and real frames are both counted with.

    Args:
        structure: The modelled atoms.
        real: (n_frames, n_atoms, 3), A. Real frames: they show the hand of every centre and how far
            successive CA are apart.
    """
    backbone = find_backbone(structure)
    return FaultGauge(
        backbone,
        validity.find_stereocentres(real, structure),
        validity.clash_limits(structure),
        validity.ca_range(real, backbone),
    )


def count_faults(x: Tensor, gauge: FaultGauge) -> dict[str, Tensor]:
    """Each of `FAULTS` in every frame: a share, or 0 and 1; NaN where it does not apply.

    Args:
        x: (..., n_atoms, 3), A.
        gauge: What to count with.

    Returns:
        Each (...), float64.
    """
    x, backbone = x.double(), gauge.backbone
    clashes = validity.clashing(x.flatten(0, -3), gauge.clash_limits)
    return {
        "positive_phi": validity.positive_phi(x, backbone),
        "left_turns": validity.left_turns(x, backbone),
        "ramachandran": ramachandran_outliers(x, backbone),
        "inverted_centres": validity.inverted_centres(x, gauge.centres),
        "clashes": clashes.view(x.shape[:-2]),
        "cis_omega": validity.cis_bonds(x, backbone),
        "twisted_omega": validity.twisted_bonds(x, backbone),
        "ca_outside": validity.ca_outside(x, backbone, gauge.ca_range),
    }
