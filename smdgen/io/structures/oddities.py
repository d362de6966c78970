"""What is odd about the atoms of a structure: damage leaves such traces, and so does real life."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smdgen.io.structures.atoms import Structure
from smdgen.io.structures.elements import CAPS, PROTEIN_RESIDUES, guess_element

#: Atom names of amino acids and their ends, in the spellings of PDB, CHARMM, Amber and GROMACS.
_USUAL_NAME = re.compile(
    r"N|NT|CA|C|O|OT|OT1|OT2|O1|O2|OC1|OC2|OXT|H|HN|HN1|HN2|H[123]|[123]H|HT[123]|HO|HXT"
    r"|CAY|CY|OY|HY[123]|CAT|HNT"
    r"|C[BGDEZ][123]?|CH[23]|N[DEZH][12]?|O[GDEH][12]?|SG|SD|SE"
    r"|[123]?H[ABGDEZH][123]{0,2}"
)
_ENOUGH_ALIKE = 3  # residues of one name that tell what belongs into it


def find_oddities(structure: Structure) -> list[str]:
    """Notes on names and numbers that contradict each other; none for what programs usually write.

    Damage to one letter leaves such a trace: an atom that its residue lacks, a residue in two parts, a name
    that does not fit the element, a number out of order.
    """
    is_protein = np.isin(np.char.upper(structure.residue_names), list(PROTEIN_RESIDUES - CAPS))
    if not is_protein.any():
        return []
    runs, starts = _residue_runs(structure)
    protein_runs = [run for run, start in enumerate(starts) if is_protein[start]]
    atoms = np.split(np.arange(structure.n_atoms), starts[1:])
    names = [frozenset(structure.names[members].tolist()) for members in atoms]
    following = _following(structure, runs)
    parts = _in_parts(structure, starts, protein_runs)
    same = _duplicates(structure, starts, protein_runs, names)
    shared = _say("residue numbers that two chains of one letter share", [x for x in parts if x in same])
    return [
        *_say("residues in two parts or with one number", [place for place in parts if place not in same]),
        *(f"{note}; resid takes both, index or fragment tells them apart" for note in shared),
        *_say("atoms of the same name in one residue", _same_names(structure, atoms, names)),
        *_say("residues without their backbone", _incomplete(structure, starts, protein_runs, names)),
        *_say("names that do not fit the element", _wrong_elements(structure, is_protein)),
        *_say("unusual names", _unusual(structure, is_protein)),
        *_say("residues unlike the others of their name", _unlike(structure, starts, names, following)),
        *_say("bonded residues whose numbers are not consecutive", _jumps(structure, starts, following)),
    ]


def _say(what: str, places: Sequence[str]) -> list[str]:
    return [f"{what}: {len(places)}, first {places[0]}"] if places else []


def _residue_runs(structure: Structure) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n_atoms,) number of the run of atoms of one residue each is in, and where each run starts."""
    changed = np.zeros(structure.n_atoms, dtype=bool)
    for field in ("segment_ids", "chain_ids", "residue_ids", "insertion_codes", "residue_names"):
        column = getattr(structure, field)
        changed[1:] |= column[1:] != column[:-1]
    return np.cumsum(changed), np.concatenate([[0], np.flatnonzero(changed)]).astype(np.int64)


def _key(structure: Structure, atom: int) -> tuple[str, str, int, str]:
    return (
        str(structure.segment_ids[atom]),
        str(structure.chain_ids[atom]),
        int(structure.residue_ids[atom]),
        str(structure.insertion_codes[atom]),
    )


def _in_parts(structure: Structure, starts: NDArray[np.int64], runs: Sequence[int]) -> list[str]:
    """Amino acids of a number that another has, or that continue in a run beside them; not waters far off."""
    seen = Counter(_key(structure, int(starts[run])) for run in runs)
    amino_acids = set(runs)
    for run in runs:
        own = _key(structure, int(starts[run]))
        for beside in {run - 1, run + 1} - amino_acids:
            seen[own] += 0 <= beside < len(starts) and _key(structure, int(starts[beside])) == own
    return [structure.label(int(starts[run])) for run in runs if seen[_key(structure, int(starts[run]))] > 1]


