"""Make pulls of a structure with constant-velocity steered MD: a DCD and a table of CV and work each."""

import math
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.config import SimulateConfig
from smdgen.errors import SimulationError
from smdgen.files import refuse_unwritable
from smdgen.io.tables.colvars import read_colvars_traj
from smdgen.progress import Progress
from smdgen.steered_md.folder import (
    BIAS_NAME,
    is_finished,
    prepare_folder,
    pull_path,
    table_path,
    write_pull,
    write_topology,
)
from smdgen.steered_md.plan import PullPlan, n_workers, plan_pulls
from smdgen.steered_md.pull import PullRecord
from smdgen.steered_md.replicas import ReplicaEvents, measured_rate, run_replicas
from smdgen.steered_md.work import jarzynski_profile
from smdgen.units import BOLTZMANN

#: kT. Where the work of pulls differs by more, the few lowest values decide the exponential average.
_WIDE_WORK = 3.0

#: Up to this many trajectories are listed one by one.
_FEW = 6


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
    parameters: tuple[Path, ...]
    forces: tuple[str, ...]  # force field and parameters, what is left out, solvent, constraints
    jarzynski: float | None  # kcal/mol over all pulls; None for a single one
    n_atoms: int
    platform: str
    ns_per_day: float | None  # of this run, all workers together
    kT: float = BOLTZMANN * 300.0

    @property
    def exit_code(self) -> int:
        """1 when pulls failed."""
        return 1 if self.failed else 0

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The trajectories, or their pattern when they are many."""
        files = tuple(pull.trajectory for pull in self.pulls)
        return (
            files if len(files) <= _FEW else (self.output / "pull_*.dcd", self.output / "pull_*.colvars.traj")
        )

    @property
    def hints(self) -> tuple[str, ...]:
        """The next command."""
        named = "".join(f" --params {shlex.quote(str(file))}" for file in self.parameters)
        return (f"smdgen prepare {self.output}/pull_*.dcd{named}",) if self.pulls else ()

    def summary(self) -> list[tuple[str, str]]:
        """Rows of the table shown at the end."""
        work = np.array([pull.work for pull in self.pulls])
        values = np.array([pull.final_cv for pull in self.pulls])
        rows = [
            ("pulls", f"{len(self.pulls)} ({self.n_made} made now) of {self.n_atoms} atoms"),
            ("forces", ", ".join(self.forces)),
            ("final value", _mean_and_spread(values, "A")),
            ("final work", _mean_and_spread(work, "kcal/mol")),
        ]
        if self.jarzynski is not None:
            rows.append(("Jarzynski", f"{self.jarzynski:.2f} kcal/mol at the end, spring included"))
        if self.ns_per_day is not None:
            rows.append(("speed", f"{self.ns_per_day:.0f} ns/day on {self.platform}"))
        if np.std(work) > _WIDE_WORK * self.kT:
            rows.append(
                (
                    "note",
                    f"the work differs by {np.std(work):.1f} kcal/mol between pulls "
                    f"({np.std(work) / self.kT:.0f} kT): few pulls carry the Jarzynski average, so do not "
                    "trust it; pull more slowly",
                )
            )
        return rows + [("failed", line) for line in self.failed]


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
        ArtifactError: The folder holds pulls of other settings and `force` is off, or pulls made otherwise.
        SimulationError: Every pull failed; single ones are reported in the result.
        KeyboardInterrupt: The user stopped it; finished pulls stay, and the message says how many.
    """
    refuse_unwritable(config.output, "give another --output")
    progress.start("reading")
    plan = plan_pulls(config)
    for note in plan.notes:
        progress.note(note)
    prepare_folder(config.output, plan.identity, config.force)
    write_topology(config.output, plan.structure, config.structure, plan.job.positions)
    missing = [i for i in range(config.replicas) if not is_finished(config.output, i)]
    farm = _Farm(config, plan, progress, len(missing))
    if missing:
        n_kept = config.replicas - len(missing)
        if n_kept:
            progress.note(f"{n_kept} of {config.replicas} pulls are there already; {len(missing)} to make")
        progress.start("pulling", total=len(missing) * (plan.job.protocol.n_frames - 1))
        try:
            n_processes = n_workers(config, plan.job.platform, len(missing))
            run_replicas(plan.job, missing, n_processes, farm.events, config.dask)
        except KeyboardInterrupt:
            n_kept += len(farm.made)
            raise KeyboardInterrupt(
                f"{n_kept} of {config.replicas} pulls are in {config.output}; the same command "
                + ("without --force " * config.force + "continues")
            ) from None
    return _result(config, plan, farm)


