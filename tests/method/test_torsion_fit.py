"""Torsions turned until distances, overlaps and a CV are as wanted."""

import math

import numpy as np
import pytest
import torch

from smdgen.geometry.frames import bond_lengths, rmsd_matrix
from smdgen.geometry.internal import spanning_tree, to_cartesian, to_internal
from smdgen.geometry.validity import clash_limits, clashing
from smdgen.method.presets import TorsionFitNumbers
from smdgen.method.torsion_fit import Turns, Wanted, distance_slopes, fit_torsions, turns_of
from tests.tools.pulls import make_chain, make_structure

N_RESIDUES = 24
STRUCTURE = make_structure(N_RESIDUES)
TREE = spanning_tree(len(STRUCTURE.names), STRUCTURE.bonds)
CA = 4 * np.arange(N_RESIDUES) + 1
FIRST, SECOND = np.triu_indices(N_RESIDUES, 3)
PAIRS, APART = torch.from_numpy(np.stack([CA[FIRST], CA[SECOND]], 1)), torch.from_numpy(SECOND - FIRST)


@pytest.fixture
def turns() -> Turns:
    """Phi and psi."""
    names, torsions = STRUCTURE.names, TREE.torsions
    about = [{str(names[j]), str(names[k])} for _, j, k, _ in torsions]
    first = TREE.primary[torsions[:, 3]] == torsions[:, 3]
    soft = [i for i, pair in enumerate(about) if first[i] and pair in ({"N", "CA"}, {"CA", "C"})]
    return turns_of(TREE, np.array(soft))


def frames(seed: int, n: int = 2, wobble: float = 60.0) -> torch.Tensor:
    random = np.random.default_rng(seed)
    made = [
        make_chain(random.normal(-70, 20, N_RESIDUES), random.normal(-30, wobble, N_RESIDUES))
        for _ in range(n)
    ]
    return torch.from_numpy(np.stack(made))


def wanted(x: torch.Tensor, **changes) -> Wanted:
    distances = changes.pop("distances", bond_lengths(x, PAIRS))
    parts = {"limits": torch.zeros(x.shape[1], x.shape[1]), "deviations": 0.4 + 0.04 * distances, **changes}
    return Wanted(PAIRS, APART, distances, **parts)


def fitted(start: torch.Tensor, turns: Turns, aim: Wanted, **numbers) -> torch.Tensor:
    return fit_torsions(*to_internal(start, TREE), TREE, turns, aim, TorsionFitNumbers(**numbers))


def test_slopes_are_those_of_finite_differences(turns: Turns):
    x, step = frames(0, 1), 1e-5
    lengths, angles, torsions = to_internal(x, TREE)
    x = to_cartesian(lengths, angles, torsions, TREE)
    turns = turns.to(x)
    _, slopes = distance_slopes(x, turns, PAIRS)
    for k, row in enumerate(turns.rows.tolist()):
        moved = torsions.clone()
        moved[:, row] += step
        ahead = bond_lengths(to_cartesian(lengths, angles, moved, TREE), PAIRS)
        assert torch.allclose((ahead - bond_lengths(x, PAIRS)) / step, slopes[..., k], atol=1e-3)


def test_a_fold_comes_back_from_its_distances(turns: Turns):
    """From torsions 30 degrees off, which put the chain ten times farther away."""
    x = frames(1)
    lengths, angles, torsions = to_internal(x, TREE)
    noise = torch.randn(len(x), len(turns.rows), generator=torch.Generator().manual_seed(0)).double()
    torsions = torsions.index_add(1, turns.rows, 0.5 * noise)
    start = to_cartesian(lengths, angles, torsions, TREE)
    again = fitted(start, turns, wanted(x), torsion_deviation=1.0)

    def off(y: torch.Tensor) -> float:
        return float(torch.diagonal(rmsd_matrix(y[:, CA], x[:, CA])).max())

    assert off(again) < 0.5
    assert off(start) > 10 * off(again)


def test_lengths_angles_and_other_torsions_stay(turns: Turns):
    start = frames(2)
    again = fitted(start, turns, wanted(frames(3)))
    before, after = to_internal(start, TREE), to_internal(again, TREE)
    others = np.setdiff1d(np.arange(len(TREE.torsions)), turns.rows.numpy())
    assert torch.allclose(before[0], after[0])
    assert torch.allclose(before[1], after[1])
    turned = torch.remainder(before[2] - after[2] + math.pi, 2 * math.pi) - math.pi
    assert turned[:, others].abs().max() < 1e-6
    assert turned[:, turns.rows].abs().max() > 0.1


def test_a_cv_is_met_to_its_tolerance(turns: Turns):
    x = frames(4)
    ends = torch.tensor([[CA[0], CA[-1]]])
    aims = bond_lengths(x, ends)[:, 0] + torch.tensor([3.0, -2.0])
    again = fitted(x, turns, wanted(x, cv_error=lambda y: bond_lengths(y, ends)[:, 0] - aims))
    assert (bond_lengths(again, ends)[:, 0] - aims).abs().max() < 1e-3


def test_atoms_that_overlap_come_apart(turns: Turns):
    """Chains drawn to a map that leaves no room: the same fit without limits lets them clash."""
    limits = clash_limits(STRUCTURE)
    x = frames(6, 60, wobble=8)
    x = x[~clashing(x, limits).bool()]
    narrow = {"distances": 0.7 * bond_lengths(x, PAIRS)}
    free = fitted(x, turns, wanted(x, **narrow), torsion_deviation=2.0)
    kept = fitted(x, turns, wanted(x, **narrow, limits=limits), torsion_deviation=2.0)
    assert clashing(free, limits).sum() >= 6
    assert clashing(kept, limits).sum() <= 1
