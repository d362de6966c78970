"""Atom selections, in the words that VMD and ProDy share, resolved to 0-based indices."""

import ast
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.arrays import Mask
from smdgen.errors import ConfigError
from smdgen.geometry import cvs
from smdgen.geometry.atoms import residue_numbers
from smdgen.geometry.bonds import molecule_numbers
from smdgen.io.structures.atoms import Structure
from smdgen.io.structures.elements import CAPS, PROTEIN_RESIDUES, WATER_RESIDUES
from smdgen.io.structures.selection_language import (
    FUNCTIONS,
    KEYWORDS,
    Comparison,
    Flag,
    Joined,
    Named,
    Node,
    Not,
    Range,
    SameAs,
    Value,
    Within,
    parse,
)

_SHOWN = 12


def select_atoms(structure: Structure, selection: str) -> NDArray[np.int64]:
    """Indices of the atoms that a selection names.

    `protein` means, as in VMD, residues with a backbone (N, CA, C), and those of known names with a CA.

    Args:
        structure: Where to select; without positions `within` cannot be used.
        selection: `protein and name N CA C O`, `resid 1 to 10`, `segname A`; see `selection_language`.

    Returns:
        (n_selected,), in the order of the structure.

    Raises:
        ConfigError: The selection cannot be read, or names no atom.
    """
    evaluation = _Evaluation(structure, selection)
    found = np.flatnonzero(evaluation.mask(parse(selection))).astype(np.int64)
    if len(found) == 0:
        raise ConfigError(
            f"selection {selection!r} matches no atom{evaluation.missing()}; there are residues "
            f"{_some(structure.residue_names)}, names {_some(structure.names)}{_places(structure)}"
        )
    return found


def read_selections(cv: str | None, *selections: str) -> tuple[str, ...]:
    """The selections that settings hold, and those of a CV's text, before any structure is read.

    Args:
        cv: As `--cv` takes it; None for none.
        *selections: As `--select` takes them.

    Raises:
        ConfigError: One cannot be read.
    """
    found = (*selections, *(cvs.selections(cv) if cv else ()))
    for selection in found:
        parse(selection)
    return found


def selection_notes(structure: Structure, selection: str) -> tuple[str, ...]:
    """Values of a selection that no atom has: perhaps a slip, so that it takes less than was meant."""
    evaluation = _Evaluation(structure, selection)
    evaluation.mask(parse(selection))
    missing = evaluation.missing()
    return (f"selection {selection!r}:{missing.removeprefix(',')}",) if missing else ()


def residue_selection(structure: Structure, atoms: NDArray[np.int64]) -> str:
    """The residues of some atoms as a selection, as ranges of residue numbers in each segment and chain.

    Args:
        structure: Where they are.
        atoms: (n,), 0-based. One atom per residue, in the order of the chain.
    """
    parts: dict[tuple[str, str], list[list[int]]] = {}
    for atom in atoms.tolist():
        place = str(structure.segment_ids[atom]), str(structure.chain_ids[atom])
        number, runs = int(structure.residue_ids[atom]), parts.setdefault(place, [])
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    words = []
    for (segment, chain), runs in parts.items():
        where = [f"segname {segment}"] * bool(segment) + [f"chain {chain}"] * bool(chain and not segment)
        ranges = " ".join(str(a) if a == b else f"{a} to {b}" for a, b in runs)
        words.append(" and ".join([*where, f"resid {ranges}"]))
    return words[0] if len(words) == 1 else " or ".join(f"({text})" for text in words)


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


