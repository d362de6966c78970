"""Which periodic image of each molecule is meant: chosen in the first frame, followed from frame to frame."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smdgen.geometry.cell import box_vectors
from smdgen.geometry.lattice import box_shares, lattice_counts, nearest_image
from smdgen.geometry.periodic import Wholeness, atoms_between, centres_of, make_whole, plan_wholeness
from smdgen.io.structures.atoms import Structure, sorted_bonds, subset
from smdgen.io.trajectories.trajectory import Readable, chunks
from smdgen.units import LARGEST_COORDINATE

_MOST_FITTED = 20  # molecules that are put together by their atoms; the others by their centres
_MOST_POINTS = 64  # atoms of each that are looked at
_TOUCHING = 8.0  # A, of the atoms that are looked at
_MOST_LOOKS = 100  # frames
_NEARER = 3.0  # A; an image has to be so much nearer than the molecule as it stands
_WIDE_STEP = 0.35  # of a box vector between two frames: which way is not known for sure
_HALF_BOX = 0.45  # of a box vector between the CV's groups: close to where another image is nearer
_USUAL_STEPS, _SMALL_CV_JUMP = 20.0, 8.0  # a CV that moves more (medians; A) between two frames jumps


@dataclass(frozen=True, eq=False)
class Reach:
    """The modelled atoms of a topology and those that lead from one to another along the bonds.

    Attributes:
        atoms: (n,), 0-based into the topology. The modelled atoms in the model's order, then the others.
        n_modelled: How many are modelled.
        structure: These atoms.
        wholeness: Of these atoms.
    """

    atoms: NDArray[np.int64]
    n_modelled: int
    structure: Structure
    wholeness: Wholeness

    @property
    def molecules(self) -> NDArray[np.int64]:
        """(n_modelled,). Number of the molecule of each modelled atom; that of the first is 0."""
        return self.wholeness.molecules[: self.n_modelled]


@dataclass(frozen=True, eq=False)
class Images:
    """Where the molecules are in one frame: what the next frame is held to.

    Attributes:
        offsets: (n_molecules, 3), A. From the first molecule's centre to each, as written but whole.
        counts: (n_molecules, 3). Box vectors by which each is moved.
    """

    offsets: NDArray[np.float64]
    counts: NDArray[np.int64]


def plan_reach(whole: Structure, modelled: NDArray[np.int64], bonds: NDArray[np.int64]) -> Reach:
    """What has to be read of a topology.

    Args:
        whole: The topology.
        modelled: (n_modelled,), 0-based into it. The modelled atoms.
        bonds: (n_bonds, 2), 0-based into `modelled`. Their bonds as the model has them.
    """
    all_bonds = sorted_bonds(np.concatenate([whole.bonds, modelled[bonds]]))
    between = atoms_between(whole.n_atoms, all_bonds, modelled)
    atoms = np.concatenate([modelled, between])
    structure = subset(whole, atoms)
    structure = dataclasses.replace(
        structure, bonds=sorted_bonds(np.concatenate([structure.bonds, bonds])), notes=()
    )
    return Reach(atoms, len(modelled), structure, plan_wholeness(len(atoms), structure.bonds))


def first_images(
    trajectory: Readable, reach: Reach, chosen: NDArray[np.int64]
) -> tuple[NDArray[np.float32], Images, dict[str, str]]:
    """Decide where the molecules are in the first frame.

    Frames in which no molecule is cut and none jumps are taken as they are written, unless molecules that
    never meet in them touch each other's images to begin with. Else the molecules are put together.

    Args:
        trajectory: Open.
        reach: The atoms to look at.
        chosen: (n_frames,). The frames that are kept.

    Returns:
        (n_modelled, 3), A, of the first frame; where its molecules are; what was odd, by kind.
    """
    cells = trajectory.cells
    first_cell = None if cells is None else cells[chosen[:1]]
    raw = trajectory.read(chosen[:1], reach.atoms)
    positions, is_cut = make_whole(raw, reach.wholeness, first_cell)
    offsets = offsets_of(positions, reach.wholeness)
    start = Images(offsets[0], np.zeros((offsets.shape[1], 3), dtype=np.int64))
    notes = {}
    if cells is not None and offsets.shape[1] > 1:
        counts, gaps = put_together(positions[0], reach.wholeness, cells[chosen[0]])
        is_moved: NDArray[np.bool_] = np.asarray(counts.any(axis=1))
        as_written = is_moved.any() and not is_cut.any() and _is_continuous(trajectory, cells, reach, chosen)
        if as_written:
            touches = bool((gaps[is_moved] < _TOUCHING).all())
            touches = touches and not _ever_meet(trajectory, reach, chosen, is_moved)
            notes["apart"] = _apart_note(reach, offsets[0], counts, cells[chosen[0]], touches)
            as_written = not touches
        if not as_written:
            start = Images(offsets[0], counts)
    placed, _, _ = follow(positions[:, : reach.n_modelled], offsets, first_cell, reach.molecules, start)
    return placed[0], start, notes


def put_together(
    positions: NDArray[np.floating], wholeness: Wholeness, cell: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Box vectors by which the molecules of one frame have to move to stand around the first.

    The largest molecules join the first one by one, each at the image that comes nearest to one of those that
    have joined; one that is about as near as it stands stays. The others go to where their centre is nearest
    to that of the first.

    Args:
        positions: (n_atoms, 3), A. Every molecule in one piece.
        wholeness: Of these atoms.
        cell: (6,), A A A deg deg deg.

    Returns:
        (n_molecules, 3), whole numbers of a, b and c; (n_molecules,), A, how near each then comes to those
        that have joined, infinite for the first and the others.
    """
    counts: NDArray[np.int64] = -lattice_counts(offsets_of(positions[None], wholeness), cell[None])[0]
    sizes = np.bincount(wholeness.molecules)
    sizes[0] = len(positions)
    fitted = np.argsort(-sizes, kind="stable")[:_MOST_FITTED].tolist()
    points = {one: _thinned(positions[wholeness.molecules == one]) for one in fitted}
    gaps = np.full(len(sizes), np.inf)
    newest, *rest = fitted
    while rest:
        for one in rest:
            distance, moved = _approach(points[newest], points[one], cell)
            if distance < gaps[one]:
                gaps[one], counts[one] = distance, counts[newest] + moved
        newest = min(rest, key=gaps.__getitem__)
        rest.remove(newest)
    return counts, gaps


