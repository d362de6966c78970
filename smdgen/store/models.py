"""Model files: the autoencoder's and the dynamics', opened whole and checked, or saved."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from smdgen.geometry.atoms import Molecule
from smdgen.geometry.cvs import from_dict as cv_from_dict
from smdgen.method.autoencoder import InternalVae
from smdgen.method.model import PullModel, build_critic, build_lstm, build_vae, nearest_allowed
from smdgen.method.paper import PaperVae
from smdgen.method.training_paths import Schedule
from smdgen.store.artifacts import read_model, write_model
from smdgen.store.headers import KINDS, AutoencoderHeader, DynamicsHeader, Header, header_of
from smdgen.store.manifest import taken_apart
from smdgen.store.plain import to_plain


@dataclass(frozen=True)
class AutoencoderFile:
    """What vae.safetensors holds.

    Attributes:
        header: What it says of itself.
        weights: Of the network, by name.
        landmarks: (n_landmarks, n_atoms, 3), A. Some training frames, on the first one.
        sha256: Content hash of the file it was read from; empty for a new one.
    """

    header: AutoencoderHeader
    weights: Mapping[str, Tensor]
    landmarks: Tensor
    sha256: str = ""

    @classmethod
    def open(cls, path: Path) -> "AutoencoderFile":
        """Read it, checked in full.

        Raises:
            ArtifactError: Missing, damaged, of another kind, or not as `save` writes it.
        """
        tensors, header, sha256 = _read(path, AutoencoderHeader)
        with taken_apart(path):
            landmarks = tensors["landmarks"]
            if landmarks.shape != (len(landmarks), header.sizes["n_atoms"], 3) or not len(landmarks):
                raise ValueError(f"landmarks of shape {tuple(landmarks.shape)}")
            return cls(header, _group(tensors, "weights."), landmarks, sha256)

    def save(self, path: Path) -> None:
        """Write it, whole or not at all.

        Raises:
            ArtifactError: The folder cannot be written.
        """
        _write(path, self.header, {**_named("weights.", self.weights), "landmarks": self.landmarks})

    def network(self) -> PaperVae | InternalVae:
        """The autoencoder, ready to use.

        Raises:
            ValueError: Or the like, where weights do not fit the header; see `taken_apart`.
        """
        return build_vae(self.weights, self.header.preset, self.header.sizes, self.header.bonds)


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


def build_model(vae: AutoencoderFile, lstm: DynamicsFile, structure: Molecule) -> PullModel:
    """Everything a rollout needs, from both files and the modelled atoms.

    Raises:
        ValueError: Or the like, where weights do not fit a header; see `taken_apart`.
    """
    critic = build_critic(lstm.critic, structure)
    return PullModel(
        vae.network(),
        build_lstm(lstm.weights, lstm.header.preset, lstm.header.sizes),
        cv_from_dict(vae.header.cv),
        Schedule(lstm.paths, lstm.header.duration_ps),
        vae.landmarks,
        vae.header.reach_A,
        nearest_allowed(structure, vae.landmarks),
        None if critic is None else critic.to(vae.landmarks),
    )


def _read(path: Path, kind: type[Header]) -> tuple[dict[str, Tensor], Header, str]:
    """Tensors, header and content hash of a model file."""
    tensors, manifest = read_model(path, KINDS[kind])
    header = header_of(manifest, kind)
    coarse = [name for name, x in tensors.items() if x.is_floating_point() and x.dtype.itemsize < 4]
    with taken_apart(path):
        if coarse:
            raise ValueError(f"{coarse[0]} is {tensors[coarse[0]].dtype}")
    return tensors, header, manifest.sha256


def _write(path: Path, header: AutoencoderHeader | DynamicsHeader, tensors: Mapping[str, Tensor]) -> None:
    write_model(path, KINDS[type(header)], tensors, to_plain(header))


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in tensors.items()}


def _group(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
