"""The measures of one generator on held-out pulls: the quality table, and a one-step test beside it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.quality.baselines import Generator
from benchmarks.quality.methods import N_STEPS, frames_of
from smdgen.arrays import Indices
from smdgen.dataset.dataset import Dataset
from smdgen.forcefield.energy import BondedEnergy
from smdgen.quality.auc import RealAuc, auc_rows, real_auc
from smdgen.quality.comparison import Halving, draw_halvings
from smdgen.quality.rows import QualityRow, row_dict
from smdgen.quality.table import AUC_HALVINGS, quality_table

SAMPLES_PER_PULL = 4

#: Most sequences, each begun at another frame, that a held-out pull gives to the one-step test.
MOST_PHASES = 10


def score(
    generator: Generator, dataset: Dataset, splits: tuple[str, ...], seed: int, known: dict[str, RealAuc]
) -> dict[str, Any]:
    """Every measure on the pulls of some splits, for JSON.

    Args:
        generator: Makes the pulls.
        dataset: With the held-out pulls, and the training pulls that nothing must be copied from.
        splits: Which pulls are held out.
        seed: Of samples, halvings and folds.
        known: Tests among these real pulls with this seed; filled when it is not.
    """
    held_out, training = frames_of(dataset, *splits), frames_of(dataset, "train")
    rows = np.linspace(0, held_out.shape[1] - 1, N_STEPS + 1).round().astype(np.int64)
    real = held_out[:, rows]
    made = [generator.pulls(x[0], SAMPLES_PER_PULL, 1000 * seed + i) for i, x in enumerate(real)]
    targets = [target_cv for _, target_cv in made if target_cv is not None]
    rebuilt = None
    if generator.rebuilt is not None:
        frames = held_out.flatten(0, 1)
        rebuilt = generator.rebuilt(frames), frames
    starts, true = np.repeat(np.arange(len(real)), SAMPLES_PER_PULL), real[:, 1:].double()
    table = quality_table(
        torch.cat([positions for positions, _ in made]).double(), true,
        structure=dataset.structure,
        energy=BondedEnergy(dataset.terms, "cpu", torch.float64),
        cv=dataset.cv, starts=starts,
        targets=torch.cat(targets).double().numpy() if targets else None,
        training=training.double(), training_frames=rows[1:], reconstruction=rebuilt, seed=seed,
        real_auc=_beside(known, "rollout", true, dataset, starts, seed),
    )  # fmt: skip
    one_step = [row_dict(row) for row in one_step_rows(generator, dataset, held_out, seed, known)]
    found = table.to_dict()
    return {**found, "rows": [*found["rows"], *_without_nan(one_step)]}


def one_step_rows(
    generator: Generator, dataset: Dataset, held_out: Tensor, seed: int, known: dict[str, RealAuc]
) -> Iterator[QualityRow]:
    """The two-sample test on frames sampled from the true frames before them, at many frames of each pull.

    There are several times as many real frames as in a rollout, and no error of a step is carried on, so
    it sees more, but only the distribution of one step.

    Args:
        generator: Something that steps; else there are no rows.
        dataset: Gives the atoms.
        held_out: (n_pulls, n_frames, n_atoms, 3), A.
        seed: Of samples, halvings and folds.
        known: As of `score`.
    """
    if generator.following is None or len(held_out) < 2:
        return
    sequences = phases(held_out)
    made = torch.stack([generator.following(x, 1000 * seed + i) for i, x in enumerate(sequences)])
    generated, real = (x.double().flatten(1, 2) for x in (made, sequences[:, :, 1:]))
    assert generated.shape == real.shape
    pulls = np.arange(len(held_out))
    beside = _beside(known, "one step", real, dataset, pulls, seed)
    halvings = _halvings(len(real), pulls, seed)
    # The first row is that of all features; those of single groups would take as long again.
    row = next(auc_rows(generated, real, dataset.structure, pulls, halvings, seed, beside))
    yield replace(row, key="one_step_auc", name="one-step two-sample AUC", goal=None, met=None)


def phases(pulls: Tensor) -> Tensor:
    """(n_pulls, n_phases, n_steps, n_atoms, 3). Sequences of the rollout's stride from several frames.

    Args:
        pulls: (n_pulls, n_frames, n_atoms, 3), A.
    """
    n_frames = pulls.shape[1]
    stride = max(1, (n_frames - 1) // N_STEPS)
    begins = np.unique(np.linspace(0, stride - 1, min(stride, MOST_PHASES)).round().astype(np.int64))
    n_steps = (n_frames - 1 - int(begins[-1])) // stride + 1
    return torch.stack([pulls[:, begin::stride][:, :n_steps] for begin in begins.tolist()], 1)


def _beside(
    known: dict[str, RealAuc], key: str, real: Tensor, dataset: Dataset, starts: Indices, seed: int
) -> RealAuc:
    if key not in known:
        known[key] = real_auc(real, dataset.structure, _halvings(len(real), starts, seed), seed)
    return known[key]


def _halvings(n_pulls: int, starts: Indices, seed: int) -> tuple[Halving, ...]:
    """The first halvings that the quality table draws."""
    return tuple(draw_halvings(n_pulls, len(starts), starts, seed, AUC_HALVINGS))


def _without_nan(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: None if value != value else value for key, value in row.items()} for row in rows]
