"""A critic of next frames: which of several candidates is most like a real one."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from smdgen.geometry.frames import bond_lengths
from smdgen.method.dynamics import N_CONDITIONS

#: Candidates drawn for each next frame.
N_CANDIDATES = 8

#: Most distances that the critic sees, an even choice of all.
MOST_DISTANCES = 2000

#: A. Distances at which it looks closely, and how wide each of these places is.
CENTRES = (4.0, 5.0, 6.0, 7.5, 9.5, 12.0, 16.0)
WIDTHS = (0.7, 0.7, 0.8, 1.0, 1.5, 2.0, 3.0)

#: Width of the layers, and the share of their values that training drops.
WIDTH, DROPOUT = 128, 0.4

#: Standard deviations beyond which an input counts no further.
FARTHEST = 5.0


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

    def __init__(self, n_pairs: int) -> None:
        super().__init__()
        n_inputs = n_pairs * (len(CENTRES) + 1) + N_CONDITIONS
        self.layers = nn.Sequential(
            nn.Linear(n_inputs, WIDTH), nn.SiLU(), nn.Dropout(DROPOUT),
            nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Dropout(DROPOUT),
            nn.Linear(WIDTH, 1),
        )  # fmt: skip
        self.register_buffer("pairs", torch.zeros(n_pairs, 2, dtype=torch.long))
        self.register_buffer("centre", torch.zeros(n_inputs))
        self.register_buffer("scale", torch.ones(n_inputs))

    @classmethod
    def of(cls, pairs: NDArray[np.int64], distances: Tensor, conditions: Tensor) -> "Critic":
        """An untrained critic, its inputs standardised.

        Args:
            pairs: (n_pairs, 2). Atoms whose distances it sees.
            distances: (n, n_pairs), A. Of frames.
            conditions: (n, N_CONDITIONS). What the dynamics were told of them.
        """
        critic = cls(len(pairs)).to(distances)
        critic.pairs.copy_(torch.from_numpy(pairs))
        inputs = _inputs(distances, conditions)
        critic.centre.copy_(inputs.mean(0))
        critic.scale.copy_(inputs.std(0) + 1e-3)
        return critic

    def distances(self, x: Tensor) -> Tensor:
        """(..., n_atoms, 3), A -> (..., n_pairs), A."""
        return bond_lengths(x, self.pairs)

    def forward(self, distances: Tensor, conditions: Tensor) -> Tensor:
        """(..., n_pairs), A, and (..., N_CONDITIONS) -> (...), nat."""
        inputs = (_inputs(distances, conditions) - self.centre) / self.scale
        odds: Tensor = self.layers(inputs.clamp(-FARTHEST, FARTHEST))[..., 0]
        return odds


def _inputs(distances: Tensor, conditions: Tensor) -> Tensor:
    centres, widths = distances.new_tensor(CENTRES), distances.new_tensor(WIDTHS)
    near = torch.exp(-(((distances[..., None] - centres) / widths).square()))
    return torch.cat([near.flatten(-2), distances / 10, conditions], -1)
