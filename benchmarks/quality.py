"""The quality of generated pulls: every figure, three seeds, presets and baselines, several data sets.

    python benchmarks/data_sets.py example runs/example
    python benchmarks/quality.py --data example=runs/example --work runs/quality --write docs/quality.md

Each combination of data set, method, number of training pulls and seed is a cell, kept as JSON in
`--work`, so that a run that broke goes on where it was; `--write` makes the page from the cells alone, and
`--cells benchmarks/quality_cells` from those of the published page.
Figures are defined in docs/quality-figures.md. Methods learn from the training pulls, choose on the
validation pulls (autoencoders and baselines their best epoch), and are judged on the test pulls; `--split
validation` is for making choices.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from quality_methods import LABELS, Bench, method_hash
from quality_page import write_page
from quality_score import score
from smdgen.files import atomic_path
from smdgen.quality.auc import RealAuc
from smdgen.store.run_record import RunFolder


@dataclass(frozen=True)
class Cell:
    """One cell of the benchmark."""

    data: str
    source: Path  # dataset.h5
    method: str
    train_pulls: str  # "all" or a number
    seed: int
    split: str

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.data}.{self.split}.{self.train_pulls}.{self.method}.{self.seed}.json"


def main(arguments: Sequence[str]) -> None:
    """Make the cells that are missing, then the page."""
    options = _options(arguments)
    torch.set_num_threads(1)
    work = Path(options.work) / "quick" if options.quick else Path(options.work)
    folder = Path(options.cells) if options.cells else work / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    known: dict[tuple[str, str, str, int], dict[str, RealAuc]] = {}
    for cell in cells(options):
        path = folder / cell.name
        if path.exists() and cell.method not in options.redo:
            print(f"{cell.name}: there already{_age(path, cell.method)}", flush=True)
            continue
        began = time.process_time()
        beside = known.setdefault((cell.data, cell.split, cell.train_pulls, cell.seed), {})
        found = compute(cell, work, beside, quick=options.quick)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"{cell.name}: {time.process_time() - began:.0f} s, {_headline(found)}", flush=True)
    if options.write:
        write_page(folder, Path(options.write))
        print(f"wrote {options.write}")


def cells(options: argparse.Namespace) -> Iterator[Cell]:
    """All cells asked for, the cheap way round: what shares networks stands together."""
    for entry in options.data:
        name, equals, folder = entry.partition("=")
        source = RunFolder(Path(folder)).dataset
        if not equals or not source.exists():
            raise SystemExit(f"--data {entry}: expected NAME=FOLDER with a dataset.h5 of `smdgen prepare`")
        for train_pulls in options.train_pulls:
            for seed in options.seeds:
                for method in options.methods:
                    yield Cell(name, source, method, train_pulls, seed, options.split)


def compute(cell: Cell, work: Path, known: dict[str, RealAuc], *, quick: bool) -> dict[str, Any]:
    """Train, generate, score."""
    n_train = None if cell.train_pulls == "all" else int(cell.train_pulls)
    folder = work / cell.data / f"{cell.train_pulls}-{cell.seed}"
    bench = Bench(folder, cell.source, n_train, cell.seed, quick=quick)
    generator = bench.generator(cell.method)
    began = time.process_time()
    found = score(generator, bench.dataset, tuple(cell.split.split("+")), cell.seed, known)
    bench.seconds["score"] = time.process_time() - began
    counts = {split: sum(pull.split == split for pull in bench.dataset.pulls) for split in
              ("train", "validation", "test")}  # fmt: skip
    return {
        "data": cell.data, "method": cell.method, "train_pulls": cell.train_pulls, "seed": cell.seed,
        "split": cell.split, "quick": quick, "pulls": counts, "code": method_hash(cell.method),
        "n_atoms": bench.dataset.structure.n_atoms, "n_frames": bench.dataset.pulls[0].n_frames,
        "seconds": {name: round(value, 1) for name, value in bench.seconds.items()}, **found,
    }  # fmt: skip


def _age(path: Path, method: str) -> str:
    made = json.loads(path.read_text(encoding="utf-8"))["code"]
    return "" if made == method_hash(method) else ", made by other code (--redo METHOD makes it anew)"


def _headline(found: dict[str, Any]) -> str:
    values = {row["key"]: row["generated"] for row in found["rows"]}
    shown = {key: values.get(key) for key in ("auc", "one_step_auc", "nearest_real", "diversity")}
    return ", ".join(f"{key} {value:.3f}" for key, value in shown.items() if value is not None)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", nargs="+", default=[], metavar="NAME=FOLDER", help="folders of `smdgen prepare`"
    )
    parser.add_argument("--work", default="runs/quality", help="folder of the networks (%(default)s)")
    parser.add_argument("--cells", metavar="FOLDER", help="folder of the cells (cells in --work)")
    parser.add_argument("--methods", nargs="+", default=list(LABELS), choices=list(LABELS), metavar="METHOD")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--train-pulls", nargs="+", default=["all"], metavar="N", help="4 8 16 all")
    parser.add_argument("--split", default="test", help="test, or validation while choices are made")
    parser.add_argument("--redo", nargs="+", default=[], metavar="METHOD", help="make these cells anew")
    parser.add_argument("--quick", action="store_true", help="one epoch each, to try the code")
    parser.add_argument("--write", metavar="PAGE", help="make this page of all cells in --work")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
