"""The bonded terms of a force field as plain tables: which atoms, which constants."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smdgen.arrays import FloatArray, Indices
from smdgen.errors import TopologyError
from smdgen.geometry.bonds import bonded_angles, neighbours
from smdgen.units import ANGSTROM_PER_NM, KJ_PER_KCAL

#: Constants of geometry-only terms, of the size that force fields give them: kcal/mol/A^2, kcal/mol/rad^2.
_GEOMETRY_BOND, _GEOMETRY_ANGLE, _GEOMETRY_IMPROPER = 300.0, 50.0, 40.0

#: Forces that need no note: they hold no bonded term, or none that TorchMD knows.
_NOT_BONDED = {
    "NonbondedForce", "CustomNonbondedForce", "CustomBondForce", "CMMotionRemover", "GBSAOBCForce",
    "CustomGBForce", "CustomCentroidBondForce", "MonteCarloBarostat", "AndersenThermostat",
}  # fmt: skip


@dataclass(frozen=True)
class Terms:
    """Bonded energy terms over the modelled atoms; indices 0-based into them.

    | kind | parameters | energy, kcal/mol |
    |---|---|---|
    | bonds, Urey-Bradley | `[k, r0]`, kcal/mol/A^2, A | k (r - r0)^2 |
    | angles | `[k, theta0]`, kcal/mol/rad^2, rad | k (theta - theta0)^2 |
    | torsions | `[k, phase, n]`, kcal/mol, rad, n > 0 | k (1 + cos(n phi - phase)) |
    | impropers | `[k, psi0]`, kcal/mol/rad^2, rad | k (psi - psi0)^2, the difference wrapped |
    """

    bonds: Indices  # (n, 2)
    bond_parameters: FloatArray  # (n, 2)
    angles: Indices  # (n, 3)
    angle_parameters: FloatArray  # (n, 2)
    torsions: Indices  # (n, 4)
    torsion_parameters: FloatArray  # (n, 3)
    impropers: Indices  # (n, 4)
    improper_parameters: FloatArray  # (n, 2)
    urey_bradley: Indices  # (n, 2)
    urey_bradley_parameters: FloatArray  # (n, 2)
    source: str  # in words: which files, which fallback


#: Columns of every table of `Terms`.
_WIDTHS = {
    "bonds": 2, "bond_parameters": 2,
    "angles": 3, "angle_parameters": 2,
    "torsions": 4, "torsion_parameters": 3,
    "impropers": 4, "improper_parameters": 2,
    "urey_bradley": 2, "urey_bradley_parameters": 2,
}  # fmt: skip


def make_terms(source: str, tables: Mapping[str, ArrayLike]) -> Terms:
    """Terms from tables by field name; one that is left out is empty.

    Raises:
        TopologyError: A table with another number of columns than its kind of term has.
    """
    arrays: dict[str, Any] = {}
    for name, width in _WIDTHS.items():
        kind = np.float64 if name.endswith("parameters") else np.int64
        array = np.asarray(tables.get(name, ()), dtype=kind)
        if array.size and (array.ndim != 2 or array.shape[1] != width):
            raise TopologyError(f"bonded terms {name} have the shape {array.shape}, expected (n, {width})")
        arrays[name] = array.reshape(-1, width)
    return Terms(**arrays, source=source)


def join_terms(parts: Sequence[tuple[Terms, Indices]], source: str) -> Terms:
    """The terms of several molecules together.

    Args:
        parts: Terms of each, and where its atoms are among all modelled ones, (n_own,).
        source: Of the result.
    """
    tables: dict[str, list[NDArray[Any]]] = {name: [] for name in _WIDTHS}
    for terms, atoms in parts:
        for name, found in tables.items():
            table = getattr(terms, name)
            found.append(table if name.endswith("parameters") else np.asarray(atoms)[table])
    return make_terms(source, {name: np.concatenate(found) for name, found in tables.items()})


def terms_to_arrays(terms: Terms) -> dict[str, NDArray[Any]]:
    """The tables and the source (as UTF-8 bytes) by field name, for a store of arrays."""
    arrays = {field.name: getattr(terms, field.name) for field in fields(terms) if field.name != "source"}
    return arrays | {"source": np.frombuffer(terms.source.encode(), dtype=np.uint8)}


def terms_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Terms:
    """What `terms_to_arrays` gave.

    Raises:
        TopologyError: A table is missing or has another shape.
    """
    missing = sorted({*_WIDTHS, "source"} - set(arrays))
    if missing:
        raise TopologyError(f"bonded terms lack {', '.join(missing)}; prepare the dataset again")
    source = np.asarray(arrays["source"], dtype=np.uint8).tobytes().decode()
    return make_terms(source, {name: arrays[name] for name in _WIDTHS})


def bonded_terms(
    system: Any, bonds: Iterable[tuple[int, int]], indices: ArrayLike, source: str = ""
) -> Terms:
    """The bonded terms of an OpenMM System whose atoms are all among the modelled ones.

    CMAP is left out: TorchMD has no such term. Terms of strength zero are dropped.

    Args:
        system: OpenMM System without constraints, so that every bond has its term.
        bonds: Pairs of bonded particles; a harmonic pair term between atoms that are not bonded is
            Urey-Bradley.
        indices: (n_modelled,). Particles that are modelled, in the order of the result's indices.
        source: Kept in the result.

    Returns:
        Terms in the order of the system.

    Raises:
        TopologyError: A bonded force of a kind or form that is not known.
    """
    place = {int(index): i for i, index in enumerate(np.asarray(indices, dtype=np.int64))}
    bonded = {(min(i, j), max(i, j)) for i, j in bonds}
    rows: dict[str, list[Any]] = {name: [] for name in _WIDTHS}
    for force in system.getForces():
        kind = type(force).__name__
        reader = _FORCE_READERS.get(kind)
        if reader is not None:
            for name, atoms, parameters in reader(force, bonded):
                if parameters[0] != 0.0 and all(atom in place for atom in atoms):
                    rows[name].append([place[atom] for atom in atoms])
                    rows[_parameter_table(name)].append(parameters)
        elif kind not in _NOT_BONDED and kind != "CMAPTorsionForce":
            raise TopologyError(f"the system has a {kind}, which cannot be turned into bonded terms")
    return make_terms(source, rows)


def _parameter_table(name: str) -> str:
    return f"{name}_parameters" if name == "urey_bradley" else f"{name.removesuffix('s')}_parameters"


def _read_pairs(force: Any, bonded: set[tuple[int, int]]) -> Iterable[tuple[str, list[int], list[float]]]:
    """OpenMM: E = k/2 (r - r0)^2 in kJ/mol and nm."""
    for term in range(force.getNumBonds()):
        i, j, length, constant = force.getBondParameters(term)
        name = "bonds" if (min(i, j), max(i, j)) in bonded else "urey_bradley"
        k = constant._value / 2 / KJ_PER_KCAL / ANGSTROM_PER_NM**2
        yield name, [i, j], [k, length._value * ANGSTROM_PER_NM]


def _read_angles(force: Any, _: Any) -> Iterable[tuple[str, list[int], list[float]]]:
    """OpenMM: E = k/2 (theta - theta0)^2 in kJ/mol."""
    for term in range(force.getNumAngles()):
        i, j, k, angle, constant = force.getAngleParameters(term)
        yield "angles", [i, j, k], [constant._value / 2 / KJ_PER_KCAL, angle._value]


def _read_torsions(force: Any, _: Any) -> Iterable[tuple[str, list[int], list[float]]]:
    """OpenMM: E = k (1 + cos(n phi - phase)) in kJ/mol; n = 0 is a constant and no term."""
    for term in range(force.getNumTorsions()):
        *atoms, periodicity, phase, constant = force.getTorsionParameters(term)
        if periodicity > 0:
            yield "torsions", atoms, [constant._value / KJ_PER_KCAL, phase._value, float(periodicity)]


def _read_impropers(force: Any, _: Any) -> Iterable[tuple[str, list[int], list[float]]]:
    """CHARMM's harmonic impropers, which OpenMM writes as a CustomTorsionForce."""
    expression = force.getEnergyFunction().replace(" ", "")
    names = [force.getPerTorsionParameterName(k) for k in range(force.getNumPerTorsionParameters())]
    if sorted(names) != ["k", "theta0"] or not expression.startswith(
        ("k*(theta-theta0)^2", "k*min(dtheta,2*pi-dtheta)^2")
    ):
        raise TopologyError(f"the system has a CustomTorsionForce of an unknown form, {expression}")
    for term in range(force.getNumTorsions()):
        *atoms, values = force.getTorsionParameters(term)
        constants = dict(zip(names, values, strict=True))
        yield "impropers", atoms, [constants["k"] / KJ_PER_KCAL, constants["theta0"]]


