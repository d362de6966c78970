"""Measures with known answers: copies, disjoint sets, shifts, and samples of known laws."""

import numpy as np
import pytest

from smdgen.quality import similarity


def test_energy_ratio_is_that_of_the_medians():
    real = np.array([[1.0, 10.0, 0.0], [2.0, 20.0, 0.0], [90.0, 30.0, 0.0]])
    ratio = similarity.energy_ratio(real * [1.5, 0.5, 1.0], real)
    assert ratio[:2] == pytest.approx([1.5, 0.5])
    assert np.isnan(ratio[2])


def test_in_band_share_wants_all_kinds_inside():
    reference = np.stack([np.linspace(0, 100, 1001)] * 3, axis=1)
    assert similarity.in_band_share(reference, reference) == pytest.approx(0.98, abs=0.002)
    assert similarity.in_band_share(
        np.array([[50.0, 50, 50], [50, 50, 99.5], [0.5, 50, 50]]), reference
    ) == pytest.approx(1 / 3)


def test_independent_kinds_lie_in_the_band_with_098_cubed():
    energies = np.random.default_rng(0).standard_normal((2, 40000, 3))
    assert similarity.in_band_share(*energies) == pytest.approx(0.98**3, abs=0.005)


def test_path_error_of_a_shift_is_the_shift():
    values = np.random.default_rng(0).standard_normal((6, 9))
    assert similarity.path_error(values + 0.7, values) == pytest.approx(0.7)


def test_path_error_of_angles_goes_the_short_way():
    first = np.array([[175.0], [-177.0]])  # mean 179
    second = np.array([[-179.0], [-175.0]])  # mean -177
    assert similarity.path_error(first, second, periodic=True) == pytest.approx(4.0)


def test_nearest_takes_the_least_of_each_row_at_each_step():
    distances = np.array([[[1.0, 3.0], [2.0, 5.0]], [[4.0, np.nan], [0.0, 1.0]]])
    assert similarity.nearest(distances) == pytest.approx((1 + 2 + 4 + 0) / 4)
    assert similarity.nearest(distances.swapaxes(1, 2)) == pytest.approx((1 + 3 + 0 + 1) / 4)
    assert np.isnan(similarity.nearest(distances[:, :0]))


def test_diversity_leaves_out_the_diagonal_and_pairs_from_one_start():
    distances = np.array([[[0.0, 1.0, 2.0], [1.0, 0.0, 6.0], [2.0, 6.0, 0.0]]])
    assert similarity.diversity(distances) == pytest.approx(3.0)
    assert similarity.diversity(distances, np.array([0, 0, 1])) == pytest.approx(4.0)
    assert similarity.diversity(distances, np.array([2, 2, 2])) == pytest.approx(3.0)
    assert similarity.diversity(np.zeros((3, 4, 4))) == 0.0
    assert np.isnan(similarity.diversity(distances[:, :1, :1]))


def test_torsion_histogram_wraps_and_keeps_every_angle():
    angles = np.radians([-180.0, 180.0, 179.9, -175.0, 0.0, 4.0, 14.0, 365.0])
    counts = similarity.torsion_histogram(angles)
    assert (len(counts), counts.sum()) == (36, 8)
    assert (counts[0], counts[-1], counts[18], counts[19]) == (3, 1, 3, 1)


def test_jensen_shannon_is_0_for_the_same_and_1_for_disjoint_histograms():
    p, q = np.array([1, 3, 0, 0]), np.array([0, 0, 5, 5])
    assert similarity.jensen_shannon(p, 7 * p) == 0.0
    assert similarity.jensen_shannon(p, q) == pytest.approx(1.0)
    half = similarity.jensen_shannon(np.array([1, 0]), np.array([1, 1]))
    assert half == pytest.approx((np.log2(4 / 3) + 0.5 * np.log2(2 / 3) + 0.5 * np.log2(2)) / 2)
    assert np.isnan(similarity.jensen_shannon(p, np.zeros(4)))


def test_profile_scores_have_unit_size_for_samples_of_one_law():
    random = np.random.default_rng(0)
    pairs = [(random.normal(3, 2, (30, 5)), random.normal(3, 2, (50, 5))) for _ in range(400)]
    scores = np.array([similarity.profile_scores(*pair) for pair in pairs])
    assert np.mean(scores**2) == pytest.approx(1.0, abs=0.1)


def test_one_count_in_one_pull_is_within_the_error_where_real_pulls_have_none():
    first = np.zeros((10, 2))
    first[0, 1] = 1.0
    assert similarity.profile_scores(first, np.zeros((20, 2))).tolist() == pytest.approx([0.0, 1.0])
    assert similarity.profile_scores(np.ones((10, 2)), np.zeros((20, 2))).min() > 3
