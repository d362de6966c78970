"""The data sets of the quality benchmark: each one command, ready for `benchmarks/quality/`.

    python -m benchmarks.quality.data_sets example runs/example  the 40 shipped pulls
    python -m benchmarks.quality.data_sets example-heavy runs/...  all their atoms but hydrogen
    python -m benchmarks.quality.data_sets example-all runs/...  all their atoms
    python -m benchmarks.quality.data_sets vacuum runs/vacuum  deca-alanine, a stiff fast spring, vacuum
    python -m benchmarks.quality.data_sets hairpin runs/hairpin  a 16-residue beta hairpin in implicit solvent

Pulls that are missing are made with `smdgen simulate` (pull i has seed 1 + i; the same command goes on where
it was stopped), then `smdgen prepare` writes dataset.h5 with the default split. The folder is a run folder.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from smdgen.config import PrepareConfig, SimulateConfig
from smdgen.errors import SmdgenError
from smdgen.stages import prepare, simulate
from smdgen.store.run_record import RunFolder

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parents[1] / "examples" / "deca_alanine"

#: Data sets that are the shipped pulls, and the atoms of each.
SHIPPED = {"example": PrepareConfig.select, "example-heavy": "heavy", "example-all": "all"}

#: The hairpin unzips at 1 A/ps, as in NAMD's tutorial, because each pull has to be affordable.
PROTOCOLS = {
    "vacuum": SimulateConfig(
        EXAMPLE / "deca_alanine.psf", EXAMPLE / "deca_alanine.pdb", solvent="vacuum", start_centre=13.0,
        end_centre=33.0, spring_constant=7.2, duration_ps=200.0, frames=201, replicas=60,
    ),
    "hairpin": SimulateConfig(
        HERE / "hairpin.pdb", solvent="obc2", start_centre=5.5, end_centre=35.5, spring_constant=7.2,
        duration_ps=30.0, equilibration_ps=2.0, frames=201, replicas=60,
    ),
}  # fmt: skip


class Lines:
    """Progress as a line every minute, for long runs into a log."""

    def __init__(self) -> None:
        self._told, self._done, self._total = 0.0, 0, 0

    def start(self, label: str, total: int | None = None) -> None:
        """Name the part."""
        self._done, self._total = 0, total or 0
        self._label = label

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count, and tell now and then."""
        self._done += n
        if time.monotonic() - self._told > 60:
            self._told = time.monotonic()
            print(f"{self._label}: {self._done} of {self._total} {note}".rstrip(), flush=True)

    def note(self, text: str) -> None:
        """Tell at once."""
        print(text, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Make one data set."""
    options = _options(arguments)
    folder, progress = Path(options.folder), Lines()
    try:
        trajectories = pulls_of(options.name, folder, options.replicas, options.workers, progress)
        config = PrepareConfig(
            trajectories, select=SHIPPED.get(options.name, PrepareConfig.select), force=options.force
        )
        result = prepare.run(config, folder, progress)
    except SmdgenError as error:
        print(error, file=sys.stderr)
        return 1
    for name, text in result.summary():
        print(f"{name:14} {text}")
    return 0


def pulls_of(
    name: str, folder: Path, replicas: int | None, workers: int, progress: Lines
) -> tuple[Path, ...]:
    """Trajectories of a data set; those that are missing are made."""
    if name in SHIPPED:
        return tuple(sorted((EXAMPLE / "pulls").glob("pull_*.dcd")))
    config = replace(PROTOCOLS[name], output=folder / "pulls", workers=workers)
    if replicas is not None:
        config = replace(config, replicas=replicas)
    done = simulate.run(config, RunFolder(folder).path, progress)
    return tuple(pull.trajectory for pull in done.pulls)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=[*SHIPPED, *PROTOCOLS])
    parser.add_argument("folder", help="run folder to make")
    parser.add_argument("--replicas", type=int, help="pulls; default: as many as the protocol says")
    parser.add_argument("--workers", type=int, default=0, help="pulls at a time; default: one a core")
    parser.add_argument("--force", action="store_true", help="prepare again")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
