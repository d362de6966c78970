"""Bonded terms: the counts, constants and energies of the force fields they are read from."""

import dataclasses
from pathlib import Path

import numpy as np
import openmm
import pytest
import torch

from smdgen.errors import ConfigError, TopologyError
from smdgen.forcefield.bonded_terms import (
    Terms,
    bonded_terms,
    geometry_terms,
    make_terms,
    terms_from_arrays,
    terms_to_arrays,
)
from smdgen.forcefield.energy import BondedEnergy
from smdgen.forcefield.parametrise import structure_terms
from smdgen.forcefield.system import MolecularSystem, build_system
from smdgen.io.structures.structure import Structure, read_positions, read_structure, select_atoms

EXAMPLE = Path(__file__).parents[2] / "examples" / "deca_alanine"
TABLES = ("bonds", "angles", "torsions", "impropers", "urey_bradley")


@pytest.fixture(scope="module")
def deca() -> Structure:
    return read_structure(EXAMPLE / "deca_alanine.psf")


@pytest.fixture(scope="module")
def positions() -> np.ndarray:
    """The example's start, shaken so that every term is strained."""
    start = read_positions(EXAMPLE / "deca_alanine.pdb", 104)
    return start + np.random.default_rng(3).normal(0.0, 0.05, start.shape)


@pytest.fixture(scope="module")
def charmm36(deca: Structure) -> MolecularSystem:
    return build_system(deca, constraints="none")


def all_terms(built: MolecularSystem, indices: np.ndarray) -> Terms:
    return bonded_terms(built.system, [(a.index, b.index) for a, b in built.topology.bonds()], indices)


def openmm_energies(system: openmm.System, positions: np.ndarray) -> dict[str, float]:
    """kcal/mol by class of force."""
    for group, force in enumerate(system.getForces()):
        force.setForceGroup(group)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions / 10)
    found: dict[str, float] = {}
    for group, force in enumerate(system.getForces()):
        energy = context.getState(energy=True, groups={group}).getPotentialEnergy()._value / 4.184
        found[type(force).__name__] = found.get(type(force).__name__, 0.0) + energy
    return found


def counts(terms: Terms) -> list[int]:
    return [len(getattr(terms, name)) for name in TABLES]


def test_deca_alanine_has_the_terms_of_its_chemistry(deca, charmm36):
    """103 bonds, 183 angles; for the backbone 39, 47 and 9 impropers. Urey-Bradley terms are not bonds."""
    whole = all_terms(charmm36, np.arange(104))
    assert [len(whole.bonds), len(whole.angles)] == [103, 183]
    assert len(whole.urey_bradley) > 0
    backbone = all_terms(charmm36, select_atoms(deca, "name N CA C O"))
    assert [len(backbone.bonds), len(backbone.angles), len(backbone.impropers)] == [39, 47, 9]


def test_energies_are_openmm_s(charmm36, positions):
    terms = all_terms(charmm36, np.arange(104))
    ours = BondedEnergy(terms, dtype=torch.float64).energy(torch.from_numpy(positions))
    theirs = openmm_energies(charmm36.system, positions)
    pairs = ours.bonds + ours.urey_bradley
    assert pairs.item() == pytest.approx(theirs["HarmonicBondForce"], rel=1e-9)
    assert ours.angles.item() == pytest.approx(theirs["HarmonicAngleForce"], rel=1e-9)
    assert ours.torsions.item() == pytest.approx(theirs["PeriodicTorsionForce"], rel=1e-9)
    assert ours.impropers.item() == pytest.approx(theirs["CustomTorsionForce"], rel=1e-9)
    assert min(theirs["HarmonicBondForce"], theirs["CustomTorsionForce"]) > 1  # strained, so it tells


def test_the_order_of_the_modelled_atoms_does_not_matter(deca, charmm36, positions):
    backbone = select_atoms(deca, "name N CA C O")
    shuffled = np.random.default_rng(5).permutation(backbone)
    energies = []
    for indices in (backbone, shuffled):
        energy = BondedEnergy(all_terms(charmm36, indices), dtype=torch.float64)
        energies.append(energy.energy(torch.from_numpy(positions[indices])).total().item())
    assert energies[0] == pytest.approx(energies[1], rel=1e-12)


