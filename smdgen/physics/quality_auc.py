"""The rows of the two-sample test: all features, each group of features, and a control."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smdgen.physics.atoms import Molecule
from smdgen.physics.comparison import Floats, Halving, Indices
from smdgen.physics.features import GROUPS, frame_features, joined
from smdgen.physics.quality_rows import QualityRow
from smdgen.physics.two_sample import two_sample_auc

#: Noise (A) of the control that the test must see.
CONTROL_NOISE = 0.1


def auc_rows(
    generated: Tensor,
    real: Tensor,
    structure: Molecule,
    starts: Indices | None,
    halvings: Sequence[Halving],
    seed: int,
) -> Iterator[QualityRow]:
    """All real against all generated frames; real against real by halves; real against noisy real.

    Args:
        generated: (n_samples, n_steps, n_atoms, 3), A.
        real: (n_pulls, n_steps, n_atoms, 3), A.
        structure: The modelled atoms.
        starts: (n_samples,). The held-out pull each sample started from: it shares its group.
        halvings: On which the real-real value is repeated; none: no rows.
        seed: Of the folds, the classifier and the noise.
    """
    if not halvings:
        return
    n_samples, n_pulls, n_steps = len(generated), len(real), real.shape[1]
    ours, theirs = (frame_features(x.flatten(0, 1), structure) for x in (generated, real))
    pulls = np.repeat(np.arange(n_pulls), n_steps)
    origins = n_pulls + np.arange(n_samples)
    if starts is not None and len(np.unique(starts)) > 1:
        origins = starts
    samples = np.repeat(origins, n_steps)
    beside = [_real_real(joined(theirs), pulls, halving, seed) for halving in halvings]
    outcome = two_sample_auc(joined(theirs), joined(ours), pulls, samples, seed)
    met = None if math.isnan(outcome.auc) else outcome.auc <= 0.55
    spread = float(np.std(beside))
    yield QualityRow(
        "auc", "two-sample AUC", outcome.auc, outcome.spread, float(np.mean(beside)), spread, "<= 0.55", met
    )
    for key, groups in _choices(structure).items():
        first, second = joined(theirs, groups), joined(ours, groups)
        if first.shape[1]:
            outcome = two_sample_auc(first, second, pulls, samples, seed)
            label = f"two-sample AUC, {key.replace('_', ' ')}"
            yield QualityRow(f"auc_{key}", label, outcome.auc, outcome.spread)
    noisy = frame_features(add_noise(real.flatten(0, 1), seed), structure)
    control = two_sample_auc(joined(theirs), joined(noisy), pulls, pulls, seed)
    label = f"two-sample AUC of real frames + {CONTROL_NOISE} A noise"
    yield QualityRow("auc_control", label, math.nan, real=control.auc, real_spread=control.spread)


def add_noise(x: Tensor, seed: int, noise: float = CONTROL_NOISE) -> Tensor:
    """Gaussian noise on every coordinate.

    Args:
        x: (..., n_atoms, 3), A.
        seed: Of the noise.
        noise: Standard deviation, A.
    """
    return x + noise * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)


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
