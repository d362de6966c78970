"""A transformer over residues: what is learned at one residue serves all of them.

| symbol   | here                                                                                   |
|----------|----------------------------------------------------------------------------------------|
| x        | (n_residues, width): one vector a residue                                              |
| Q, K, V  | thirds of `qkv(x)`; softmax(Q K^T / sqrt(d) + bias) V goes through `out_proj`          |
| bias     | learned, by head and distance along the chain                                          |
| MLP      | `mlp_out(silu(mlp_in(x)))`                                                             |
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from smdgen.method.features.base import Features
from smdgen.method.presets import DEFAULT, TransformerNumbers


@dataclass(frozen=True)
class ResidueLayout:
    """Where each internal feature belongs.

    Attributes:
        residue: (n_features,). Residue of the atom that the feature places, from 0.
        kind: (n_features,). Equal for the same quantity (say, the sine of phi) in all residues, from 0.
        soft: (n_soft,). The features that tell the conformation: torsions that turn.
    """

    residue: NDArray[np.int64]
    kind: NDArray[np.int64]
    soft: NDArray[np.int64]

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes of a `FlowDynamics` that reads this layout."""
        return {
            "n_features": len(self.residue),
            "n_residues": int(self.residue.max()) + 1,
            "n_kinds": int(self.kind.max()) + 1,
            "n_soft": len(self.soft),
        }


def residue_layout(features: Features, names: Sequence[str], residues: Sequence[int]) -> ResidueLayout:
    """The layout of the features of a structure.

    Args:
        features: Fitted to training frames.
        names: Name of each atom; atoms of the same name share their weights.
        residues: Residue of each atom, from 0 in file order.
    """
    atoms, quantity = features.placed_atoms(), features.quantities()
    present = {residue: row for row, residue in enumerate(sorted(set(residues)))}
    labels = [(int(q), str(names[atom])) for q, atom in zip(quantity, atoms, strict=True)]
    number = {label: i for i, label in enumerate(sorted(set(labels)))}
    return ResidueLayout(
        np.array([present[residues[atom]] for atom in atoms], dtype=np.int64),
        np.array([number[label] for label in labels], dtype=np.int64),
        np.flatnonzero(features.is_soft()),
    )


class ResidueNet(nn.Module):
    """Maps features to features, residue by residue, with attention between all residues.

    A residue enters as a vector with one place for each kind of feature, zero where it has none, so that all
    residues share their weights; a learned vector a residue and a bias on attention by the distance along
    the chain tell them apart.

    Source: A. Vaswani et al., arXiv:1706.03762; J. Shaw et al., arXiv:1803.02155 (relative positions).
    """

    place: Tensor  # (n_features,) where each feature stands among residues x kinds
    soft_place: Tensor  # (n_soft,) the same for the soft features alone
    offset: Tensor  # (n_residues, n_residues) row of the attention bias

    def __init__(
        self,
        n_features: int,
        n_residues: int,
        n_kinds: int,
        n_soft: int,
        n_conditioning: int,
        numbers: TransformerNumbers = DEFAULT.transformer,
    ) -> None:
        super().__init__()
        width, most_apart = numbers.width, numbers.most_apart
        self.n_residues, self.n_kinds = n_residues, n_kinds
        self.input_proj, self.condition_proj = nn.Linear(2 * n_kinds, width), nn.Linear(n_conditioning, width)
        self.residue = nn.Parameter(numbers.first_std * torch.randn(n_residues, width))
        self.layers = nn.ModuleList(ResidueLayer(numbers) for _ in range(numbers.n_layers))
        self.norm, self.output_proj = nn.LayerNorm(width), nn.Linear(width, n_kinds)
        _zero(self.output_proj)
        self.register_buffer("place", torch.zeros(n_features, dtype=torch.long))
        self.register_buffer("soft_place", torch.zeros(n_soft, dtype=torch.long))
        row = torch.arange(n_residues)
        offset = (row[:, None] - row).clamp(-most_apart, most_apart) + most_apart
        self.register_buffer("offset", offset, persistent=False)

    @torch.no_grad()
    def arrange(self, layout: ResidueLayout) -> None:
        """Take the places of the features from a layout."""
        place = torch.from_numpy(layout.residue * self.n_kinds + layout.kind)
        self.place.copy_(place)
        self.soft_place.copy_(place[torch.from_numpy(layout.soft)])

    def forward(self, f: Tensor, soft: Tensor, conditioning: Tensor) -> Tensor:
        """F (..., n_features), soft (..., n_soft) of the frame before, conditioning (..., n_conditioning)."""
        seen = torch.cat([self._by_residue(f, self.place), self._by_residue(soft, self.soft_place)], -1)
        x = self.input_proj(seen) + self.condition_proj(conditioning)[..., None, :] + self.residue
        for layer in self.layers:
            x = layer(x, self.offset)
        left = self.output_proj(self.norm(x)).flatten(-2)
        found: Tensor = left[..., self.place]
        return found

    def _by_residue(self, values: Tensor, place: Tensor) -> Tensor:
        """(..., n_residues, n_kinds) of (..., n)."""
        table = values.new_zeros(*values.shape[:-1], self.n_residues * self.n_kinds)
        table[..., place] = values
        return table.view(*values.shape[:-1], self.n_residues, self.n_kinds)


class ResidueLayer(nn.Module):
    """Attention between residues, then a network on each; both are added to what came in."""

    def __init__(self, numbers: TransformerNumbers) -> None:
        super().__init__()
        width, mlp_width, self.n_heads = numbers.width, numbers.mlp_ratio * numbers.width, numbers.n_heads
        self.before_attention, self.before_network = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp_in, self.mlp_out = nn.Linear(width, mlp_width), nn.Linear(mlp_width, width)
        self.bias = nn.Parameter(torch.zeros(numbers.n_heads, 2 * numbers.most_apart + 1))
        for last in (self.out_proj, self.mlp_out):
            _zero(last)

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        """X (..., n_residues, width), offset (n_residues, n_residues): row of the bias for each pair."""
        lead, n_residues, width = x.shape[:-2], *x.shape[-2:]
        asked = self.qkv(self.before_attention(x)).reshape(
            -1, n_residues, 3, self.n_heads, width // self.n_heads
        )
        query, key, value = asked.permute(2, 0, 3, 1, 4)
        found = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=self.bias[:, offset][None]
        )
        x = x + self.out_proj(found.transpose(1, 2).reshape(*lead, n_residues, width))
        widened = nn.functional.silu(self.mlp_in(self.before_network(x)))
        out: Tensor = x + self.mlp_out(widened)
        return out


def _zero(layer: nn.Linear) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
