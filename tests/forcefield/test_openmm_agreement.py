"""Bonded terms of a selection against OpenMM's own energies and forces, for every kind of input.

OpenMM builds the system from the file without our help; the terms that reach beyond the selection are
switched off in it; what is left must be what we have.
"""

from pathlib import Path

import numpy as np
import openmm
import pytest
import torch
from openmm import app, unit

from smdgen.forcefield.bonded_terms import Terms
from smdgen.forcefield.energy import BondedEnergies, BondedEnergy
from smdgen.forcefield.parametrise import structure_terms
from smdgen.forcefield.rebuild import backbone_atoms, rebuild
from smdgen.io.structures.molecules import molecules_of, take_molecules
from smdgen.io.structures.structure import Structure, read_structure, select_atoms
from tests.tools.amber import write_prmtop
from tests.tools.pulls import make_pull
from tests.tools.solvated import N_RESIDUES, PARAMETERS, write_solvated

#: What OpenMM calls each kind of term.
BONDED = ("HarmonicBondForce", "HarmonicAngleForce", "PeriodicTorsionForce", "CustomTorsionForce")
#: For OpenMM's reader, which takes every atom for hydrogen without.
MASSES = """* masses
*
MASS 1 N 14.007
MASS 2 CA 12.011
MASS 3 C 12.011
MASS 4 O 15.999
MASS 5 OT 15.999
MASS 6 HT 1.008
END
"""


def switched(system: openmm.System, selected: np.ndarray) -> dict[str, list[int]]:
    """Set the constants of terms with other atoms to 0; groups of the bonded forces by class."""
    inside = set(selected.tolist())
    groups: dict[str, list[int]] = {}
    for group, force in enumerate(system.getForces()):
        force.setForceGroup(group)
        name = type(force).__name__
        if name not in BONDED:
            continue
        groups.setdefault(name, []).append(group)
        n_atoms = 2 if name == BONDED[0] else 3 if name == BONDED[1] else 4
        kind = "Bond" if n_atoms == 2 else "Angle" if n_atoms == 3 else "Torsion"
        for term in range(getattr(force, f"getNum{kind}s")()):
            *rest, last = getattr(force, f"get{kind}Parameters")(term)
            if set(rest[:n_atoms]) <= inside:
                continue
            off = [0.0 * value for value in last] if name == BONDED[3] else 0.0 * last
            getattr(force, f"set{kind}Parameters")(term, *rest, off)
    return groups


def compare(system: openmm.System, x: np.ndarray, selected: np.ndarray, terms: Terms) -> BondedEnergies:
    """Assert equal energies by kind and equal forces; our energies."""
    groups = switched(system, selected)
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
    )
    context.setPositions(x / 10)
    wanted = {name: 0.0 for name in BONDED}
    for name, members in groups.items():
        state = context.getState(energy=True, groups=set(members))
        wanted[name] = state.getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole)
    every = {group for members in groups.values() for group in members}
    forces = context.getState(forces=True, groups=every).getForces(asNumpy=True)
    forces = forces.value_in_unit(unit.kilocalorie_per_mole / unit.angstrom)
    ours = torch.from_numpy(x[selected]).requires_grad_()
    found = BondedEnergy(terms, dtype=torch.float64).energy(ours)
    found.total().backward()
    found = BondedEnergies(*(energy.detach() for energy in found))
    assert float(found.bonds + found.urey_bradley) == pytest.approx(wanted[BONDED[0]], rel=1e-6)
    assert float(found.angles) == pytest.approx(wanted[BONDED[1]], rel=1e-6)
    assert float(found.torsions) == pytest.approx(wanted[BONDED[2]], rel=1e-6, abs=1e-9)
    assert float(found.impropers) == pytest.approx(wanted[BONDED[3]], rel=1e-6, abs=1e-9)
    np.testing.assert_allclose(-ours.grad.numpy(), forces[selected], atol=1e-4 * np.abs(forces).max())
    return found


def chains(structure: Structure, n_residues: int) -> np.ndarray:
    """(n_atoms, 3), A. Coordinates: strained chains where they are, other atoms anywhere."""
    random = np.random.default_rng(4)
    x = random.uniform(-20, 20, (structure.n_atoms, 3))
    backbone = select_atoms(structure, "resname ALA")
    x[backbone[: 4 * n_residues]] = make_pull(9, 3, n_residues)[4]
    x[backbone[4 * n_residues :]] = make_pull(9, 5, n_residues)[8] + 15.0
    return x + random.normal(0, 0.03, x.shape)


def test_psf_of_a_solvated_protein_of_two_segments(tmp_path: Path) -> None:
    file = write_solvated(tmp_path / "system.psf")
    (tmp_path / "all.prm").write_text(PARAMETERS)
    (tmp_path / "all.rtf").write_text(MASSES)
    parameters = app.CharmmParameterSet(str(tmp_path / "all.rtf"), str(tmp_path / "all.prm"))
    system = app.CharmmPsfFile(str(file)).createSystem(parameters, nonbondedMethod=app.NoCutoff)
    structure = read_structure(file)
    selected = select_atoms(structure, "name N CA C O and not (segname B and resid 1)")
    atoms = molecules_of(structure, selected)
    (tmp_path / "part").mkdir()
    part = take_molecules(structure, atoms, tmp_path / "part")
    terms, _ = structure_terms(part, np.searchsorted(atoms, selected), parameters=(tmp_path / "all.prm",))
    found = compare(system, chains(structure, N_RESIDUES), selected, terms)
    assert min(float(energy) for energy in found) > 0.01, "every kind of term is strained"


def test_prmtop_with_solvent(tmp_path: Path) -> None:
    file = write_prmtop(tmp_path / "system.prmtop")
    system = app.AmberPrmtopFile(str(file)).createSystem(nonbondedMethod=app.NoCutoff)
    structure = read_structure(file)
    selected = select_atoms(structure, "name N CA C O and resname ALA")[1:-1]
    terms, _ = structure_terms(structure, selected)
    found = compare(system, chains(structure, 4), selected, terms)
    assert min(float(found.bonds), float(found.angles), float(found.torsions)) > 0.01


def test_pdb_alone(tmp_path: Path) -> None:
    """All atoms with their hydrogens, as a PDB has them, through OpenMM's own reader and force field."""
    chain = read_structure(Path(__file__).parents[2] / "examples/deca_alanine/deca_alanine.pdb")
    bare = take_molecules(chain, np.arange(chain.n_atoms), tmp_path)
    whole = rebuild(bare, bare.positions, backbone_atoms(bare))
    positions = whole.positions + np.random.default_rng(1).normal(0, 0.03, whole.positions.shape)
    with (tmp_path / "protein.pdb").open("w") as stream:
        app.PDBFile.writeFile(whole.topology, positions * unit.angstrom, stream)
    pdb = app.PDBFile(str(tmp_path / "protein.pdb"))
    system = app.ForceField("charmm36.xml").createSystem(pdb.topology, nonbondedMethod=app.NoCutoff)
    structure = read_structure(tmp_path / "protein.pdb")
    selected = select_atoms(structure, "protein and name N CA C O")
    terms, notes = structure_terms(structure, selected)
    assert not any("PDBFixer" in note for note in notes)
    found = compare(system, structure.positions, selected, terms)
    assert min(float(energy) for energy in found[:4]) > 0.1
