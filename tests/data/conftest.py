"""The paper's peptide as the example ships it, and what tests of the readers make of it."""

from pathlib import Path

import pytest

from smdgen.data.structure import Structure, read_structure

EXAMPLE = Path(__file__).parents[2] / "examples" / "deca_alanine"


@pytest.fixture(scope="session")
def example_psf() -> Path:
    return EXAMPLE / "deca_alanine.psf"


@pytest.fixture(scope="session")
def example_pdb() -> Path:
    return EXAMPLE / "deca_alanine.pdb"


@pytest.fixture(scope="session")
def peptide(example_psf: Path) -> Structure:
    """Deca-alanine from its PSF, without coordinates."""
    return read_structure(example_psf)


@pytest.fixture(scope="session")
def folded(example_pdb: Path) -> Structure:
    """Deca-alanine from its PDB, with coordinates."""
    return read_structure(example_pdb)
