"""The language of selections: from a line of text to a tree, every word accounted for."""

import ast
import difflib
import re
from dataclasses import dataclass

from smdgen.errors import ConfigError

#: Keywords that values follow, by the kind of their values, with the names other programs give them.
_TEXT = {
    "name": "name", "resname": "resname", "chain": "chain", "chid": "chain", "segname": "segname",
    "segment": "segname", "segid": "segname", "element": "element", "type": "type", "icode": "icode",
}  # fmt: skip
_WHOLE = {
    "resid": "resid", "resnum": "resid", "index": "index", "serial": "serial", "residue": "residue",
    "resindex": "residue", "fragment": "fragment", "fragindex": "fragment",
}  # fmt: skip
_REAL = {"mass": "mass", "charge": "charge", "x": "x", "y": "y", "z": "z"}
KEYWORDS = {**_TEXT, **_WHOLE, **_REAL}

#: Words that are a selection by themselves.
FLAGS = frozenset(
    """all none protein aminoacid water hydrogen noh heavy ca calpha bb backbone bbfull backbonefull sc
    sidechain stdaa nonstdaa aliphatic aromatic acidic basic charged neutral buried surface cyclic acyclic
    hydrophobic polar small medium large carbon nitrogen oxygen sulfur nucleic nucleobase nucleotide
    nucleoside at cg purine pyrimidine ion lipid sugar heme hetero""".split()
)
FUNCTIONS = frozenset(
    "sqrt sq abs floor ceil sin cos tan asin acos atan sinh cosh tanh exp log log10".split()
)

