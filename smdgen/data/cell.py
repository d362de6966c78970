"""Unit cells as DCD files store them, in the three ways in use."""

import numpy as np
from numpy.typing import NDArray

#: Places of A, B, C, alpha, beta, gamma in the six doubles of a DCD cell record.
_DCD_ORDER = (0, 2, 5, 4, 3, 1)

_LONGEST_SIDE = 1e6  # A


def cell_from_dcd(raw: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Unit cells from the six doubles of each frame.

    Angles come as cosines (NAMD), as degrees (old CHARMM, OpenMM), or the six numbers are the lower
    triangle of a symmetric shape matrix (CHARMM 36).

    Args:
        raw: (n_frames, 6), as in the file.

    Returns:
        (n_frames, 6), A A A deg deg deg; None if any frame has a dummy or impossible cell.

    Source: VMD's molfile dcdplugin.c (cosines and degrees); CHARMM's crystl.doc (shape matrix).
    """
    ordered = raw[:, _DCD_ORDER]
    angles = ordered[:, 3:]
    if not (np.abs(raw) < _LONGEST_SIDE).all():  # NaN compares as false
        return None
    if (np.abs(angles) <= 1.0).all():
        cells = np.concatenate([ordered[:, :3], np.degrees(np.arccos(angles))], axis=1)
    elif ((angles > 1.0) & (angles < 180.0)).all():
        cells = ordered
    else:
        cells = _from_shape(raw)
    return real_cells(cells)


def real_cells(cells: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The cells if every one has sides above 2 A (0 and 1 are dummies), below 1e6 A, and a volume; else None.

    Args:
        cells: (n_frames, 6), A A A deg deg deg.
    """
    sides, angles = cells[:, :3], cells[:, 3:]
    if not ((sides > 2.0) & (sides < _LONGEST_SIDE) & (angles > 1.0) & (angles < 179.0)).all():
        return None  # NaN compares as false
    alpha, beta, gamma = np.cos(np.radians(angles)).T
    volume_squared = 1 - alpha**2 - beta**2 - gamma**2 + 2 * alpha * beta * gamma
    return cells if bool((volume_squared > 1e-6).all()) else None


def cell_to_dcd(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """The six doubles of a DCD cell record, angles as cosines: the inverse of `cell_from_dcd`.

    Args:
        cells: (..., 6), A A A deg deg deg.
    """
    cosines = np.where(cells[..., 3:] == 90.0, 0.0, np.cos(np.radians(cells[..., 3:])))
    ordered = np.concatenate([cells[..., :3], cosines], axis=-1)
    raw = np.empty_like(ordered)
    raw[..., _DCD_ORDER] = ordered
    return raw


def box_vectors(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Box vectors as rows, a along x and b in the xy plane.

    Args:
        cells: (..., 6), A A A deg deg deg.

    Returns:
        (..., 3, 3), A.
    """
    a, b, c = (cells[..., i] for i in range(3))
    cosines = np.where(cells[..., 3:] == 90.0, 0.0, np.cos(np.radians(cells[..., 3:])))
    alpha, beta, gamma = (cosines[..., i] for i in range(3))
    sine = np.sqrt(1.0 - gamma**2)
    cy = c * (alpha - beta * gamma) / sine
    cz = np.sqrt(np.maximum(c**2 - (c * beta) ** 2 - cy**2, 0.0))
    zero = np.zeros_like(a)
    rows = [[a, zero, zero], [b * gamma, b * sine, zero], [c * beta, cy, cz]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _from_shape(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = raw[:, [[0, 1, 3], [1, 2, 4], [3, 4, 5]]]  # (n_frames, 3, 3), symmetric
    lengths = np.linalg.norm(rows, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = [
            (rows[:, i] * rows[:, j]).sum(-1) / (lengths[:, i] * lengths[:, j])
            for i, j in ((1, 2), (0, 2), (0, 1))
        ]
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip(np.stack(cosines, -1), -1, 1)))], axis=1)
