"""Make pulls of a structure with constant-velocity steered MD: a DCD and a table of CV and work each."""

import dataclasses
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.config import SimulateConfig
from smdgen.data.colvars import ColvarsTable, read_colvars_traj, write_colvars_input, write_colvars_traj
from smdgen.data.dcd import write_dcd
from smdgen.data.structure import (
    Structure,
    match_atoms,
    read_positions,
    read_structure,
    select_atoms,
    write_pdb,
)
from smdgen.errors import ArtifactError, ConfigError, SimulationError, TopologyError
from smdgen.files import atomic_path, sweep_temporaries
from smdgen.physics.cvs import CollectiveVariable, colvars_config, end_to_end, parse_cv, to_dict
from smdgen.physics.pulling import (
    SMALL_SYSTEM,
    PulledDistance,
    PullProtocol,
    PullRecord,
    add_restraint,
    choose_platform,
    divisor_at_most,
)
from smdgen.physics.replicas import PullJob, ReplicaEvents, run_replicas
from smdgen.physics.system import build_system
from smdgen.physics.work import jarzynski_profile
from smdgen.progress import Progress

PROTOCOL_FILE = "protocol.json"
BIAS_NAME = "pull"

#: The restraint centre jumps at least this often; the accumulated work is exact for any value.
_MAX_STEPS_PER_MOVE = 10


@dataclass(frozen=True)
class SimulatedPull:
    """One finished pull."""

    trajectory: Path
    final_cv: float  # A
    work: float  # kcal/mol, at the last frame


@dataclass(frozen=True)
class SimulateResult:
    """What the command shows at its end."""

    output: Path
    pulls: tuple[SimulatedPull, ...]  # all finished ones, earlier runs included
    n_made: int  # by this run
    failed: tuple[str, ...]  # a line each
    jarzynski: float | None  # kcal/mol over all pulls; None for a single one
    n_atoms: int
    platform: str
    ns_per_day: float | None  # of this run, all workers together


@dataclass(frozen=True)
class _Plan:
    """Everything settled before the first step."""

    structure: Structure
    job: PullJob
    cv: CollectiveVariable
    identity: dict[str, Any]
    notes: tuple[str, ...]


def run(config: SimulateConfig, run_dir: Path, progress: Progress) -> SimulateResult:  # noqa: ARG001
    """Make the pulls that the output folder does not have yet.

    Args:
        config: The settings.
        run_dir: Not used: pulls are the user's data and go to `config.output`.
        progress: Told of every frame.

    Returns:
        All pulls of the folder.

    Raises:
        ConfigError: A setting out of range, or a selection that matches nothing.
        TopologyError: A structure that cannot be read or that the force field does not describe.
        ArtifactError: The folder holds pulls of other settings and `force` is off.
        SimulationError: Some pulls failed; the others are finished and stay.
    """
    _check(config)
    progress.start("reading")
    plan = _plan(config)
    for note in plan.notes:
        progress.note(note)
    _prepare_folder(config, plan)
    missing = [i for i in range(config.replicas) if not _is_finished(config.output, i)]
    farm = _Farm(config, plan, progress, len(missing))
    if missing:
        n_kept = config.replicas - len(missing)
        if n_kept:
            progress.note(f"{n_kept} of {config.replicas} pulls are there already; {len(missing)} to make")
        progress.start("pulling", total=len(missing) * (plan.job.protocol.n_frames - 1))
        run_replicas(plan.job, missing, _workers(config, plan.job.platform, len(missing)), farm.events)
    return _result(config, plan, farm)


def _check(config: SimulateConfig) -> None:
    """Refuse settings that make no sense before anything is read."""
    above_zero = {
        "duration_ps": config.duration_ps,
        "spring_constant": config.spring_constant,
        "temperature": config.temperature,
        "friction_per_ps": config.friction_per_ps,
        "timestep_fs": config.timestep_fs,
    }
    for name, value in above_zero.items():
        if not (np.isfinite(value) and value > 0):
            raise ConfigError(f"{name} = {value}, expected a number above 0; change it")
    at_least = {"replicas": (config.replicas, 1), "frames": (config.frames, 2), "seed": (config.seed, 0)}
    at_least |= {"minimisation_steps": (config.minimisation_steps, 0), "workers": (config.workers, 0)}
    at_least |= {"threads": (config.threads, 0)}
    for name, (number, lowest) in at_least.items():
        if number < lowest:
            raise ConfigError(f"{name} = {number}, expected {lowest} or more; change it")
    if config.seed + config.replicas > 2**31 - 1:
        raise ConfigError(f"seed = {config.seed} is too large; seed + replicas must stay below 2147483647")
    if config.equilibration_ps < 0:
        raise ConfigError(f"equilibration_ps = {config.equilibration_ps}, expected 0 or more; change it")


