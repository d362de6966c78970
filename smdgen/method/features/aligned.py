"""Frames as aligned coordinates and distances between near atoms: features of large folded proteins.

| symbol   | here                                                                                   |
|----------|----------------------------------------------------------------------------------------|
| x        | frames, A; superposed on `mean`, the mean of training frames                           |
| d(ij)    | |x(i) - x(j)| of `pairs`, with `length` and `length_spread`: mean and deviation        |
| f        | (x - `mean`) / `spread` and (d - `length`) / `length_spread`                           |
| push(ij) | (d wanted / d - 1) (x(i) - x(j)) / 2; a sweep moves each atom by the mean of its pairs |
| w(k)     | `momentum` of sweep k: 1, then 2 / (2 - r^2), then 4 / (4 - w(k - 1) r^2)              |
| r        | `radius`                                                                               |
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from smdgen.geometry.bonds import bonds_apart
from smdgen.geometry.frames import bond_lengths, superpose
from smdgen.method.components import Blocks, mean_and_deviation
from smdgen.method.presets import DEFAULT, AlignedNumbers


class AlignedFeatures(nn.Module):
    """Maps frames to standardised coordinates and near distances, and back.

    In internal coordinates a small error of a torsion turns all that follows, and a folded protein of some
    hundred residues comes back unfolded. Here each atom has its place in the frame laid onto the mean, so
    that errors stay there; then atoms move until bonds, angles and stiff torsions have their lengths.
    Invariant to rotation and translation, and tells a mirror image apart.

    Source: M. Mueller et al., J. Vis. Commun. Image Represent. 18, 109 (2007), for the sweeps over distances;
    H. Wang, ACM Trans. Graph. 34, 246 (2015), for their Chebyshev acceleration.
    """

    representation = "aligned"
    tree = None

    mean: Tensor  # (n_atoms, 3), A. Mean of the training frames laid onto it
    spread: Tensor  # (), A. Standard deviation of the coordinates, one for all
    pairs: Tensor  # (n_pairs, 2) near atoms
    length: Tensor  # (n_pairs,), A. Mean of each distance
    length_spread: Tensor  # (n_pairs,), A. Its standard deviation, over `distance_share`
    is_bond: Tensor  # (n_pairs,) whether a bond is between them
    branches: Tensor  # (n_branches,) atoms with three or more neighbours

    def __init__(
        self, n_atoms: int, n_pairs: int, n_branches: int, numbers: AlignedNumbers = DEFAULT.aligned
    ) -> None:
        super().__init__()
        self.n_atoms, self.numbers = n_atoms, numbers
        self.n_features = 3 * n_atoms + n_pairs
        self.register_buffer("mean", torch.zeros(n_atoms, 3))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("pairs", torch.zeros(n_pairs, 2, dtype=torch.long))
        self.register_buffer("length", torch.ones(n_pairs))
        self.register_buffer("length_spread", torch.ones(n_pairs))
        self.register_buffer("is_bond", torch.zeros(n_pairs, dtype=torch.bool))
        self.register_buffer("branches", torch.zeros(n_branches, dtype=torch.long))

    @classmethod
    def fit(
        cls,
        blocks: Blocks,
        n_atoms: int,
        bonds: NDArray[np.int64],
        numbers: AlignedNumbers = DEFAULT.aligned,
    ) -> "AlignedFeatures":
        """Features standardised on training frames.

        Args:
            blocks: (n, n_atoms, 3), A. All training frames.
            n_atoms: Number of atoms.
            bonds: (n_bonds, 2), 0-based.
            numbers: Which distances are kept, and how atoms are moved to them.
        """
        near, apart = bonds_apart(n_atoms, bonds, most=numbers.most_bonds)
        first = next(iter(blocks()))
        length, deviation = mean_and_deviation(lambda: (bond_lengths(x, near) for x in blocks()))
        kept = torch.from_numpy(apart < numbers.most_bonds) | (deviation < numbers.stiff_deviation)
        degree = np.bincount(np.asarray(bonds).ravel(), minlength=n_atoms)
        branches = np.flatnonzero(degree >= 3) if (degree >= 3).any() else np.arange(n_atoms)
        features = cls(n_atoms, int(kept.sum()), len(branches), numbers).to(first)
        features.pairs.copy_(torch.from_numpy(near)[kept])
        features.length.copy_(length[kept])
        features.length_spread.copy_(
            deviation[kept].clamp_min(numbers.least_deviation) / numbers.distance_share
        )
        features.is_bond.copy_(torch.from_numpy(apart == 1)[kept])
        features.branches.copy_(torch.from_numpy(branches))
        count = sum(len(x) for x in blocks())
        mean = first[0] - first[0].mean(0)
        for _ in range(numbers.n_rounds):
            laid = sum(superpose(x, mean).sum(0) for x in blocks())
            mean = torch.as_tensor(laid) / count
            mean = mean - mean.mean(0)
        features.mean.copy_(mean)
        squared = sum(float((superpose(x, mean) - mean).square().sum()) for x in blocks())
        features.spread.copy_(torch.tensor((squared / (3 * n_atoms * count)) ** 0.5))
        return features

    def encode(self, x: Tensor) -> Tensor:
        """(..., n_atoms, 3), A -> (..., n_features), standardised."""
        flat = x.reshape(-1, self.n_atoms, 3)
        moved = (superpose(flat, self.mean) - self.mean) / self.spread
        lengths = (bond_lengths(flat, self.pairs) - self.length) / self.length_spread
        return torch.cat([moved.flatten(-2), lengths], -1).view(*x.shape[:-2], self.n_features)

    def decode(self, f: Tensor) -> Tensor:
        """(..., n_features), standardised -> (..., n_atoms, 3), A, on the mean frame."""
        moved, lengths = f.split([3 * self.n_atoms, len(self.pairs)], -1)
        x = self.mean + self.spread * moved.unflatten(-1, (self.n_atoms, 3))
        return self._at_lengths(
            x, (self.length + self.length_spread * lengths).clamp_min(self.numbers.shortest)
        )

    def noisy(self, noise: Tensor) -> Tensor:
        """The noise (..., n_features) that decoding bears: that of bonds, whose lengths know of no other.

        Noise of coordinates would break distances, and distances over two or three bonds belong together.
        """
        coordinates, distances = noise.split([3 * self.n_atoms, len(self.pairs)], -1)
        return torch.cat([torch.zeros_like(coordinates), distances * self.is_bond], -1)

    def placed_atoms(self) -> NDArray[np.int64]:
        """(n_features,). The atom that each feature helps to place."""
        coordinates = np.repeat(np.arange(self.n_atoms), 3)
        return np.concatenate([coordinates, self.pairs[:, 1].cpu().numpy()])

    def quantities(self) -> NDArray[np.int64]:
        """(n_features,). 0 to 2 the coordinates, from 3 on the distances that place the same atom."""
        seen, quantities = [0] * self.n_atoms, [0, 1, 2] * self.n_atoms
        for atom in self.pairs[:, 1].tolist():
            quantities.append(3 + seen[atom])
            seen[atom] += 1
        return np.array(quantities, dtype=np.int64)

    def is_soft(self) -> NDArray[np.bool_]:
        """(n_features,). Which features tell the conformation: the coordinates of branching atoms."""
        soft = np.isin(self.placed_atoms(), self.branches.cpu().numpy())
        soft[3 * self.n_atoms :] = False
        return soft

    def _sweeps(self) -> tuple[int, float]:
        """How many sweeps, and the share that a plain one is taken to leave."""
        own = self.numbers
        return (own.training_sweeps, own.training_radius) if self.training else (own.sweeps, own.radius)

    def _at_lengths(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Atoms moved towards given distances: in each sweep by the mean of what its pairs ask, and on."""
        i, j = self.pairs.T
        ends = torch.bincount(self.pairs.flatten(), minlength=self.n_atoms).clamp_min(1).to(x)[:, None]
        n_sweeps, radius = self._sweeps()
        before, momentum = x, 1.0
        for sweep in range(n_sweeps):
            apart = x[..., i, :] - x[..., j, :]
            now = apart.norm(dim=-1, keepdim=True).clamp_min(self.numbers.least_distance)
            push = 0.5 * (lengths[..., None] / now - 1) * apart
            step = torch.zeros_like(x).index_add(-2, i, push).index_add(-2, j, -push)
            momentum = 4 / (4 - (2 if sweep == 1 else momentum) * radius**2) if sweep else 1.0
            before, x = x, before + momentum * (x + step / ends - before)
        return x
