"""Model files: safetensors weights with a header of ours, checked in full when they are read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from smdgen import __version__
from smdgen.errors import ArtifactError
from smdgen.files import atomic_path
from smdgen.store.manifest import (
    KEY,
    SCHEMA,
    Manifest,
    Part,
    content_hash,
    not_a_model,
    read_bytes,
    read_manifest,
)


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
    manifest["sha256"] = content_hash(manifest, [_part(*item) for item in stored.items()])
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    with atomic_path(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(stored, metadata={KEY: text}))


def read_model(path: Path, kind: str) -> tuple[dict[str, Tensor], Manifest]:
    """Read what `write_model` wrote.

    Args:
        path: The file.
        kind: The kind expected.

    Returns:
        Tensors by name, on the CPU, and what stands beside them.

    Raises:
        ArtifactError: No such file, not a model of smdgen, of another kind, newer than this
            program, not the bytes that were written, or not finite.
    """
    content = read_bytes(path)
    manifest = read_manifest(path, content)
    if manifest.kind != kind:
        raise ArtifactError(
            f"{path} holds a model of kind {manifest.kind!r}, expected {kind!r}; give the other file"
        )
    try:
        tensors = safetensors.torch.load(content)
    except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise not_a_model(path, len(content)) from error
    bad = [name for name, x in tensors.items() if x.is_floating_point() and not x.isfinite().all()]
    if bad:
        raise ArtifactError(f"{path} holds numbers that are not finite (in {bad[0]}); train the model again")
    return tensors, manifest


def model_hash(path: Path) -> str:
    """SHA-256 over the content of a model file (64 hexadecimal digits).

    Raises:
        ArtifactError: No such file, or not a sound model of smdgen.
    """
    return read_manifest(path).sha256


def _part(name: str, tensor: Tensor) -> Part:
    content = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape), content
