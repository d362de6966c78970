"""What geometry and force fields read of a structure, whatever class it is."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Atoms(Protocol):
    """Arrays over the atoms."""

    @property
    def names(self) -> NDArray[np.str_]: ...  # noqa: D102
    @property
    def residue_ids(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def insertion_codes(self) -> NDArray[np.str_]: ...  # noqa: D102
    @property
    def chain_ids(self) -> NDArray[np.str_]: ...  # noqa: D102
    @property
    def segment_ids(self) -> NDArray[np.str_]: ...  # noqa: D102
    @property
    def masses(self) -> NDArray[np.float64]: ...  # noqa: D102


class Molecule(Atoms, Protocol):
    """Arrays over the atoms, with elements, residue names and bonds."""

    @property
    def residue_names(self) -> NDArray[np.str_]: ...  # noqa: D102
    @property
    def elements(self) -> NDArray[np.str_]: ...  # noqa: D102
    @property
    def bonds(self) -> NDArray[np.int64]: ...  # noqa: D102


def is_carbon(structure: Molecule, atom: int) -> bool:
    """Whether an atom named CA is a carbon, by its element if known: calcium ions bear the name too."""
    return str(structure.elements[atom]).upper() in ("", "C")


def residue_numbers(structure: Molecule, parts: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """(n_atoms,). Number of the residue each atom is in, counted from 0 by first appearance.

    A residue ends where segment, chain, number, insertion code or name changes. Atoms that come later under
    the same names belong to it too, unless they begin with an atom that it has: large systems start their
    residue numbers again, and a water is no part of the amino acid of the same number.

    Args:
        structure: The atoms.
        parts: (n_atoms,). Number of the part of the file each atom is in, where parts share no residue.
    """
    columns = [structure.segment_ids, structure.chain_ids, structure.residue_ids, structure.insertion_codes]
    columns += [structure.residue_names, *([] if parts is None else [parts])]
    names = structure.names.tolist()
    changed = np.ones(len(names), dtype=bool)
    changed[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    keys = zip(*(column.tolist() for column in columns), strict=True)
    latest: dict[tuple[object, ...], int] = {}  # the last residue of each key
    members: list[set[str]] = []
    found = np.empty(len(names), dtype=np.int64)
    number, first = -1, ""
    for i, (key, is_new, name) in enumerate(zip(keys, changed.tolist(), names, strict=True)):
        if is_new:
            number, first = latest.get(key, -1), name
        if number < 0 or (name == first and name in members[number]):
            number = latest[key] = len(members)
            members.append(set())
        members[number].add(name)
        found[i] = number
    return found
