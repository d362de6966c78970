"""Collective variables: read from a line of text, evaluated on frames, written for Colvars."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import ConfigError
from smdgen.geometry.atoms import Atoms, Molecule
from smdgen.geometry.backbone import find_backbone

if TYPE_CHECKING:  # what is stored of a variable is read without torch
    from torch import Tensor

#: Kinds and the number of groups each takes.
KINDS = {"distance": 2, "angle": 3, "dihedral": 4, "gyration": 1, "rmsd": 1}

#: What Colvars and VMD's Dashboard take as a name.
_CV_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,17}")
_CV_EXAMPLE = "d=distance(resid 1 and name CA; resid 10 and name CA)"


class PlacedAtoms(Atoms, Protocol):
    """Atoms that may have positions, A: the reference of an RMSD."""

    @property
    def positions(self) -> NDArray[np.float64] | None: ...  # noqa: D102


#: Finds the atoms of a selection in the user's language: 0-based indices into the structure.
Select = Callable[[Any, str], NDArray[np.int64]]


@dataclass(frozen=True)
class CollectiveVariable:
    """One number a frame: what a pull is driven along.

    Attributes:
        name: Column name, as Colvars takes it.
        kind: One of `KINDS`.
        groups: For each group its atoms, 0-based, into the modelled atoms.
        weights: For each group the weights of its atoms (masses for centres of mass), any scale.
        reference: For `rmsd` the positions of the group's atoms, A; else empty.
        unit: "A" or "deg".
    """

    name: str
    kind: str
    groups: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    reference: tuple[tuple[float, float, float], ...] = ()
    unit: str = "A"

    @property
    def column(self) -> str:
        """Name with unit, for tables: `end_to_end_A`."""
        return f"{self.name}_{self.unit}"

    @property
    def periodic(self) -> bool:
        """Whether values are angles of a full turn, so that differences need wrapping."""
        return self.kind == "dihedral"


def evaluate(cv: CollectiveVariable, x: "Tensor") -> "Tensor":
    """The value of a collective variable in every frame.

    Distances, angles and dihedrals are taken between centres of mass; gyration and RMSD count all
    atoms alike, as Colvars does. Periodic boundaries are not applied.

    Args:
        cv: The variable.
        x: (..., n_atoms, 3), A. The modelled atoms.

    Returns:
        (...), A or degrees (dihedrals in [-180, 180]). Differentiable, with finite gradients everywhere.

    Raises:
        ValueError: Of no known kind.

    Source: G. Fiorin, M. L. Klein, J. Henin, Mol. Phys. 111, 3345 (2013) (Colvars).
    """
    import torch

    from smdgen.geometry.frames import angles, bond_lengths, dihedrals, rmsd

    if cv.kind == "gyration":
        return _gyration(x[..., list(cv.groups[0]), :])
    if cv.kind == "rmsd":
        return rmsd(x[..., list(cv.groups[0]), :], x.new_tensor(cv.reference))
    centres = group_centres(cv, x)
    order = np.arange(len(cv.groups))[None]
    if cv.kind == "distance":
        return bond_lengths(centres, order)[..., 0]
    if cv.kind == "angle":
        return angles(centres, order)[..., 0] * (180 / torch.pi)
    if cv.kind == "dihedral":
        return dihedrals(centres, order)[..., 0] * (180 / torch.pi)
    raise ValueError(f"a CV of kind {cv.kind!r}; known are {', '.join(KINDS)}")


def group_centres(cv: CollectiveVariable, x: "Tensor") -> "Tensor":
    """The points between which a distance, angle or dihedral is taken.

    Args:
        cv: The variable.
        x: (..., n_atoms, 3), A. The modelled atoms.

    Returns:
        (..., n_groups, 3), A. Weighted centres.
    """
    import torch

    return torch.stack([_centre(x, *group) for group in zip(cv.groups, cv.weights, strict=True)], -2)


def between_groups(cv: CollectiveVariable, x: "Tensor") -> "Tensor":
    """(..., n_groups - 1, 3), A. From the centre of each group to that of the next; `x` as in `evaluate`."""
    return group_centres(cv, x).diff(dim=-2)


def difference(cv: CollectiveVariable, a: "Tensor", b: "Tensor") -> "Tensor":
    """Subtract b from a, the short way round for dihedrals.

    Args:
        cv: The variable.
        a: (...), in the variable's unit.
        b: (...), in the variable's unit.

    Returns:
        (...), in the variable's unit; in [-180, 180) if periodic.
    """
    return (a - b + 180).remainder(360) - 180 if cv.periodic else a - b


def nearest_turn(cv: CollectiveVariable, value: "Tensor", reference: "Tensor | float") -> "Tensor":
    """The value counted in full turns so that it lies nearest to a reference; as it is if not periodic.

    Args:
        cv: The variable.
        value: (...), in the variable's unit.
        reference: (...), in the variable's unit.
    """
    if not cv.periodic:
        return value
    import torch

    reference = torch.as_tensor(reference, dtype=value.dtype, device=value.device)
    return reference + difference(cv, value, reference)


def unrolled(cv: CollectiveVariable, pulls: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Dihedrals that pass +-180 without a jump, all pulls counted from the same turn.

    Args:
        cv: The variable.
        pulls: (n_frames,) each, in the variable's unit.

    Returns:
        As `pulls`; the same values if the variable is not periodic.
    """
    if not cv.periodic:
        return list(pulls)
    radians = np.radians(np.concatenate(pulls))
    middle = np.degrees(np.arctan2(np.sin(radians).mean(), np.cos(radians).mean()))
    smooth = [np.unwrap(pull, period=360) for pull in pulls]
    return [pull - 360 * np.round((pull.mean() - middle) / 360) for pull in smooth]


