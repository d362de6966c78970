"""Residues, torsions and hydrogen bonds found by name, whatever the order of the atoms."""

from dataclasses import replace

import mdtraj
import numpy as np
import pytest
import torch

from smdgen.geometry import hydrogen_bonds, validity
from smdgen.geometry.backbone import find_backbone
from smdgen.geometry.bonds import bonded_angles, ca_pairs
from smdgen.geometry.frames import dihedrals
from smdgen.quality.features import frame_features
from tests.tools.pulls import ATOM_FIELDS, make_pull, make_structure


@pytest.fixture(scope="module")
def frames():
    return make_pull(5, seed=3).astype(np.float64)


def shuffled(structure, order):
    """The same molecule with its atoms in another order."""
    place = np.argsort(order)
    parts = {name: getattr(structure, name)[order] for name in ATOM_FIELDS}
    return replace(structure, **parts, bonds=np.sort(place[structure.bonds], axis=1))


def as_mdtraj(frames, n_residues=10):
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for _ in range(n_residues):
        residue = topology.add_residue("ALA", chain)
        for name, element in zip(("N", "CA", "C", "O"), ("N", "C", "C", "O"), strict=True):
            topology.add_atom(name, mdtraj.element.get_by_symbol(element), residue)
    return mdtraj.Trajectory(frames / 10, topology)


def test_torsions_agree_with_mdtraj(frames):
    backbone, trajectory = find_backbone(make_structure()), as_mdtraj(frames)
    for name, compute in (
        ("phi", mdtraj.compute_phi),
        ("psi", mdtraj.compute_psi),
        ("omega", mdtraj.compute_omega),
    ):
        atoms, angles = compute(trajectory, periodic=False)
        assert np.array_equal(getattr(backbone, name), atoms), name
        ours = dihedrals(torch.tensor(frames), getattr(backbone, name)).numpy()
        assert np.abs(ours - angles).max() < 1e-4, name
    assert backbone.phi_residues.tolist() == list(range(1, 10))
    assert backbone.psi_residues.tolist() == list(range(9))


def test_order_of_the_atoms_changes_nothing(frames):
    order = np.random.default_rng(0).permutation(40)
    structure = make_structure()
    one, other = find_backbone(structure), find_backbone(shuffled(structure, order))
    x = torch.tensor(frames)
    for name in ("phi", "psi", "omega", "ca_turns"):
        assert torch.equal(dihedrals(x, getattr(one, name)), dihedrals(x[:, order], getattr(other, name)))
    plain = hydrogen_bonds.count_helix_bonds(frames, one)
    assert np.array_equal(hydrogen_bonds.count_helix_bonds(frames[:, order], other), plain)


def test_a_missing_bond_and_a_missing_residue_break_the_chain():
    structure = make_structure()
    peptide = [tuple(bond) for bond in structure.bonds.tolist()].index((14, 16))
    cut = replace(structure, bonds=np.delete(structure.bonds, peptide, axis=0))
    assert [len(chain) for chain in find_backbone(cut).chains] == [4, 6]
    assert len(find_backbone(cut).phi) == 8
    assert len(find_backbone(cut).ca_turns) == 1 + 3
    only_ca = [i for i in range(40) if structure.names[i] == "CA" and structure.residue_ids[i] != 5]
    parts = {name: getattr(structure, name)[only_ca] for name in ATOM_FIELDS}
    backbone = find_backbone(replace(structure, **parts, bonds=np.zeros((0, 2), dtype=np.int64)))
    assert [len(chain) for chain in backbone.chains] == [4, 5]
    assert len(backbone.phi) == len(backbone.psi) == len(backbone.omega) == 0


def test_calcium_is_no_residue():
    structure = make_structure()
    elements = structure.elements.astype("<U2")
    elements[37] = "CA"
    assert find_backbone(replace(structure, elements=elements)).n_residues == 9


def test_helix_bonds_agree_with_mdtraj_by_hand():
    frames = make_pull(8, seed=1)
    counts = hydrogen_bonds.count_helix_bonds(frames, find_backbone(make_structure()))
    for count, matrix in zip(counts, mdtraj.kabsch_sander(as_mdtraj(frames)), strict=True):
        acceptors, donors = matrix.nonzero()
        assert count.tolist() == [np.sum(donors - acceptors == 3), np.sum(donors - acceptors == 4)]
    assert counts[0, 1] >= 4  # the helix at the start
    assert counts[-1].sum() == 0  # the strand at the end


def test_bonds_do_not_count_across_a_break():
    structure = make_structure()
    peptide = [tuple(bond) for bond in structure.bonds.tolist()].index((18, 20))
    cut = replace(structure, bonds=np.delete(structure.bonds, peptide, axis=0))
    frames = make_pull(2, seed=1)[:1]
    assert hydrogen_bonds.count_helix_bonds(frames, find_backbone(cut))[0, 1] < 3