def _plan(config: SimulateConfig) -> _Plan:
    structure = read_structure(config.structure)
    positions, notes = _start_positions(config, structure)
    cv = _pulled(config, structure)
    distance = PulledDistance(cv.groups[0], cv.groups[1], cv.weights[0], cv.weights[1])
    built = build_system(
        structure,
        config.parameters,
        config.forcefield,
        config.solvent,
        cmap=config.cmap,
        constraints=config.constraints,
    )
    add_restraint(built.system, distance)
    protocol = _protocol(config, distance.value(positions))
    platform = config.platform or choose_platform(
        structure.n_atoms, config.solvent != "vacuum", _platform_names()
    )
    identity = {
        "cv": to_dict(cv),
        "forces": [built.source, *built.notes, config.solvent, config.constraints],
        "atoms": structure.atom_hash,
        "seed": config.seed,
        **dataclasses.asdict(protocol),
    }
    job = PullJob(
        _to_xml(built.system),
        positions,
        distance,
        protocol,
        config.seed,
        platform,
        _threads(config, platform, structure.n_atoms),
    )
    return _Plan(structure, job, cv, identity, (*structure.notes, *notes, *built.notes))


def _start_positions(config: SimulateConfig, structure: Structure) -> tuple[NDArray[np.float64], list[str]]:
    """Start positions (n_atoms, 3), A: of `coordinates`, of the structure, or of a PDB of the same name."""
    source = config.coordinates
    notes = []
    if source is None and structure.positions is None:
        beside = Path(config.structure).with_suffix(".pdb")
        if not beside.is_file():
            raise TopologyError(
                f"{config.structure} has no coordinates; "
                "name a PDB, DCD, inpcrd or coor file after it, as in `smdgen simulate x.psf x.pdb`"
            )
        source = beside
        notes.append(f"coordinates from {beside.name}")
    if source is None:
        assert structure.positions is not None
        return np.asarray(structure.positions, dtype=np.float64), notes
    if source.suffix.lower() == ".pdb":
        found = read_structure(source)
        assert found.positions is not None
        return np.asarray(found.positions[match_atoms(structure, found)], dtype=np.float64), notes
    return np.asarray(read_positions(source, structure.n_atoms), dtype=np.float64), notes


def _pulled(config: SimulateConfig, structure: Structure) -> CollectiveVariable:
    """The pulled distance; its groups are indices into the structure."""
    every = np.arange(structure.n_atoms)
    if config.pulled:
        cv = parse_cv(config.pulled, structure, every, select_atoms)
        if cv.kind != "distance":
            raise ConfigError(
                f"--cv {config.pulled!r} is a {cv.kind}; only a distance(sel; sel) can be pulled"
            )
    else:
        protein = select_atoms(structure, "protein")
        found = end_to_end(structure, protein)
        groups = tuple(tuple(int(protein[atom]) for atom in group) for group in found.groups)
        cv = dataclasses.replace(found, groups=groups)
    shared = sorted(set(cv.groups[0]) & set(cv.groups[1]))
    if shared:
        raise ConfigError(
            f"the two groups of {config.pulled!r} share {len(shared)} atoms; choose groups to pull apart"
        )
    return cv


def _protocol(config: SimulateConfig, start_value: float) -> PullProtocol:
    timestep_ps = config.timestep_fs / 1000
    n_intervals = config.frames - 1
    steps_per_frame = max(1, round(config.duration_ps / timestep_ps / n_intervals))
    return PullProtocol(
        start_centre=start_value if config.start_centre is None else config.start_centre,
        end_centre=config.end_centre,
        spring_constant=config.spring_constant,
        n_steps=steps_per_frame * n_intervals,
        steps_per_frame=steps_per_frame,
        steps_per_move=divisor_at_most(steps_per_frame, _MAX_STEPS_PER_MOVE),
        timestep_ps=timestep_ps,
        temperature=config.temperature,
        friction_per_ps=config.friction_per_ps,
        minimisation_steps=config.minimisation_steps,
        equilibration_steps=round(config.equilibration_ps / timestep_ps),
    )


def _platform_names() -> list[str]:
    import openmm

    return [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]


def _to_xml(system: Any) -> str:
    import openmm

    return str(openmm.XmlSerializer.serialize(system))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _workers(config: SimulateConfig, platform: str, n_missing: int) -> int:
    """Parallel pulls: one a core, but one at a time on a GPU."""
    natural = _cores() if platform in ("Reference", "CPU") else 1
    return min(config.workers or natural, n_missing)


