"""A critic of next frames, and the choice among several candidates by what it says.

| symbol   | here                                                                                   |
|----------|----------------------------------------------------------------------------------------|
| D        | `Critic`: log odds that a frame is real, from CA distances and the condition           |
| w        | exp(D / 2), 0 for a frame with a clash; `log_weights`                                  |
| p(i)     | w(i) / sum of w over the candidates of one step                                        |

More candidates are drawn while the weights of a step add up to less than `min_total_weight`.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from smdgen.geometry.frames import bond_lengths
from smdgen.geometry.validity import clashing
from smdgen.method.dynamics import CONDITION_SIZE
from smdgen.method.guidance import FlowModel, draw_next
from smdgen.method.presets import DEFAULT, CriticNumbers


class Critic(nn.Module):
    """The logarithm of the odds that a next frame is real and not sampled.

    It sees what the dynamics blur most: how far CA atoms are apart, strands that pair above all. Frames
    sampled and then kept with these odds are distributed as real ones are, as far as the critic can tell.

    Source: S. Azadi et al., arXiv:1810.06758 (rejection sampling by a discriminator); a choice among
    several candidates instead of rejection, as in sampling-importance resampling.
    """

    pairs: Tensor  # (n_pairs, 2) atoms
    centre: Tensor  # (n_inputs,) mean of what the first layer reads
    scale: Tensor  # (n_inputs,) its standard deviation

    def __init__(self, n_pairs: int, numbers: CriticNumbers = DEFAULT.critic) -> None:
        super().__init__()
        self.numbers, width, dropout = numbers, numbers.width, numbers.dropout
        n_inputs = n_pairs * (len(numbers.centres) + 1) + CONDITION_SIZE
        self.layers = nn.Sequential(
            nn.Linear(n_inputs, width), nn.SiLU(), nn.Dropout(dropout),
            nn.Linear(width, width), nn.SiLU(), nn.Dropout(dropout),
            nn.Linear(width, 1),
        )  # fmt: skip
        self.register_buffer("pairs", torch.zeros(n_pairs, 2, dtype=torch.long))
        self.register_buffer("centre", torch.zeros(n_inputs))
        self.register_buffer("scale", torch.ones(n_inputs))

    @classmethod
    def of(
        cls,
        pairs: NDArray[np.int64],
        distances: Tensor,
        scaled_condition: Tensor,
        numbers: CriticNumbers = DEFAULT.critic,
    ) -> "Critic":
        """An untrained critic, its inputs standardised.

        Args:
            pairs: (n_pairs, 2). Atoms whose distances it sees.
            distances: (n, n_pairs), A. Of frames.
            scaled_condition: (n, CONDITION_SIZE). That under which they were sampled, or follow.
            numbers: Its layers, and where it looks closely.
        """
        critic = cls(len(pairs), numbers).to(distances)
        critic.pairs.copy_(torch.from_numpy(pairs))
        inputs = critic._inputs(distances, scaled_condition)
        critic.centre.copy_(inputs.mean(0))
        critic.scale.copy_(inputs.std(0) + numbers.least_deviation)
        return critic

    def distances(self, x: Tensor) -> Tensor:
        """(..., n_atoms, 3), A -> (..., n_pairs), A."""
        return bond_lengths(x, self.pairs)

    def forward(self, distances: Tensor, scaled_condition: Tensor) -> Tensor:
        """(..., n_pairs), A, and (..., CONDITION_SIZE) -> (...), nat."""
        inputs = (self._inputs(distances, scaled_condition) - self.centre) / self.scale
        farthest = self.numbers.farthest
        odds: Tensor = self.layers(inputs.clamp(-farthest, farthest))[..., 0]
        return odds

    def _inputs(self, distances: Tensor, scaled_condition: Tensor) -> Tensor:
        centres, widths = (distances.new_tensor(x) for x in (self.numbers.centres, self.numbers.widths))
        near = torch.exp(-(((distances[..., None] - centres) / widths).square()))
        return torch.cat([near.flatten(-2), distances / self.numbers.distance_scale, scaled_condition], -1)


def sample_next(
    model: FlowModel, history: Tensor, target_cv: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Next latents (n, latent_size) and frames (n, n_atoms, 3), A, guided to their target CVs (n,).

    Where all candidates clash or are unlikely, more are drawn: what remains is the model's distribution of
    frames without a clash, made as much like the real one as the critic can tell.
    """
    own = model.dynamics.numbers.sampling
    z, frames, log_weights = _choose_next(model, history, target_cv, generator)
    enough = 0.0 if model.critic is None else math.log(own.min_total_weight)
    for _ in range(own.most_redraws):
        again = log_weights < enough
        if not again.any():
            break
        other_z, other_frames, other = _choose_next(model, history[again], target_cv[again], generator)
        both = torch.logaddexp(log_weights[again], other)
        drawn = torch.rand(len(both), generator=generator, dtype=torch.float64).to(both.device)
        better = drawn < (other - both).exp()
        z[again] = torch.where(better[:, None], other_z, z[again])
        frames[again] = torch.where(better[:, None, None], other_frames, frames[again])
        log_weights[again] = both
    return z, frames


def _choose_next(
    model: FlowModel, history: Tensor, target_cv: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """One of several candidates each, taken by its weight, and the logarithm of all weights' sum (n,)."""
    own = model.dynamics.numbers.sampling
    n = 1 if model.critic is None else own.n_candidates
    histories, targets = (part.repeat_interleave(n, 0) for part in (history, target_cv))
    z, frames = draw_next(model, histories, targets, generator)
    log_weights = torch.zeros(len(targets), dtype=torch.float64, device=targets.device)
    if model.critic is not None:
        log_odds = model.critic(model.critic.distances(frames), histories[:, -CONDITION_SIZE:])
        log_weights += own.critic_exponent * log_odds
    clash = clashing(frames, model.clash_limits).bool()
    log_weights = log_weights.masked_fill(clash, own.clash_log_weight).view(-1, n)
    rows = torch.arange(len(target_cv), device=target_cv.device) * n
    if n > 1:
        taken = torch.multinomial(log_weights.softmax(-1).cpu(), 1, generator=generator)[:, 0]
        rows = rows + taken.to(rows.device)
    return z[rows], frames[rows], log_weights.logsumexp(-1)
