"""Whatever spelling our readers take, OpenMM's readers take: the systems are the same to the last digit."""

from collections.abc import Callable
from pathlib import Path

import openmm
import pytest

from smdgen.forcefield.system import build_system
from smdgen.io.structures.structure import read_structure
from tests.tools.amber import write_prmtop
from tests.tools.solvated import PARAMETERS, write_solvated

MARK = b"\xef\xbb\xbf"


def system_of(topology: Path, *parameters: Path) -> str:
    built = build_system(read_structure(topology), parameters, constraints="none")
    return str(openmm.XmlSerializer.serialize(built.system))


@pytest.fixture
def psf(tmp_path: Path) -> Path:
    return write_solvated(tmp_path / "system.psf")


@pytest.fixture
def parameters(tmp_path: Path) -> Path:
    file = tmp_path / "all.prm"
    file.write_text(PARAMETERS)
    return file


PSF_SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "byte-order mark": lambda text: MARK + text,
    "latin-1 remark": lambda text: text.replace(b"REMARKS written", b"REMARKS \xc5land"),
    "blank remark": lambda text: text.replace(b" REMARKS written", b"\n REMARKS written"),
    "blank segments": lambda text: text.replace(b" A    ", b"      ").replace(b" B    ", b"      "),
    "some blank segments": lambda text: text.replace(b" B    ", b"      "),
    "carriage returns": lambda text: text.replace(b"\n", b"\r\n"),
    "blank line among bonds": lambda text: text.replace(b"!NBOND: bonds\n", b"!NBOND: bonds\n\n"),
    "no second line": lambda text: text.replace(b"PSF\n\n", b"PSF\n", 1),
    "names of Drude particles": lambda text: text.replace(b" OH2  OT", b" DO   OT"),
    "names of lone pairs": lambda text: text.replace(b" OH2  OT", b" OM   OT"),
}


@pytest.mark.parametrize("change", PSF_SPELLINGS.values(), ids=PSF_SPELLINGS)
def test_psf_text(psf: Path, parameters: Path, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    text = psf.read_bytes()
    assert change(text) != text
    (tmp_path / "odd.psf").write_bytes(change(text))
    assert system_of(tmp_path / "odd.psf", parameters) == system_of(psf, parameters)


def test_charges_and_masses_keep_every_digit(psf: Path, parameters: Path) -> None:
    text = psf.read_text().replace("  0.000000 ", "  0.123456789 ", 1).replace("14.0070", "14.00699876", 1)
    psf.write_text(text)
    system = openmm.XmlSerializer.deserialize(system_of(psf, parameters))
    (nonbonded,) = (force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    every = range(system.getNumParticles())
    assert [nonbonded.getParticleParameters(i)[0]._value for i in every] == [0.123456789, *[0.0] * every[-1]]
    words = [line.split() for line in text.splitlines() if len(line.split()) == 9 and "." in line]
    assert [system.getParticleMass(i)._value for i in every] == [float(line[7]) for line in words]
    assert 14.00699876 in [system.getParticleMass(i)._value for i in every]


def test_parameter_files_in_latin_1(psf: Path, parameters: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd.prm"
    odd.write_bytes(MARK + PARAMETERS.replace("320.0   1.430", "320.0   1.430 ! M\xfcller").encode("latin-1"))
    assert system_of(psf, odd) == system_of(psf, parameters)


def test_a_prmtop_with_a_title_in_latin_1(tmp_path: Path) -> None:
    plain = write_prmtop(tmp_path / "system.prmtop")
    odd = tmp_path / "odd.prmtop"
    odd.write_bytes(MARK + plain.read_bytes().replace(b"by hand", b"by \xc5sa", 1))
    assert system_of(odd) == system_of(plain)
