"""Build an OpenMM System from a structure and a force field, by the most trusted route its files allow."""

import functools
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from smdgen.errors import ConfigError, TopologyError
from smdgen.forcefield.charmm_files import system_from_psf
from smdgen.forcefield.nonbonded import add_obc2, fold_lennard_jones, forces_of, remove_forces
from smdgen.forcefield.plain_files import PsfAtoms, plain_copy

#: OpenMM force-field files by the name a user gives; any other name is taken as the path of an XML file.
FORCEFIELDS: dict[str, tuple[str, ...]] = {
    "charmm36": ("charmm36.xml", "charmm36/water.xml"),
    "amber14": ("amber14-all.xml", "amber14/tip3p.xml"),
}

#: The one taken when none is named.
DEFAULT_FORCEFIELD = "charmm36"

#: Atoms without mass: the fourth point of water, lone pairs.
_MASSLESS = re.compile(r"M|OM|MW\d?|(EP|LP).*")


class MolecularStructure(PsfAtoms, Protocol):
    """What this module needs of a structure; `smdgen.io.structures.structure.Structure` has it all."""

    @property
    def path(self) -> Path | None: ...  # noqa: D102
    @property
    def has_cross_terms(self) -> bool | None: ...  # noqa: D102


@dataclass(frozen=True)
class MolecularSystem:
    """An OpenMM System with the topology it was built from; particle i is atom i of the structure."""

    system: Any  # openmm.System
    topology: Any  # openmm.app.Topology
    source: str  # in words: which files
    notes: tuple[str, ...] = ()


def build_system(
    structure: MolecularStructure,
    parameters: Sequence[Path] = (),
    forcefield: str = "charmm36",
    solvent: str = "vacuum",
    *,
    cmap: bool = True,
    constraints: str = "hbonds",
) -> MolecularSystem:
    """The OpenMM System of a structure.

    Routes, in order of trust: an OpenMM System XML as `parameters`; an Amber prmtop as the structure; a PSF
    with CHARMM `parameters`; else the force field, matched by residues and bonds.

    Args:
        structure: Atoms and bonds. For a PSF with parameters and for a prmtop its file is read again, for
            the terms it lists.
        parameters: CHARMM .prm, .rtf, .str, .inp files, or one System XML.
        forcefield: A key of `FORCEFIELDS` or the path of an OpenMM force-field XML.
        solvent: "vacuum" or "obc2" (generalised Born, OBC II).
        cmap: False leaves out the CHARMM backbone correction map.
        constraints: "hbonds" (bonds to hydrogen are rigid) or "none".

    Returns:
        The system, without a restraint. There is no cutoff.

    Raises:
        ConfigError: An unknown force field, solvent or constraint, or a parameter file that cannot be read.
        TopologyError: The force field has no parameters for an atom, residue or bond of the structure.
    """
    if solvent not in ("vacuum", "obc2"):
        raise ConfigError(f"solvent {solvent!r} is not known; choose vacuum or obc2")
    if constraints not in ("hbonds", "none"):
        raise ConfigError(f"constraints {constraints!r} is not known; choose hbonds or none")
    built = _by_trust(structure, parameters, forcefield, constraints)
    notes = list(built.notes)
    # A PSF lists every term of its molecule: without cross-terms it has no CMAP in any force field.
    silent_psf = structure.has_cross_terms is False
    if (silent_psf or not cmap) and remove_forces(built.system, "CMAPTorsionForce"):
        notes.append("CMAP is left out" + (": the PSF lists no cross-terms" if silent_psf else ""))
    fold_lennard_jones(built.system)
    if solvent == "obc2" and any(forces_of(built.system, kind) for kind in ("GBSAOBCForce", "CustomGBForce")):
        notes.append(f"{built.source} has an implicit solvent of its own, which is kept")
    elif solvent == "obc2":
        add_obc2(built.system, built.topology)
    return MolecularSystem(built.system, built.topology, built.source, tuple(notes))


