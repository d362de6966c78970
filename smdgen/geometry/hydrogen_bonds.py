"""Backbone hydrogen bonds of helices, counted frame by frame."""

import numpy as np
from numpy.typing import NDArray

from smdgen.geometry.backbone import Backbone


def count_helix_bonds(
    positions: NDArray[np.floating], backbone: Backbone, separations: tuple[int, ...] = (3, 4)
) -> NDArray[np.int64]:
    """Hydrogen bonds from the CO of residue i to the NH of residues i + 3 (3-10) and i + 4 (alpha helix).

    The hydrogen is placed from the residue before, so that no hydrogen atoms are needed; a bond counts
    below -0.5 kcal/mol of the Kabsch-Sander energy.

    Args:
        positions: (n_frames, n_atoms, 3), A.
        backbone: Where N, CA, C and O are. Residues that lack one are left out.
        separations: Residues between acceptor and donor.

    Returns:
        (n_frames, n_separations). Counts.

    Source: W. Kabsch and C. Sander, Biopolymers 22, 2577 (1983); MDTraj's `kabsch_sander`.
    """
    counts = np.zeros((len(positions), len(separations)), dtype=np.int64)
    for chain in _complete_runs(backbone):
        counts += _count_in_chain(positions, backbone, chain, separations)
    return counts


def has_peptides(backbone: Backbone) -> bool:
    """Whether any hydrogen bond could be counted: four residues in a row with N, CA, C and O."""
    return any(len(chain) > 3 for chain in _complete_runs(backbone))


def _complete_runs(backbone: Backbone) -> list[NDArray[np.int64]]:
    """Linked residues that all have N, CA, C and O."""
    complete = np.all([backbone.atoms[name] >= 0 for name in ("N", "CA", "C", "O")], axis=0)
    runs = []
    for chain in backbone.chains:
        gaps = np.flatnonzero(~complete[chain])
        runs += [run[complete[run]] for run in np.split(chain, gaps)]
    return [run for run in runs if len(run) > 3]


def _count_in_chain(
    positions: NDArray[np.floating],
    backbone: Backbone,
    chain: NDArray[np.int64],
    separations: tuple[int, ...],
) -> NDArray[np.int64]:
    """(n_frames, n_separations). Counts among consecutive residues."""
    import mdtraj

    topology = mdtraj.Topology()
    part = topology.add_chain()
    for name in backbone.residue_names[chain]:
        residue = topology.add_residue(str(name), part)
        for atom, element in (("N", "N"), ("CA", "C"), ("C", "C"), ("O", "O")):
            topology.add_atom(atom, mdtraj.element.get_by_symbol(element), residue)
    order = np.stack([backbone.atoms[name][chain] for name in ("N", "CA", "C", "O")], axis=1).reshape(-1)
    frames = mdtraj.Trajectory(np.ascontiguousarray(positions[:, order], dtype=np.float32) / 10, topology)
    counts = np.zeros((len(positions), len(separations)), dtype=np.int64)
    for i, matrix in enumerate(mdtraj.kabsch_sander(frames)):
        acceptor, donor = matrix.nonzero()
        counts[i] = [np.count_nonzero(donor - acceptor == separation) for separation in separations]
    return counts