def parse_cv(
    text: str,
    structure: PlacedAtoms,
    modelled: NDArray[np.int64],
    select: Select,
    positions: NDArray[np.floating[Any]] | None = None,
) -> CollectiveVariable:
    """A collective variable from text such as `d=distance(resid 1 and name CA; resid 10 and name CA)`.

    Args:
        text: `[name=]kind(selection; selection; ...)`; without a name the kind is the name.
        structure: All atoms of the topology.
        modelled: (n_modelled,). The modelled atoms, 0-based into the structure.
        select: Turns a selection into 0-based indices into the structure.
        positions: (n_atoms, 3), A. Reference of an RMSD; None: the structure's own.

    Raises:
        ConfigError: Wrong form, name, kind or number of groups; a selection that matches nothing or
            reaches beyond the modelled atoms; an RMSD without reference.
    """
    name, kind, selections = _split(text)
    places = {int(atom): place for place, atom in enumerate(modelled)}
    atoms = [_group(structure, selection, places, select) for selection in selections]
    groups = tuple(tuple(places[atom] for atom in group) for group in atoms)
    if len({tuple(sorted(group)) for group in atoms}) < len(atoms):
        raise ConfigError(f"two groups of {text!r} are the same atoms; choose groups that move apart")
    by_mass = kind in ("distance", "angle", "dihedral")
    weights = tuple(_weights(structure, group, by_mass) for group in atoms)
    reference = _reference(structure, positions, atoms[0]) if kind == "rmsd" else ()
    if kind == "rmsd" and len(atoms[0]) < 4:
        raise ConfigError(f"rmsd of {len(atoms[0])} atoms in {text!r}; a superposition needs at least 4")
    unit = "deg" if kind in ("angle", "dihedral") else "A"
    return CollectiveVariable(name, kind, groups, weights, reference, unit)


def selections(text: str) -> list[str]:
    """The selections of a variable's text.

    Raises:
        ConfigError: Wrong form, name, kind or number of groups.
    """
    return _split(text)[2]


def end_to_end(
    structure: Molecule, modelled: NDArray[np.int64], name: str = "end_to_end"
) -> CollectiveVariable:
    """The distance from the first to the last modelled CA, in the order of the chains.

    Args:
        structure: All atoms of the topology.
        modelled: (n_modelled,). The modelled atoms, 0-based into the structure.
        name: Name of the variable.

    Raises:
        ConfigError: Fewer than two CA atoms are modelled.
    """
    place = {int(atom): i for i, atom in enumerate(modelled)}
    ends = [place[atom] for atom in find_backbone(structure).atoms["CA"].tolist() if atom in place]
    if len(ends) < 2:
        raise ConfigError(
            f"found {len(ends)} CA among the modelled atoms, expected two or more for the end-to-end "
            f"distance; widen --select or give --cv, for example {_CV_EXAMPLE!r}"
        )
    return CollectiveVariable(name, "distance", ((ends[0],), (ends[-1],)), ((1.0,), (1.0,)))


def colvars_config(cv: CollectiveVariable, atom_numbers: Sequence[int] | NDArray[np.int64]) -> str:
    """The variable as a Colvars input block, so that VMD's Dashboard computes it from the same file.

    Args:
        cv: The variable.
        atom_numbers: (n_modelled,). 1-based number of each modelled atom in the trajectory at hand.

    Returns:
        Text with one brace a line, ending in a newline.
    """
    lines = ["colvar {", f"    name {cv.name}", f"    {cv.kind} {{"]
    if cv.kind == "distance":
        lines.append("        forceNoPBC on")
    for i, group in enumerate(cv.groups):
        label = f"group{i + 1}" if len(cv.groups) > 1 else "atoms"
        numbers = " ".join(str(int(atom_numbers[atom])) for atom in group)
        lines += [f"        {label} {{", f"            atomNumbers {numbers}", "        }"]
    if cv.kind == "rmsd":
        lines.append(
            "        refPositions " + " ".join(f"({x:.6f}, {y:.6f}, {z:.6f})" for x, y, z in cv.reference)
        )
    return "\n".join([*lines, "    }", "}"]) + "\n"


