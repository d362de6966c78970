"""What both trainings check of their settings, derive from them, and show before they begin."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from smdgen.config import TrainLstmConfig, TrainVaeConfig
from smdgen.dataset.dataset import Dataset
from smdgen.errors import ConfigError

#: Share of the epochs and of the critic's samples that `--quick` takes.
QUICK_SHARE = 1 / 8


def refuse_negative(config: TrainVaeConfig | TrainLstmConfig) -> None:
    """Refuse sizes, rates and counts below 0, where a weight is the preset's own and a seed one of many.

    Raises:
        ConfigError: One is negative.
    """
    for name, value in asdict(config).items():
        if isinstance(value, int | float) and value < 0 and not name.endswith(("_weight", "seed")):
            raise ConfigError(f"{name} is {value:g}, expected 0 or more")


def quick_epochs(epochs: float) -> int:
    """Epochs of a first look."""
    return max(1, round(QUICK_SHARE * epochs))


def training_plan(dataset: Dataset, preset: str, outputs: Sequence[Path]) -> list[tuple[str, str]]:
    """What a dry run shows: frames trained on and checked with, the preset, the files."""
    counts = [
        f"{len(pulls)} {split} pulls of {sum(pull.n_frames for pull in pulls)} frames"
        for split in ("train", "validation")
        if (pulls := dataset.of_split(split))
    ]
    return [
        ("reads", f"{dataset.path}: {', '.join(counts)}"),
        ("models", f"{dataset.structure.n_atoms} atoms, preset {preset}"),
        ("writes", ", ".join(map(str, outputs))),
    ]
