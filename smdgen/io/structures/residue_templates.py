"""Bonds of known residues by their atoms' names, as the Protein Data Bank defines them.

OpenMM ships the definitions (`residues.xml`) and the other names in use (`pdbNames.xml`).
"""

import functools
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

#: Residues under names that OpenMM's table of names lacks.
_OTHER_RESIDUES = {
    **dict.fromkeys(("HSE", "HISA", "HISB", "HISH", "HISD", "HISE"), "HIS"),
    **dict.fromkeys(("CYM", "CYS2", "CYSH"), "CYS"),
    "LYN": "LYS", "LSN": "LYS", "ASPP": "ASP", "GLUP": "GLU", "TIP4": "HOH", "TP3M": "HOH",
}  # fmt: skip

#: Atoms under names that the table lacks.
_OTHER_ATOMS = {
    "ILE": {"HD1": "HD11", "HD2": "HD12", "HD3": "HD13"},
    "NME": {"CH3": "C", "CA": "C", "CAT": "C", "HN": "H", "HNT": "H"},
    "ACE": {"CAY": "CH3", "CY": "C", "OY": "O"},
}


@dataclass(frozen=True)
class Template:
    """A residue: pairs of bonded atoms within it, and what else its atoms are called."""

    bonds: frozenset[tuple[str, str]]
    atoms: frozenset[str]
    other_names: Mapping[str, str]

    def standard(self, name: str) -> str:
        """The Protein Data Bank's name of an atom; "" if it is none of this residue."""
        if name in self.atoms:
            return name
        return self.other_names.get(name, "")


def template_of(residue_name: str) -> Template | None:
    """The template of a residue, by any of its names; None for one that is not known."""
    name = residue_name.strip().upper()
    return _templates().get(name)


@functools.cache
def _templates() -> dict[str, Template]:
    spec = importlib.util.find_spec("openmm")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "app" / "data"
    names, others = _other_names(folder / "pdbNames.xml")
    templates = {}
    for residue in ElementTree.parse(folder / "residues.xml").getroot():
        own = residue.attrib["name"]
        ends = [(bond.attrib["from"], bond.attrib["to"]) for bond in residue if bond.tag == "Bond"]
        bonds = frozenset((a, b) for a, b in ends if not a.startswith("-") and not b.startswith("-"))
        atoms = frozenset(name for bond in bonds for name in bond)
        templates[own] = Template(bonds, atoms, {**names.get(own, {}), **_OTHER_ATOMS.get(own, {})})
    for other, own in (others | _OTHER_RESIDUES).items():
        if own in templates:
            templates.setdefault(other, templates[own])
    return templates


def _other_names(path: Path) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """By residue the standard name of an atom by each of its other names; residues by their other names."""
    atoms: dict[str, dict[str, str]] = {"": {}}
    residues: dict[str, str] = {}
    for residue in ElementTree.parse(path).getroot():
        name, kind = residue.attrib["name"], residue.attrib.get("type", "")
        residues |= {value: name for key, value in residue.attrib.items() if key.startswith("alt")}
        own = {
            value: atom.attrib["name"]
            for atom in residue
            for key, value in atom.attrib.items()
            if key != "name"
        }
        atoms[name] = {**atoms.get(kind, {}), **own}
    return atoms, residues
