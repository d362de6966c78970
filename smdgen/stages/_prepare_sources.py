"""Trajectories that go into a dataset: looked at, matched to the modelled atoms, not yet read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.config import PrepareConfig
from smdgen.data.pull_labels import table_beside
from smdgen.data.structure import Structure, find_topology, match_atoms, read_structure, select_atoms, subset
from smdgen.data.trajectory import check_topology, open_trajectory
from smdgen.errors import ConfigError, TrajectoryError
from smdgen.files import checksum, require_regular_file
from smdgen.progress import Progress

_PDB_SUFFIXES = (".pdb", ".ent")


@dataclass(frozen=True)
class Source:
    """One trajectory, looked at but not yet read."""

    path: Path
    topology: Path
    atoms: NDArray[np.int64]  # (n_modelled,). Where the modelled atoms are in this trajectory
    n_topology_atoms: int
    n_frames: int
    chosen: NDArray[np.int64]  # (n,). Frames that are kept
    times_ps: NDArray[np.float64]  # (n,)
    steps: NDArray[np.int64] | None  # (n_frames,)
    salvage: bool
    notes: tuple[str, ...]


def look(
    config: PrepareConfig, progress: Progress | None
) -> tuple[Structure, NDArray[np.int64], tuple[Source, ...]]:
    """The first trajectory's topology, its modelled atoms, and every trajectory."""
    whole, selected = None, None
    known: dict[Path, tuple[Structure, NDArray[np.int64]]] = {}
    sources = []
    for path in config.trajectories:
        require_regular_file(path, "a trajectory", TrajectoryError)
        topology = config.topology or _topology_of(path)
        if topology not in known:
            found = read_structure(topology)
            if whole is None or selected is None:
                whole, selected = found, select_atoms(found, config.select)
                known[topology] = found, selected
            else:
                known[topology] = found, match_atoms(subset(whole, selected), found)
        found, atoms = known[topology]
        sources.append(_look_at(config, path, topology, found, atoms))
        if progress is not None:
            progress.advance()
    assert whole is not None
    assert selected is not None
    return whole, selected, tuple(sources)


def _topology_of(path: Path) -> Path:
    """The structure beside a trajectory; a PDB of many models names its atoms itself."""
    return path if path.suffix.lower() in _PDB_SUFFIXES else find_topology(path)


def _look_at(
    config: PrepareConfig, path: Path, topology: Path, structure: Structure, atoms: NDArray[np.int64]
) -> Source:
    with open_trajectory(path, structure.n_atoms, salvage=config.salvage) as trajectory:
        chosen = np.arange(0, trajectory.n_frames, config.stride)
        if len(chosen) < 2:
            stride = f" after --stride {config.stride}" if config.stride > 1 else ""
            raise TrajectoryError(
                f"{path} has {trajectory.n_frames} frame{'' if trajectory.n_frames == 1 else 's'}, expected "
                f"2 or more{stride}; a pull needs frames along the way"
            )
        try:
            odd = check_topology(trajectory, structure)
        except TrajectoryError as error:
            raise TrajectoryError(f"{path}: {error}") from error
        return Source(
            path=path,
            topology=topology,
            atoms=atoms,
            n_topology_atoms=structure.n_atoms,
            n_frames=trajectory.n_frames,
            chosen=chosen,
            times_ps=np.asarray(trajectory.times_ps, dtype=np.float64)[chosen],
            steps=trajectory.steps,
            salvage=config.salvage,
            notes=tuple(f"{path.name}: {note}" for note in (*trajectory.notes, *odd)),
        )


def hash_inputs(
    config: PrepareConfig, sources: Sequence[Source], progress: Progress
) -> dict[str, dict[str, Any]]:
    """Size and checksum of every file that is read, by the path the user gave."""
    paths = [source.path for source in sources]
    paths += [table for source in sources if (table := table_beside(source.path)).is_file()]
    paths += [*dict.fromkeys(source.topology for source in sources), *config.parameters]
    progress.start("checksums", total=len(paths))
    inputs = {}
    for path in paths:
        inputs[str(path)] = {"bytes": path.stat().st_size, "sha256": checksum(path)}
        progress.advance()
    return inputs


def refuse_twins(sources: Sequence[Source], inputs: dict[str, dict[str, Any]]) -> None:
    """The same pull under two names would be trained on and tested on."""
    seen: dict[str, Path] = {}
    for source in sources:
        found = inputs[str(source.path)]["sha256"]
        if found in seen:
            raise ConfigError(f"{seen[found]} and {source.path} hold the same bytes; leave one out")
        seen[found] = source.path
