"""The rows of the two-sample test: all features, each group of features, and a control."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smdgen.arrays import Floats, Indices
from smdgen.geometry.atoms import Molecule
from smdgen.quality.comparison import Halving
from smdgen.quality.features import GROUPS, frame_features, joined
from smdgen.quality.goals import GOALS, judge
from smdgen.quality.rows import QualityRow
from smdgen.quality.two_sample import TwoSample, two_sample_auc

#: Noise (A) of the control that the test must see.
CONTROL_NOISE = 0.1

#: A. Real bonds with a smaller standard deviation are rigid, and differ by the rounding of a file only.
RIGID = 1e-3

#: Decimals (A) of bond lengths in the row that does not see rounding.
DECIMALS = 4


class RealAuc(NamedTuple):
    """What the test finds without generated pulls, the same for whatever is compared with these real ones.

    Attributes:
        halves: Real against real, for each halving.
        control: Real against noisy real.
    """

    halves: tuple[float, ...]
    control: TwoSample


def real_auc(real: Tensor, structure: Molecule, halvings: Sequence[Halving], seed: int) -> RealAuc:
    """The test of real pulls against real ones and against noisy ones; arguments as of `auc_rows`."""
    theirs, pulls = _features(real, structure), np.repeat(np.arange(len(real)), real.shape[1])
    noisy = _features(add_noise(real, seed), structure)
    return RealAuc(
        tuple(_real_real(joined(theirs), pulls, halving, seed) for halving in halvings),
        two_sample_auc(joined(theirs), joined(noisy), pulls, pulls, seed),
    )


def auc_rows(
    generated: Tensor,
    real: Tensor,
    structure: Molecule,
    starts: Indices | None,
    halvings: Sequence[Halving],
    seed: int,
    beside: RealAuc | None = None,
) -> Iterator[QualityRow]:
    """All real against all generated frames; real against real by halves; real against noisy real.

    Args:
        generated: (n_samples, n_steps, n_atoms, 3), A.
        real: (n_pulls, n_steps, n_atoms, 3), A.
        structure: The modelled atoms.
        starts: (n_samples,). The held-out pull each sample started from: it shares its group.
        halvings: On which the real-real value is repeated; none: no rows.
        seed: Of the folds, the classifier and the noise.
        beside: What `real_auc` of these pulls, halvings and seed found, if it is known.
    """
    if not halvings:
        return
    beside = beside or real_auc(real, structure, halvings, seed)
    n_samples, n_pulls, n_steps = len(generated), len(real), real.shape[1]
    ours, theirs = _features(generated, structure), _features(real, structure)
    pulls = np.repeat(np.arange(n_pulls), n_steps)
    origins = n_pulls + np.arange(n_samples)
    if starts is not None and len(np.unique(starts)) > 1:
        origins = starts
    samples = np.repeat(origins, n_steps)
    outcome = two_sample_auc(joined(theirs), joined(ours), pulls, samples, seed)
    real_value, real_spread = float(np.mean(beside.halves)), float(np.std(beside.halves))
    goal = GOALS["auc"]
    yield QualityRow(
        "auc", "two-sample AUC", "", outcome.auc, outcome.spread, real_value, real_spread, goal,
        judge(goal, outcome.auc),
    )  # fmt: skip
    for key, groups in _choices(structure).items():
        first, second = joined(theirs, groups), joined(ours, groups)
        if first.shape[1]:
            outcome = two_sample_auc(first, second, pulls, samples, seed)
            name = f"two-sample AUC, {key.replace('_', ' ')}"
            yield QualityRow(f"auc_{key}", name, "", outcome.auc, outcome.spread)
    if (theirs["bonds"].std(0) < RIGID).any():
        outcome = two_sample_auc(_rounded(theirs), _rounded(ours), pulls, samples, seed)
        name = f"two-sample AUC, bonds to {10.0**-DECIMALS:g} A"
        yield QualityRow("auc_rounded", name, "", outcome.auc, outcome.spread)
    name = f"two-sample AUC of real frames + {CONTROL_NOISE} A noise"
    control = beside.control
    yield QualityRow("auc_control", name, "", math.nan, real=control.auc, real_spread=control.spread)


def add_noise(x: Tensor, seed: int, noise: float = CONTROL_NOISE) -> Tensor:
    """Gaussian noise on every coordinate.

    Args:
        x: (..., n_atoms, 3), A.
        seed: Of the noise.
        noise: Standard deviation, A.
    """
    return x + noise * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)


def _features(x: Tensor, structure: Molecule) -> dict[str, Floats]:
    """Features of the frames of (n_pulls, n_steps, n_atoms, 3), pull by pull."""
    return dict(frame_features(x.flatten(0, 1), structure))


def _rounded(features: dict[str, Floats]) -> Floats:
    """All features, bond lengths to some decimals."""
    return joined({**features, "bonds": features["bonds"].round(DECIMALS)})


def _choices(structure: Molecule) -> dict[str, tuple[str, ...]]:
    """Subsets of the features; beyond N, CA, C, O also the torsions that are not phi, psi or omega."""
    choices: dict[str, tuple[str, ...]] = {name: (name,) for name in GROUPS}
    if not set(structure.names) <= {"N", "CA", "C", "O"}:
        choices["other_torsions"] = ("other_torsions",)
        choices["with_other_torsions"] = (*GROUPS, "other_torsions")
    return choices


def _real_real(features: Floats, pulls: NDArray[np.int64], halving: Halving, seed: int) -> float:
    a, b = np.isin(pulls, halving.stand_in), np.isin(pulls, halving.reference)
    return two_sample_auc(features[a], features[b], pulls[a], pulls[b], seed).auc
