"""Which atom of one structure is which of another, by segment, residue and name; never by index."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import TopologyError
from smdgen.io.structures.atoms import Structure

#: Names that other programs give the same atom. CHARMM, Amber and the PDB differ at the ends and for HN.
_ATOM_SYNONYMS = {
    "HN": "H", "H": "H", "HT1": "H1", "HT2": "H2", "HT3": "H3", "OT1": "O", "OT": "OXT", "OT2": "OXT",
    "O1": "O", "O2": "OXT", "1H": "H1", "2H": "H2", "3H": "H3",
}  # fmt: skip

_RESIDUE_SYNONYMS = {
    "HSD": "HIS", "HSE": "HIS", "HSP": "HIS", "HID": "HIS", "HIE": "HIS", "HIP": "HIS", "CYX": "CYS",
    "CYM": "CYS", "CYS2": "CYS", "ASPP": "ASP", "ASH": "ASP", "GLUP": "GLU", "GLH": "GLU", "LSN": "LYS",
    "LYN": "LYS", "TIP3": "HOH", "WAT": "HOH", "SOL": "HOH", "SPC": "HOH",
}  # fmt: skip

Key = tuple[object, int, str, str]


def match_atoms(wanted: Structure, found: Structure) -> NDArray[np.int64]:
    """Where each wanted atom is in another structure of the same molecule.

    Atoms match by segment or chain (where both structures know it), residue number, insertion code and
    name; names that only other programs give (HN and H, OT1 and O) count as equal when the exact one is
    not there. Order, orientation and additional atoms of `found` do not matter.

    Args:
        wanted: The atoms to look for.
        found: The structure to look in.

    Returns:
        (wanted.n_atoms,): `found`'s atoms in `wanted`'s order.

    Raises:
        TopologyError: An atom is not there, there twice, or in another kind of residue.
    """
    problem: TopologyError | None = None
    for wanted_places, found_places in _place_schemes(wanted, found):
        try:
            return _match(wanted, found, wanted_places, found_places)
        except TopologyError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _place_schemes(wanted: Structure, found: Structure) -> list[tuple[Sequence[object], Sequence[object]]]:
    """Ways to tell the copies of a residue apart, the surest first."""
    schemes: list[tuple[Sequence[object], Sequence[object]]] = []
    columns = ("segment_ids", "chain_ids")
    pairs = [(name, name) for name in columns] + [columns, columns[::-1]]
    for wanted_name, found_name in pairs:
        mine, other = getattr(wanted, wanted_name), getattr(found, found_name)
        if set(mine.tolist()) <= set(other.tolist()):
            schemes.append((mine.tolist(), other.tolist()))
    mine_order, other_order = _order_of_parts(wanted), _order_of_parts(found)
    if max(mine_order) == max(other_order):
        schemes.append((mine_order, other_order))
    return [*schemes, ([0] * wanted.n_atoms, [0] * found.n_atoms)]


def _order_of_parts(structure: Structure) -> list[int]:
    """Number of the segment or chain each atom is in, by first appearance."""
    seen: dict[tuple[str, str], int] = {}
    places = zip(structure.segment_ids.tolist(), structure.chain_ids.tolist(), strict=True)
    return [seen.setdefault(place, len(seen)) for place in places]


def _match(
    wanted: Structure, found: Structure, wanted_places: Sequence[object], found_places: Sequence[object]
) -> NDArray[np.int64]:
    exact, loose = _index(found, found_places, {}), _index(found, found_places, _ATOM_SYNONYMS)
    wanted_index = _index(wanted, wanted_places, {})
    matched = np.empty(wanted.n_atoms, dtype=np.int64)
    taken: dict[int, int] = {}
    for i in range(wanted.n_atoms):
        place = (wanted_places[i], int(wanted.residue_ids[i]), str(wanted.insertion_codes[i]))
        name = str(wanted.names[i])
        candidates = exact.get((*place, name)) or loose.get((*place, _ATOM_SYNONYMS.get(name, name)), [])
        matched[i] = _choose(wanted, found, i, candidates, wanted_index[(*place, name)])
        if taken.setdefault(int(matched[i]), i) != i:
            raise TopologyError(
                f"{_name(found)}: atom {found.label(int(matched[i]))} answers to two atoms of "
                f"{_name(wanted)} ({name} and {wanted.names[taken[int(matched[i])]]}); rename one"
            )
    return matched


def _choose(
    wanted: Structure, found: Structure, i: int, candidates: Sequence[int], copies: Sequence[int]
) -> int:
    """The candidate that is the wanted atom `i`.

    Where both structures have as many atoms of that name and place (large systems start their numbers
    again), the first is the first, the second the second.
    """
    same = [c for c in candidates if _residue(found, c) == _residue(wanted, i)]
    if len(candidates) == 1 and not same:
        raise TopologyError(
            f"{_name(found)} is another molecule: it has {found.label(candidates[0])} where "
            f"{_name(wanted)} has {wanted.label(i)}; give a structure of the same molecule"
        )
    like = [w for w in copies if _residue(wanted, w) == _residue(wanted, i)]
    if not same or len(same) != len(like):
        raise TopologyError(_explain(wanted, found, i, candidates))
    return same[like.index(i)]


def _index(structure: Structure, places: Sequence[object], synonyms: dict[str, str]) -> dict[Key, list[int]]:
    index: dict[Key, list[int]] = {}
    columns = (
        places,
        structure.residue_ids.tolist(),
        structure.insertion_codes.tolist(),
        structure.names.tolist(),
    )
    for i, (place, residue, insertion, name) in enumerate(zip(*columns, strict=True)):
        index.setdefault((place, residue, insertion, synonyms.get(name, name)), []).append(i)
    return index


def _residue(structure: Structure, i: int) -> str:
    name = str(structure.residue_names[i]).upper()
    if len(name) == 4 and name[0] in "NC" and name not in _RESIDUE_SYNONYMS:  # Amber's ends: NALA, CHIE
        name = name[1:]
    return _RESIDUE_SYNONYMS.get(name, name)[:3]


def _explain(wanted: Structure, found: Structure, i: int, candidates: Sequence[int]) -> str:
    if candidates:
        return (
            f"{_name(found)} has {len(candidates)} atoms that could be {wanted.label(i)} of {_name(wanted)}; "
            "give them different segment names, chains or residue numbers"
        )
    same = np.flatnonzero(found.residue_ids == wanted.residue_ids[i])
    there = " ".join(found.names[same][:12].tolist()) or "nothing"
    return (
        f"{_name(found)} ({found.n_atoms} atoms) lacks {wanted.label(i)} of {_name(wanted)}; its residue "
        f"{wanted.residue_ids[i]} has {there}: give a structure of the same molecule"
    )


def _name(structure: Structure) -> str:
    return structure.path.name if structure.path is not None else "the model"
