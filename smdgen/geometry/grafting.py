"""Bring all atoms of a structure along with generated frames of some of them."""

import numpy as np
import torch
from numpy.typing import NDArray

from smdgen.geometry.bonds import molecule_numbers, neighbours
from smdgen.geometry.frames import superpose

#: Atoms that fix a rigid placement.
_LEAST_REFERENCE = 3


def graft_side_groups(
    start: NDArray[np.float64],
    bonds: NDArray[np.int64],
    modelled: NDArray[np.int64],
    frames: NDArray[np.floating],
) -> NDArray[np.float64]:
    """All atoms in every frame: modelled ones as generated, the rest moved rigidly, group by group.

    A group is what hangs together without modelled atoms: an amide hydrogen, a side chain, a water. It
    follows the modelled atoms it is bonded to and their modelled neighbours, so that each residue keeps
    its hand; with fewer than three of them, the nearest ones in the start as well. A group bonded to none
    follows all.

    Args:
        start: (n_atoms, 3), A. All atoms of the start.
        bonds: (n_bonds, 2). Among all atoms.
        modelled: (n_modelled,). The generated atoms, 0-based into all.
        frames: (n_frames, n_modelled, 3), A.

    Returns:
        (n_frames, n_atoms, 3), A.
    """
    bonded = neighbours(len(start), bonds)
    place = {int(atom): i for i, atom in enumerate(modelled)}
    out = np.empty((len(frames), len(start), 3))
    out[:, modelled] = frames
    for group in _groups(len(start), bonds, modelled):
        reference = _reference(start, bonded, modelled, place, group)
        moved = _follow(start[group], start[reference], out[:, reference])
        out[:, group] = moved
    return out


def _groups(n_atoms: int, bonds: NDArray[np.int64], modelled: NDArray[np.int64]) -> list[list[int]]:
    """Atoms that are not modelled, in bonded groups."""
    is_modelled = np.isin(np.arange(n_atoms), modelled)
    numbers = molecule_numbers(n_atoms, bonds[~is_modelled[bonds].any(axis=1)])
    groups: dict[int, list[int]] = {}
    for atom in np.flatnonzero(~is_modelled).tolist():
        groups.setdefault(int(numbers[atom]), []).append(atom)
    return list(groups.values())


def _reference(
    start: NDArray[np.float64],
    bonded: list[list[int]],
    modelled: NDArray[np.int64],
    place: dict[int, int],
    group: list[int],
) -> list[int]:
    """The modelled atoms a group follows."""
    anchors = {other for atom in group for other in bonded[atom] if other in place}
    if not anchors:
        return [int(atom) for atom in modelled]
    reference = sorted(anchors | {other for atom in anchors for other in bonded[atom] if other in place})
    if len(reference) < _LEAST_REFERENCE:
        apart = np.linalg.norm(start[modelled] - start[sorted(anchors)].mean(axis=0), axis=1)
        nearest = [int(atom) for atom in modelled[np.argsort(apart, kind="stable")]]
        reference += [atom for atom in nearest if atom not in reference][: _LEAST_REFERENCE - len(reference)]
    return reference


def _follow(
    group: NDArray[np.float64], reference: NDArray[np.float64], frames: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n_frames, n_group, 3), A. The group, moved as its reference atoms moved to (n_frames, n, 3)."""
    weights = torch.cat([torch.ones(len(reference)), torch.zeros(len(group))]).double()
    whole = torch.from_numpy(np.concatenate([reference, group])).expand(len(frames), -1, -1)
    target = torch.from_numpy(np.concatenate([frames, np.zeros((len(frames), len(group), 3))], axis=1))
    moved: NDArray[np.float64] = superpose(whole, target, weights)[:, len(reference) :].numpy()
    return moved
