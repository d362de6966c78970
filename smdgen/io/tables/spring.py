"""The moving spring behind a record of positions and forces."""

from dataclasses import dataclass

import numpy as np

from smdgen.arrays import FloatArray

#: Largest deviation of a force from the spring's, as a share of the range of forces.
_FIT_TOLERANCE = 0.01
_LEAST_ROWS = 6


@dataclass(frozen=True)
class Spring:
    """A spring whose far end moves at constant speed, in the units of the record."""

    constant: float
    speed: float
    centre: FloatArray  # (n,). Its far end at every time


def fit_spring(times: FloatArray, x: FloatArray, forces: FloatArray) -> Spring | None:
    """The spring that made some forces, if one did.

    `f = k (c0 + v t - x)` is linear in `k c0`, `k v` and `k`, which least squares find; noise-free records
    give them exactly.

    | symbol | variable |
    |---|---|
    | t | `times` (n,) |
    | x | `x` (n,), the end that is fixed to the atoms |
    | f | `forces` (n,), on the atoms, along x |

    Returns:
        The spring, or None where the forces are not those of one (another protocol, too few rows).
    """
    if len(times) < _LEAST_ROWS or np.ptp(times) <= 0:
        return None
    elapsed = (times - times[0]) / np.ptp(times)
    table = np.stack([np.ones_like(x), elapsed, -(x - x[0])], axis=1)
    (offset, slope, constant), _, rank, _ = np.linalg.lstsq(table, forces, rcond=None)
    off = np.abs(table @ np.array([offset, slope, constant]) - forces).max()
    if rank < 3 or constant <= 0 or off > _FIT_TOLERANCE * np.ptp(forces):
        return None
    centre = x[0] + (offset + slope * elapsed) / constant
    return Spring(float(constant), float(slope / constant / np.ptp(times)), centre)


def accumulated_work(forces: FloatArray, centre: FloatArray) -> FloatArray:
    """(n,). Work that a moving spring has done since the first row, by the trapezoidal rule.

    Args:
        forces: (n,). Of the spring on the atoms.
        centre: (n,). Place of the spring's far end.

    Source: S. Park, K. Schulten, J. Chem. Phys. 120, 5946 (2004): W = int f dc.
    """
    parts = 0.5 * (forces[1:] + forces[:-1]) * np.diff(centre)
    return np.concatenate([[0.0], np.cumsum(parts)])
