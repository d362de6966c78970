"""How alike two sets of pulls are: numbers from energies, variables, histograms and RMSD matrices."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.arrays import Floats, Indices
from smdgen.geometry.cv_paths import difference, mean_path

#: Bins of a torsion histogram: 10 degrees each.
TORSION_BINS = 36


def energy_ratio(generated: Floats, real: Floats) -> Floats:
    """Median energy of generated frames over that of real frames, for each kind of energy.

    Args:
        generated: (..., n_kinds), kcal/mol.
        real: (..., n_kinds), kcal/mol.

    Returns:
        (n_kinds,). NaN where the real median is zero.
    """
    above, below = (np.median(part.reshape(-1, part.shape[-1]), axis=0) for part in (generated, real))
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)


def in_band_share(energies: Floats, reference: Floats, low: float = 1.0, high: float = 99.0) -> float:
    """Share of frames with every energy inside the percentile band of the reference frames.

    Args:
        energies: (..., n_kinds), kcal/mol. Frames to judge.
        reference: (..., n_kinds), kcal/mol. Frames that make the band, all steps together.
        low: Lower percentile.
        high: Upper percentile.
    """
    band = np.percentile(reference.reshape(-1, reference.shape[-1]), [low, high], axis=0)
    inside = (energies >= band[0]) & (energies <= band[1])
    return float(inside.all(axis=-1).mean())


def path_error(first: Floats, second: Floats, periodic: bool = False) -> float:
    """Root mean square over the steps of the difference between the mean paths of two sets.

    Args:
        first: (n, n_steps).
        second: (m, n_steps), same unit.
        periodic: Whether 360 is one turn.
    """
    gap = difference(mean_path(first, periodic), mean_path(second, periodic), periodic)
    return float(np.sqrt(np.mean(gap**2)))


def nearest(distances: Floats) -> float:
    """Mean distance from each frame to its nearest frame of the other set at the same step.

    From generated to real frames this is fidelity; from real to generated frames it is coverage.

    Args:
        distances: (n_steps, n, m), A. RMSD from n frames to m others; NaN: not to be compared.

    Returns:
        A. NaN if either set is empty.
    """
    if 0 in distances.shape:
        return float("nan")
    return float(np.nanmin(distances, axis=2).mean())


def diversity(distances: Floats, starts: Indices | None = None) -> float:
    """Mean RMSD between two different pulls at the same step.

    Args:
        distances: (n_steps, n, n), A. RMSD within one set.
        starts: (n,). Where each pull began; two that began alike are no pair, since real pulls never do.
            Ignored if all began alike.

    Returns:
        A. NaN with a single pull.
    """
    n = distances.shape[1]
    pairs = np.triu(np.ones((n, n), dtype=bool), 1)
    if starts is not None and len(np.unique(starts)) > 1:
        pairs &= starts[:, None] != starts[None, :]
    return float(distances[:, pairs].mean()) if pairs.any() else float("nan")


def torsion_histogram(angles: Floats, bins: int = TORSION_BINS) -> NDArray[np.int64]:
    """Counts of angles in equal bins over [-180, 180) degrees.

    Args:
        angles: (...), rad.
        bins: Number of bins.

    Returns:
        (bins,).
    """
    turns = np.mod(np.asarray(angles, dtype=np.float64).reshape(-1) / (2 * np.pi) + 0.5, 1.0)
    return np.bincount(np.minimum((turns * bins).astype(np.int64), bins - 1), minlength=bins)


def jensen_shannon(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Jensen-Shannon divergence of two histograms, base 2: 0 the same, 1 without overlap.

    No correction for finite samples: the split-half value stands beside it.

    Args:
        first: (n_bins,). Counts.
        second: (n_bins,). Counts.

    Returns:
        NaN if a histogram is empty.

    Source: J. Lin, IEEE Trans. Inf. Theory 37, 145 (1991).
    """
    if first.sum() == 0 or second.sum() == 0:
        return float("nan")
    p, q = first / first.sum(), second / second.sum()
    middle = (p + q) / 2
    terms = [np.sum(r[r > 0] * np.log2(r[r > 0] / middle[r > 0])) for r in (p, q)]
    return float(max(0.0, sum(terms) / 2))


def profile_errors(first: Floats, second: Floats) -> Floats:
    """Standard error of the difference between the mean profiles of two sets.

    Args:
        first: (n, n_steps). Counts of n pulls.
        second: (m, n_steps). Counts of m pulls.

    Returns:
        (n_steps,). From the deviation between pulls within the sets; at least that of one count in one
        pull, so that steps at which no pull has any count can be met.
    """
    n, m = len(first), len(second)
    squares = n * first.var(axis=0) + m * second.var(axis=0)
    deviation = np.sqrt(squares / max(1, n + m - 2))
    return np.asarray(np.maximum(deviation * np.sqrt(1 / n + 1 / m), 1 / min(n, m)))


def profile_scores(first: Floats, second: Floats) -> Floats:
    """Difference of two mean profiles in units of its standard error.

    Args:
        first: (n, n_steps). Counts of n pulls.
        second: (m, n_steps). Counts of m pulls.

    Returns:
        (n_steps,).
    """
    gap = np.abs(first.mean(axis=0) - second.mean(axis=0))
    return np.asarray(gap / profile_errors(first, second))
