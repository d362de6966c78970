"""Elements come from masses where these are sensible, else from names as a chemist would read them."""

import numpy as np
import openmm
import pytest
from openmm.app.element import Element

from smdgen.io.structures.elements import ATOMIC_WEIGHTS, elements_of_masses, guess_element, masses_of


@pytest.mark.parametrize(
    ("name", "residue", "element"),
    [
        ("CA", "ALA", "C"),
        ("CA", "HSD", "C"),
        ("CA", "CAL", "Ca"),
        ("CA", "CA", "Ca"),
        ("CAL", "CAL", "Ca"),
        ("CD", "GLU", "C"),
        ("HG", "SER", "H"),
        ("HG11", "VAL", "H"),
        ("1HB", "ALA", "H"),
        ("NE2", "GLN", "N"),
        ("SE", "MSE", "Se"),
        ("NT", "ALA", "N"),
        ("OT1", "ALA", "O"),
        ("SOD", "SOD", "Na"),
        ("CLA", "CLA", "Cl"),
        ("POT", "POT", "K"),
        ("OH2", "TIP3", "O"),
        ("CL1", "LIG", "Cl"),
        ("O5'", "LIG", "O"),
        ("CY", "ACE", "C"),
        ("XX", "LIG", ""),
        ("MW", "SOL", ""),
        ("OM", "TIP4", ""),
        ("LP1", "CLBZ", ""),
    ],
)
def test_names(name: str, residue: str, element: str) -> None:
    assert guess_element(name, residue) == element


def test_every_mass_gives_its_element() -> None:
    symbols = [symbol.capitalize() for symbol in ATOMIC_WEIGHTS]
    names, residues = np.full(len(symbols), "X"), np.full(len(symbols), "LIG")
    masses = masses_of(np.array(symbols))
    assert elements_of_masses(masses, names, residues).tolist() == symbols
    assert elements_of_masses(np.round(masses, 2), names, residues).tolist() == symbols


def test_weights_are_those_of_openmm() -> None:
    """All elements but those without stable isotopes; OpenMM's are of 2005."""
    known = {
        element.symbol.upper(): element.mass.value_in_unit(openmm.unit.dalton)
        for element in Element._elements_by_symbol.values()
        if element.atomic_number <= 92 and not float(element.mass._value).is_integer()
    }
    for other in ("D", "RN", "PA"):
        del known[other]
    assert known.keys() == ATOMIC_WEIGHTS.keys()
    for symbol, weight in ATOMIC_WEIGHTS.items():
        assert weight == pytest.approx(known[symbol], rel=5e-4), symbol


def test_heavy_hydrogens_are_hydrogens() -> None:
    masses = np.array([3.024, 4.0, 1.008, 12.011])
    names = np.array(["HB1", "H", "HN", "CA"])
    assert elements_of_masses(masses, names, np.full(4, "ALA")).tolist() == ["H", "H", "H", "C"]


def test_mass_that_moved_to_hydrogens_is_given_back() -> None:
    """CH3-NH-OH of a ligand whose names say nothing: the bonds decide, however much moved."""
    true = np.array(["C", "H", "H", "H", "N", "H", "O", "H", "CL"])
    bonds = np.array([[0, 1], [0, 2], [0, 3], [0, 4], [4, 5], [4, 6], [6, 7], [3, 0]])
    names = np.array(["X1", "H1", "H2", "H3", "X2", "H4", "X3", "H5", "X4"])
    for moved in (1.0, 2.016, 3.024):
        masses = masses_of(true)
        for one, other in bonds[:-1]:
            heavy, light = (one, other) if true[other] == "H" else (other, one)
            if true[light] == "H":
                masses[light] += moved
                masses[heavy] -= moved
        found = elements_of_masses(masses, names, np.full(9, "LIG"), bonds)
        assert found.tolist() == ["C", "H", "H", "H", "N", "H", "O", "H", "Cl"]


def test_without_bonds_the_names_decide_where_mass_has_moved() -> None:
    masses, names = np.array([11.991, 3.024, 9.995]), np.array(["N", "HN", "CA"])
    assert elements_of_masses(masses, names, np.full(3, "ALA")).tolist() == ["N", "H", "C"]


def test_without_a_mass_the_name_decides() -> None:
    found = elements_of_masses(np.zeros(2), np.array(["CA", "SOD"]), np.array(["ALA", "SOD"]))
    assert found.tolist() == ["C", "Na"]


def test_unknown_elements_have_no_mass() -> None:
    assert masses_of(np.array(["C", "", "Cl"])).tolist() == [12.011, 0.0, 35.45]
