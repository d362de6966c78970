"""docs/quality.md and its figure, from the cells of the quality benchmark alone."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.methods import LABELS
from smdgen.files import atomic_path
from smdgen.quality.goals import GOALS, Goal, at_most
from smdgen.quality.goals import judge as judge_measure

Cells = list[dict[str, Any]]

#: Data sets whose two-sample AUC has to meet the goal of the table, and the goal of all others.
STRICT_DATA = ("example", "vacuum")
AUC_GOAL = at_most(0.60, decimals=2)

#: What is said of the pulls judged on, by whether they are the test pulls.
_SEEN = {True: ", which no network saw and no choice was made on", False: ", on which choices are made"}

#: Rows of the table of few pulls.
FEW_KEYS = (
    "reconstruction", "bond_energy_ratio", "angle_energy_ratio", "torsion_energy_ratio", "in_band_share",
    "target_error", "nearest_real", "coverage", "diversity", "phi_jsd", "psi_jsd", "nearest_training", "auc",
    "one_step_auc",
)  # fmt: skip

#: Methods in the table of goals.
BESIDE_GOALS = ("default", "paper", "train")


def write_page(cells: Cells, page: Path) -> None:
    """The page and, beside it, images/quality.png.

    Args:
        cells: As the benchmark makes them.
        page: Markdown file.
    """
    if not cells:
        raise SystemExit("no cells to write a page of; give --table, or make some with --data")
    image = page.parent / "images" / "quality.png"
    image.parent.mkdir(parents=True, exist_ok=True)
    plot(cells, image)
    with atomic_path(page) as temporary:
        temporary.write_text(markdown(cells), encoding="utf-8")


def markdown(cells: Cells) -> str:
    """The whole page."""
    splits = sorted({cell["split"] for cell in cells})
    if len(splits) > 1:
        raise SystemExit(f"cells of several splits ({', '.join(splits)}); give each a --work of its own")
    lines = ["# Quality of generated pulls", "", *_how(cells, splits[0]), ""]
    lines += ["![Two-sample AUC of every method](images/quality.png)", ""]
    for data in _values(cells, "data"):
        lines += _data_set([cell for cell in cells if cell["data"] == data], data)
    return "\n".join([*lines, *_times(cells)]).rstrip() + "\n"


def _how(cells: Cells, split: str) -> list[str]:
    lines = ["Made by", "", "```"]
    lines += [f"python -m benchmarks.quality.data_sets {name} runs/{name}" for name in _values(cells, "data")]
    lines += [f"python -m benchmarks.quality {options}" for options in _runs(cells, split)]
    lines += ["python -m benchmarks.quality --work runs/quality --write docs/quality.md", "```", "",
              "The cells of this page are in `benchmarks/quality/cells.csv.gz`; `--table` with it "
              "writes the page again.",
              ""]  # fmt: skip
    seeds = sorted({len(_values(_same(cells, *group), "seed")) for group in _groups(cells)})
    if any(cell["quick"] for cell in cells):
        lines += ["**Made with --quick: one epoch each, to try the code. These numbers mean nothing.**", ""]
    lines.append(
        f"Judged on {split} pulls{_SEEN[split == 'test']}: 10 steps, 4 samples from the first frame of each; "
        f"mean +- standard deviation of {' or '.join(map(str, seeds))} seed(s). Every measure is defined in "
        "[quality-measures.md](quality-measures.md). Goals are judged on the mean; those that ask for no "
        "more faults than real, or for all steps, must be met by every seed."
    )
    if any(cell["method"] == "train" for cell in cells):
        lines += ["", "*Training pulls* are judged as if they were generated: where these miss a goal, the "
                  "test pulls differ from other real pulls by that much."]  # fmt: skip
    mixed = [m for m in _methods(cells) if len({cell["code"] for cell in cells if cell["method"] == m}) > 1]
    if mixed:
        lines += ["", f"Made by several versions of the code: {', '.join(mixed)}; make these cells anew."]
    return lines


def _runs(cells: Cells, split: str) -> list[str]:
    """Options of the runs that make these cells: methods with the same seeds share one."""
    runs: dict[tuple[str, str, str], list[str]] = {}
    for data, pulls, method in _groups(cells):
        seeds = _joined(sorted(_values(_same(cells, data, pulls, method), "seed")))
        runs.setdefault((data, pulls, seeds), []).append(method)
    lines = []
    for (data, pulls, seeds), methods in runs.items():
        few = "" if pulls == "all" else f" --train-pulls {pulls}"
        only = "" if methods == list(LABELS) else f" --methods {_joined(methods)}"
        judged = "" if split == "test" else f" --split {split}"
        lines.append(f"--data {data}=runs/{data} --seeds {seeds}{few}{only}{judged}")
    return lines


def _groups(cells: Cells) -> list[tuple[str, str, str]]:
    """(data, training pulls, method) of the cells, in the order of the page."""
    groups = {(cell["data"], cell["train_pulls"], cell["method"]) for cell in cells}
    return sorted(groups, key=lambda g: (g[0], _order(g[1]), list(LABELS).index(g[2])))


def _same(cells: Cells, data: str, pulls: str, method: str) -> Cells:
    return [c for c in cells if (c["data"], c["train_pulls"], c["method"]) == (data, pulls, method)]


def _data_set(cells: Cells, data: str) -> list[str]:
    whole = [cell for cell in cells if cell["train_pulls"] == "all"] or cells
    pulls = whole[0]["pulls"]
    lines = [
        f"## {data[:1].upper()}{data[1:]}", "",
        f"{pulls['train']} training, {pulls['validation']} validation and {pulls['test']} test pulls of "
        f"{whole[0]['n_frames']} frames; {whole[0]['n_atoms']} modelled atoms.", "",
    ]  # fmt: skip
    methods = _methods(whole)
    beside, others = [m for m in methods if m in BESIDE_GOALS], [m for m in methods if m not in BESIDE_GOALS]
    if beside:
        lines += [*_table(whole, beside, data, goals=True), "", *_verdict(whole, data, "all")]
    if others:
        lines += ["### Baselines on the same data", "", *_table(whole, others, data, goals=False), ""]
    few = sorted(_values(cells, "train_pulls"), key=_order)
    if len(few) > 1:
        lines += _few(cells, data, few)
    return lines


def _table(cells: Cells, methods: Sequence[str], data: str, *, goals: bool) -> list[str]:
    """A row a measure, a column a method."""
    head = ["measure", *(["goal"] if goals else []), "real", *(LABELS[method] for method in methods)]
    lines = _head(head)
    for key, label, goal in _measures(cells, data, "all"):
        row = [label, *([goal.text if goal else ""] if goals else []), _show(_numbers(cells, key, "real"))]
        for method in methods:
            chosen = [cell for cell in cells if cell["method"] == method]
            text = _show(_numbers(chosen, key, "generated"))
            met = judge(chosen, key, goal) if goals and method == "default" else None
            row.append(text if met is None else f"{text} {'met' if met else '**missed**'}")
        lines.append(_line(row))
    notes = {note for cell in cells for note in cell["notes"]}
    return [*lines, *(["", *(f"* {note}" for note in sorted(notes))] if goals and notes else [])]


def _verdict(cells: Cells, data: str, pulls: str) -> list[str]:
    """How many goals the default meets, and which it misses."""
    chosen = [cell for cell in cells if cell["method"] == "default"]
    if not chosen:
        return []
    judged = {}
    for key, label, goal in _measures(chosen, data, pulls):
        met = judge(chosen, key, goal)
        if met is not None:
            judged[label] = met
    missed = [label for label, met in judged.items() if not met]
    text = f"Default meets {len(judged) - len(missed)} of {len(judged)} goals"
    text += f"; missed: {'; '.join(missed)}." if missed else "."
    rounded = _numbers(chosen, "auc_rounded", "generated")
    if rounded:
        text += (
            " Bonds that MD holds rigid differ by rounding only, and the two-sample test sees other "
            f"rounding: with bond lengths to 0.0001 A its AUC is {_show(rounded)}."
        )
    return [text, ""]


def _few(cells: Cells, data: str, counts: Sequence[str]) -> list[str]:
    lines = []
    for method in _methods(cells):
        mine = {n: [c for c in cells if c["method"] == method and c["train_pulls"] == n] for n in counts}
        if sum(bool(chosen) for chosen in mine.values()) < 2:
            continue
        lines += [f"### {LABELS[method]}: few training pulls", "", *_head(["measure", "real", *counts])]
        for key, label, _ in _measures(cells, data, "all"):
            if key in FEW_KEYS:
                shown = [_show(_numbers(chosen, key, "generated")) for chosen in mine.values()]
                lines.append(_line([label, _show(_numbers(mine[counts[-1]], key, "real")), *shown]))
        lines.append("")
        if method == "default" and mine.get("16"):
            met = judge(mine["16"], "auc", AUC_GOAL)
            lines += [f"AUC goal at 16 training pulls, {AUC_GOAL.text}: {'met' if met else 'missed'}.", ""]
    return lines


def _times(cells: Cells) -> list[str]:
    """CPU seconds."""
    parts = sorted({name for cell in cells for name in cell["seconds"]})
    names = {"vae": "train-vae", "lstm": "train-lstm", "method": "baseline", "score": "generate and score"}
    lines = [
        "## Processor time of a cell, s",
        "",
        *_head(["data", "training pulls", "method", *(names[p] for p in parts)]),
    ]
    for data, pulls, method in _groups(cells):
        same = _same(cells, data, pulls, method)
        values = [[c["seconds"][part] for c in same if part in c["seconds"]] for part in parts]
        lines.append(
            _line([data, pulls, LABELS[method], *(f"{np.mean(v):.0f}" if v else "" for v in values)])
        )
    return lines


def judge(cells: Cells, key: str, goal: Goal | None) -> bool | None:
    """Whether the mean over the seeds, or every seed, meets the goal.

    Args:
        cells: Of one method.
        key: The measure.
        goal: What is wanted.

    Returns:
        None without a goal or the real measure it asks for.
    """
    means = [_mean(_numbers(cells, key, column)) for column in ("generated", "real")]
    met = judge_measure(goal, *means)
    if goal is None or met is None or not goal.every_seed:
        return met
    return all(_row(cell, key)["met"] for cell in cells if _row(cell, key))


def plot(cells: Cells, path: Path) -> None:
    """Two-sample AUC of every method, and of the default against the training pulls."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    names, methods = _values(cells, "data"), _methods(cells)
    palette, markers = ("#0072B2", "#E69F00", "#CC79A7", "#000000", "#56B4E9"), "os^Dv"
    for i, data in enumerate(names):
        look = {"color": palette[i % 5], "marker": markers[i % 5], "capsize": 3, "label": data}
        whole = [c for c in cells if c["data"] == data and c["train_pulls"] == "all"]
        points = [(m, _numbers([c for c in whole if c["method"] == m], "auc", "generated")) for m in methods]
        places = np.arange(len(methods)) + (i - (len(names) - 1) / 2) * 0.25
        means = [np.mean(values) if values else np.nan for _, values in points]
        spreads = [np.std(values) if values else np.nan for _, values in points]
        left.errorbar(places, means, spreads, linestyle="", **look)
        mine = [c for c in cells if c["data"] == data and c["method"] == "default"]
        counts = {c["pulls"]["train"]: [] for c in mine}
        for c in mine:
            counts[c["pulls"]["train"]] += _numbers([c], "auc", "generated")
        known = sorted((n, v) for n, v in counts.items() if v)
        right.errorbar([n for n, _ in known], [np.mean(v) for _, v in known], [np.std(v) for _, v in known],
                       linestyle="-", **look)  # fmt: skip
    left.set_xticks(np.arange(len(methods)), [LABELS[m] for m in methods], rotation=30, ha="right")
    right.set_xlabel("training pulls (default)")
    for axes in (left, right):
        axes.axhline(0.5, color="grey", linewidth=0.8)
        axes.set_ylabel("two-sample AUC (0.5: as real)")
        axes.set_ylim(0.4, 1.03)
    left.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})


