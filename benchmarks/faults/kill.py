"""SIGKILL at random moments of prepare and training; then the same command again must give the same files.

    python -m benchmarks.faults.kill                       100 kills of prepare, 30 of training, half an hour
    python -m benchmarks.faults.kill --prepare 10 --train 4   fewer

After every kill the command is run again (training with --resume where a checkpoint is there). Counted is
whether all files are then those of an undisturbed run, byte for byte but for the record with its dates, and
whether temporary files are left over. Wanted: every time, and never. The exit code is 1 otherwise.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.faults.commands import Commands, leftovers, make_commands, run_command, snapshot


def kill_and_rerun(
    commands: Commands, command: Callable[[], list[str]], fresh: Path | None, n_kills: int, seed: int
) -> dict[str, int]:
    """Kill a command at random moments, run it again, compare.

    Args:
        commands: Where it runs.
        command: Its arguments, made anew for every run.
        fresh: The run folder as it is before the command; None for no folder.
        n_kills: How often; a command that ends before its moment is run anew.
        seed: Of the moments.

    Returns:
        Counts by what was found: "killed", "same", "different", "failed", "leftovers".
    """
    random = np.random.default_rng(seed)
    _reset(commands.run, fresh)
    undisturbed = run_command(command())
    assert undisturbed.code == 0, undisturbed.said
    expected = snapshot(commands.run)
    counts = dict.fromkeys(("killed", "same", "different", "failed", "leftovers"), 0)
    while counts["killed"] < n_kills:
        _reset(commands.run, fresh)
        outcome = run_command(command(), kill_after=random.uniform(0, undisturbed.seconds))
        if outcome.code != -signal.SIGKILL:
            assert outcome.code == 0, outcome.said  # it was faster than that moment
            continue
        counts["killed"] += 1
        again = run_command(command())
        if again.code:
            counts["failed"] += 1
            print(again.said.strip())
            continue
        found = snapshot(commands.run)
        off = [name for name in sorted({*found, *expected}) if found.get(name) != expected.get(name)]
        counts["different" if off else "same"] += 1
        if off:
            print(f"{again.seconds:.1f} s, other files than undisturbed: {', '.join(off)}")
        counts["leftovers"] += len(leftovers(commands.run))
    return counts


def _reset(run: Path, fresh: Path | None) -> None:
    shutil.rmtree(run, ignore_errors=True)
    if fresh is not None:
        shutil.copytree(fresh, run)


def all_kills(folder: Path, n_prepare: int, n_train: int, seed: int) -> dict[str, dict[str, int]]:
    """Counts for prepare, train-vae and train-lstm, which shares the kills of training."""
    commands = make_commands(folder)
    counts = {"prepare": kill_and_rerun(commands, commands.prepare, None, n_prepare, seed)}
    for name, command, kills in (
        ("train-vae", commands.train_vae, n_train - n_train // 2),
        ("train-lstm", commands.train_lstm, n_train // 2),
    ):
        fresh = folder / f"before-{name}"
        shutil.copytree(commands.run, fresh)
        counts[name] = kill_and_rerun(commands, command, fresh, kills, seed + 1)
    return counts


def main() -> int:
    """Run, print the counts, give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepare", type=int, default=100, metavar="N", help="kills of prepare")
    parser.add_argument("--train", type=int, default=30, metavar="N", help="kills of training")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts = all_kills(Path(folder), options.prepare, options.train, options.seed)
    for name, found in counts.items():
        print(f"{name:11s}" + ", ".join(f"{count} {word}" for word, count in found.items()))
    print(f"{time.monotonic() - began:.0f} s")
    return int(any(found["different"] + found["failed"] + found["leftovers"] for found in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
