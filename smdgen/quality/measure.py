"""The numbers of every frame of some pulls: energies, CV, torsions, hydrogen bonds, faults."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from smdgen.arrays import Floats
from smdgen.forcefield.energy import BondedEnergy
from smdgen.geometry import cvs
from smdgen.geometry.atoms import Molecule
from smdgen.geometry.backbone import Backbone
from smdgen.geometry.frames import dihedrals
from smdgen.geometry.hydrogen_bonds import count_helix_bonds, has_peptides
from smdgen.geometry.ramachandran import phi_psi_rows
from smdgen.quality.faults import FaultGauge, count_faults, fault_gauge

#: Kinds of bonded energy, in the order of `Measured.energies`.
ENERGIES = ("bond", "angle", "torsion")

#: Hydrogen bonds of helices, in the order of `Measured.helix_bonds`: residues from acceptor to donor.
HELIX_BONDS = {"i_i3": 3, "i_i4": 4}


@dataclass(frozen=True)
class Gauge:
    """What frames are measured with.

    Attributes:
        faults: What faults are counted with.
        energy: Bonded energy.
        cv: The steered variable.
    """

    faults: FaultGauge
    energy: BondedEnergy
    cv: cvs.CollectiveVariable


@dataclass(frozen=True)
class Measured:
    """Numbers of one set of pulls; the first two axes are pulls and frames.

    Attributes:
        positions: (n_pulls, n_frames, n_atoms, 3), A. What was measured.
        cv: (n_pulls, n_frames), in the variable's unit.
        energies: (n_pulls, n_frames, 3), kcal/mol. See `ENERGIES`.
        phi: (n_pulls, n_frames, n_phi), rad.
        psi: (n_pulls, n_frames, n_psi), rad.
        omega: (n_pulls, n_frames, n_omega), rad.
        phi_psi: (n_pulls, n_frames, n_residues, 2), degrees. Of residues that have both.
        helix_bonds: (n_pulls, n_frames, 2). Counts, see `HELIX_BONDS`; no columns without a peptide.
        faults: Each of `FAULTS` to (n_pulls, n_frames), a share or 0 / 1; NaN where it does not apply.
    """

    positions: Tensor
    cv: Floats
    energies: Floats
    phi: Floats
    psi: Floats
    omega: Floats
    phi_psi: Floats
    helix_bonds: Floats
    faults: Mapping[str, Floats]

    def frames(self, chosen: slice) -> "Measured":
        """The numbers of some frames of every pull."""
        return Measured(
            positions=self.positions[:, chosen],
            cv=self.cv[:, chosen],
            energies=self.energies[:, chosen],
            phi=self.phi[:, chosen],
            psi=self.psi[:, chosen],
            omega=self.omega[:, chosen],
            phi_psi=self.phi_psi[:, chosen],
            helix_bonds=self.helix_bonds[:, chosen],
            faults={name: values[:, chosen] for name, values in self.faults.items()},
        )


def make_gauge(structure: Molecule, real: Tensor, energy: BondedEnergy, cv: cvs.CollectiveVariable) -> Gauge:
    """What generated and real frames are both measured with.

    Args:
        structure: The modelled atoms.
        real: (n_pulls, n_frames, n_atoms, 3), A. Real frames, see `fault_gauge`.
        energy: The atoms' bonded energy.
        cv: The steered variable.
    """
    return Gauge(fault_gauge(structure, real.flatten(0, 1)), energy, cv)


def measure(positions: Tensor, gauge: Gauge) -> Measured:
    """Every number of every frame.

    Args:
        positions: (n_pulls, n_frames, n_atoms, 3), A.
        gauge: What to measure with.
    """
    x, backbone = positions.double(), gauge.faults.backbone
    phi, psi, omega = (dihedrals(x, rows).numpy() for rows in (backbone.phi, backbone.psi, backbone.omega))
    first, second, _ = phi_psi_rows(backbone)
    return Measured(
        positions=positions,
        cv=cvs.evaluate(gauge.cv, x).numpy(),
        energies=gauge.energy.three(x).double().numpy(),
        phi=phi,
        psi=psi,
        omega=omega,
        phi_psi=np.degrees(np.stack([phi[..., first], psi[..., second]], axis=-1)),
        helix_bonds=_helix_bonds(x, backbone),
        faults={name: values.numpy() for name, values in count_faults(x, gauge.faults).items()},
    )


def _helix_bonds(x: Tensor, backbone: Backbone) -> Floats:
    """(n_pulls, n_frames, 2), or (n_pulls, n_frames, 0) without a peptide."""
    shape = x.shape[:2]
    if not has_peptides(backbone):
        return np.zeros((*shape, 0))
    separations = tuple(HELIX_BONDS.values())
    counts = count_helix_bonds(x.flatten(0, 1).numpy(), backbone, separations)
    return counts.reshape(*shape, -1).astype(float)
