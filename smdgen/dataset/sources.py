"""Trajectories that go into a dataset: looked at, matched to the modelled atoms, not yet read."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.config import PrepareConfig
from smdgen.errors import ConfigError, TrajectoryError
from smdgen.files import checksum, require_regular_file
from smdgen.forcefield.system import file_kind, require_forcefield
from smdgen.geometry.periodic import make_whole, plan_wholeness
from smdgen.io.structures.molecules import molecules_of
from smdgen.io.structures.selection import read_selections
from smdgen.io.structures.structure import (
    ONLY_STRUCTURE_SUFFIXES,
    Structure,
    find_topology,
    match_atoms,
    read_structure,
    select_atoms,
    subset,
)
from smdgen.io.tables.pull_labels import tables_beside
from smdgen.io.tables.sums import hold_to_sum, read_sums
from smdgen.io.trajectories.dcd import DcdFile, SoundDcd
from smdgen.io.trajectories.images import Images, Reach, first_images, plan_reach
from smdgen.io.trajectories.kept import KeptFrames, Scratch, Wanted, read_once
from smdgen.io.trajectories.trajectory import Readable, check_topology, looks_at, open_trajectory
from smdgen.notes import Note
from smdgen.progress import Progress
from smdgen.workers import in_order

#: Refuses modelled atoms, given the topology, their indices and its file.
Check = Callable[[PrepareConfig, Structure, NDArray[np.int64], Path], None]

_PDB_SUFFIXES = (".pdb", ".ent")

#: Frames from which geometry-only terms are measured, if it comes to that.
_TERM_FRAMES = 20


@dataclass(frozen=True)
class Source:
    """One trajectory, looked at; of a DCD, which is read where it lies, the frames are not yet read."""

    path: Path
    label: str  # its name in notes
    topology: Path
    atoms: NDArray[np.int64]  # (n_modelled,). Where the modelled atoms are in this trajectory
    reach: Reach  # the atoms that are read
    kept: KeptFrames | None  # its frames with those atoms; None for a DCD
    sample: NDArray[np.float32] | None  # (n, n_ff_atoms, 3), A. As of `_Candidate`
    first: NDArray[np.float32]  # (n_modelled, 3), A. The first frame
    images: Images  # of the first frame
    odd_images: dict[str, str]  # notes on it, by kind
    n_topology_atoms: int
    n_frames: int
    chosen: NDArray[np.int64]  # (n,). Frames that are kept
    times_ps: NDArray[np.float64]  # (n,)
    steps: NDArray[np.int64] | None  # (n_frames,)
    has_times: bool  # whether the times are the file's own
    tables: tuple[Path, ...]  # that hold its labels
    label_units: str | None
    salvage: bool
    sound: SoundDcd | None  # for a DCD
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Candidate:
    """A trajectory with its topology, to be looked at."""

    path: Path
    topology: Path
    structure: Structure
    reach: Reach  # as of `Source`
    sampled: NDArray[np.int64] | None  # (n_ff_atoms,). Whole molecules of the first trajectory, for the terms
    stride: int
    salvage: bool
    label_units: str | None
    label: str


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The fewest last parts of each path that no other path ends with: `path.dcd`, or `run2/path.dcd`."""
    parts = [path.absolute().parts for path in paths]
    names = []
    for own in parts:
        n = 1
        while n < len(own) and sum(other[-n:] == own[-n:] for other in parts) > 1:
            n += 1
        names.append("/".join(own[-n:]))
    return names


def with_topology(config: PrepareConfig) -> PrepareConfig:
    """A structure among the trajectories, as `vmd system.psf pull.dcd` has it, is the topology.

    Raises:
        ConfigError: It is not the only one, or a topology was named too.
    """
    found = [path for path in config.trajectories if path.suffix.lower() in ONLY_STRUCTURE_SUFFIXES]
    if not found:
        return config
    others = tuple(path for path in config.trajectories if path not in found)
    if config.topology is not None or len(found) > 1 or not others:
        named = config.topology or (found[1] if len(found) > 1 else "no trajectory")
        raise ConfigError(
            f"{found[0]} is a structure, expected a trajectory (found {named} too); name one topology with "
            "--top and trajectories without a flag"
        )
    return replace(config, trajectories=others, topology=found[0])