def offsets_of(positions: NDArray[np.floating], wholeness: Wholeness) -> NDArray[np.float64]:
    """(n_frames, n_molecules, 3), A. From the centre of the first molecule to that of each.

    Args:
        positions: (n_frames, n_atoms, 3), A. Every molecule in one piece.
        wholeness: Of these atoms.
    """
    if not wholeness.molecules.any():
        return np.zeros((len(positions), 1, 3))
    centres = centres_of(positions, wholeness.molecules)
    return centres - centres[:, :1]


def follow(
    positions: NDArray[np.float32],
    offsets: NDArray[np.float64],
    cells: NDArray[np.float64] | None,
    molecules: NDArray[np.int64],
    before: Images,
) -> tuple[NDArray[np.float32], Images, NDArray[np.float64]]:
    """Move molecules to the images nearest to where they were in the frame before, seen from the first one.

    Molecules that are continuous as written are not moved. The frames may come in any pieces, in order.

    Args:
        positions: (n_frames, n_atoms, 3), A. Every molecule in one piece.
        offsets: (n_frames, n_molecules, 3), A, of `offsets_of`.
        cells: (n_frames, 6), A A A deg deg deg; None moves nothing.
        molecules: (n_atoms,). The molecule of each atom.
        before: The frame before; that of the first frame itself to begin with.

    Returns:
        (n_frames, n_atoms, 3), A; the last frame's images; (n_frames,), the widest step of a molecule in box
        vectors, 0.5 at most.
    """
    n_frames, n_molecules, _ = offsets.shape
    if cells is None or n_molecules == 1:
        return positions, before, np.zeros(n_frames)
    steps = np.diff(offsets, axis=0, prepend=before.offsets[None])
    counts = before.counts - np.cumsum(lattice_counts(steps, cells), axis=0)
    is_moved = counts.any(axis=(1, 2))
    if is_moved.any():
        shifts = counts[is_moved] @ box_vectors(cells[is_moved])
        positions = positions.copy()
        positions[is_moved] = positions[is_moved] + shifts[:, molecules]
    widths = box_shares(nearest_image(steps, cells), cells).max(axis=1)
    return positions, Images(offsets[-1], counts[-1]), widths


def image_notes(
    frames: NDArray[np.int64],
    widths: NDArray[np.float64],
    shares: NDArray[np.float64],
    cv_values: NDArray[np.float64],
    unit: str,
) -> dict[str, str]:
    """What is odd about the images in the frames of one trajectory, by kind.

    Args:
        frames: (n,). Their numbers in the file, 0-based.
        widths: (n,), as of `follow`.
        shares: (n,). How far the CV's groups are apart, in box vectors; 0 without a cell.
        cv_values: (n,), the CV's unit.
        unit: "A" or "deg".
    """
    notes = {}
    wide = np.flatnonzero(widths > _WIDE_STEP)
    if len(wide):
        notes["step"] = (
            f"a molecule moves by {widths[wide[0]]:.2f} of a box vector before frame {frames[wide[0]] + 1} "
            f"(by more than {_WIDE_STEP:g} in {len(wide)} frames); which periodic image it goes to is "
            "uncertain, so keep more frames"
        )
    far = np.flatnonzero(shares > _HALF_BOX)
    if len(far):
        notes["half"] = (
            f"the groups of the CV are up to {shares.max():.2f} of a box vector apart, first above "
            f"{_HALF_BOX:g} in frame {frames[far[0]] + 1}; from about half the box on, each group meets the "
            "other's periodic images, and MD programs that take the nearest image pull it in the opposite "
            "direction: use a larger box"
        )
    jump = _jump_note(frames, cv_values) if unit == "A" else ""
    return {**notes, "jump": jump} if jump else notes


