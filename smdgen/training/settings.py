"""What both trainings check of their settings, derive from them, and show before they begin."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from smdgen.config import TrainLstmConfig, TrainVaeConfig
from smdgen.dataset.dataset import Dataset
from smdgen.errors import ConfigError
from smdgen.method.presets import METHODS

#: Share of the epochs and of the critic's samples that `--quick` takes.
QUICK_SHARE = 1 / 8


def refuse_unknown_preset(preset: str | None) -> None:
    """Raise if no method has this name.

    Raises:
        ConfigError: None has.
    """
    if preset is not None and preset not in METHODS:
        raise ConfigError(f"no preset is named {preset!r}; expected {' or '.join(METHODS)}")


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
