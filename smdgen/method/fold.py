"""The autoencoder of folded chains: a map of CA distances is the latent, local geometry is drawn for it.

| symbol   | here                                                                                   |
|----------|----------------------------------------------------------------------------------------|
| d, D     | distances of CA pairs: all that are near along the chain, and some far ones            |
| m        | map: log(1 + d / scale) / share, so that far distances may be off by more              |
| z        | latent: whitened principal components of m                                             |
| f        | `LocalGeometry`: lengths, angles and torsions, residue by residue                      |
| v        | `velocity`: a flow from noise to f given D, with weights shared by all residues        |
| x        | frame: f rebuilt, its torsions turned until D is met, `fit_torsions`                   |

Linear mixtures of frames are no frames once a chain unfolds, but mixtures of distance maps are maps. What is
learned of local geometry at one residue serves all, so that one pull of 100 frames gives 100 examples a
residue. Nothing has the size of the number of frames.

Source: Y. Lipman et al., arXiv:2210.02747 (flow matching).
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from smdgen.geometry.atoms import Molecule, residue_numbers
from smdgen.geometry.backbone import find_backbone
from smdgen.geometry.bonds import bonds_apart
from smdgen.geometry.cvs import CollectiveVariable, difference, evaluate
from smdgen.geometry.frames import bond_lengths
from smdgen.geometry.internal import InternalTree, spanning_tree
from smdgen.geometry.validity import clash_limits
from smdgen.method.components import Blocks, mean_and_deviation, principal_components
from smdgen.method.dynamics import normal_velocity
from smdgen.method.features.local import LocalGeometry
from smdgen.method.model import Autoencoder, Physics, TrainingFrames
from smdgen.method.presets import TERM_NAMES, FoldNumbers, InternalNumbers, SamplingNumbers
from smdgen.method.torsion_fit import Wanted, fit_torsions, turns_of
from smdgen.method.transformer import ResidueLayer


def has_fold(structure: Molecule, numbers: FoldNumbers) -> bool:
    """Whether the atoms are one chain of residues, each with its CA and without a ring, long enough to fold.

    A tree of bonds does not close rings: local geometry drawn along it breaks those of side chains.
    """
    backbone = find_backbone(structure)
    one_each = backbone.n_residues == int(residue_numbers(structure).max()) + 1
    whole = bool((backbone.atoms["CA"][1:] > backbone.atoms["CA"][:-1]).all()) and bool(backbone.linked.all())
    linked = {tuple(sorted(bond)) for bond in structure.bonds.tolist()}
    bonded = all(
        (min(c, n), max(c, n)) in linked
        for c, n in zip(backbone.atoms["C"][:-1].tolist(), backbone.atoms["N"][1:].tolist(), strict=True)
    )
    open_chain = len(linked) == len(structure.names) - 1
    return one_each and whole and bonded and open_chain and backbone.n_residues >= numbers.least_residues


class FoldVae(Autoencoder):
    """Frames as a map of CA distances; a flow over residues and a fit of torsions bring the atoms back."""

    representation = "fold"
    meets_cv = True

    pairs: Tensor  # (n_pairs, 2) atoms of the map, near pairs first
    apart: Tensor  # (n_pairs,) residues between them along the chain
    map_mean: Tensor  # (n_pairs,)
    map_axes: Tensor  # (n_pairs, latent_size) principal components ...
    map_std: Tensor  # (latent_size,) ... and their standard deviations
    residue_type: Tensor  # (n_residues,) equal for residues of one name
    turning: Tensor  # (n_turns,) torsions of the tree that the fit may turn
    hydrogen: Tensor  # (n_atoms,) bool
    near: Tensor  # (n_near, 2) atoms at most three bonds apart: they do not clash
    gap_mean: Tensor  # (n_gaps,) A, mean distance of CA so many residues apart
    frequencies: Tensor  # (n_frequencies,)
    noise_scale: Tensor  # () of the noise that local geometry is drawn from

    def __init__(
        self,
        local: LocalGeometry,
        sizes: Mapping[str, int],
        numbers: FoldNumbers,
        sampling: SamplingNumbers,
    ) -> None:
        super().__init__()
        self.local, self.numbers, self.sampling = local, numbers, sampling
        self.own_fit, self.batches_per_epoch = numbers.fit, numbers.batches_per_epoch
        self.latent_size, self.hidden_size = sizes["latent_size"], numbers.transformer.width
        self.noise_size = local.n_residues * local.n_columns
        for name, shape in _buffers(sizes, local, numbers).items():
            self.register_buffer(name, torch.zeros(shape, dtype=_DTYPES.get(name, torch.get_default_dtype())))
        width, own = numbers.transformer.width, numbers.transformer
        n_told = _TOLD * len(numbers.gaps)
        self.input_proj = nn.Linear(local.n_columns + n_told + 2 * numbers.n_frequencies, width)
        self.residue_types = nn.Embedding(sizes["n_types"], width)
        nn.init.normal_(self.residue_types.weight, std=numbers.first_std)
        self.layers = nn.ModuleList(ResidueLayer(own) for _ in range(own.n_layers))
        self.norm, self.output_proj = nn.LayerNorm(width), nn.Linear(width, local.n_columns)
        nn.init.zeros_(self.output_proj.weight)
        nn.init.zeros_(self.output_proj.bias)
        row = torch.arange(local.n_residues)
        offset = (row[:, None] - row).clamp(-own.most_apart, own.most_apart) + own.most_apart
        self.register_buffer("offset", offset, persistent=False)
        self.noise_scale.fill_(1.0)
        self.frequencies.copy_(torch.pi * torch.arange(1, numbers.n_frequencies + 1) / 2)

    @classmethod
    def fit(
        cls,
        frames: TrainingFrames,
        latent_size: int,
        numbers: FoldNumbers,
        internal: InternalNumbers,
        sampling: SamplingNumbers,
    ) -> "FoldVae":
        """An autoencoder whose map and scales are those of training frames; its flow is untrained."""
        structure = frames.structure
        tree = spanning_tree(len(structure.names), structure.bonds)
        local = LocalGeometry.fit(frames.training, tree, structure, internal)
        ca = find_backbone(structure).atoms["CA"]
        pairs, apart = _map_pairs(ca, numbers)
        types = sorted(set(structure.residue_names[ca].tolist()))
        turning = _turning(tree, structure, local)
        near, _ = bonds_apart(len(structure.names), structure.bonds, most=3)
        size = max(1, min(latent_size or numbers.latent_size, len(pairs), frames.n_training - 1))
        sizes = {
            "latent_size": size, "n_pairs": len(pairs), "n_types": len(types), "n_turns": len(turning),
            "n_near": len(near), "n_atoms": len(structure.names),
        }  # fmt: skip
        vae = cls(local, sizes, numbers, sampling)
        vae.pairs.copy_(torch.from_numpy(pairs))
        vae.apart.copy_(torch.from_numpy(apart))
        vae.turning.copy_(torch.from_numpy(turning))
        vae.near.copy_(torch.from_numpy(near))
        limits = clash_limits(structure, heavy=2.0, hydrogen=1.0)
        vae.hydrogen.copy_(torch.as_tensor((limits.max(1).values == 1.0).numpy()))
        vae.residue_type.copy_(torch.tensor([types.index(name) for name in structure.residue_names[ca]]))
        vae._fit_map(frames)
        return vae.to(frames.dtype)

    @classmethod
    def empty(
        cls,
        weights: Mapping[str, Tensor],
        tree: InternalTree,
        numbers: FoldNumbers,
        sampling: SamplingNumbers,
    ) -> "FoldVae":
        """An autoencoder of the sizes of some weights, by name."""
        n_columns, wide = len(weights["local.centre"]), weights["local.wide"]
        local = LocalGeometry(tree, len(weights["residue_type"]), n_columns, wide)
        sizes = {
            "latent_size": len(weights["map_std"]), "n_pairs": len(weights["pairs"]),
            "n_types": len(weights["residue_types.weight"]), "n_turns": len(weights["turning"]),
            "n_near": len(weights["near"]), "n_atoms": len(weights["hydrogen"]),
        }  # fmt: skip
        return cls(local, sizes, numbers, sampling)

    @torch.no_grad()
    def _fit_map(self, frames: TrainingFrames) -> None:
        def maps() -> Iterator[Tensor]:
            return (self._map(bond_lengths(x.float(), self.pairs)) for x in frames.training())

        mean, _ = mean_and_deviation(maps)
        variance, axes = principal_components(maps, len(self.pairs), self.latent_size)
        self.map_mean.copy_(mean)
        self.map_axes.copy_(axes)
        self.map_std.copy_(variance.clamp_min(self.numbers.least_std**2).sqrt())
        distances = self._distances(mean[None].float())[0]
        for k, gap in enumerate(self.numbers.gaps):
            self.gap_mean[k] = distances[self.apart == gap].mean()

    @property
    def tree(self) -> InternalTree:
        """Spanning tree of the atoms."""
        return self.local.tree

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(..., n_atoms, 3), A -> mean and log variance of the latent, (..., latent_size) each."""
        found = self._map(bond_lengths(x, self.pairs)) - self.map_mean
        mean = (found @ self.map_axes) / self.map_std
        return mean, torch.full_like(mean, 2 * np.log(self.numbers.map_noise)) - 2 * self.map_std.log()

    @torch.no_grad()
    def decode(
        self,
        z: Tensor,
        noise: Tensor | None = None,
        cv: CollectiveVariable | None = None,
        target_cv: Tensor | None = None,
    ) -> Tensor:
        """Frames of latents.

        Args:
            z: (..., latent_size).
            noise: (..., noise_size). Standard normal numbers, from which local geometry is drawn; None for
                zeros.
            cv: Of which frames are to meet a target.
            target_cv: (n,), in its unit, for latents (n, latent_size).

        Returns:
            (..., n_atoms, 3), A, in a frame of their own.
        """
        flat = z.reshape(-1, self.latent_size)
        noise = z.new_zeros(len(flat), self.noise_size) if noise is None else noise.reshape(len(flat), -1)
        turns, limits = turns_of(self.tree, self.turning.cpu().numpy()), self._limits()
        parts = []
        for rows in torch.arange(len(flat)).split(self.numbers.rows_at_once):
            distances = self._distances(flat[rows] * self.map_std @ self.map_axes.T + self.map_mean)
            deviations = self.numbers.distance_share * (self.numbers.distance_scale + distances)
            error = None
            if cv is not None and target_cv is not None:
                aims = target_cv[rows]
                error = lambda x, aims=aims: difference(cv, evaluate(cv, x), aims)  # noqa: E731
            wanted = Wanted(self.pairs, self.apart, distances, deviations, limits, error)
            f = self._sample(self._told(distances), noise[rows].view(-1, *self.local.present().shape))
            internal = self.local.internal(f)
            parts.append(fit_torsions(*internal, self.tree, turns, wanted, self.numbers.torsion_fit))
        frames = torch.cat(parts) if parts else z.new_zeros(0, self.tree.n_atoms, 3)
        return frames.view(*z.shape[:-1], self.tree.n_atoms, 3)

    def velocity(self, u: Tensor, s: Tensor, told: Tensor) -> Tensor:
        """Velocity of the flow of local geometry.

        Args:
            u: (n, n_residues, n_columns).
            s: (n,). Flow time from 0 to 1.
            told: (n, n_residues, n_told). Of the map.
        """
        phase = (s[:, None] * self.frequencies)[:, None].expand(-1, u.shape[1], -1)
        x = self.input_proj(torch.cat([u, told, phase.sin(), phase.cos()], -1))
        x = x + self.residue_types(self.residue_type)
        for layer in self.layers:
            x = layer(x, self.offset)
        learned = self.output_proj(self.norm(x))
        found: Tensor = (learned + normal_velocity(s)[:, None, None] * u) * self.local.present()
        return found

    def _sample(self, told: Tensor, noise: Tensor) -> Tensor:
        """Local geometry (n, n_residues, n_columns) by Heun's method."""
        u, n = self.noise_scale * noise * self.local.present(), self.numbers.n_ode_steps
        for i in range(n):
            s = torch.full((len(u),), i / n, dtype=u.dtype, device=u.device)
            first = self.velocity(u, s, told)
            u = u + (first + self.velocity(u + first / n, s + 1 / n, told)) / (2 * n)
        return u

    def loss_terms(self, x: Tensor, physics: Physics, generator: torch.Generator) -> dict[str, Tensor]:
        """The terms of the loss, before their weights.

        | term     | here                                                                              |
        |----------|-----------------------------------------------------------------------------------|
        | recon    | flow matching: mean of (v - (f - noise))^2 over what the residues have            |
        | bonds, angles, torsions | mean |E' - E| / sd(E) of the end points expected late in the flow  |
        """
        f, present = self.local.encode(x), self.local.present()

        def normal(shape: torch.Size) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=x.dtype).to(x.device)

        found = self._map(bond_lengths(x, self.pairs))
        told = self._told(self._distances(found + self.numbers.map_noise * normal(found.shape)))
        s = torch.rand(len(x), generator=generator, dtype=x.dtype).to(x.device)
        noise = normal(f.shape) * present
        u = torch.lerp(noise, f, s[:, None, None])
        v = self.velocity(u, s, told)
        terms = {"recon": (v - (f - noise)).square().sum((1, 2)).mean() / present.sum()}
        late = s > self.numbers.energy_from
        off = x.new_zeros(len(TERM_NAMES))
        if late.any():
            ends = self.local.decode((u + (1 - s)[:, None, None] * v)[late])
            off = (physics.energies(ends) - physics.energies(x[late])).abs().mean(0) / physics.energy_scale
        return terms | {name: off[i] for i, name in enumerate(TERM_NAMES)}

    @torch.no_grad()
    def finish(self, blocks: Blocks, physics: Physics) -> None:
        """Scale the noise until local geometry has the bonded energies of validation frames.

        A flow that has not learned all that ties angles and torsions together draws them a little too wide.
        """
        low, high = self.numbers.noise_scales
        for _ in range(self.numbers.noise_halvings):
            self.noise_scale.fill_((low + high) / 2)
            if self._energy_ratio(blocks, physics) > 1:
                high = float(self.noise_scale)
            else:
                low = float(self.noise_scale)

    def _energy_ratio(self, blocks: Blocks, physics: Physics) -> float:
        """Mean over bonds, angles and torsions of the median energy over that of the frames themselves."""
        generator, drawn, true = torch.Generator().manual_seed(0), [], []
        for x in blocks():
            noise = torch.randn(len(x), *self.local.present().shape, generator=generator).to(x)
            told = self._told(self._distances(self._map(bond_lengths(x, self.pairs))))
            drawn.append(physics.energies(self.local.decode(self._sample(told, noise))))
            true.append(physics.energies(x))
        ratio = torch.cat(drawn).median(0).values / torch.cat(true).median(0).values
        return float(ratio[torch.isfinite(ratio)].mean())

    def _map(self, distances: Tensor) -> Tensor:
        own = self.numbers
        return torch.log1p(distances / own.distance_scale) / own.distance_share

    def _distances(self, found: Tensor) -> Tensor:
        """The way back from `_map`; two CA are never nearer than two atoms may be."""
        own = self.numbers
        distances = own.distance_scale * torch.expm1(found * own.distance_share)
        return distances.clamp_min(self.sampling.clash_heavy)

    def _told(self, distances: Tensor) -> Tensor:
        """What each residue knows of the distances of a map (n, n_pairs), A: those along the chain near it.

        Returns (n, n_residues, n_told): relative distances ahead, back and across, and 1 where there are such
        residues.
        """
        n_residues, columns = self.local.n_residues, []
        pad = nn.functional.pad
        for k, gap in enumerate(self.numbers.gaps):
            here = distances[:, self.apart == gap] / self.gap_mean[k] - 1
            missing = n_residues - here.shape[1]
            half = missing // 2
            known = torch.ones_like(here)
            columns += [pad(here, (0, missing)), pad(here, (missing, 0)), pad(here, (half, missing - half))]
            columns += [pad(known, (0, missing)), pad(known, (missing, 0))]
        return torch.stack(columns, -1)

    def _limits(self) -> Tensor:
        """(n_atoms, n_atoms), A. Nearer than this atoms clash; see `clash_limits`."""
        limits = torch.full((self.tree.n_atoms,) * 2, self.sampling.clash_heavy).to(self.map_mean)
        limits[self.hydrogen[:, None] | self.hydrogen] = self.sampling.clash_hydrogen
        limits[self.near[:, 0], self.near[:, 1]] = 0.0
        limits[self.near[:, 1], self.near[:, 0]] = 0.0
        return limits.fill_diagonal_(0.0)


