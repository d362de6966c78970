"""What is in a file or run folder: the kind is told by its content, then described."""

from collections.abc import Callable
from pathlib import Path

from smdgen.about.facts import Description
from smdgen.about.molecular import describe_coordinates, describe_structure, describe_trajectory
from smdgen.about.run_folder import describe_run
from smdgen.about.stored import describe_dataset, describe_latents, describe_model
from smdgen.errors import ConfigError, TopologyError
from smdgen.files import require_regular_file
from smdgen.io.kinds import (
    COORDINATE_KINDS,
    TRAJECTORY_KINDS,
    coordinate_kind,
    is_ascii_trajectory,
    refuse_unread,
)
from smdgen.io.structures.structure import TOPOLOGY_SUFFIXES

_KNOWN = "a trajectory, a structure, a file of smdgen or a run folder"
_SEALED = {"dataset": describe_dataset, "latents": describe_latents}


def describe(path: Path) -> Description:
    """What there is to say about a file or run folder, after it was found sound.

    Raises:
        SmdgenError: It is missing, damaged, or nothing that smdgen knows.
    """
    if path.is_dir():
        return describe_run(path)
    require_regular_file(path, _KNOWN, ConfigError)
    refuse_unread(path, ConfigError)
    with path.open("rb") as stream:
        head = stream.read(64)
    return _describer(path, head)(path)


def _describer(path: Path, head: bytes) -> Callable[[Path], Description]:
    suffix = path.suffix.lower()
    words = head.split(b" ")
    if words[0] == b"smdgen" and len(words) > 1:
        kind = words[1].decode("latin-1")
        if kind not in _SEALED:
            raise ConfigError(f"{path} is a file of smdgen that holds {kind!r}; update smdgen")
        return _SEALED[kind]
    if suffix in (".safetensors", ".checkpoint"):
        return describe_model
    found = coordinate_kind(path)
    if found in TRAJECTORY_KINDS or is_ascii_trajectory(path):
        return describe_trajectory
    if found in COORDINATE_KINDS:
        return describe_coordinates
    return describe_structure if suffix in TOPOLOGY_SUFFIXES else _describe_unknown


def _describe_unknown(path: Path) -> Description:
    """Of a file whose ending says nothing: a structure, or nothing that we know."""
    try:
        return describe_structure(path)
    except TopologyError as error:
        raise ConfigError(f"{path} is not {_KNOWN}; docs/formats.md lists what is read") from error
