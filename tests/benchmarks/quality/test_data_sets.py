"""The data sets of the quality benchmark: their one command, and the hairpin that one starts from."""

from types import SimpleNamespace

import mdtraj
import numpy as np
import pytest

from benchmarks.quality import data_sets, hairpin
from smdgen.dataset.dataset import open_dataset
from smdgen.io.structures.selection import select_atoms
from smdgen.io.structures.structure import read_structure


@pytest.fixture(scope="module")
def shipped():
    return mdtraj.load(str(data_sets.HERE / "hairpin.pdb"))


def side(x, atoms, centre, others):
    """Sign of the volume that three neighbours of a centre span."""
    return np.sign(np.linalg.det([x[atoms[name]] - x[atoms[centre]] for name in others]))


def test_the_hairpin_has_two_strands_and_a_turn(shipped):
    letters = "".join(mdtraj.compute_dssp(shipped)[0])
    assert letters[1:7].count("E") >= 5
    assert letters[9:15].count("E") >= 5
    assert "E" not in letters[7:9]
    assert [residue.name for residue in shipped.topology.residues] == hairpin.SEQUENCE


def test_every_centre_of_the_hairpin_has_the_natural_hand(shipped):
    """L at CA; (3S)-isoleucine and (3R)-threonine at CB."""
    for residue in shipped.topology.residues:
        atoms, x = {atom.name: atom.index for atom in residue.atoms}, shipped.xyz[0]
        if residue.name != "GLY":
            assert side(x, atoms, "CA", ("N", "C", "CB")) == 1, residue
        branches = {"ILE": ("CA", "CG1", "CG2"), "THR": ("CA", "OG1", "CG2")}
        if residue.name in branches:
            assert side(x, atoms, "CB", branches[residue.name]) == 1, residue


def test_the_backbone_is_laid_down_with_its_torsions(tmp_path):
    from smdgen.io.structures.structure import write_pdb

    write_pdb(tmp_path / "backbone.pdb", hairpin.backbone())
    built = mdtraj.load(str(tmp_path / "backbone.pdb"))
    wanted = [hairpin.STRAND] * 16
    wanted[7:9] = hairpin.TURN
    found = [np.degrees(torsions(built)[1][0]) for torsions in (mdtraj.compute_phi, mdtraj.compute_psi)]
    np.testing.assert_allclose(found[0], [phi for phi, _ in wanted[1:]], atol=0.5)
    np.testing.assert_allclose(found[1], [psi for _, psi in wanted[:-1]], atol=0.5)
    omega = np.degrees(mdtraj.compute_omega(built)[1][0])
    np.testing.assert_allclose(np.abs(omega), 180.0, atol=0.5)


def test_one_command_makes_a_data_set_and_tells_how_to_make_it_anew(tmp_path, monkeypatch, capsys):
    """The simulation itself is tested with its stage; here its pulls are there already."""
    asked, pulls = [], data_sets.pulls_of("example", tmp_path, None, 1, data_sets.Lines())[:3]

    def run(config, run_dir, progress):
        asked.append(config)
        return SimpleNamespace(pulls=[SimpleNamespace(trajectory=path) for path in pulls])

    monkeypatch.setattr(data_sets.simulate, "run", run)
    arguments = ["vacuum", str(tmp_path / "set"), "--workers", "1", "--replicas", "50"]
    assert data_sets.main(arguments) == 0
    (config,) = asked
    assert (config.replicas, config.workers, config.output) == (50, 1, tmp_path / "set" / "pulls")
    assert (config.solvent, config.spring_constant, config.frames) == ("vacuum", 7.2, 201)
    dataset = open_dataset(tmp_path / "set" / "dataset.h5")
    assert len(dataset.pulls) == 3
    assert dataset.structure.n_atoms == 40
    assert data_sets.main(arguments) == 1
    assert "--force" in capsys.readouterr().err
    assert data_sets.main([*arguments, "--force"]) == 0


def test_the_protocols_start_from_files_that_are_there():
    for protocol in data_sets.PROTOCOLS.values():
        assert protocol.structure.is_file()
        assert protocol.end_centre > protocol.start_centre


def test_the_shipped_pulls_need_no_simulation_and_give_more_atoms_as_well(tmp_path):
    for name in data_sets.SHIPPED:
        found = data_sets.pulls_of(name, tmp_path, None, 1, data_sets.Lines())
        assert len(found) == 40
    structure = read_structure(found[0].parent / "topology.psf")
    counts = [len(select_atoms(structure, selection)) for selection in data_sets.SHIPPED.values()]
    assert counts == [40, 51, 104]
