"""Made-up pulls of a polyalanine backbone: a helix whose residues open one after the other.

They have the geometry of a backbone at 300 K (bonds, angles, planes that tremble) and an end-to-end
distance that grows from about 14 to 31 A, but no physics: enough to try what reads and shows pulls.
"""

import numpy as np
from numpy.typing import NDArray

from smdgen.data.structure import Structure
from smdgen.physics.cvs import CollectiveVariable

N_RESIDUES = 10
ATOMS = ("N", "CA", "C", "O")

# Bond lengths (A) and angles (degrees). Source: R. A. Engh and R. Huber, Acta Cryst. A47, 392 (1991).
_N_CA, _CA_C, _C_N, _C_O = 1.458, 1.525, 1.329, 1.231
_N_CA_C, _CA_C_N, _C_N_CA, _CA_C_O = 111.2, 116.2, 121.7, 120.8
_HELIX, _STRAND = (-62.0, -43.0), (-95.0, 132.0)


def make_pull(n_frames: int, seed: int, n_residues: int = N_RESIDUES) -> NDArray[np.float32]:
    """One pull, (n_frames, 4 * n_residues, 3), A, atoms N CA C O residue by residue."""
    random = np.random.default_rng(seed)
    opening = np.clip(random.normal(np.linspace(0.9, 0.1, n_residues), 0.15), 0.05, 0.95)
    fraction = np.linspace(0.0, 1.0, n_frames)[:, None]
    opened = 1 / (1 + np.exp(-(fraction - opening) / 0.04))
    phi = _HELIX[0] + opened * (_STRAND[0] - _HELIX[0]) + random.normal(0, 9, opened.shape)
    psi = _HELIX[1] + opened * (_STRAND[1] - _HELIX[1]) + random.normal(0, 9, opened.shape)
    frames = np.stack([_build(phi[i], psi[i], random) for i in range(n_frames)])
    return (frames - frames.mean(axis=1, keepdims=True) + random.normal(0, 0.2, (n_frames, 1, 3))).astype(
        np.float32
    )


def make_structure(n_residues: int = N_RESIDUES) -> Structure:
    """The atoms of such a pull, with the bonds of a backbone."""
    n_atoms = 4 * n_residues
    first = 4 * np.arange(n_residues)
    bonds = [(i, i + 1) for i in first] + [(i + 1, i + 2) for i in first] + [(i + 2, i + 3) for i in first]
    bonds += [(i + 2, i + 4) for i in first[:-1]]
    return Structure(
        names=np.array(ATOMS * n_residues),
        residue_names=np.full(n_atoms, "ALA"),
        residue_ids=np.repeat(np.arange(1, n_residues + 1), 4),
        insertion_codes=np.full(n_atoms, ""),
        chain_ids=np.full(n_atoms, ""),
        segment_ids=np.full(n_atoms, "BH"),
        elements=np.array(["N", "C", "C", "O"] * n_residues),
        masses=np.array([14.007, 12.011, 12.011, 15.999] * n_residues),
        bonds=np.array(sorted(bonds), dtype=np.int64),
    )


def make_cv(n_residues: int = N_RESIDUES) -> CollectiveVariable:
    """The end-to-end distance of such a pull."""
    atoms = ((1,), (4 * n_residues - 3,))
    return CollectiveVariable("end_to_end", "distance", atoms, ((1.0,), (1.0,)))


def end_to_end(positions: NDArray[np.floating]) -> NDArray[np.floating]:
    """Distance between the first and the last CA, (...,), A."""
    return np.linalg.norm(positions[..., -3, :] - positions[..., 1, :], axis=-1)


def _build(
    phi: NDArray[np.floating], psi: NDArray[np.floating], random: np.random.Generator
) -> NDArray[np.floating]:
    def length(mean: float) -> float:
        return random.normal(mean, 0.03)

    def angle(mean: float) -> float:
        return random.normal(mean, 2.5)

    chain = [np.zeros(3), np.array([_N_CA, 0.0, 0.0])]
    chain.append(_place([np.array([0.0, 1.0, 0.0]), *chain], length(_CA_C), angle(_N_CA_C), 180.0))
    oxygens = []
    for i in range(len(phi)):
        oxygens.append(_place(chain, length(_C_O), angle(_CA_C_O), psi[i] + 180.0))
        if i + 1 < len(phi):
            chain.append(_place(chain, length(_C_N), angle(_CA_C_N), psi[i]))
            chain.append(_place(chain, length(_N_CA), angle(_C_N_CA), random.normal(180, 5)))
            chain.append(_place(chain, length(_CA_C), angle(_N_CA_C), phi[i + 1]))
    backbone = np.array(chain).reshape(-1, 3, 3)
    return np.concatenate([backbone, np.array(oxygens)[:, None]], axis=1).reshape(-1, 3)


def _place(
    chain: list[NDArray[np.floating]], length: float, angle: float, torsion: float
) -> NDArray[np.floating]:
    """The next atom of a chain from its bond length (A), angle and torsion (degrees)."""
    a, b, c = chain[-3:]
    along = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, along)
    normal /= np.linalg.norm(normal)
    theta, chi = np.radians(180.0 - angle), np.radians(torsion)
    step = np.array([np.cos(theta), np.sin(theta) * np.cos(chi), np.sin(theta) * np.sin(chi)])
    return c + length * step @ np.array([along, np.cross(normal, along), normal])
