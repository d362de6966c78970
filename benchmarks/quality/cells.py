"""The quality of generated pulls: every measure, three seeds, presets and baselines, several data sets.

    python -m benchmarks.quality.data_sets example runs/example
    python -m benchmarks.quality --data example=runs/example --work runs/quality --write docs/quality.md

Each combination of data set, method, number of training pulls and seed is a cell, kept as JSON in
`--work`, so that a run that broke goes on where it was. `--table` names a table of cells: those in it are not
made again, new ones are added to it. `--write` makes the page from the cells alone; the published page is

    python -m benchmarks.quality --table benchmarks/quality/cells.csv.gz --write docs/quality.md

Measures are defined in docs/quality-measures.md. Methods learn from the training pulls, choose on the
validation pulls (autoencoders and baselines their best epoch), and are judged on the test pulls; `--split
validation` is for making choices.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.quality.methods import LABELS, Bench, method_hash
from benchmarks.quality.page import write_page
from benchmarks.quality.score import score
from benchmarks.quality.table import read_table, write_table
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
    folder = work / "cells"
    there = known_cells(folder, options.table)
    known: dict[tuple[str, str, str, int], dict[str, RealAuc]] = {}
    for cell in cells(options):
        if cell.name in there and cell.method not in options.redo:
            print(f"{cell.name}: there already{_age(there[cell.name])}", flush=True)
            continue
        began = time.process_time()
        beside = known.setdefault((cell.data, cell.split, cell.train_pulls, cell.seed), {})
        there[cell.name] = found = compute(cell, work, beside, quick=options.quick)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / cell.name) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"{cell.name}: {time.process_time() - began:.0f} s, {_headline(found)}", flush=True)
    finished = [there[name] for name in sorted(there)]
    if options.table:
        write_table(finished, options.table)
    if options.write:
        write_page(finished, options.write)
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


def known_cells(folder: Path, table: Path | None) -> dict[str, dict[str, Any]]:
    """Cells by the names of their files: those of a table, and those in a folder, which are newer."""
    found = [*(read_table(table) if table is not None and table.exists() else [])]
    found += [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    names = ("data", "split", "train_pulls", "method", "seed")
    return {".".join([*(str(cell[name]) for name in names), "json"]): cell for cell in found}


def _age(cell: dict[str, Any]) -> str:
    same = cell["code"] == method_hash(cell["method"])
    return "" if same else ", made by other code (--redo METHOD makes it anew)"


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
    parser.add_argument(
        "--table", metavar="FILE", type=Path, help="table of cells, csv.gz; new ones are added"
    )
    parser.add_argument("--methods", nargs="+", default=list(LABELS), choices=list(LABELS), metavar="METHOD")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--train-pulls", nargs="+", default=["all"], metavar="N", help="4 8 16 all")
    parser.add_argument("--split", default="test", help="test, or validation while choices are made")
    parser.add_argument("--redo", nargs="+", default=[], metavar="METHOD", help="make these cells anew")
    parser.add_argument("--quick", action="store_true", help="one epoch each, to try the code")
    parser.add_argument("--write", metavar="PAGE", type=Path, help="make this page of all cells")
    return parser.parse_args(arguments)
