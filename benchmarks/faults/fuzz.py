"""Random damage to files of every format: is it refused, noted, harmless, or read in silence?

    python -m benchmarks.faults.fuzz                    3,000 mutants, some minutes on two cores
    python -m benchmarks.faults.fuzz --only 1234        one of them again, with what was read

Every mutant is made from a sound file (`tests/faults/originals.py`) by one random operation
(`tests/faults/mutations.py`) from its own seed, and read as `smdgen prepare` and the later commands read it
(`tests/faults/content.py`). What is counted:

  silent      content differs and nothing is said: the number, names or bonds of atoms, the number of
              frames, a coordinate of a modelled atom by more than 1 A, a label (restraint centre, work) by
              more than 1 A or kcal/mol; "said" is a refusal or a note that the sound file does not get
  traceback   an exception that is no SmdgenError
  signal      the reading process died
  hang        no answer within 20 s, twice (once can be a busy machine)

Wanted are 0, 0, 0, 0 and less than 2 GB of memory in any process. The exit code is 1 otherwise.
"""

import argparse
import functools
import multiprocessing
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.content import Content, difference, read_content
from tests.faults.mutations import MUTATIONS
from tests.faults.originals import FILES, Originals, make_originals

LIMIT_S = 20.0  # of a machine that is not busy otherwise
MOST_MEMORY_GB = 2.0
WRONG = ("silent", "traceback", "signal", "hang")
# Reading these starts a process each time, so they get a smaller share.
WEIGHTS = {"psf": 4, "pdb": 4, "dcd": 6, "xtc": 3, "netcdf": 3, "h5": 2, "models": 3, "table": 3}


def mutant(seed: int, number: int, originals: Originals) -> tuple[str, str, bytes]:
    """Kind of file, name of the damage, and the bytes of one mutant."""
    random = np.random.default_rng([seed, number])
    kinds = [kind for kind in FILES for _ in range(WEIGHTS.get(kind, 1))]
    kind = kinds[number % len(kinds)]
    damage = MUTATIONS[random.integers(0, len(MUTATIONS))]
    return kind, damage.__name__, damage(originals.path(kind).read_bytes(), random)


def judge(seed: int, number: int, originals: Originals, folder: Path) -> tuple[str, str, str, str]:
    """Kind, damage, verdict and words for one mutant."""
    from smdgen.errors import SmdgenError

    kind, damage, content = mutant(seed, number, originals)
    sound = originals.path(kind)
    if content == sound.read_bytes():
        return kind, damage, "harmless", "the same bytes"
    path = folder / sound.name
    path.write_bytes(content)
    try:
        found = read_content(kind, path, originals)
    except SmdgenError as error:
        return kind, damage, "refused", str(error)
    except Exception as error:
        return kind, damage, "traceback", f"{type(error).__name__}: {error}"
    expected = _sound_content(kind, originals)
    off = difference(expected, found)
    notes = sorted(set(found.notes) - set(expected.notes))
    verdict = "noted" if notes else ("silent" if off else "harmless")
    return kind, damage, verdict, f"{off}; {notes}" if notes else off


@functools.cache
def _sound_content(kind: str, originals: Originals) -> Content:
    return read_content(kind, originals.path(kind), originals)


def work(seed: int, originals: Originals, channel: Connection) -> None:
    """Judge the mutants whose numbers come through the channel, until None comes."""
    with tempfile.TemporaryDirectory() as folder:
        while (number := channel.recv()) is not None:
            channel.send((*judge(seed, number, originals, Path(folder)), _peak_gb()))


def run(numbers: Sequence[int], seed: int, originals: Originals, n_workers: int) -> Iterator[tuple[Any, ...]]:
    """Number, kind, damage, verdict, words and peak memory (GB) of each mutant, as they get done."""
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(numbers))
    suspects: set[int] = set()
    workers: list[_Worker] = []
    while waiting or workers:
        while waiting and len(workers) < n_workers:
            workers.append(_Worker(context, seed, originals, waiting.pop()))
        time.sleep(0.002)
        for worker in list(workers):
            answer = worker.answer()
            if answer is None:
                continue
            if answer[0] == "hang" and worker.number not in suspects:
                suspects.add(worker.number)
                waiting.append(worker.number)
                workers.remove(worker)
                continue
            if answer[0] in ("hang", "signal"):
                kind, damage, _ = mutant(seed, worker.number, originals)
                yield worker.number, kind, damage, *answer, 0.0
                workers.remove(worker)
                continue
            yield worker.number, *answer
            if waiting:
                worker.give(waiting.pop())
            else:
                worker.end()
                workers.remove(worker)


class _Worker:
    """A process that judges one mutant after the other."""

    def __init__(self, context: Any, seed: int, originals: Originals, number: int) -> None:
        self._channel, other = context.Pipe()
        self._process = context.Process(target=work, args=(seed, originals, other), daemon=False)
        self._process.start()
        other.close()
        self._is_new = True
        self.give(number)

    def give(self, number: int) -> None:
        self.number = number
        self._began = time.monotonic()
        self._channel.send(number)

    def answer(self) -> tuple[Any, ...] | None:
        """What it found; None while it works."""
        try:
            if self._channel.poll():
                self._is_new = False
                return tuple(self._channel.recv())
        except EOFError:
            self._process.join()
            return "signal", f"status {self._process.exitcode}"
        limit = LIMIT_S + (120.0 if self._is_new else 0.0)  # a new process imports first
        if time.monotonic() - self._began > limit:
            self._process.kill()
            self._process.join()
            return "hang", f"stopped after {limit:.0f} s"
        return None

    def end(self) -> None:
        self._channel.send(None)
        self._process.join()


def _peak_gb() -> float:
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(peaks) * (1 if sys.platform == "darwin" else 1024) / 1e9


def main() -> int:
    """Run, print the table, give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", type=int, help="judge this mutant alone")
    parser.add_argument("--kind", choices=FILES, help="judge mutants of this kind only")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        originals = make_originals(Path(folder) / "sound")
        numbers = list(range(options.mutants)) if options.only is None else [options.only]
        if options.kind:
            numbers = [i for i in numbers if mutant(options.seed, i, originals)[0] == options.kind]
        counts: Counter[tuple[str, str]] = Counter()
        peak = 0.0
        for number, kind, damage, verdict, words, memory in run(
            numbers, options.seed, originals, options.workers
        ):
            counts[kind, verdict] += 1
            peak = max(peak, memory)
            if verdict in WRONG or options.only is not None:
                print(f"mutant {number}: {kind}, {damage}: {verdict}: {words[:300]}", flush=True)
    verdicts = ("refused", "noted", "harmless", *WRONG)
    print(f"\n{'':10s}" + "".join(f"{verdict:>11s}" for verdict in verdicts))
    for kind in FILES:
        if any(counts[kind, verdict] for verdict in verdicts):
            print(f"{kind:10s}" + "".join(f"{counts[kind, verdict]:11d}" for verdict in verdicts))
    totals = {verdict: sum(counts[kind, verdict] for kind in FILES) for verdict in verdicts}
    print(f"{'all':10s}" + "".join(f"{totals[verdict]:11d}" for verdict in verdicts))
    print(f"\n{len(numbers)} mutants, seed {options.seed}, {time.monotonic() - began:.0f} s")
    print(f"peak memory {peak:.2f} GB (wanted: below {MOST_MEMORY_GB:g})")
    return int(any(totals[verdict] for verdict in WRONG) or peak >= MOST_MEMORY_GB)


if __name__ == "__main__":
    sys.exit(main())
