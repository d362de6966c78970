"""The folder that `simulate` fills: one file set per pull, and what all of its pulls have in common."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import ArtifactError, WriteError
from smdgen.files import atomic_path, read_json, sweep_temporaries
from smdgen.forcefield.system import file_kind
from smdgen.geometry.cvs import CollectiveVariable, colvars_config
from smdgen.io.structures.structure import Structure, write_pdb
from smdgen.io.tables.colvars import ColvarsTable, write_colvars_input, write_colvars_traj
from smdgen.io.trajectories.dcd import write_dcd
from smdgen.steered_md.pull import PullProtocol, PullRecord
from smdgen.store.folder import own_files

#: What pulls of one set have in common, in their folder.
PROTOCOL_FILE = "protocol.json"

#: What a pull leaves in the folder.
PULL_FILES = ("pull_#.dcd", "pull_#.colvars.traj", "pull_#.colvars.in")

BIAS_NAME = "pull"

#: What it means when a hash of the settings differs.
_HASHED = {
    "atoms": "other atoms",
    "start_hash": "other start coordinates",
    "system_hash": "other charges or force-field terms, or another OpenMM",
}

#: Settings that folders of earlier versions do not have.
_LATER = {"start_hash", "system_hash"}


def pull_path(output: Path, index: int) -> Path:
    """Trajectory of pull `index`."""
    return output / f"pull_{index:03d}.dcd"


def table_path(output: Path, index: int) -> Path:
    """Its Colvars table."""
    return output / f"pull_{index:03d}.colvars.traj"


def is_finished(output: Path, index: int) -> bool:
    """The trajectory is written last."""
    return pull_path(output, index).is_file() and table_path(output, index).is_file()


def known_protocol(output: Path) -> dict[str, Any]:
    """What the pulls of a folder have in common; empty if there are none."""
    known = read_json(output / PROTOCOL_FILE)
    return known if isinstance(known, dict) else {}


def prepare_folder(output: Path, identity: Mapping[str, Any], force: bool) -> None:
    """Create the folder of pulls, or check that its pulls are of the same settings; with `force` delete them.

    Args:
        output: The folder.
        identity: What its pulls have in common; kept beside them.
        force: Whether pulls that are there may be deleted.

    Raises:
        ArtifactError: It holds pulls of other settings and `force` is off, or pulls made otherwise.
        WriteError: It cannot be created.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot create {output}: {error.strerror}; choose another --output") from error
    sweep_temporaries(output)
    text = json.dumps(dict(identity), indent=2) + "\n"
    file = output / PROTOCOL_FILE
    found, wanted, there = read_json(file), json.loads(text), own_files(output, PULL_FILES)
    if there and not file.exists():
        raise ArtifactError(
            f"{output} holds {there[0].name} but no {PROTOCOL_FILE}: not made by `smdgen simulate`; "
            "give another --output"
        )
    if isinstance(found, dict) and not found.keys() & _LATER:
        found |= {key: wanted[key] for key in _LATER}  # made before these were recorded: not compared
    if file.exists() and found != wanted and not force:
        raise ArtifactError(
            f"{output} holds pulls of other settings (see {file}): {_difference(found, wanted)}; "
            "give the same settings to continue, another --output, or --force to start over"
        )
    if force:
        for old in there:
            old.unlink()
    with atomic_path(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_topology(output: Path, structure: Structure, file: Path, positions: NDArray[np.float64]) -> None:
    """The topology of the pulls: the PSF or prmtop they were made from, else a PDB.

    Args:
        output: The folder.
        structure: All atoms.
        file: What it was read from.
        positions: (n_atoms, 3), A.
    """
    kind = file_kind(structure)
    if kind:
        with atomic_path(output / f"topology.{kind}") as temporary:
            shutil.copyfile(file, temporary)
    else:
        write_pdb(output / "topology.pdb", structure, positions)


def _difference(found: Any, wanted: dict[str, Any]) -> str:
    if not isinstance(found, dict):
        return "it cannot be read"
    changed = [key for key in wanted if found.get(key) != wanted[key]]
    words = [_HASHED.get(key) or f"{key} was {found.get(key)}, is {wanted[key]}" for key in changed]
    return ", ".join(words) or "keys differ"


def write_pull(
    output: Path, index: int, record: PullRecord, protocol: PullProtocol, cv: CollectiveVariable
) -> None:
    """Write the Colvars input, the table, then the trajectory of one pull; each is whole or absent."""
    columns = {cv.name: record.cv, f"x0_{cv.name}": record.centre, f"W_{BIAS_NAME}": record.work}
    numbers = np.arange(1, record.positions.shape[1] + 1)
    write_colvars_input(output / f"pull_{index:03d}.colvars.in", colvars_config(cv, numbers))
    write_colvars_traj(table_path(output, index), ColvarsTable(record.steps, columns))
    write_dcd(
        pull_path(output, index),
        record.positions,
        timestep_ps=protocol.timestep_ps,
        steps_per_frame=protocol.steps_per_frame,
    )
