"""Frames as standardised internal coordinates: the features of most systems.

| symbol   | here                                                                                   |
|----------|----------------------------------------------------------------------------------------|
| b, a, t  | `lengths` (A), `angles`, `torsions` (rad) of the spanning tree, from `to_internal`     |
| t0       | `twist`: circular mean of each torsion                                                 |
| f        | (raw - `centre`) / `scale`, where raw is b, a, t - t0 of narrow torsions, sin t and    |
|          | cos t of wide ones                                                                     |
| F        | `wells`: cumulative distribution of a torsion with wells; t -> 2 pi F(t) - pi          |
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from smdgen.geometry.frames import bond_lengths, wrap
from smdgen.geometry.internal import InternalTree, to_cartesian, to_internal
from smdgen.method.components import Blocks, mean_and_deviation
from smdgen.method.features.rotors import count, distribution, gathered, spread
from smdgen.method.presets import DEFAULT, InternalNumbers


class InternalFeatures(nn.Module):
    """Maps frames to standardised lengths, angles and torsions, and back.

    Invariant to rotation and translation, and tells a mirror image apart. Narrow torsions (omega,
    impropers, side-chain planes) are one number each, wide ones (phi, psi, chi) a sine and a cosine;
    those that turn or invert a group of end atoms (methyl, amine) after their wells have been spread over the
    circle.
    Rigid bonds are none: they get their length back.
    """

    representation = "internal"

    centre: Tensor  # (n_features,) mean of each raw feature
    scale: Tensor  # (n_features,) standard deviation of each raw feature
    twist: Tensor  # (n_torsions,) rad, circular mean of each torsion
    wide: Tensor  # (n_torsions,) bool
    wells: Tensor  # (n_rotors, n_bins + 1) distributions; only if there are rotors
    rigid: Tensor  # (n_rigid,) rows of the rigid bonds among the tree's; only if there are any
    rigid_length: Tensor  # (n_rigid,), A

    def __init__(
        self,
        tree: InternalTree,
        wide: Tensor,
        rigid: Tensor | None = None,
        numbers: InternalNumbers = DEFAULT.internal,
    ) -> None:
        super().__init__()
        self.tree, self.numbers = tree, numbers
        free = torch.ones(tree.n_atoms - 1, dtype=torch.bool)
        self.has_rigid = rigid is not None and len(rigid) > 0
        if rigid is not None and self.has_rigid:
            free[rigid.cpu()] = False
            self.register_buffer("rigid", rigid)
            self.register_buffer("rigid_length", torch.ones(len(rigid)))
        self.free: list[int] = free.nonzero()[:, 0].tolist()  # among the tree's bonds
        self.n_lengths, self.n_angles, n_torsions = len(self.free), tree.n_atoms - 2, tree.n_atoms - 3
        n_wide = int(wide.sum())
        self.n_narrow, self.n_wide = n_torsions - n_wide, n_wide
        self.n_features = self.n_lengths + self.n_angles + n_torsions + n_wide
        self.register_buffer("centre", torch.zeros(self.n_features))
        self.register_buffer("scale", torch.ones(self.n_features))
        self.register_buffer("twist", torch.zeros(n_torsions))
        self.register_buffer("wide", wide.bool())
        rotors = torch.from_numpy(tree.rotors)[wide.bool().cpu()]
        self.rotors: list[int] = rotors.nonzero()[:, 0].tolist()  # among the wide torsions
        if self.rotors:
            even = torch.linspace(0, 1, numbers.n_bins + 1).expand(len(self.rotors), -1)
            self.register_buffer("wells", even.clone())

    @classmethod
    def fit(
        cls, blocks: Blocks, tree: InternalTree, numbers: InternalNumbers = DEFAULT.internal
    ) -> "InternalFeatures":
        """Features standardised on training frames.

        Args:
            blocks: (n, n_atoms, 3), A. All training frames.
            tree: Spanning tree of the atoms.
            numbers: When a torsion is wide or soft and a bond rigid.
        """
        sine, cosine = (torch.zeros(tree.n_atoms - 3, dtype=torch.float64) for _ in range(2))
        for x in blocks():
            torsions = to_internal(x, tree)[2].double().cpu()
            sine, cosine = sine + torsions.sin().sum(0), cosine + torsions.cos().sum(0)
        twist = torch.atan2(sine, cosine)
        length, deviation = mean_and_deviation(lambda: (bond_lengths(x, tree.bonds) for x in blocks()))
        rigid = (deviation < numbers.rigid_deviation).nonzero()[:, 0]
        wide = torch.zeros(len(twist), dtype=torch.bool)
        for x in blocks():
            wide |= (wrap(to_internal(x, tree)[2].cpu() - twist).abs() > numbers.narrow_arc).any(0)
        straight = torch.hypot(sine, cosine) / sum(len(x) for x in blocks())
        wide |= torch.from_numpy(tree.rotors) & (straight < math.exp(-(numbers.wells_deviation**2) / 2))
        features = cls(tree, wide, rigid, numbers).to(x)
        features.twist.copy_(twist)
        if features.has_rigid:
            features.rigid_length.copy_(length[rigid])
        if features.rotors:
            rotors = wide.nonzero()[features.rotors, 0]
            counts = sum(count(to_internal(x, tree)[2].cpu()[:, rotors], numbers.n_bins) for x in blocks())
            features.wells.copy_(distribution(torch.as_tensor(counts), numbers.even_share))
        mean, scale = mean_and_deviation(lambda: (features._raw(*to_internal(x, tree)) for x in blocks()))
        features.centre.copy_(mean)
        sines, cosines = features._wide_columns()
        both = ((scale[sines].square() + scale[cosines].square()) / 2).sqrt()
        scale[sines], scale[cosines] = both, both
        features.scale.copy_(scale.clamp_min(numbers.least_deviation))
        return features

    def encode(self, x: Tensor) -> Tensor:
        """(..., n_atoms, 3), A -> (..., n_features), standardised."""
        return (self._raw(*to_internal(x, self.tree)) - self.centre) / self.scale

    def decode(self, f: Tensor) -> Tensor:
        """(..., n_features), standardised -> (..., n_atoms, 3), A, in a frame of their own."""
        raw = f * self.scale + self.centre
        lengths, angles, narrow, sine, cosine = raw.split(
            [self.n_lengths, self.n_angles, self.n_narrow, self.n_wide, self.n_wide], dim=-1
        )
        if self.has_rigid:
            all_lengths = raw.new_empty(*raw.shape[:-1], self.tree.n_atoms - 1)
            all_lengths[..., self.free], all_lengths[..., self.rigid] = lengths, self.rigid_length.to(raw)
            lengths = all_lengths
        torsions = torch.empty(*raw.shape[:-1], len(self.twist), dtype=raw.dtype, device=raw.device)
        torsions[..., ~self.wide] = narrow + self.twist[~self.wide]
        torsions[..., self.wide] = self._turn(torch.atan2(sine, cosine), gathered)
        return to_cartesian(lengths, angles, torsions, self.tree)

    def noisy(self, noise: Tensor) -> Tensor:
        """The noise (..., n_features) that decoding bears: all of it."""
        return noise

    def placed_atoms(self) -> NDArray[np.int64]:
        """(n_features,). The atom that each feature helps to place."""
        torsion, wide = self.tree.torsions[:, 3], self.wide.cpu().numpy()
        turning = torsion[wide]
        return np.concatenate(
            [self.tree.bonds[self.free, 1], self.tree.angles[:, 2], torsion[~wide], turning, turning]
        )

    def quantities(self) -> NDArray[np.int64]:
        """(n_features,). 0 length, 1 angle, 2 narrow torsion, 3 and 4 sine and cosine of a wide one."""
        counts = [self.n_lengths, self.n_angles, self.n_narrow, self.n_wide, self.n_wide]
        return np.repeat(np.arange(5), counts)

    def is_soft(self) -> NDArray[np.bool_]:
        """(n_features,). Which features are of torsions that turn, and so tell the conformation."""
        quantity = self.quantities()
        turns = (quantity == 2) & (self.scale.cpu().numpy() > self.numbers.soft_deviation)
        soft: NDArray[np.bool_] = turns | (quantity >= 3)
        return soft

    def _raw(self, lengths: Tensor, angles: Tensor, torsions: Tensor) -> Tensor:
        narrow = wrap(torsions[..., ~self.wide] - self.twist[~self.wide])
        wide = self._turn(torsions[..., self.wide], spread)
        return torch.cat([lengths[..., self.free], angles, narrow, wide.sin(), wide.cos()], -1)

    def _turn(self, wide: Tensor, turn: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Wide torsions (..., n_wide) with those of end atoms replaced."""
        if not self.rotors:
            return wide
        index = torch.tensor(self.rotors, device=wide.device)
        return wide.index_copy(-1, index, turn(wide[..., index], self.wells))

    def _wide_columns(self) -> tuple[slice, slice]:
        first = self.n_lengths + self.n_angles + self.n_narrow
        return slice(first, first + self.n_wide), slice(first + self.n_wide, first + 2 * self.n_wide)