def _by_trust(
    structure: MolecularStructure, parameters: Sequence[Path], forcefield: str, constraints: str
) -> MolecularSystem:
    missing = [path for path in parameters if not Path(path).is_file()]
    if missing:
        raise ConfigError(
            f"parameter file {missing[0]} does not exist; give the path of a prm, rtf, str or XML file"
        )
    topology = openmm_topology(structure)
    kind = file_kind(structure)
    if len(parameters) == 1 and Path(parameters[0]).suffix.lower() == ".xml":
        system = _system_from_xml(Path(parameters[0]), structure)
        return MolecularSystem(system, topology, f"OpenMM system {Path(parameters[0]).name}")
    if kind == "prmtop" and structure.path is not None:
        return _system_from_prmtop(structure.path, constraints)
    if parameters and kind == "psf" and structure.path is not None:
        system = system_from_psf(structure.path, structure, parameters, constraints)
        names = ", ".join(Path(path).name for path in parameters)
        return MolecularSystem(system, topology, f"{structure.path.name} with {names}")
    if parameters:
        raise ConfigError(
            f"--params belongs to a PSF, but the structure is {structure.path}; "
            "give the PSF, or leave --params out"
        )
    system = system_from_forcefield(topology, forcefield, constraints)
    return MolecularSystem(system, topology, f"force field {forcefield}")


def file_kind(structure: MolecularStructure) -> str:
    """What the structure was read from, by content: "psf", "prmtop" or "" for anything else."""
    if structure.path is None or not structure.path.is_file():
        return ""
    with structure.path.open("rb") as stream:
        start = stream.read(200).removeprefix(b"\xef\xbb\xbf").lstrip()
    return "psf" if start.startswith(b"PSF") else "prmtop" if start.startswith(b"%VERSION") else ""


def openmm_topology(structure: MolecularStructure, split_unbonded: bool = False) -> Any:
    """An OpenMM Topology with the structure's own residues and bonds; atom i is atom i of the structure.

    Args:
        structure: Atoms and bonds.
        split_unbonded: A residue that is not bonded to the one before begins a new chain, so that no reader
            bonds them.

    Raises:
        TopologyError: An atom's element is unknown.
    """
    from openmm import app

    topology = app.Topology()
    rows = residue_rows(structure)
    linked = (
        {(min(rows[i], rows[j]), max(rows[i], rows[j])) for i, j in structure.bonds}
        if split_unbonded
        else set()
    )
    atoms: list[Any] = []
    chain_key, last_row = None, -1
    for i, name in enumerate(structure.names):
        if rows[i] != last_row:
            here = (str(structure.segment_ids[i]), str(structure.chain_ids[i]))
            if here != chain_key or (split_unbonded and (last_row, rows[i]) not in linked):
                chain, chain_key = topology.addChain(here[1] or here[0]), here
            last_row = rows[i]
            code = str(structure.insertion_codes[i])
            number = str(int(structure.residue_ids[i]))
            residue = topology.addResidue(str(structure.residue_names[i]), chain, number, code or " ")
        atoms.append(topology.addAtom(str(name), _element(structure, i), residue))
    for i, j in structure.bonds:
        topology.addBond(atoms[i], atoms[j])
    return topology


def residue_rows(structure: MolecularStructure) -> list[int]:
    """Number of the residue of each atom, counted from 0 in file order."""
    keys = (structure.segment_ids, structure.chain_ids, structure.residue_ids, structure.insertion_codes)
    new = np.ones(len(structure.names), dtype=bool)
    new[1:] = np.any([key[1:] != key[:-1] for key in (*keys, structure.residue_names)], axis=0)
    return [int(row) for row in np.cumsum(new) - 1]


def _element(structure: MolecularStructure, i: int) -> Any:
    from openmm.app.element import Element

    symbol = str(structure.elements[i])
    try:
        return Element.getBySymbol(symbol)
    except KeyError:
        pass
    name, residue = str(structure.names[i]), str(structure.residue_names[i])
    where = f"{residue} {structure.residue_ids[i]} {name}"
    if not symbol and _MASSLESS.fullmatch(name):
        raise TopologyError(
            f"atom {where} is a massless site, as of 4-site water, which takes more than atom names; "
            "give a prmtop or PSF, or the structure without the water"
        )
    raise TopologyError(
        f"atom {where} has no known element ({symbol or 'none'}); "
        "add the element column, or give a PSF or prmtop"
    )


