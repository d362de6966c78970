"""A 16-residue beta hairpin, built from its sequence: hairpin.pdb, all atoms, at 300 K.

    python -m benchmarks.quality.hairpin FOLDER

The sequence is that of A. J. Maynard, G. J. Sharman and M. S. Searle, J. Am. Chem. Soc. 120, 1996 (1998):
two strands about the turn NG. The backbone is laid down from ideal torsions (strands, and a type I' turn),
PDBFixer adds the side chains and hydrogens, and CHARMM36 with OBC2 does the rest: minimised and warmed while
springs hold the hydrogen bonds of the ladder, then let go.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from examples.deca_alanine.build import MASSES, Vector, place
from smdgen.forcefield.rebuild import rebuild
from smdgen.forcefield.system import build_system
from smdgen.io.structures.structure import Structure, read_structure, write_pdb
from smdgen.units import ANGSTROM_PER_NM, KJ_PER_KCAL

SEQUENCE = "LYS LYS TYR THR VAL SER ILE ASN GLY LYS LYS ILE THR VAL SER ILE".split()

#: Degrees. Source: B. L. Sibanda and J. M. Thornton, Nature 316, 170 (1985) for the turn of type I'.
STRAND, TURN = (-115.0, 135.0), ((55.0, 38.0), (78.0, 20.0))
FIRST_OF_TURN = 7  # from 0

#: Residues, from 0, whose CO and NH meet on both sides.
LADDER = ((6, 9), (4, 11), (2, 13), (0, 15))
BONDED = 2.9  # A, between N and O

BONDS = (("N", "CA"), ("CA", "C"), ("C", "O"), ("CA", "CB"))

HELD_PS, FREE_PS = 20.0, 20.0
SPRINGS = (0.1, 1.0, 5.0)  # kcal/mol/A^2, one after the other
SEED = 1


#: Degrees, phi and psi of every residue.
TORSIONS = [STRAND] * FIRST_OF_TURN + [*TURN] + [STRAND] * (len(SEQUENCE) - FIRST_OF_TURN - len(TURN))


def placed(sequence: Sequence[str], torsions: Sequence[tuple[float, float]]) -> list[tuple[int, str, Vector]]:
    """Residue (from 0), name and place (A) of N, CA, C, O and CB of every residue; glycine has no CB."""
    chain = [np.array([0.0, 0.0, 0.0]), np.array([1.46, 0.0, 0.0]), np.array([2.01, 1.42, 0.0])]
    atoms = []
    for i, (name, (_, psi)) in enumerate(zip(sequence, torsions, strict=True)):
        n, ca, c = chain[-3:]
        following = place(n, ca, c, 1.33, 116.5, psi)
        atoms += [
            (i, "N", n),
            (i, "CA", ca),
            (i, "C", c),
            (i, "O", place(following, ca, c, 1.23, 121.0, 180.0)),
        ]
        if name != "GLY":
            atoms.append((i, "CB", place(n, c, ca, 1.54, 110.5, 122.5)))
        chain.append(following)
        chain.append(place(*chain[-3:], 1.46, 121.5, 180.0))
        chain.append(place(*chain[-3:], 1.53, 111.0, torsions[(i + 1) % len(torsions)][0]))
    return atoms


def backbone(
    sequence: Sequence[str] = SEQUENCE, torsions: Sequence[tuple[float, float]] = TORSIONS
) -> Structure:
    """N, CA, C, O and CB of a chain with these torsions (phi and psi, degrees) as a structure."""
    atoms = placed(sequence, torsions)
    index = {(i, name): k for k, (i, name, _) in enumerate(atoms)}
    pairs = [((i, a), (i, b)) for i in range(len(sequence)) for a, b in BONDS]
    pairs += [((i, "C"), (i + 1, "N")) for i in range(len(sequence) - 1)]
    elements = [name[0] for _, name, _ in atoms]
    return Structure(
        names=np.array([name for _, name, _ in atoms]),
        residue_names=np.array([sequence[i] for i, _, _ in atoms]),
        residue_ids=np.array([i + 1 for i, _, _ in atoms]),
        insertion_codes=np.full(len(atoms), ""),
        chain_ids=np.full(len(atoms), "A"),
        segment_ids=np.full(len(atoms), ""),
        elements=np.array(elements),
        masses=np.array([MASSES[element] for element in elements]),
        bonds=np.array(sorted((index[a], index[b]) for a, b in pairs if a in index and b in index)),
        positions=np.array([point for _, _, point in atoms]),
    )


def complete(path: Path) -> Structure:
    """All atoms, side chains and hydrogens included, before any force acts; `path` is where they are kept."""
    from openmm import app, unit

    bare = backbone()
    assert bare.positions is not None
    rebuilt = rebuild(bare, np.asarray(bare.positions), list(range(bare.n_atoms)))
    with path.open("w", encoding="utf-8") as stream:
        app.PDBFile.writeFile(rebuilt.topology, rebuilt.positions * unit.angstrom, stream, keepIds=True)
    return read_structure(path)


def ladder(structure: Structure) -> list[tuple[int, int]]:
    """N and O of every hydrogen bond of the ladder, both ways where both residues have them."""
    place_of = {
        (int(residue) - 1, str(name)): i
        for i, (residue, name) in enumerate(zip(structure.residue_ids, structure.names, strict=True))
    }
    return [(place_of[i, "N"], place_of[j, "O"]) for a, b in LADDER for i, j in ((a, b), (b, a))]


def relax(structure: Structure) -> NDArray[np.float64]:
    """(n_atoms, 3), A. Minimised and warmed with the ladder held, then let go, then minimised a little."""
    import openmm
    from openmm import unit

    built = build_system(structure, solvent="obc2")
    springs = openmm.CustomBondForce(f"0.5 * pull * max(0, r - {BONDED / ANGSTROM_PER_NM})^2")
    springs.addGlobalParameter("pull", 0.0)
    for n, o in ladder(structure):
        springs.addBond(n, o)
    built.system.addForce(springs)
    integrator = openmm.LangevinMiddleIntegrator(300.0, 5.0, 0.002)
    integrator.setRandomNumberSeed(SEED)
    platform = openmm.Platform.getPlatformByName("CPU")
    context = openmm.Context(built.system, integrator, platform, {"Threads": "1"})
    assert structure.positions is not None
    context.setPositions(np.asarray(structure.positions) / ANGSTROM_PER_NM)
    openmm.LocalEnergyMinimizer.minimize(context, 10.0, 500)
    for strength in SPRINGS:
        context.setParameter("pull", strength * KJ_PER_KCAL * ANGSTROM_PER_NM**2)
        openmm.LocalEnergyMinimizer.minimize(context, 10.0, 1000)
    context.setVelocitiesToTemperature(300.0, SEED)
    integrator.step(round(HELD_PS / 0.002))
    context.setParameter("pull", 0.0)
    integrator.step(round(FREE_PS / 0.002))
    found = context.getState(positions=True).getPositions(asNumpy=True)
    positions: NDArray[np.float64] = np.asarray(found.value_in_unit(unit.angstrom), dtype=np.float64)
    return positions - positions.mean(axis=0)


def main(folder: Path) -> None:
    """Write hairpin.pdb, and say how much of the ladder has stayed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "hairpin.pdb"
    structure = complete(path)
    positions = relax(structure)
    write_pdb(path, structure, positions)
    pairs = np.array(ladder(structure))
    apart = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    print(f"{path}: {structure.n_atoms} atoms; N to O of the ladder {np.round(apart, 2).tolist()} A")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent))
