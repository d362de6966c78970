"""What is modelled: the atoms, the collective variable, the bonded terms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.config import PrepareConfig
from smdgen.dataset.sources import Source, atoms_of_force_field
from smdgen.dataset.terms import terms_of
from smdgen.errors import TopologyError
from smdgen.forcefield.bonded_terms import Terms
from smdgen.geometry import cvs
from smdgen.geometry.cvs import CollectiveVariable
from smdgen.io.structures.coordinate_checks import check_coordinates
from smdgen.io.structures.selection import protein_mask, read_selections, selection_notes
from smdgen.io.structures.structure import Structure, select_atoms, subset


@dataclass(frozen=True)
class Model:
    """The modelled atoms."""

    structure: Structure
    terms: Terms
    cv: CollectiveVariable
    selection: str
    n_topology_atoms: int
    notes: tuple[str, ...]


def check_model(config: PrepareConfig, whole: Structure, selected: NDArray[np.int64], topology: Path) -> None:
    """Refuse what cannot be modelled before any trajectory is read.

    Raises:
        ConfigError: A CV that does not fit the modelled atoms.
        TopologyError: Atoms without bonds.
    """
    if not len(subset(whole, selected).bonds):
        found = f"{topology} gives no bonds among the {len(selected)} modelled atoms ({config.select})"
        if set(whole.names[protein_mask(whole)].tolist()) == {"CA"}:
            raise TopologyError(
                f"{found}: of the protein it has CA atoms only, expected at least N, CA, C and O; "
                "models of CA atoms alone cannot be learned, so take the all-atom topology and trajectories"
            )
        raise TopologyError(
            f"{found}, expected a chain; give a PSF or prmtop with --top, or widen --select, "
            "as in 'protein and name N CA C O'"
        )
    choose_cv(config, whole, selected, np.zeros((len(selected), 3), dtype=np.float32))


def choose_cv(
    config: PrepareConfig, whole: Structure, selected: NDArray[np.int64], first: NDArray[np.float32]
) -> CollectiveVariable:
    """The CV; the reference of an RMSD is the topology's own, else the first frame.

    Args:
        config: The settings.
        whole: The topology.
        selected: (n_modelled,), 0-based into the topology.
        first: (n_modelled, 3), A. The first frame.

    Raises:
        ConfigError: It cannot be read, or does not fit the modelled atoms.
    """
    if not config.cv:
        return cvs.end_to_end(whole, selected)
    reference = whole.positions
    if reference is None:
        reference = np.full((whole.n_atoms, 3), np.nan)
        reference[selected] = first
    return cvs.parse_cv(config.cv, whole, selected, select_atoms, reference)


def make_model(
    config: PrepareConfig, whole: Structure, selected: NDArray[np.int64], sources: Sequence[Source]
) -> Model:
    """Structure, CV and bonded terms of the modelled atoms.

    Args:
        config: The settings.
        whole: The topology.
        selected: (n_modelled,), 0-based into the topology.
        sources: The trajectories; frames of the first one are looked at.

    Raises:
        ConfigError: A CV, parameter file or force field that does not fit.
        TopologyError: The named files do not describe the structure.
        TrajectoryError: Coordinates that cannot be those of the structure.
    """
    structure = replace(subset(whole, selected), notes=())
    cv = choose_cv(config, whole, selected, sources[0].first)
    atoms = atoms_of_force_field(config, whole, selected)
    places = np.searchsorted(atoms, selected)
    frames = sources[0].sample
    assert frames is not None
    check_coordinates(frames[:, places], structure)
    terms, notes = terms_of(config, whole, atoms, selected, frames)
    notes = (*whole.notes, *_selection_notes(config, whole), *notes)
    return Model(structure, terms, cv, config.select, whole.n_atoms, notes)


def _selection_notes(config: PrepareConfig, whole: Structure) -> list[str]:
    """Values in selections that no atom has."""
    texts = read_selections(config.cv, config.select)
    return [note for text in texts for note in selection_notes(whole, text)]
