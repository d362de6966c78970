"""The atoms of a system, in the user's own naming, wherever they were read from."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import ArtifactError

_TEXT_FIELDS = (
    "names",
    "residue_names",
    "insertion_codes",
    "chain_ids",
    "segment_ids",
    "elements",
    "types",
)
_NUMBER_FIELDS = {
    "residue_ids": np.int64,
    "masses": np.float64,
    "bonds": np.int64,
    "positions": np.float64,
    "charges": np.float64,
    "cell": np.float64,
}


@dataclass(frozen=True, eq=False)
class Structure:
    """Atoms with names, residues, elements and bonds; '' stands for what a file does not say."""

    names: NDArray[np.str_]  # (n_atoms,)
    residue_names: NDArray[np.str_]  # (n_atoms,)
    residue_ids: NDArray[np.int64]  # (n_atoms,)
    insertion_codes: NDArray[np.str_]  # (n_atoms,)
    chain_ids: NDArray[np.str_]  # (n_atoms,)
    segment_ids: NDArray[np.str_]  # (n_atoms,)
    elements: NDArray[np.str_]  # (n_atoms,), 'C'
    masses: NDArray[np.float64]  # (n_atoms,), dalton
    bonds: NDArray[np.int64]  # (n_bonds, 2), i < j, sorted
    positions: NDArray[np.float64] | None = None  # (n_atoms, 3), A, first model
    charges: NDArray[np.float64] | None = None  # (n_atoms,), e
    types: NDArray[np.str_] | None = None  # (n_atoms,), of the force field
    cell: NDArray[np.float64] | None = None  # (6,), A A A deg deg deg
    path: Path | None = None
    notes: tuple[str, ...] = ()  # what was odd while reading
    has_cross_terms: bool | None = None  # whether a PSF lists CMAP terms; None if it does not say

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.names)

    @property
    def atom_hash(self) -> str:
        """SHA-256 over segment, residue and name of every atom, in order; the same for any file format."""
        columns = (self.segment_ids, self.residue_ids, self.insertion_codes, self.residue_names, self.names)
        lines = ("\t".join(str(value) for value in atom) for atom in zip(*columns, strict=True))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def label(self, index: int) -> str:
        """An atom in words: `BH ALA 3 CA`."""
        place = self.segment_ids[index] or self.chain_ids[index]
        residue = f"{self.residue_names[index]} {self.residue_ids[index]}{self.insertion_codes[index]}"
        return f"{place} {residue} {self.names[index]}".strip()


def subset(structure: Structure, indices: NDArray[np.integer] | Sequence[int]) -> Structure:
    """Some atoms of a structure, in the order of `indices`, with the bonds among them.

    Args:
        structure: Where to take them from.
        indices: (n,) 0-based, each at most once.
    """
    chosen = np.asarray(indices, dtype=np.int64)
    assert len(np.unique(chosen)) == len(chosen), "an atom is chosen twice"
    place = np.full(structure.n_atoms, -1)
    place[chosen] = np.arange(len(chosen))
    taken: dict[str, Any] = {
        field: None if getattr(structure, field) is None else getattr(structure, field)[chosen]
        for field in (*_TEXT_FIELDS, "residue_ids", "masses", "positions", "charges")
    }
    bonds = place[structure.bonds] if len(structure.bonds) else structure.bonds
    kept = bonds[(bonds >= 0).all(axis=1)]
    return dataclasses.replace(structure, **taken, bonds=sorted_bonds(kept))


def sorted_bonds(bonds: NDArray[np.integer] | Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """(n, 2). Each bond once, with its lower atom first, in order."""
    pairs = np.sort(np.asarray(bonds, dtype=np.int64).reshape(-1, 2), axis=1)
    return np.unique(pairs, axis=0)


def structure_to_json(structure: Structure) -> str:
    """A structure as JSON, the same text for the same structure; path and notes are left out."""
    values: dict[str, Any] = {"has_cross_terms": structure.has_cross_terms}
    for field in (*_TEXT_FIELDS, *_NUMBER_FIELDS):
        array = getattr(structure, field)
        values[field] = None if array is None else array.tolist()
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def structure_from_json(text: str) -> Structure:
    """The structure that `structure_to_json` wrote.

    Raises:
        ArtifactError: The text is something else.
    """
    try:
        values = json.loads(text)
        arrays: dict[str, Any] = {"has_cross_terms": values["has_cross_terms"]}
        for field in _TEXT_FIELDS:
            arrays[field] = None if values[field] is None else np.array(values[field], dtype=np.str_)
        for field, kind in _NUMBER_FIELDS.items():
            arrays[field] = None if values[field] is None else np.array(values[field], dtype=kind)
        arrays["bonds"] = arrays["bonds"].reshape(-1, 2)
        structure = Structure(**arrays)
        lengths = {len(arrays[field]) for field in (*_TEXT_FIELDS[:-1], "residue_ids", "masses")}
        if len(lengths) != 1:
            raise ValueError("columns of different length")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"a stored structure cannot be read ({error}); run `smdgen prepare` again, with --force"
        ) from error
    return structure
