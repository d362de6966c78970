"""Local geometry, residue by residue: what a network with shared weights reads and writes.

| symbol     | here                                                                                   |
|------------|----------------------------------------------------------------------------------------|
| q          | bond lengths (A), angles and torsions (rad) along the spanning tree                    |
| kind       | the quantity and the names of the atom it places and of that atom's parent             |
| f          | (n_residues, n_columns): q by residue and kind, standardised over all residues of a    |
|            | kind; a wide torsion has two columns, sine and cosine                                  |
"""

import numpy as np
import torch
from torch import Tensor, nn

from smdgen.geometry.atoms import Molecule, residue_numbers
from smdgen.geometry.frames import wrap
from smdgen.geometry.internal import InternalTree, to_cartesian, to_internal
from smdgen.method.components import Blocks
from smdgen.method.presets import InternalNumbers


class LocalGeometry(nn.Module):
    """Maps internal coordinates to a table of residues and kinds, and back.

    Scales belong to kinds, not to residues: what few frames never show of one residue others do show.
    """

    place: Tensor  # (n_q,) place of each quantity in the flat table
    cosine_place: Tensor  # (n_wide,) place of each wide torsion's cosine
    wide: Tensor  # (n_torsions,) bool
    twist: Tensor  # (n_torsions,) rad, circular mean of its kind
    centre: Tensor  # (n_columns,) mean
    scale: Tensor  # (n_columns,) standard deviation

    def __init__(self, tree: InternalTree, n_residues: int, n_columns: int, wide: Tensor) -> None:
        super().__init__()
        self.tree, self.n_residues, self.n_columns = tree, n_residues, n_columns
        self.sizes = [len(tree.bonds), len(tree.angles), len(tree.torsions)]
        self.register_buffer("place", torch.zeros(sum(self.sizes), dtype=torch.long))
        self.register_buffer("cosine_place", torch.zeros(int(wide.sum()), dtype=torch.long))
        self.register_buffer("wide", wide.bool())
        self.register_buffer("twist", torch.zeros(self.sizes[2]))
        self.register_buffer("centre", torch.zeros(n_columns))
        self.register_buffer("scale", torch.ones(n_columns))

    @classmethod
    def fit(
        cls, blocks: Blocks, tree: InternalTree, structure: Molecule, numbers: InternalNumbers
    ) -> "LocalGeometry":
        """Features standardised on training frames (n, n_atoms, 3), A, over all residues of a kind."""
        names, residues = structure.names.tolist(), residue_numbers(structure)
        placed = np.concatenate([tree.bonds[:, 1], tree.angles[:, 2], tree.torsions[:, 3]])
        n_each = (len(tree.bonds), len(tree.angles), len(tree.torsions))
        quantity = np.repeat(np.arange(3), n_each).tolist()
        labels = [
            (q, names[atom], names[tree.parent[atom]])
            for q, atom in zip(quantity, placed.tolist(), strict=True)
        ]
        number = {label: i for i, label in enumerate(sorted(set(labels)))}
        kind = torch.tensor([number[label] for label in labels])
        turning = kind[n_each[0] + n_each[1] :]
        twist, wide = _circular(blocks, tree, turning, len(number), numbers.narrow_arc)
        first = torch.cumsum(1 + wide.long(), 0) - (1 + wide.long())  # first column of each kind
        features = cls(tree, int(residues.max()) + 1, len(number) + int(wide.sum()), wide[turning])
        row = torch.from_numpy(residues[placed]) * features.n_columns
        features.place.copy_(row + first[kind])
        is_wide = torch.cat([torch.zeros(n_each[0] + n_each[1], dtype=torch.bool), wide[turning]])
        features.cosine_place.copy_((row + first[kind] + 1)[is_wide])
        features.twist.copy_(twist[turning])
        mask, count = features.present(), sum(len(x) for x in blocks())
        n = count * mask.sum(0)
        sums = sum(features.raw(x).double().cpu().sum((0, 1)) for x in blocks())
        mean = torch.as_tensor(sums) / n
        squares = sum(((features.raw(x).double().cpu() - mean) * mask).square().sum((0, 1)) for x in blocks())
        scale = (torch.as_tensor(squares) / n).sqrt()
        sines = first[wide]
        both = ((scale[sines].square() + scale[sines + 1].square()) / 2).sqrt()
        scale[sines], scale[sines + 1] = both, both
        features.centre.copy_(mean)
        features.scale.copy_(scale.clamp_min(numbers.least_deviation))
        return features

    def present(self) -> Tensor:
        """(n_residues, n_columns), bool. What each residue has."""
        mask = torch.zeros(self.n_residues * self.n_columns, dtype=torch.bool, device=self.place.device)
        mask[self.place], mask[self.cosine_place] = True, True
        return mask.view(self.n_residues, self.n_columns)

    def raw(self, x: Tensor) -> Tensor:
        """(n, n_atoms, 3), A -> (n, n_residues, n_columns) before standardising; 0 where absent."""
        lengths, angles, torsions = to_internal(x, self.tree)
        off = wrap(torsions - self.twist)
        one = torch.where(self.wide, off.sin(), off)
        table = x.new_zeros(len(x), self.n_residues * self.n_columns)
        table[:, self.place] = torch.cat([lengths, angles, one], -1)
        table[:, self.cosine_place] = off[:, self.wide].cos()
        return table.view(-1, self.n_residues, self.n_columns)

    def encode(self, x: Tensor) -> Tensor:
        """(n, n_atoms, 3), A -> (n, n_residues, n_columns), standardised; 0 where absent."""
        return (self.raw(x) - self.centre) / self.scale * self.present()

    def internal(self, f: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, n_residues, n_columns) -> lengths (A), angles and torsions (rad) of the tree, (n, ...) each."""
        raw = (f * self.scale + self.centre).flatten(1)
        lengths, angles, torsions = raw[:, self.place].split(self.sizes, -1)
        torsions = torsions.clone()
        torsions[:, self.wide] = torch.atan2(torsions[:, self.wide], raw[:, self.cosine_place])
        return lengths, angles, wrap(torsions + self.twist)

    def decode(self, f: Tensor) -> Tensor:
        """(n, n_residues, n_columns) -> (n, n_atoms, 3), A, in a frame of their own."""
        return to_cartesian(*self.internal(f), self.tree)


def _circular(
    blocks: Blocks, tree: InternalTree, kind: Tensor, n_kinds: int, narrow_arc: float
) -> tuple[Tensor, Tensor]:
    """Circular mean of the torsions of each kind, (n_kinds,), rad, and which kinds leave the arc about it."""
    sine, cosine = torch.zeros(2, n_kinds, dtype=torch.float64)
    for x in blocks():
        torsions = to_internal(x, tree)[2].double().cpu()
        sine.index_add_(0, kind, torsions.sin().sum(0))
        cosine.index_add_(0, kind, torsions.cos().sum(0))
    mean, wide = torch.atan2(sine, cosine), torch.zeros(n_kinds, dtype=torch.bool)
    for x in blocks():
        off = wrap(to_internal(x, tree)[2].double().cpu() - mean[kind]).abs().amax(0)
        wide[kind[off > narrow_arc]] = True
    return mean, wide
