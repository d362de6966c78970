"""latents.h5: what was written comes back, also of an earlier layout."""

import numpy as np
import pytest

from smdgen.errors import ArtifactError
from smdgen.store import sealed_hdf5
from smdgen.store.latents import Latents, read_latents, write_latents

MEANS = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)


def test_latents_come_back(tmp_path):
    write_latents(tmp_path / "latents.h5", Latents(MEANS, "ab" * 32))
    found = read_latents(tmp_path / "latents.h5")
    np.testing.assert_array_equal(found.means, MEANS)
    assert (found.means.dtype, found.vae_hash) == (np.float32, "ab" * 32)


@pytest.mark.parametrize("n_frames", [12, 11])
def test_layout_1_is_read_without_what_stands_in_the_dataset(tmp_path, monkeypatch, n_frames):
    """It held CV, times and pulls, as many as frames."""
    monkeypatch.setitem(sealed_hdf5.LAYOUTS, "latents", 1)
    path = tmp_path / "latents.h5"
    with sealed_hdf5.create_sealed(path, "latents", 100_000) as file:
        file["latents"], file["cv"], file["time"] = MEANS, np.zeros(n_frames), np.zeros(n_frames)
        file["pulls"] = '[["a", 0, 12, "train"]]'
        file.attrs["vae_sha256"] = "ab" * 32
    monkeypatch.undo()
    if n_frames != len(MEANS):
        with pytest.raises(ArtifactError, match="not those of 11 frames"):
            read_latents(path)
        return
    found = read_latents(path)
    np.testing.assert_array_equal(found.means, MEANS)
    assert found.vae_hash == "ab" * 32
