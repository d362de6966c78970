"""A trained pair of networks with all that a rollout needs, and what a rollout gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from smdgen.geometry.atoms import Molecule
from smdgen.geometry.cvs import CollectiveVariable
from smdgen.geometry.frames import rmsd_matrix
from smdgen.geometry.internal import spanning_tree
from smdgen.geometry.validity import clash_limits, clashing
from smdgen.method.autoencoder import InternalVae
from smdgen.method.critic import Critic
from smdgen.method.dynamics import SteeredLstm
from smdgen.method.features.aligned import PlacedFeatures
from smdgen.method.features.base import Features
from smdgen.method.features.internal import InternalFeatures
from smdgen.method.paper import PaperLstm, PaperVae
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
    weights: Mapping[str, Tensor], preset: str, sizes: Mapping[str, int], bonds: Sequence[tuple[int, int]]
) -> PaperVae | InternalVae:
    """An autoencoder with its weights.

    Args:
        weights: By name.
        preset: Name of the method.
        sizes: `n_atoms`, `latent_size` and `hidden_size`.
        bonds: Bonded atoms.
    """
    _refuse_sizes(sizes, weights)
    vae: PaperVae | InternalVae
    if preset == "paper":
        vae = PaperVae(sizes["n_atoms"], sizes["latent_size"], sizes["hidden_size"])
    else:
        features = _features(weights, sizes["n_atoms"], bonds)
        vae = InternalVae(features, sizes["latent_size"], sizes["hidden_size"])
    return _loaded(vae, weights)


def _features(weights: Mapping[str, Tensor], n_atoms: int, bonds: Sequence[tuple[int, int]]) -> Features:
    if "features.pairs" in weights:
        n_pairs, n_branches = (len(weights[f"features.{name}"]) for name in ("pairs", "branches"))
        return PlacedFeatures(n_atoms, n_pairs, n_branches)
    tree = spanning_tree(n_atoms, np.array(bonds, dtype=np.int64).reshape(-1, 2))
    return InternalFeatures(tree, weights["features.wide"], weights.get("features.rigid"))


def build_lstm(
    weights: Mapping[str, Tensor], preset: str, sizes: Mapping[str, int]
) -> PaperLstm | SteeredLstm:
    """An LSTM with its weights, by name; `sizes` by the names of its arguments."""
    _refuse_sizes(sizes, weights)
    kind = PaperLstm if preset == "paper" else SteeredLstm
    return _loaded(kind(**sizes), weights)


def build_critic(weights: Mapping[str, Tensor], structure: Molecule) -> Critic | None:
    """A critic with its weights, by name; None without any.

    Raises:
        ValueError: It looks at atoms that the structure does not have.
    """
    if not weights:
        return None
    pairs = weights["pairs"]
    if not ((pairs >= 0) & (pairs < len(structure.names))).all():
        raise ValueError("a critic of other atoms")
    return _loaded(Critic(len(pairs)), weights)


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


def nearest_allowed(structure: Molecule, landmarks: Tensor) -> Tensor:
    """(n_atoms, n_atoms), A. Limits of a clash, or zeros where training frames (the landmarks) clash too."""
    limits = clash_limits(structure)
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
