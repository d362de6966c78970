"""Structures from files: one function for every format, and what is done with them."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import TopologyError, TrajectoryError
from smdgen.files import require_regular_file
from smdgen.io.kinds import PDB_RECORDS, TRAJECTORY_KINDS, coordinate_kind, refuse_unread
from smdgen.io.structures.atom_records import made_whole, usable_box
from smdgen.io.structures.atoms import Structure, structure_from_json, structure_to_json, subset
from smdgen.io.structures.coordinates import COORDINATE_READERS
from smdgen.io.structures.gro import is_gro, read_gro
from smdgen.io.structures.matching import match_atoms
from smdgen.io.structures.mmcif import read_mmcif
from smdgen.io.structures.oddities import find_oddities
from smdgen.io.structures.pdb import read_pdb, read_pdb_models, write_pdb
from smdgen.io.structures.prmtop import read_prmtop
from smdgen.io.structures.psf import PsfTerms, read_psf, read_psf_terms, write_psf
from smdgen.io.structures.selection import select_atoms
from smdgen.io.trajectories.trajectory import open_trajectory

__all__ = [
    "PsfTerms",
    "Structure",
    "find_topology",
    "match_atoms",
    "place_atoms",
    "read_pdb_models",
    "read_positions",
    "read_psf_terms",
    "read_structure",
    "select_atoms",
    "structure_format",
    "structure_from_json",
    "structure_to_json",
    "subset",
    "write_pdb",
    "write_psf",
]

#: Endings of files that say which atoms there are, the most trusted first.
TOPOLOGY_SUFFIXES = (".psf", ".prmtop", ".parm7", ".pdb", ".cif", ".mmcif", ".ent", ".gro")
#: Those that never hold the frames of a trajectory.
ONLY_STRUCTURE_SUFFIXES = (".psf", ".prmtop", ".parm7", ".cif", ".mmcif", ".gro")
_FULL_TOPOLOGIES = 3  # how many of these list bonds

_STRUCTURE_READERS: dict[str, Callable[[Path], Structure]] = {
    "PSF": read_psf, "prmtop": read_prmtop, "mmCIF": read_mmcif, "PDB": read_pdb, "GRO": read_gro,
}  # fmt: skip

_STRUCTURE = "a structure (PSF, PDB, prmtop, mmCIF or GRO)"
_OTHER_STRUCTURES = {
    ".top": "a GROMACS topology",
    ".xml": "an XML file without atom names",
    ".dcd": "a trajectory",
    ".xtc": "a trajectory",
    ".trr": "a trajectory",
    ".nc": "a trajectory",
}


def read_structure(path: Path) -> Structure:
    """Atoms of a PSF, PDB, prmtop, mmCIF or GRO; the content decides which it is.

    Raises:
        TopologyError: The file is missing, of another kind, damaged or cut.
    """
    path = Path(path)
    require_regular_file(path, _STRUCTURE, TopologyError)
    try:
        structure = _STRUCTURE_READERS[structure_format(path)](path)
    except OSError as error:
        raise TopologyError(f"cannot read {path}: {error.strerror}; check the disk") from error
    notes = (f"{path.name}: {note}" for note in find_oddities(structure))
    return dataclasses.replace(structure, notes=(*structure.notes, *notes))


def read_positions(path: Path, n_atoms: int) -> NDArray[np.float64]:
    """Coordinates for a structure that has none.

    They come from a PDB, a trajectory (its first frame), an Amber restart, a NAMD .coor or a CHARMM CRD file;
    the content decides which it is.

    Returns:
        (n_atoms, 3), A.

    Raises:
        TopologyError: The file cannot be read or has another number of atoms.
        TrajectoryError: A trajectory cannot be read.
    """
    path = Path(path)
    require_regular_file(path, "coordinates (PDB, trajectory, Amber restart, .coor or CRD)", TopologyError)
    kind = coordinate_kind(path)
    if kind in TRAJECTORY_KINDS:
        with open_trajectory(path) as trajectory:
            positions = trajectory.read(slice(0, 1))[0].astype(np.float64)
    elif kind in COORDINATE_READERS:
        positions = COORDINATE_READERS[kind](path)
    else:
        found = read_structure(path).positions
        if found is None:
            raise TopologyError(
                f"{path} has no coordinates; give a PDB, a trajectory, an Amber restart, a .coor or CRD file"
            )
        positions = found
    if len(positions) != n_atoms:
        raise TopologyError(
            f"{path} has {len(positions)} atoms, the structure has {n_atoms}; give a file of the same system"
        )
    if not np.isfinite(positions).all():
        raise TrajectoryError(f"{path} has coordinates that are not finite; write it again")
    return np.asarray(positions, dtype=np.float64)


def place_atoms(structure: Structure, path: Path) -> tuple[NDArray[np.float64], list[str]]:
    """Coordinates for a structure that has none, as `read_positions`, with molecules whole.

    Args:
        structure: Its bonds lead over the walls of the box, if the file holds one.
        path: Of a trajectory the first frame is taken.

    Returns:
        (n_atoms, 3), A, and a note if the box cut a molecule.

    Raises:
        TopologyError: As `read_positions`.
        TrajectoryError: As `read_positions`.
    """
    positions = read_positions(path, structure.n_atoms)
    if coordinate_kind(path) not in TRAJECTORY_KINDS:
        return positions, []
    with open_trajectory(path) as trajectory:
        cell = None if trajectory.cells is None else trajectory.cells[0]
    return made_whole(Path(path), positions, structure.bonds, usable_box(cell))


def find_topology(trajectory: Path) -> Path:
    """The structure that belongs to a trajectory: of the same stem, or the only one beside it.

    A PSF or prmtop goes before a PDB, which then is just coordinates.

    Raises:
        TopologyError: There is none, or several that would do.
        TrajectoryError: What is named is packed, or of a kind that is never read.
    """
    trajectory = Path(trajectory)
    if not trajectory.parent.is_dir():
        raise TopologyError(
            f"no folder {trajectory.parent}, so no structure beside {trajectory.name}; check the path"
        )
    if trajectory.is_file():
        refuse_unread(trajectory, TrajectoryError)
    beside = sorted(
        path
        for path in trajectory.parent.iterdir()
        if path.suffix.lower() in TOPOLOGY_SUFFIXES and path != trajectory and path.is_file()
    )
    for candidates in ([path for path in beside if path.stem == trajectory.stem], beside):
        full = [path for path in candidates if path.suffix.lower() in TOPOLOGY_SUFFIXES[:_FULL_TOPOLOGIES]]
        chosen = full or candidates
        if len(chosen) == 1:
            return chosen[0]
    folder = trajectory.parent.resolve().name or str(trajectory.parent)
    if not beside:
        raise TopologyError(
            f"no PSF, prmtop, PDB, mmCIF or GRO beside {trajectory} (in {folder}); copy it there or name it "
            "with --top, where the command has it"
        )
    names = ", ".join(path.name for path in beside[:8])
    raise TopologyError(
        f"{len(beside)} structures beside {trajectory} could be its own: {names}; "
        "choose one with --top, or keep one there for a command that has no --top"
    )


def structure_format(path: Path) -> str:
    """PSF, prmtop, mmCIF, PDB or GRO: by content, else by the ending of the name.

    Raises:
        TopologyError: The file is missing, or of a kind that is known and not read.
    """
    require_regular_file(path, _STRUCTURE, TopologyError)
    refuse_unread(path, TopologyError)
    with path.open("rb") as stream:
        head = stream.read(4096).removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    start = head.lstrip()
    if start.startswith("PSF"):
        return "PSF"
    if start.startswith(("%VERSION", "%FLAG")):
        return "prmtop"
    if re.match(r"(\s*#[^\n]*\n)*\s*data_", start, re.IGNORECASE):
        return "mmCIF"
    if start.startswith(PDB_RECORDS):
        return "PDB"
    if is_gro(head.splitlines()):
        return "GRO"
    if path.suffix.lower() in _OTHER_STRUCTURES:
        kind = _OTHER_STRUCTURES[path.suffix.lower()]
        raise TopologyError(f"{path} is {kind}, expected {_STRUCTURE}; convert it to PDB")
    by_suffix = {".psf": "PSF", ".prmtop": "prmtop", ".parm7": "prmtop", ".cif": "mmCIF", ".mmcif": "mmCIF"}
    by_suffix[".gro"] = "GRO"
    return by_suffix.get(path.suffix.lower(), "PDB")
