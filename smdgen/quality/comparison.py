"""Generated and real pulls, paired so that like is compared with like."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from smdgen.arrays import Floats, Indices
from smdgen.geometry.frames import rmsd_matrix
from smdgen.quality import similarity
from smdgen.quality.measure import Measured

#: Random halvings of the held-out pulls behind the real-real column.
HALVINGS = 100


class Halving(NamedTuple):
    """One way to compare like with like.

    `stand_in` and `reference` are two halves of the held-out pulls. Generated pulls take the place of
    the stand-ins: as many, and where known from the same start frames. Both are scored against the
    reference half, so the generated and the real measure differ in nothing but who made the pulls, and no
    generated pull is compared with the real one it started from.
    """

    stand_in: Indices
    reference: Indices
    generated: Indices


@dataclass(frozen=True)
class Comparison:
    """Everything the rows of the quality table are made of.

    Attributes:
        generated: Numbers of the generated pulls.
        real: Numbers of the held-out pulls, at the same steps.
        to_real: (n_steps, n_samples, n_pulls), A. RMSD at the same step, generated to real.
        among_generated: (n_steps, n_samples, n_samples), A.
        among_real: (n_steps, n_pulls, n_pulls), A.
        halvings: Ways to compare like with like; none with a single held-out pull.
        starts: (n_samples,). The held-out pull each sample started from; None: unknown.
    """

    generated: Measured
    real: Measured
    to_real: Floats
    among_generated: Floats
    among_real: Floats
    halvings: tuple[Halving, ...]
    starts: Indices | None


def compare(generated: Measured, real: Measured, starts: Indices | None, seed: int) -> Comparison:
    """Pair both sets step by step and draw the halvings.

    Args:
        generated: The generated pulls, without the start frame, which is not generated.
        real: The held-out pulls, at the same steps.
        starts: (n_samples,). The held-out pull each sample started from; None: unknown.
        seed: Of the halvings.
    """
    x, y = generated.positions.double(), real.positions.double()
    return Comparison(
        generated,
        real,
        to_real=step_distances(x, y),
        among_generated=step_distances(x, x),
        among_real=step_distances(y, y),
        halvings=tuple(draw_halvings(len(y), len(x), starts, seed)),
        starts=starts,
    )


def draw_halvings(
    n_pulls: int, n_samples: int, starts: Indices | None, seed: int, count: int = HALVINGS
) -> Iterator[Halving]:
    """Random halvings of the held-out pulls; none with a single pull.

    Args:
        n_pulls: Held-out pulls.
        n_samples: Generated pulls.
        starts: (n_samples,). The held-out pull each sample started from; None: unknown.
        seed: Of the generator.
        count: Number of halvings.
    """
    generator = np.random.default_rng(seed)
    origins = np.unique([] if starts is None else starts)
    for _ in range(count if n_pulls > 1 else 0):
        order = generator.permutation(n_pulls)
        if len(origins) == 1:  # the one pull that gave the start is never among the reference
            order = np.concatenate([origins, order[order != origins[0]]])
        stand_in, reference = order[: n_pulls // 2], order[n_pulls // 2 :]
        samples = generator.permutation(n_samples)
        if starts is not None and len(origins) > 1:
            first = {int(starts[sample]): int(sample) for sample in samples}
            both = [pull for pull in stand_in.tolist() if pull in first]
            if both:
                yield Halving(np.array(both), reference, np.array([first[pull] for pull in both]))
            continue
        size = min(len(stand_in), n_samples)
        yield Halving(stand_in[:size], reference, samples[:size])


def step_distances(x: Tensor, y: Tensor) -> Floats:
    """(n_steps, n, m), A. RMSD between the frames of each step of (n, n_steps, ...) and (m, n_steps, ...)."""
    return np.stack([rmsd_matrix(x[:, t], y[:, t]).numpy() for t in range(y.shape[1])])


def band_limit(values: Floats, halvings: tuple[Halving, ...]) -> float:
    """The score that the whole mean profile of other real pulls keeps below, 95 times in 100.

    See `similarity.profile_scores`: the largest score of any step, of one half of the real pulls
    against the other, is below this limit in 95 % of the halvings.

    Args:
        values: (n_pulls, n_steps). One number of every real frame.
        halvings: Of the real pulls.
    """
    score = similarity.profile_scores
    worst = [score(values[h.stand_in], values[h.reference]).max() for h in halvings]
    return max(1.96, float(np.percentile(worst, 95)))