class _Evaluation:
    """A selection on a structure, and which of its values no atom has."""

    def __init__(self, structure: Structure, selection: str) -> None:
        self.structure = structure
        self.selection = selection
        self.unmatched: list[str] = []

    def missing(self) -> str:
        """The values that no atom has, in words."""
        shown = ", ".join(self.unmatched[:_SHOWN]) + (", ..." if len(self.unmatched) > _SHOWN else "")
        return f", no atom has {shown}" if shown else ""

    def mask(self, node: Node) -> Mask:
        """(n_atoms,). Whether each atom is selected."""
        structure = self.structure
        match node:
            case Flag(word):
                return _flag(structure, word)
            case Named(keyword, values):
                return self._named(keyword, values)
            case Comparison(text, tree):
                return np.asarray(self._number(tree, text), dtype=bool)
            case Not(of):
                return ~self.mask(of)
            case Joined("and", left, right):
                return self.mask(left) & self.mask(right)
            case Joined(_, left, right):
                return self.mask(left) | self.mask(right)
            case Within(radius, exclusive, of):
                return self._within(radius, exclusive, self.mask(of))
            case SameAs(keyword, of):
                labels = self._column(keyword)
                return np.isin(labels, np.unique(labels[self.mask(of)]))

    def error(self, what: str) -> ConfigError:
        """What is wrong, in one line."""
        return ConfigError(f"selection {self.selection!r} cannot be used: {what}")

    def _named(self, keyword: str, values: tuple[Value, ...]) -> Mask:
        column = self._column(keyword)
        if keyword == "element":
            column, values = np.char.upper(column), tuple(_upper(value) for value in values)
        mask = np.zeros(len(column), dtype=bool)
        plain = [value for value in values if not isinstance(value, tuple | Range | re.Pattern)]
        if plain:
            mask |= np.isin(column, np.array(plain, dtype=column.dtype if column.dtype.kind != "U" else str))
            there = set(column[mask].tolist())
            self._note_missing(keyword, [value for value in plain if value not in there])
        for value in values:
            if value in plain:
                continue
            found = self._special(column, value)
            if not found.any():
                self._note_missing(keyword, [_in_words(value)])
            mask |= found
        return mask

    def _special(self, column: NDArray[Any], value: Value) -> Mask:
        """Ranges, residues with insertion codes, regular expressions."""
        if isinstance(value, Range):
            return np.asarray((value.first <= column) & (column <= value.last))
        if isinstance(value, tuple):
            return np.asarray((column == value[0]) & (self.structure.insertion_codes == value[1]))
        assert isinstance(value, re.Pattern)
        fitting = [text for text in np.unique(column).tolist() if value.match(text)]
        return np.isin(column, fitting)

    def _note_missing(self, keyword: str, values: list[Any]) -> None:
        for value in values:
            if isinstance(value, str) and "*" in value and value.replace("*", "").isalnum():
                pattern = value.replace("*", ".*")
                raise self.error(f'no atom has {keyword} {value}; for a pattern write {keyword} "{pattern}"')
            if isinstance(value, str) and re.search(r"[.\[\]^$|]", value):  # single quotes are literal
                raise self.error(f'no atom has {keyword} {value}; for a pattern write {keyword} "{value}"')
            if isinstance(value, str) and re.fullmatch(r"\w+(\+\w+)+", value):
                raise self.error(f"no atom has {keyword} {value}; write {keyword} {value.replace('+', ' ')}")
            self.unmatched.append(f"{keyword} {value}" if value != "" else f"an empty {keyword}")

    def _column(self, keyword: str) -> NDArray[Any]:
        """(n_atoms,). The values of a keyword."""
        structure, n_atoms = self.structure, self.structure.n_atoms
        if keyword in ("index", "serial"):
            column: Any = np.arange(n_atoms) + (keyword == "serial")
        elif keyword == "residue":
            column = residue_numbers(structure)
        elif keyword == "fragment":
            column = molecule_numbers(n_atoms, structure.bonds)
        elif keyword in ("x", "y", "z"):
            column = self._positions()[:, "xyz".index(keyword)]
        elif keyword == "chain":  # chains of several letters are segments in a PDB
            column = np.where(structure.chain_ids == "", structure.segment_ids, structure.chain_ids)
        else:
            column = getattr(structure, _COLUMNS[keyword])
        if column is None:
            raise self.error(f"the structure has no {keyword}s; a PSF or prmtop has them")
        return np.asarray(column)

    def _positions(self) -> NDArray[np.float64]:
        if self.structure.positions is None:
            raise self.error("the structure has no coordinates, as `within`, x, y and z need; give a PDB")
        return self.structure.positions

    def _within(self, radius: float, exclusive: bool, of: Mask) -> Mask:
        from scipy.spatial import cKDTree

        positions = self._positions()
        if not of.any():
            return of
        distances, _ = cKDTree(positions[of]).query(positions, distance_upper_bound=radius)
        near: Mask = np.isfinite(distances)
        return near & ~of if exclusive else near

    def _number(self, tree: ast.expr, text: str) -> Any:
        """The value of an expression of numbers: a scalar, or (n_atoms,)."""
        with np.errstate(all="ignore"):
            match tree:
                case ast.Constant(value) if type(value) in (int, float):
                    return float(value)  # type: ignore[arg-type]
                case ast.Name(name) if KEYWORDS.get(name, "") in _NUMERIC:
                    return self._column(KEYWORDS[name]).astype(np.float64)
                case ast.UnaryOp(ast.USub() | ast.UAdd() as sign, operand):
                    number = self._number(operand, text)
                    return -number if isinstance(sign, ast.USub) else number
                case ast.BinOp(left, sign, right) if type(sign) in _ARITHMETIC:
                    return _ARITHMETIC[type(sign)](self._number(left, text), self._number(right, text))
                case ast.Call(ast.Name(name), [argument], []) if name in FUNCTIONS:
                    function = _FUNCTIONS.get(name) or getattr(np, name)
                    return function(self._number(argument, text))
                case ast.Compare(left, signs, others) if all(type(sign) in _COMPARISONS for sign in signs):
                    numbers = [self._number(side, text) for side in (left, *others)]
                    pairs = zip(signs, numbers[:-1], numbers[1:], strict=True)
                    found = [_COMPARISONS[type(sign)](one, other) for sign, one, other in pairs]
                    return np.broadcast_to(np.logical_and.reduce(found), self.structure.n_atoms)
        raise self.error(
            f"{text!r} is not a comparison of numbers ({', '.join(_NUMERIC)}), such as 'x < 5'; "
            "names go without signs, as in 'name CA'"
        )


