"""What both trainings check of their settings, derive from them, and show before they begin."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from smdgen.config import TrainLstmConfig, TrainVaeConfig
from smdgen.dataset.dataset import Dataset
from smdgen.errors import ConfigError

#: Share of the epochs and of the critic's samples that `--quick` takes.
QUICK_SHARE = 1 / 8


def refuse_out_of_range(config: TrainVaeConfig | TrainLstmConfig) -> None:
    """Refuse numbers below 0, and 0 for sizes, rates and counts; any seed is one of many.

    Raises:
        ConfigError: One is out of range.
    """
    for item in fields(config):
        value = getattr(config, item.name)
        if item.name == "seed" or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        above = item.metadata.get("once") == 0  # 0 has never been a value of it
        if value < 0 or (above and value == 0):
            wanted = "more than 0, or nothing for the preset's own" if above else "0 or more"
            raise ConfigError(f"{item.name} is {value:g}, expected {wanted}")


def chosen(config: TrainVaeConfig | TrainLstmConfig, preset: Mapping[str, float]) -> dict[str, float]:
    """The preset's numbers, with the user's in place of those that were given.

    Args:
        config: The user's settings; None where nothing was given.
        preset: Numbers by setting.
    """
    given = {name: getattr(config, name) for name in preset}
    values = {name: preset[name] if value is None else value for name, value in given.items()}
    if config.quick and config.epochs is None:
        values["epochs"] = max(1, round(QUICK_SHARE * values["epochs"]))
    return values


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