def _threads(config: SimulateConfig, platform: str, n_atoms: int) -> int:
    """Threads a pull; only the CPU platform uses more than one, and only for large systems."""
    if config.threads:
        return config.threads
    if platform != "CPU" or n_atoms < SMALL_SYSTEM:
        return 1
    return max(1, _cores() // _workers(config, platform, config.replicas))


def pull_path(output: Path, index: int) -> Path:
    """Trajectory of pull `index`."""
    return output / f"pull_{index:03d}.dcd"


def _table_path(output: Path, index: int) -> Path:
    return output / f"pull_{index:03d}.colvars.traj"


def _is_finished(output: Path, index: int) -> bool:
    """The trajectory is written last."""
    return pull_path(output, index).is_file() and _table_path(output, index).is_file()


def _prepare_folder(config: SimulateConfig, plan: _Plan) -> None:
    """Create the output folder, or check that its pulls are of these settings."""
    output = config.output
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"cannot create {output}: {error.strerror}; choose another --output") from error
    sweep_temporaries(output)
    text = json.dumps(plan.identity, indent=2) + "\n"
    file = output / PROTOCOL_FILE
    if file.is_file() and file.read_text(encoding="utf-8") != text:
        if not config.force:
            raise ArtifactError(
                f"{output} holds pulls of other settings (see {file}): {_difference(file, plan.identity)}; "
                "give the same settings to go on, another --output, or --force to start over"
            )
        for old in output.glob("pull_*"):
            old.unlink()
    with atomic_path(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
    suffix = Path(config.structure).suffix.lower()
    with atomic_path(output / f"topology{suffix}") as temporary:
        if suffix == ".pdb":
            write_pdb(temporary, plan.structure, plan.job.positions)
        else:
            shutil.copyfile(config.structure, temporary)


def _difference(file: Path, wanted: dict[str, Any]) -> str:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return "it cannot be read"
    changed = [key for key in wanted if found.get(key) != json.loads(json.dumps(wanted[key]))]
    return ", ".join(f"{key} was {found.get(key)}, is {wanted[key]}" for key in changed) or "keys differ"


class _Farm:
    """Writes pulls as they come in, and keeps count."""

    def __init__(self, config: SimulateConfig, plan: _Plan, progress: Progress, n_missing: int) -> None:
        self.made: list[int] = []
        self.failed: list[str] = []
        self.ns_per_day: float | None = None
        self._output, self._plan, self._progress = config.output, plan, progress
        self._n_frames = n_missing * (plan.job.protocol.n_frames - 1)
        self._seen = 0
        self._began = time.monotonic()
        self.events = ReplicaEvents(self._frame, self._done, self._failed)

    def _frame(self) -> None:
        self._seen += 1
        elapsed = time.monotonic() - self._began
        protocol = self._plan.job.protocol
        simulated_ns = self._seen * protocol.steps_per_frame * protocol.timestep_ps / 1000
        self.ns_per_day = simulated_ns / max(elapsed, 1e-9) * 86400
        left = (self._n_frames - self._seen) * elapsed / self._seen
        self._progress.advance(1, note=f"{self.ns_per_day:.0f} ns/day, {_clock(left)} left")

    def _done(self, index: int, record: PullRecord) -> None:
        write_pull(self._output, index, record, self._plan.job.protocol, self._plan.cv)
        self.made.append(index)

    def _failed(self, index: int, reason: str) -> None:
        line = f"pull {index} failed (seed {self._plan.job.seed + index}): {reason}"
        self.failed.append(line)
        self._progress.note(line)


def write_pull(
    output: Path, index: int, record: PullRecord, protocol: PullProtocol, cv: CollectiveVariable
) -> None:
    """Write the Colvars input, the table, then the trajectory of one pull; each is whole or absent."""
    columns = {cv.name: record.cv, f"x0_{cv.name}": record.centre, f"W_{BIAS_NAME}": record.work}
    numbers = np.arange(1, record.positions.shape[1] + 1)
    write_colvars_input(output / f"pull_{index:03d}.colvars.in", colvars_config(cv, numbers))
    write_colvars_traj(_table_path(output, index), ColvarsTable(record.steps, columns))
    write_dcd(
        pull_path(output, index),
        record.positions,
        timestep_ps=protocol.timestep_ps,
        steps_per_frame=protocol.steps_per_frame,
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"


def _result(config: SimulateConfig, plan: _Plan, farm: _Farm) -> SimulateResult:
    pulls = []
    for index in range(config.replicas):
        if _is_finished(config.output, index):
            table = read_colvars_traj(_table_path(config.output, index))
            work = table.columns[f"W_{BIAS_NAME}"][-1]
            pulls.append(
                SimulatedPull(
                    pull_path(config.output, index), float(table.columns[plan.cv.name][-1]), float(work)
                )
            )
    if farm.failed:
        raise SimulationError(
            f"{len(farm.failed)} of {config.replicas} pulls failed, {len(pulls)} are in {config.output}; "
            f"first: {farm.failed[0]}; try a smaller timestep_fs, a softer spring or another seed"
        )
    works = np.array([pull.work for pull in pulls])
    return SimulateResult(
        output=config.output,
        pulls=tuple(pulls),
        n_made=len(farm.made),
        failed=tuple(farm.failed),
        jarzynski=float(jarzynski_profile(works, config.temperature)) if len(works) > 1 else None,
        n_atoms=plan.structure.n_atoms,
        platform=plan.job.platform,
        ns_per_day=farm.ns_per_day,
    )
