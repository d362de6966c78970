"""Real proteins with default settings: the goals for pulls that a biologist can trust, beside baselines.

    pip install -c constraints.txt -e ".[realdata]"
    python -m benchmarks.proteins FOLDER --data adk --files DIR
    python -m benchmarks.proteins FOLDER --data ubiquitin --files DIR --seeds 1 2 3
    python -m benchmarks.proteins FOLDER --data trp-cage --files DIR
    python -m benchmarks.proteins FOLDER --data adk --quick           an eighth of the epochs
    python -m benchmarks.proteins FOLDER --judge                      only the tables of what is there

adk: adenylate kinase, trained on one DIMS path and tested on the other; MDAnalysisTests ships the files, so
that --files may be left out. ubiquitin: one pull, CA1-CA48 from 20 to 170 A, blocks from the middle held out;
1UBQ.pdb and mon_sys.dcd are test files of the wheel rmsx. trp-cage: 12 training, 3 validation, 5 test
pulls by `smdgen simulate`; topology.pdb and pull_*.dcd.

Each seed is a run folder FOLDER/DATA/seed_K, where commands whose output is there are not run again. All
commands have their default settings; the seed alone is set. Test data are used for the tables only.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.proteins.data_sets import DATA_SETS, commands, copy_files
from benchmarks.proteins.judge import judge, table
from benchmarks.speed.stage_costs import run_commands


def main(arguments: Sequence[str]) -> int:
    """Run the commands of each data set and print its table; 1 if a command failed, 2 without files."""
    options = _options(arguments)
    complete = True
    for name in options.data or DATA_SETS:
        data = DATA_SETS[name]
        columns = []
        for seed in options.seeds:
            folder = options.folder / name / f"seed_{seed}"
            if not options.judge:
                try:
                    copy_files(data, folder, options.files)
                except FileNotFoundError as error:
                    print(error, file=sys.stderr)
                    return 2
                complete &= run_commands(folder, *commands(data, folder, seed, quick=options.quick))
            if (folder / "smdgen-run" / "analysis").is_dir():
                columns.append(judge(data, folder))
        if columns:
            print(table(data, columns), flush=True)
    return int(not complete)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where runs are made")
    parser.add_argument("--data", nargs="+", choices=DATA_SETS, help="default: all")
    parser.add_argument("--files", type=Path, help="folder with the files of the data set")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1], help="default: 1")
    parser.add_argument("--quick", action="store_true", help="train briefly")
    parser.add_argument("--judge", action="store_true", help="run no command")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
