"""A strict stand-in for VMD's text commands: wrong words are errors, files must be there and fit.

The Tcl is Python's own, so it is the real one. What it accepts of VMD follows VMD 1.9.4's user guide,
chapter "Tcl Text Interface"; of its commands only those are known that the view scripts use, so a new one
has to be added here with its rules.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

STYLES = {
    "Lines", "Bonds", "DynamicBonds", "HBonds", "Points", "VDW", "CPK", "Licorice", "Trace", "Tube",
    "Ribbons", "NewRibbons", "Cartoon", "NewCartoon", "QuickSurf", "Beads", "Off",
}  # fmt: skip
COLOURS = {
    "Name", "Type", "Element", "ResName", "ResType", "ResID", "Chain", "SegName", "Molecule", "Structure",
    "ColorID", "Beta", "Occupancy", "Mass", "Charge", "Index", "Backbone", "Throb", "Timestep", "User",
}  # fmt: skip
MATERIALS = {"Opaque", "Transparent", "AOChalky", "AOShiny", "AOEdgy", "Glossy", "Diffuse", "Ghost"}
LABELS = {"Atoms": 1, "Bonds": 2, "Angles": 3, "Dihedrals": 4}
DISPLAY = {"projection": {"Orthographic", "Perspective"}, "depthcue": {"on", "off"}, "resetview": set()}


@dataclass
class Representation:
    """How a part of a molecule is drawn."""

    style: str
    colour: str
    selection: str
    smoothing: int = 0
    shown: bool = True


@dataclass
class Molecule:
    """A loaded molecule."""

    n_atoms: int
    n_frames: int
    name: str
    shown: bool = True
    reps: list[Representation] = field(default_factory=lambda: [Representation("Lines", "Name", "all")])


class VmdError(Exception):
    """What VMD or Tcl stop with."""


class Vmd:
    """Runs view scripts; afterwards `molecules`, `labels` and `output` say what a user would see."""

    def __init__(self) -> None:
        self.molecules: list[Molecule] = []
        self.labels: list[tuple[str, list[tuple[int, int]]]] = []
        self.output: list[str] = []
        self.top = -1
        self.frame = "start"
        self._next = Representation("Lines", "Name", "all")
        self._tcl = pytest.importorskip("tkinter", reason="this Python has no Tcl").Tcl()
        for name, command in {
            "mol": self._mol,
            "animate": self._animate,
            "label": self._label,
            "display": self._display,
            "axes": lambda a: _require(a == ["location", "Off"], a),
            "color": lambda a: _require(len(a) == 3 and a[0] in {"Display", "Labels"}, a),
            "puts": lambda a: str(self.output.append(a[0]) or ""),
        }.items():
            self._add(name, command)

    def play(self, script: Path) -> None:
        """What `vmd -e` and `play` do: each complete command is evaluated, whatever the ones before did.

        The script is not sourced, so `info script` is empty; errors are printed.
        Source: TclTextInterp::evalFile of VMD.
        """
        command = ""
        for line in script.read_text(encoding="utf-8").splitlines(keepends=True):
            command += line
            if self.run(f"info complete {_listed(command)}") == "1":
                try:
                    self.run(command)
                except VmdError as error:
                    self.output.append(f"ERROR) {error}")
                command = ""

    def source(self, script: Path) -> None:
        """What `source` in the console does: the first error ends it."""
        self.run(f"source -encoding utf-8 {_listed(str(script))}")

    def run(self, text: str) -> str:
        """Run commands; the value of the last one."""
        try:
            return str(self._tcl.eval(text))
        except Exception as error:  # tkinter's own class, which is not there where tkinter is not
            raise VmdError(str(error)) from error

    def _add(self, name: str, command: Callable[[list[str]], str]) -> None:
        """A command whose errors are those of Tcl."""

        def guarded(*words: str) -> tuple[int, str]:
            try:
                return 0, command(list(words))
            except (VmdError, LookupError, ValueError) as error:
                return 1, str(error) or "wrong words"

        self._tcl.createcommand(f"python_{name}", guarded)
        self._tcl.eval(
            f"proc {name} args {{ lassign [python_{name} {{*}}$args] code value;"
            " return -code $code -level 1 $value }"
        )

    def _mol(self, a: list[str]) -> str:
        known = {
            "new": self._new, "addfile": self._addfile, "rename": self._rename, "delrep": self._delrep,
            "addrep": self._addrep, "smoothrep": self._smoothrep, "showrep": self._showrep,
            "representation": self._draw, "color": self._draw, "selection": self._draw,
            "material": self._draw,
            "on": self._show, "off": self._show, "top": self._show,
        }  # fmt: skip
        _require(a[0] in known, a)
        return known[a[0]](a)

    def _new(self, a: list[str]) -> str:
        options = _options(a[2:])
        n_atoms, n_frames = _look(Path(a[1]), options["type"])
        self.molecules.append(Molecule(n_atoms, n_frames, Path(a[1]).name))
        self.top = len(self.molecules) - 1
        return str(self.top)

    def _addfile(self, a: list[str]) -> str:
        molecule, options = self._molecule(a[-1]), _options(a[2:-1])
        n_atoms, n_frames = _look(Path(a[1]), options["type"])
        _require(
            n_atoms == molecule.n_atoms, [f"{a[1]} has {n_atoms} atoms, the molecule {molecule.n_atoms}"]
        )
        _require((options["first"], options["last"], options["step"]) == ("0", "-1", "1"), a)
        molecule.n_frames += n_frames
        return ""

    def _rename(self, a: list[str]) -> str:
        self._molecule(a[1]).name = a[2]
        return ""

    def _delrep(self, a: list[str]) -> str:
        self._molecule(a[2]).reps.pop(int(a[1]))
        return ""

    def _addrep(self, a: list[str]) -> str:
        new = self._next
        self._molecule(a[1]).reps.append(Representation(new.style, new.colour, new.selection))
        return ""

    def _smoothrep(self, a: list[str]) -> str:
        self._molecule(a[1]).reps[int(a[2])].smoothing = int(a[3])
        return ""

    def _showrep(self, a: list[str]) -> str:
        _require(a[3] in {"on", "off"}, a)
        self._molecule(a[1]).reps[int(a[2])].shown = a[3] == "on"
        return ""

    def _draw(self, a: list[str]) -> str:
        words = " ".join(a[1:]).split()
        if a[0] == "representation":
            _require(words[0] in STYLES and all(_is_number(word) for word in words[1:]), a)
            self._next.style = words[0]
        elif a[0] == "color":
            _require(words[0] in COLOURS and len(words) == 1 + (words[0] == "ColorID"), a)
            self._next.colour = words[0]
        elif a[0] == "selection":
            _require(bool(words), a)
            self._next.selection = " ".join(words)
        else:
            _require(words[0] in MATERIALS, a)
        return ""

    def _show(self, a: list[str]) -> str:
        molecule = self._molecule(a[1])
        if a[0] == "top":
            self.top = int(a[1])
        else:
            molecule.shown = a[0] == "on"
        return ""

    def _animate(self, a: list[str]) -> str:
        if a == ["delete", "all"]:
            self._molecule("top").n_frames = 0
        elif a[0] == "goto":
            _require(a[1] in {"start", "end"} or a[1].isdigit(), a)
            self.frame = a[1]
        else:
            _require(
                (a[0] == "style" and a[1] in {"Once", "Loop", "Rock"})
                or (a[0] == "speed" and _is_number(a[1])),
                a,
            )
        return ""

    def _label(self, a: list[str]) -> str:
        if a[0] != "add":
            return _require(a[0] in {"textsize", "textthickness"} and _is_number(a[1]), a)
        _require(LABELS.get(a[1]) == len(a) - 2, a)
        atoms = [(int(molecule), int(atom)) for molecule, atom in (word.split("/") for word in a[2:])]
        _require(all(atom < self._molecule(str(molecule)).n_atoms for molecule, atom in atoms), a)
        self.labels.append((a[1], atoms))
        return ""

    def _display(self, a: list[str]) -> str:
        return _require(a[0] in DISPLAY and set(a[1:]) <= DISPLAY[a[0]], a)

    def _molecule(self, word: str) -> Molecule:
        index = self.top if word == "top" else int(word)
        _require(0 <= index < len(self.molecules), [f"no molecule {word}"])
        return self.molecules[index]


def _options(words: list[str]) -> dict[str, str]:
    options = dict(zip(words[::2], words[1::2], strict=True))
    _require(set(options) <= {"type", "first", "last", "step", "waitfor"}, words)
    _require(
        options.get("waitfor") == "all", ["no waitfor all: later commands run before the frames are there"]
    )
    return options


def _look(path: Path, kind: str) -> tuple[int, int]:
    """Atoms and frames of a file, read here and not by the code under test."""
    _require(path.is_file(), [f"Unable to load file '{path}' using file type '{kind}'"])
    if kind == "dcd":
        content = path.read_bytes()
        n_frames, titles_at = struct.unpack_from("<i", content, 8)[0], 92
        titles_size = struct.unpack_from("<i", content, titles_at)[0]
        return struct.unpack_from("<i", content, titles_at + titles_size + 12)[0], n_frames
    lines = path.read_text().splitlines()
    if kind == "psf":
        return next(int(line.split()[0]) for line in lines if "!NATOM" in line), 0
    _require(kind == "pdb", [f"no plugin for type '{kind}'"])
    return sum(line.startswith(("ATOM", "HETATM")) for line in lines), 1


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _require(condition: bool, words: list[str]) -> str:
    if not condition:
        raise VmdError("VMD: " + " ".join(words))
    return ""


def _listed(text: str) -> str:
    """One word of Tcl, every letter by its number, so that nothing is taken for Tcl."""
    return "".join(f"\\U{ord(letter):08x}" for letter in text)
