"""What a checkpoint says of the training that left it, read without torch."""

from dataclasses import dataclass
from pathlib import Path

from smdgen.errors import ArtifactError
from smdgen.store.headers import AutoencoderHeader, CheckpointHeader, DynamicsHeader, header_of
from smdgen.store.manifest import read_manifest

#: Flags that say how to begin, not what to train.
_BEGINNINGS = ("--resume", "--force")


@dataclass(frozen=True)
class Unfinished:
    """A training that was stopped before it ended.

    Attributes:
        epoch: Finished epochs.
        epochs: Epochs it was to have.
        made_from: Content hash of what it learns from: dataset.h5, or vae.safetensors.
        command: The line that started it, without `--resume` and `--force`; empty if it is not known.
    """

    epoch: int
    epochs: int
    made_from: str
    command: tuple[str, ...]

    @property
    def text(self) -> str:
        """How far it came."""
        return f"{self.epoch} of {self.epochs} epochs"


def unfinished(model: Path) -> Unfinished | None:
    """The training that was to make a network, from the checkpoint beside it.

    Args:
        model: The network, which need not be there.

    Returns:
        None if there is no sound checkpoint, or that of a training that ended.
    """
    try:
        header = header_of(read_manifest(checkpoint_of(model)), CheckpointHeader)
        epochs, made_from = header.epochs, header.made_from
    except (ArtifactError, LookupError, TypeError, ValueError, AttributeError):
        return None
    ended = header.epoch >= epochs and model.exists()
    return None if ended else Unfinished(header.epoch, epochs, made_from, header.command)


def checkpoint_of(model: Path) -> Path:
    """Where the training of a network keeps its state."""
    return model.with_suffix(".checkpoint")


def without_beginning(command: list[str]) -> list[str]:
    """A command line without the flags that say whether it begins anew or continues."""
    return [word for word in command if word not in _BEGINNINGS]


def is_finished(model: Path) -> bool:
    """Whether a network of a training that ran to its end is there."""
    try:
        manifest = read_manifest(model)
        header: AutoencoderHeader | DynamicsHeader
        if manifest.kind == "vae":
            header = header_of(manifest, AutoencoderHeader)
        else:
            header = header_of(manifest, DynamicsHeader)
        return header.epochs >= header.settings["epochs"]
    except (ArtifactError, LookupError):
        return False
