"""Atoms as PDB and mmCIF list them, made into a structure."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import TopologyError
from smdgen.geometry.atoms import residue_numbers
from smdgen.geometry.periodic import make_whole, plan_wholeness
from smdgen.io.structures.atoms import Structure, sorted_bonds
from smdgen.io.structures.bonding import COVALENT_RADII, find_bonds
from smdgen.io.structures.elements import PROTEIN_RESIDUES, guess_element, is_virtual_site, masses_of
from smdgen.units import LARGEST_COORDINATE

_SMALLEST_BOX = 10.0  # A; a molecule does not fit into a smaller one
_MOVED_ATOM = 1.0  # A

#: What is said of a file of which only one model is read.
SEVERAL_MODELS = "holds several models; the first is taken"


@dataclass(frozen=True)
class AtomRecord:
    """One atom line; '' stands for what it does not say."""

    serial: str
    name: str
    altloc: str
    residue_name: str
    chain: str
    residue_id: str
    insertion: str
    segment: str
    element: str
    part: int  # grows at every TER
    occupancy: float
    position: tuple[float, float, float]


#: Name, chain, residue number and insertion code of an atom, as a file writes them; and two that are bonded.
Partner = tuple[str, str, str, str]
Link = tuple[Partner, Partner]


def linked_records(records: Sequence[AtomRecord], links: Sequence[Link]) -> NDArray[np.int64]:
    """(n, 2). Pairs of records that a file says are linked; no bonds to metals, which only coordinate."""
    places: dict[Partner, list[int]] = {}
    for i, record in enumerate(records):
        key = record.name, record.chain, record.residue_id, record.insertion
        element = record.element or guess_element(record.name, record.residue_name)
        if element in COVALENT_RADII:
            places.setdefault(key, []).append(i)
    pairs = [
        (i, j)
        for first, second in links
        for i in places.get(first, ())
        for j in places.get(second, ())
        if i != j and records[i].altloc == records[j].altloc
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def assemble(
    path: Path,
    records: Sequence[AtomRecord],
    residue_ids: NDArray[np.int64],
    cell: NDArray[np.float64] | None,
    listed_bonds: NDArray[np.int64],
) -> Structure:
    """A structure from atom lines, with one location of each atom and with bonds.

    Args:
        path: Where they come from.
        records: Of one model, in the order of the file.
        residue_ids: (n_records,).
        cell: (6,), A A A deg deg deg.
        listed_bonds: (n, 2) pairs of records that the file says are bonded.

    Raises:
        TopologyError: A coordinate is not finite, or absurd.
    """
    kept, notes = _choose_altlocs(path, records)
    atoms = [records[i] for i in kept]
    numbers = residue_ids[kept]
    names, residue_names, chains, segments, insertions = (
        np.array([getattr(atom, field) for atom in atoms], dtype=np.str_)
        for field in ("name", "residue_name", "chain", "segment", "insertion")
    )
    elements = np.array([atom.element or guess_element(atom.name, atom.residue_name) for atom in atoms])
    positions = np.array([atom.position for atom in atoms], dtype=np.float64)
    is_sound = (np.abs(positions) < LARGEST_COORDINATE).all(axis=1)  # NaN compares as false
    if not is_sound.all():
        bad = int(np.argmin(is_sound))
        raise TopologyError(
            f"{path}: atom {bad + 1} has coordinates {positions[bad].tolist()}, expected numbers below "
            f"{LARGEST_COORDINATE:g} A; write it again"
        )
    parts = np.array([atom.part for atom in atoms])
    bare = Structure(
        names=names,
        residue_names=residue_names,
        residue_ids=numbers,
        insertion_codes=insertions,
        chain_ids=chains,
        segment_ids=segments,
        elements=elements,
        masses=masses_of(elements),
        bonds=np.zeros((0, 2), dtype=np.int64),
        cell=cell,
        path=Path(path),
    )
    residues = residue_numbers(bare, parts)
    box = usable_box(cell)
    found = _find_bonds(bare, residues, _count_changes(segments, chains, parts), positions, box)
    bonds = sorted_bonds(np.concatenate([found, _renumber(listed_bonds, kept, len(records))]))
    positions, cut_notes = made_whole(path, positions, bonds, box)
    notes += cut_notes
    notes += _element_notes(path, atoms, elements)
    notes += _order_notes(path, records) + _loose_notes(path, atoms, found, residues)
    return replace(bare, bonds=bonds, positions=positions, notes=tuple(notes))


def _find_bonds(
    bare: Structure,
    residues: NDArray[np.int64],
    chains: NDArray[np.int64],
    positions: NDArray[np.float64],
    box: NDArray[np.float64] | None,
) -> NDArray[np.int64]:
    """`find_bonds` where the atoms of a residue may stand apart, as hydrogens after all heavy atoms do."""
    order = np.argsort(residues, kind="stable")
    found = find_bonds(
        bare.names[order],
        bare.residue_names[order],
        bare.elements[order],
        residues[order],
        chains[order],
        positions[order],
        box,
    )
    return sorted_bonds(order[found])


def usable_box(cell: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """The cell (6,), A A A deg deg deg, if a molecule fits into it."""
    return cell if cell is not None and cell[:3].min() > _SMALLEST_BOX else None


def made_whole(
    path: Path, positions: NDArray[np.float64], bonds: NDArray[np.int64], box: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], list[str]]:
    """Positions (n_atoms, 3), A, with every molecule in one piece, and a note if the box cuts one."""
    if box is None:
        return positions, []
    whole, is_cut = make_whole(positions[None], plan_wholeness(len(positions), bonds), box[None])
    if not is_cut[0]:
        return positions, []
    moved = int((np.abs(whole[0] - positions) > _MOVED_ATOM).any(axis=1).sum())
    cut = f"{path.name}: the walls of the box cut molecules; {moved} atoms are moved to make them whole"
    return whole[0].astype(np.float64), [cut]


def _element_notes(path: Path, atoms: Sequence[AtomRecord], elements: NDArray[np.str_]) -> list[str]:
    """Elements that the file does not give, and those that nobody knows."""
    notes = []
    if not all(atom.element or is_virtual_site(atom.name, atom.residue_name) for atom in atoms):
        notes.append(f"{path.name} has atoms without an element; theirs come from the names")
    unknown = [
        atom
        for atom, element in zip(atoms, elements, strict=True)
        if not element and not is_virtual_site(atom.name, atom.residue_name)
    ]
    if unknown:
        first = f"{unknown[0].name} of {unknown[0].residue_name} {unknown[0].residue_id}"
        notes.append(
            f"{path.name}: the element of {len(unknown)} atoms is not known, so they have no mass and no "
            f"bonds by distance, first {first}"
        )
    return notes


def _order_notes(path: Path, records: Sequence[AtomRecord]) -> list[str]:
    """Where the serial numbers do not rise by one (or two, past a TER line): lines may be lost or moved."""
    numbers = [int(record.serial) if record.serial.isdecimal() else -1 for record in records]
    if numbers[:1] > [1]:
        return [f"{path.name}: its first atom is {numbers[0]}; lines may be missing"]
    for i, (before, here) in enumerate(itertools.pairwise(numbers)):
        steps = (1, 2) if records[i].part != records[i + 1].part else (1,)
        if min(before, here) >= 0 and here - before not in steps and here > 0:
            return [f"{path.name}: atom {before} is followed by {here}; lines may be missing or moved"]
    return []


def _loose_notes(
    path: Path, atoms: Sequence[AtomRecord], bonds: NDArray[np.int64], residues: NDArray[np.int64]
) -> list[str]:
    """Atoms bonded to nothing in amino acids that have bonds: they may have been moved."""
    is_bonded = np.isin(np.arange(len(atoms)), bonds)
    has_bonds = np.isin(residues, residues[is_bonded])
    loose = [
        i
        for i in np.flatnonzero(~is_bonded & has_bonds).tolist()
        if atoms[i].residue_name in PROTEIN_RESIDUES
    ]
    if not loose:
        return []
    first = atoms[loose[0]]
    return [
        f"{path.name}: {len(loose)} atoms are too far from all others to be bonded, first {first.name} of "
        f"{first.residue_name} {first.residue_id}"
    ]


def _renumber(bonds: NDArray[np.int64], kept: Sequence[int], n_records: int) -> NDArray[np.int64]:
    """The bonds among the kept records, numbered among them."""
    place = np.full(n_records, -1)
    place[list(kept)] = np.arange(len(kept))
    pairs = place[bonds]
    return np.asarray(pairs[(pairs >= 0).all(axis=1)], dtype=np.int64)


def _choose_altlocs(path: Path, atoms: Sequence[AtomRecord]) -> tuple[list[int], list[str]]:
    """Indices of the atoms kept, and a note if some are not.

    An atom without a letter whose name another location of its residue has is a location of its own.
    """
    lettered = {(_residue_key(atom), atom.name) for atom in atoms if atom.altloc}
    places = [
        atom.altloc if atom.altloc or (_residue_key(atom), atom.name) in lettered else None for atom in atoms
    ]
    residues: dict[tuple[object, ...], dict[str, dict[str, float]]] = {}
    for atom, place in zip(atoms, places, strict=True):
        if place is not None:
            locations = residues.setdefault(_residue_key(atom), {})
            locations.setdefault(place, {}).setdefault(atom.name, atom.occupancy)
    best = {residue: _most_occupied(locations) for residue, locations in residues.items()}
    kept = [i for i, place in enumerate(places) if place is None or best[_residue_key(atoms[i])] == place]
    left_out = len(atoms) - len(kept)
    if not left_out:
        return kept, []
    n_residues = sum(len(locations) > 1 for locations in residues.values())
    return kept, [
        f"{path.name}: {n_residues} residues have alternative locations; the highest occupancy is kept, "
        f"{left_out} atoms are left out"
    ]


def _most_occupied(locations: Mapping[str, Mapping[str, float]]) -> str:
    """The location of highest occupancy, judged by the atoms that all have: others only some list."""
    shared = set.intersection(*(set(atoms) for atoms in locations.values()))

    def occupancy(place: str) -> float:
        atoms = locations[place]
        return float(np.mean([atoms[name] for name in sorted(shared or set(atoms))]))

    return min(locations, key=lambda place: (-occupancy(place), place))


def _residue_key(atom: AtomRecord) -> tuple[object, ...]:
    return atom.segment, atom.chain, atom.residue_id, atom.insertion, atom.part


def _count_changes(*columns: NDArray[np.generic]) -> NDArray[np.int64]:
    """(n,). Number of the run of equal rows that an atom is in, from 0."""
    changed = np.zeros(len(columns[0]), dtype=bool)
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return np.cumsum(changed)
