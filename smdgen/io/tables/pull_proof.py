"""What the fluctuations of a pull prove of its table: the unit of the work, and whose frames it is of."""

import math

import numpy as np
from numpy.typing import NDArray

from smdgen.units import BOLTZMANN

#: K. At which fluctuations are judged, from so many rows whose work correlates at least so much.
_ROOM, _ROWS_FOR_RATIO, _LEAST_CORRELATION = 300.0, 50, 0.5

#: Standard deviations by which a correlation has to differ from none (neighbouring values share noise).
_SURE = 7.0

#: Share of its range below which the fluctuations of a variable are rounding.
_SMOOTH = 1e-6

_LEAST_FRAMES = 6

#: Correlation of the steps of a work with those of its spring's that shows the other sign, and how many steps
#: it takes; rows far apart miss what the spring does between them.
_OTHER_SIGN, _STEPS_FOR_SIGN = -0.9, 15


def thermal_ratio(x: NDArray[np.float64], centre: NDArray[np.float64], work: NDArray[np.float64]) -> float:
    """K var(x - centre) / kT at 300 K, with the spring constant k that ties work, variable and centre.

    Work is the sum of k (centre - x) over the way of the centre, so k follows from their regression. The slow
    part of x - centre, which the molecule's own forces make, is taken out as a cubic polynomial.

    Args:
        x: (n_rows,). The variable.
        centre: (n_rows,), same unit.
        work: (n_rows,), kcal/mol.

    Returns:
        NaN where there are too few rows, the work is not that of one spring on this variable, or x - centre
        changes too slowly to be thermal.
    """
    if len(x) < _ROWS_FOR_RATIO or not np.ptp(centre) > 0:
        return math.nan
    apart = centre - x
    way = 0.5 * (apart[1:] + apart[:-1]) * np.diff(centre)
    steps = np.diff(work)
    constant = float((steps * way).sum() / (way * way).sum())
    if not constant > 0 or not np.corrcoef(steps, way)[0, 1] > _LEAST_CORRELATION:
        return math.nan
    times = np.linspace(-1, 1, len(x))
    rest = apart - np.polyval(np.polyfit(times, apart, 3), times)
    total, fast, every = float(rest.var()), 0.0, 1
    while fast < total / 2 and len(rest[::every]) >= _ROWS_FOR_RATIO:  # neighbours may remember each other
        # The variance if these rows do not, else less.
        fast, every = max(fast, float(np.diff(rest[::every], 2).var()) / 6), 2 * every
    return constant * (total + fast) / 2 / (BOLTZMANN * _ROOM) if fast > total / 10 else math.nan


def has_other_sign(x: NDArray[np.float64], centre: NDArray[np.float64], work: NDArray[np.float64]) -> bool:
    """Whether work falls where the spring does work, as that of its reaction force would.

    Args:
        x: (n_rows,). The variable.
        centre: (n_rows,), same unit.
        work: (n_rows,), any unit.
    """
    apart = centre - x
    way = 0.5 * (apart[1:] + apart[:-1]) * np.diff(centre)
    steps = np.diff(work)
    if len(steps) < _STEPS_FOR_SIGN or not (steps.std() > 0 and way.std() > 0):
        return False
    return bool(np.corrcoef(steps, way)[0, 1] < _OTHER_SIGN and steps.sum() * way.sum() < 0)


def moves_along(x: NDArray[np.float64], y: NDArray[np.float64]) -> bool:
    """Whether two variables are of the same frames: they fluctuate together, which those of two pulls do not.

    The ranks of what is left of each value after the mean of its neighbours is taken away correlate, in
    Fisher's measure by more than seven standard deviations.

    Args:
        x: (n,). One value a frame, any unit.
        y: (n,). Another.
    """
    if len(x) < _LEAST_FRAMES:
        return False
    left = [np.diff(values, 2) for values in (x, y)]
    if any(part.std() <= _SMOOTH * np.ptp(whole) for part, whole in zip(left, (x, y), strict=True)):
        return False
    first, second = (part.argsort().argsort() for part in left)
    correlation = min(abs(float(np.corrcoef(first, second)[0, 1])), 1 - 1e-9)
    return math.atanh(correlation) * math.sqrt(max(len(x) - 5, 0)) > _SURE
