"""OpenMM systems: right forces, right constraints, and faster forms that change no energy."""

import dataclasses
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import app

from smdgen.errors import ConfigError, TopologyError
from smdgen.forcefield.nonbonded import add_obc2, fold_lennard_jones, forces_of
from smdgen.forcefield.system import build_system, openmm_topology
from smdgen.io.structures.structure import read_positions, read_structure

EXAMPLE = Path(__file__).parents[2] / "examples" / "deca_alanine"


@pytest.fixture(scope="module")
def deca():
    return read_structure(EXAMPLE / "deca_alanine.psf")


@pytest.fixture(scope="module")
def start():
    return read_positions(EXAMPLE / "deca_alanine.pdb", 104)


@pytest.fixture(scope="module")
def plain(deca):
    """What OpenMM builds by itself, with its own form of OBC2."""
    field = app.ForceField("charmm36.xml", "implicit/obc2.xml")
    return field.createSystem(openmm_topology(deca), nonbondedMethod=app.NoCutoff, constraints=app.HBonds)


def energy(system: openmm.System, positions: np.ndarray) -> float:
    """kcal/mol."""
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions / 10)
    return context.getState(energy=True).getPotentialEnergy()._value / 4.184


def kinds(system: openmm.System) -> list[str]:
    return [type(force).__name__ for force in system.getForces()]


def test_only_bonds_to_hydrogen_are_rigid_and_energies_are_openmm_s(deca, start, plain):
    """53 of 103 bonds; our forms of the Lennard-Jones and of the OBC2 forces give OpenMM's own energy."""
    structure = dataclasses.replace(deca, has_cross_terms=None)
    ours = build_system(structure, solvent="obc2")
    assert ours.system.getNumConstraints() == plain.getNumConstraints() == 53
    assert "CustomNonbondedForce" in kinds(plain)
    assert "CustomNonbondedForce" not in kinds(ours.system)
    assert "GBSAOBCForce" in kinds(ours.system)
    assert energy(ours.system, start) == pytest.approx(energy(plain, start), abs=1e-3)


def test_a_psf_without_cross_terms_has_no_cmap(deca):
    assert deca.has_cross_terms is False
    silent = build_system(deca)
    assert "CMAPTorsionForce" not in kinds(silent.system)
    assert any("cross-terms" in note for note in silent.notes)
    listed = build_system(dataclasses.replace(deca, has_cross_terms=True))
    assert "CMAPTorsionForce" in kinds(listed.system)
    switched_off = build_system(dataclasses.replace(deca, has_cross_terms=True), cmap=False)
    assert "CMAPTorsionForce" not in kinds(switched_off.system)


def tabulated_pair(nbfix: float = 1.0) -> openmm.System:
    """Three particles of two types as OpenMM's CHARMM reader writes them; `nbfix` scales the mixed pair."""
    sigma, epsilon = np.array([0.3, 0.4]), np.array([0.5, 0.2])
    mixed_sigma = (sigma[:, None] + sigma) / 2
    mixed_epsilon = np.sqrt(epsilon[:, None] * epsilon) * np.array([[1, nbfix], [nbfix, 1]])
    system, plain = openmm.System(), openmm.NonbondedForce()
    table = openmm.CustomNonbondedForce("acoef(type1, type2)/r^12 - bcoef(type1, type2)/r^6;")
    for name, power in (("acoef", 12), ("bcoef", 6)):
        values = (4 * mixed_epsilon * mixed_sigma**power).flatten()
        table.addTabulatedFunction(name, openmm.Discrete2DFunction(2, 2, values))
    table.addPerParticleParameter("type")
    for kind in (0, 1, 0):
        system.addParticle(12.0)
        table.addParticle([kind])
        plain.addParticle(0.1 * (kind + 1), 1.0, 0.0)
    table.addExclusion(0, 1)
    plain.addException(0, 1, 0.0, 1.0, 0.0)
    system.addForce(table)
    system.addForce(plain)
    return system


PLACES = np.array([[0.0, 0, 0], [3.1, 0, 0], [0.5, 3.9, 0]])


