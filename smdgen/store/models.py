"""Model files: the autoencoder's and the dynamics', opened whole and checked, or saved."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smdgen.errors import ArtifactError
from smdgen.geometry.atoms import Molecule
from smdgen.geometry.cvs import from_dict as cv_from_dict
from smdgen.geometry.internal import InternalTree
from smdgen.method.critic import Critic
from smdgen.method.model import Autoencoder, PullModel, refuse_sizes, with_weights
from smdgen.method.presets import CriticNumbers, method_of
from smdgen.method.training_paths import TrainingPaths
from smdgen.store.artifacts import read_model, write_model
from smdgen.store.headers import FILE_KINDS, AutoencoderHeader, DynamicsHeader, Header, header_of
from smdgen.store.manifest import taken_apart
from smdgen.store.migrations import tensors_of_today
from smdgen.store.plain import to_plain


@dataclass(frozen=True)
class AutoencoderFile:
    """What vae.safetensors holds.

    Attributes:
        header: What it says of itself.
        weights: Of the network, by name.
        reference_frames: (n_frames, n_atoms, 3), A. Some training frames, on the first one.
        tree: Spanning tree of the atoms, for internal coordinates; else None.
        sha256: Content hash of the file it was read from; empty for a new one.
    """

    header: AutoencoderHeader
    weights: Mapping[str, Tensor]
    reference_frames: Tensor
    tree: InternalTree | None
    sha256: str = ""

    @classmethod
    def open(cls, path: Path) -> "AutoencoderFile":
        """Read it, checked in full.

        Raises:
            ArtifactError: Missing, damaged, of another kind, or not as `save` writes it.
        """
        tensors, header, sha256 = _read(path, AutoencoderHeader)
        with taken_apart(path):
            frames, n_atoms = tensors["reference_frames"], header.sizes["n_atoms"]
            if frames.shape != (len(frames), n_atoms, 3) or not len(frames):
                raise ValueError(f"reference frames of shape {tuple(frames.shape)}")
            return cls(header, _group(tensors, "weights."), frames, _read_tree(tensors, n_atoms), sha256)

    def save(self, path: Path) -> None:
        """Write it, whole or not at all.

        Raises:
            ArtifactError: The folder cannot be written.
        """
        tensors = {**_named("weights.", self.weights), "reference_frames": self.reference_frames}
        if self.tree is not None:
            parts = (torch.from_numpy(getattr(self.tree, name)) for name in _TREE)
            tensors |= _named("tree.", dict(zip(_TREE, parts, strict=True)))
        _write(path, self.header, tensors)

    def network(self) -> Autoencoder:
        """The autoencoder, ready to use.

        Raises:
            ValueError: Or the like, where weights do not fit the header; see `taken_apart`.
        """
        header = self.header
        refuse_sizes(header.sizes, self.weights)
        method = method_of(header.numbers)
        empty = method.empty_autoencoder(header.sizes, self.weights, header.representation, self.tree)
        return with_weights(empty, self.weights)


@dataclass(frozen=True)
class DynamicsFile:
    """What lstm.safetensors holds.

    Attributes:
        header: What it says of itself.
        weights: Of the network, by name.
        paths: (n_pulls, n_times). CV of the training pulls at even times.
        critic: Weights of the critic, by name; empty without one.
        sha256: Content hash of the file it was read from; empty for a new one.
    """

    header: DynamicsHeader
    weights: Mapping[str, Tensor]
    paths: Tensor
    critic: Mapping[str, Tensor]
    sha256: str = ""

    @classmethod
    def open(cls, path: Path) -> "DynamicsFile":
        """Read it, checked in full; raises as `AutoencoderFile.open`."""
        tensors, header, sha256 = _read(path, DynamicsHeader)
        with taken_apart(path):
            paths = tensors["paths"]
            if paths.ndim != 2 or not len(paths) or paths.shape[1] < 2:
                raise ValueError(f"paths of shape {tuple(paths.shape)}")
            return cls(header, _group(tensors, "weights."), paths, _group(tensors, "critic."), sha256)

    def save(self, path: Path) -> None:
        """Write it, whole or not at all; raises as `AutoencoderFile.save`."""
        tensors = {**_named("weights.", self.weights), **_named("critic.", self.critic), "paths": self.paths}
        _write(path, self.header, tensors)


def open_pair(vae_path: Path, dynamics_path: Path, advice: str) -> tuple[AutoencoderFile, DynamicsFile]:
    """Both model files, checked in full.

    Args:
        vae_path: File of the autoencoder.
        dynamics_path: File of the dynamics.
        advice: What to do where they do not belong together.

    Raises:
        ArtifactError: As `AutoencoderFile.open`, or they do not belong together.
    """
    vae, dynamics = AutoencoderFile.open(vae_path), DynamicsFile.open(dynamics_path)
    if dynamics.header.vae_sha256 != vae.sha256:
        raise ArtifactError(f"{dynamics_path} belongs to another {vae_path.name}; {advice}")
    return vae, dynamics


def build_model(vae: AutoencoderFile, dynamics: DynamicsFile, structure: Molecule) -> PullModel[Any, Any]:
    """Everything a rollout needs, from both files and the modelled atoms.

    Raises:
        ValueError: Or the like, where weights do not fit a header; see `taken_apart`.
    """
    method, frames, critic = method_of(dynamics.header.numbers), vae.reference_frames, None
    if dynamics.critic:
        assert method.critic is not None
        critic = build_critic(dynamics.critic, structure, method.critic).to(frames)
    refuse_sizes(dynamics.header.sizes, dynamics.weights)
    return PullModel(
        method,
        vae.network(),
        with_weights(method.empty_dynamics(dynamics.header.sizes), dynamics.weights),
        cv_from_dict(vae.header.cv),
        TrainingPaths(dynamics.paths, dynamics.header.duration_ps, method.numbers.paths),
        frames,
        vae.header.training_radius_A,
        method.clash_limits(structure, frames),
        critic,
    )


def build_critic(weights: Mapping[str, Tensor], structure: Molecule, numbers: CriticNumbers) -> Critic:
    """A critic with its weights, by name.

    Raises:
        ValueError: It looks at atoms that the structure does not have.
    """
    pairs = weights["pairs"]
    if not ((pairs >= 0) & (pairs < len(structure.names))).all():
        raise ValueError("a critic of other atoms")
    return with_weights(Critic(len(pairs), numbers), weights)


def migrate(folder: Path) -> None:
    """Write both model files of a folder anew, in today's layout; they stay the same model.

    Raises:
        ArtifactError: One is missing, damaged, or they do not belong together.
    """
    _save_pair(folder, *_open_folder(folder))


def round_weights(folder: Path) -> None:
    """Round the weights of both model files of a folder to half precision, for a smaller repository.

    They stay 32-bit numbers, whose last bits are zero and compress. Rollouts are no longer the same to the
    byte; CONTRIBUTING.md tells what was measured.

    Raises:
        ArtifactError: As `migrate`.
        ValueError: A weight is too large for half precision.
    """
    vae, dynamics = _open_folder(folder)
    vae = replace(vae, weights=_rounded(vae.weights))
    dynamics = replace(dynamics, weights=_rounded(dynamics.weights), critic=_rounded(dynamics.critic))
    _save_pair(folder, vae, dynamics)


def _open_folder(folder: Path) -> tuple[AutoencoderFile, DynamicsFile]:
    advice = "take the one it was made from"
    return open_pair(folder / "vae.safetensors", folder / "lstm.safetensors", advice)


def _save_pair(folder: Path, vae: AutoencoderFile, dynamics: DynamicsFile) -> None:
    """Write both files; the dynamics belong to the autoencoder as it is now."""
    vae_path = folder / "vae.safetensors"
    vae.save(vae_path)
    header = replace(dynamics.header, vae_sha256=AutoencoderFile.open(vae_path).sha256)
    replace(dynamics, header=header).save(folder / "lstm.safetensors")


def _rounded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {name: x.half().to(x) if x.is_floating_point() else x for name, x in weights.items()}
    large = [name for name, x in found.items() if x.is_floating_point() and not x.isfinite().all()]
    if large:
        raise ValueError(f"{large[0]} is too large for half precision")
    return found


#: Parts of the spanning tree.
_TREE = ("parent", "primary", "depth")


def _read_tree(tensors: Mapping[str, Tensor], n_atoms: int) -> InternalTree | None:
    """The spanning tree in a file, if it has one.

    Raises:
        ValueError: It is of other atoms.
    """
    parts = _group(tensors, "tree.")
    if not parts:
        return None
    tree = InternalTree(*(parts[name].numpy() for name in _TREE))
    parent, primary, depth = tree.parent, tree.primary, tree.depth
    child = depth > 0
    sound = (
        all(x.shape == (n_atoms,) and x.dtype == np.int64 for x in (parent, primary, depth))
        and child.sum() == n_atoms - 1
        and ((parent[child] >= 0) & (parent[child] < n_atoms)).all()
        and ((primary[child] >= 0) & (primary[child] < n_atoms)).all()
        and (depth[parent[child]] == depth[child] - 1).all()
        and (parent[primary[child]] == parent[child]).all()
    )
    if not sound:
        raise ValueError("a spanning tree of other atoms")
    return tree


def _read(path: Path, kind: type[Header]) -> tuple[dict[str, Tensor], Header, str]:
    """Tensors, header and content hash of a model file."""
    stored, manifest = read_model(path, FILE_KINDS[kind])
    header = header_of(manifest, kind)
    coarse = [name for name, x in stored.items() if x.is_floating_point() and x.dtype.itemsize < 4]
    with taken_apart(path):
        tensors = tensors_of_today(manifest, stored)
        if coarse:
            raise ValueError(f"{coarse[0]} is {stored[coarse[0]].dtype}")
    return tensors, header, manifest.sha256


def _write(path: Path, header: AutoencoderHeader | DynamicsHeader, tensors: Mapping[str, Tensor]) -> None:
    write_model(path, FILE_KINDS[type(header)], tensors, to_plain(header))


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in tensors.items()}


def _group(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