def _measures(cells: Cells, data: str, pulls: str) -> list[tuple[str, str, Goal | None]]:
    """Key, label and goal of every measure that any cell has, in the order of the table."""
    found: dict[str, tuple[str, str, Goal | None]] = {}
    for cell in sorted(cells, key=lambda c: -len(c["rows"])):
        for row in cell["rows"]:
            goal = _goal(row["key"], data, pulls) if row["goal"] else None
            found.setdefault(row["key"], (row["key"], row["label"].replace("|", "\\|"), goal))
    return list(found.values())


def _goal(key: str, data: str, pulls: str) -> Goal:
    """The goal of a measure; less is asked of the AUC on hard data and after few training pulls."""
    strict = data in STRICT_DATA and pulls == "all"
    return GOALS[key] if key != "auc" or strict else AUC_GOAL


def _row(cell: dict[str, Any], key: str) -> dict[str, Any]:
    row: dict[str, Any] = next((row for row in cell["rows"] if row["key"] == key), {})
    return row


def _numbers(cells: Cells, key: str, column: str) -> list[float]:
    found = (_row(cell, key).get(column) for cell in cells)
    return [value for value in found if value is not None]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _show(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean, spread = float(np.mean(values)), float(np.std(values))
    digits = 3 if abs(mean) < 100 else 0
    return f"{mean:.{digits}f}" + (f" +- {spread:.{digits}f}" if len(values) > 1 else "")


def _values(cells: Cells, key: str) -> list[Any]:
    return list(dict.fromkeys(cell[key] for cell in sorted(cells, key=lambda c: str(c[key]))))


def _methods(cells: Cells) -> list[str]:
    return [method for method in LABELS if any(cell["method"] == method for cell in cells)]


def _order(train_pulls: str) -> float:
    return math.inf if train_pulls == "all" else float(train_pulls)


def _joined(values: Iterable[Any]) -> str:
    return " ".join(map(str, values))


def _head(columns: Sequence[str]) -> list[str]:
    return [_line(columns), "|" + "---|" * len(columns)]


def _line(columns: Sequence[str]) -> str:
    return f"| {' | '.join(columns)} |"
