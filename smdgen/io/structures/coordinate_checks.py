"""Checks that coordinates must pass: numbers that can be atoms, bonds and angles that can be a molecule."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smdgen.errors import TrajectoryError
from smdgen.geometry.lattice import nearest_image
from smdgen.io.structures.atoms import Structure
from smdgen.io.structures.bonding import COVALENT_RADII
from smdgen.units import LARGEST_COORDINATE

_SHORTEST_BOND, _LONGEST_BOND = 0.7, 2.6  # A, for any elements
_WATER_HH = 1.8  # A, of the third bond of rigid water
_SHORTEST_RATIO, _LONGEST_RATIO = 0.6, 1.4  # times the sum of the covalent radii
_STRAINED_RATIOS = 0.75, 1.25
# In 8,000 frames of the shipped pulls at 300 K heavy atoms keep between 92 and 140 degrees, others 87 to 142.
_SHARPEST, _WIDEST = 80.0, 146.0  # degrees, three heavy atoms
_SHARPEST_H, _WIDEST_H = 72.0, 152.0  # degrees, with a hydrogen
_BENT_CARBONYL = 0.62  # volume of the three unit bond vectors: 0 is flat, 0.62 is an O 46 degrees off
_ANGLE_CENTRES = ("C", "N", "O", "S", "P")
_ACROSS_A_BOX = 10.0  # A; bonds longer than that span a box rather than lead to a misplaced atom
_FEW_BONDS = 20  # up to this many, one that is wrong says nothing of the others
_BONDS_AT_ONCE = 1 << 20  # bonds looked at in one go


@dataclass(frozen=True)
class Warnings:
    """What is odd but not wrong about some frames."""

    n_strained: int = 0  # frames with bonds or angles never seen at room temperature
    first_strained: tuple[int, str] | None = None  # number of the frame, 0-based, and atom
    n_repeated: int = 0  # frames that repeat the one before
    without_bonds: bool = False


def check_coordinates(
    positions: ArrayLike,
    structure: Structure,
    cells: NDArray[np.float64] | None = None,
    numbers: NDArray[np.int64] | None = None,
) -> list[str]:
    """As `validate_coordinates`, in words."""
    return messages(validate_coordinates(positions, structure, cells, numbers))


def validate_coordinates(
    positions: ArrayLike,
    structure: Structure,
    cells: NDArray[np.float64] | None = None,
    numbers: NDArray[np.int64] | None = None,
) -> Warnings:
    """Refuse coordinates that cannot be those of a structure.

    They must be finite and below 1e5 A, no frame may be all zero, and every bonded pair must be as far apart
    as its elements can be (at most 2.6 A), which finds a topology with another order of atoms, another unit,
    and most damage. Bonds and angles that are possible but never seen at room temperature are noted.

    Args:
        positions: (n_frames, n_atoms, 3), A.
        structure: The same atoms, with their bonds.
        cells: (n_frames, 6), A A A deg deg deg. With it bonds may cross the box.
        numbers: (n_frames,). What the frames are called, 0-based; None: as they are given.

    Raises:
        TrajectoryError: With the first bad frame, or the worst bond.
    """
    frames = np.asarray(positions)
    if frames.ndim != 3 or frames.shape[1:] != (structure.n_atoms, 3):
        raise TrajectoryError(
            f"coordinates have shape {frames.shape}, expected (frames, {structure.n_atoms}, 3); check --top"
        )
    numbers = np.arange(len(frames)) if numbers is None else numbers
    largest = np.abs(frames).max(axis=(1, 2), initial=0.0)
    if not (largest < LARGEST_COORDINATE).all():  # NaN compares as false
        raise TrajectoryError(_explain_values(frames, structure, numbers))
    if structure.n_atoms > 1 and (largest == 0).any():
        frame = int(numbers[np.flatnonzero(largest == 0)[0]])
        raise TrajectoryError(f"frame {frame + 1} is all zeros, as in a file that was cut; write it again")
    strained = _check_geometry(frames, structure, cells, numbers)
    first = [(int(numbers[frame]), structure.label(atom)) for frame, atom in strained[:1]]
    return Warnings(
        n_strained=len({frame for frame, _ in strained}),
        first_strained=first[0] if first else None,
        n_repeated=int((frames[1:] == frames[:-1]).all(axis=(1, 2)).sum()),
        without_bonds=structure.n_atoms > 1 and not len(structure.bonds),
    )


def join(first: Warnings, second: Warnings) -> Warnings:
    """Of frames and of those after them."""
    return Warnings(
        first.n_strained + second.n_strained,
        second.first_strained if first.first_strained is None else first.first_strained,
        first.n_repeated + second.n_repeated,
        first.without_bonds or second.without_bonds,
    )


def messages(warnings: Warnings) -> list[str]:
    """Warnings as notes for the user."""
    notes = []
    if warnings.first_strained is not None:
        frame, atom = warnings.first_strained
        notes.append(
            f"bonds or angles never seen at room temperature in {warnings.n_strained} frames, first at atom "
            f"{atom} in frame {frame + 1}; the file may be damaged there"
        )
    if warnings.n_repeated:
        notes.append(f"{warnings.n_repeated} frames repeat the frame before")
    if warnings.without_bonds:
        notes.append("no bonds are known among these atoms, so their order could not be checked")
    return notes


def broken_bonds(positions: NDArray[np.floating], structure: Structure) -> list[str]:
    """A note if generated frames have a bond that no molecule has, as a ring that did not close.

    Args:
        positions: (n_pulls, n_frames, n_atoms, 3), A.
        structure: Its bonds are looked at.
    """
    first, second = structure.bonds.T
    lengths = np.linalg.norm(positions[..., first, :] - positions[..., second, :], axis=-1)
    is_broken = (lengths > _LONGEST_BOND) | (lengths < _SHORTEST_BOND)
    n_broken = int(is_broken.any(axis=-1).sum())
    if not n_broken:
        return []
    worst = int(np.abs(np.log(lengths / 1.5)).max(axis=(0, 1)).argmax())
    names = " - ".join(structure.label(int(atom)) for atom in structure.bonds[worst])
    low, high = float(lengths[..., worst].min()), float(lengths[..., worst].max())
    return [
        f"{n_broken} of {lengths[..., 0].size} generated frames have a broken bond, the worst {names} "
        f"({low:.2f} to {high:.2f} A): they are not valid structures; the model does not hold this "
        "molecule together"
    ]


@dataclass(frozen=True)
class _Geometry:
    """What the bonds of a structure allow."""

    shortest: NDArray[np.float64]  # (n_bonds,), A
    longest: NDArray[np.float64]
    radii: NDArray[np.float64]  # (n_bonds,), A, sum of both; NaN where an element is unknown
    ends: NDArray[np.int64]  # (2 n_bonds, 2). Bonds in both directions, by their first atom
    edges: NDArray[np.int64]  # (2 n_bonds,). Which bond each is
    angles: NDArray[np.int64]  # (n_angles, 2) of `ends`, which begin at one atom
    sharpest: NDArray[np.float64]  # (n_angles,). Cosine of the sharpest angle allowed
    widest: NDArray[np.float64]
    carbonyls: NDArray[np.int64]  # (n, 3) of `ends`


@lru_cache(maxsize=4)
def _geometry(structure: Structure) -> _Geometry:
    first, second = structure.bonds.T
    elements = structure.elements
    radius = np.array([COVALENT_RADII.get(str(element), np.nan) for element in elements])
    is_hydrogen = elements == "H"
    radii = np.where(is_hydrogen[first] & is_hydrogen[second], np.nan, radius[first] + radius[second])
    shortest = np.fmax(_SHORTEST_RATIO * radii, _SHORTEST_BOND)
    is_site = (structure.masses == 0) & (elements == "")  # virtual sites sit on their atoms
    longest = np.fmin(_LONGEST_RATIO * radii, _LONGEST_BOND)
    longest[is_hydrogen[first] & is_hydrogen[second]] = _WATER_HH
    ends = np.concatenate([structure.bonds, structure.bonds[:, ::-1]])
    order = np.argsort(ends[:, 0], kind="stable")
    ends, edges = ends[order], np.tile(np.arange(len(first)), 2)[order]
    angles = _pairs_of_one_atom(ends)
    angles = angles[np.isin(elements[ends[angles[:, 0], 0]], _ANGLE_CENTRES)]
    outer = np.sort(np.stack([ends[angles[:, 0], 1], ends[angles[:, 1], 1]], axis=1), axis=1)
    bonded = set(map(tuple, structure.bonds.tolist()))
    is_open = np.array([tuple(pair) not in bonded for pair in outer.tolist()], dtype=bool)  # no ring of three
    angles, outer = angles[is_open], outer[is_open]
    has_hydrogen = is_hydrogen[outer].any(axis=1)
    return _Geometry(
        shortest=np.where(is_site[first] | is_site[second], 0.0, shortest),
        longest=longest,
        radii=radii,
        ends=ends,
        edges=edges,
        angles=angles,
        sharpest=np.cos(np.radians(np.where(has_hydrogen, _SHARPEST_H, _SHARPEST))),
        widest=np.cos(np.radians(np.where(has_hydrogen, _WIDEST_H, _WIDEST))),
        carbonyls=_carbonyls(elements, ends),
    )


def _pairs_of_one_atom(ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, 2). Places in `ends` (sorted) of every two bonds that begin at the same atom."""
    centres = ends[:, 0]
    found = [np.zeros((0, 2), dtype=np.int64)]
    for apart in range(1, len(ends)):
        same = np.flatnonzero(centres[apart:] == centres[:-apart])
        if not len(same):
            break
        found.append(np.stack([same, same + apart], axis=1))
    return np.concatenate(found)


