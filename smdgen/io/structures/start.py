"""The structure a rollout starts from: any file, any atom order, matched by name."""

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import ConfigError, TopologyError, TrajectoryError
from smdgen.files import require_regular_file
from smdgen.io.kinds import coordinate_kind
from smdgen.io.structures.coordinate_checks import check_coordinates
from smdgen.io.structures.handedness import mirror_notes
from smdgen.io.structures.structure import (
    Structure,
    find_topology,
    match_atoms,
    place_atoms,
    read_structure,
)

#: Where the coordinates of a PSF or prmtop are looked for: files of the same name beside it.
COORDINATE_SUFFIXES = (".pdb", ".coor", ".inpcrd", ".rst7", ".ncrst", ".crd", ".dcd")

#: A start farther from the training frames than this many times their own radius is refused.
_REFUSED_FROM = 2.0

#: A start of the wrong hand is a mirror image of training frames if its reflection is so much nearer to them.
_MIRRORED_BELOW = 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
    """Atoms and coordinates of a start.

    Attributes:
        structure: The modelled atoms in the model's order, in the naming of the start's own file.
        positions: (n_atoms, 3), A.
        source: In words where they come from.
        notes: What was odd.
        pull: Name of the pull of the dataset it was taken from; None for a file.
        whole: All atoms of the file; None without a file.
        whole_positions: (n_whole, 3), A. Where they are.
        indices: (n_atoms,). The modelled atoms among them.
    """

    structure: Structure
    positions: NDArray[np.float32]
    source: str
    notes: tuple[str, ...] = ()
    pull: str | None = None
    whole: Structure | None = None
    whole_positions: NDArray[np.float64] | None = None
    indices: NDArray[np.int64] | None = None


def read_start(path: Path, wanted: Structure) -> Start:
    """Read a start structure and pick the modelled atoms from it.

    Args:
        path: A PDB, mmCIF or GRO; a PSF or prmtop with coordinates of the same name beside it; or coordinates
            (of a trajectory the first frame) with their topology beside them.
        wanted: The atoms a model was trained on.

    Raises:
        TopologyError: Missing or unreadable, no coordinates, or a modelled atom is not in it.
        TrajectoryError: Coordinates that cannot be a structure.
    """
    require_regular_file(path, "a start structure (PDB, mmCIF or GRO)", TopologyError)
    if coordinate_kind(path) in ("", "PDB"):
        topology, coordinates = path, None
    else:
        topology, coordinates = find_topology(path), path
    found = read_structure(topology)
    if coordinates is None and found.positions is None:
        coordinates = _coordinates_beside(path)
    cut_notes: list[str] = []
    if coordinates is None:
        assert found.positions is not None
        positions, source = found.positions, str(path)
    else:
        positions, cut_notes = place_atoms(found, coordinates)
        source = f"{coordinates} with {topology}"
    indices = match_atoms(wanted, found)
    chosen = np.asarray(positions[indices], dtype=np.float32)
    structure = _named_as(wanted, found, indices)
    try:
        notes = check_coordinates(chosen[None], structure)
    except TrajectoryError as error:
        raise TrajectoryError(f"{source}: {error}") from error
    everything = np.asarray(positions, dtype=np.float64)
    notes = [*found.notes, *cut_notes, *notes, *mirror_notes(everything[None], found)]
    return Start(structure, chosen, source, tuple(notes), None, found, everything, indices)


def check_distance(
    start: Start, distance: float, reflected: float, n_frames: int, radius: float
) -> list[str]:
    """A note on a start that lies outside the training frames.

    Args:
        start: Where a rollout is to start.
        distance: A. RMSD to the nearest of the training frames in the model.
        reflected: A. The same of its mirror image.
        n_frames: How many training frames these are.
        radius: A. Largest such RMSD of a held-out frame.

    Raises:
        ConfigError: It is so far that what follows would mean nothing.
    """
    if mirror_notes(start.positions[None], start.structure) and reflected < _MIRRORED_BELOW * distance:
        raise ConfigError(
            f"the start is a mirror image: {distance:.2f} A from the nearest training frame, its reflection "
            f"{reflected:.2f} A; an axis was negated, so give the start as it was"
        )
    found = (
        f"the start is {distance:.2f} A from the closest of {n_frames} training frames "
        f"(unseen frames: up to {radius:.2f} A)"
    )
    if not distance <= _REFUSED_FROM * radius:
        raise ConfigError(
            f"{found}; give a start of the same fold as the training pulls, "
            "or train on pulls that begin like it"
        )
    note = f"{found}: it lies outside the training data, so check the result with care"
    return [note] if distance > radius else []


def _named_as(wanted: Structure, found: Structure, indices: NDArray[np.int64]) -> Structure:
    """The model's atoms (elements, masses, bonds) with the residues and names of the start's file."""
    own = {
        name: np.where(
            getattr(found, name)[indices] != "", getattr(found, name)[indices], getattr(wanted, name)
        )
        for name in ("names", "residue_names", "insertion_codes", "chain_ids", "segment_ids")
    }
    return dataclasses.replace(
        wanted, **own, residue_ids=found.residue_ids[indices], positions=None, path=None
    )


def _coordinates_beside(path: Path) -> Path:
    beside = [
        path.with_suffix(suffix) for suffix in COORDINATE_SUFFIXES if path.with_suffix(suffix).is_file()
    ]
    if not beside:
        names = ", ".join(path.with_suffix(suffix).name for suffix in COORDINATE_SUFFIXES)
        raise TopologyError(f"{path} has no coordinates and none of {names} is in its folder; give a PDB")
    return beside[0]
