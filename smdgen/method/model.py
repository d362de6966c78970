"""A trained pair of networks with all that a rollout needs, and what a rollout gives."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from smdgen.geometry.atoms import Molecule
from smdgen.geometry.cvs import CollectiveVariable
from smdgen.geometry.cvs import from_dict as cv_from_dict
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


def build_vae(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> PaperVae | InternalVae:
    """The autoencoder of a vae.safetensors, from what `read_model` returned."""
    sizes = _possible_sizes(tensors, header)
    vae: PaperVae | InternalVae
    if header["preset"] == "paper":
        vae = PaperVae(sizes["n_atoms"], sizes["latent_size"], sizes["hidden_size"])
    else:
        vae = InternalVae(_features(tensors, header), sizes["latent_size"], sizes["hidden_size"])
    return _loaded(vae, tensors)


def _features(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Features:
    n_atoms = header["sizes"]["n_atoms"]
    if "weights.features.pairs" in tensors:
        n_pairs, n_branches = (len(tensors[f"weights.features.{name}"]) for name in ("pairs", "branches"))
        return PlacedFeatures(n_atoms, n_pairs, n_branches)
    bonds = np.array(header["bonds"], dtype=np.int64).reshape(-1, 2)
    wide, rigid = tensors["weights.features.wide"], tensors.get("weights.features.rigid")
    return InternalFeatures(spanning_tree(n_atoms, bonds), wide, rigid)


def build_lstm(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> PaperLstm | SteeredLstm:
    """The LSTM of an lstm.safetensors, from what `read_model` returned."""
    kind = PaperLstm if header["preset"] == "paper" else SteeredLstm
    return _loaded(kind(**_possible_sizes(tensors, header)), tensors)


def build_critic(tensors: Mapping[str, Tensor], structure: Molecule) -> Critic | None:
    """The critic of an lstm.safetensors, if it has one, from what `read_model` returned.

    Raises:
        ValueError: It looks at atoms that the structure does not have.
    """
    pairs = tensors.get("critic.pairs")
    if pairs is None:
        return None
    if not ((pairs >= 0) & (pairs < len(structure.names))).all():
        raise ValueError("a critic of other atoms")
    return _loaded(Critic(len(pairs)), tensors, "critic.")


def _possible_sizes(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> dict[str, int]:
    """The sizes of a network, if its weights are many enough for them; asked before memory is taken.

    Raises:
        ValueError: A size is beyond the number of weights.
    """
    sizes: dict[str, int] = header["sizes"]
    if max(sizes.values()) > sum(tensor.numel() for tensor in tensors.values()):
        raise ValueError(f"sizes {sizes} beyond the number of weights")
    return sizes


def build_model(
    vae_tensors: Mapping[str, Tensor],
    vae_header: Mapping[str, Any],
    lstm_tensors: Mapping[str, Tensor],
    lstm_header: Mapping[str, Any],
    structure: Molecule,
) -> PullModel:
    """Everything a rollout needs, from what `read_model` returned for both files and the modelled atoms."""
    critic = build_critic(lstm_tensors, structure)
    return PullModel(
        build_vae(vae_tensors, vae_header),
        build_lstm(lstm_tensors, lstm_header),
        cv_from_dict(vae_header["cv"]),
        Schedule(lstm_tensors["paths"], lstm_header["duration_ps"]),
        vae_tensors["landmarks"],
        vae_header["reach_A"],
        nearest_allowed(structure, vae_tensors["landmarks"]),
        None if critic is None else critic.to(vae_tensors["landmarks"]),
    )


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


def _loaded(network: Network, tensors: Mapping[str, Tensor], prefix: str = "weights.") -> Network:
    weights = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
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