def test_features_are_those_of_the_definition_and_do_not_move_with_the_molecule(frames):
    x = torch.tensor(frames)
    turned = (
        x
        @ torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[
            0
        ]
    )
    structure = make_structure()
    one = frame_features(x, structure)
    sizes = {name: values.shape[1] for name, values in one.items()}
    assert sizes == {
        "bonds": 39, "angles": 47, "phi": 18, "psi": 18, "omega": 18, "ca_distances": 36, "other_torsions": 2,
    }  # fmt: skip
    mirrored = torch.linalg.det(torch.linalg.lstsq(x[0], turned[0]).solution) < 0
    other = frame_features(turned * (1 - 2 * mirrored.double() * torch.tensor([1.0, 0, 0])) + 4, structure)
    for name in one:
        assert np.allclose(one[name], other[name], atol=1e-9), name
    assert frame_features(x, structure, max_distances=10)["ca_distances"].shape[1] == 10


def test_angles_of_a_methane_are_six():
    assert len(bonded_angles(5, np.array([[0, 1], [0, 2], [0, 3], [0, 4]]))) == 6


def test_ca_pairs_are_two_or_more_residues_apart_within_a_chain():
    structure = make_structure(4)
    assert ca_pairs(find_backbone(structure)).tolist() == [[1, 9], [1, 13], [5, 13]]
    chains = replace(
        structure, chain_ids=np.repeat(["A", "B"], 8), bonds=structure.bonds[structure.bonds[:, 1] != 8]
    )
    assert [5, 9] in ca_pairs(find_backbone(chains)).tolist()


def test_mirrored_helix_is_seen_by_phi_and_by_its_turns():
    x = torch.tensor(make_pull(3, seed=1)[:1]).double()
    backbone = find_backbone(make_structure())
    mirror = x * torch.tensor([1.0, 1.0, -1.0])
    assert float(validity.positive_phi(x, backbone)) == 0.0
    assert float(validity.positive_phi(mirror, backbone)) == 1.0
    assert float(validity.left_turns(x, backbone)) == 0.0
    assert float(validity.left_turns(mirror, backbone)) > 0.8
    glycine = find_backbone(replace(make_structure(), residue_names=np.full(40, "GLY")))
    assert bool(validity.positive_phi(mirror, glycine).isnan())


def test_cis_bond_is_counted():
    structure = make_structure()
    backbone = find_backbone(structure)
    x = torch.tensor(make_pull(2, seed=1)[0]).double()
    axis = torch.nn.functional.normalize(x[20] - x[18], dim=0)  # C5-N6
    turned = x.clone()
    arm = x[20:] - x[20]
    turned[20:] = x[20] + 2 * (arm @ axis)[:, None] * axis - arm  # half a turn about C-N
    assert float(validity.cis_bonds(x, backbone)) == 0.0
    assert float(validity.cis_bonds(turned, backbone)) == pytest.approx(1 / 9)


def test_clash_counts_only_between_atoms_far_along_the_chain():
    structure = make_structure()
    straight = torch.tensor(make_pull(2, seed=1)[1]).double()
    hit = straight.clone()
    hit[39] = hit[0] + 2.3 * torch.nn.functional.normalize(hit[0] - hit.mean(0), dim=0)
    x = torch.stack([straight, hit])
    assert validity.clashing(x, validity.clash_limits(structure)).tolist() == [0.0, 1.0]
    hydrogens = structure.elements.copy()
    hydrogens[39] = "H"
    assert validity.clashing(x, validity.clash_limits(replace(structure, elements=hydrogens))).tolist() == [
        0.0,
        0.0,
    ]


