"""Collective variables: values against MDTraj and by hand, text form, Colvars form."""

import json
import re
from types import SimpleNamespace

import mdtraj
import numpy as np
import pytest
import torch

from smdgen.errors import ConfigError
from smdgen.geometry import cvs


@pytest.fixture
def structure():
    """Four residues of N CA C O, with a hydrogen in between that is not modelled."""
    names = np.array(["N", "H", "CA", "C", "O"] * 4)
    n = len(names)
    return SimpleNamespace(
        names=names,
        residue_names=np.full(n, "ALA"),
        residue_ids=np.repeat(np.arange(1, 5), 5),
        insertion_codes=np.full(n, ""),
        chain_ids=np.full(n, "A"),
        segment_ids=np.full(n, ""),
        elements=np.array(["N", "H", "C", "C", "O"] * 4, dtype="U2"),
        masses=np.array([14.007, 1.008, 12.011, 12.011, 15.999] * 4),
        positions=np.random.default_rng(0).standard_normal((n, 3)) * 4,
        bonds=np.zeros((0, 2), dtype=np.int64),
    )


def taken(structure, order):
    """The structure with some of its atoms, in this order."""
    fields = {name: column[order] for name, column in vars(structure).items() if name != "bonds"}
    return SimpleNamespace(**fields, bonds=structure.bonds)


@pytest.fixture
def modelled(structure):
    return np.flatnonzero(structure.names != "H")


def select(structure, text):
    """'1-3 CA' = residues 1 to 3, atom CA; a stand-in for the real selection language."""
    first, last, name = re.match(r"(\d+)-(\d+) (\w+)", text).groups()
    inside = (structure.residue_ids >= int(first)) & (structure.residue_ids <= int(last))
    return np.flatnonzero(inside & ((structure.names == name) | (name == "all")))


@pytest.fixture
def frames(modelled):
    generator = torch.Generator().manual_seed(1)
    return 3 * torch.randn(5, len(modelled), 3, generator=generator, dtype=torch.float64)


def parse(text, structure, modelled, **kwargs):
    return cvs.parse_cv(text, structure, modelled, select, **kwargs)


def test_distance_of_single_atoms_and_of_centres_of_mass(structure, modelled, frames):
    cv = parse("d=distance(1-1 CA; 4-4 CA)", structure, modelled)
    assert (cv.name, cv.kind, cv.unit, cv.column, cv.groups) == ("d", "distance", "A", "d_A", ((1,), (13,)))
    assert torch.allclose(cvs.evaluate(cv, frames), (frames[:, 1] - frames[:, 13]).norm(dim=-1))
    groups = parse("d=distance(1-1 N; 2-2 O)", structure, modelled)
    wide = cvs.CollectiveVariable("w", "distance", ((0, 3), (7,)), ((14.0, 16.0), (1.0,)))
    centre = (14 * frames[:, 0] + 16 * frames[:, 3]) / 30
    assert torch.allclose(cvs.evaluate(wide, frames), (centre - frames[:, 7]).norm(dim=-1))
    assert groups.groups == ((0,), (7,))


def test_a_kind_that_is_not_known_is_refused_and_taken_for_no_other(frames):
    cv = cvs.CollectiveVariable("c", "coordination", ((0,), (3,), (5,), (7,)), ((1.0,),) * 4)
    with pytest.raises(ValueError, match="'coordination'; known are distance, angle"):
        cvs.evaluate(cv, frames)


def test_groups_are_weighted_by_mass_only_where_colvars_does(structure, modelled):
    assert parse("distance(1-2 O; 3-3 CA)", structure, modelled).weights == ((15.999, 15.999), (12.011,))
    assert parse("gyration(1-2 O)", structure, modelled).weights == ((1.0, 1.0),)


def test_a_massless_site_does_not_count_in_a_centre_of_mass(structure, modelled, frames):
    """A virtual site or lone pair weighs nothing; the other atoms of its group keep their masses."""
    groups = {"one": modelled[:5], "other": modelled[8:]}

    def read(of):
        return cvs.parse_cv("d=distance(one; other)", of, modelled, lambda _, text: groups[text])

    cv = read(structure)
    site = cv.groups[0][-1]
    masses = structure.masses.copy()
    masses[modelled[site]] = 0.0
    changed = SimpleNamespace(**{**vars(structure), "masses": masses})
    x = frames.numpy()
    group, other = np.array(cv.groups[0][:-1]), np.array(cv.groups[1])
    weights = structure.masses[modelled]
    centres = [np.average(x[:, part], axis=1, weights=weights[part]) for part in (group, other)]
    expected = np.linalg.norm(centres[0] - centres[1], axis=-1)
    found = cvs.evaluate(read(changed), frames).numpy()
    assert np.allclose(found, expected)


