"""A trained pair of networks with all that a rollout needs, and what a rollout gives."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from smdgen.geometry.atoms import Molecule
from smdgen.geometry.cvs import CollectiveVariable
from smdgen.geometry.frames import rmsd_matrix
from smdgen.geometry.internal import InternalTree
from smdgen.geometry.validity import clash_limits, clashing
from smdgen.method.autoencoder import InternalVae
from smdgen.method.critic import Critic
from smdgen.method.dynamics import SteeredLstm
from smdgen.method.features.aligned import PlacedFeatures
from smdgen.method.features.base import Features
from smdgen.method.features.internal import InternalFeatures
from smdgen.method.paper import PaperLstm, PaperVae
from smdgen.method.presets import (
    DEFAULT,
    CriticNumbers,
    DefaultNumbers,
    Numbers,
    PaperNumbers,
)
from smdgen.method.training_paths import Schedule


@dataclass(frozen=True)
class PullModel:
    """All that a rollout needs.

    Attributes:
        vae: Either autoencoder.
        lstm: The LSTM that belongs to it.
        cv: The pulled CV.
        schedule: CV of the training pulls against time.
        landmarks: (n_landmarks, n_atoms, 3), A. Some training frames, on the first one.
        reach: A. Largest RMSD of a validation frame to its nearest landmark.
        limits: (n_atoms, n_atoms), A. Nearer than this atoms clash; zero if landmarks clash as well.
        critic: Chooses among candidates for a next frame; None: the first one is taken.
    """

    vae: PaperVae | InternalVae
    lstm: PaperLstm | SteeredLstm
    cv: CollectiveVariable
    schedule: Schedule
    landmarks: Tensor
    reach: float
    limits: Tensor
    critic: Critic | None = None


def build_vae(
    weights: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    numbers: Numbers,
    representation: str,
    tree: InternalTree | None,
) -> PaperVae | InternalVae:
    """An autoencoder with its weights.

    Args:
        weights: By name.
        sizes: `n_atoms`, `latent_size` and `hidden_size`.
        numbers: Of its method.
        representation: What it reads; see `representation_of`.
        tree: Spanning tree of the atoms, for internal coordinates.
    """
    _refuse_sizes(sizes, weights)
    vae: PaperVae | InternalVae
    if isinstance(numbers, PaperNumbers):
        vae = PaperVae(sizes["n_atoms"], sizes["latent_size"], sizes["hidden_size"], numbers.dropout)
    else:
        features = _features(weights, sizes["n_atoms"], numbers, representation, tree)
        vae = InternalVae(features, sizes["latent_size"], sizes["hidden_size"], numbers.autoencoder)
    return _loaded(vae, weights)


def _features(
    weights: Mapping[str, Tensor],
    n_atoms: int,
    numbers: DefaultNumbers,
    representation: str,
    tree: InternalTree | None,
) -> Features:
    if representation == PlacedFeatures.representation:
        n_pairs, n_branches = (len(weights[f"features.{name}"]) for name in ("pairs", "branches"))
        return PlacedFeatures(n_atoms, n_pairs, n_branches, numbers.aligned)
    if representation != InternalFeatures.representation or tree is None:
        raise ValueError(f"a representation {representation!r}")
    wide, rigid = weights["features.wide"], weights.get("features.rigid")
    return InternalFeatures(tree, wide, rigid, numbers.internal)


def representation_of(vae: PaperVae | InternalVae) -> tuple[str, InternalTree | None]:
    """What an autoencoder reads, and the spanning tree of the atoms where that is internal coordinates."""
    if isinstance(vae, PaperVae):
        return "cartesian", None
    features = vae.features
    return features.representation, features.tree if isinstance(features, InternalFeatures) else None


def build_lstm(
    weights: Mapping[str, Tensor], sizes: Mapping[str, int], numbers: Numbers
) -> PaperLstm | SteeredLstm:
    """An LSTM with its weights, by name; `sizes` by the names of its arguments."""
    _refuse_sizes(sizes, weights)
    if isinstance(numbers, PaperNumbers):
        return _loaded(PaperLstm(**sizes), weights)
    return _loaded(SteeredLstm(**sizes, numbers=numbers), weights)


def build_critic(weights: Mapping[str, Tensor], structure: Molecule, numbers: CriticNumbers) -> Critic:
    """A critic with its weights, by name.

    Raises:
        ValueError: It looks at atoms that the structure does not have.
    """
    pairs = weights["pairs"]
    if not ((pairs >= 0) & (pairs < len(structure.names))).all():
        raise ValueError("a critic of other atoms")
    return _loaded(Critic(len(pairs), numbers), weights)


def _refuse_sizes(sizes: Mapping[str, int], weights: Mapping[str, Tensor]) -> None:
    """Refuse a network whose weights are too few for its sizes, before memory is taken.

    Raises:
        ValueError: A size is beyond the number of weights.
    """
    if max(sizes.values()) > sum(tensor.numel() for tensor in weights.values()):
        raise ValueError(f"sizes {dict(sizes)} beyond the number of weights")


def on_device(model: PullModel, device: torch.device) -> PullModel:
    """The model on another device; its networks are moved, not copied."""
    return replace(
        model,
        vae=model.vae.to(device),
        lstm=model.lstm.to(device),
        landmarks=model.landmarks.to(device),
        limits=model.limits.to(device),
        critic=None if model.critic is None else model.critic.to(device),
    )


def nearest_allowed(structure: Molecule, landmarks: Tensor, numbers: Numbers = DEFAULT) -> Tensor:
    """(n_atoms, n_atoms), A. Limits of a clash; zeros where training frames (the landmarks) clash too.

    The published method knows of no clashes.
    """
    if isinstance(numbers, PaperNumbers):
        return landmarks.new_zeros(len(structure.names), len(structure.names), dtype=torch.float64)
    own = numbers.sampling
    limits = clash_limits(structure, own.clash_heavy, own.clash_hydrogen)
    return limits if not clashing(landmarks, limits).any() else torch.zeros_like(limits)


Network = TypeVar("Network", bound=nn.Module)


def _loaded(network: Network, weights: Mapping[str, Tensor]) -> Network:
    network.to(next(value.dtype for value in weights.values() if value.is_floating_point()))
    network.load_state_dict(weights)
    return network.eval()


@dataclass(frozen=True)
class Rollout:
    """Generated pulls.

    Attributes:
        positions: (n_samples, n_steps + 1, n_atoms, 3), A. Frame 0 is the start itself.
        aims: (n_samples, n_steps + 1). CV aimed at.
        cv_values: (n_samples, n_steps + 1). CV reached.
        times_ps: (n_steps + 1,), ps.
    """

    positions: Tensor
    aims: Tensor
    cv_values: Tensor
    times_ps: Tensor


def start_distance(model: PullModel, start: Tensor) -> float:
    """RMSD, A, from a start (n_atoms, 3), A, to the nearest landmark; compare it with `model.reach`."""
    return float(rmsd_matrix(start[None], model.landmarks).min())
