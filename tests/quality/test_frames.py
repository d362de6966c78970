"""Frames are like those of MD, or the words say what is worst."""

import numpy as np
import pytest
import torch

from smdgen.quality.frames import FrameNumbers, compare_frames, judge_frames
from smdgen.quality.goals import FRAME_GOALS, at_most, between, no_more_than_real, shortfall
from tests.tools.pulls import make_pull, make_structure

#: Made-up pulls of ten residues open until nothing touches; their torsions tremble.
REAL = torch.from_numpy(np.stack([make_pull(40, seed) for seed in range(10)])).double()
OTHER = torch.from_numpy(np.stack([make_pull(40, seed) for seed in range(20, 24)])).double()


def numbers(n_frames: int, energies=None, ca_range=(3.6, 4.1), **shares: float) -> FrameNumbers:
    """Frames of which so large a share has a fault."""
    faults = {
        key: (np.arange(n_frames) < round(shares.get(key, 0.0) * n_frames)).astype(float)
        for key in FRAME_GOALS
        if not key.endswith("ratio")
    }
    return FrameNumbers(faults, energies, ca_range)


def test_frames_of_other_pulls_are_like_real_ones():
    verdict = judge_frames(OTHER, REAL, make_structure())
    assert verdict.like_md, verdict.words()
    assert verdict.words() == f"like MD in all {len(verdict.rows)} measures"
    assert {row.key for row in verdict.rows} >= {"ramachandran", "clashes", "twisted_omega", "ca_outside"}
    assert verdict.n_frames == OTHER.shape[0] * OTHER.shape[1]


def test_straight_lines_between_folded_and_open_are_not():
    """Half way the chain shrinks: its CA are too near each other."""
    way = torch.linspace(0, 1, 20).double()[:, None, None]
    line = REAL[0, 0] * (1 - way) + REAL[0, -1] * way
    verdict = judge_frames(line, REAL, make_structure())
    assert not verdict.like_md
    assert "successive CA" in verdict.words()


def test_the_worst_measure_comes_first_in_words():
    real = numbers(1000, ramachandran=0.06, twisted_omega=0.026)
    made = numbers(1000, ramachandran=0.44, twisted_omega=0.40, clashes=0.96)
    verdict = compare_frames(made, real)
    assert [row.key for row in verdict.missed] == ["clashes", "twisted_omega", "ramachandran"]
    assert verdict.words(1) == "not like MD: 96 % of frames with a clash (real frames: 0 %); and 2 more"
    assert "44 % Ramachandran outliers (real frames: 6 %)" in verdict.words()
    apart = compare_frames(
        numbers(9, ca_range=(3.48, 5.24), ca_outside=0.5), numbers(9, ca_range=(3.58, 4.15))
    )
    assert "successive CA 3.48 to 5.24 A apart (real frames: 3.58 to 4.15 A)" in apart.words()


def test_few_frames_miss_nothing_by_chance_but_one_clash_is_a_clash():
    real = numbers(1000, ramachandran=0.06)
    assert compare_frames(numbers(10, ramachandran=0.2), real).like_md
    assert not compare_frames(numbers(1000, ramachandran=0.2), real).like_md
    assert not compare_frames(numbers(10, clashes=0.1), real).like_md


@pytest.mark.parametrize(("scale", "n_frames", "like"), [(1.0, 400, True), (1.3, 400, False), (1.3, 4, True)])
def test_energies_are_judged_by_their_medians(scale, n_frames, like):
    random = np.random.default_rng(0)
    real = numbers(400, 20 + 4 * random.standard_normal((400, 3)))
    made = numbers(n_frames, scale * (20 + 5 * random.standard_normal((n_frames, 3))))
    verdict = compare_frames(made, real)
    assert verdict.like_md == like
    if not like:
        assert "bond energy 1.3" in verdict.words()


def test_shortfall_is_the_distance_to_the_nearer_end():
    assert shortfall(between(0.95, 1.05), 1.0) == 0
    assert shortfall(between(0.95, 1.05), 0.9) == pytest.approx(0.05)
    assert shortfall(at_most(0.2), 0.5) == pytest.approx(0.3)
    assert shortfall(no_more_than_real(2), 0.1, 0.05) == pytest.approx(0.03)
    assert shortfall(FRAME_GOALS["inverted_centres"], 0.1, 0.02) == pytest.approx(0.08)


def test_what_the_atoms_do_not_have_is_not_judged():
    structure = make_structure(1)
    verdict = judge_frames(REAL[:1, :, :4], REAL[:, :, :4], structure)
    assert {row.key for row in verdict.rows} == {"clashes"}
