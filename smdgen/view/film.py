"""The film strip: frames of pulls side by side, from the start on the left to the end on the right."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smdgen.arrays import Floats
from smdgen.view.figures import BLUE, GREY, RED, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


#: Colours of the sticks by element, those of chemistry except for carbon.
ELEMENT_COLOURS = {"N": BLUE, "O": RED, "S": "#E69F00", "H": "#BBBBBB"}


@dataclass(frozen=True)
class FilmRow:
    """One pull of the strip.

    Attributes:
        label: What pull it is, at the left.
        positions: (n_frames, n_atoms, 3), A, as `upright` turns them.
        captions: n_frames texts, one under each frame.
        pictures: n_frames images (height, width, 4) from 0 to 1; None to draw sticks.
    """

    label: str
    positions: Floats
    captions: Sequence[str]
    pictures: Sequence[Floats] | None = None


def upright(positions: Floats, first: Sequence[int], last: Sequence[int]) -> Floats:
    """Frames turned so that the pulled direction points up and nothing rolls from frame to frame.

    Args:
        positions: (n_frames, n_atoms, 3), A.
        first: Atoms at the lower end.
        last: Atoms at the upper end.

    Returns:
        (n_frames, n_atoms, 3), A, x to the right, y up, centred.
    """
    turned = np.empty_like(positions, dtype=float)
    for i, frame in enumerate(positions):
        centred = frame - frame.mean(axis=0)
        up = centred[list(last)].mean(axis=0) - centred[list(first)].mean(axis=0)
        base = centred @ _basis(up).T
        turned[i] = base if i == 0 else _rolled(base, turned[i - 1])
    return turned


def plot_film_strip(
    path: Path, rows: Sequence[FilmRow], bonds: NDArray[np.int64], elements: Sequence[str]
) -> None:
    """Draw the strip, with PyMOL's pictures where a row has them and with sticks where not.

    Args:
        path: Where the PNG goes.
        rows: The pulls, each with as many frames.
        bonds: (n_bonds, 2).
        elements: (n_atoms,).
    """
    from matplotlib.figure import Figure

    n_frames = max(len(row.positions) for row in rows)
    width = max(4.0, 0.85 * n_frames + 0.4)  # captions stay readable in one column
    extent = np.abs(np.concatenate([row.positions[..., :2] for row in rows])).max(axis=(0, 1)) + 1.0
    shape = np.max([_tallness(row, extent) for row in rows])
    height = min(float(shape) * (width - 0.4) / n_frames + 0.5, 2.8)
    figure = Figure(figsize=(width, height * len(rows) + 0.4), layout="constrained", facecolor="white")
    for i, row in enumerate(rows):
        for j, frame in enumerate(row.positions):
            axes = figure.add_subplot(len(rows), n_frames, i * n_frames + j + 1)
            if row.pictures is not None:
                axes.imshow(row.pictures[j])
            else:
                _draw_sticks(axes, frame, bonds, elements)
                axes.set(xlim=(-extent[0], extent[0]), ylim=(-extent[1], extent[1]), aspect="equal")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.set_xlabel(row.captions[j], fontsize=9)
            if j == 0:
                axes.set_ylabel(row.label, fontsize=10)
    save_figure(figure, path)


def _tallness(row: FilmRow, extent: Floats) -> float:
    """Height over width of the frames as they are drawn, so that no row is taller than they need."""
    height, width = extent[::-1] if row.pictures is None else row.pictures[0].shape[:2]
    return float(height / width)


def _basis(up: Floats) -> Floats:
    """Rows x, y, z of a right-handed frame whose y is `up`."""
    y = up / max(float(np.linalg.norm(up)), 1e-9)
    x = np.cross(y, np.eye(3)[np.argmin(np.abs(y))])
    x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)])


def _rolled(frame: Floats, before: Floats) -> Floats:
    """The frame turned about the vertical until it lies closest to the frame before it."""
    cosine = (frame[:, 0] * before[:, 0] + frame[:, 2] * before[:, 2]).sum()
    sine = (frame[:, 2] * before[:, 0] - frame[:, 0] * before[:, 2]).sum()
    angle = np.arctan2(sine, cosine)
    c, s = np.cos(angle), np.sin(angle)
    rolled: Floats = frame @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    return rolled


def _draw_sticks(axes: "Axes", frame: Floats, bonds: NDArray[np.int64], elements: Sequence[str]) -> None:
    """Half a stick in the colour of each atom, the far ones first and paler."""
    depth = frame[:, 2]
    shade = 0.45 + 0.55 * (depth - depth.min()) / max(float(np.ptp(depth)), 1e-9)
    for i, j in sorted(bonds.tolist(), key=lambda bond: depth[bond].sum()):
        middle = (frame[i] + frame[j]) / 2
        for atom in (i, j):
            colour = ELEMENT_COLOURS.get(elements[atom], GREY)
            axes.plot(
                [frame[atom, 0], middle[0]], [frame[atom, 1], middle[1]],
                color=colour, alpha=shade[atom], linewidth=2.5, solid_capstyle="round",
            )  # fmt: skip
