"""HDF5 files that carry a checksum over all their bytes in front of the HDF5 part.

The first 512 bytes are HDF5's "user block", which every HDF5 program skips; it names the kind of file, the
layout, the version and the SHA-256 of these words and all bytes after. Damage is found before libhdf5
sees it.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import h5py

from smdgen import __version__
from smdgen.errors import ArtifactError
from smdgen.files import atomic_path, require_regular_file

#: Number of the layout of each kind of our HDF5 files; a reader refuses newer ones.
LAYOUTS = {"dataset": 1, "latents": 2}

SEAL_SIZE = 512
_MAGIC = "smdgen"
_EXPLANATION = (
    "This is an HDF5 file. The line above ends with the SHA-256 of its own first four words\n"
    "and of all bytes after the first 512, so a change to either is noticed.\n"
)
_BLOCK = 1 << 22
_ABSURD_SIZE = 4 << 30
_ABSURD_RATIO = 1000


@contextlib.contextmanager
def create_sealed(path: Path, kind: str, reserve: int) -> Iterator[h5py.File]:
    """An HDF5 file open for writing, which takes its place at `path`, sealed, when the block ends well.

    The space is taken from the disk before anything is written, because libhdf5 dies on a full disk.

    Args:
        path: The file.
        kind: What it holds, one of `LAYOUTS`.
        reserve: Bytes it will need at most; what is not used is given back.

    Raises:
        ArtifactError: The disk is full or the folder cannot be written to.
    """
    with atomic_path(path) as temporary, temporary.open("w+b") as stream:
        _reserve(stream, reserve)  # a full disk is met here, where it is only an error
        stream.truncate(0)  # because libhdf5 begins a new file in an empty one only
        with h5py.File(stream, "w", userblock_size=SEAL_SIZE) as file:
            _reserve(stream, reserve)
            yield file
        stream.flush()
        seal = _seal(stream, kind, str(LAYOUTS[kind]), __version__)
        stream.seek(0)
        stream.write(seal)


@contextlib.contextmanager
def open_sealed(path: Path, kind: str) -> Iterator[h5py.File]:
    """An HDF5 file open for reading, after its seal was checked.

    Raises:
        ArtifactError: Missing, not a file of ours, of another kind, newer than this program, changed since it
            was written, or with links that lead out of the file.
    """
    seal = read_seal(path, kind)
    with path.open("rb") as stream:
        _, _, schema, version, _ = _words(seal)
        if seal != _seal(stream, kind, schema, version):
            raise ArtifactError(f"{path} is damaged or was changed: its checksum does not fit; make it again")
    try:
        with h5py.File(path, "r") as file:
            _refuse_tricks(path, file)
            yield file
    except (LookupError, RuntimeError, OSError, ValueError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path} is not laid out as smdgen writes it ({error}); make it again") from error


def read_seal(path: Path, kind: str) -> bytes:
    """The first 512 bytes of a file of ours; two files with equal seals have equal bytes.

    Raises:
        ArtifactError: Missing, not a file of ours, of another kind, or newer than this program.
    """
    require_regular_file(path, f"a {kind} file of smdgen", ArtifactError)
    with path.open("rb") as stream:
        seal = stream.read(SEAL_SIZE)
    words = _words(seal)
    if len(seal) < SEAL_SIZE or len(words) != 5 or words[0] != _MAGIC:
        raise ArtifactError(
            f"{path} is not a file of smdgen, expected a {kind}; make it again or name another file"
        )
    if words[1] != kind:
        raise ArtifactError(f"{path} holds a {words[1]}, expected a {kind}; name the other file")
    if not words[2].isdecimal() or not 1 <= int(words[2]) <= LAYOUTS[kind]:
        raise ArtifactError(
            f"{path} has layout {words[2]}, written by smdgen {words[3]}; "
            f"this smdgen {__version__} reads up to {LAYOUTS[kind]}: update smdgen"
        )
    return seal


def written_by(path: Path, kind: str) -> str:
    """Version of the smdgen that wrote a file; raises as `read_seal`."""
    return _words(read_seal(path, kind))[3]


def _words(seal: bytes) -> list[str]:
    return seal.split(b"\n", 1)[0].decode("latin-1").split(" ")


def _seal(stream: BinaryIO, kind: str, schema: str, version: str) -> bytes:
    """The user block that belongs to the bytes after it."""
    line = f"{_MAGIC} {kind} {schema} {version} "
    digest = hashlib.sha256(line.encode("latin-1"))
    stream.seek(SEAL_SIZE)
    while block := stream.read(_BLOCK):
        digest.update(block)
    text = f"{line}{digest.hexdigest()}\n{_EXPLANATION}"
    return text.encode("latin-1").ljust(SEAL_SIZE, b"\n")


def _reserve(stream: BinaryIO, size: int) -> None:
    if hasattr(os, "posix_fallocate"):  # not on macOS
        os.posix_fallocate(stream.fileno(), 0, SEAL_SIZE + size)


def _refuse_tricks(path: Path, file: h5py.File) -> None:
    """Refuse what can read other files or ask for absurd memory, in a file that somebody made on purpose."""
    seen = set()
    groups = [file]
    while groups:
        group = groups.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ArtifactError(f"{path}: {group.name}/{name} is a link to another place; refused")
            item = group[name]
            place = h5py.h5o.get_info(item.id).addr
            if place in seen:
                raise ArtifactError(f"{path}: {item.name} is linked twice; refused")
            seen.add(place)
            if isinstance(item, h5py.Group):
                groups.append(item)
            elif isinstance(item, h5py.Dataset):
                _refuse_dataset(path, item)


def _refuse_dataset(path: Path, item: h5py.Dataset) -> None:
    if item.is_virtual or item.external:
        raise ArtifactError(f"{path}: {item.name} takes its data from another file; refused")
    if item.nbytes > _ABSURD_SIZE and item.nbytes > _ABSURD_RATIO * item.id.get_storage_size():
        raise ArtifactError(
            f"{path}: {item.name} claims {item.nbytes} bytes and stores {item.id.get_storage_size()}; refused"
        )
