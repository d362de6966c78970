"""What a method is, a trained model with all that a rollout needs, and what a rollout gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from smdgen.geometry.atoms import Molecule
from smdgen.geometry.cvs import CollectiveVariable
from smdgen.geometry.frames import rmsd, rmsd_matrix
from smdgen.geometry.internal import InternalTree
from smdgen.method.components import Blocks
from smdgen.method.presets import CriticNumbers, Fitting, Numbers
from smdgen.method.training_paths import TrainingPaths
from smdgen.progress import Progress

if TYPE_CHECKING:
    from smdgen.method.critic import Critic
    from smdgen.method.target_path import TargetPath


@dataclass(frozen=True)
class Physics:
    """What an autoencoder's loss knows of the molecule.

    Attributes:
        energies: Frames (n, n_atoms, 3), A -> the three bonded energies (n, 3), kcal/mol.
        energy_scale: (3,), kcal/mol. Standard deviation of each in the training frames.
        cv: Frames (n, n_atoms, 3), A -> their CV (n,).
    """

    energies: Callable[[Tensor], Tensor]
    energy_scale: Tensor
    cv: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Condition:
    """What a step is conditioned on, besides the latents so far.

    Attributes:
        cv: (..., n_steps). CV of the frame, in its unit.
        target_cv: (..., n_steps). CV that the next frame is to have.
        dt_ps: (..., n_steps), ps. Time to the next frame.
    """

    cv: Tensor
    target_cv: Tensor
    dt_ps: Tensor

    def to(self, device: torch.device) -> "Condition":
        """The same on another device."""
        return Condition(self.cv.to(device), self.target_cv.to(device), self.dt_ps.to(device))


class Autoencoder(nn.Module):
    """A network between frames and latents."""

    latent_size: int
    hidden_size: int
    #: What it reads: "internal", "aligned" or "cartesian" coordinates, or a "fold".
    representation: str
    #: How it is trained, and batches that count as an epoch, where not as the others of its method.
    own_fit: Fitting | None = None
    #: Whether frames are decoded at a CV that is asked for; otherwise latents are moved until they have it.
    meets_cv = False
    #: Normal numbers that `decode` takes for what latents leave open.
    noise_size: int
    batches_per_epoch: int | None = None

    @property
    def tree(self) -> InternalTree | None:
        """Spanning tree of the atoms, where it reads internal coordinates."""
        return None

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(..., n_atoms, 3), A -> mean and log variance of the latent, (..., latent_size) each."""
        raise NotImplementedError

    def decode(self, z: Tensor) -> Tensor:
        """(..., latent_size) -> (..., n_atoms, 3), A."""
        raise NotImplementedError

    def loss_terms(self, x: Tensor, physics: Physics, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms of the loss of frames (n, n_atoms, 3), A, by name, each () and before its weight."""
        raise NotImplementedError

    def finish(self, blocks: Blocks, physics: Physics) -> None:
        """What is left to do after training, on validation frames (n, n_atoms, 3), A."""


class Dynamics(nn.Module):
    """A network that gives the next latents.

    Trainings and model files use no more than this, whatever the method. What a rollout asks of it is between
    the two of a method: `FlowDynamics` and `rollout.guided_path`, `PaperLstm` and `PaperMethod.path`.
    """

    def loss_terms(self, z: Tensor, condition: Condition, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms of the loss of sequences, by name; "loss" is the one minimised.

        Args:
            z: (n, n_steps + 1, latent_size). Encoded sequences, as the autoencoder gives them.
            condition: (n, n_steps) each.
            generator: Of all noise.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class TrainingFrames:
    """What an untrained autoencoder is made from.

    Attributes:
        structure: The modelled atoms.
        training: All training frames, (n, n_atoms, 3), A, block by block.
        n_training: How many these are.
        validation: Those of validation pulls.
        dtype: Precision of the network.
    """

    structure: Molecule
    training: Blocks
    n_training: int
    validation: Blocks
    dtype: torch.dtype


class Method(Protocol):
    """One way to learn pulls and to generate new ones; `presets.METHODS` names them."""

    @property
    def name(self) -> str:
        """That `--preset` takes."""

    @property
    def numbers(self) -> Numbers:
        """All its numbers."""

    @property
    def steerable(self) -> bool:
        """Whether rollouts can be given a target or a schedule."""

    @property
    def autoencoder_fit(self) -> Fitting:
        """How the autoencoder is trained."""

    @property
    def dynamics_fit(self) -> Fitting:
        """How the dynamics are trained."""

    @property
    def critic(self) -> CriticNumbers | None:
        """Of the critic of next frames; None: there is none."""

    def new_autoencoder(self, frames: TrainingFrames, latent_size: int, hidden_size: int) -> Autoencoder:
        """An untrained autoencoder; a size of 0 is the method's own."""

    def empty_autoencoder(
        self,
        sizes: Mapping[str, int],
        weights: Mapping[str, Tensor],
        representation: str,
        tree: InternalTree | None,
    ) -> Autoencoder:
        """An autoencoder of these sizes for weights of a file."""

    def new_dynamics(
        self,
        autoencoder: Any,
        hidden_size: int,
        z: Tensor,
        cv: Tensor,
        names: Sequence[str],
        residues: Sequence[int],
    ) -> tuple[Dynamics, dict[str, int]]:
        """Untrained dynamics and their sizes.

        Args:
            autoencoder: Trained, of this method.
            hidden_size: Width of the LSTM; 0 is the method's own.
            z: (n_frames, latent_size). Latents of the training frames.
            cv: (n_frames,). Their CV.
            names: Name of each atom.
            residues: Residue of each atom, from 0 in file order.
        """

    def empty_dynamics(self, sizes: Mapping[str, int]) -> Dynamics:
        """Dynamics of these sizes, for weights of a file."""

    @property
    def least_frames(self) -> int:
        """Frames that the longest pull of a split must have."""

    @property
    def most_steps(self) -> int:
        """Steps of a training sequence, where pulls are long enough."""

    @property
    def batches_per_epoch(self) -> int | None:
        """Batches of sequences drawn anew that count as an epoch; None: an epoch has every sequence once."""

    def n_validation(self, batch_size: int) -> int:
        """Validation sequences that are drawn at a time."""

    @property
    def n_validation_rounds(self) -> int:
        """Draws of these, whose losses are averaged."""

    def draw_stride(self, longest: int, generator: torch.Generator) -> int:
        """Frames between two steps of a sequence, where the longest pull has so many frames."""

    def fitted(self, dynamics: Any, n_frames: int, settings: Mapping[str, float]) -> dict[str, float]:
        """Settings with a batch size, a rate and epochs that the network and the training frames bear."""

    def clash_limits(self, structure: Molecule, reference_frames: Tensor) -> Tensor:
        """(n_atoms, n_atoms), A. Nearer than this atoms of a generated frame clash."""

    def path(
        self,
        model: "PullModel[Any, Any]",
        start: Tensor,
        target_path: "TargetPath",
        generator: torch.Generator,
        progress: Progress,
    ) -> Tensor:
        """(n_samples, n_steps + 1, n_atoms, 3), A. Pulls from a start (n_atoms, 3), A, which is frame 0."""

    def next_frames(
        self, model: "PullModel[Any, Any]", pulls: Tensor, dt_ps: float, generator: torch.Generator
    ) -> Tensor:
        """(n_pulls, n_frames - 1, n_atoms, 3), A. A next frame for each but the last of real pulls."""


A = TypeVar("A", bound=Autoencoder)
D = TypeVar("D", bound=Dynamics)


@dataclass(frozen=True)
class PullModel(Generic[A, D]):
    """All that a rollout needs.

    Attributes:
        method: How it generates.
        autoencoder: Between frames and latents.
        dynamics: From latent to latent; they belong to the autoencoder.
        cv: The pulled CV.
        training_paths: CV of the training pulls against time.
        reference_frames: (n_frames, n_atoms, 3), A. Some training frames, on the first one.
        training_radius: A. Largest RMSD of a validation frame to the nearest of these.
        clash_limits: (n_atoms, n_atoms), A. Nearer than this atoms clash; zero if reference frames clash.
        critic: Chooses among candidates for a next frame; None: the first one is taken.
    """

    method: Method
    autoencoder: A
    dynamics: D
    cv: CollectiveVariable
    training_paths: TrainingPaths
    reference_frames: Tensor
    training_radius: float
    clash_limits: Tensor
    critic: "Critic | None" = None


@dataclass(frozen=True)
class Rollout:
    """Generated pulls.

    Attributes:
        positions: (n_samples, n_steps + 1, n_atoms, 3), A. Frame 0 is the start itself.
        target_cv: (n_samples, n_steps + 1). CV that each frame was to have.
        cv_values: (n_samples, n_steps + 1). CV that it has.
        times_ps: (n_steps + 1,), ps.
    """

    positions: Tensor
    target_cv: Tensor
    cv_values: Tensor
    times_ps: Tensor


def on_device(model: PullModel[A, D], device: torch.device) -> PullModel[A, D]:
    """The model on another device; its networks are moved, not copied."""
    return replace(
        model,
        autoencoder=model.autoencoder.to(device),
        dynamics=model.dynamics.to(device),
        reference_frames=model.reference_frames.to(device),
        clash_limits=model.clash_limits.to(device),
        critic=None if model.critic is None else model.critic.to(device),
    )


def start_distance(model: PullModel[Any, Any], start: Tensor) -> float:
    """RMSD, A, from a start (n_atoms, 3), A, to the nearest reference frame."""
    return float(rmsd_matrix(start[None], model.reference_frames).min())


@torch.no_grad()
def reconstruction_error(vae: Autoencoder, blocks: Blocks) -> float:
    """A. Mean RMSD of frames (n, n_atoms, 3), A, to what the autoencoder makes of them."""
    return float(torch.cat([rmsd(vae.decode(vae.encode(x)[0]), x) for x in blocks()]).mean())


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """(...,), nat. Kullback-Leibler divergence of N(mean, variance) from N(0, 1), summed over the last axis.

    Source: D. P. Kingma and M. Welling, arXiv:1312.6114, appendix B.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)


Network = TypeVar("Network", bound=nn.Module)


def with_weights(network: Network, weights: Mapping[str, Tensor]) -> Network:
    """A network with weights, by name, ready to use."""
    network.to(next(value.dtype for value in weights.values() if value.is_floating_point()))
    network.load_state_dict(weights)
    return network.eval()


def refuse_sizes(sizes: Mapping[str, int], weights: Mapping[str, Tensor]) -> None:
    """Refuse a network whose weights are too few for its sizes, before memory is taken.

    Raises:
        ValueError: A size is beyond the number of weights.
    """
    if max(sizes.values()) > sum(tensor.numel() for tensor in weights.values()):
        raise ValueError(f"sizes {dict(sizes)} beyond the number of weights")