def _constraint(constraints: str) -> Any:
    from openmm import app

    return app.HBonds if constraints == "hbonds" else None


def _system_from_xml(path: Path, structure: MolecularStructure) -> Any:
    import openmm

    try:
        system = openmm.XmlSerializer.deserialize(path.read_text(encoding="utf-8"))
    except (openmm.OpenMMException, ValueError) as error:
        raise ConfigError(
            f"{path} is not an OpenMM System XML ({error}); write one with XmlSerializer"
        ) from error
    if not isinstance(system, openmm.System):
        raise ConfigError(f"{path} holds a {type(system).__name__}, expected an OpenMM System")
    if system.getNumParticles() != len(structure.names):
        raise TopologyError(
            f"{path} has {system.getNumParticles()} particles, the structure {len(structure.names)} atoms; "
            "they must be of the same system"
        )
    return system


def _system_from_prmtop(path: Path, constraints: str) -> MolecularSystem:
    from openmm import app

    try:
        with tempfile.TemporaryDirectory() as scratch:
            prmtop = app.AmberPrmtopFile(str(plain_copy(path, Path(scratch))))
        system = prmtop.createSystem(nonbondedMethod=app.NoCutoff, constraints=_constraint(constraints))
    except Exception as error:
        raise TopologyError(
            f"{path} cannot be read as an Amber prmtop ({error}); write it again with tleap"
        ) from error
    return MolecularSystem(system, prmtop.topology, f"prmtop {path.name}")


def require_forcefield(forcefield: str) -> None:
    """Refuse the name of no force field.

    Raises:
        ConfigError: Neither a key of `FORCEFIELDS` nor a file.
    """
    if forcefield not in FORCEFIELDS and not Path(forcefield).is_file():
        raise ConfigError(
            f"force field {forcefield!r} is not known; "
            f"choose {', '.join(FORCEFIELDS)}, or give an OpenMM XML file"
        )


def another_that_fits(structure: MolecularStructure, forcefield: str) -> str:
    """The name of another force field that describes a structure as it is; empty if none does."""
    for other in FORCEFIELDS:
        if other != forcefield:
            try:
                build_system(structure, forcefield=other, constraints="none")
            except TopologyError:
                continue
            return other
    return ""


@functools.cache
def load_forcefield(files: tuple[str, ...]) -> Any:
    """The OpenMM ForceField of some XML files, read once (CHARMM36 takes 3 s)."""
    from openmm import app

    return app.ForceField(*files)


def system_from_forcefield(topology: Any, forcefield: str, constraints: str) -> Any:
    """The OpenMM System of a topology, matched by residues and bonds; arguments as of `build_system`.

    Raises:
        ConfigError: A force field that is not known, or cannot be read.
        TopologyError: It has no parameters for an atom, residue or bond.
    """
    from openmm import app

    require_forcefield(forcefield)
    files = FORCEFIELDS.get(forcefield, (forcefield,))
    try:
        field = load_forcefield(files)
    except Exception as error:
        raise ConfigError(
            f"{forcefield} is not an OpenMM force field ({error}); give a force-field XML"
        ) from error
    try:
        return field.createSystem(
            topology, nonbondedMethod=app.NoCutoff, constraints=_constraint(constraints)
        )
    except Exception as error:  # OpenMM raises bare ones, as for two templates that both match
        raise TopologyError(
            f"force field {forcefield} does not fit the structure{_reason(error, topology)}; "
            "give a PSF with --params, "
            "a prmtop, or a structure with all hydrogens and caps"
        ) from error


def _reason(error: Exception, topology: Any) -> str:
    """What OpenMM says, with the residue as the file numbers it and without its advice for programmers."""
    text = " ".join(str(error).split())
    text = re.sub(r"\s*(You may be able to add|For more information).*$", "", text).rstrip(". ")
    found = re.match(r"No template found for residue (\d+) \(\S+\)\.?\s*", text)
    if not found:
        return f" ({text})"
    residue = list(topology.residues())[int(found[1])]
    place = f"{residue.chain.id} {residue.name} {residue.id}{residue.insertionCode}".strip()
    return f": no template for {place}" + (f" ({text[found.end() :]})" if text[found.end() :] else "")
