"""What stands in the header of a model file, read and checked without torch."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smdgen import __version__
from smdgen.errors import ArtifactError, is_out_of_memory
from smdgen.files import require_regular_file

#: Number of the layout of model files. Newer ones are refused; `store.migrations` brings older ones up.
SCHEMA = 2

#: Name of our entry among the metadata of a safetensors file.
KEY = "smdgen"

#: Type names of safetensors as torch writes them.
_TYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
}  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """A sound model file, without its weights."""

    path: Path
    schema: int
    kind: str  # "vae", "lstm" or "checkpoint"
    version: str  # of the smdgen that wrote it
    header: dict[str, Any]
    sha256: str  # over the header and every tensor
    shapes: dict[str, tuple[int, ...]]  # of every tensor


def read_manifest(path: Path, content: bytes | None = None) -> Manifest:
    """The manifest of a model file, after its checksum was compared with all bytes of the file.

    Args:
        path: The file.
        content: Its bytes, where they were read already.

    Raises:
        ArtifactError: No such file, not a model of smdgen, newer than this program, or not the
            bytes that were written.
    """
    content = read_bytes(path) if content is None else content
    try:
        length = int.from_bytes(content[:8], "little")
        listed = json.loads(content[8 : 8 + length])
        manifest = json.loads(listed.pop("__metadata__")[KEY])
        if not isinstance(manifest, dict) or not isinstance(manifest.get("header"), dict):
            raise TypeError("no header")
        weights = memoryview(content)[8 + length :]
        parts = [_part(name, entry, weights) for name, entry in listed.items()]
        offsets = [entry["data_offsets"] for entry in listed.values()]
        if sum(stop - start for start, stop in offsets) != len(weights):
            raise ValueError("cut, or with something behind")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise not_a_model(path, len(content)) from error
    schema = manifest.get("schema")
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        raise ArtifactError(
            f"{path} has layout {schema}, written by smdgen {manifest.get('version')}; "
            f"this smdgen {__version__} reads up to {SCHEMA}: update smdgen"
        )
    claimed = manifest.pop("sha256", None)
    if claimed != content_hash(manifest, parts):
        raise ArtifactError(
            f"{path} is damaged: its checksum is wrong; take an intact copy or train the model again"
        )
    shapes = {name: tuple(shape) for name, _, shape, _ in parts}
    kind, version = str(manifest.get("kind")), str(manifest.get("version"))
    return Manifest(Path(path), schema, kind, version, manifest["header"], claimed, shapes)


@contextmanager
def taken_apart(*paths: Path) -> Iterator[None]:
    """Use what sound model files hold; a header or weights of another make-up become one clear error.

    Memory that runs out says nothing of a file, so that error passes.

    Raises:
        ArtifactError: Anything in the block is missing, or of another type or shape than expected.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, StopIteration) as error:
        if is_out_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ArtifactError(
            f"{' or '.join(map(str, paths))} is whole, but not made up as smdgen {__version__} does it "
            f"({reason}); train the model again"
        ) from error


#: Name, type, shape and bytes of a tensor.
Part = tuple[str, str, list[int], bytes | memoryview]


def content_hash(manifest: Mapping[str, Any], parts: Iterable[Part]) -> str:
    """SHA-256 over the manifest without its own checksum, and every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode())
    for name, kind, shape, content in sorted(parts, key=lambda part: part[0]):
        digest.update(f"\n{name} torch.{kind} {shape}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def read_bytes(path: Path) -> bytes:
    """All bytes of a model file.

    Raises:
        ArtifactError: Missing, or no regular file.
    """
    require_regular_file(path, "a model file of smdgen", ArtifactError)
    return Path(path).read_bytes()


def not_a_model(path: Path, n_bytes: int) -> ArtifactError:
    """What to say of a file that cannot be taken apart."""
    return ArtifactError(
        f"{path} ({n_bytes} bytes) is not a model file of smdgen, or it is damaged; "
        "take an intact copy or train the model again"
    )


def _part(name: str, entry: Mapping[str, Any], weights: memoryview) -> Part:
    start, stop = entry["data_offsets"]
    return name, _TYPES[entry["dtype"]], list(entry["shape"]), weights[start:stop]