def test_inverted_centre_is_seen_and_planar_ones_do_not_count():
    """A centre with four neighbours, and a planar one, both seen from frames at 300 K."""
    tetrahedron = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1]], dtype=torch.float64)
    planar = torch.tensor([[9.0, 0, 0], [10, 0, 0], [8.5, 0.9, 0], [8.5, -0.9, 0]], dtype=torch.float64)
    structure = replace(
        make_structure(2),
        bonds=np.array([[0, 1], [0, 2], [0, 3], [4, 5], [4, 6], [4, 7]]),
    )
    noise = 0.1 * torch.randn(50, 8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.cat([tetrahedron, planar]) + noise
    centres = validity.find_stereocentres(x, structure)
    assert centres.atoms.tolist() == [[0, 1, 2, 3]]
    assert float(validity.inverted_centres(x, centres).sum()) == 0.0
    mirror = x * torch.tensor([1.0, 1.0, -1.0])
    assert bool((validity.inverted_centres(mirror, centres) == 1).all())


def twice(structure, **fields):
    """Two copies of a molecule in one file; `fields` are those that differ from a plain repetition."""
    n = len(structure.names)
    texts = ("names", "residue_names", "insertion_codes", "chain_ids", "segment_ids", "elements")
    doubled = {
        name: np.concatenate([getattr(structure, name)] * 2) for name in (*texts, "residue_ids", "masses")
    }
    return replace(
        structure, **doubled | fields, bonds=np.concatenate([structure.bonds, structure.bonds + n])
    )


@pytest.mark.parametrize("has_bonds", [True, False])
def test_two_chains_of_one_letter_and_the_same_numbers_stay_two_chains(has_bonds):
    """As in a dimer of a .gro file, or of a PDB without chain letters."""
    structure = twice(make_structure())
    if not has_bonds:
        structure = replace(structure, bonds=np.zeros((0, 2), dtype=np.int64))
    backbone = find_backbone(structure)
    assert [len(chain) for chain in backbone.chains] == [10, 10]
    assert backbone.atoms["CA"].tolist() == list(range(1, 80, 4))
    assert len(backbone.phi) == 18


def test_a_longer_second_chain_of_the_same_letter_stays_whole():
    """Numbers 1 to 5 and 11 to 15, then 1 to 10: no sorting by number tells the chains apart."""
    one = make_structure()
    numbers = np.concatenate([np.where(one.residue_ids > 5, one.residue_ids + 5, one.residue_ids)] * 2)
    numbers[40:] = one.residue_ids
    backbone = find_backbone(twice(one, residue_ids=numbers))
    assert [len(chain) for chain in backbone.chains] == [10, 10]
    assert backbone.atoms["CA"].tolist() == list(range(1, 80, 4))


def test_residues_follow_their_bonds_whatever_their_numbers():
    """Insertion codes that count down (thrombin's 1C, 1B, 1A, 1), and numbers that start again."""
    structure = make_structure()
    codes = np.repeat(np.array(["C", "B", "A", *[""] * 7], dtype="<U1"), 4)
    numbers = np.repeat(np.array([1, 1, 1, 1, 2, 3, 99_999, 0, 1, 2]), 4)
    backbone = find_backbone(replace(structure, insertion_codes=codes, residue_ids=numbers))
    assert [len(chain) for chain in backbone.chains] == [10]
    assert backbone.atoms["CA"].tolist() == list(range(1, 40, 4))
    assert np.array_equal(backbone.phi, find_backbone(structure).phi)


def test_the_closing_bond_of_a_ring_leaves_one_chain():
    structure = make_structure()
    ring = replace(structure, bonds=np.concatenate([structure.bonds, [[0, 38]]]))
    backbone = find_backbone(ring)
    assert backbone.atoms["CA"].tolist() == list(range(1, 40, 4))
    assert backbone.linked.all()


def turned_about_peptide_bond(x, degrees):
    """A frame (n_atoms, 3) of `make_structure` whose second half is turned about the bond C5-N6."""
    axis = torch.nn.functional.normalize(x[20] - x[18], dim=0)
    angle, arm = np.radians(degrees), x[20:] - x[20]
    across = torch.linalg.cross(axis.expand_as(arm), arm)
    along = (arm @ axis)[:, None] * axis
    out = x.clone()
    out[20:] = x[20] + along + np.cos(angle) * (arm - along) + np.sin(angle) * across
    return out


def test_a_peptide_bond_is_twisted_when_it_is_neither_trans_nor_cis():
    backbone = find_backbone(make_structure())
    x = torch.tensor(make_pull(2, seed=1)[0]).double()
    assert float(validity.twisted_bonds(x, backbone)) == 0.0
    for degrees in (60, 120, -60):
        twisted = turned_about_peptide_bond(x, degrees)
        assert float(validity.twisted_bonds(twisted, backbone)) == pytest.approx(1 / 9)
    assert float(validity.twisted_bonds(turned_about_peptide_bond(x, 180), backbone)) == 0.0
    assert float(validity.cis_bonds(turned_about_peptide_bond(x, 180), backbone)) == pytest.approx(1 / 9)


def test_successive_ca_leave_the_range_of_real_frames():
    backbone = find_backbone(make_structure())
    real = torch.tensor(make_pull(20, seed=1)).double()
    low, high = validity.ca_range(real, backbone)
    assert 3.5 < low < 3.8 < high < 4.1
    torn = real[:1].clone()
    torn[:, 20:] += 1.0
    assert validity.ca_outside(torch.cat([real[:1], torn]), backbone, (low, high)).tolist() == [
        0.0,
        pytest.approx(1 / 9),
    ]
    assert np.isnan(validity.ca_range(real, find_backbone(make_structure(1)))).all()


def test_near_pairs_found_on_a_grid_are_those_among_all_pairs(monkeypatch):
    structure = make_structure(60)
    x = torch.tensor(make_pull(6, seed=2, n_residues=60)).double()
    x[:3] *= 1.5
    limits = validity.clash_limits(structure)
    near = validity.clashing(x, limits)
    monkeypatch.setattr(validity, "_MANY", 10_000)
    assert near.tolist() == validity.clashing(x, limits).tolist()
    assert set(near.tolist()) == {0.0, 1.0}
