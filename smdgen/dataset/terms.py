"""Bonded terms of the modelled atoms, molecule by molecule where one has no parameters."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.config import PrepareConfig
from smdgen.errors import TopologyError
from smdgen.forcefield.bonded_terms import Terms, join_terms
from smdgen.forcefield.parametrise import structure_terms
from smdgen.geometry.bonds import molecule_numbers
from smdgen.io.structures.molecules import take_molecules
from smdgen.io.structures.structure import Structure, subset


def terms_of(
    config: PrepareConfig,
    whole: Structure,
    atoms: NDArray[np.int64],
    selected: NDArray[np.int64],
    frames: NDArray[np.float32],
) -> tuple[Terms, tuple[str, ...]]:
    """Bonded terms of the modelled atoms.

    Where the force field does not fit all molecules as they are, each molecule finds its own way to terms: a
    ligand without parameters loses its own, not the protein's.

    Args:
        config: Force field and parameter files.
        whole: The topology.
        atoms: (n,). The atoms that the force field gets, in order: whole molecules.
        selected: (n_modelled,). The modelled atoms, in order.
        frames: (n_frames, n, 3), A. Some frames of `atoms`.

    Raises:
        ConfigError: A parameter file or force field that does not exist.
        TopologyError: The named files do not describe the structure.
    """
    places = np.searchsorted(atoms, selected)
    molecules = molecule_numbers(len(atoms), subset(whole, atoms).bonds)
    with tempfile.TemporaryDirectory() as scratch:
        everything = take_molecules(whole, atoms, Path(scratch))
        alone = len(np.unique(molecules[places])) == 1
        try:
            return _terms(config, everything, places, frames if alone else None)
        except TopologyError:
            if alone or config.parameters:
                raise
    parts, notes, sources = [], [], []
    for number in np.unique(molecules[places]):
        own = np.flatnonzero(molecules == number)
        modelled = np.flatnonzero(molecules[places] == number)
        with tempfile.TemporaryDirectory() as scratch:
            molecule = take_molecules(whole, atoms[own], Path(scratch))
            terms, found = _terms(config, molecule, np.searchsorted(own, places[modelled]), frames[:, own])
        parts.append((terms, modelled))
        name = _name(molecule)
        notes += [f"molecule of {name}: {note}" for note in found]
        sources.append(f"{name}: {terms.source}")
    joined = "; ".join(dict.fromkeys(sources))
    return join_terms(parts, joined), tuple(dict.fromkeys(notes))


def _terms(
    config: PrepareConfig,
    molecule: Structure,
    places: NDArray[np.int64],
    frames: NDArray[np.float32] | None,
) -> tuple[Terms, tuple[str, ...]]:
    return structure_terms(
        molecule, places, parameters=config.parameters, forcefield=config.forcefield, frames=frames
    )


def _name(molecule: Structure) -> str:
    """The first residue of a molecule, or what the molecule is made of."""
    return dataclasses.replace(molecule, names=np.full(molecule.n_atoms, "")).label(0)
