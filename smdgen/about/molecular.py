"""What is in a trajectory or structure file."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.about.facts import Description, Fact, counts, fact, size, some
from smdgen.geometry.atoms import residue_numbers
from smdgen.geometry.backbone import find_backbone
from smdgen.io.kinds import coordinate_kind
from smdgen.io.structures.coordinates import COORDINATE_READERS
from smdgen.io.structures.structure import read_pdb_models, read_structure, structure_format
from smdgen.io.trajectories.dcd import DcdFile
from smdgen.io.trajectories.dcd_layout import DcdLayout
from smdgen.io.trajectories.trajectory import Trajectory, open_trajectory

_SAME_CELL = 1e-3  # A, deg. Cells that differ less are the same


def describe_trajectory(path: Path) -> Description:
    """Frames, atoms, times, cell; for a DCD its header beside its body.

    Raises:
        TrajectoryError: It is damaged.
    """
    with open_trajectory(path) as trajectory:
        kind, facts = f"{coordinate_kind(path)} trajectory", []
        declared: dict[str, int] = {}
        if isinstance(trajectory, DcdFile):
            kind, facts = "DCD trajectory", _dcd_facts(trajectory.layout)
            declared = {"declared": trajectory.layout.declared_frames}
        frames = {"frames": trajectory.n_frames, **declared}
        text = str(trajectory.n_frames)
        if declared and declared["declared"] != trajectory.n_frames:
            text += f"  (the header declares {declared['declared']})"
        return Description(
            path,
            kind,
            (
                size(path),
                fact("frames", frames if declared else trajectory.n_frames, text),
                fact("atoms", trajectory.n_atoms),
                _times(trajectory),
                _steps(trajectory.steps),
                _cells(trajectory.cells),
                *facts,
            ),
            trajectory.notes,
        )


def describe_coordinates(path: Path) -> Description:
    """Atoms and extent of one set of coordinates.

    Raises:
        TopologyError: It is damaged.
    """
    kind = coordinate_kind(path)
    positions = COORDINATE_READERS[kind](path)
    extent = np.ptp(positions, axis=0)
    return Description(
        path,
        f"{kind}, one set",
        (
            size(path),
            fact("atoms", len(positions)),
            Fact("extent", " x ".join(f"{length:.2f}" for length in extent) + " A", extent.tolist()),
        ),
    )


def describe_structure(path: Path) -> Description:
    """Atoms, residues, segments, elements, bonds.

    Raises:
        TopologyError: It is no structure, or damaged.
    """
    kind = structure_format(path)
    structure = read_structure(path)
    backbone = find_backbone(structure)
    n_models = len(read_pdb_models(path).positions) if kind == "PDB" else 0
    facts = [
        size(path),
        fact("atoms", structure.n_atoms),
        fact("residues", int(residue_numbers(structure).max()) + 1),
        fact("protein", {"residues": backbone.n_residues, "chains": _n_chains(backbone.chains)}),
        _names("segments", structure.segment_ids),
        _names("chains", structure.chain_ids),
        counts("elements", dict(Counter(element or "unknown" for element in structure.elements.tolist()))),
        fact("bonds", len(structure.bonds)),
        fact("mass", float(structure.masses.sum()), f"{structure.masses.sum():,.1f} dalton"),
        _charge(structure.charges),
        fact("coordinates", structure.positions is not None),
        _cells(None if structure.cell is None else structure.cell[None]),
        *([fact("models", n_models)] if n_models else []),
    ]
    if structure.has_cross_terms is not None:
        facts.append(fact("CMAP terms", structure.has_cross_terms))
    return Description(path, kind, tuple(facts), structure.notes)


def _dcd_facts(layout: DcdLayout) -> list[Fact]:
    n_fixed = 0 if layout.free is None else layout.n_atoms - len(layout.free)
    order = {"<": "little-endian", ">": "big-endian"}[layout.order]
    program = f"CHARMM {layout.version}" if layout.version else "X-PLOR"
    dialect: dict[str, Any] = {
        "header": program,
        "byte_order": order,
        "marker_bytes": layout.marker_bytes,
        "unit_cell": layout.has_cell,
        "fourth_dimension": layout.has_fourth,
        "fixed_atoms": n_fixed,
    }
    extras = [
        *(["unit cells"] if layout.has_cell else []),
        *(["a fourth dimension"] if layout.has_fourth else []),
        *([f"{n_fixed} fixed atoms"] if n_fixed else []),
    ]
    text = ", ".join([f"{program} header", order, f"{8 * layout.marker_bytes}-bit markers", *extras])
    return [
        fact("dialect", dialect, text),
        Fact("titles", "\n".join(layout.titles) or "none", list(layout.titles)),
    ]


def _times(trajectory: Trajectory) -> Fact:
    if not trajectory.has_times:
        return Fact("times", "not in the file", None)
    times = trajectory.times_ps
    spacings = np.diff(times)
    value = {"first_ps": float(times[0]), "last_ps": float(times[-1]), "spacing_ps": None}
    text = f"{times[0]:.6g} to {times[-1]:.6g} ps"
    if len(spacings):
        usual = float(np.median(spacings))
        even = bool(np.allclose(spacings, usual, rtol=1e-3, atol=1e-6))
        value["spacing_ps"] = float(f"{usual:.6g}") if even else None
        uneven = f"unevenly, {spacings.min():.4g} to {spacings.max():.4g} ps apart"
        text += f", every {usual:.4g} ps" if even else f", {uneven}"
    return Fact("times", text, value)


def _steps(steps: NDArray[np.int64] | None) -> Fact:
    if steps is None:
        return Fact("MD steps", "not in the file", None)
    value = {"first": int(steps[0]), "last": int(steps[-1])}
    return Fact("MD steps", f"{steps[0]} to {steps[-1]}", value)


def _cells(cells: NDArray[np.float64] | None) -> Fact:
    if cells is None:
        return Fact("cell", "none", None)
    first, last = _cell(cells[0]), _cell(cells[-1])
    is_constant = bool((np.ptp(cells, axis=0) < _SAME_CELL).all())
    text = first if is_constant else f"{first} in the first frame, {last} in the last"
    return Fact("cell", text, {"first": cells[0].tolist(), "last": cells[-1].tolist()})


def _cell(cell: NDArray[np.float64]) -> str:
    sides, angles = (" x ".join(f"{value:.6g}" for value in part) for part in (cell[:3], cell[3:]))
    return f"{sides} A, {angles} deg"


def _names(label: str, names: NDArray[np.str_]) -> Fact:
    """How many atoms each segment or chain has."""
    found = Counter(name for name in names.tolist() if name)
    text = some(f"{name} ({number} atoms)" for name, number in found.items())
    return Fact(label, text or "none named", dict(found))


def _n_chains(chains: tuple[NDArray[np.int64], ...]) -> int:
    return sum(len(chain) > 0 for chain in chains)


def _charge(charges: NDArray[np.float64] | None) -> Fact:
    if charges is None:
        return Fact("charge", "not in the file", None)
    total = round(float(charges.sum()), 4) + 0.0
    return Fact("charge", f"{total:g} e", total)