def test_angles_agree_with_mdtraj_in_degrees(structure, modelled, frames):
    trajectory = mdtraj.Trajectory(frames.numpy() / 10, None)
    topology = mdtraj.Topology()
    residue = topology.add_residue("X", topology.add_chain())
    for _ in range(len(modelled)):
        topology.add_atom("C", mdtraj.element.carbon, residue)
    trajectory.topology = topology
    bend = parse("a=angle(1-1 CA; 2-2 CA; 3-3 CA)", structure, modelled)
    turn = parse("t=dihedral(1-1 CA; 2-2 CA; 3-3 CA; 4-4 CA)", structure, modelled)
    bends = np.degrees(mdtraj.compute_angles(trajectory, [[1, 5, 9]], periodic=False)[:, 0])
    turns = np.degrees(mdtraj.compute_dihedrals(trajectory, [[1, 5, 9, 13]], periodic=False)[:, 0])
    assert np.abs(cvs.evaluate(bend, frames).numpy() - bends).max() < 1e-3
    assert np.abs(cvs.evaluate(turn, frames).numpy() - turns).max() < 1e-3
    assert (bend.unit, turn.unit, bend.periodic, turn.periodic) == ("deg", "deg", False, True)


def test_gyration_counts_all_atoms_alike(structure, modelled, frames):
    cv = parse("rg=gyration(1-4 CA)", structure, modelled)
    x = frames[:, [1, 5, 9, 13]]
    expected = ((x - x.mean(1, keepdim=True)) ** 2).sum(-1).mean(-1).sqrt()
    assert torch.allclose(cvs.evaluate(cv, frames), expected)


def test_rmsd_is_to_the_reference_after_superposition(structure, modelled):
    cv = parse("r=rmsd(1-4 CA)", structure, modelled)
    reference = torch.tensor(structure.positions[modelled])
    turned = reference @ torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]], dtype=torch.float64) + 5
    assert float(cvs.evaluate(cv, turned)) < 1e-6
    assert float(cvs.evaluate(cv, reference * torch.tensor([1.0, 1.0, -1.0]))) > 0.5
    other = parse("r=rmsd(1-4 CA)", structure, modelled, positions=structure.positions * 1.5)
    assert float(cvs.evaluate(other, reference)) > 0.5


@pytest.mark.parametrize(
    "text",
    ["distance(1-2 CA; 3-4 O)", "angle(1-1 CA; 2-2 CA; 3-4 C)", "dihedral(1-1 CA; 2-2 CA; 3-3 CA; 4-4 C)",
     "gyration(1-4 CA)", "rmsd(1-4 CA)"],
)  # fmt: skip
def test_gradients_agree_with_finite_differences_and_survive_collapse(text, structure, modelled, frames):
    cv = parse(text, structure, modelled)
    x = frames[:2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: cvs.evaluate(cv, y), (x,), atol=1e-5)
    collapsed = torch.zeros(2, len(modelled), 3).requires_grad_()
    value = cvs.evaluate(cv, collapsed)
    value.sum().backward()
    assert bool(value.isfinite().all())
    assert bool(collapsed.grad.isfinite().all())


def test_leading_shapes_are_kept(structure, modelled, frames):
    cv = parse("gyration(1-4 CA)", structure, modelled)
    assert cvs.evaluate(cv, frames[0]).shape == ()
    assert cvs.evaluate(cv, frames[:4].view(2, 2, -1, 3)).shape == (2, 2)


def test_difference_takes_the_short_way_round_for_dihedrals_only(structure, modelled):
    turn = parse("t=dihedral(1-1 CA; 2-2 CA; 3-3 CA; 4-4 CA)", structure, modelled)
    distance = parse("d=distance(1-1 CA; 4-4 CA)", structure, modelled)
    a, b = torch.tensor([179.0, -170.0, 10.0]), torch.tensor([-179.0, 170.0, 5.0])
    assert torch.allclose(cvs.difference(turn, a, b), torch.tensor([-2.0, 20.0, 5.0]))
    assert torch.equal(cvs.difference(distance, a, b), a - b)


def test_end_to_end_goes_by_residue_number_not_by_place(structure, modelled):
    """In NAMD's deca-alanine the atoms of the last residue stand in an order of their own."""
    order = np.r_[np.arange(15, 20), np.arange(0, 15)]
    turned = taken(structure, order)
    places = np.flatnonzero(turned.names != "H")
    cv = cvs.end_to_end(turned, places)
    first, last = (places[group[0]] for group in cv.groups)
    assert (turned.residue_ids[first], turned.residue_ids[last]) == (1, 4)
    assert {turned.names[first], turned.names[last]} == {"CA"}
    with pytest.raises(ConfigError, match="found 1 CA"):
        cvs.end_to_end(turned, places[:4])