def _carbonyls(elements: NDArray[np.str_], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, 3). Places in `ends` of the bonds of carbons with three partners, one of them a lone oxygen."""
    n_bonds = np.bincount(ends[:, 0], minlength=len(elements))
    starts = np.searchsorted(ends[:, 0], np.flatnonzero((elements == "C") & (n_bonds == 3)))
    places = starts[:, None] + np.arange(3)
    partners = ends[places.reshape(-1), 1].reshape(-1, 3)
    is_carbonyl = ((elements[partners] == "O") & (n_bonds[partners] == 1)).any(axis=1)
    return np.asarray(places[is_carbonyl], dtype=np.int64)


def _check_geometry(
    frames: NDArray[np.floating],
    structure: Structure,
    cells: NDArray[np.float64] | None,
    numbers: NDArray[np.int64],
) -> list[tuple[int, int]]:
    """Frame (as given) and atom of everything strained."""
    if not len(structure.bonds):
        return []
    geometry = _geometry(structure)
    first, second = structure.bonds.T
    size = max(1, _BONDS_AT_ONCE // len(first))
    strained: list[tuple[int, int]] = []  # frame, atom
    for start in range(0, len(frames), size):
        block = slice(start, start + size)
        vectors = frames[block][:, second] - frames[block][:, first]
        if cells is not None:
            vectors = nearest_image(vectors, cells[block])
        lengths = np.sqrt(np.einsum("fbi,fbi->fb", vectors, vectors, dtype=np.float64))
        if (lengths < geometry.shortest).any() or (lengths > geometry.longest).any():
            raise TrajectoryError(
                _explain_bond(lengths, geometry, structure, numbers[block], cells is not None)
            )
        strained += [(start + frame, atom) for frame, atom in _strained(vectors, lengths, geometry)]
    return strained


def _strained(
    vectors: NDArray[np.floating], lengths: NDArray[np.float64], geometry: _Geometry
) -> list[tuple[int, int]]:
    """Frame and atom of every bond, angle or carbonyl group that thermal motion does not reach."""
    ratio = lengths / geometry.radii  # NaN compares as false
    bad_bonds = (ratio < _STRAINED_RATIOS[0]) | (ratio > _STRAINED_RATIOS[1])
    direction = np.where(geometry.ends[:, 0] < geometry.ends[:, 1], 1.0, -1.0)
    units = vectors[:, geometry.edges] * (direction / lengths[:, geometry.edges])[..., None]
    one, other = geometry.angles.T
    cosines = np.einsum("fai,fai->fa", units[:, one], units[:, other])
    bad_angles = (cosines > geometry.sharpest) | (cosines < geometry.widest)
    a, b, c = (units[:, geometry.carbonyls[:, i]] for i in range(3))
    bad_planes = np.abs(np.einsum("fni,fni->fn", a, np.cross(b, c))) > _BENT_CARBONYL
    found: list[tuple[int, int]] = []
    bonds = geometry.ends[np.argsort(geometry.edges, kind="stable")[::2], 1]
    for bad, atoms in (
        (bad_bonds, bonds),
        (bad_angles, geometry.ends[one, 0]),
        (bad_planes, geometry.ends[geometry.carbonyls[:, 0], 0]),
    ):
        found += [(int(frame), int(atoms[term])) for frame, term in np.argwhere(bad)]
    return sorted(found)


def _explain_values(frames: NDArray[np.floating], structure: Structure, numbers: NDArray[np.int64]) -> str:
    good = np.abs(frames) < LARGEST_COORDINATE
    frame, atom, axis = np.argwhere(~good)[0].tolist()
    value = frames[frame, atom, axis]
    return (
        f"frame {numbers[frame] + 1}: {'xyz'[axis]} of atom {structure.label(atom)} is {value:g}, expected "
        f"less than {LARGEST_COORDINATE:g} A; the run blew up or the file is damaged: leave these frames out"
    )


def _misplaced(lengths: NDArray[np.float64], geometry: _Geometry, structure: Structure) -> list[int]:
    """The atoms whose place alone may explain all wrong bonds of a frame, lengths (n_bonds,) in A."""
    wrong = structure.bonds[(lengths < geometry.shortest) | (lengths > geometry.longest)]
    shared = set.intersection(*(set(pair) for pair in wrong.tolist()))
    return sorted(shared) if len(lengths) > _FEW_BONDS else []


def _explain_bond(
    lengths: NDArray[np.float64],
    geometry: _Geometry,
    structure: Structure,
    numbers: NDArray[np.int64],
    unwrapped: bool,
) -> str:
    badness = np.maximum(lengths / geometry.longest, geometry.shortest / np.maximum(lengths, 1e-12))
    frame, bond = np.unravel_index(int(badness.argmax()), badness.shape)
    i, j = structure.bonds[bond]
    median = float(np.median(lengths))
    if median < 0.3:
        advice = "these look like nm, not A: convert the file"
    else:
        box = ", or the box cuts molecules" if median < _LONGEST_BOND and not unwrapped else ""
        advice = f"the topology is of another system or order of atoms{box}: check it (--top)"
        if atoms := _misplaced(lengths[frame], geometry, structure):
            names = " or ".join(structure.label(atom) for atom in atoms)
            advice = (
                f"all bonds but those of one atom fit, so {names} is misplaced, or the bond is not there: "
                "mend it, or leave the atom out of topology and trajectory"
            )
            if not unwrapped and lengths[frame, bond] > _ACROSS_A_BOX:
                advice = (
                    "the walls of a box that the file does not hold may cut the molecule: make it whole "
                    f"first, as with `gmx trjconv -pbc mol`; or {names} is misplaced"
                )
    return (
        f"frame {numbers[frame] + 1}: the bond {structure.label(int(i))} - {structure.label(int(j))} is "
        f"{lengths[frame, bond]:.3g} A long, expected {geometry.shortest[bond]:.2g} to "
        f"{geometry.longest[bond]:.2g}; {advice}"
    )
