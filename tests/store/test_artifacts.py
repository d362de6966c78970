"""Model files: round trip, reproducible bytes, every damaged byte found."""

import pytest
import torch

from smdgen.errors import ArtifactError
from smdgen.store.artifacts import model_hash, read_model, write_model
from smdgen.store.manifest import SCHEMA


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(3)
    return {
        "weight": torch.randn(5, 3, generator=generator),
        "half": torch.randn(4, generator=generator).to(torch.bfloat16),
        "count": torch.tensor(7),
        "strided": torch.arange(12.0).reshape(3, 4).T,
    }


HEADER = {"atoms": ["N", "CA"], "units": {"length": "Å"}, "scale": 0.1, "nested": {"b": [1, 2.5, None]}}


def test_round_trip_keeps_tensors_and_header(tmp_path, tensors):
    write_model(tmp_path / "m.safetensors", "vae", tensors, HEADER)
    read, manifest = read_model(tmp_path / "m.safetensors", "vae")
    assert manifest.header == HEADER
    assert manifest.sha256 == model_hash(tmp_path / "m.safetensors")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


def test_same_content_gives_the_same_bytes_in_any_order(tmp_path, tensors):
    write_model(tmp_path / "a", "vae", tensors, HEADER)
    write_model(tmp_path / "b", "vae", dict(reversed(tensors.items())), dict(reversed(HEADER.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert len(model_hash(tmp_path / "a")) == 64


def test_every_flipped_byte_is_found(tmp_path, tensors):
    path = tmp_path / "m"
    write_model(path, "vae", tensors, HEADER)
    sound = path.read_bytes()
    broken = tmp_path / "broken"
    for place in range(len(sound)):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << (place % 8)
        broken.write_bytes(damaged)
        try:
            read, manifest = read_model(broken, "vae")
        except ArtifactError:
            continue
        assert manifest.header == HEADER, place  # such as a blank of the padding, without a meaning
        assert all(torch.equal(read[name], tensors[name]) for name in tensors), place


@pytest.mark.parametrize("keep", [0, 5, 8, 100, -1])
def test_cut_files_are_refused(tmp_path, tensors, keep):
    path = tmp_path / "m"
    write_model(path, "vae", tensors, HEADER)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArtifactError, match=r"not a model file|is empty"):
        read_model(path, "vae")


def test_other_kind_missing_file_and_folder_are_refused(tmp_path, tensors):
    write_model(tmp_path / "m", "vae", tensors, HEADER)
    with pytest.raises(ArtifactError, match="kind 'vae', expected 'lstm'"):
        read_model(tmp_path / "m", "lstm")
    with pytest.raises(ArtifactError, match="no such file"):
        read_model(tmp_path / "none", "vae")
    with pytest.raises(ArtifactError, match="is a folder"):
        read_model(tmp_path, "vae")


def test_newer_layout_is_refused(tmp_path, tensors, monkeypatch):
    monkeypatch.setattr("smdgen.store.artifacts.SCHEMA", SCHEMA + 1)
    write_model(tmp_path / "m", "vae", tensors, HEADER)
    with pytest.raises(ArtifactError, match=f"layout {SCHEMA + 1}"):
        read_model(tmp_path / "m", "vae")


def test_failed_write_keeps_the_old_file(tmp_path, tensors):
    path = tmp_path / "m"
    write_model(path, "vae", tensors, HEADER)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_model(path, "vae", tensors, {"bad": object()})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["m"]
