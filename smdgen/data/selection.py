"""Atom selections in ProDy's language, resolved to 0-based indices."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.data.atoms import Structure
from smdgen.data.elements import CAPS, PROTEIN_RESIDUES
from smdgen.errors import ConfigError

_SHOWN = 12


def select_atoms(structure: Structure, selection: str) -> NDArray[np.int64]:
    """Indices of the atoms that a selection names.

    `protein` means, as in VMD, residues with a backbone (N, CA, C), and those of known names with a CA.

    Args:
        structure: Where to select; without positions `within` cannot be used.
        selection: In ProDy's language: `protein and name N CA C O`, `resid 1 to 10`, `segname A`.

    Returns:
        (n_selected,), in the order of the structure.

    Raises:
        ConfigError: The selection cannot be read, or names no atom.
    """
    found = _resolve(structure, selection)
    if len(found) == 0:
        raise ConfigError(
            f"selection {selection!r} matches no atom; there are residues "
            f"{_some(structure.residue_names)}, names {_some(structure.names)}{_places(structure)}"
        )
    return found


def protein_mask(structure: Structure) -> NDArray[np.bool_]:
    """(n_atoms,). Whether an atom is in a residue with a protein's backbone."""
    residues = residue_numbers(structure)
    has = {}
    for name in ("N", "CA", "C"):
        has[name] = np.zeros(int(residues.max(initial=-1)) + 1, dtype=bool)
        has[name][residues[structure.names == name]] = True
    backbone: NDArray[np.bool_] = (has["N"] & has["CA"] & has["C"])[residues]
    known = np.isin(structure.residue_names, list(PROTEIN_RESIDUES - CAPS))
    return backbone | (known & has["CA"][residues])


def residue_numbers(structure: Structure) -> NDArray[np.int64]:
    """(n_atoms,). Number of the residue each atom is in, counted from 0 by first appearance."""
    keys = zip(
        structure.segment_ids.tolist(),
        structure.chain_ids.tolist(),
        structure.residue_ids.tolist(),
        structure.insertion_codes.tolist(),
        strict=True,
    )
    seen: dict[tuple[str, str, int, str], int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.int64)


def _resolve(structure: Structure, selection: str) -> NDArray[np.int64]:
    import prody

    prody.LOGGER.verbosity = "none"
    if not selection.strip():
        raise ConfigError("the selection is empty; write for example 'protein and name N CA C O'")
    group = _atom_group(prody, structure)
    try:
        found = group.select(selection)
    except Exception as error:  # ProDy raises many kinds for text it cannot read
        reason = " ".join(str(error).split())[:120]
        raise ConfigError(
            f"selection {selection!r} cannot be read ({reason}); "
            "write it as in ProDy, for example 'protein and name N CA C O'"
        ) from error
    return np.zeros(0, dtype=np.int64) if found is None else np.sort(found.getIndices()).astype(np.int64)


def _atom_group(prody: Any, structure: Structure) -> Any:
    """The structure as ProDy's own type."""
    group = prody.AtomGroup("smdgen")
    if structure.positions is not None:
        group.setCoords(structure.positions)
    group.setNames(structure.names)
    group.setResnames(structure.residue_names)
    group.setResnums(structure.residue_ids)
    group.setIcodes(structure.insertion_codes)
    group.setChids(structure.chain_ids)
    group.setSegnames(structure.segment_ids)
    group.setElements(np.char.upper(structure.elements))
    group.setMasses(structure.masses)
    if structure.charges is not None:
        group.setCharges(structure.charges)
    mask = protein_mask(structure)
    group.isFlagLabel("protein")
    group._getFlags("protein")
    for flag in ("protein", "aminoacid"):
        group._flags[flag] = mask
    return group


def _some(values: NDArray[np.str_]) -> str:
    distinct = list(dict.fromkeys(values.tolist()))
    more = f" and {len(distinct) - _SHOWN} more" if len(distinct) > _SHOWN else ""
    return " ".join(distinct[:_SHOWN]) + more


def _places(structure: Structure) -> str:
    parts = [("segments", structure.segment_ids), ("chains", structure.chain_ids)]
    return "".join(f", {word} {_some(values)}" for word, values in parts if (values != "").any())