def _duplicates(
    structure: Structure, starts: NDArray[np.int64], runs: Sequence[int], names: Sequence[frozenset[str]]
) -> set[str]:
    """First atoms of the amino acids of which all of one number are whole: two chains of one letter."""
    broken = {_key(structure, int(starts[run])) for run in runs if not {"N", "CA", "C"} <= names[run]}
    return {
        structure.label(int(starts[run])) for run in runs if _key(structure, int(starts[run])) not in broken
    }


def _same_names(
    structure: Structure, atoms: Sequence[NDArray[np.int64]], names: Sequence[frozenset[str]]
) -> list[str]:
    return [
        structure.label(int(members[0]))
        for members, own in zip(atoms, names, strict=True)
        if len(own) < len(members)
    ]


def _incomplete(
    structure: Structure, starts: NDArray[np.int64], runs: Sequence[int], names: Sequence[frozenset[str]]
) -> list[str]:
    """Residues that lack N, CA or C, in a structure that is more than a trace of CA."""
    if all(len(names[run]) == 1 for run in runs):
        return []
    return [structure.label(int(starts[run])) for run in runs if not {"N", "CA", "C"} <= names[run]]


def _wrong_elements(structure: Structure, is_protein: NDArray[np.bool_]) -> list[str]:
    found = []
    for atom in np.flatnonzero(is_protein & (structure.elements != "")).tolist():
        guess = guess_element(str(structure.names[atom]), str(structure.residue_names[atom]))
        if guess != structure.elements[atom]:
            found.append(f"{structure.label(atom)} ({structure.elements[atom]})")
    return found


def _unusual(structure: Structure, is_protein: NDArray[np.bool_]) -> list[str]:
    odd = [name for name in np.unique(structure.names[is_protein]) if not _USUAL_NAME.fullmatch(name)]
    atoms = np.flatnonzero(np.isin(structure.names, odd) & is_protein)
    return [structure.label(int(atom)) for atom in atoms]


def _following(structure: Structure, runs: NDArray[np.int64]) -> dict[int, int]:
    """The run after each that has one: C is bonded to its N."""
    first, second = structure.bonds.T if len(structure.bonds) else np.zeros((2, 0), dtype=np.int64)
    following: dict[int, int] = {}
    for a, b in ((first, second), (second, first)):
        peptide = (structure.names[a] == "C") & (structure.names[b] == "N") & (runs[a] != runs[b])
        following.update(zip(runs[a[peptide]].tolist(), runs[b[peptide]].tolist(), strict=True))
    return following


def _unlike(
    structure: Structure,
    starts: NDArray[np.int64],
    names: Sequence[frozenset[str]],
    following: dict[int, int],
) -> list[str]:
    """Residues within a chain with an atom that no other of the same name has; they have as many."""
    inner = sorted(set(following) & set(following.values()))
    alike: dict[str, list[int]] = defaultdict(list)
    for run in inner:
        alike[str(structure.residue_names[starts[run]])].append(run)
    found = []
    for members in alike.values():
        counts = Counter(name for run in members for name in names[run])
        if len(members) >= _ENOUGH_ALIKE:
            found += [
                f"{structure.label(int(starts[run])).rsplit(' ', 1)[0]} ({name})"
                for run in members
                for name in sorted(names[run])
                if counts[name] == 1
            ]
    return found


def _jumps(structure: Structure, starts: NDArray[np.int64], following: dict[int, int]) -> list[str]:
    found = []
    for run, after in sorted(following.items()):
        here, there = int(starts[run]), int(starts[after])
        step = int(structure.residue_ids[there] - structure.residue_ids[here])
        has_code = structure.insertion_codes[here] or structure.insertion_codes[there]
        if step != 1 and not has_code and after > run:  # else a ring closes
            found.append(f"{structure.label(here)} to {structure.label(there)}")
    return found