#: Numbers that a residue is told for each gap: three distances, and whether two of them are.
_TOLD = 5

_DTYPES = {
    name: torch.long for name in ("pairs", "apart", "residue_type", "turning", "near")
} | {"hydrogen": torch.bool}  # fmt: skip


def _buffers(
    sizes: Mapping[str, int], local: LocalGeometry, numbers: FoldNumbers
) -> dict[str, tuple[int, ...]]:
    """Shapes of what the network keeps besides its weights."""
    n_pairs, latent = sizes["n_pairs"], sizes["latent_size"]
    return {
        "pairs": (n_pairs, 2), "apart": (n_pairs,), "map_mean": (n_pairs,), "map_axes": (n_pairs, latent),
        "map_std": (latent,), "residue_type": (local.n_residues,), "turning": (sizes["n_turns"],),
        "hydrogen": (sizes["n_atoms"],), "near": (sizes["n_near"], 2), "gap_mean": (len(numbers.gaps),),
        "frequencies": (numbers.n_frequencies,), "noise_scale": (),
    }  # fmt: skip


def _map_pairs(ca: "np.ndarray", numbers: FoldNumbers) -> "tuple[np.ndarray, np.ndarray]":
    """Pairs of CA (n_pairs, 2) of the map and the residues between them: all near ones, some of the far."""
    i, j = np.triu_indices(len(ca), min(numbers.gaps))
    near = j - i <= numbers.near_span
    far = np.flatnonzero(~near)
    n_far = min(len(far), numbers.far_pairs * len(ca))
    drawn = np.random.default_rng(0).choice(far, n_far, replace=False)
    rows = np.concatenate([np.flatnonzero(near), np.sort(drawn)])
    return np.stack([ca[i[rows]], ca[j[rows]]], 1), (j - i)[rows]


def _turning(tree: InternalTree, structure: Molecule, local: LocalGeometry) -> "np.ndarray":
    """(n_turns,). Torsions of the tree that the fit may turn: wide ones that place no group of end atoms."""
    torsions, names = tree.torsions, structure.names
    first = tree.primary[torsions[:, 3]] == torsions[:, 3]
    peptide = np.array([{str(names[j]), str(names[k])} == {"C", "N"} for _, j, k, _ in torsions])
    wide = local.wide.cpu().numpy()
    return np.flatnonzero(first & wide & ~peptide & ~tree.rotors)
