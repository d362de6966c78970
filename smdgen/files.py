"""How files are looked at before they are opened, and written so that they are whole or absent."""

import errno
import hashlib
import json
import os
import secrets
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from smdgen.errors import ArtifactError, SmdgenError, WriteError

_TEMPORARY_PREFIX = ".smdgen-tmp-"
_READ_BLOCK = 1 << 20
_SPARSE_FROM = 64 << 20  # bytes; below it a hole does no harm
_PACKED = (  # how such a file begins, what packs it, under which ending, and what unpacks it
    (b"\x1f\x8b", "gzip", ".gz", "gunzip"),
    (b"BZh", "bzip2", ".bz2", "bunzip2"),
    (b"\xfd7zXZ\x00", "xz", ".xz", "unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd", ".zst", "unzstd"),
)
_WHOLE_UP_TO, _N_BLOCKS = 256 << 20, 64  # bytes; blocks


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    The temporary name keeps the suffix of `path`, because some writers choose a format by it.
    On any error it is removed and what was at `path` stays as it was.

    Raises:
        WriteError: The folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    temporary = path.parent / f"{_TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{path.suffix}"
    try:
        if path.is_dir():
            raise ArtifactError(f"cannot write {path}: it is a folder; choose another name or remove it")
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(
            f"cannot write {path}: {reason}; free space or choose a folder you can write to"
        ) from error
    finally:
        with suppress(OSError):  # on a read-only disk even what is not there cannot be removed
            temporary.unlink(missing_ok=True)


def sweep_temporaries(folder: Path) -> int:
    """Remove temporary files that a killed run left in `folder`; returns how many.

    Files of processes that still live are kept.
    """
    swept = 0
    for leftover in Path(folder).glob(f"{_TEMPORARY_PREFIX}*"):
        pid = leftover.name.removeprefix(_TEMPORARY_PREFIX).split("-")[0]
        if not pid.isdecimal() or not is_alive(int(pid)):
            leftover.unlink(missing_ok=True)
            swept += 1
    return swept


def refuse_unwritable(folder: Path, advice: str = "choose a folder you can write to") -> None:
    """Raise unless files can be made in a folder, or the folder itself where it is not there yet.

    A look at permissions before work that takes long; what fills up or is taken away later fails later.

    Args:
        folder: Where files shall go.
        advice: What to do otherwise.

    Raises:
        ArtifactError: A file is where the folder or one above it should be.
        WriteError: It may not be written to.
    """
    above = [Path(folder).absolute(), *Path(folder).absolute().parents]
    there = next(path for path in above if os.path.lexists(path))
    if not there.is_dir():
        named = folder if there == above[0] else there
        raise ArtifactError(f"{named} is a file, expected a folder to write to; {advice}")
    if os.access(there, os.W_OK | os.X_OK):
        return
    reason = os.strerror(errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES)
    raise WriteError(f"cannot write {folder}: {reason}; {advice}")


def refuse_overwrite(path: Path, force: bool) -> None:
    """Raise unless `path` is free or may be replaced, in a folder that can be written to.

    Raises:
        ArtifactError: `path` exists and `force` is false.
        WriteError: Its folder may not be written to.
    """
    refuse_unwritable(Path(path).parent)
    if Path(path).exists() and not force:
        raise ArtifactError(f"{path} exists already; add --force to replace it or choose another --run")


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(_READ_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def checksum(path: Path) -> str:
    """SHA-256 of a file; above 256 MiB `blocks:` and that of 64 blocks, as reading all would take minutes.

    The blocks have 1 MiB each and lie evenly from the first to the last byte; the size, in decimal digits,
    is hashed before them.
    """
    size = Path(path).stat().st_size
    if size <= _WHOLE_UP_TO:
        return sha256_file(path)
    digest = hashlib.sha256(str(size).encode())
    with Path(path).open("rb", buffering=0) as stream:
        for block in range(_N_BLOCKS):
            stream.seek((size - _READ_BLOCK) * block // (_N_BLOCKS - 1))
            digest.update(stream.read(_READ_BLOCK))
    return f"blocks:{digest.hexdigest()}"


def require_regular_file(path: Path, kind: str, error_type: type[SmdgenError]) -> int:
    """Size of the regular file at `path`, bytes, after a look that opens nothing.

    Args:
        path: What the user named; links are followed.
        kind: What was expected there, in words ("a DCD trajectory").
        error_type: What to raise.

    Raises:
        SmdgenError: Of the given type: it is missing, no regular file, empty, unreadable or a hole.
    """
    path = Path(path)
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", error)
        raise error_type(f"cannot read {path}: {reason}; expected {kind}: check the path") from error
    if not stat.S_ISREG(status.st_mode):
        raise error_type(f"{path} is {_node_kind(status.st_mode)}; expected {kind}: name a file")
    if status.st_size == 0:
        raise error_type(f"{path} is empty (0 bytes); expected {kind}: copy or write it again")
    stored = getattr(status, "st_blocks", status.st_size) * 512
    if status.st_size > _SPARSE_FROM and stored < status.st_size // 1000:
        raise error_type(
            f"{path} claims {status.st_size} bytes but stores {stored}; expected {kind}: copy it again"
        )
    if not os.access(path, os.R_OK):
        raise error_type(f"cannot read {path}: permission denied; expected {kind}: check its mode")
    return status.st_size


def refuse_packed(path: Path, error_type: type[SmdgenError]) -> None:
    """Raise if a file is packed, whatever its name.

    Args:
        path: A regular file.
        error_type: What to raise.

    Raises:
        SmdgenError: Of the given type, with the command that unpacks it.
    """
    path = Path(path)
    with path.open("rb") as stream:
        head = stream.read(6)
    program, suffix, command = next((row for start, *row in _PACKED if head.startswith(start)), ("", "", ""))
    if not program:
        return
    name = shlex.quote(str(path))
    # the programs take no other names
    how = f"{command} {name}" if path.suffix == suffix else f"{command} < {name} > unpacked{path.suffix}"
    raise error_type(f"{path} is packed with {program}; unpack it first ({how})")


def read_json(path: Path) -> Any:
    """What a JSON file holds; None if it is missing, no regular file, or no JSON."""
    try:
        require_regular_file(path, "a JSON file", ArtifactError)
        return json.loads(path.read_text(encoding="utf-8"))
    except (ArtifactError, OSError, ValueError, RecursionError):
        return None


def read_text_lines(path: Path) -> list[str]:
    """Lines of a text file in any encoding that keeps ASCII, with any line ends, without a byte-order mark.

    Bytes above 127 become the characters of latin-1; those occur in remarks only.
    """
    text = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _node_kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "no regular file")


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # Windows cannot open a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems refuse; the rename itself was atomic
        pass
    finally:
        os.close(descriptor)


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number, of whatever user."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
