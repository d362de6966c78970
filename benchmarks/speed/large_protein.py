"""A protein of 500 residues through all commands with their default settings: time, memory, what comes out.

    python -m benchmarks.speed.large_protein FOLDER
    python -m benchmarks.speed.large_protein FOLDER --residues 200 --pulls 12

The protein is an alpha solenoid: helices of 20 alanines joined by two turns in alternation, which makes a
chain of any length a compact superhelix. Its backbone moves by Langevin dynamics at 300 K in the bonded terms
of CHARMM36, held together by an elastic network between CA atoms, while a spring pulls its ends apart: real
bonds, angles and torsions and a fold that opens, for a minute of computing. Then the commands from `prepare`
to `analyze` run as a user would run them. What is finished in the folder is kept: the same command goes on.

Prints time and peak memory of each command and, of the result: the RMSD at which held-out frames come back
from the autoencoder, beside that to the nearest training frame; the RMSD of generated frames to the nearest
real one; their bonded energies as ratios to real ones; clashes.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.hairpin import backbone
from benchmarks.science.path_quality import report
from benchmarks.speed.stage_costs import RUN, run_commands
from smdgen.forcefield.bonded_terms import Terms
from smdgen.forcefield.parametrise import structure_terms
from smdgen.geometry.cvs import end_to_end
from smdgen.io.structures.structure import Structure, subset, write_pdb
from smdgen.steered_md.folder import pull_path, write_pull
from smdgen.steered_md.pull import PulledDistance, PullProtocol, add_restraint, run_pull
from smdgen.units import ANGSTROM_PER_NM, KJ_PER_KCAL

#: Degrees, phi and psi. The turns come from a random search for chains that are compact without clashes.
HELIX = [(-62.0, -43.0)] * 20
TURNS = (
    [(40.0, 43.0), (-115.0, 131.0), (-71.0, -48.0)],
    [(65.0, 30.0), (-128.0, 120.0), (-82.0, -5.0)],
)

#: Elastic network: CA atoms three or more residues apart and nearer than this are tied at their distance.
#: Source: M. M. Tirion, Phys. Rev. Lett. 77, 1905 (1996).
NEAR, STIFFNESS = 8.0, 1.0  # A, kcal/mol/A^2 (E = k/2 (r - r0)^2)

WAY = 0.25  # the ends are pulled apart by this share of their distance
SPRING = 10.0  # kcal/mol/A^2
DURATION_PS, TIMESTEP_PS = 20.0, 0.002


def main() -> int:
    """Make the pulls, run the commands, print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("folder", type=Path)
    options.add_argument("--residues", type=int, default=500)
    options.add_argument("--pulls", type=int, default=6)
    options.add_argument("--frames", type=int, default=41, help="of each pull")
    options.add_argument("--steps", type=int, default=10, help="of the rollout")
    chosen = options.parse_args()
    folder: Path = chosen.folder
    began = time.monotonic()
    make_pulls(folder, chosen.residues, chosen.pulls, chosen.frames)
    print(f"{chosen.pulls} pulls of {chosen.residues} residues: {time.monotonic() - began:.0f} s", flush=True)
    pulls = [pull_path(Path(), i) for i in range(chosen.pulls)]
    done = run_commands(
        folder,
        ("dataset.h5", ["prepare", *pulls, "--top", "chain.pdb"]),
        ("vae.safetensors", ["train-vae"]),
        ("lstm.safetensors", ["train-lstm"]),
        ("rollout", ["rollout", "--steps", chosen.steps, "--samples", 2, "--seed", 1]),
        ("analysis", ["analyze"]),
    )
    if done:
        report(folder / RUN)
    return int(not done)


