"""Elements come from masses where these are sensible, else from names as a chemist would read them."""

import numpy as np
import pytest

from smdgen.data.elements import ATOMIC_WEIGHTS, elements_of_masses, guess_element, masses_of


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


def test_heavy_hydrogens_are_hydrogens() -> None:
    masses = np.array([3.024, 4.0, 1.008, 12.011])
    names = np.array(["HB1", "H", "HN", "CA"])
    assert elements_of_masses(masses, names, np.full(4, "ALA")).tolist() == ["H", "H", "H", "C"]


def test_without_a_mass_the_name_decides() -> None:
    found = elements_of_masses(np.zeros(2), np.array(["CA", "SOD"]), np.array(["ALA", "SOD"]))
    assert found.tolist() == ["C", "Na"]


def test_unknown_elements_have_no_mass() -> None:
    assert masses_of(np.array(["C", "", "Cl"])).tolist() == [12.011, 0.0, 35.45]