def to_dict(cv: CollectiveVariable) -> dict[str, Any]:
    """Plain lists and strings, for JSON."""
    return asdict(cv)


def from_dict(values: Mapping[str, Any]) -> CollectiveVariable:
    """The inverse of `to_dict`, also after JSON turned tuples into lists.

    Raises:
        ValueError: Of no known kind, or with another number of groups than its kind has.
    """
    x, y, z = 0, 1, 2
    if KINDS.get(values["kind"]) != len(values["groups"]):
        raise ValueError(f"no CV: kind {values['kind']!r} of {len(values['groups'])} groups")
    return CollectiveVariable(
        name=str(values["name"]),
        kind=str(values["kind"]),
        groups=tuple(tuple(int(atom) for atom in group) for group in values["groups"]),
        weights=tuple(tuple(float(weight) for weight in group) for group in values["weights"]),
        reference=tuple((float(p[x]), float(p[y]), float(p[z])) for p in values["reference"]),
        unit=str(values["unit"]),
    )


def _split(text: str) -> tuple[str, str, list[str]]:
    """Name, kind and selections of the text form."""
    match = re.fullmatch(r"\s*(?:([^=(]*)=)?\s*(\w+)\s*\((.*)\)\s*", text, flags=re.DOTALL)
    if match is None:
        raise ConfigError(
            f"cannot read the CV {text!r}; expected name=kind(selection; ...), as in {_CV_EXAMPLE!r}"
        )
    kind, selections = match[2], [part.strip() for part in match[3].split(";")]
    name = kind if match[1] is None else match[1].strip()
    if kind not in KINDS:
        raise ConfigError(f"unknown CV kind {kind!r} in {text!r}; known are {', '.join(KINDS)}")
    if not _CV_NAME.fullmatch(name):
        raise ConfigError(
            f"CV name {name!r} is not 1 to 18 letters, digits or _ after a first letter; rename it"
        )
    if len(selections) != KINDS[kind] or not all(selections):
        found = sum(map(bool, selections))
        raise ConfigError(
            f"{kind} takes {KINDS[kind]} selection{'s' * (KINDS[kind] > 1)}, separated by semicolons, "
            f"found {found} in {text!r}"
        )
    return name, kind, selections


def _group(structure: PlacedAtoms, selection: str, places: Mapping[int, int], select: Select) -> list[int]:
    """Atoms of a selection, 0-based into the structure, all of them modelled."""
    found = [int(atom) for atom in select(structure, selection)]
    if not found:
        raise ConfigError(
            f"the CV's selection {selection!r} matches no atom; check names and residue numbers"
        )
    outside = [atom for atom in found if atom not in places]
    if outside:
        first = f"{structure.names[outside[0]]} of residue {structure.residue_ids[outside[0]]}"
        raise ConfigError(
            f"the CV's selection {selection!r} has {len(outside)} of {len(found)} atoms outside of the "
            f"modelled ones (first: {first}); narrow it or widen --select"
        )
    return found


def _weights(structure: PlacedAtoms, group: list[int], by_mass: bool) -> tuple[float, ...]:
    """Masses for a centre of mass, in which massless sites do not count; all alike if nothing has a mass."""
    masses = [float(structure.masses[atom]) for atom in group]
    return tuple(masses) if by_mass and max(masses) > 0 else (1.0,) * len(group)


def _reference(
    structure: PlacedAtoms, positions: NDArray[np.floating[Any]] | None, group: list[int]
) -> tuple[tuple[float, float, float], ...]:
    reference = structure.positions if positions is None else positions
    if reference is None:
        raise ConfigError(
            "an rmsd CV needs reference coordinates; give a topology that has them, such as a PDB"
        )
    return tuple((float(x), float(y), float(z)) for x, y, z in np.asarray(reference)[group])


def _centre(x: "Tensor", group: tuple[int, ...], weights: tuple[float, ...]) -> "Tensor":
    """(..., 3), A. Weighted centre of a group."""
    if len(group) == 1:
        return x[..., group[0], :]
    share = x.new_tensor(weights)
    return (x[..., list(group), :] * (share / share.sum())[:, None]).sum(-2)


def _gyration(x: "Tensor") -> "Tensor":
    """(...), A. Root mean square distance from the plain centre."""
    import torch

    square = (x - x.mean(-2, keepdim=True)).square().sum(-1).mean(-1)
    return square.clamp_min(torch.finfo(x.dtype).eps ** 2).sqrt()