def plan(config: SimulateConfig, run_dir: Path) -> list[tuple[str, str]]:  # noqa: ARG001
    """What `--dry-run` shows: the system, the pull and the pulls that are missing."""
    planned = plan_pulls(config)
    job, every = planned.job, range(config.replicas)
    missing = [i for i in every if config.force or not is_finished(config.output, i)]
    protocol = job.protocol
    duration = protocol.n_steps * protocol.timestep_ps
    return [
        ("atoms", str(planned.structure.n_atoms)),
        ("forces", ", ".join(planned.identity["forces"])),
        ("pulled", f"{planned.cv.name}, atoms {job.distance.first} and {job.distance.second} (from 0)"),
        ("centre", f"{protocol.start_centre:.2f} to {protocol.end_centre:.2f} A in {duration:g} ps"),
        (
            "frames",
            f"{protocol.n_frames} a pull, every {protocol.steps_per_frame * protocol.timestep_ps:g} ps",
        ),
        (
            "platform",
            f"{job.platform}, {n_workers(config, job.platform, max(1, len(missing)))} pulls at a time",
        ),
        ("to make", f"{len(missing)} of {config.replicas} pulls in {config.output}"),
        ("estimate", _estimate(config, planned, len(missing))),
        *(("note", note) for note in planned.notes),
    ]


def _estimate(config: SimulateConfig, plan: PullPlan, n_missing: int) -> str:
    """Time and disk that the missing pulls take, from a few hundred steps of one of them."""
    job, protocol = plan.job, plan.job.protocol
    if not n_missing:
        return "nothing to make"
    try:
        steps_per_second = measured_rate(job)
    except SimulationError as error:
        return f"not known ({error})"
    processes = n_workers(config, job.platform, n_missing)
    seconds = math.ceil(n_missing / processes) * protocol.n_steps / steps_per_second
    megabytes = n_missing * protocol.n_frames * plan.structure.n_atoms * 12 / 1e6
    return (
        f"about {_clock(seconds)} at {steps_per_second:.0f} steps/s per pull (measured now on one), "
        f"{megabytes:.3g} MB"
    )


class _Farm:
    """Writes pulls as they come in, and keeps count."""

    def __init__(self, config: SimulateConfig, plan: PullPlan, progress: Progress, n_missing: int) -> None:
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


def _mean_and_spread(values: NDArray[np.float64], unit: str) -> str:
    spread = f" +- {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{spread} {unit}" if len(values) else "none"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"


def _result(config: SimulateConfig, plan: PullPlan, farm: _Farm) -> SimulateResult:
    pulls = []
    for index in range(config.replicas):
        if is_finished(config.output, index):
            table = read_colvars_traj(table_path(config.output, index))
            work = table.columns[f"W_{BIAS_NAME}"][-1]
            pulls.append(
                SimulatedPull(
                    pull_path(config.output, index), float(table.columns[plan.cv.name][-1]), float(work)
                )
            )
    if farm.failed and not pulls:
        raise SimulationError(
            f"all {len(farm.failed)} pulls failed; first: {farm.failed[0]}; "
            "try a smaller timestep_fs, a softer spring or another seed"
        )
    works = np.array([pull.work for pull in pulls])
    return SimulateResult(
        output=config.output,
        pulls=tuple(pulls),
        n_made=len(farm.made),
        failed=tuple(farm.failed),
        parameters=plan.parameters,
        forces=tuple(plan.identity["forces"]),
        jarzynski=float(jarzynski_profile(works, config.temperature)) if len(works) > 1 else None,
        n_atoms=plan.structure.n_atoms,
        platform=plan.job.platform,
        ns_per_day=farm.ns_per_day,
        kT=BOLTZMANN * config.temperature,
    )
