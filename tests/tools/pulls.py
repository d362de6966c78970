"""Made-up pulls of a polyalanine backbone: a helix whose residues open one after the other.

They have the geometry of a backbone at 300 K (bonds, angles, planes that tremble) and an end-to-end
distance that grows from about 14 to 31 A, but no physics: enough to try what reads and shows pulls.
"""

import numpy as np
from numpy.typing import NDArray

from smdgen.geometry.cvs import CollectiveVariable
from smdgen.io.structures.structure import Structure

#: What a structure has for each atom.
ATOM_FIELDS = tuple(
    "names residue_names residue_ids insertion_codes chain_ids segment_ids elements masses".split()
)

N_RESIDUES = 10

#: Residues of `make_hinge_pulls`, whose hinge are residues 16 to 18.
HINGE_CHAIN = 32
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
    frames = _build(phi, psi, random)
    drift = random.normal(0, 0.2, (n_frames, 1, 3))
    return (frames - frames.mean(axis=1, keepdims=True) + drift).astype(np.float32)


def make_hinge_pulls(n_pulls: int, n_frames: int) -> list[NDArray[np.float32]]:
    """Pulls of two rigid domains whose centres go from 10 to 26 A apart while the ends stay at 23 A.

    Returns:
        (n_frames, 4 * HINGE_CHAIN, 3) each, A.
    """
    random = np.random.default_rng(7)
    phi, psi = random.uniform(-100, -60, HINGE_CHAIN), random.choice([-45.0, 130.0], HINGE_CHAIN)
    closed_phi, closed_psi = np.array([163.0, -138, 22]), np.array([-98.0, -156, -167])
    open_phi, open_psi = np.array([107.0, -164, 144]), np.array([-152.0, -124, 44])
    fraction, pulls = np.linspace(0, 1, n_frames)[:, None], []
    for seed in range(n_pulls):
        phis, psis = np.tile(phi, (n_frames, 1)), np.tile(psi, (n_frames, 1))
        phis[:, 15:18] = closed_phi + fraction * (open_phi - closed_phi)
        psis[:, 15:18] = closed_psi + fraction * (open_psi - closed_psi)
        shaken = np.random.default_rng(seed).normal(0, 0.3, (2, *phis.shape))
        pulls.append(_build(phis + shaken[0], psis + shaken[1], _Still()).astype(np.float32))
    return pulls


def make_chain(phi: NDArray[np.floating], psi: NDArray[np.floating]) -> NDArray[np.floating]:
    """(4 * n_residues, 3), A. One frame without noise from torsions (n_residues,), degrees."""
    return _build(np.asarray(phi)[None], np.asarray(psi)[None], _Still())[0]


class _Still:
    """Random numbers that are all the mean."""

    def normal(self, mean: float, _: float, size: int | tuple[int, ...]) -> NDArray[np.floating]:
        return np.full(size, mean)


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
    phi: NDArray[np.floating], psi: NDArray[np.floating], random: np.random.Generator | _Still
) -> NDArray[np.floating]:
    """(n_frames, n_atoms, 3), A, from torsions (n_frames, n_residues), degrees."""
    n_frames, n_residues = phi.shape

    def length(mean: float) -> NDArray[np.floating]:
        return random.normal(mean, 0.03, (n_frames, 1))

    def angle(mean: float) -> NDArray[np.floating]:
        return random.normal(mean, 2.5, n_frames)

    first = [np.array([0.0, 1.0, 0.0]), np.zeros(3), np.array([_N_CA, 0.0, 0.0])]
    chain = [np.tile(point, (n_frames, 1)) for point in first]
    chain.append(_place(chain, length(_CA_C), angle(_N_CA_C), np.full(n_frames, 180.0)))
    oxygens = []
    for i in range(n_residues):
        oxygens.append(_place(chain, length(_C_O), angle(_CA_C_O), psi[:, i] + 180.0))
        if i + 1 < n_residues:
            chain.append(_place(chain, length(_C_N), angle(_CA_C_N), psi[:, i]))
            chain.append(_place(chain, length(_N_CA), angle(_C_N_CA), random.normal(180, 5, n_frames)))
            chain.append(_place(chain, length(_CA_C), angle(_N_CA_C), phi[:, i + 1]))
    backbone = np.stack(chain[1:], axis=1).reshape(n_frames, n_residues, 3, 3)
    oxygen = np.stack(oxygens, axis=1)[:, :, None]
    return np.concatenate([backbone, oxygen], axis=2).reshape(n_frames, -1, 3)


def _place(
    chain: list[NDArray[np.floating]],
    length: NDArray[np.floating],
    angle: NDArray[np.floating],
    torsion: NDArray[np.floating],
) -> NDArray[np.floating]:
    """(n_frames, 3). The next atom of a chain from its bond length (A), angle and torsion (degrees)."""
    a, b, c = chain[-3:]
    along = (c - b) / np.linalg.norm(c - b, axis=1, keepdims=True)
    normal = np.cross(b - a, along)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    theta, chi = np.radians(180.0 - angle)[:, None], np.radians(torsion)[:, None]
    across = np.cos(chi) * np.cross(normal, along) + np.sin(chi) * normal
    return c + length * (np.cos(theta) * along + np.sin(theta) * across)