_FORCE_READERS = {
    "HarmonicBondForce": _read_pairs,
    "HarmonicAngleForce": _read_angles,
    "PeriodicTorsionForce": _read_torsions,
    "CustomTorsionForce": _read_impropers,
}


def geometry_terms(bonds: ArrayLike, frames: ArrayLike) -> Terms:
    """Terms without a force field: the observed geometry is the rest state, with constants of the usual size.

    Bonds and angles rest at their mean over the frames; an atom with three neighbours keeps its planarity
    or its handedness by an improper. There are no torsion terms. Good enough to keep shapes; no energies to
    report.

    Args:
        bonds: (n_bonds, 2), 0-based into the modelled atoms.
        frames: (n_frames, n_modelled, 3) or (n_modelled, 3), A. Real frames.
    """
    pairs = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    x = np.asarray(frames, dtype=np.float64).reshape(-1, *np.shape(frames)[-2:])
    near = neighbours(x.shape[1], pairs)
    angles = bonded_angles(x.shape[1], pairs).tolist()
    impropers = [(b, *others) for b, others in enumerate(near) if len(others) == 3]
    tables: dict[str, ArrayLike] = {"bonds": pairs, "angles": angles, "impropers": impropers}
    tables["bond_parameters"] = [(_GEOMETRY_BOND, _mean_length(x, pair)) for pair in pairs.tolist()]
    tables["angle_parameters"] = [(_GEOMETRY_ANGLE, _mean_angle(x, *triple)) for triple in angles]
    tables["improper_parameters"] = [(_GEOMETRY_IMPROPER, _mean_dihedral(x, *four)) for four in impropers]
    return make_terms(
        "geometry only (no force field fits): observed lengths and angles, no torsion terms", tables
    )


def _mean_length(x: FloatArray, pair: list[int]) -> float:
    return float(np.linalg.norm(x[:, pair[1]] - x[:, pair[0]], axis=1).mean())


def _mean_angle(x: FloatArray, a: int, b: int, c: int) -> float:
    one, two = x[:, a] - x[:, b], x[:, c] - x[:, b]
    sine = np.linalg.norm(np.cross(one, two), axis=1)
    return float(np.arctan2(sine, (one * two).sum(axis=1)).mean())


def _mean_dihedral(x: FloatArray, a: int, b: int, c: int, d: int) -> float:
    """Circular mean, rad. Source: A. Blondel, M. Karplus, J. Comput. Chem. 17, 1132 (1996)."""
    one, two, three = x[:, a] - x[:, b], x[:, b] - x[:, c], x[:, d] - x[:, c]
    first, second = np.cross(one, two), np.cross(three, two)
    cosine = (first * second).sum(axis=1)
    sine = (np.cross(second, first) * two).sum(axis=1) / np.linalg.norm(two, axis=1)
    angle = np.arctan2(sine, cosine)
    return float(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean()))