def check_settings(config: PrepareConfig) -> None:
    """Refuse settings that make no sense before anything is read.

    Raises:
        ConfigError: One is not there, or cannot be read.
    """
    if not config.trajectories:
        raise ConfigError("found no trajectory, expected at least one; name a DCD")
    for path in config.parameters:
        require_regular_file(path, "a parameter file", ConfigError)
    require_forcefield(config.forcefield)
    read_selections(config.cv, config.select)
    named = [os.path.realpath(path) for path in config.trajectories]
    for path in config.trajectories:
        if named.count(os.path.realpath(path)) > 1:
            raise ConfigError(f"{path} is named twice; name every trajectory once")


def inspect(
    config: PrepareConfig,
    progress: Progress | None,
    executor: Executor | None = None,
    check: Check | None = None,
) -> tuple[Structure, NDArray[np.int64], tuple[Source, ...]]:
    """The first trajectory's topology, its modelled atoms, checked first, and every trajectory."""
    known: dict[Path, tuple[Structure, Reach]] = {}
    sources, scratch = [], Scratch()
    work = partial(_inspect_one, scratch) if executor is None else _inspect_elsewhere
    for source in in_order(executor, work, _candidates(config, known, check)):
        if executor is not None and source.kept is not None:
            source = replace(source, kept=source.kept.in_file(scratch))
        sources.append(source)
        if progress is not None:
            progress.advance()
    whole, reach = next(iter(known.values()))
    return whole, reach.atoms[: reach.n_modelled], tuple(sources)


def _candidates(
    config: PrepareConfig, known: dict[Path, tuple[Structure, Reach]], check: Check | None
) -> Iterator[_Candidate]:
    """Every trajectory; fills in each topology with the atoms to read, the first trajectory's first."""
    for path, label in zip(config.trajectories, distinct_names(config.trajectories), strict=True):
        require_regular_file(path, "a trajectory", TrajectoryError)
        topology = config.topology or _topology_of(path)
        sampled = None
        if topology not in known:
            found = read_structure(topology)
            if known:
                whole, reach = next(iter(known.values()))
                model = subset(whole, reach.atoms[: reach.n_modelled])
                atoms = match_atoms(model, found)
            else:
                atoms = select_atoms(found, config.select)
                model = subset(found, atoms)
                if check is not None:
                    check(config, found, atoms, topology)
                sampled = atoms_of_force_field(config, found, atoms)
            known[topology] = found, plan_reach(found, atoms, model.bonds)
        structure, reach = known[topology]
        yield _Candidate(
            path,
            topology,
            structure,
            reach,
            sampled,
            config.stride,
            config.salvage,
            config.label_units,
            label,
        )


