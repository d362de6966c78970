"""The bond graph, against a walk from atom to atom; one module builds it."""

import re
from pathlib import Path

import numpy as np
import pytest

from smdgen.geometry.bonds import bonds_apart, molecule_numbers, neighbours

PACKAGE = Path(__file__).parents[2] / "smdgen"


def some_bonds(seed: int) -> tuple[int, np.ndarray]:
    """Number of atoms, and bonds (n_bonds, 2) with rings and loose parts; some are listed twice."""
    random = np.random.default_rng(seed)
    pairs = random.integers(0, 20, (18, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return 20, np.concatenate([pairs, pairs[:2, ::-1]])


def walk(n_atoms: int, bonds: np.ndarray, start: int) -> dict[int, int]:
    """Bonds from an atom to all that it can reach."""
    bonded = neighbours(n_atoms, bonds)
    found, edge = {start: 0}, [start]
    while edge:
        edge = [other for atom in edge for other in bonded[atom] if other not in found]
        found |= {atom: max(found.values()) + 1 for atom in edge}
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("most", [1, 3])
def test_bonds_apart_are_the_steps_of_a_walk(seed, most):
    n_atoms, bonds = some_bonds(seed)
    pairs, apart = bonds_apart(n_atoms, bonds, most)
    found = dict(zip(map(tuple, pairs.tolist()), apart.tolist(), strict=True))
    expected = {(i, j): steps for i in range(n_atoms) for j, steps in walk(n_atoms, bonds, i).items()
                if i < j and steps <= most}  # fmt: skip
    assert found == expected
    assert list(found) == sorted(found)


@pytest.mark.parametrize("seed", range(5))
def test_a_molecule_is_what_a_walk_reaches(seed):
    n_atoms, bonds = some_bonds(seed)
    numbers = molecule_numbers(n_atoms, bonds)
    assert len(set(numbers)) > 1
    for atom in range(n_atoms):
        assert set(np.flatnonzero(numbers == numbers[atom])) == set(walk(n_atoms, bonds, atom))


def test_one_module_builds_graphs():
    users = [
        path for path in PACKAGE.rglob("*.py") if re.search(r"\b(coo|csr)_(array|matrix)\b", path.read_text())
    ]
    assert [path.relative_to(PACKAGE).as_posix() for path in users] == ["geometry/bonds.py"]
