"""Lists of SHA-256 sums as `sha256sum` writes them, and files held to them."""

import os
import re
from pathlib import Path

from smdgen.errors import ConfigError, TrajectoryError
from smdgen.files import read_text_lines, require_regular_file, sha256_file

_LINE = re.compile(r"\\?([0-9a-fA-F]{64}) [ *](.+)")
_NO_SUMS = "expected lines as `sha256sum` writes them: 64 hexadecimal digits, two blanks, a path"


def read_sums(path: Path) -> dict[Path, str]:
    """Sums by the file they belong to; relative paths count from the list's own folder.

    Raises:
        ConfigError: The list is missing, or a line is something else.
    """
    require_regular_file(path, "a list of SHA-256 sums", ConfigError)
    sums: dict[Path, str] = {}
    for number, line in enumerate(read_text_lines(path), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            raise ConfigError(f"{path}, line {number}: {line.strip()[:40]!r} is not a checksum; {_NO_SUMS}")
        sums[Path(os.path.realpath(path.parent / match[2]))] = match[1].lower()
    if not sums:
        raise ConfigError(f"{path} lists no file; {_NO_SUMS}")
    return sums


def hold_to_sum(path: Path, sums: dict[Path, str], source: Path) -> str:
    """The SHA-256 of a file, which is the one listed.

    Args:
        path: The file.
        sums: As `read_sums` gives them.
        source: Where they were read from, for the message.

    Raises:
        ConfigError: The file is not listed.
        TrajectoryError: Its bytes are others.
    """
    expected = sums.get(Path(os.path.realpath(path)))
    if expected is None:
        raise ConfigError(f"{path} is not listed in {source}; add it (sha256sum {path} >> {source})")
    found = sha256_file(path)
    if found != expected:
        raise TrajectoryError(
            f"{path} has the SHA-256 {found[:12]}..., {source} says {expected[:12]}...; "
            "it changed: take an intact copy, or list it again"
        )
    return found
