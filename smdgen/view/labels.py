"""What stands for the collective variable of a model on the screen: atoms, or the centres of its groups."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smdgen.geometry.cvs import CollectiveVariable

#: Points a label joins, for the kinds of collective variable that both VMD and PyMOL can label.
POINTS_OF_KIND = {"distance": 2, "angle": 3, "dihedral": 4}

#: Topology of the centres, one atom a group.
CENTRES_FILE = "centres.pdb"

#: Where a label would hide the model: all of its sticks are drawn up to so many atoms.
MOST_STICKS = 500


def has_label(cv: "CollectiveVariable") -> bool:
    """Whether a viewer can show the variable as a label between atoms or centres: not gyration, not RMSD."""
    return POINTS_OF_KIND.get(cv.kind) == len(cv.groups)


def label_atoms(cv: "CollectiveVariable") -> tuple[int, ...]:
    """The atoms whose distance, angle or dihedral is the collective variable itself.

    Returns:
        0-based indices, one a group; empty where there is no label, or where it joins centres of groups.
    """
    if not has_label(cv) or any(len(group) != 1 for group in cv.groups):
        return ()
    return tuple(int(group[0]) for group in cv.groups)


def has_centres(cv: "CollectiveVariable") -> bool:
    """Whether the label joins centres of mass of groups, which are no atoms and get files of their own."""
    return has_label(cv) and not label_atoms(cv)


def centres_file(trajectory: Path) -> Path:
    """The trajectory of the centres of a pull: `pull_000.dcd` -> `centres_pull_000.dcd`."""
    return trajectory.with_name(f"centres_{trajectory.name}")


def has_backbone(names: Sequence[str]) -> bool:
    """Whether a tube through the CA atoms can be drawn: at least four of them."""
    return sum(str(name) == "CA" for name in names) >= 4
