"""Which atoms of a model stand for its collective variable on the screen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smdgen.physics.cvs import CollectiveVariable

#: Atoms a label joins, for the kinds of collective variable that both VMD and PyMOL can label.
ATOMS_OF_KIND = {"distance": 2, "angle": 3, "dihedral": 4}


def label_atoms(cv: "CollectiveVariable") -> tuple[int, ...]:
    """The atoms whose distance, angle or dihedral is the collective variable itself.

    Returns:
        0-based indices, one a group; empty when a viewer's label could not show the same number:
        groups of several atoms (their centres are no atoms), gyration, RMSD.
    """
    if ATOMS_OF_KIND.get(cv.kind) != len(cv.groups) or any(len(group) != 1 for group in cv.groups):
        return ()
    return tuple(int(group[0]) for group in cv.groups)


def cv_atoms(cv: "CollectiveVariable", n_atoms: int) -> tuple[int, ...]:
    """All atoms the variable is made of, to be shown as spheres; none if that is most of the model."""
    atoms = sorted({int(atom) for group in cv.groups for atom in group})
    return tuple(atoms) if 2 * len(atoms) <= n_atoms else ()


def has_backbone(names: Sequence[str]) -> bool:
    """Whether a tube through the CA atoms can be drawn: at least four of them."""
    return sum(str(name) == "CA" for name in names) >= 4
