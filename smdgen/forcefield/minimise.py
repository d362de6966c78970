"""Minimise frames in a full force field, with a harmonic tie to where their atoms were."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import SimulationError
from smdgen.forcefield.platforms import SMALL_SYSTEM, choose_platform
from smdgen.units import ANGSTROM_PER_NM, KJ_PER_KCAL

#: Spring between each generated atom and its place, kcal/mol/A^2, E = K/2 |x - x0|^2.
TIE = 5.0

#: Root mean square force at which a frame counts as minimised (kJ/mol/nm), and most iterations.
_FORCE_TOLERANCE, _MOST_ITERATIONS = 1.0, 2000

_TIE_GROUP = 31

_NO_ENERGY = (
    "frame {} cannot be relaxed: its energy is not a number, so atoms overlap; "
    "generate the pulls with another --seed"
)


@dataclass(frozen=True)
class Relaxed:
    """Frames after minimisation.

    Attributes:
        positions: (n_frames, n_atoms, 3), A.
        before: (n_frames,), kcal/mol. Energy of the force field before, the tie left out.
        after: (n_frames,), kcal/mol. The same after.
        moved: (n_frames, n_tied), A. How far each tied atom moved.
    """

    positions: NDArray[np.float32]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    moved: NDArray[np.float64]


def relax(
    system: Any,
    frames: NDArray[np.floating],
    tied: NDArray[np.int64],
    advance: Callable[[], None] = lambda: None,
) -> Relaxed:
    """Minimise each frame by itself.

    Args:
        system: OpenMM System of all atoms, without constraints; a force is added to it.
        frames: (n_frames, n_atoms, 3), A.
        tied: (n_tied,). Atoms that are tied to their place, 0-based.
        advance: Called after each frame.

    Raises:
        SimulationError: A frame's energy is no number.
    """
    import openmm

    context = _context(system, tied)
    positions, before, after = np.empty(frames.shape, dtype=np.float32), [], []
    for i, frame in enumerate(np.asarray(frames, dtype=np.float64)):
        try:
            _tie_to(context, frame, tied)
            context.setPositions(frame / ANGSTROM_PER_NM)
            before.append(_energy(context))
            openmm.LocalEnergyMinimizer.minimize(context, _FORCE_TOLERANCE, _MOST_ITERATIONS)
            after.append(_energy(context))
        except openmm.OpenMMException as error:
            raise SimulationError(_NO_ENERGY.format(i)) from error
        positions[i] = context.getState(getPositions=True).getPositions(asNumpy=True)._value * ANGSTROM_PER_NM
        if not (np.isfinite(after[-1]) and np.isfinite(positions[i]).all()):
            raise SimulationError(_NO_ENERGY.format(i))
        advance()
    moved = np.linalg.norm(positions[:, tied] - np.asarray(frames)[:, tied], axis=-1)
    return Relaxed(positions, np.array(before), np.array(after), moved)


def _context(system: Any, tied: NDArray[np.int64]) -> Any:
    import openmm

    tie = openmm.CustomExternalForce("k / 2 * ((x - x0)^2 + (y - y0)^2 + (z - z0)^2)")
    tie.addGlobalParameter("k", TIE * KJ_PER_KCAL * ANGSTROM_PER_NM**2)
    for name in ("x0", "y0", "z0"):
        tie.addPerParticleParameter(name)
    for atom in tied.tolist():
        tie.addParticle(atom, (0.0, 0.0, 0.0))
    for force in system.getForces():
        force.setForceGroup(0)
    tie.setForceGroup(_TIE_GROUP)
    system.addForce(tie)
    names = [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]
    name = choose_platform(system.getNumParticles(), True, names)
    properties = {"DeterministicForces": "true"} if name == "CPU" else {}
    if name == "CPU" and system.getNumParticles() < SMALL_SYSTEM:
        properties["Threads"] = "1"
    integrator = openmm.VerletIntegrator(0.001)
    return openmm.Context(system, integrator, openmm.Platform.getPlatformByName(name), properties)


def _tie_to(context: Any, frame: NDArray[np.float64], tied: NDArray[np.int64]) -> None:
    system = context.getSystem()
    tie = system.getForce(system.getNumForces() - 1)
    for i, atom in enumerate(tied.tolist()):
        tie.setParticleParameters(i, atom, (frame[atom] / ANGSTROM_PER_NM).tolist())
    tie.updateParametersInContext(context)


def _energy(context: Any) -> float:
    """kcal/mol, without the tie."""
    state = context.getState(getEnergy=True, groups={0})
    return float(state.getPotentialEnergy()._value) / KJ_PER_KCAL
