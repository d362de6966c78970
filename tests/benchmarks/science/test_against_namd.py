"""The comparison with NAMD: what it reads, and what it calls a failure."""

import numpy as np
import pytest

from benchmarks.science import against_namd
from tests.examples.test_deca_alanine import EXAMPLE


@pytest.fixture
def namd():
    return against_namd.read_reference()


def test_the_reference_has_every_half_angstrom(namd):
    np.testing.assert_allclose(namd.centre, np.arange(14.0, 34.01, 0.5))
    assert namd.work_mean[-1] == pytest.approx(17.434)


def test_equal_pulls_pass_and_a_shift_or_a_wide_spread_fails(namd):
    assert against_namd.compare(namd, namd).passed
    assert against_namd.compare(namd._replace(cv_mean=namd.cv_mean + 0.49), namd).passed
    one_off = namd.cv_mean.copy()
    one_off[7] -= 0.51
    assert not against_namd.compare(namd._replace(cv_mean=one_off), namd).passed
    for factor in (1.6, 1 / 1.6):
        assert not against_namd.compare(namd._replace(work_sd=namd.work_sd * factor), namd).passed


def test_the_cv_from_the_work_inverts_the_spring(namd):
    """For W = c^2 / 2 the force is c, so the CV is 0 everywhere."""
    parabola = namd._replace(work_mean=namd.centre**2 / 2)
    np.testing.assert_allclose(against_namd.cv_from_work(parabola)[1:-1], 0.0, atol=1e-9)


def test_the_shipped_pulls_are_as_documented(namd):
    """The measures of docs/simulate.md and of the example's README."""
    ours, n_pulls = against_namd.read_pulls(EXAMPLE / "pulls", namd.centre)
    verdict = against_namd.compare(ours, namd)
    assert n_pulls == 40
    assert np.abs(verdict.cv_difference).max() == pytest.approx(0.56, abs=0.005)
    assert (np.abs(verdict.cv_difference) > 0.5).sum() == 3
    assert verdict.spread_ratio == pytest.approx(0.90, abs=0.005)
    assert ours.work_mean[-1] == pytest.approx(20.8, abs=0.05)
    assert ours.jarzynski[-1] == pytest.approx(18.6, abs=0.05)


def test_a_folder_without_pulls_says_what_to_do(namd, tmp_path):
    with pytest.raises(SystemExit, match="smdgen simulate"):
        against_namd.read_pulls(tmp_path, namd.centre)
