"""Lengths, angles, torsions and best superpositions of many frames at once."""

import torch
from torch import Tensor

from smdgen.arrays import Indices

#: Pairs of frames compared at once; bounds the memory of a large RMSD matrix.
_PAIRS = 500_000


def bond_lengths(x: Tensor, pairs: Tensor | Indices) -> Tensor:
    """Distances between atoms.

    Args:
        x: (..., n_atoms, 3), A.
        pairs: (n_pairs, 2), 0-based.

    Returns:
        (..., n_pairs), A. The gradient at distance zero is zero.
    """
    first, second = _columns(x, pairs)
    lengths: Tensor = torch.linalg.vector_norm(x[..., first, :] - x[..., second, :], dim=-1)
    return lengths


def angle_cosines(x: Tensor, triples: Tensor | Indices) -> Tensor:
    """Cosines of the angles i-j-k at j.

    Args:
        x: (..., n_atoms, 3), A.
        triples: (n_angles, 3), 0-based.

    Returns:
        (..., n_angles), in [-1, 1]; 0 where an arm has no length.
    """
    first, centre, second = _columns(x, triples)
    a, b = x[..., first, :] - x[..., centre, :], x[..., second, :] - x[..., centre, :]
    squares = (a * a).sum(-1) * (b * b).sum(-1)
    return (a * b).sum(-1) * squares.clamp_min(torch.finfo(x.dtype).tiny * 1e6).rsqrt()


def angles(x: Tensor, triples: Tensor | Indices) -> Tensor:
    """Angles i-j-k at j, with finite gradients also at 0 and pi.

    Args:
        x: (..., n_atoms, 3), A.
        triples: (n_angles, 3), 0-based.

    Returns:
        (..., n_angles), rad, in [0, pi].
    """
    first, centre, second = _columns(x, triples)
    a, b = x[..., first, :] - x[..., centre, :], x[..., second, :] - x[..., centre, :]
    sine = torch.linalg.vector_norm(torch.linalg.cross(a, b), dim=-1)
    return _safe_atan2(sine, (a * b).sum(-1))


def dihedrals(x: Tensor, quadruples: Tensor | Indices) -> Tensor:
    """Torsion angles i-j-k-l about j-k, in the IUPAC sign (cis 0, trans pi).

    Args:
        x: (..., n_atoms, 3), A.
        quadruples: (n_torsions, 4), 0-based.

    Returns:
        (..., n_torsions), rad, in [-pi, pi]; 0 with gradient 0 where a torsion is undefined.

    Source: A. Blondel and M. Karplus, J. Comput. Chem. 17, 1132 (1996).
    """
    i, j, k, m = _columns(x, quadruples)
    return dihedral_of_points(x[..., i, :], x[..., j, :], x[..., k, :], x[..., m, :])


def dihedral_of_points(p0: Tensor, p1: Tensor, p2: Tensor, p3: Tensor) -> Tensor:
    """Torsion angles of four points, each (..., 3), A; see `dihedrals`. Returns (...), rad."""
    b1, b2, b3 = p1 - p0, p2 - p1, p3 - p2
    across = torch.linalg.cross(b2, b3)
    y = torch.linalg.vector_norm(b2, dim=-1) * (b1 * across).sum(-1)
    return _safe_atan2(y, (torch.linalg.cross(b1, b2) * across).sum(-1))


def wrap(angle: Tensor) -> Tensor:
    """Any angle (...), rad, in [-pi, pi)."""
    return torch.remainder(angle + torch.pi, 2 * torch.pi) - torch.pi


def superpose(x: Tensor, reference: Tensor, weights: Tensor | None = None) -> Tensor:
    """Move frames rigidly onto a reference, least squares, without mirroring.

    The rotation is a constant for gradients. For the RMSD this is exact, because the rotation is optimal.

    Args:
        x: (..., n_atoms, 3), A.
        reference: (n_atoms, 3) or (..., n_atoms, 3), A.
        weights: (n_atoms,), not negative. None: all atoms alike.

    Returns:
        (..., n_atoms, 3), A.

    Source: W. Kabsch, Acta Cryst. A 34, 827 (1978).
    """
    centre = _centre(reference, weights)
    moved = x - _centre(x, weights)
    return moved @ rotation_onto(moved, reference - centre, weights) + centre


