"""Frames as standardised internal coordinates: what the default networks read and write."""

import torch
from torch import Tensor, nn

from smdgen.physics.geometry import wrap
from smdgen.physics.internal import InternalTree, to_cartesian, to_internal

#: A torsion whose training values leave this arc around their circular mean is kept as sine and cosine.
NARROW_ARC = 2.0  # rad

#: Floors of the standard deviations: a bond held rigid, an angle that never moves.
LEAST_DEVIATION = 1e-3


class InternalFeatures(nn.Module):
    """Maps frames to standardised lengths, angles and torsions, and back.

    Invariant to rotation and translation, and tells a mirror image apart. Narrow torsions (omega,
    impropers, side-chain planes) are one number each, wide ones (phi, psi, chi) a sine and a cosine.
    """

    centre: Tensor  # (n_features,) mean of each raw feature
    scale: Tensor  # (n_features,) standard deviation of each raw feature
    twist: Tensor  # (n_torsions,) rad, circular mean of each torsion
    wide: Tensor  # (n_torsions,) bool

    def __init__(self, tree: InternalTree, wide: Tensor) -> None:
        super().__init__()
        self.tree = tree
        self.n_lengths, self.n_angles, n_torsions = tree.n_atoms - 1, tree.n_atoms - 2, tree.n_atoms - 3
        n_wide = int(wide.sum())
        self.n_narrow, self.n_wide = n_torsions - n_wide, n_wide
        self.n_features = self.n_lengths + self.n_angles + n_torsions + n_wide
        self.register_buffer("centre", torch.zeros(self.n_features))
        self.register_buffer("scale", torch.ones(self.n_features))
        self.register_buffer("twist", torch.zeros(n_torsions))
        self.register_buffer("wide", wide.bool())

    @classmethod
    def fit(cls, x: Tensor, tree: InternalTree) -> "InternalFeatures":
        """Features standardised on training frames.

        Args:
            x: (n_frames, n_atoms, 3), A. Training frames.
            tree: Spanning tree of the atoms.
        """
        lengths, angles, torsions = to_internal(x, tree)
        twist = torch.atan2(torsions.sin().mean(0), torsions.cos().mean(0))
        wide = (wrap(torsions - twist).abs() > NARROW_ARC).any(0)
        features = cls(tree, wide).to(x)
        features.twist.copy_(twist)
        raw = features._raw(lengths, angles, torsions)
        features.centre.copy_(raw.mean(0))
        scale = raw.std(0, correction=0)
        sine, cosine = features._wide_columns()
        both = ((scale[sine].square() + scale[cosine].square()) / 2).sqrt()
        scale[sine], scale[cosine] = both, both
        features.scale.copy_(scale.clamp_min(LEAST_DEVIATION))
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
        torsions = torch.empty(*raw.shape[:-1], len(self.twist), dtype=raw.dtype, device=raw.device)
        torsions[..., ~self.wide] = narrow + self.twist[~self.wide]
        torsions[..., self.wide] = torch.atan2(sine, cosine)
        return to_cartesian(lengths, angles, torsions, self.tree)

    def is_torsion(self) -> Tensor:
        """(n_features,) bool. Which features are torsions."""
        index = torch.arange(self.n_features, device=self.centre.device)
        return index >= self.n_lengths + self.n_angles

    def _raw(self, lengths: Tensor, angles: Tensor, torsions: Tensor) -> Tensor:
        narrow = wrap(torsions[..., ~self.wide] - self.twist[~self.wide])
        wide = torsions[..., self.wide]
        return torch.cat([lengths, angles, narrow, wide.sin(), wide.cos()], -1)

    def _wide_columns(self) -> tuple[slice, slice]:
        first = self.n_lengths + self.n_angles + self.n_narrow
        return slice(first, first + self.n_wide), slice(first + self.n_wide, first + 2 * self.n_wide)
