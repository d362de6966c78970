"""Which difference between NAMD's solvent model and ours makes the helix cheaper to open.

    python -m benchmarks.science.solvent_models [examples/deca_alanine/pulls]

The solvent's energy of frames of the shipped pulls is evaluated as `smdgen simulate` has it (the
electrostatics are checked against OpenMM) and with NAMD's differences one by one: the Born radius of
hydrogen on nitrogen, salt, the shift of all electrostatics at the cutoff, and a surface term of 0.005
kcal/mol/A^2 times the accessible area instead of OpenMM's estimate from the Born radii. A difference that
falls with the distance saves work; printed is how much, in kcal/mol, from the helix (CV 13.5 to 15.5 A) to
each later distance: the mean change of the energy, and the change of the free energy by perturbation. The
frames are from pulls, not from equilibrium, so the measures tell which difference matters, not the last
digit.

Source of NAMD's model: D. Tanner, K. Chan, J. Phillips, K. Schulten, J. Chem. Theory Comput. 7, 3635
(2011); the surface tension is the default of its user guide. NAMD takes the area from pair overlaps (LCPO),
here it is Shrake and Rupley's.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smdgen.forcefield.nonbonded import SOLVENT_DIELECTRIC, forces_of
from smdgen.forcefield.system import MolecularSystem, build_system
from smdgen.io.structures.structure import read_structure
from smdgen.io.tables.colvars import read_colvars_traj
from smdgen.io.trajectories.dcd import DcdFile
from smdgen.units import ANGSTROM_PER_NM, KJ_PER_KCAL

PULLS = Path(__file__).resolve().parents[2] / "examples" / "deca_alanine" / "pulls"
EVERY = 5  # frames
HELIX = (13.5, 15.5)  # A
COULOMB = 332.0637  # kcal A / (mol e^2)
KT = 0.59616  # kcal/mol, 300 K
OFFSET = 0.09  # A, between the radius of an atom and that used for its Born radius
ALPHA, BETA, GAMMA = 1.0, 0.8, 4.85  # of OBC II
FAR = 1e6  # A, in place of the distance of an atom to itself
DEBYE_PER_MOLAR = 0.10806  # 1/A^2 per mol/l at 300 K in water
FloatArray = NDArray[np.float64]


class Solvent(NamedTuple):
    """What the two programs do differently."""

    radius_of_polar_hydrogen: float = 1.3  # A; NAMD has 1.2 for all hydrogens
    dielectric: float = SOLVENT_DIELECTRIC
    salt: float = 0.0  # mol/l
    cutoff: float = np.inf  # A, of NAMD's shift (1 - r^2/rc^2)^2
    surface_tension: float = np.nan  # kcal/mol/A^2 of accessible area; NaN: OpenMM's estimate


MODELS = {
    "Born radius of H on N 1.2 A": Solvent(radius_of_polar_hydrogen=1.2),
    "salt 0.1 M, dielectric 80": Solvent(dielectric=80.0, salt=0.1),
    "shift at 16 A": Solvent(cutoff=16.0),
    "surface term by the area": Solvent(surface_tension=0.005),
    "all, as NAMD": Solvent(1.2, 80.0, 0.1, 16.0, 0.005),
}


class Molecule(NamedTuple):
    """Charges and Born parameters of one molecule, and the pairs without Coulomb energy."""

    charges: FloatArray  # (n,), e
    radii: FloatArray  # (n,), A
    scales: FloatArray  # (n,)
    coulomb: NDArray[np.bool_]  # (n, n): upper triangle, without bonded pairs


def read_molecule(built: MolecularSystem) -> Molecule:
    """The electrostatic parameters of an OpenMM system with OBC2."""
    (born,), (nonbonded,) = (forces_of(built.system, kind) for kind in ("GBSAOBCForce", "NonbondedForce"))
    rows = [born.getParticleParameters(i) for i in range(born.getNumParticles())]
    coulomb = np.triu(np.ones((len(rows), len(rows)), dtype=bool), 1)
    for k in range(nonbonded.getNumExceptions()):
        i, j, product = nonbonded.getExceptionParameters(k)[:3]
        if product._value == 0.0:
            coulomb[min(i, j), max(i, j)] = False
    values = np.array([[q._value, 10 * radius._value, scale] for q, radius, scale in rows])
    return Molecule(values[:, 0], values[:, 1], values[:, 2], coulomb)


def born_radii(r: FloatArray, radii: FloatArray, scales: FloatArray) -> FloatArray:
    """(n,), A: OBC II radii from the distances r (n, n), A, with `FAR` on the diagonal."""
    own = (radii - OFFSET)[:, None]
    other = ((radii - OFFSET) * scales)[None, :]
    low, high = np.maximum(own, np.abs(r - other)), r + other
    integral = 1 / low - 1 / high + 0.25 * (r - other**2 / r) * (1 / high**2 - 1 / low**2)
    integral += 0.5 * np.log(low / high) / r
    integral += np.where(own < other - r, 2 * (1 / own - 1 / low), 0.0)
    integral = np.where(own < high, integral, 0.0)
    psi = 0.5 * integral.sum(axis=1) * own[:, 0]
    return 1 / (1 / own[:, 0] - np.tanh(ALPHA * psi - BETA * psi**2 + GAMMA * psi**3) / radii)


def electrostatic_energy(x: FloatArray, molecule: Molecule, solvent: Solvent) -> float:
    """kcal/mol of one frame x (n, 3), A: Coulomb and polarisation, without the surface term."""
    radii = np.where(np.isclose(molecule.radii, 1.3), solvent.radius_of_polar_hydrogen, molecule.radii)
    q, n = molecule.charges, len(x)
    r = np.linalg.norm(x[:, None] - x[None, :], axis=-1)
    np.fill_diagonal(r, FAR)
    born = born_radii(r, radii, molecule.scales)
    shift = np.where(r < solvent.cutoff, (1 - (r / solvent.cutoff) ** 2) ** 2, 0.0)
    product = born[:, None] * born[None, :]
    kappa = np.sqrt(DEBYE_PER_MOLAR * solvent.salt)
    upper = np.triu(np.ones((n, n), dtype=bool), 1)
    f = np.sqrt(r[upper] ** 2 + product[upper] * np.exp(-(r[upper] ** 2) / (4 * product[upper])))
    charge = np.outer(q, q)
    pairs = -(charge[upper] / f) * (1 - np.exp(-kappa * f) / solvent.dielectric) * shift[upper]
    own = -0.5 * q**2 / born * (1 - np.exp(-kappa * born) / solvent.dielectric)
    coulomb = (charge / r * shift)[molecule.coulomb]
    return float(COULOMB * (pairs.sum() + own.sum() + coulomb.sum()))


def openmm_energies(x: FloatArray, built: MolecularSystem, surface: bool) -> FloatArray:
    """(n_frames,), kcal/mol: OpenMM's Coulomb and Born energy, with or without its surface term."""
    import openmm

    system = openmm.XmlSerializer.clone(built.system)
    for i in reversed(range(system.getNumForces())):
        if type(system.getForce(i)).__name__ not in ("GBSAOBCForce", "NonbondedForce"):
            system.removeForce(i)
    (born,), (nonbonded,) = (forces_of(system, kind) for kind in ("GBSAOBCForce", "NonbondedForce"))
    if not surface:
        born.setSurfaceAreaEnergy(0.0)
    for i in range(nonbonded.getNumParticles()):
        nonbonded.setParticleParameters(i, nonbonded.getParticleParameters(i)[0], 1.0, 0.0)
    for k in range(nonbonded.getNumExceptions()):
        i, j, product = nonbonded.getExceptionParameters(k)[:3]
        nonbonded.setExceptionParameters(k, i, j, product, 1.0, 0.0)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    energies = []
    for frame in x:
        context.setPositions(frame / ANGSTROM_PER_NM)
        energies.append(context.getState(energy=True).getPotentialEnergy()._value / KJ_PER_KCAL)
    return np.array(energies)


