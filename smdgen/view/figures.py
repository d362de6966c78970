"""The figures a run leaves behind: training curves and generated pulls beside real ones."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from smdgen.store.artifacts import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's palette, which readers with any kind of colour blindness can tell apart.
#: Source: M. Okabe and K. Ito, Color Universal Design (2008).
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
GREY = "#8C8C8C"

#: Resolution of every picture, dots an inch.
RESOLUTION = 150


def plot_history(path: Path, history: Mapping[str, Sequence[float]], title: str = "") -> None:
    """Training curves, one panel a loss term, training and validation in the same panel.

    Args:
        path: Where the PNG goes.
        history: Values an epoch for each term. A name that begins or ends with `train` or
            `validation` (as in `validation_bonds`, `train bonds`) shares a panel with its counterpart.
        title: Shown above the panels.
    """
    panels: dict[str, dict[str, Sequence[float]]] = {}
    for name, values in history.items():
        term, split = _term_and_split(name)
        panels.setdefault(term, {})[split] = values
    n_columns = min(3, max(1, len(panels)))
    n_rows = max(1, math.ceil(len(panels) / n_columns))
    figure = _figure(3.6 * n_columns, 2.7 * n_rows + 0.4)
    for i, (term, curves) in enumerate(panels.items()):
        axes = figure.add_subplot(n_rows, n_columns, i + 1)
        _plot_term(axes, term, curves)
    figure.suptitle(title)
    save_figure(figure, path)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG in one piece; the same figure gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=RESOLUTION, metadata={"Software": None})


def _figure(width: float, height: float) -> "Figure":
    """An empty figure of a size in inches, outside pyplot so that nothing global is touched."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _term_and_split(name: str) -> tuple[str, str]:
    """`validation_bond_energy` -> (`bond energy`, `validation`); no split: (name, ``)."""
    words = name.replace("_", " ").replace("/", " ").split()
    for split in ("train", "validation"):
        if split in words and len(words) > 1:
            words.remove(split)
            return " ".join(words), split
    return " ".join(words), ""


def _plot_term(axes: "Axes", term: str, curves: Mapping[str, Sequence[float]]) -> None:
    """One loss term against the epoch; a log axis when every value is above zero."""
    colours = {"train": BLUE, "validation": ORANGE, "": BLUE}
    finite_values: list[float] = []
    for split, values in curves.items():
        y = np.asarray(values, dtype=float)
        epochs = np.arange(1, len(y) + 1)
        marker = "o" if len(y) < 3 else None
        axes.plot(epochs, y, color=colours[split], marker=marker, linewidth=1.5, label=split or None)
        finite_values.extend(y[np.isfinite(y)])
    if finite_values and min(finite_values) > 0:
        _log_axis(axes, max(finite_values) / min(finite_values))
    if any(curves):
        axes.legend(frameon=False, fontsize=8)
    _label(axes, term, "epoch", "")
    axes.xaxis.get_major_locator().set_params(integer=True)


def _log_axis(axes: "Axes", ratio: float) -> None:
    """A log axis with plain numbers; 2 and 5 are named too on a short one."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}") if ratio < 100 else NullFormatter())


def _label(axes: "Axes", title: str, x: str, y: str, **options: Any) -> None:
    """Title and axis names in one size, and no box around the panel."""
    axes.set_title(title, fontsize=10, **options)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(which="both", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
