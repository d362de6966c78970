"""latents.h5: the mean latent of every frame, with its CV, split and the model it came from."""

import json
from collections.abc import Sequence
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
    """Encoded pulls.

    Attributes:
        means: (n_frames, latent_size). Mean latent of each frame.
        cv_values: (n_frames,). CV of each frame, in its unit.
        times_ps: (n_frames,), ps. Time within the pull.
        pulls: Name, first frame, frame after the last, and split of each pull.
        vae_hash: Content hash of the autoencoder that made them.
    """

    means: NDArray[np.floating]
    cv_values: NDArray[np.float64]
    times_ps: NDArray[np.float64]
    pulls: tuple[tuple[str, int, int, str], ...]
    vae_hash: str


def write_latents(
    path: Path,
    means: NDArray[np.floating],
    cv_values: NDArray[np.float64],
    times_ps: NDArray[np.float64],
    pulls: Sequence[tuple[str, int, int, str]],
    vae_hash: str,
    cv_unit: str,
) -> None:
    """Write latents.h5, whole or not at all; arguments as the fields of `Latents`."""
    reserve = means.nbytes + cv_values.nbytes + times_ps.nbytes + 4096 * len(pulls) + _MARGIN
    with create_sealed(path, _KIND, reserve) as file:
        file["latents"] = means
        file["cv"] = cv_values
        file["cv"].attrs["unit"] = cv_unit
        file["time"] = times_ps
        file["time"].attrs["unit"] = "ps"
        file["pulls"] = json.dumps([list(pull) for pull in pulls])
        file.attrs["vae_sha256"] = vae_hash


def read_latents(path: Path) -> Latents:
    """Read latents.h5.

    Raises:
        ArtifactError: Missing, damaged, or no latents.
    """
    with open_sealed(path, _KIND) as file:
        pulls = tuple((str(n), int(a), int(b), str(s)) for n, a, b, s in json.loads(file["pulls"][()]))
        latents = Latents(
            file["latents"][:], file["cv"][:], file["time"][:], pulls, str(file.attrs["vae_sha256"])
        )
        if not _fits(latents):
            raise ArtifactError(
                f"{path} holds latents that are not finite or do not fit their pulls; "
                "run `smdgen train-vae --force`"
            )
    return latents


def _fits(latents: Latents) -> bool:
    """Whether all are finite numbers, as many as the pulls have frames."""
    n_frames = len(latents.means)
    arrays = [latents.means, latents.cv_values, latents.times_ps]
    return (
        [x.ndim for x in arrays] == [2, 1, 1]
        and all(len(x) == n_frames and x.dtype.kind == "f" and np.isfinite(x).all() for x in arrays)
        and all(0 <= start < stop <= n_frames for _, start, stop, _ in latents.pulls)
    )
