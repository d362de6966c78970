"""The figures a run leaves behind: training curves and generated pulls beside real ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from smdgen.arrays import Floats
from smdgen.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


#: Okabe and Ito's palette, which readers with any kind of colour blindness can tell apart.
#: Source: M. Okabe and K. Ito, Color Universal Design (2008).
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
GREY = "#8C8C8C"

#: Up to so many generated pulls each is a line of its own; of more the average stands out.
FEW_PULLS = 3

#: Resolution of every picture, dots an inch.
RESOLUTION = 150


def plot_history(path: Path, history: Mapping[str, Sequence[float]]) -> None:
    """Training curves, one panel a loss term, training and validation in the same panel.

    Args:
        path: Where the PNG goes; see `save_figure`.
        history: Values an epoch for each term. A name that begins or ends with `train` or
            `validation` (as in `validation_bonds`, `train bonds`) shares a panel with its counterpart.
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
    save_figure(figure, path)


@dataclass(frozen=True)
class Band:
    """One quantity along generated and real pulls.

    Attributes:
        label: Of the y axis, with the unit.
        generated: (n_samples, n_steps + 1).
        real: (n_pulls, n_real_frames), spread evenly over the same way.
        target: (n_steps + 1,), the CV that the generator was to meet; None without one.
        average: "median" or "mean" of the pulls, drawn as a thick line; counts want the mean.
        example: Whether one of the real pulls is drawn as well.
    """

    label: str
    generated: Floats
    real: Floats
    target: Floats | None = None
    average: str = "median"
    example: bool = False


def plot_bands(path: Path, bands: Sequence[Band], times_ps: Floats) -> None:
    """Generated pulls as lines over the band and the median of the real ones, one panel a quantity.

    Args:
        path: Where the PNG goes.
        bands: What to draw.
        times_ps: (n_steps + 1,), ps. Of the generated frames, the start's first.
    """
    n_panels = len(bands)
    figure = _figure(7.0 if n_panels == 1 else 4.2 * n_panels, 4.6)
    for i, band in enumerate(bands):
        axes = figure.add_subplot(1, n_panels, i + 1)
        _plot_band(axes, band, times_ps)
        _label(axes, "time, ps", band.label)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    save_figure(figure, path)


def plot_ramachandran(path: Path, generated: Floats, real: Floats) -> None:
    """Backbone torsions of real and of generated frames side by side.

    Args:
        path: Where the PNG goes.
        generated: (n, 2), degrees. phi and psi of every residue of every generated frame.
        real: (m, 2), degrees. The same of held-out frames of the same steps; how often they are where is
            the grey shade in both panels.
    """
    edges = np.linspace(-180, 180, 61)
    figure = _figure(9.0, 4.8)
    kinds = (("held-out real pulls", real, ORANGE), ("generated pulls", generated, BLUE))
    shade = np.sqrt(np.histogram2d(real[:, 0], real[:, 1], bins=(edges, edges))[0].T)
    ticks = range(-180, 181, 90)
    for i, (name, angles, colour) in enumerate(kinds):
        axes = figure.add_subplot(1, 2, i + 1)
        axes.pcolormesh(edges, edges, shade, cmap="Greys", vmax=max(shade.max(), 1.0) * 1.6)
        shown = _thin(angles, 3000)
        label = f"{name}, {len(angles)} residues"
        axes.scatter(shown[:, 0], shown[:, 1], s=5, color=colour, alpha=0.6, linewidths=0, label=label)
        _label(axes, "phi, degrees", "psi, degrees")
        axes.set(xlim=(-180, 180), ylim=(-180, 180), xticks=ticks, yticks=ticks, aspect="equal")
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9, markerscale=3)
    save_figure(figure, path)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG, and as PDF and SVG beside it for print; the same figure gives the same bytes."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    with matplotlib.rc_context({"svg.hashsalt": "smdgen", "pdf.fonttype": 42, "svg.fonttype": "none"}):
        for kind, known in metadata.items():
            with atomic_path(path.with_suffix(f".{kind}")) as temporary:
                figure.savefig(temporary, format=kind, dpi=RESOLUTION, metadata=known)


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
        dashes = "--" if split == "validation" else "-"
        style: dict[str, Any] = {"color": colours[split], "marker": marker, "linestyle": dashes}
        axes.plot(epochs, y, label=split or "training", linewidth=1.5, **style)
        finite_values.extend(y[np.isfinite(y)])
    if finite_values and min(finite_values) > 0:
        _log_axis(axes, max(finite_values) / min(finite_values))
    axes.legend(frameon=False, fontsize=8)
    _label(axes, "epoch", term)
    _count_axis(axes)


def _plot_band(axes: "Axes", band: Band, times_ps: Floats) -> None:
    """Real pulls as a band and their average; generated ones as lines on top."""
    (n_samples, n_frames), n_real = band.generated.shape, len(band.real)
    x, x_real = times_ps, np.linspace(times_ps[0], times_ps[-1], band.real.shape[1])
    low, high = np.percentile(band.real, (5, 95), axis=0)
    average = np.median if band.average == "median" else np.mean
    name = f"5-95 % of {n_real} real pulls"
    axes.fill_between(x_real, low, high, color=ORANGE, alpha=0.25, linewidth=0, label=name)
    if band.example:
        axes.plot(x_real, band.real[0], color=ORANGE, linewidth=0.9, label="one real pull")
    middle = average(band.real, axis=0)
    name = f"{band.average} of the real pulls"
    axes.plot(x_real, middle, color=RED, linewidth=2, linestyle="--", label=name)
    few = n_samples <= FEW_PULLS
    marker = "o" if n_frames <= 31 and few else None
    name = f"generated, {n_samples} pull{'s' * (n_samples > 1)}"
    for i, sample in enumerate(band.generated):
        style: dict[str, Any] = {"linewidth": 1.6} if few else {"linewidth": 0.7, "alpha": 0.45}
        axes.plot(x, sample, color=BLUE, marker=marker, ms=4, label=name if i == 0 else None, **style)
    if not few:
        name = f"{band.average} of the generated pulls"
        axes.plot(x, average(band.generated, axis=0), color=BLUE, linewidth=2.4, label=name)
    if band.target is not None:
        axes.plot(x, band.target, color="black", linestyle=":", linewidth=1.3, label="target")
    if 0 < 20 * high.max() < band.generated.max() and min(band.generated.min(), low.min()) > 0:
        axes.set_yscale("log")
    axes.margins(x=0.02)


def _thin(rows: Floats, limit: int) -> Floats:
    """At most `limit` rows, evenly taken, so that dots do not cover each other."""
    return rows[:: max(1, -(-len(rows) // limit))]


def _count_axis(axes: "Axes") -> None:
    """Whole numbers only along x."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _log_axis(axes: "Axes", ratio: float) -> None:
    """A log axis with plain numbers; 2 and 5 are named too on a short one."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}") if ratio < 100 else NullFormatter())


def _label(axes: "Axes", x: str, y: str) -> None:
    """Axis names in one size, and no box around the panel."""
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(which="both", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
