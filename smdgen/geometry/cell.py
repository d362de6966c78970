"""Unit cells as DCD files store them, in the three ways in use."""

import numpy as np
from numpy.typing import NDArray

#: Places of A, B, C, alpha, beta, gamma in the six doubles of a DCD cell record.
_DCD_ORDER = (0, 2, 5, 4, 3, 1)

_LONGEST_SIDE = 1e6  # A
_MOST_CHANGE = 0.3  # of the logarithm of a side, from the median frame


def cell_from_dcd(raw: NDArray[np.float64]) -> tuple[NDArray[np.float64] | None, list[str]]:
    """Unit cells from the six doubles of each frame.

    Angles come as cosines (NAMD), as degrees (old CHARMM, OpenMM), or the six numbers are the lower
    triangle of a symmetric shape matrix (CHARMM 36).

    Args:
        raw: (n_frames, 6), as in the file.

    Returns:
        (n_frames, 6), A A A deg deg deg, and notes, as `real_cells`.

    Source: VMD's molfile dcdplugin.c (cosines and degrees); CHARMM's crystl.doc (shape matrix).
    """
    ordered = raw[:, _DCD_ORDER]
    angles = ordered[:, 3:]
    is_number: NDArray[np.bool_] = np.all(np.abs(raw) < _LONGEST_SIDE, axis=1)  # NaN compares as false
    if (np.abs(angles[is_number]) <= 1.0).all():
        cells = np.concatenate([ordered[:, :3], np.degrees(np.arccos(np.clip(angles, -1, 1)))], axis=1)
    elif ((angles[is_number] > 1.0) & (angles[is_number] < 180.0)).all():
        cells = ordered
    else:
        cells = _from_shape(np.where(is_number[:, None], raw, 0.0))
    sides = np.where(is_number[:, None], cells[:, :3], -np.inf)  # no program writes such a cell on purpose
    return real_cells(np.concatenate([sides, cells[:, 3:]], axis=1))


def real_cells(cells: NDArray[np.float64]) -> tuple[NDArray[np.float64] | None, list[str]]:
    """The cells if every one has sides above 2 A (0 and 1 are dummies), below 1e6 A, and a volume; else None.

    Args:
        cells: (n_frames, 6), A A A deg deg deg.

    Returns:
        The cells, and a note where some frames have a cell and others none or one far from the others, or
        where cells are impossible.
    """
    sides, angles = cells[:, :3], cells[:, 3:]
    alpha, beta, gamma = np.cos(np.radians(angles)).T
    volume_squared = 1 - alpha**2 - beta**2 - gamma**2 + 2 * alpha * beta * gamma
    fits = (sides > 2.0) & (sides < _LONGEST_SIDE) & (angles > 1.0) & (angles < 179.0)
    is_real = fits.all(axis=1) & (volume_squared > 1e-6)  # NaN compares as false
    if not is_real.any():
        return None, _impossible_note(sides)
    if not is_real.all():
        missing = np.flatnonzero(~is_real)
        words = f"{len(missing)} of {len(cells)} frames have no unit cell, first frame {missing[0] + 1}"
        return None, [f"{words}; none is used, so molecules cut by the box stay so"]
    usual = np.median(cells, axis=0)
    is_odd = (np.abs(np.log(sides / usual[:3])) > _MOST_CHANGE).any(axis=1)
    if not is_odd.any():
        return cells, []
    first = int(np.argmax(is_odd))
    shown = [" x ".join(f"{side:.4g}" for side in row[:3]) for row in (cells[first], usual)]
    return cells, [
        f"{int(is_odd.sum())} of {len(cells)} frames have a unit cell far from the others', first frame "
        f"{first + 1} ({shown[0]} A, mostly {shown[1]} A); if it is wrong there, so are molecules made whole"
    ]


def _impossible_note(sides: NDArray[np.float64]) -> list[str]:
    """Sides (n_frames, 3), A, below 0; 0, 1 and NaN mean that there is no cell."""
    impossible = np.flatnonzero((sides < 0).any(axis=1))
    if not len(impossible):
        return []
    return [
        f"{len(impossible)} of {len(sides)} frames have an impossible unit cell (a negative length, or no "
        f"number), first frame {impossible[0] + 1}; none is used, so molecules cut by the box stay so"
    ]


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


def cell_of_vectors(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 6), A A A deg deg deg, from (n, 3, 3) box vectors as rows."""
    lengths = np.linalg.norm(boxes, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = [
            (boxes[:, i] * boxes[:, j]).sum(-1) / (lengths[:, i] * lengths[:, j])
            for i, j in ((1, 2), (0, 2), (0, 1))
        ]
        return np.concatenate(
            [lengths, np.degrees(np.arccos(np.clip(np.stack(cosines, -1), -1, 1)))], axis=-1
        )


def _from_shape(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_frames, 6), A A A deg deg deg, from the lower triangle of a symmetric matrix of box vectors."""
    return cell_of_vectors(raw[:, [[0, 1, 3], [1, 2, 4], [3, 4, 5]]])
