"""Frames are turned for the film strip without being changed."""

import numpy as np
import pytest
from matplotlib.image import imread

from smdgen.view.film import FilmRow, plot_film_strip, upright
from tests.tools.pulls import make_pull, make_structure


def rotation(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.linalg.det(q)


def test_upright_moves_frames_rigidly():
    """Distances stay and so does the hand: the determinant of the best map is +1."""
    frames = make_pull(7, 0).astype(float)
    turned = upright(frames, [1], [37])
    for before, after in zip(frames, turned, strict=True):
        u, _, vt = np.linalg.svd((before - before.mean(0)).T @ after)
        assert np.linalg.det(u @ vt) == pytest.approx(1.0)
        np.testing.assert_allclose((before - before.mean(0)) @ u @ vt, after, atol=1e-6)


def test_upright_points_up():
    """The last atom stands straight above the first one."""
    turned = upright(make_pull(7, 0), [1], [37])
    across = turned[:, 37] - turned[:, 1]
    np.testing.assert_allclose(across[:, [0, 2]], 0, atol=1e-5)
    assert (across[:, 1] > 0).all()


def test_upright_does_not_roll():
    """One structure seen in seven orientations gives the same picture seven times."""
    frame = make_pull(2, 0)[0].astype(float)
    turned = upright(np.stack([frame @ rotation(i) for i in range(7)]), [1], [37])
    np.testing.assert_allclose(turned, np.broadcast_to(turned[0], turned.shape), atol=1e-5)


def test_strip_without_pymol(tmp_path):
    """Sticks are drawn where no pictures are given; the same strip gives the same bytes."""
    structure, frames = make_structure(), upright(make_pull(3, 0), [1], [37])
    rows = [FilmRow("generated", frames, ["a", "b", "c"]), FilmRow("real", frames, ["a", "b", "c"])]
    for name in ("one.png", "two.png"):
        plot_film_strip(tmp_path / name, rows, structure.bonds, structure.elements.tolist())
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_rows_are_as_tall_as_their_frames(tmp_path):
    """A compact protein leaves no empty half pages between its rows."""
    heights = []
    for name, height in (("long", 200), ("compact", 60)):
        pictures = [np.ones((height, 60, 4), np.float32)] * 3
        rows = [FilmRow(label, np.zeros((3, 4, 3)), ["a", "b", "c"], pictures) for label in ("one", "two")]
        plot_film_strip(tmp_path / f"{name}.png", rows, np.zeros((0, 2), dtype=np.int64), ["C"] * 4)
        heights.append(imread(tmp_path / f"{name}.png").shape[0])
    assert heights[1] < 0.75 * heights[0]
