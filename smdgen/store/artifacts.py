"""Model files: safetensors weights with a header of ours, checked in full when they are read."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from smdgen import __version__
from smdgen.errors import ArtifactError
from smdgen.files import atomic_path, require_regular_file

#: Number of the layout of model files; a reader refuses newer ones and migrates older ones.
SCHEMA = 1

_KEY = "smdgen"


def write_model(path: Path, kind: str, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write weights and a header of plain data to one file, whole or not at all.

    The same content gives the same bytes.

    Args:
        path: The file, usually `<run>/vae.safetensors`.
        kind: What the model is, "vae" or "lstm"; the reader asks for the same word.
        tensors: Name to tensor; moved to the CPU.
        header: Anything JSON can hold: configuration, atoms, units, hashes.

    Raises:
        ArtifactError: The folder cannot be written.
    """
    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in sorted(tensors.items())}
    manifest = {"kind": kind, "schema": SCHEMA, "version": __version__, "header": dict(header)}
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    manifest = json.loads(text)
    manifest["sha256"] = _content_hash(manifest, stored)
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    with atomic_path(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(stored, metadata={_KEY: text}))


def read_model(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_model` wrote.

    Args:
        path: The file.
        kind: The kind expected.

    Returns:
        Tensors by name, on the CPU, and the header.

    Raises:
        ArtifactError: No such file, not a model of smdgen, of another kind, newer than this
            program, or not the bytes that were written.
    """
    manifest, tensors = _parse(path, _read(path))
    if manifest.get("kind") != kind:
        found = manifest.get("kind")
        raise ArtifactError(f"{path} holds a model of kind {found!r}, expected {kind!r}; give the other file")
    schema = manifest.get("schema")
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        raise ArtifactError(
            f"{path} has layout {schema}, written by smdgen {manifest.get('version')}; "
            f"this smdgen {__version__} reads up to {SCHEMA}: update smdgen"
        )
    claimed = manifest.pop("sha256", None)
    if claimed != _content_hash(manifest, tensors):
        raise ArtifactError(
            f"{path} is damaged: its checksum does not fit; take a sound copy or train the model again"
        )
    return tensors, manifest["header"]


def model_hash(path: Path) -> str:
    """SHA-256 over the content of a model file, as its manifest states it (64 hexadecimal digits).

    Raises:
        ArtifactError: No such file, or not a model of smdgen.
    """
    return str(_parse(path, _read(path))[0].get("sha256", ""))


def _read(path: Path) -> bytes:
    require_regular_file(path, "a model file of smdgen", ArtifactError)
    return path.read_bytes()


def _parse(path: Path, content: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    mistakes = (ValueError, KeyError, TypeError, AttributeError, RecursionError, safetensors.SafetensorError)
    try:
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        manifest = json.loads(metadata[_KEY])
        tensors = safetensors.torch.load(content)
        if not isinstance(manifest, dict) or not isinstance(manifest.get("header"), dict):
            raise TypeError("no header")
    except mistakes as error:
        raise ArtifactError(
            f"{path} ({len(content)} bytes) is no model file of smdgen, or it is damaged; "
            "take a sound copy or train the model again"
        ) from error
    return manifest, tensors


def _content_hash(manifest: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the manifest without its own checksum, and every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