def accessible_area(x: FloatArray, built: MolecularSystem) -> FloatArray:
    """(n_frames,), A^2: solvent-accessible area, probe 1.4 A."""
    import mdtraj

    trajectory = mdtraj.Trajectory(x / ANGSTROM_PER_NM, mdtraj.Topology.from_openmm(built.topology))
    area: FloatArray = mdtraj.shrake_rupley(trajectory).sum(1) * ANGSTROM_PER_NM**2
    return area


def read_frames(folder: Path) -> tuple[FloatArray, FloatArray]:
    """Frames (n, n_atoms, 3) and their distances (n,), A."""
    x, cv = [], []
    for path in sorted(folder.glob("*.dcd")):
        with DcdFile(path) as trajectory:
            x.append(trajectory.read(slice(0, None, EVERY)))
        table = read_colvars_traj(path.with_suffix(".colvars.traj"))
        cv.append(next(iter(table.columns.values()))[::EVERY])
    return np.concatenate(x).astype(np.float64), np.concatenate(cv)


def free_energy(difference: FloatArray) -> float:
    """kcal/mol by perturbation, -kT ln <exp(-difference / kT)>."""
    least = difference.min()
    return float(least - KT * np.log(np.mean(np.exp(-(difference - least) / KT))))


def main(folder: Path = PULLS) -> int:
    """Print the table; returns the exit code."""
    built = build_system(read_structure(folder / "topology.psf"), solvent="obc2")
    molecule = read_molecule(built)
    x, cv = read_frames(folder)
    charges = openmm_energies(x, built, surface=False)
    ours = np.array([electrostatic_energy(frame, molecule, Solvent()) for frame in x])
    print(
        f"{len(x)} frames; electrostatics, ours - OpenMM: {np.abs(ours - charges).max():.1e} kcal/mol at most"
    )
    surface, area = openmm_energies(x, built, surface=True) - charges, accessible_area(x, built)
    helix = (cv >= HELIX[0]) & (cv < HELIX[1])
    distances = (18, 20, 22, 24, 28)
    print("change of the cost of opening, mean energy / free energy, kcal/mol")
    print(f"{'':30}" + "".join(f"{f'{d} A':>15}" for d in distances))
    for name, solvent in MODELS.items():
        change = np.array([electrostatic_energy(frame, molecule, solvent) for frame in x]) - ours
        if np.isfinite(solvent.surface_tension):
            change += solvent.surface_tension * area - surface
        cells = []
        for d in distances:
            here = np.abs(cv - d) < 1
            mean = change[here].mean() - change[helix].mean()
            cells.append(f"{mean:+.2f} / {free_energy(change[here]) - free_energy(change[helix]):+.2f}")
        print(f"{name:30}" + "".join(f"{cell:>15}" for cell in cells))
    return 0


if __name__ == "__main__":
    sys.exit(main(*(Path(word) for word in sys.argv[1:])))