def test_terms_survive_a_store_of_arrays(charmm36):
    terms = dataclasses.replace(all_terms(charmm36, np.arange(104)), source="par_ä.prm")
    back = terms_from_arrays(terms_to_arrays(terms))
    assert back.source == terms.source
    for field in dataclasses.fields(terms):
        assert np.array_equal(getattr(back, field.name), getattr(terms, field.name))


def test_a_store_that_lacks_a_table_is_refused(charmm36):
    arrays = terms_to_arrays(all_terms(charmm36, np.arange(104)))
    del arrays["angles"]
    with pytest.raises(TopologyError, match="angles"):
        terms_from_arrays(arrays)
    with pytest.raises(TopologyError, match="bonds"):
        make_terms("", {"bonds": [[0, 1, 2]]})


def test_terms_of_strength_zero_and_of_no_periodicity_are_left_out():
    system = openmm.System()
    for _ in range(4):
        system.addParticle(12.0)
    torsions = openmm.PeriodicTorsionForce()
    torsions.addTorsion(0, 1, 2, 3, 2, 0.5, 4.184)
    torsions.addTorsion(0, 1, 2, 3, 3, 0.0, 0.0)
    torsions.addTorsion(0, 1, 2, 3, 0, 0.0, 5.0)
    system.addForce(torsions)
    terms = bonded_terms(system, [], np.arange(4))
    assert terms.torsion_parameters.tolist() == [[1.0, 0.5, 2.0]]


def test_an_unknown_bonded_force_is_refused_not_dropped():
    system = openmm.System()
    for _ in range(4):
        system.addParticle(12.0)
    system.addForce(openmm.RBTorsionForce())
    with pytest.raises(TopologyError, match="RBTorsionForce"):
        bonded_terms(system, [], np.arange(4))
    system.removeForce(0)
    system.addForce(openmm.CustomTorsionForce("k*cos(theta)"))
    with pytest.raises(TopologyError, match=r"k\*cos"):
        bonded_terms(system, [], np.arange(4))


def test_geometry_terms_rest_at_the_frame_and_feel_its_mirror_image(deca, positions):
    """Every bond, angle and improper is at rest in the frame; the mirror image strains the impropers."""
    start = read_positions(EXAMPLE / "deca_alanine.pdb", 104)
    heavy = np.flatnonzero(deca.elements != "H")
    place = {int(atom): i for i, atom in enumerate(heavy)}
    bonds = [(place[i], place[j]) for i, j in deca.bonds.tolist() if i in place and j in place]
    energy = BondedEnergy(geometry_terms(bonds, start[heavy]), dtype=torch.float64)
    at_rest = energy.energy(torch.from_numpy(start[heavy]))
    assert at_rest.total().item() == pytest.approx(0.0, abs=1e-12)
    mirrored = energy.energy(torch.from_numpy(start[heavy] * [1, 1, -1]))
    assert mirrored.bonds.item() == pytest.approx(0.0, abs=1e-12)
    assert mirrored.impropers.item() > 10
    assert energy.energy(torch.from_numpy(positions[heavy])).angles.item() > 1


def test_psf_and_parameter_file_give_the_constants_of_the_file(pull_files):
    structure = read_structure(pull_files.topology)
    terms, notes = structure_terms(
        structure, np.arange(structure.n_atoms), parameters=(pull_files.parameters,)
    )
    assert counts(terms) == [39, 47, 0, 0, 0]
    by_names = {
        tuple(sorted(structure.names[list(pair)])): parameters
        for pair, parameters in zip(terms.bonds, terms.bond_parameters.tolist(), strict=True)
    }
    assert by_names["CA", "N"] == pytest.approx([320.0, 1.430])
    assert by_names["C", "O"] == pytest.approx([620.0, 1.230])
    angle = dict(zip(map(tuple, structure.names[terms.angles].tolist()), terms.angle_parameters, strict=True))
    assert angle["N", "CA", "C"] == pytest.approx([50.0, np.deg2rad(107.0)])
    assert "backbone.prm" in terms.source
    assert not any("NO FORCE FIELD" in note for note in notes)


