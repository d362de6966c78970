"""The headers of model files: what each says besides its weights, read and written without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from smdgen.method.presets import Numbers
from smdgen.store.manifest import Manifest, taken_apart
from smdgen.store.migrations import header_of_today
from smdgen.store.plain import from_plain


@dataclass(frozen=True)
class AutoencoderHeader:
    """The header of vae.safetensors.

    Attributes:
        preset: Name of the method.
        numbers: All numbers of the method, as they were when it was trained.
        representation: What the network reads: "internal", "aligned" or "cartesian" coordinates, or a "fold".
        sizes: Sizes of the network: `n_atoms`, `latent_size`, `hidden_size`.
        settings: Numbers of the training: epochs, batch size, rate, weights of the loss.
        config: The user's settings.
        structure: The modelled atoms, as `structure_to_json` gives them.
        atom_hash: SHA-256 over the names of the atoms.
        cv: The collective variable, as `cvs.to_dict` gives it.
        content_hash: Of the dataset it was trained on.
        terms: Where the bonded terms came from.
        units: Of lengths and energies.
        epochs: How many were trained.
        validation_rmsd_A: A. Mean RMSD of validation frames to their reconstruction.
        training_radius_A: A. Largest RMSD of a validation frame to the nearest of the reference frames.
    """

    preset: str
    numbers: Numbers
    representation: str
    sizes: Mapping[str, int]
    settings: Mapping[str, float]
    config: Mapping[str, Any]
    structure: str
    atom_hash: str
    cv: Mapping[str, Any]
    content_hash: str
    terms: str
    units: Mapping[str, str]
    epochs: int
    validation_rmsd_A: float
    training_radius_A: float

    def __post_init__(self) -> None:
        if not self.training_radius_A >= 0:
            raise ValueError(f"training_radius_A is {self.training_radius_A}")


@dataclass(frozen=True)
class CriticScore:
    """How well a critic tells sampled next frames from true ones.

    Attributes:
        auc: On validation pulls, 0.5 for not at all.
        n_samples: Sampled frames it learned from.
    """

    auc: float
    n_samples: int


@dataclass(frozen=True)
class DynamicsHeader:
    """The header of lstm.safetensors.

    Attributes:
        preset: Name of the method.
        numbers: All numbers of the method, as they were when it was trained.
        sizes: Sizes of the network, by the names of its arguments.
        settings: Numbers of the training: epochs, batch size, rate, width.
        config: The user's settings.
        vae_sha256: Content hash of the autoencoder it belongs to.
        content_hash: Of the dataset.
        duration_ps: ps. From the first to the last frame of a training pull.
        interval_ps: ps. Between two frames.
        epochs: How many were trained.
        critic: Of the critic in the file; None without one.
    """

    preset: str
    numbers: Numbers
    sizes: Mapping[str, int]
    settings: Mapping[str, float]
    config: Mapping[str, Any]
    vae_sha256: str
    content_hash: str
    duration_ps: float
    interval_ps: float
    epochs: int
    critic: CriticScore | None = None

    def __post_init__(self) -> None:
        if not self.duration_ps > 0:
            raise ValueError(f"duration_ps is {self.duration_ps}")


@dataclass(frozen=True)
class CheckpointHeader:
    """The header of the checkpoint of a training.

    Attributes:
        epoch: Finished epochs.
        best_loss: The lowest validation loss; None if none was finite.
        first_loss: That before training; likewise.
        history: Name and value after each epoch of every loss.
        identity: What is trained, from what and how; a resumed training has the same.
        command: The line that started it.
    """

    epoch: int
    best_loss: float | None
    first_loss: float | None
    history: tuple[tuple[str, tuple[Any, ...]], ...]
    identity: Mapping[str, Any]
    command: tuple[str, ...] = ()

    @property
    def trains(self) -> str:
        """The kind of model in training."""
        return str(self.identity["kind"])

    @property
    def preset(self) -> str:
        """Name of the method."""
        return str(self.identity["preset"])

    @property
    def epochs(self) -> int:
        """Epochs that were asked for."""
        return int(self.identity["settings"]["epochs"])

    @property
    def made_from(self) -> str:
        """Content hash of what it learns from."""
        return str(self.identity.get("dataset", self.identity.get("vae")))


Header = TypeVar("Header", AutoencoderHeader, DynamicsHeader, CheckpointHeader)

#: The word for each in a file.
FILE_KINDS = {AutoencoderHeader: "vae", DynamicsHeader: "lstm", CheckpointHeader: "checkpoint"}


def header_of(manifest: Manifest, kind: type[Header]) -> Header:
    """The header of a sound model file, brought to today's layout.

    Raises:
        ArtifactError: A field is missing, unknown or of another type: no smdgen of this layout wrote it.
    """
    with taken_apart(manifest.path):
        return from_plain(kind, header_of_today(manifest), "its header")
