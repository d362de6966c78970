"""What a file is read as, by the same path that `smdgen prepare` takes, and how far two readings differ."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.config import PrepareConfig
from smdgen.dataset.dataset import open_dataset
from smdgen.dataset.sources import inspect
from smdgen.geometry.periodic import make_whole, plan_wholeness
from smdgen.io.structures.atoms import Structure
from smdgen.io.structures.coordinate_checks import check_coordinates
from smdgen.io.structures.structure import subset
from smdgen.io.tables.colvars import read_colvars_traj
from smdgen.io.tables.pull_labels import LabelledFrames, read_labels
from smdgen.io.trajectories.trajectory import open_trajectory
from smdgen.store.artifacts import read_model
from smdgen.store.latents import read_latents
from tests.faults.originals import EXAMPLE, Originals

#: Coordinates further off than this are another content, A; less cannot be seen without a checksum.
TOLERANCE = 1.0

_TRAJECTORIES = ("dcd", "xtc", "netcdf", "h5", "models")


@dataclass(frozen=True)
class Content:
    """One file as it was read."""

    names: tuple[object, ...] = ()  # segment, residue, name of every atom
    bonds: tuple[object, ...] = ()
    arrays: dict[str, NDArray[np.floating]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_content(kind: str, path: Path, originals: Originals, salvage: bool = False) -> Content:
    """Read one file of a kind, with the sound originals for what goes with it.

    Raises:
        SmdgenError: It is refused.
    """
    if kind in _TRAJECTORIES:
        return _trajectory(path, originals.path("psf"), salvage)
    if kind in ("psf", "pdb"):
        return _topology(path, originals.path("dcd"))
    return {"table": _table, "store": _store, "latents": _latents, "model": _model}[kind](path)


def difference(one: Content, other: Content) -> str:
    """In words, empty for none: atoms, names, bonds, shapes, or values further apart than the tolerance."""
    if one.names != other.names:
        return f"names ({len(one.names)} and {len(other.names)} atoms)"
    if one.bonds != other.bonds:
        return f"bonds ({len(one.bonds)} and {len(other.bonds)})"
    for name in {**one.arrays, **other.arrays}:
        a, b = one.arrays.get(name), other.arrays.get(name)
        if a is None or b is None or a.shape != b.shape:
            return f"{name}: shape {a is not None and a.shape} and {b is not None and b.shape}"
        if not (np.abs(np.asarray(a, dtype=np.float64) - b) <= TOLERANCE).all():  # NaN compares as false
            return f"{name}: up to {np.abs(np.asarray(a, dtype=np.float64) - b).max():.3g}"
    return ""


def _trajectory(path: Path, topology: Path, salvage: bool) -> Content:
    config = PrepareConfig((path,), topology=topology, salvage=salvage)
    whole, _, (source,) = inspect(config, None)
    structure = subset(whole, source.atoms)
    with open_trajectory(path, whole.n_atoms, salvage) as trajectory:
        positions = trajectory.read(source.chosen, source.atoms)
        cells = None if trajectory.cells is None else trajectory.cells[source.chosen]
    notes = check_coordinates(positions, structure, cells)
    positions, _ = make_whole(positions, plan_wholeness(structure.n_atoms, structure.bonds), cells)
    return Content(arrays={"positions": positions}, notes=(*source.notes, *notes))


def _topology(path: Path, trajectory: Path) -> Content:
    whole, _, (source,) = inspect(PrepareConfig((trajectory,), topology=path), None)
    arrays = {} if whole.positions is None else {"positions": whole.positions}
    return Content(_names(whole), _bonds(whole), arrays, (*whole.notes, *source.notes))


def _table(path: Path) -> Content:
    """Centre and work as the frames get them; steps and CV of the frames are those of the sound table."""
    sound = read_colvars_traj(EXAMPLE / "pulls" / "pull_000.colvars.traj")
    every = np.arange(len(sound.steps))
    values = sound.columns["end_to_end"]
    frames = LabelledFrames(len(every), every, sound.steps, None, "end_to_end", "A", values)
    labels = read_labels((path,), frames)
    found = {"centre": labels.centre, "work": labels.work}
    return Content(arrays={name: a for name, a in found.items() if a is not None}, notes=labels.notes)


def _store(path: Path) -> Content:
    dataset = open_dataset(path)
    arrays = {"positions": dataset.positions(), "cv": dataset.cv_values, "times": dataset.times_ps}
    return Content(_names(dataset.structure), _bonds(dataset.structure), arrays)


def _latents(path: Path) -> Content:
    found = read_latents(path)
    return Content((found.vae_hash,), (), {"means": found.means})


def _model(path: Path) -> Content:
    tensors, manifest = read_model(path, "vae")
    return Content((str(manifest.header),), (), {name: tensor.numpy() for name, tensor in tensors.items()})


def _names(structure: Structure) -> tuple[object, ...]:
    columns = ("segment_ids", "chain_ids", "residue_ids", "insertion_codes", "residue_names", "names")
    return tuple(zip(*(getattr(structure, column).tolist() for column in columns), strict=True))


def _bonds(structure: Structure) -> tuple[object, ...]:
    return tuple(map(tuple, structure.bonds.tolist()))
