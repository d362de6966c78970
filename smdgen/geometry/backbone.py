"""Where the protein backbone is among the atoms of a structure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from smdgen.arrays import Indices
from smdgen.geometry.atoms import Molecule, is_carbon, residue_numbers


@dataclass(frozen=True)
class Backbone:
    """The residues that have a CA, in the order of the chains.

    Attributes:
        atoms: For each of N, CA, C, O and CB its atom in every residue, (n_residues,); -1 where it lacks.
        residue_names: (n_residues,).
        linked: (n_residues - 1,). Whether the next residue follows in the chain.
    """

    atoms: Mapping[str, Indices]
    residue_names: NDArray[np.str_]
    linked: NDArray[np.bool_]

    @property
    def n_residues(self) -> int:
        """Number of residues."""
        return len(self.residue_names)

    @cached_property
    def phi(self) -> Indices:
        """(n_phi, 4). C, N, CA, C: the torsion before each residue's CA."""
        return self._linked_torsions((("C", 0), ("N", 1), ("CA", 1), ("C", 1)))

    @cached_property
    def phi_residues(self) -> Indices:
        """(n_phi,). The residue each phi belongs to."""
        return self._complete((("C", 0), ("N", 1), ("CA", 1), ("C", 1))) + 1

    @cached_property
    def psi(self) -> Indices:
        """(n_psi, 4). N, CA, C, N: the torsion after each residue's CA."""
        return self._linked_torsions((("N", 0), ("CA", 0), ("C", 0), ("N", 1)))

    @cached_property
    def psi_residues(self) -> Indices:
        """(n_psi,). The residue each psi belongs to."""
        return self._complete((("N", 0), ("CA", 0), ("C", 0), ("N", 1)))

    @cached_property
    def omega(self) -> Indices:
        """(n_omega, 4). CA, C, N, CA: the torsion of each peptide bond."""
        return self._linked_torsions((("CA", 0), ("C", 0), ("N", 1), ("CA", 1)))

    @cached_property
    def ca_turns(self) -> Indices:
        """(n_turns, 4). Four CA in a row, all linked: about +50 deg in a right-handed helix."""
        links = self.linked if self.n_residues > 3 else np.zeros(2, dtype=bool)
        first = np.flatnonzero(links[:-2] & links[1:-1] & links[2:])
        return np.stack([self.atoms["CA"][first + i] for i in range(4)], axis=1)

    @cached_property
    def chains(self) -> tuple[Indices, ...]:
        """Runs of linked residues, each (n,)."""
        ends = np.flatnonzero(~self.linked) + 1
        return tuple(np.split(np.arange(self.n_residues), ends))

    def _complete(self, wanted: tuple[tuple[str, int], ...]) -> Indices:
        """(n,). Residues that have the wanted atoms in themselves (0) and in the next one (1)."""
        first = np.flatnonzero(self.linked)
        present = np.ones(len(first), dtype=bool)
        for name, step in wanted:
            present &= self.atoms[name][first + step] >= 0
        return first[present]

    def _linked_torsions(self, wanted: tuple[tuple[str, int], ...]) -> Indices:
        first = self._complete(wanted)
        return np.stack([self.atoms[name][first + step] for name, step in wanted], axis=1)


def find_backbone(structure: Molecule) -> Backbone:
    """The backbone of a structure, by atom names; of several atoms of one name the first counts.

    Residues are linked by the bond C-N. Where the bonds cannot tell, because C or N is not among the
    atoms or the structure has no bonds, by residue numbers that follow each other in one chain.

    They stand as they are linked, whatever their numbers: insertion codes may count down, and two chains
    may share a letter. What is not linked stands by chain and residue number; in the order of the file if
    a number occurs twice in the chain.

    Args:
        structure: The modelled atoms.
    """
    residues: dict[_Key, dict[str, int]] = {}
    for i, number in enumerate(residue_numbers(structure).tolist()):
        residues.setdefault(_residue_key(structure, i, number), {}).setdefault(str(structure.names[i]), i)
    bonds = {tuple(sorted(map(int, bond))) for bond in structure.bonds}
    keys = [key for key, atoms in residues.items() if "CA" in atoms and is_carbon(structure, atoms["CA"])]
    keys = _along_bonds(_by_number(keys, residues), residues, structure.bonds)
    linked = [_is_linked(residues, a, b, bonds) for a, b in pairwise(keys)]
    atoms = {
        name: np.array([residues[key].get(name, -1) for key in keys], dtype=np.int64)
        for name in ("N", "CA", "C", "O", "CB")
    }
    names = [str(structure.residue_names[residues[key]["CA"]]) for key in keys]
    return Backbone(atoms, np.array(names, dtype=np.str_), np.array(linked, dtype=bool))


_Key = tuple[str, str, int, str, int]  # segment, chain, residue number, insertion code, count from 0


def _by_number(keys: Sequence[_Key], residues: Iterable[_Key]) -> list[_Key]:
    """The keys by chain and residue number; those of a chain that has a number twice as in the file."""
    chains = {chain: place for place, chain in enumerate(dict.fromkeys(key[:2] for key in residues))}
    counts = Counter(key[:4] for key in keys)
    twice = {key[:2] for key, count in counts.items() if count > 1}
    return sorted(keys, key=lambda key: (chains[key[:2]], *(key[4:] if key[:2] in twice else key[2:])))


def _along_bonds(
    keys: Sequence[_Key], residues: Mapping[_Key, Mapping[str, int]], bonds: Indices
) -> list[_Key]:
    """The keys with each chain from its first residue to its last, as its peptide bonds go."""
    carbon = {residues[key]["C"]: key for key in keys if "C" in residues[key]}
    nitrogen = {residues[key]["N"]: key for key in keys if "N" in residues[key]}
    after: dict[_Key, _Key] = {}
    for i, j in bonds.tolist():
        for c, n in ((i, j), (j, i)):
            if c in carbon and n in nitrogen and carbon[c] != nitrogen[n]:
                after.setdefault(carbon[c], nitrogen[n])
    followers = set(after.values())
    heads = [key for key in keys if key not in followers]
    ordered: dict[_Key, None] = {}
    for head in (*heads, *keys):  # a ring has no head: it begins with its lowest number
        here: _Key | None = head
        while here is not None and here not in ordered:
            ordered[here] = None
            here = after.get(here)
    return list(ordered)


def _residue_key(structure: Molecule, i: int, number: int) -> _Key:
    return (
        str(structure.segment_ids[i]),
        str(structure.chain_ids[i]),
        int(structure.residue_ids[i]),
        str(structure.insertion_codes[i]),
        number,
    )


def _is_linked(
    residues: Mapping[_Key, Mapping[str, int]],
    a: _Key,
    b: _Key,
    bonds: set[tuple[int, ...]],
) -> bool:
    """Whether residue b follows residue a in the chain."""
    if bonds and "C" in residues[a] and "N" in residues[b]:
        return tuple(sorted((residues[a]["C"], residues[b]["N"]))) in bonds
    return a[:2] == b[:2] and (b[2] - a[2] == 1 or (b[2] == a[2] and b[3] != a[3]))