def chain(n_residues: int) -> Structure:
    """N, CA, C and O of the solenoid."""
    unit = [*HELIX, *TURNS[0], *HELIX, *TURNS[1]]
    torsions = (unit * (n_residues // len(unit) + 1))[:n_residues]
    built = backbone(["ALA"] * n_residues, torsions)
    return subset(built, np.flatnonzero(built.names != "CB"))


def make_pulls(folder: Path, n_residues: int, n_pulls: int, n_frames: int) -> None:
    """`chain.pdb`, and `pull_000.dcd` and so on with their tables; pull i has seed 1 + i."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(n_pulls) if not pull_path(folder, i).exists()]
    if not missing:
        return
    structure = chain(n_residues)
    assert structure.positions is not None
    x = np.asarray(structure.positions, dtype=np.float64)
    write_pdb(folder / "chain.pdb", structure, x)
    terms, _ = structure_terms(structure, np.arange(structure.n_atoms), frames=x)
    system = elastic_system(structure, terms, x)
    cv = end_to_end(structure, np.arange(structure.n_atoms))
    distance = PulledDistance(cv.groups[0], cv.groups[1], cv.weights[0], cv.weights[1])
    add_restraint(system, distance)
    first, between = distance.value(x), round(DURATION_PS / TIMESTEP_PS / (n_frames - 1))
    protocol = PullProtocol(
        start_centre=first, end_centre=(1 + WAY) * first, spring_constant=SPRING,
        n_steps=between * (n_frames - 1), steps_per_frame=between, steps_per_move=between,
        timestep_ps=TIMESTEP_PS, temperature=300.0, friction_per_ps=5.0, minimisation_steps=500,
        equilibration_steps=2000,
    )  # fmt: skip
    for i in missing:
        record = run_pull(system, x, distance, protocol, 1 + i, "CPU")
        write_pull(folder, i, record, protocol, cv)


def elastic_system(structure: Structure, terms: Terms, x: NDArray[np.float64]) -> Any:
    """An OpenMM System of the modelled atoms: bonded terms and an elastic network between CA atoms."""
    import openmm

    system = openmm.System()
    for mass in structure.masses:
        system.addParticle(float(mass))
    bonds, angles, torsions = (
        openmm.HarmonicBondForce(), openmm.HarmonicAngleForce(), openmm.PeriodicTorsionForce()
    )  # fmt: skip
    impropers = openmm.CustomTorsionForce(
        f"k*min(dtheta, 2*pi-dtheta)^2; dtheta=abs(theta-theta0); pi={np.pi}"
    )
    for name in ("k", "theta0"):
        impropers.addPerTorsionParameter(name)
    stiff = 2 * KJ_PER_KCAL * ANGSTROM_PER_NM**2
    pairs = [*zip(terms.bonds, terms.bond_parameters, strict=True)]
    pairs += zip(terms.urey_bradley, terms.urey_bradley_parameters, strict=True)
    alphas = np.flatnonzero(structure.names == "CA")
    apart = np.linalg.norm(x[alphas, None] - x[alphas], axis=-1)
    near = np.argwhere(np.triu(apart < NEAR, 3))
    pairs += [(alphas[[i, j]], (STIFFNESS / 2, apart[i, j])) for i, j in near]
    for (i, j), (k, length) in pairs:
        bonds.addBond(int(i), int(j), length / ANGSTROM_PER_NM, stiff * k)
    for (i, j, k), (constant, angle) in zip(terms.angles, terms.angle_parameters, strict=True):
        angles.addAngle(int(i), int(j), int(k), angle, 2 * KJ_PER_KCAL * constant)
    for four, (constant, phase, n) in zip(terms.torsions, terms.torsion_parameters, strict=True):
        torsions.addTorsion(*map(int, four), round(n), phase, KJ_PER_KCAL * constant)
    for four, (constant, angle) in zip(terms.impropers, terms.improper_parameters, strict=True):
        impropers.addTorsion(*map(int, four), [KJ_PER_KCAL * constant, angle])
    for force in (bonds, angles, torsions, impropers):
        system.addForce(force)
    return system


if __name__ == "__main__":
    sys.exit(main())