def test_end_to_end_is_of_carbons_not_of_a_calcium_ion(structure, modelled):
    """An ion named CA with the last number of the chain."""
    ion = taken(structure, [*range(len(structure.names)), 2])
    ion.elements[-1], ion.residue_ids[-1] = "Ca", 201
    assert ion.names[-1] == "CA"
    places = np.r_[modelled, len(ion.names) - 1]
    assert cvs.end_to_end(ion, places) == cvs.end_to_end(structure, modelled)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("d=distance(1-1 CA)", "takes 2 selections.*found 1"),
        ("d=distance(1-1 CA; )", "takes 2 selections.*found 1"),
        ("gyration(1-1 CA; 2-2 CA)", "takes 1 selection,.*found 2"),
        ("d=length(1-1 CA; 2-2 CA)", "unknown CV kind 'length'.*distance, angle"),
        ("1d=distance(1-1 CA; 2-2 CA)", "name '1d'"),
        ("a_name_of_19_letters=distance(1-1 CA; 2-2 CA)", "1 to 18"),
        ("=distance(1-1 CA; 2-2 CA)", "name ''"),
        ("distance 1-1 CA", "cannot read"),
        ("d=distance(1-1 H; 2-2 CA)", "1 of 1 atoms outside.*H of residue 1"),
        ("d=distance(7-8 CA; 2-2 CA)", "matches no atom"),
        ("rmsd(1-3 CA)", "at least 4"),
        ("d=distance(1-2 CA; 1-2 CA)", "two groups of .* are the same atoms"),
        ("t=dihedral(1-1 CA; 2-2 CA; 3-3 CA; 1-1 CA)", "two groups of .* are the same atoms"),
    ],
)
def test_wrong_text_is_refused_with_what_to_do(text, message, structure, modelled):
    with pytest.raises(ConfigError, match=message):
        parse(text, structure, modelled)


def test_rmsd_without_coordinates_is_refused(structure, modelled):
    structure.positions = None
    with pytest.raises(ConfigError, match="reference coordinates"):
        parse("rmsd(1-4 CA)", structure, modelled)


def test_name_may_be_left_out_and_selections_may_hold_equal_signs(structure, modelled):
    cv = cvs.parse_cv("distance(a = 1; b)", structure, modelled, lambda _, text: modelled[[len(text)]])
    assert (cv.name, cv.groups) == ("distance", ((5,), (1,)))


@pytest.mark.parametrize("text", ["d=distance(1-2 CA; 4-4 CA)", "rmsd(1-4 CA)"])
def test_round_trip_through_json(text, structure, modelled):
    cv = parse(text, structure, modelled)
    assert cvs.from_dict(json.loads(json.dumps(cvs.to_dict(cv)))) == cv


def test_colvars_block(structure, modelled):
    cv = parse("d=distance(1-2 CA; 4-4 CA)", structure, modelled)
    assert cvs.colvars_config(cv, modelled + 1) == (
        "colvar {\n    name d\n    distance {\n        forceNoPBC on\n"
        "        group1 {\n            atomNumbers 3 8\n        }\n"
        "        group2 {\n            atomNumbers 18\n        }\n    }\n}\n"
    )
    rmsd = cvs.colvars_config(parse("r=rmsd(1-4 CA)", structure, modelled), modelled + 1)
    assert "atoms {" in rmsd
    assert len(re.findall(r"\(\S+, \S+, \S+\)", rmsd)) == 4
    assert rmsd.count("{") == rmsd.count("}") == 3
    assert all(line.count("{") + line.count("}") <= 1 for line in rmsd.splitlines())


def test_dihedrals_are_counted_on_without_a_jump_and_from_one_turn():
    """Paths from 100 over 180 to 260 degrees; one of them was counted a turn lower."""
    cv = cvs.CollectiveVariable("phi", "dihedral", ((0,), (1,), (2,), (3,)), ((1.0,),) * 4, unit="deg")
    true = [np.linspace(100, 260, 50), np.linspace(110, 250, 30)]
    wrapped = [(path + 180) % 360 - 180 for path in true]
    whole = cvs.unrolled(cv, wrapped)
    offset = whole[0][0] - true[0][0]
    assert offset % 360 == pytest.approx(0, abs=1e-9)
    for found, path in zip(whole, true, strict=True):
        np.testing.assert_allclose(found - offset, path, atol=1e-9)
    near = cvs.nearest_turn(cv, torch.tensor([-170.0, 170.0]), torch.tensor([185.0, -185.0]))
    torch.testing.assert_close(near, torch.tensor([190.0, -190.0]))
    distance = cvs.CollectiveVariable("d", "distance", ((0,), (1,)), ((1.0,),) * 2)
    assert cvs.unrolled(distance, wrapped)[0] is wrapped[0]


def test_end_to_end_of_two_chains_of_one_letter(structure, modelled):
    """From the first CA of one to the last of the other, though the second chain has lower numbers."""
    n = len(structure.names)
    both = taken(structure, [*range(n)] * 2)
    both.residue_ids[:n] += 2
    cv = cvs.end_to_end(both, np.r_[modelled, modelled + n])
    assert cv.groups == ((1,), (2 * len(modelled) - 3,))
