"""Figures show the numbers they are given, and leave matplotlib's settings alone."""

import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from smdgen.view import figures
from smdgen.view.figures import Band, plot_bands, plot_history, plot_ramachandran


@pytest.fixture
def drawn(monkeypatch):
    """Figures as they are when they are saved."""
    kept: list[Figure] = []
    save = figures.save_figure
    monkeypatch.setattr(
        figures, "save_figure", lambda figure, path: (kept.append(figure), save(figure, path))
    )
    return kept


def test_history_pairs_training_and_validation(tmp_path, drawn):
    """One panel a term, both splits in it; a log axis only where no value is at or below zero."""
    history = {
        "train_loss": [3.0, 2.0, 1.0], "validation_loss": [4.0, 3.0, 2.0], "train likelihood": [-1.0, 0.5],
        "kl": [1.0],
    }  # fmt: skip
    plot_history(tmp_path / "history.png", history)
    loss, likelihood, kl = drawn[0].axes
    assert [axes.get_ylabel() for axes in drawn[0].axes] == ["loss", "likelihood", "kl"]
    assert [line.get_label() for line in loss.lines] == ["train", "validation"]
    assert kl.lines[0].get_label() == "training"
    np.testing.assert_array_equal(loss.lines[1].get_xydata(), [[1, 4], [2, 3], [3, 2]])
    assert [axes.get_yscale() for axes in (loss, likelihood, kl)] == ["log", "linear", "log"]


def test_history_takes_what_a_broken_training_leaves(tmp_path):
    """No epochs, no terms, NaN."""
    plot_history(tmp_path / "a.png", {})
    plot_history(tmp_path / "b.png", {"loss": [], "kl": [float("nan"), float("inf")]})
    assert (tmp_path / "b.png").stat().st_size > 0


def test_band_is_that_of_the_real_pulls(tmp_path, drawn):
    """The shaded area ends at the 5th and the 95th percentile, at the frames the generated pull has."""
    real = np.random.default_rng(0).normal(size=(40, 21)) + np.arange(21)
    generated = np.zeros((2, 11))
    times = np.arange(11) * 50.0
    plot_bands(tmp_path / "band.png", [Band("d, A", generated, real, np.ones(11), example=True)], times)
    (axes,) = drawn[0].axes
    vertices = axes.collections[0].get_paths()[0].vertices
    low, high = (vertices[np.isclose(vertices[:, 0], 250.0), 1].__getattribute__(f)() for f in ("min", "max"))
    assert (low, high) == pytest.approx(tuple(np.percentile(real[:, 10], (5, 95))))
    median = next(line for line in axes.lines if "median" in str(line.get_label()))
    np.testing.assert_allclose(median.get_ydata(), np.median(real, axis=0))
    assert median.get_xdata()[-1] == 500
    assert median.get_linestyle() == "--"
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("time, ps", "d, A", "")
    names = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert names == ["5-95 % of 40 real pulls", "one real pull", "median of the real pulls",
                     "generated, 2 pulls", "target"]  # fmt: skip


def test_exploded_energies_get_a_log_axis(tmp_path, drawn):
    """So that the real band stays visible beside them."""
    real = np.full((3, 5), 16.0)
    bands = [Band("", np.full((1, 5), 16.0 * factor), real) for factor in (2, 1000)]
    plot_bands(tmp_path / "band.png", bands, np.arange(5.0))
    assert [axes.get_yscale() for axes in drawn[0].axes] == ["linear", "log"]


def test_ramachandran_shows_both(tmp_path, drawn):
    """Real dots left, generated dots right, the whole circle on both axes."""
    generated = np.array([[-60.0, -45.0], [-90.0, 120.0]])
    plot_ramachandran(tmp_path / "rama.png", generated, np.full((50, 2), -60.0))
    left, right = drawn[0].axes
    np.testing.assert_array_equal(right.collections[-1].get_offsets(), generated)
    assert len(left.collections[-1].get_offsets()) == 50
    assert right.get_xlim() == right.get_ylim() == (-180, 180)


def test_same_figure_same_bytes(tmp_path):
    """Nothing of the day or the machine is in a picture."""
    for name in ("one.png", "two.png"):
        plot_history(tmp_path / name, {"loss": [2.0, 1.0]})
    for kind in ("png", "pdf", "svg"):
        assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes()
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in (tmp_path / "one.svg").read_text()


def test_matplotlib_is_left_as_it_was(tmp_path):
    """No pyplot, no backend chosen, no settings changed: a notebook goes on as before."""
    before = dict(mpl.rcParams)
    loaded = "matplotlib.pyplot" in sys.modules
    plot_history(tmp_path / "a.png", {"loss": [2.0, 1.0]})
    assert dict(mpl.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded
