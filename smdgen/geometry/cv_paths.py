"""Paths of a CV as plain arrays: differences the short way round, and means over pulls."""

import numpy as np

from smdgen.arrays import Floats


def mean_path(values: Floats, periodic: bool = False) -> Floats:
    """Mean over pulls at every step; for angles the direction of the mean vector.

    Args:
        values: (n_pulls, n_steps), any unit; degrees if periodic.
        periodic: Whether 360 is one turn.

    Returns:
        (n_steps,), same unit.
    """
    if not periodic:
        return np.asarray(values.mean(axis=0))
    radians = np.radians(values)
    path: Floats = np.degrees(np.arctan2(np.sin(radians).mean(axis=0), np.cos(radians).mean(axis=0)))
    return path


def difference(first: Floats, second: Floats, periodic: bool) -> Floats:
    """First - second (...), the short way round for angles in degrees."""
    gap = first - second
    return np.asarray((gap + 180) % 360 - 180 if periodic else gap)
