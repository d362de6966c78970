"""Which trained models a command uses: those of the run folder, or those that come with smdgen."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from smdgen.errors import ArtifactError
from smdgen.store.run_record import RunFolder

#: Folder of the model that comes with smdgen, and of the pulls that it can be compared with.
SHIPPED = Path(str(resources.files("smdgen"))) / "models" / "deca_alanine"


@dataclass(frozen=True)
class TrainedPaths:
    """Files of trained models.

    Attributes:
        vae: Of the autoencoder.
        lstm: Of the dynamics.
        dataset: The pulls to compare with; it may be missing.
        shipped: Whether they come with smdgen.
    """

    vae: Path
    lstm: Path
    dataset: Path
    shipped: bool

    @property
    def models(self) -> tuple[Path, Path]:
        """Both model files."""
        return self.vae, self.lstm


def trained_paths(folder: RunFolder) -> TrainedPaths:
    """The models of a run folder, or the shipped ones where no run was begun.

    Raises:
        ArtifactError: A run was begun and a step is missing.
    """
    if folder.dataset.exists() or folder.vae.exists() or folder.lstm.exists():
        vae, lstm = folder.require(folder.vae, "train-vae"), folder.require(folder.lstm, "train-lstm")
        return TrainedPaths(vae, lstm, folder.dataset, shipped=False)
    shipped = RunFolder(SHIPPED)
    if not (shipped.vae.is_file() and shipped.lstm.is_file()):
        raise ArtifactError(no_models(folder))
    return TrainedPaths(shipped.vae, shipped.lstm, SHIPPED / "reference.h5", shipped=True)


def no_models(folder: RunFolder) -> str:
    """The line for whoever has to train first."""
    return (
        f"no trained models in {folder.path}; run `smdgen prepare TRAJECTORY...`, `smdgen train-vae` and "
        "`smdgen train-lstm` first, or name their run folder with --run"
    )
