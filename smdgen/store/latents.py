"""latents.h5: the mean latent of every frame of a dataset, and what it was made from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import ArtifactError
from smdgen.store.sealed_hdf5 import create_sealed, open_sealed

_KIND = "latents"
_MARGIN = 1 << 20  # bytes, for the headers of HDF5


@dataclass(frozen=True)
class Latents:
    """Encoded frames.

    Attributes:
        means: (n_frames, latent_size). Mean latent of each frame, in the order of the dataset.
        vae_hash: Content hash of the autoencoder that made them; its header names the dataset.
    """

    means: NDArray[np.floating]
    vae_hash: str


def write_latents(path: Path, latents: Latents) -> None:
    """Write latents.h5, whole or not at all."""
    with create_sealed(path, _KIND, latents.means.nbytes + _MARGIN) as file:
        file["latents"] = latents.means
        file.attrs["n_frames"] = len(latents.means)
        file.attrs["vae_sha256"] = latents.vae_hash


def read_latents(path: Path) -> Latents:
    """Read latents.h5. Layout 1 held CV, times and pulls as well, which stand in the dataset.

    Raises:
        ArtifactError: Missing, damaged, or no latents.
    """
    with open_sealed(path, _KIND) as file:
        latents = Latents(file["latents"][:], str(file.attrs["vae_sha256"]))
        n_frames = len(file["cv"]) if "n_frames" not in file.attrs else int(file.attrs["n_frames"])
        if not _fits(latents.means, n_frames):
            raise ArtifactError(
                f"{path} holds latents that are not finite, or not those of {n_frames} frames; "
                "run `smdgen train-vae --force`"
            )
    return latents


def _fits(means: NDArray[np.floating], n_frames: int) -> bool:
    """Whether all are finite numbers, of as many frames."""
    return (
        means.ndim == 2
        and len(means) == n_frames
        and means.dtype.kind == "f"
        and bool(np.isfinite(means).all())
    )
