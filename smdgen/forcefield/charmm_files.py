"""Build an OpenMM System from a PSF and CHARMM parameter files."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smdgen.errors import ConfigError, SmdgenError, TopologyError
from smdgen.forcefield.plain_files import PsfAtoms, plain_copy, plain_psf

#: Endings of files that may hold nonbonded parameters, and the section that shows that one does.
_PARAMETER_SUFFIXES = {".prm", ".par", ".inp", ".str"}
_NONBONDED = re.compile(rb"^\s*NONB", re.IGNORECASE | re.MULTILINE)

#: Endings of residue topologies; an .inp file tells by its name. Source: CHARMM's toppar folder.
_TOPOLOGY_SUFFIXES = {".rtf", ".top"}


def system_from_psf(path: Path, atoms: PsfAtoms, parameters: Sequence[Path], constraints: str) -> Any:
    """The OpenMM System of a PSF.

    Older parameter files have no MASS lines, and OpenMM then takes every atom for hydrogen, makes every
    bond rigid and gives every atom hydrogen's Born radius. So each type of the PSF is declared first, with
    its mass.

    Args:
        path: The PSF.
        atoms: What was read from it.
        parameters: CHARMM .prm, .par, .inp, .rtf, .top, .str files.
        constraints: "hbonds" or "none".

    Returns:
        The System, without solvent and without cutoff.

    Raises:
        ConfigError: A parameter file that cannot be read.
        TopologyError: A PSF that cannot be read, or a type or term the files lack; the message names it.
    """
    from openmm import app

    psf = _read_psf(path, atoms)
    known = read_parameters(psf, atoms.masses.tolist(), parameters)
    names = ", ".join(Path(file).name for file in parameters)
    used = {atom.attype for atom in psf.atom_list}
    lacking = sorted(
        name for name, kind in known.atom_types_str.items() if kind.epsilon is None and name in used
    )
    if lacking:
        raise TopologyError(
            f"{names} has no NONBONDED parameters for atom type {', '.join(lacking)} of {path.name}; "
            "add the parameter file that has them with --params"
        )
    try:
        return psf.createSystem(
            known, nonbondedMethod=app.NoCutoff, constraints=app.HBonds if constraints == "hbonds" else None
        )
    except Exception as error:
        raise TopologyError(
            f"{names} cannot describe {path.name}: {_plainly(error)}; "
            "add the parameter file that has it with --params"
        ) from error


def _read_psf(path: Path, atoms: PsfAtoms) -> Any:
    from openmm import app

    with tempfile.TemporaryDirectory() as scratch:
        try:
            return app.CharmmPsfFile(str(plain_psf(path, atoms, Path(scratch))))
        except Exception as error:
            raise TopologyError(
                f"{path} cannot be read as a PSF ({_one_line(error)}); write it again with psfgen"
            ) from error


def parameter_files_beside(path: Path, atoms: PsfAtoms) -> tuple[list[Path], list[Path]]:
    """The CHARMM parameter files in the folder of a PSF.

    Args:
        path: The PSF.
        atoms: What was read from it.

    Returns:
        Those that describe the PSF, each by itself, and the others.
    """
    beside = [
        file
        for file in sorted(Path(path).parent.iterdir())
        if file.suffix.lower() in _PARAMETER_SUFFIXES and file.is_file() and not _is_topology(file)
    ]
    contents = {file.read_bytes(): file for file in reversed(beside)}  # of copies the first
    beside = sorted(file for content, file in contents.items() if _NONBONDED.search(content))
    fitting = [file for file in beside if _describes(file, path, atoms)]
    return fitting, [file for file in beside if file not in fitting]


def _describes(file: Path, path: Path, atoms: PsfAtoms) -> bool:
    try:
        system_from_psf(path, atoms, (file,), "none")
    except SmdgenError:
        return False
    return True


def read_parameters(psf: Any, masses: Sequence[float], parameters: Sequence[Path]) -> Any:
    """CHARMM parameters in which every atom type of the PSF has its mass and element.

    Raises:
        ConfigError: A file that is no CHARMM parameter file.
    """
    from openmm import app

    known = app.CharmmParameterSet()
    _declare_types(known, psf, masses)
    with tempfile.TemporaryDirectory() as scratch:
        for file in sorted((Path(path) for path in parameters), key=_reading_order):
            try:
                copy = str(plain_copy(file, Path(scratch)))
                if _is_topology(file):
                    known.readTopologyFile(copy)
                elif file.suffix.lower() == ".str":
                    known.readStreamFile(copy)
                else:
                    known.readParameterFile(copy, permissive=True)
            except Exception as error:
                raise ConfigError(
                    f"{file} cannot be read as a CHARMM parameter file ({_one_line(error)}); "
                    "give prm, rtf or str files"
                ) from error
    return known


def _declare_types(known: Any, psf: Any, masses: Sequence[float]) -> None:
    from openmm.app.element import Element
    from openmm.app.internal.charmm.topologyobjects import AtomType

    for number, (atom, mass) in enumerate(zip(psf.atom_list, masses, strict=True)):
        name = atom.attype
        if isinstance(name, int) or name in known.atom_types_str:
            continue
        element = Element.getByMass(mass)
        kind = AtomType(
            name=name, number=-1 - number, mass=mass, atomic_number=element.atomic_number if element else 0
        )
        known.atom_types_str[kind.name] = kind
        known.atom_types_tuple[(kind.name, kind.number)] = kind


def _is_topology(file: Path) -> bool:
    suffix = file.suffix.lower()
    return suffix in _TOPOLOGY_SUFFIXES or (suffix == ".inp" and "top" in file.name.lower())


def _reading_order(file: Path) -> int:
    """Topologies declare types, so they come first; streams add to both."""
    return 0 if _is_topology(file) else 2 if file.suffix.lower() == ".str" else 1


def _plainly(error: BaseException) -> str:
    """What is missing, by types: OpenMM names the term by the way it prints its objects."""
    text = _one_line(error)
    kind = re.search(r"(bond|angle|dihedral|improper|CMAP)", text)
    atoms = re.findall(r"\[([^:\]]+): ([^\]]+)\]", text)
    if kind is None or not atoms:
        return text
    names, types = ("-".join(words) for words in zip(*atoms, strict=True))
    return f"no {kind.group(1)} parameters for {types} (atoms {names})"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
