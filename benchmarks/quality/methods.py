"""What the quality benchmark compares: each method trained on a run folder, ready to generate."""

import ast
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.quality.baseline_nets import latent_lstm, latent_mlp, raw_lstm
from benchmarks.quality.baselines import (
    Generator,
    RealPulls,
    mean_path,
    principal_path,
    straight_line,
    training_pulls,
)
from smdgen.config import TrainLstmConfig, TrainVaeConfig
from smdgen.dataset.dataset import Dataset, Pull, open_dataset, write_dataset
from smdgen.method.autoencoder import FeatureVae
from smdgen.method.model import PullModel
from smdgen.method.rollout import generate, next_frames
from smdgen.progress import Silent
from smdgen.stages import train_lstm, train_vae
from smdgen.store.models import AutoencoderFile, DynamicsFile, build_model
from smdgen.store.run_record import RunFolder

N_STEPS = 10

#: Validation pulls beside so many training pulls: the shares of `smdgen prepare`.
VALIDATION_SHARE = 0.25

#: Epochs with --quick, to try the code: the results mean nothing.
QUICK_EPOCHS = 1

#: Methods on the latents of the default autoencoder.
NEED_VAE = ("mlp", "lstm_point", "lstm_mixture", "lstm_flow")

#: Sources on which the measures of a method depend; the last are those of baselines alone.
ROOT = Path(__file__).resolve().parents[2]
NETWORK_SOURCES = (
    "smdgen/method/**/*.py", "smdgen/training/*.py", "smdgen/stages/*train*.py",
    "smdgen/config.py", "smdgen/dataset/frames.py",
    "benchmarks/quality/methods.py",
)  # fmt: skip
SCORE_SOURCES = (
    "smdgen/quality/*.py",
    "smdgen/geometry/*.py",
    "smdgen/forcefield/*.py",
    "benchmarks/quality/score.py",
)
BASELINE_SOURCES = ("benchmarks/quality/baseline*.py",)

LABELS = {
    "default": "default",
    "paper": "paper",
    "train": "training pulls",
    "line": "straight line",
    "pca": "PCA + line",
    "mean": "mean path",
    "lstm_raw": "LSTM, coordinates",
    "mlp": "MLP, latents",
    "lstm_point": "LSTM, one point",
    "lstm_mixture": "LSTM, mixture",
    "lstm_flow": "LSTM, flow",
}


class Bench:
    """A run folder of the benchmark: one dataset, one seed, the networks that methods share."""

    def __init__(self, folder: Path, source: Path, n_train: int | None, seed: int, *, quick: bool) -> None:
        self.seed, self.quick, self.folder = seed, quick, RunFolder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            chosen = Path(temporary) / "dataset.h5"
            choose_pulls(source, chosen, n_train, seed)
            if not self.folder.dataset.exists():
                chosen.replace(self.folder.dataset)
            elif open_dataset(chosen).content_hash != open_dataset(self.folder.dataset).content_hash:
                raise SystemExit(f"{folder} is of other data than {source}; remove it or give another --work")
        self.dataset = open_dataset(self.folder.dataset)
        self.seconds: dict[str, float] = {}

    def generator(self, method: str) -> Generator:
        """The method, trained; what it took is in `seconds`."""
        if method in ("default", "paper"):
            return _package(self, method)
        if method in NEED_VAE:
            self.trained("default", lstm=False)
        began = time.process_time()
        made = _BASELINES[method](self)
        self.seconds["method"] = time.process_time() - began
        return made

    def trained(self, preset: str, *, lstm: bool) -> RunFolder:
        """The folder with the preset's autoencoder and, if asked for, its LSTM, trained when not there."""
        folder = self.folder if preset == "default" else RunFolder(self.folder.path / preset)
        if folder.path != self.folder.path and not folder.dataset.exists():
            folder.path.mkdir(exist_ok=True)
            shutil.copyfile(self.folder.dataset, folder.dataset)
        epochs = QUICK_EPOCHS if self.quick else 0
        common = {"seed": self.seed, "threads": 1, "epochs": epochs, "force": True}
        steps: list[tuple[str, Path, Callable[[], object]]] = [
            ("vae", folder.vae,
             lambda: train_vae.run(TrainVaeConfig(preset=preset, **common), folder.path, Silent())),
        ]  # fmt: skip
        if lstm:
            steps.append(
                ("lstm", folder.lstm,
                 lambda: train_lstm.run(TrainLstmConfig(**common), folder.path, Silent()))
            )  # fmt: skip
        code = code_hash(*NETWORK_SOURCES)
        for name, file, run in steps:
            record = folder.path / f"{name}-made.json"
            made = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
            if not file.exists() or made.get("code") != code:
                began = time.process_time()
                run()
                made = {"seconds": time.process_time() - began, "code": code}
                record.write_text(json.dumps(made), encoding="utf-8")
            self.seconds[name] = made["seconds"]
        return folder

    def vae(self) -> FeatureVae:
        """The default autoencoder."""
        folder = self.trained("default", lstm=False)
        vae = AutoencoderFile.open(folder.vae).network()
        assert isinstance(vae, FeatureVae)
        return vae

    def real(self) -> RealPulls:
        """What baselines learn from."""
        pull = self.dataset.of_split("train")[0]
        times = self.dataset.times_ps
        return RealPulls(
            frames_of(self.dataset, "train"), frames_of(self.dataset, "validation"), self.dataset.cv,
            float(times[pull.stop - 1] - times[pull.start]), N_STEPS,
        )  # fmt: skip

    @property
    def baseline_epochs(self) -> dict[str, int]:
        """Their own, unless only the code is tried."""
        return {"epochs": QUICK_EPOCHS} if self.quick else {}