def test_the_table_is_folded_when_that_is_exact():
    system = tabulated_pair()
    before = energy(system, PLACES)
    assert fold_lennard_jones(system)
    assert kinds(system) == ["NonbondedForce"]
    assert energy(system, PLACES) == pytest.approx(before, rel=1e-10)


def test_a_pair_with_parameters_of_its_own_keeps_the_table():
    system = tabulated_pair(nbfix=1.01)
    before = energy(system, PLACES)
    assert not fold_lennard_jones(system)
    assert energy(system, PLACES) == pytest.approx(before, rel=1e-12)


def test_other_exclusions_keep_the_table():
    system = tabulated_pair()
    forces_of(system, "CustomNonbondedForce")[0].addExclusion(0, 2)
    assert not fold_lennard_jones(system)


def test_an_implicit_solvent_of_a_system_file_is_not_doubled(deca, start, plain, tmp_path):
    file = tmp_path / "system.xml"
    file.write_text(openmm.XmlSerializer.serialize(plain))
    built = build_system(deca, (file,), solvent="obc2", cmap=True)
    assert kinds(built.system).count("CustomGBForce") == 1
    assert not forces_of(built.system, "GBSAOBCForce")
    assert any("solvent of its own" in note for note in built.notes)


def test_a_system_file_of_another_molecule_is_refused(deca, tmp_path):
    file = tmp_path / "system.xml"
    file.write_text(openmm.XmlSerializer.serialize(tabulated_pair()))
    with pytest.raises(TopologyError, match="3 particles, the structure 104"):
        build_system(deca, (file,))
    file.write_text("<html>")
    with pytest.raises(ConfigError, match="not an OpenMM System XML"):
        build_system(deca, (file,))


def test_wrong_choices_are_refused(deca):
    with pytest.raises(ConfigError, match="solvent"):
        build_system(deca, solvent="water")
    with pytest.raises(ConfigError, match="constraints"):
        build_system(deca, constraints="all")
    with pytest.raises(ConfigError, match="charmm36, amber14"):
        build_system(deca, forcefield="charmm99")


def test_a_force_field_that_does_not_fit_says_which_residue(deca):
    with pytest.raises(TopologyError, match=r"amber14 does not fit.*ALA"):
        build_system(deca, forcefield="amber14")


def test_four_site_water_is_told_what_it_needs(deca):
    names, residues, elements = deca.names.copy(), deca.residue_names.copy(), deca.elements.copy()
    names[-1], residues[-1], elements[-1] = "MW", "SOL", ""
    water = dataclasses.replace(deca, names=names, residue_names=residues, elements=elements, path=None)
    with pytest.raises(TopologyError, match=r"MW is a massless site, as of 4-site water.* without the water"):
        build_system(water)


def test_residues_that_are_not_bonded_begin_a_new_chain(deca):
    """Two pieces in one chain must not be joined by a reader that goes by residue order."""
    cut = [pair for pair in deca.bonds.tolist() if {deca.residue_ids[i] for i in pair} != {5, 6}]
    pieces = dataclasses.replace(deca, bonds=np.array(cut))
    assert openmm_topology(deca, split_unbonded=True).getNumChains() == 1
    assert openmm_topology(pieces, split_unbonded=True).getNumChains() == 2
    assert openmm_topology(pieces).getNumChains() == 1


def test_obc2_radii_go_by_element_and_neighbour(deca):
    """mbondi2: 1.3 A for H on N, 1.2 A for other H; offsets are OpenMM's own business."""
    system = openmm.System()
    charges = openmm.NonbondedForce()
    for _ in range(104):
        system.addParticle(1.0)
        charges.addParticle(0.0, 1.0, 0.0)
    system.addForce(charges)
    add_obc2(system, openmm_topology(deca))
    (solvent,) = forces_of(system, "GBSAOBCForce")
    radii = {str(name): solvent.getParticleParameters(i)[1]._value for i, name in enumerate(deca.names)}
    assert radii["HN"] == pytest.approx(0.13)
    assert radii["HA"] == pytest.approx(0.12)
    assert radii["O"] == pytest.approx(0.15)
