"""Stages that only keep what they were given, so that the command line is tested by itself."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class StubResult:
    n_pulls: int = 3
    path: Path = Path("run/dataset.h5")
    lowest: float = float("nan")
    values: Any = field(default_factory=lambda: np.array([1.5, np.inf]))
    share: Any = field(default_factory=lambda: np.float32(0.25))
    outputs: tuple[Path, ...] = (Path("run/dataset.h5"),)
    hints: tuple[str, ...] = ("vmd -e run/rollout/view.vmd",)

    def summary(self) -> list[tuple[str, str]]:
        return [("pulls", "3"), ("CV range", "12.0 to 31.5 A")]


class StubStage(SimpleNamespace):
    """Stands for a module of smdgen.stages."""

    def __init__(self, result: object = None, error: BaseException | None = None) -> None:
        super().__init__()
        self.result, self.error = result, error
        self.config: Any = None
        self.run_dir: Path | None = None

    def run(self, config: Any, run_dir: Path, progress: Any) -> object:
        self.config, self.run_dir = config, run_dir
        progress.start("reading pulls", 2)
        progress.advance(note="12.5 ns/day")
        if self.error is not None:
            raise self.error
        progress.advance()
        progress.start("closing")
        progress.note("a note on the way")
        return self.result