_BASELINES: dict[str, Callable[[Bench], Generator]] = {
    "train": lambda bench: training_pulls(bench.real()),
    "line": lambda bench: straight_line(bench.real()),
    "pca": lambda bench: principal_path(bench.real()),
    "mean": lambda bench: mean_path(bench.real()),
    "lstm_raw": lambda bench: raw_lstm(bench.real(), bench.seed, **bench.baseline_epochs),
    "mlp": lambda bench: latent_mlp(bench.real(), bench.vae(), bench.seed, **bench.baseline_epochs),
    **{
        f"lstm_{head}": lambda bench, head=head: latent_lstm(  # type: ignore[misc]
            bench.real(), bench.vae(), head, bench.seed, **bench.baseline_epochs
        )
        for head in ("point", "mixture", "flow")
    },
}


def _package(bench: Bench, preset: str) -> Generator:
    """One of the package's own presets."""
    folder = bench.trained(preset, lstm=True)
    files = AutoencoderFile.open(folder.vae), DynamicsFile.open(folder.lstm)
    model = build_model(*files, bench.dataset.structure)

    def pulls(start: Tensor, n_samples: int, seed: int) -> tuple[Tensor, Tensor]:
        rollout = generate(model, start, N_STEPS, n_samples, None, seed)
        return rollout.positions[:, 1:], rollout.target_cv[:, 1:]

    @torch.no_grad()
    def rebuilt(x: Tensor) -> Tensor:
        return model.autoencoder.decode(model.autoencoder.encode(x)[0])

    return Generator(pulls, lambda x, seed: next_frames(model, x, dt_ps(model), seed), rebuilt)


def dt_ps(model: PullModel) -> float:
    """Time of a step over the whole way."""
    return model.training_paths.duration_ps / N_STEPS


def frames_of(dataset: Dataset, *splits: str) -> Tensor:
    """(n_pulls, n_frames, n_atoms, 3), A. All pulls of some splits, which must be of one length."""
    pulls = [pull for pull in dataset.pulls if pull.split in splits]
    if len({pull.n_frames for pull in dataset.pulls}) > 1:
        raise SystemExit(f"{dataset.path}: pulls of different lengths; this benchmark wants one length")
    return torch.stack([torch.from_numpy(dataset.positions(pull)) for pull in pulls])


def choose_pulls(source: Path, path: Path, n_train: int | None, seed: int) -> None:
    """The dataset with `n_train` training pulls drawn by the seed, and validation pulls in proportion.

    Test pulls are all kept, and None keeps the others too.
    """
    dataset = open_dataset(source)
    if n_train is None:
        shutil.copyfile(source, path)
        return
    train, validation = dataset.of_split("train"), dataset.of_split("validation")
    if n_train > len(train):
        raise SystemExit(f"{source} has {len(train)} training pulls, asked for {n_train}; give fewer")
    n_validation = min(len(validation), max(1, round(VALIDATION_SHARE * n_train)))
    random = np.random.default_rng(seed)
    kept = {train[i].name for i in random.permutation(len(train))[:n_train]}
    kept |= {validation[i].name for i in random.permutation(len(validation))[:n_validation]}
    pulls = [pull for pull in dataset.pulls if pull.split == "test" or pull.name in kept]
    rows = np.concatenate([np.arange(pull.start, pull.stop) for pull in pulls])
    ends = np.cumsum([pull.n_frames for pull in pulls]).tolist()
    write_dataset(
        path, structure=dataset.structure, positions=dataset.positions(rows), terms=dataset.terms,
        cv=dataset.cv,
        pulls=[
            Pull(pull.name, end - pull.n_frames, end, pull.split, pull.source)
            for pull, end in zip(pulls, ends, strict=True)
        ],
        times_ps=dataset.times_ps[rows], cv_values=dataset.cv_values[rows],
    )  # fmt: skip


def method_hash(method: str) -> str:
    """Of all sources that the measures of a method depend on."""
    own = () if method in ("default", "paper") else BASELINE_SOURCES
    return code_hash(*NETWORK_SOURCES, *SCORE_SOURCES, *own)


def code_hash(*patterns: str) -> str:
    """Of what the files of this repository that match define, wherever in them it stands.

    Comments, docstrings, layout, imports and moves from one file to another change nothing.
    """
    parts: list[str] = []
    for pattern in patterns:
        paths = list(ROOT.glob(pattern))
        assert paths, f"no file of the repository matches {pattern}"
        parts += [part for path in paths for part in definitions(path.read_text(encoding="utf-8"))]
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:12]


def definitions(source: str) -> list[str]:
    """The syntax of each statement of a module but its imports, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    return [ast.dump(node) for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
