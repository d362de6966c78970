"""Long and fine rollouts: the same pull in 10, 50 and 200 steps, beside real pulls at the same steps.

    python -m benchmarks.quality.long_rollouts       the shipped model, the example's test pulls
    python -m benchmarks.quality.long_rollouts --run RUN --steps 10 100

One rollout from the first frame of every held-out pull. A column for each number of steps, generated and
real; the last fifth of a rollout beside its first fifth shows drift, the way of the CV a frozen distance,
the longest bond an explosion. Nothing is judged against a goal here: read each number beside the real one.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

import smdgen
from smdgen.config import PrepareConfig
from smdgen.dataset.dataset import Dataset, open_dataset
from smdgen.forcefield.energy import BondedEnergy
from smdgen.geometry import validity
from smdgen.geometry.bonds import bonds_or_chain
from smdgen.geometry.cv_paths import difference
from smdgen.geometry.cvs import evaluate
from smdgen.geometry.frames import bond_lengths, rmsd
from smdgen.method.model import PullModel
from smdgen.method.rollout import generate
from smdgen.progress import Silent
from smdgen.quality import similarity
from smdgen.quality.features import frame_features, joined
from smdgen.quality.two_sample import two_sample_auc
from smdgen.stages import prepare
from smdgen.store.models import AutoencoderFile, DynamicsFile, build_model
from smdgen.store.run_record import RunFolder

EXAMPLE = Path(__file__).parents[2] / "examples" / "deca_alanine"
SHIPPED = Path(smdgen.__file__).parent / "models" / "deca_alanine"

#: Part of a pull that counts as its beginning and as its end.
PART = 5


def main(arguments: Sequence[str]) -> None:
    """Generate, measure, print."""
    options = _options(arguments)
    torch.set_num_threads(1)
    with TemporaryDirectory() as temporary:
        dataset, model = _open(options.run, Path(temporary))
        columns = []
        for n_steps in options.steps:
            generated, real = pulls_of(dataset, model, options.split, n_steps, options.seed)
            columns += [measure(generated, dataset, generated, real), measure(real, dataset)]
            print(f"{n_steps} steps: done", file=sys.stderr, flush=True)
    print(table(columns, options.steps))
    print(f"\n{len(real)} {options.split} pulls, one rollout from the first frame of each.")


def pulls_of(
    dataset: Dataset, model: PullModel, split: str, n_steps: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Generated and real pulls, (n_pulls, n_steps + 1, n_atoms, 3) each, A; frame 0 is the same in both."""
    held_out = dataset.of_split(split)  # type: ignore[arg-type]
    rows = [np.linspace(pull.start, pull.stop - 1, n_steps + 1).round().astype(np.int64) for pull in held_out]
    real = torch.stack([torch.from_numpy(dataset.positions(frames)) for frames in rows])
    made = [generate(model, x[0], n_steps, 1, None, seed + i).positions[0] for i, x in enumerate(real)]
    return torch.stack(made).double(), real.double()


def measure(
    x: Tensor, dataset: Dataset, generated: Tensor | None = None, real: Tensor | None = None
) -> dict[str, float]:
    """The measures of one set of pulls.

    Args:
        x: (n_pulls, n_steps + 1, n_atoms, 3), A. With the start.
        dataset: Says which atoms, energies and CV.
        generated: (n_pulls, n_steps + 1, n_atoms, 3), A. With `real`: also the two-sample test of both.
        real: Likewise; pull i of both has the same start.
    """
    steps, cv = x[:, 1:], evaluate(dataset.cv, x).numpy()
    moves = difference(cv[:, 1:], cv[:, :-1], dataset.cv.periodic)
    energies = BondedEnergy(dataset.terms, dtype=torch.float64).three(steps).numpy()
    n_part = max(1, steps.shape[1] // PART)
    late = similarity.energy_ratio(energies[:, -n_part:], energies[:, :n_part])
    unit, limits = dataset.cv.unit, validity.clash_limits(dataset.structure)
    measures = {
        "two-sample AUC": float("nan") if real is None else _auc(generated, real, dataset),
        "frame-to-frame RMSD, A": float(rmsd(x[:, 1:], x[:, :-1]).mean()),
        f"way of {dataset.cv.name}, {unit}": float(np.abs(moves.sum(axis=1)).mean()),
        f"{dataset.cv.name} from step to step, {unit}": float(np.abs(moves).mean()),
        "frames with a clash, share": float(validity.clashing(steps.flatten(0, 1), limits).mean()),
        "longest bond, A": float(bond_lengths(x, bonds_or_chain(dataset.structure)).max()),
    }
    for i, name in enumerate(("bond", "angle", "torsion")):
        measures[f"{name} energy, median, kcal/mol"] = float(np.median(energies[..., i]))
        measures[f"{name} energy, last fifth / first fifth"] = float(late[i])
    return measures


def table(columns: Sequence[dict[str, float]], steps: Sequence[int]) -> str:
    """The measures in Markdown: generated and real for each number of steps."""
    heads = [f"{n} steps, {which}" for n in steps for which in ("generated", "real")]
    lines = ["| measure | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    for name in columns[0]:
        cells = ["" if np.isnan(column[name]) else f"{column[name]:.3f}" for column in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _auc(generated: Tensor | None, real: Tensor, dataset: Dataset) -> float:
    """Real against generated frames, without the starts; both pulls of a start are in one group."""
    assert generated is not None
    groups = np.repeat(np.arange(len(real)), real.shape[1] - 1)
    first, second = (
        joined(frame_features(x[:, 1:].flatten(0, 1), dataset.structure)) for x in (real, generated)
    )
    return two_sample_auc(first, second, groups, groups).auc


def _open(run: str | None, temporary: Path) -> tuple[Dataset, PullModel]:
    """A run's dataset and model, or the example's dataset and the shipped model."""
    folder = RunFolder(Path(run) if run else temporary / "run")
    models = folder.path if run else SHIPPED
    if not run:
        pulls = tuple(sorted((EXAMPLE / "pulls").glob("*.dcd")))
        config = PrepareConfig(pulls, EXAMPLE / "deca_alanine.psf")
        prepare.run(config, folder.path, Silent())
    vae = AutoencoderFile.open(models / "vae.safetensors")
    dynamics = DynamicsFile.open(models / "lstm.safetensors")
    dataset = open_dataset(folder.dataset)
    return dataset, build_model(vae, dynamics, dataset.structure)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", help="run folder with dataset and models; default: the shipped model")
    parser.add_argument("--steps", nargs="+", type=int, default=[10, 50, 200])
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