def test_heavy_atoms_are_not_taken_for_hydrogen(pull_files):
    """A parameter file without masses makes OpenMM call every atom H, and would make every bond rigid."""
    structure = read_structure(pull_files.topology)
    built = build_system(structure, (pull_files.parameters,), constraints="hbonds")
    assert built.system.getNumConstraints() == 0
    assert built.system.getParticleMass(1)._value == pytest.approx(12.011)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("C    O     620.0", "no bond parameters for (O-C|C-O)"),
        ("CA     0.0", "NONBONDED .* atom type CA of"),
    ],
)
def test_a_missing_parameter_is_named(pull_files, line, named):
    """A named file is never passed over for a weaker route."""
    text = pull_files.parameters.read_text()
    kept = [row for row in text.splitlines(keepends=True) if not row.startswith(line)]
    pull_files.parameters.write_text("".join(kept))
    structure = read_structure(pull_files.topology)
    with pytest.raises(TopologyError, match=named):
        structure_terms(
            structure,
            np.arange(structure.n_atoms),
            parameters=(pull_files.parameters,),
            frames=pull_files.positions[0],
        )


def test_a_parameter_file_that_is_none_is_refused(pull_files, tmp_path):
    structure = read_structure(pull_files.topology)
    with pytest.raises(ConfigError, match=r"missing\.prm"):
        build_system(structure, (tmp_path / "missing.prm",))
    with pytest.raises(ConfigError, match="belongs to a PSF"):
        build_system(dataclasses.replace(structure, path=None), (pull_files.parameters,))


def test_a_bare_backbone_gets_its_terms_from_a_rebuilt_structure(deca, charmm36):
    """N, CA, C, O and CB alone: PDBFixer adds the rest; inner residues keep their terms."""
    start = read_positions(EXAMPLE / "deca_alanine.pdb", 104)
    kept = select_atoms(deca, "name N CA C O CB")
    bare = dataclasses.replace(_part(deca, kept), path=None)
    terms, notes = structure_terms(bare, np.arange(len(kept)), frames=start[kept])
    assert "PDBFixer" in notes[0]
    backbone = np.flatnonzero(bare.names != "CB")
    inner = [i for i in backbone if 3 <= bare.residue_ids[i] <= 8]
    direct = all_terms(charmm36, kept)
    assert _constants(terms, inner) == _constants(direct, inner)


def test_without_any_force_field_the_geometry_is_used_and_said_loudly():
    atoms = Structure(
        names=np.array(["X1", "X2", "X3"]),
        residue_names=np.full(3, "UNK"),
        residue_ids=np.ones(3, dtype=np.int64),
        insertion_codes=np.full(3, ""),
        chain_ids=np.full(3, "A"),
        segment_ids=np.full(3, ""),
        elements=np.full(3, "C"),
        masses=np.full(3, 12.011),
        bonds=np.array([[0, 1], [1, 2]]),
    )
    frames = np.array([[0.0, 0, 0], [1.5, 0, 0], [1.5, 1.4, 0]])
    terms, notes = structure_terms(atoms, np.arange(3), frames=frames)
    assert terms.bond_parameters[:, 1].tolist() == pytest.approx([1.5, 1.4])
    assert terms.angle_parameters[0, 1] == pytest.approx(np.pi / 2)
    assert "NO FORCE FIELD FITS" in notes[0]
    with pytest.raises(TopologyError):
        structure_terms(atoms, np.arange(3))


def _part(structure: Structure, kept: np.ndarray) -> Structure:
    from smdgen.io.structures.structure import subset

    return subset(structure, kept)


def _constants(terms: Terms, inner: list[int]) -> dict[tuple[int, ...], list[float]]:
    """Constants of the bonds and angles among some atoms, by their atoms."""
    found = {}
    for rows, parameters in ((terms.bonds, terms.bond_parameters), (terms.angles, terms.angle_parameters)):
        for atoms, values in zip(rows.tolist(), parameters.tolist(), strict=True):
            if set(atoms) <= set(inner):
                key = min(tuple(atoms), tuple(reversed(atoms)))
                found[key] = [round(value, 6) for value in values]
    return found
