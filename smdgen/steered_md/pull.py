"""One constant-velocity steered-MD pull with OpenMM: positions, CV, restraint centre and accumulated work."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.arrays import FloatArray
from smdgen.errors import SimulationError
from smdgen.steered_md.work import work_of_move
from smdgen.units import ANGSTROM_PER_NM, KJ_PER_KCAL, LARGEST_COORDINATE

_CENTRE = "smdgen_centre"
_SPRING = "smdgen_spring"
_ENERGY = f"0.5*{_SPRING}*({{distance}}-{_CENTRE})^2"

_EXPLODED = "coordinates became NaN or left the space around the molecule at {:.3f} ps"

#: Tolerance of the minimiser, kJ/mol/nm (OpenMM's default).
_MINIMISER_TOLERANCE = 10.0


@dataclass(frozen=True)
class PullProtocol:
    """How the restraint centre moves and how the dynamics run; all pulls of a set share it."""

    start_centre: float  # A
    end_centre: float  # A
    spring_constant: float  # kcal/mol/A^2, U = k/2 (d - centre)^2
    n_steps: int
    steps_per_frame: int  # divides n_steps
    steps_per_move: int  # divides steps_per_frame; the centre moves in steps of this many time steps
    timestep_ps: float
    temperature: float  # K
    friction_per_ps: float
    minimisation_steps: int
    equilibration_steps: int

    @property
    def n_frames(self) -> int:
        """Frames of a pull, the start included."""
        return self.n_steps // self.steps_per_frame + 1

    def centre_at(self, step: int) -> float:
        """Restraint centre after `step` time steps, A."""
        return self.start_centre + (self.end_centre - self.start_centre) * step / self.n_steps


@dataclass(frozen=True)
class PullRecord:
    """What one pull leaves behind, a row a frame."""

    positions: NDArray[np.float32]  # (n_frames, n_atoms, 3), A
    steps: NDArray[np.int64]  # (n_frames,)
    cv: FloatArray  # (n_frames,), A
    centre: FloatArray  # (n_frames,), A
    work: FloatArray  # (n_frames,), kcal/mol, accumulated since frame 0


@dataclass(frozen=True)
class PulledDistance:
    """The distance between the centres of mass of two groups of atoms."""

    first: tuple[int, ...]  # 0-based
    second: tuple[int, ...]
    first_masses: tuple[float, ...]  # dalton
    second_masses: tuple[float, ...]

    def value(self, positions: FloatArray) -> float:
        """Distance in the unit of `positions` (n_atoms, 3)."""
        one = np.average(positions[list(self.first)], axis=0, weights=self.first_masses)
        two = np.average(positions[list(self.second)], axis=0, weights=self.second_masses)
        return float(np.linalg.norm(two - one))


def add_restraint(system: Any, distance: PulledDistance) -> None:
    """Add the harmonic restraint on the distance to a system; `run_pull` sets its centre and strength.

    Args:
        system: The OpenMM System; changed in place.
        distance: The pulled groups, indices into the system's particles.
    """
    import openmm

    if len(distance.first) == len(distance.second) == 1:
        force = openmm.CustomBondForce(_ENERGY.format(distance="r"))
        force.addBond(distance.first[0], distance.second[0])
    else:
        force = openmm.CustomCentroidBondForce(2, _ENERGY.format(distance="distance(g1,g2)"))
        first = force.addGroup(list(distance.first), list(distance.first_masses))
        second = force.addGroup(list(distance.second), list(distance.second_masses))
        force.addBond([first, second], [])
    force.addGlobalParameter(_CENTRE, 0.0)
    force.addGlobalParameter(_SPRING, 0.0)
    force.setName("SmdgenRestraint")
    system.addForce(force)


def run_pull(
    system: Any,
    positions: FloatArray,
    distance: PulledDistance,
    protocol: PullProtocol,
    seed: int,
    platform: str,
    threads: int = 1,
    on_frame: Callable[[int], None] | None = None,
) -> PullRecord:
    """Minimise, draw velocities and pull once.

    Frame 0 is the minimised start. Then, every `steps_per_move` time steps, the centre jumps ahead on its
    straight line and the work of that jump is added, so row i holds the centre of that step and all work up
    to it.

    Args:
        system: OpenMM System with the restraint of `add_restraint`.
        positions: (n_atoms, 3), A. Start structure.
        distance: The pulled distance.
        protocol: The pull.
        seed: Of the velocities and of the Langevin noise; same seed, same pull, on one machine and platform.
        platform: OpenMM platform.
        threads: CPU platform only.
        on_frame: Called with the number of finished frames.

    Returns:
        The pull.

    Raises:
        SimulationError: Coordinates that are not finite, or an error of OpenMM; the message says when.
    """
    import openmm

    context = _context(system, protocol, seed, platform, threads)
    try:
        return _pull(context, positions, distance, protocol, seed, on_frame)
    except openmm.OpenMMException as error:
        raise SimulationError(f"OpenMM stopped: {error}") from error


def _pull(
    context: Any,
    positions: FloatArray,
    distance: PulledDistance,
    protocol: PullProtocol,
    seed: int,
    on_frame: Callable[[int], None] | None,
) -> PullRecord:
    _prepare(context, positions, protocol, seed)
    integrator = context.getIntegrator()
    here = _positions(context)
    centre, work = protocol.start_centre, 0.0
    frames = [_frame(here, 0.0)]
    rows = [(0, distance.value(here), centre, work)]
    for step in range(protocol.steps_per_move, protocol.n_steps + 1, protocol.steps_per_move):
        integrator.step(protocol.steps_per_move)
        here = _positions(context)
        value = distance.value(here)
        if not value < LARGEST_COORDINATE:  # NaN compares as false
            raise SimulationError(_EXPLODED.format(step * protocol.timestep_ps))
        moved = protocol.centre_at(step)
        work += work_of_move(value, centre, moved, protocol.spring_constant)
        centre = moved
        context.setParameter(_CENTRE, centre / ANGSTROM_PER_NM)
        if step % protocol.steps_per_frame == 0:
            frames.append(_frame(here, step * protocol.timestep_ps))
            rows.append((step, value, centre, work))
            if on_frame is not None:
                on_frame(len(frames))
    table = np.array(rows, dtype=np.float64)
    return PullRecord(np.stack(frames), table[:, 0].astype(np.int64), table[:, 1], table[:, 2], table[:, 3])


def _context(system: Any, protocol: PullProtocol, seed: int, platform: str, threads: int) -> Any:
    import openmm

    integrator = openmm.LangevinMiddleIntegrator(
        protocol.temperature, protocol.friction_per_ps, protocol.timestep_ps
    )
    integrator.setRandomNumberSeed(seed)
    properties = {"Threads": str(threads)} if platform == "CPU" else {}
    return openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform), properties)


def _prepare(context: Any, positions: FloatArray, protocol: PullProtocol, seed: int) -> None:
    """Minimise under the restraint, draw velocities, and equilibrate with the centre at its start."""
    import openmm

    context.setPositions(np.asarray(positions, dtype=np.float64) / ANGSTROM_PER_NM)
    context.setParameter(_SPRING, protocol.spring_constant * KJ_PER_KCAL * ANGSTROM_PER_NM**2)
    context.setParameter(_CENTRE, protocol.start_centre / ANGSTROM_PER_NM)
    if protocol.minimisation_steps:
        openmm.LocalEnergyMinimizer.minimize(context, _MINIMISER_TOLERANCE, protocol.minimisation_steps)
    context.setVelocitiesToTemperature(protocol.temperature, seed)
    if protocol.equilibration_steps:
        context.getIntegrator().step(protocol.equilibration_steps)


def _frame(positions: FloatArray, time_ps: float) -> NDArray[np.float32]:
    """Positions as they are stored, if they still are those of a molecule."""
    if not np.abs(positions).max() < LARGEST_COORDINATE:
        raise SimulationError(_EXPLODED.format(time_ps))
    return positions.astype(np.float32)


def _positions(context: Any) -> FloatArray:
    """Positions of the context, (n_atoms, 3), A."""
    found = context.getState(positions=True).getPositions(asNumpy=True)
    values: FloatArray = np.asarray(found._value, dtype=np.float64) * ANGSTROM_PER_NM
    return values


def divisor_at_most(n: int, limit: int) -> int:
    """The largest divisor of `n` not above `limit`."""
    return max(candidate for candidate in range(1, min(n, limit) + 1) if n % candidate == 0)