_RESERVED = frozenset({"and", "or", "not", "within", "exwithin", "same", *KEYWORDS, *FLAGS})
_SIGNS = {"&": "and", "&&": "and", "|": "or", "||": "or", "!": "not"}
_TOKEN = re.compile(r"""[\s,]*("[^"]*"|`[^`]*`|'[^']*'(?=[\s(),]|$)|[()]|[^\s(),"`]+|.)""", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_EXAMPLE = "'protein and name N CA C O'"


@dataclass(frozen=True)
class Range:
    """All numbers from one to another, both included."""

    first: float
    last: float


#: A name, a number, a residue with its insertion code, a range, or a regular expression.
Value = str | int | float | tuple[int, str] | Range | re.Pattern[str]


@dataclass(frozen=True)
class Flag:
    """A word that is a selection by itself."""

    word: str


@dataclass(frozen=True)
class Named:
    """A keyword with its values."""

    keyword: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Comparison:
    """An expression of numbers, such as `x < 5`."""

    text: str
    tree: ast.expr


@dataclass(frozen=True)
class Not:
    """What is not selected."""

    of: "Node"


@dataclass(frozen=True)
class Joined:
    """Two selections, both or either."""

    word: str  # "and", "or"
    left: "Node"
    right: "Node"


@dataclass(frozen=True)
class Within:
    """Atoms near those of a selection, A; without them if exclusive."""

    radius: float
    exclusive: bool
    of: "Node"


@dataclass(frozen=True)
class SameAs:
    """Atoms whose keyword has a value that one of the selection has."""

    keyword: str
    of: "Node"


Node = Flag | Named | Comparison | Not | Joined | Within | SameAs


def parse(text: str) -> Node:
    """The tree of a selection.

    `not`, `within`, `exwithin` and `same` bind closest, then `and`, then `or`, as in VMD and ProDy.

    Raises:
        ConfigError: A word that has no place or meaning; nothing is passed over.
    """
    if not text.strip():
        raise ConfigError(f"the selection is empty; write for example {_EXAMPLE}")
    reader = _Reader(text)
    node = _either(reader)
    if reader.word:
        raise reader.error(f"expected 'and' or 'or' before {reader.word!r}{_quote_hint(reader)}")
    return node


class _Reader:
    """The words of a selection, one after another."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = [(found[1], found.start(1), found.end(1)) for found in _TOKEN.finditer(text)]
        self.place = 0

    @property
    def word(self) -> str:
        """The word at hand; empty at the end."""
        return self.words[self.place][0] if self.place < len(self.words) else ""

    def take(self, expected: str = "") -> str:
        """The word at hand; the next one is at hand then."""
        word = self.word
        if expected and word != expected:
            raise self.error(f"expected {expected!r} {self.where()}")
        if not word:
            raise self.error("it ends too early")
        self.place += 1
        return word

    def where(self) -> str:
        """The place in words."""
        return f"before {self.word!r}" if self.word else "at the end"

    def error(self, what: str) -> ConfigError:
        """What is wrong, in one line."""
        return ConfigError(f"selection {self.text!r} cannot be read: {what}")


def _either(reader: _Reader) -> Node:
    node = _both(reader)
    while reader.word == "or":
        reader.take()
        node = Joined("or", node, _both(reader))
    return node


def _both(reader: _Reader) -> Node:
    node = _one(reader)
    while reader.word == "and":
        reader.take()
        node = Joined("and", node, _one(reader))
    return node


def _one(reader: _Reader) -> Node:
    word = reader.word
    if word in ("and", "or", ")", ""):
        raise reader.error(f"expected a selection {reader.where()}, as in {_EXAMPLE}")
    if word == "not":
        reader.take()
        return Not(_one(reader))
    if word in ("within", "exwithin"):
        reader.take()
        radius = _number(reader, reader.take())
        reader.take("of")
        return Within(radius, word == "exwithin", _one(reader))
    if word == "same":
        reader.take()
        keyword = reader.take()
        if keyword not in KEYWORDS:
            raise reader.error(_unknown(keyword, KEYWORDS))
        reader.take("as")
        return SameAs(KEYWORDS[keyword], _one(reader))
    return _comparison(reader) or _simple(reader)


def _simple(reader: _Reader) -> Node:
    word = reader.take()
    if word == "(":
        node = _either(reader)
        if reader.word not in (")", ""):
            raise reader.error(f"expected 'and' or 'or' before {reader.word!r}{_quote_hint(reader)}")
        reader.take(")")
        return node
    if word in FLAGS:
        return Flag(word)
    if word not in KEYWORDS:
        raise reader.error(_unknown(word, _RESERVED))
    keyword = KEYWORDS[word]
    values: list[Value] = []
    while reader.word and reader.word not in ("(", ")") and not (values and _is_reserved(reader, keyword)):
        values.append(_value(reader, keyword))
    if not values:
        raise reader.error(f"{word!r} must be followed by values, such as {_example_of(keyword)!r}")
    return Named(keyword, tuple(values))


def _is_reserved(reader: _Reader, keyword: str) -> bool:
    """Whether the word at hand ends a list of values; chains may be called x, y and z."""
    is_letter = keyword in _TEXT and reader.word in ("x", "y", "z")
    return reader.word in _RESERVED and not is_letter


def _value(reader: _Reader, keyword: str) -> Value:
    word = reader.take()
    if word in _SIGNS:
        raise reader.error(f"write {_SIGNS[word]!r} for {word!r}")
    if word[0] == '"' and (len(word) == 1 or word[-1] != '"'):
        raise reader.error("a quotation mark is not closed")
    if keyword in _TEXT:
        return _text_value(reader, word)
    bare = word.strip("`'")
    if word[0] == "`" and " to " in bare:  # ProDy's way to write a range that begins below 0
        first, last = bare.split(" to ", 1)
        return _range(reader, keyword, first.strip(), last.strip())
    if reader.word == "to":
        reader.take()
        return _range(reader, keyword, bare, reader.take().strip("`'"))
    return _numeric(reader, keyword, bare)


def _text_value(reader: _Reader, word: str) -> Value:
    if reader.word == "to":
        raise reader.error(f"'to' goes between numbers, not after {word!r}")
    if word[0] == '"':
        try:
            return re.compile(word[1:-1])
        except re.error as error:
            raise reader.error(f"{word} is not a regular expression ({error})") from error
    if word[0] in "`'" and len(word) > 1 and word[-1] == word[0]:
        return word[1:-1]
    return "" if word == "_" else word


def _range(reader: _Reader, keyword: str, first: str, last: str) -> Range:
    ends = [_numeric(reader, keyword, word) for word in (first, last)]
    low, high = (end[0] if isinstance(end, tuple) else float(end) for end in ends)
    if any(isinstance(end, tuple) for end in ends):
        raise reader.error(
            f"a range goes from number to number, without insertion codes, not from {first} to {last}"
        )
    if low > high:
        raise reader.error(f"the range from {first} to {last} is empty; the smaller number comes first")
    return Range(low, high)


def _numeric(reader: _Reader, keyword: str, word: str) -> int | float | tuple[int, str]:
    """A number, or a residue number with its insertion code."""
    if keyword in _REAL.values():
        return _number(reader, word)
    if re.fullmatch(r"[-+]?\d+", word):
        return int(word)
    if keyword == "resid" and (found := re.fullmatch(r"([-+]?\d+)([A-Za-z_])", word)):
        return int(found[1]), found[2].replace("_", "")
    ends = re.fullmatch(r"(-?\d+)(?:to|[-:])(-?\d+)(:\d+)?", word)
    advice = f"write {keyword} {ends[1]} to {ends[2]}" if ends else f"as in {_example_of(keyword)!r}"
    if ":" in word and ends:
        advice += " (a colon leaves out the last one in ProDy and keeps it elsewhere)"
    if word == "to":
        advice = "a number is missing before or after 'to'"
    raise reader.error(f"expected whole numbers after {keyword!r}, found {word!r}; {advice}")


def _number(reader: _Reader, word: str) -> float:
    if not _NUMBER.fullmatch(word):
        raise reader.error(f"expected a number, found {word!r}")
    return float(word)


def _comparison(reader: _Reader) -> Comparison | None:
    """The expression at hand, up to the next `and`, `or` or closing bracket; None if it compares nothing."""
    depth, stop, compares = 0, reader.place, False
    for word, _, _ in reader.words[reader.place :]:
        depth += (word == "(") - (word == ")")
        if depth < 0 or (depth == 0 and word in ("and", "or")):
            break
        compares |= depth == 0 and word[0] not in "\"`'" and any(sign in word for sign in "<>=")
        stop += 1
    if not compares:
        return None
    text = reader.text[reader.words[reader.place][1] : reader.words[stop - 1][2]]
    reader.place = stop
    try:
        tree = ast.parse(re.sub(r"(?<![<>=!])=(?!=)", "==", text).replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as error:
        raise reader.error(f"{text!r} is not a comparison of numbers, such as 'x < 5'") from error
    if not isinstance(tree, ast.Compare):
        raise reader.error(f"{text!r} is not a comparison of numbers, such as 'x < 5'")
    return Comparison(text, tree)


def _quote_hint(reader: _Reader) -> str:
    if reader.word in _SIGNS:
        return f"; write {_SIGNS[reader.word]!r} for {reader.word!r}"
    return f"; write `{reader.word}` in backquotes if it is a name" if reader.word in _RESERVED else ""


def _example_of(keyword: str) -> str:
    examples = {"name": "name N CA C O", "resname": "resname ALA GLY", "resid": "resid 1 2 5 to 10 12A"}
    return examples.get(keyword, f"{keyword} A" if keyword in _TEXT else f"{keyword} 1 2 5 to 10")


def _unknown(word: str, known: "frozenset[str] | dict[str, str]") -> str:
    if word in _SIGNS:
        return f"write {_SIGNS[word]!r} for {word!r}"
    others = {"resi": "resid", "resn": "resname", "segi": "segname", "elem": "element", "id": "serial"}
    near = [others[word]] if word in others else difflib.get_close_matches(word.lower(), sorted(known), 1)
    meant = f"; did you mean {near[0]!r}?" if near else f"; write for example {_EXAMPLE}"
    return f"{word!r} is not a keyword{meant}"