def atoms_of_force_field(
    config: PrepareConfig, whole: Structure, selected: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(n,). The molecules that are modelled in part; all, where the user's file describes all."""
    is_complete = file_kind(whole) == "prmtop" or any(p.suffix.lower() == ".xml" for p in config.parameters)
    return np.arange(whole.n_atoms) if is_complete else molecules_of(whole, selected)


def _topology_of(path: Path) -> Path:
    """The structure beside a trajectory; a PDB of many models names its atoms itself."""
    return path if path.suffix.lower() in _PDB_SUFFIXES else find_topology(path)


def _inspect_elsewhere(candidate: _Candidate) -> Source:
    """As `_inspect_one`, in another process, which cannot hand over its temporary file."""
    source = _inspect_one(Scratch(), candidate)
    return source if source.kept is None else replace(source, kept=source.kept.in_memory())


def _inspect_one(scratch: Scratch, candidate: _Candidate) -> Source:
    path, structure, stride = candidate.path, candidate.structure, candidate.stride
    with open_trajectory(path, structure.n_atoms, salvage=candidate.salvage, scan=False) as trajectory:
        chosen = np.arange(0, trajectory.n_frames, stride)
        if len(chosen) < 2:
            after = f" after --stride {stride}" if stride > 1 else ""
            advice = "a pull needs its intermediate frames"
            if path.suffix.lower() in _PDB_SUFFIXES:
                advice = "join the frames of one pull in order, as in `cat frame_*.pdb > pull.pdb`"
            raise TrajectoryError(
                f"{path} has {trajectory.n_frames} frame{'' if trajectory.n_frames == 1 else 's'}, expected "
                f"2 or more{after}; {advice}"
            )
        frames: DcdFile | KeptFrames
        if isinstance(trajectory, DcdFile):
            frames = trajectory
        else:
            few = [Wanted(looks_at(trajectory.n_frames), None)]
            if candidate.sampled is not None:
                few.append(Wanted(looks_at(trajectory.n_frames, _TERM_FRAMES), candidate.sampled))
            frames = read_once(trajectory, Wanted(chosen, candidate.reach.atoms), few, scratch)
        try:
            odd = check_topology(frames, structure)
        except TrajectoryError as error:
            raise TrajectoryError(f"{path}: {error}") from error
        first, images, apart = first_images(frames, candidate.reach, chosen)
        return Source(
            path=path,
            label=candidate.label,
            topology=candidate.topology,
            atoms=candidate.reach.atoms[: candidate.reach.n_modelled],
            reach=candidate.reach,
            kept=replace(frames, few=()) if isinstance(frames, KeptFrames) else None,
            sample=_sample(frames, structure, candidate.sampled),
            first=first,
            images=images,
            odd_images=apart,
            n_topology_atoms=structure.n_atoms,
            n_frames=trajectory.n_frames,
            chosen=chosen,
            times_ps=np.asarray(trajectory.times_ps, dtype=np.float64)[chosen],
            steps=trajectory.steps,
            has_times=trajectory.has_times,
            tables=tables_beside(path),
            label_units=candidate.label_units,
            salvage=candidate.salvage,
            sound=trajectory.sound if isinstance(trajectory, DcdFile) else None,
            notes=tuple(Note(note, candidate.label) for note in (*trajectory.notes, *odd)),
        )


def _sample(
    trajectory: Readable, whole: Structure, atoms: NDArray[np.int64] | None
) -> NDArray[np.float32] | None:
    """(n_frames, n, 3), A. Some frames of some whole molecules, each in one piece."""
    if atoms is None:
        return None
    frames = looks_at(trajectory.n_frames, _TERM_FRAMES)
    cells = None if trajectory.cells is None else trajectory.cells[frames]
    wholeness = plan_wholeness(len(atoms), subset(whole, atoms).bonds)
    return make_whole(trajectory.read(frames, atoms), wholeness, cells)[0]


def hash_inputs(
    config: PrepareConfig, sources: Sequence[Source], progress: Progress
) -> dict[str, dict[str, Any]]:
    """Size and checksum of every file that is read, by the path the user gave.

    Raises:
        ConfigError: Sums are expected, and a file is not among them.
        TrajectoryError: Sums are expected, and a file has another.
    """
    paths = [source.path for source in sources]
    paths += [table for source in sources for table in source.tables]
    paths += [*dict.fromkeys(source.topology for source in sources), *config.parameters]
    progress.start("checksums", total=len(paths))
    listed = None if config.expect_sha256 is None else read_sums(config.expect_sha256)
    inputs = {}
    for path in paths:
        if listed is None or config.expect_sha256 is None:
            found = checksum(path)
        else:
            found = hold_to_sum(path, listed, config.expect_sha256)
        inputs[str(path)] = {"bytes": path.stat().st_size, "sha256": found}
        progress.advance()
    return inputs


def refuse_duplicates(sources: Sequence[Source], inputs: dict[str, dict[str, Any]]) -> None:
    """The same pull under two names would be trained on and tested on."""
    seen: dict[str, Path] = {}
    for source in sources:
        found = inputs[str(source.path)]["sha256"]
        if found in seen:
            raise ConfigError(f"{seen[found]} and {source.path} hold the same bytes; leave one out")
        seen[found] = source.path
