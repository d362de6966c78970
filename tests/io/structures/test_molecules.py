"""Molecules taken out of a solvated system."""

from pathlib import Path

import numpy as np
import pytest

from smdgen.forcefield.bonded_terms import terms_to_arrays
from smdgen.forcefield.parametrise import structure_terms
from smdgen.io.structures.molecules import molecules_of, take_molecules
from smdgen.io.structures.structure import Structure, read_structure, select_atoms
from tests.tools.solvated import PARAMETERS, write_solvated


@pytest.fixture(scope="module")
def solvated(tmp_path_factory: pytest.TempPathFactory) -> Structure:
    return read_structure(write_solvated(tmp_path_factory.mktemp("solvated") / "system.psf"))


def test_whole_molecules_are_found(solvated: Structure) -> None:
    """Two chains with water between them: the atoms of the chains that are touched, no water."""
    chains = [np.flatnonzero(solvated.segment_ids == name) for name in ("A", "B")]
    assert min(chains[1]) > max(chains[0]) + 3
    both = select_atoms(solvated, "name CA")
    assert np.array_equal(molecules_of(solvated, both), np.concatenate(chains))
    assert np.array_equal(molecules_of(solvated, both[-1:]), chains[1])


def test_the_terms_of_a_selection_are_those_it_has_in_the_whole_system(
    solvated: Structure, tmp_path: Path
) -> None:
    parameters = (tmp_path / "all.prm",)
    parameters[0].write_text(PARAMETERS)
    selected = select_atoms(solvated, "name N CA C O and not resid 1")
    atoms = molecules_of(solvated, selected)
    (tmp_path / "part").mkdir()
    part = take_molecules(solvated, atoms, tmp_path / "part")
    assert part.path == tmp_path / "part" / "system.psf"
    assert part.n_atoms == len(atoms) < solvated.n_atoms / 2
    found, _ = structure_terms(part, np.searchsorted(atoms, selected), parameters=parameters)
    expected, _ = structure_terms(solvated, selected, parameters=parameters)
    wanted = terms_to_arrays(expected)
    assert min(len(expected.bonds), len(expected.angles), len(expected.torsions)) > 10
    assert min(len(expected.impropers), len(expected.urey_bradley)) > 5
    for name, table in terms_to_arrays(found).items():
        assert np.array_equal(table, wanted[name]), name
