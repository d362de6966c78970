"""Some molecules taken out of a larger system."""

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.geometry.bonds import molecule_numbers
from smdgen.io.structures.atoms import Structure, subset
from smdgen.io.structures.psf import PsfTerms, read_psf_terms, write_psf


def molecules_of(structure: Structure, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,), 0-based, in order. All atoms of the molecules to which the atoms `indices` belong."""
    numbers = molecule_numbers(structure.n_atoms, structure.bonds)
    return np.flatnonzero(np.isin(numbers, numbers[indices]))


def take_molecules(structure: Structure, atoms: NDArray[np.int64], folder: Path) -> Structure:
    """Whole molecules as a structure of their own.

    A force field takes minutes for a box of water that is not modelled, so it gets only what is. One that was
    read from a PSF is written as a PSF too, because its terms are read from the file.

    Args:
        structure: The whole system.
        atoms: (n,), 0-based, in order. All atoms of some molecules.
        folder: Where a PSF may be written, under its own name.
    """
    part = dataclasses.replace(subset(structure, atoms), notes=())
    if len(atoms) == structure.n_atoms or structure.path is None or structure.has_cross_terms is None:
        return part
    place = np.full(structure.n_atoms, -1)
    place[atoms] = np.arange(len(atoms))
    tables = dataclasses.asdict(read_psf_terms(structure.path))
    kept = {name: rows[(rows >= 0).all(axis=1)] for name in tables for rows in [place[tables[name]]]}
    path = folder / structure.path.name
    write_psf(path, part, PsfTerms(**kept))
    return dataclasses.replace(part, path=path)