def joint_notes(found: Sequence[tuple[str, Mapping[str, str]]]) -> list[str]:
    """One note of each kind for all trajectories: that of the first, and how many more have one.

    Args:
        found: The name of each trajectory and what `image_notes` said of it.
    """
    notes = []
    for kind in dict.fromkeys(kind for _, own in found for kind in own):
        named = [(name, own[kind]) for name, own in found if kind in own]
        name, text = named[0]
        more = f" ({len(named) - 1} more trajectories likewise)" if len(named) > 1 else ""
        notes.append(f"{name}: {text}{more}")
    return notes


def _jump_note(frames: NDArray[np.int64], values: NDArray[np.float64]) -> str:
    """A CV that jumps, as where a molecule goes through the wall of a box that is not known; else ""."""
    steps = np.abs(np.diff(values))
    usual = float(np.median(steps))
    jumps = np.flatnonzero(steps > max(_USUAL_STEPS * usual, _SMALL_CV_JUMP))
    if not len(jumps):
        return ""
    first = jumps[0]
    times = "once" if len(jumps) == 1 else f"{len(jumps)} times, first"
    return (
        f"the CV jumps {times} from {values[first]:.1f} to {values[first + 1]:.1f} A at frame "
        f"{frames[first + 1] + 1} (the median step is {usual:.2g} A); if a molecule goes through the wall "
        "of the box there, unwrap the trajectory"
    )


def _is_continuous(
    trajectory: Readable, cells: NDArray[np.float64], reach: Reach, chosen: NDArray[np.int64]
) -> bool:
    """Whether no molecule is cut in any frame, and none jumps from one to the next."""
    last = None
    for frames in chunks(chosen, len(reach.atoms)):
        raw = trajectory.read(frames, reach.atoms)
        raw[~(np.abs(raw) < LARGEST_COORDINATE)] = np.nan  # refused later, when all frames are read
        positions, is_cut = make_whole(raw, reach.wholeness, cells[frames])
        if is_cut.any():
            return False
        offsets = offsets_of(positions, reach.wholeness)
        steps = np.diff(offsets, axis=0, prepend=offsets[:1] if last is None else last)
        if lattice_counts(steps, cells[frames]).any():
            return False
        last = offsets[-1:]
    return True


def _ever_meet(
    trajectory: Readable, reach: Reach, chosen: NDArray[np.int64], is_moved: NDArray[np.bool_]
) -> bool:
    """Whether some molecules touch the others in any of some frames, as written."""
    own = is_moved[reach.wholeness.molecules]
    for frame in np.unique(np.linspace(0, len(chosen) - 1, _MOST_LOOKS).astype(np.int64)):
        positions = trajectory.read(chosen[frame : frame + 1], reach.atoms)[0]
        these, others = _thinned(positions[own]), _thinned(positions[~own])
        if np.linalg.norm(these[:, None] - others, axis=-1).min() < _TOUCHING:
            return True
    return False


def _approach(
    fixed: NDArray[np.float64], points: NDArray[np.float64], cell: NDArray[np.float64]
) -> tuple[float, NDArray[np.int64]]:
    """How near an image of some points (n, 3) comes to others, A, and by which box vectors it is moved."""
    vectors = (points[:, None] - fixed).reshape(1, -1, 3)
    counts = lattice_counts(vectors, cell[None])[0]
    distances = np.linalg.norm(vectors[0] - counts @ box_vectors(cell), axis=1)
    best = int(distances.argmin())
    as_it_stands = float(np.linalg.norm(vectors[0], axis=1).min())
    if as_it_stands < distances[best] + _NEARER:
        return as_it_stands, np.zeros(3, dtype=np.int64)
    return float(distances[best]), -counts[best]


def _thinned(points: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(points[:: -(-len(points) // _MOST_POINTS)], dtype=np.float64)


def _apart_note(
    reach: Reach,
    offsets: NDArray[np.float64],
    counts: NDArray[np.int64],
    cell: NDArray[np.float64],
    touches: bool,
) -> str:
    """Molecules that are continuous, but begin nearer to an image than to each other."""
    one = int(np.flatnonzero(counts.any(axis=1))[0])
    far = float(np.linalg.norm(offsets[one]))
    near = float(np.linalg.norm(offsets[one] + counts[one] @ box_vectors(cell)))
    names = [reach.structure.label(int(np.argmax(reach.molecules == number))) for number in (one, 0)]
    found = (
        f"the molecule of {names[0]} begins {far:.1f} A from that of {names[1]} as written, and {near:.1f} A"
    )
    if touches:
        return f"{found} from its periodic image, which it touches: it is moved there, and followed"
    return (
        f"{found} from its periodic image; as no molecule is cut or jumps, all stay as they are written. If "
        "molecules were put into the box one by one, unwrap them first"
    )