def rotation_onto(x: Tensor, reference: Tensor, weights: Tensor | None = None) -> Tensor:
    """The proper rotation R (det +1) for which x @ R fits the reference best; both centred.

    Args:
        x: (..., n_atoms, 3), A.
        reference: (n_atoms, 3) or (..., n_atoms, 3), A.
        weights: (n_atoms,).

    Returns:
        (..., 3, 3), without gradient.
    """
    with torch.no_grad():
        left = x.double() if weights is None else x.double() * weights.double()[:, None]
        u, _, vh = torch.linalg.svd(left.mT @ reference.double())
        sign = torch.sign(torch.linalg.det(u @ vh))
        vh = torch.cat([vh[..., :2, :], vh[..., 2:, :] * sign[..., None, None]], dim=-2)
        rotation: Tensor = (u @ vh).to(x.dtype)
    return rotation


def rmsd(a: Tensor, b: Tensor) -> Tensor:
    """Minimal RMSD of paired frames.

    Args:
        a: (..., n_atoms, 3), A.
        b: (n_atoms, 3) or (..., n_atoms, 3), A.

    Returns:
        (...), A. Differentiable; the gradient at zero is zero.
    """
    squares = (superpose(a, b) - b).square().sum(-1).mean(-1)
    return squares.clamp_min(torch.finfo(a.dtype).eps ** 2).sqrt()


def rmsd_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Minimal RMSD between every frame of one set and every frame of another.

    The largest eigenvalue of the 4 x 4 quaternion matrix gives the RMSD of the best proper rotation;
    Newton's method on its characteristic polynomial, for all pairs at once, finds it from above.
    Computed in double precision; no gradient.

    | symbol | variable |
    |---|---|
    | M | covariance of the two centred frames |
    | (G_a + G_b) / 2 | half_norms |
    | lambda / half_norms | root |

    Args:
        a: (n, n_atoms, 3), A.
        b: (m, n_atoms, 3), A.

    Returns:
        (n, m), A, float64.

    Source: D. L. Theobald, Acta Cryst. A 61, 478 (2005).
    """
    with torch.no_grad():
        a, b = (frames.double() - frames.double().mean(-2, keepdim=True) for frames in (a, b))
        rows = max(1, _PAIRS // max(1, len(b)))
        parts = [_rmsd_block(block, b) for block in torch.split(a, rows)]
        return torch.cat(parts) if parts else a.new_zeros(0, len(b))


def _rmsd_block(a: Tensor, b: Tensor) -> Tensor:
    """(n, m), A. RMSD between centred frames."""
    n_atoms = a.shape[1]
    half_norms = ((a * a).sum((1, 2))[:, None] + (b * b).sum((1, 2))) / 2
    half_norms = half_norms.clamp_min(torch.finfo(a.dtype).tiny * 1e6)
    flat = a.mT.reshape(-1, n_atoms) @ b.permute(1, 0, 2).reshape(n_atoms, -1)
    covariance = flat.view(len(a), 3, len(b), 3).transpose(1, 2) / half_norms[..., None, None]
    square = (covariance * covariance).sum((-2, -1))
    gram = covariance.mT @ covariance
    fourth = 2 * (gram * gram).sum((-2, -1)) - square * square
    eight_det = 8 * _determinant(covariance)
    root = torch.ones_like(square)
    for _ in range(60):
        value = ((root * root - 2 * square) * root - eight_det) * root + fourth
        slope = (4 * root * root - 4 * square) * root - eight_det
        step = torch.where(slope > 0, value / slope, 0.0).clamp(0.0, 1.0)
        root = root - step
        if float(step.max() if step.numel() else 0.0) < 1e-13:
            break
    return (2 * half_norms * (1 - root) / n_atoms).clamp_min(0).sqrt()


def _determinant(m: Tensor) -> Tensor:
    """(...). Determinants of (..., 3, 3), written out: faster than a factorisation."""
    determinant: Tensor = (torch.linalg.cross(m[..., 0, :], m[..., 1, :]) * m[..., 2, :]).sum(-1)
    return determinant


def _centre(x: Tensor, weights: Tensor | None) -> Tensor:
    """(..., 1, 3), A."""
    if weights is None:
        return x.mean(-2, keepdim=True)
    return (x * (weights / weights.sum())[:, None]).sum(-2, keepdim=True)


def _columns(x: Tensor, rows: Tensor | Indices) -> tuple[Tensor, ...]:
    return torch.as_tensor(rows, dtype=torch.int64, device=x.device).unbind(-1)


def _safe_atan2(y: Tensor, x: Tensor) -> Tensor:
    """atan2, with value and gradient 0 at the origin instead of NaN."""
    undefined = (x * x + y * y) <= torch.finfo(x.dtype).tiny
    return torch.atan2(torch.where(undefined, 0.0, y), torch.where(undefined, 1.0, x))