_COLUMNS = {
    "name": "names", "resname": "residue_names", "chain": "chain_ids", "segname": "segment_ids",
    "element": "elements", "type": "types", "icode": "insertion_codes", "resid": "residue_ids",
    "mass": "masses", "charge": "charges",
}  # fmt: skip
_NUMERIC = ("resid", "index", "serial", "residue", "mass", "charge", "x", "y", "z")
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide,
    ast.Mod: np.remainder, ast.Pow: np.power,
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: np.less, ast.LtE: np.less_equal, ast.Gt: np.greater, ast.GtE: np.greater_equal,
    ast.Eq: np.equal, ast.NotEq: np.not_equal,
}  # fmt: skip
_FUNCTIONS = {"sq": np.square, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan}


def _upper(value: Value) -> Value:
    return value.upper() if isinstance(value, str) else value


def _in_words(value: Value) -> str:
    """A value as it is written."""
    if isinstance(value, Range):
        return f"{value.first:g} to {value.last:g}"
    if isinstance(value, tuple):
        return f"{value[0]}{value[1] or '_'}"
    return f'"{value.pattern}"' if isinstance(value, re.Pattern) else str(value)


def _flag(structure: Structure, word: str) -> Mask:
    """(n_atoms,). What a word such as `protein` selects; ProDy knows the rarer ones."""
    if word in ("all", "none"):
        return np.full(structure.n_atoms, word == "all")
    if word in ("protein", "aminoacid"):
        return protein_mask(structure)
    if word == "water":
        return np.isin(structure.residue_names, list(WATER_RESIDUES))
    import prody

    prody.LOGGER.verbosity = "none"
    return np.asarray(_atom_group(prody, structure).getFlags(word), dtype=bool)


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
