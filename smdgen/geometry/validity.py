"""What no sound structure has: clashes, cis and twisted peptide bonds, torn chains, mirrored centres."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smdgen.arrays import Indices
from smdgen.geometry.atoms import Molecule
from smdgen.geometry.backbone import Backbone
from smdgen.geometry.bonds import bonds_apart, bonds_or_chain, neighbours
from smdgen.geometry.frames import bond_lengths, dihedrals

#: Shortest distance (A) between atoms four or more bonds apart, heavy atoms and pairs with a hydrogen.
#: A hydrogen bond is longer than either.
CLASH_HEAVY, CLASH_HYDROGEN = 2.4, 1.4
#: CA torsion (deg) of a left-handed helix turn; a right-handed one has about +50.
LEFT_TURN = (-80.0, -20.0)
#: Degrees from planar beyond which a peptide bond is twisted.
MOST_TWIST = 30.0
#: A. CA of neighbouring residues may be so much nearer or farther than in any real frame that was looked at.
CA_MARGIN = 0.1
#: Atoms x atoms x frames compared at once.
_PAIRS_AT_ONCE = 20_000_000
#: From so many atoms on near pairs are searched for on a grid of space, not among all pairs.
_MANY = 200


@dataclass(frozen=True)
class Stereocentres:
    """Centres that keep one hand in all real frames.

    Attributes:
        atoms: (n_centres, 4). Centre and three neighbours.
        signs: (n_centres,). Sign of the volume the neighbours span in real frames.
    """

    atoms: Indices
    signs: Tensor


def positive_phi(x: Tensor, backbone: Backbone) -> Tensor:
    """Share of residues with phi > 0, glycines left out.

    Args:
        x: (..., n_atoms, 3), A.
        backbone: Where phi is.

    Returns:
        (...). NaN without any phi.
    """
    chiral = backbone.residue_names[backbone.phi_residues] != "GLY"
    return (dihedrals(x, backbone.phi[chiral]) > 0).double().mean(-1)


def left_turns(x: Tensor, backbone: Backbone) -> Tensor:
    """Share of four CA in a row that turn like a left-handed helix.

    Args:
        x: (..., n_atoms, 3), A.
        backbone: Where CA is.

    Returns:
        (...). NaN with fewer than four CA.
    """
    turn = dihedrals(x, backbone.ca_turns) * (180 / torch.pi)
    return ((turn > LEFT_TURN[0]) & (turn < LEFT_TURN[1])).double().mean(-1)


def cis_bonds(x: Tensor, backbone: Backbone) -> Tensor:
    """Share of peptide bonds with |omega| < 90 degrees.

    Args:
        x: (..., n_atoms, 3), A.
        backbone: Where omega is.

    Returns:
        (...). NaN without any omega.
    """
    return (dihedrals(x, backbone.omega).abs() < torch.pi / 2).double().mean(-1)


def twisted_bonds(x: Tensor, backbone: Backbone, most: float = MOST_TWIST) -> Tensor:
    """Share of peptide bonds farther from planar, cis or trans, than an angle.

    Args:
        x: (..., n_atoms, 3), A.
        backbone: Where omega is.
        most: Degrees.

    Returns:
        (...). NaN without any omega.
    """
    omega = dihedrals(x, backbone.omega)
    return (omega.sin().abs() > math.sin(math.radians(most))).double().mean(-1)


def ca_range(real: Tensor, backbone: Backbone) -> tuple[float, float]:
    """A. Least and largest distance of successive CA, cis peptide bonds left out.

    Args:
        real: (..., n_atoms, 3), A. Real frames.
        backbone: Where CA is.

    Returns:
        NaN without successive CA.
    """
    lengths, trans = _trans_steps(real, backbone)
    if not trans.any():
        return math.nan, math.nan
    return float(lengths[trans].min()), float(lengths[trans].max())


def ca_outside(x: Tensor, backbone: Backbone, allowed: tuple[float, float]) -> Tensor:
    """Share of successive CA nearer or farther than in real frames, by more than `CA_MARGIN`.

    Args:
        x: (..., n_atoms, 3), A.
        backbone: Where CA is.
        allowed: A. From `ca_range` of real frames.

    Returns:
        (...). NaN without successive CA. Cis peptide bonds count as inside.
    """
    lengths, trans = _trans_steps(x, backbone)
    outside = (lengths < allowed[0] - CA_MARGIN) | (lengths > allowed[1] + CA_MARGIN)
    return (outside & trans).double().mean(-1)


def _trans_steps(x: Tensor, backbone: Backbone) -> tuple[Tensor, Tensor]:
    """(..., n_steps) distances of successive CA, A, and whether no cis peptide bond is between them."""
    if len(backbone.omega):
        trans = dihedrals(x, backbone.omega).abs() > torch.pi / 2
        return bond_lengths(x, backbone.omega[:, [0, 3]]), trans
    first = np.flatnonzero(backbone.linked)
    steps = np.stack([backbone.atoms["CA"][first], backbone.atoms["CA"][first + 1]], axis=1)
    lengths = bond_lengths(x, steps)
    return lengths, torch.ones_like(lengths, dtype=torch.bool)


def clashing(x: Tensor, limits: Tensor) -> Tensor:
    """Whether any two atoms are closer than atoms can be.

    Args:
        x: (n_frames, n_atoms, 3), A.
        limits: (n_atoms, n_atoms), A. From `clash_limits`.

    Returns:
        (n_frames,), 0 or 1.
    """
    if len(limits) >= _MANY and x.device.type == "cpu":
        return torch.tensor([_clashes(frame, limits) for frame in x.double().numpy()], dtype=torch.float64)
    rows = max(1, _PAIRS_AT_ONCE // max(1, limits.numel()))
    parts = [(torch.cdist(part, part) < limits).flatten(1).any(1) for part in torch.split(x.double(), rows)]
    return torch.cat(parts).double() if parts else x.new_zeros(0, dtype=torch.float64)


def _clashes(frame: NDArray[np.float64], limits: Tensor) -> bool:
    """Whether any two atoms of a frame (n_atoms, 3), A, are nearer than their limit."""
    from scipy.spatial import cKDTree

    first, second = cKDTree(frame).query_pairs(float(limits.max()), output_type="ndarray").T
    near = np.linalg.norm(frame[first] - frame[second], axis=1) < limits[first, second].numpy()
    return bool(near.any())


def clash_limits(structure: Molecule, heavy: float = CLASH_HEAVY, hydrogen: float = CLASH_HYDROGEN) -> Tensor:
    """Nearer than this atoms clash.

    Args:
        structure: Elements and bonds of the atoms.
        heavy: A. Least distance of heavy atoms four or more bonds apart.
        hydrogen: A. The same where one is a hydrogen.

    Returns:
        (n_atoms, n_atoms), A; 0 for nearer relatives.
    """
    n_atoms = len(structure.names)
    near, _ = bonds_apart(n_atoms, bonds_or_chain(structure), most=3)
    light = torch.tensor([_is_hydrogen(structure, i) for i in range(n_atoms)])
    limit = torch.full((n_atoms, n_atoms), heavy, dtype=torch.float64)
    limit[light[:, None] | light] = hydrogen
    limit[near[:, 0], near[:, 1]] = limit[near[:, 1], near[:, 0]] = 0.0
    limit.fill_diagonal_(0.0)
    return limit


def find_stereocentres(real: Tensor, structure: Molecule, certainty: float = 0.995) -> Stereocentres:
    """Atoms with three or more neighbours that real frames always show in the same hand.

    CA with CB among them is the chirality of the residue; methyl groups with all hydrogens count too.
    Planar groups, and those that turn over in real frames, do not.

    Args:
        real: (n_frames, n_atoms, 3), A.
        structure: Bonds of the atoms.
        certainty: Least share of real frames with the common hand.
    """
    bonded = neighbours(len(structure.names), bonds_or_chain(structure))
    rows = [(i, *others[:3]) for i, others in enumerate(bonded) if len(others) >= 3]
    atoms = np.array(rows, dtype=np.int64).reshape(-1, 4)
    volume = _volumes(real, atoms)
    signs = volume.mean(0).sign()
    keep = ((volume.sign() == signs).double().mean(0) >= certainty) & (volume.abs().mean(0) > 0.3)
    return Stereocentres(atoms[keep.numpy()], signs[keep])


def inverted_centres(x: Tensor, centres: Stereocentres) -> Tensor:
    """Whether any centre has the wrong hand.

    Args:
        x: (..., n_atoms, 3), A.
        centres: From real frames.

    Returns:
        (...), 0 or 1. NaN without any centre.
    """
    if not len(centres.atoms):
        return x.new_full(x.shape[:-2], torch.nan, dtype=torch.float64)
    return (_volumes(x, centres.atoms).sign() != centres.signs).any(-1).double()


def _volumes(x: Tensor, atoms: Indices) -> Tensor:
    """(..., n_centres). Volume spanned by the unit vectors from a centre to three neighbours."""
    i, a, b, c = (x[..., atoms[:, k], :].double() for k in range(4))
    u, v, w = (torch.nn.functional.normalize(p - i, dim=-1) for p in (a, b, c))
    volume: Tensor = (torch.linalg.cross(u, v) * w).sum(-1)
    return volume


def _is_hydrogen(structure: Molecule, i: int) -> bool:
    element = str(structure.elements[i]) or str(structure.names[i]).lstrip("0123456789")[:1]
    return element.upper() == "H"
