"""The default method: which networks it has, how they are made, and where its rollouts run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from smdgen.geometry.atoms import Molecule
from smdgen.geometry.internal import InternalTree, spanning_tree
from smdgen.geometry.validity import clash_limits, clashing
from smdgen.method.autoencoder import FeatureVae
from smdgen.method.dynamics import FlowDynamics
from smdgen.method.features.aligned import AlignedFeatures
from smdgen.method.features.base import Features
from smdgen.method.features.internal import InternalFeatures
from smdgen.method.fold import FoldVae, has_fold
from smdgen.method.guidance import FlowModel
from smdgen.method.model import TrainingFrames, reconstruction_error
from smdgen.method.presets import DEFAULT, CriticNumbers, DefaultNumbers, Fitting
from smdgen.method.rollout import guided_next, guided_path
from smdgen.method.target_path import TargetPath
from smdgen.method.transformer import residue_layout
from smdgen.progress import Progress

#: Sizes of dynamics whose latents belong to no residue.
_NO_RESIDUES = {"n_residues": 0, "n_kinds": 0}


@dataclass(frozen=True)
class DefaultMethod:
    """See `smdgen.method.model.Method`."""

    numbers: DefaultNumbers = DEFAULT
    name = "default"
    steerable = True
    least_frames = 0

    @property
    def autoencoder_fit(self) -> Fitting:
        """How the autoencoder is trained."""
        return self.numbers.autoencoder.fit

    @property
    def dynamics_fit(self) -> Fitting:
        """How the dynamics are trained."""
        return self.numbers.dynamics.fit

    @property
    def critic(self) -> CriticNumbers | None:
        """Of the critic of next frames."""
        return self.numbers.critic

    def new_autoencoder(
        self, frames: TrainingFrames, latent_size: int, hidden_size: int
    ) -> FeatureVae | FoldVae:
        """On internal coordinates; where these are too many, on the fold, or on what keeps frames best."""
        own, fold = self.numbers.autoencoder, self.numbers.fold
        n_atoms, bonds = len(frames.structure.names), frames.structure.bonds
        tree = spanning_tree(n_atoms, bonds)
        internal = InternalFeatures.fit(frames.training, tree, self.numbers.internal)
        spanned = max(frames.n_training - 1, 1)  # frames have no variance in more directions

        def begin(features: Features) -> FeatureVae:
            size = min(latent_size or own.most_latents, features.n_features, spanned)
            width = min(max(own.least_hidden, own.hidden_per_feature * features.n_features), own.most_hidden)
            vae = FeatureVae(features, size, hidden_size or width, own).to(frames.dtype)
            vae.init_from_pca(lambda: (features.encode(x) for x in frames.training()))
            return vae

        if internal.n_features <= own.most_latents:
            return begin(internal)
        if fold is not None and has_fold(frames.structure, fold):
            return FoldVae.fit(frames, latent_size, fold, self.numbers.internal, self.numbers.sampling)
        aligned = AlignedFeatures.fit(frames.training, n_atoms, bonds, self.numbers.aligned)
        return min(
            (begin(features) for features in (aligned, internal)),
            key=lambda vae: reconstruction_error(vae, frames.validation),
        )

    def empty_autoencoder(
        self,
        sizes: Mapping[str, int],
        weights: Mapping[str, Tensor],
        representation: str,
        tree: InternalTree | None,
    ) -> FeatureVae | FoldVae:
        """An autoencoder of these sizes, for weights of a file."""
        if representation == FoldVae.representation:
            fold = self.numbers.fold
            if fold is None or tree is None:
                raise ValueError("a fold without its numbers or its tree")
            return FoldVae.empty(weights, tree, fold, self.numbers.sampling)
        features = self._features(sizes["n_atoms"], weights, representation, tree)
        return FeatureVae(features, sizes["latent_size"], sizes["hidden_size"], self.numbers.autoencoder)

    def _features(
        self, n_atoms: int, weights: Mapping[str, Tensor], representation: str, tree: InternalTree | None
    ) -> Features:
        if representation == AlignedFeatures.representation:
            n_pairs, n_branches = (len(weights[f"features.{name}"]) for name in ("pairs", "branches"))
            return AlignedFeatures(n_atoms, n_pairs, n_branches, self.numbers.aligned)
        if representation != InternalFeatures.representation or tree is None:
            raise ValueError(f"a representation {representation!r}")
        wide, rigid = weights["features.wide"], weights.get("features.rigid")
        return InternalFeatures(tree, wide, rigid, self.numbers.internal)

    def new_dynamics(
        self,
        autoencoder: Any,
        hidden_size: int,
        z: Tensor,
        cv: Tensor,
        names: Sequence[str],
        residues: Sequence[int],
    ) -> tuple[FlowDynamics, dict[str, int]]:
        """Untrained dynamics on what the autoencoder made of its features, and their sizes."""
        own, latent = self.numbers.dynamics, autoencoder.latent_size
        sizes = {
            "latent_size": latent,
            "hidden_size": hidden_size or own.hidden_size,
            "head_size": max(own.head_size, latent),
            "n_blocks": own.n_blocks,
        }
        if autoencoder.meets_cv:
            assert self.numbers.fold is not None
            n_knots = self.numbers.fold.mean_path.n_knots
            sizes |= {"n_features": latent, **_NO_RESIDUES, "n_soft": latent, "n_knots": n_knots}
            dynamics = FlowDynamics(**sizes, numbers=self.numbers).to(z.dtype)
            dynamics.standardise(z, cv, autoencoder.map_std)
            dynamics.read_latents()
        else:
            layout = residue_layout(autoencoder.features, names, residues)
            sizes |= layout.sizes
            dynamics = FlowDynamics(**sizes, numbers=self.numbers).to(z.dtype)
            dynamics.standardise(z, cv)
            dynamics.read_features(autoencoder, layout)
        return dynamics, sizes

    def empty_dynamics(self, sizes: Mapping[str, int]) -> FlowDynamics:
        """Dynamics of these sizes, for weights of a file."""
        return FlowDynamics(**sizes, numbers=self.numbers)

    @property
    def most_steps(self) -> int:
        """Steps of a training sequence, where pulls are long enough."""
        return self.numbers.dynamics.n_steps

    @property
    def batches_per_epoch(self) -> int | None:
        """Sequences are drawn anew each time; so many batches count as an epoch."""
        return self.numbers.dynamics.batches_per_epoch

    def n_validation(self, batch_size: int) -> int:
        """Validation sequences that are drawn at a time."""
        return self.numbers.dynamics.n_validation_batches * batch_size

    @property
    def n_validation_rounds(self) -> int:
        """Draws of these."""
        return self.numbers.dynamics.n_validation_rounds

    def draw_stride(self, longest: int, generator: torch.Generator) -> int:
        """Drawn evenly in its logarithm, from every frame to a part of the longest pull."""
        high = max(1, (longest - 1) // self.numbers.dynamics.least_strides)
        stride: int = round(high ** float(torch.rand((), generator=generator)))
        return stride

    def fitted(
        self, dynamics: FlowDynamics, n_frames: int, settings: Mapping[str, float]
    ) -> dict[str, float]:
        """Smaller batches for many residues, a lower rate for wide layers, fewer epochs for few frames."""
        own = self.numbers.dynamics
        most = own.most_residues // (own.n_steps * max(1, dynamics.n_residues))
        batch_size = max(1, min(int(settings["batch_size"]), most))
        narrow = min(1.0, own.most_read / dynamics.input_proj.in_features)
        rate = (batch_size / settings["batch_size"]) ** 0.5 * narrow * settings["learning_rate"]
        bearable = own.most_passes * n_frames // (own.batches_per_epoch * batch_size * own.n_steps)
        epochs = min(settings["epochs"], max(bearable, own.fewest_epochs))
        return {**settings, "batch_size": batch_size, "learning_rate": rate, "epochs": epochs}

    def clash_limits(self, structure: Molecule, reference_frames: Tensor) -> Tensor:
        """Zeros where training frames (the reference frames) clash too."""
        own = self.numbers.sampling
        limits = clash_limits(structure, own.clash_heavy, own.clash_hydrogen)
        return limits if not clashing(reference_frames, limits).any() else torch.zeros_like(limits)

    def path(
        self,
        model: FlowModel,
        start: Tensor,
        target_path: TargetPath,
        generator: torch.Generator,
        progress: Progress,
    ) -> Tensor:
        """Steered pulls; see `guided_path`."""
        return guided_path(model, start, target_path, generator, progress)

    def next_frames(
        self,
        model: FlowModel,
        pulls: Tensor,
        dt_ps: float,
        generator: torch.Generator,
    ) -> Tensor:
        """Next frames at the true CV; see `guided_next`."""
        return guided_next(model, pulls, dt_ps, generator)
