"""The quality table of generated pulls: real against real, the default preset and the paper's.

    python benchmarks/quality.py                      the example's test pulls, one seed, a few minutes
    python benchmarks/quality.py --seeds 3 --write docs/quality.md

Every figure is defined in docs/quality-figures.md. Models train on the training pulls, choose their
best epoch on the validation pulls, and are judged once on the test pulls.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from smdgen.config import PrepareConfig, TrainLstmConfig, TrainVaeConfig
from smdgen.data.dataset import Dataset, Pull, open_dataset
from smdgen.nets.generate import PullModel, build_model, generate
from smdgen.physics.energy import BondedEnergy
from smdgen.physics.quality import QualityTable, quality_table
from smdgen.progress import Silent
from smdgen.stages import prepare, train_lstm, train_vae
from smdgen.store.artifacts import read_model
from smdgen.store.run_record import RunFolder

EXAMPLE = Path(__file__).parent.parent / "examples" / "deca_alanine"
N_STEPS = 10
SAMPLES_PER_PULL = 4


@dataclass(frozen=True)
class Trained:
    """One trained run and what it took."""

    folder: RunFolder
    seconds: tuple[float, float]  # train-vae, train-lstm


def main(arguments: Sequence[str]) -> None:
    """Train, generate, score, print."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    with TemporaryDirectory() as temporary:
        work = Path(options.work or temporary)
        tables, times = {}, {}
        for preset in options.presets:
            runs = [train(work, preset, seed, options) for seed in range(options.seeds)]
            times[preset] = np.mean([run.seconds for run in runs], axis=0)
            tables[preset] = [score(run.folder, seed, options.split) for seed, run in enumerate(runs)]
        dataset = open_dataset(RunFolder(work / f"{options.presets[0]}-0").dataset)
        text = report(tables, times, dataset, options)
    print(text)
    if options.write:
        Path(options.write).write_text(text + "\n", encoding="utf-8")


def train(work: Path, preset: str, seed: int, options: argparse.Namespace) -> Trained:
    """A run folder with both networks, made by the stages themselves; made before, it is used as it is."""
    folder = RunFolder(work / f"{preset}-{seed}")
    if folder.lstm.exists() and not options.force:
        return Trained(folder, (float("nan"), float("nan")))
    pulls = tuple(sorted(Path(options.data).glob("pulls/*.dcd")))
    topology = next(iter(sorted(Path(options.data).glob("*.psf"))))
    prepare.run(PrepareConfig(pulls, topology, select=options.select, force=True), folder.path, Silent())
    began = time.perf_counter()
    train_vae.run(
        TrainVaeConfig(preset=preset, seed=seed, threads=options.threads, force=True), folder.path, Silent()
    )
    between = time.perf_counter()
    train_lstm.run(TrainLstmConfig(seed=seed, threads=options.threads, force=True), folder.path, Silent())
    return Trained(folder, (between - began, time.perf_counter() - between))


def score(folder: RunFolder, seed: int, split: str) -> QualityTable:
    """Rollouts from the first frame of every held-out pull, against those pulls."""
    dataset = open_dataset(folder.dataset)
    model = build_model(*read_model(folder.vae, "vae"), *read_model(folder.lstm, "lstm"))
    held_out = [pull for pull in dataset.pulls if pull.split in split.split("+")]
    real = torch.stack([steps_of(dataset, pull) for pull in held_out])
    rollouts = [
        generate(model, x[0], N_STEPS, SAMPLES_PER_PULL, None, 1000 * seed + i) for i, x in enumerate(real)
    ]
    return quality_table(
        torch.cat([rollout.positions[:, 1:] for rollout in rollouts]).double(),
        real[:, 1:].double(),
        structure=dataset.structure,
        energy=BondedEnergy(dataset.terms, "cpu", torch.float64),
        cv=dataset.cv,
        starts=np.repeat(np.arange(len(real)), SAMPLES_PER_PULL),
        targets=torch.cat([rollout.aims[:, 1:] for rollout in rollouts]).double().numpy(),
        training=torch.stack(
            [torch.from_numpy(dataset.positions(pull)) for pull in dataset.of_split("train")]
        ).double(),
        training_frames=frames_of(dataset.of_split("train")[0])[1:] - dataset.of_split("train")[0].start,
        reconstruction=reconstruction(model, dataset, held_out),
        seed=seed,
    )


def frames_of(pull: Pull) -> Any:
    """(N_STEPS + 1,). The frames of a pull that belong to the steps of a rollout."""
    return np.linspace(pull.start, pull.stop - 1, N_STEPS + 1).round().astype(np.int64)


def steps_of(dataset: Dataset, pull: Pull) -> torch.Tensor:
    """(N_STEPS + 1, n_atoms, 3), A."""
    return torch.from_numpy(dataset.positions(frames_of(pull)))


@torch.no_grad()
def reconstruction(
    model: PullModel, dataset: Dataset, pulls: Sequence[Pull]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Held-out frames through the autoencoder, and the frames themselves."""
    x = torch.cat([torch.from_numpy(dataset.positions(pull)) for pull in pulls])
    return model.vae.decode(model.vae.encode(x)[0]), x


def report(
    tables: dict[str, list[QualityTable]],
    times: dict[str, Any],
    dataset: Dataset,
    options: argparse.Namespace,
) -> str:
    """The table in Markdown."""
    first = next(iter(tables.values()))[0]
    counts = {split: len(dataset.of_split(split)) for split in ("train", "validation", "test")}  # type: ignore[arg-type]
    lines = [
        "# Quality of generated pulls", "",
        f"Printed by `python benchmarks/quality.py {' '.join(options.arguments)}`".rstrip() + ".", "",
        f"{counts['train']} training, {counts['validation']} validation and {counts['test']} test pulls; "
        f"judged on {options.split}; {N_STEPS} steps, {SAMPLES_PER_PULL} samples from each held-out start; "
        f"{options.seeds} seed(s), mean +- spread. Figures: [quality-figures.md](quality-figures.md).", "",
        "| figure | goal | real | " + " | ".join(tables) + " |", "|---|---|---|" + "---|" * len(tables),
    ]  # fmt: skip
    for row in first.rows:
        real = np.mean([table.row(row.key).real for table in next(iter(tables.values()))])
        cells = []
        for several in tables.values():
            values = [table.row(row.key).generated for table in several]
            spread = f" +- {np.std(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{spread}")
        label = row.label.replace("|", "\\|")
        lines.append(f"| {label} | {row.goal} | {real:.3f} | " + " | ".join(cells) + " |")
    lines += ["", *(f"* {note}" for note in first.notes)]
    for preset, (vae, lstm) in times.items():
        lines.append(
            f"* {preset}: train-vae {vae:.0f} s, train-lstm {lstm:.0f} s ({options.threads} threads)"
        )
    return "\n".join(lines)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=str(EXAMPLE), help="folder with a PSF and pulls/*.dcd")
    parser.add_argument("--select", default=PrepareConfig.select)
    parser.add_argument("--presets", nargs="+", default=["default", "paper"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--split", default="test", help="test, or validation while choices are made")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", help="keep the run folders here")
    parser.add_argument("--force", action="store_true", help="train again what lies in --work")
    parser.add_argument("--write", help="also write the table to this file")
    options = parser.parse_args(arguments)
    options.arguments = list(arguments)
    return options


if __name__ == "__main__":
    main(sys.argv[1:])
