"""Run many pulls of one system in parallel processes, so that a failing one takes no other with it."""

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import SimulationError
from smdgen.steered_md.pull import PulledDistance, PullProtocol, PullRecord, run_pull
from smdgen.workers import open_workers, result_of

#: Moves of the centre from which a dry run measures the speed.
_FEW_MOVES = 20

_POLL_SECONDS = 0.5
_POLLS_BEFORE_LOST = 4
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class PullJob:
    """All that a process needs to make pull i; it uses the seed `seed + i`."""

    system_xml: str  # OpenMM System with the restraint, serialised
    positions: NDArray[np.float64]  # (n_atoms, 3), A
    distance: PulledDistance
    protocol: PullProtocol
    seed: int
    platform: str
    threads: int


@dataclass(frozen=True)
class ReplicaEvents:
    """What `run_replicas` calls as things happen, all in the calling process."""

    frame: Callable[[], None]  # one more frame of any pull
    done: Callable[[int, PullRecord], None]  # pull i is finished
    failed: Callable[[int, str], None]  # pull i could not be finished, and why


def run_replicas(
    job: PullJob, indices: Sequence[int], workers: int, events: ReplicaEvents, dask: str | None = None
) -> None:
    """Make the pulls with these indices.

    With one worker they run in this process, with the address of a Dask scheduler there. An interrupt ends
    the running pulls; finished ones have been handed to `events.done` before.
    """
    if dask:
        _run_on_dask(job, indices, dask, events)
    elif workers <= 1:
        _run_here(job, indices, events)
    else:
        _run_in_processes(job, indices, workers, events)


def measured_rate(job: PullJob) -> float:
    """Time steps per second of one pull, without its beginning.

    Raises:
        SimulationError: The few steps fail.
    """
    n_steps = _FEW_MOVES * job.protocol.steps_per_move
    short = replace(job.protocol, n_steps=3 * n_steps, steps_per_frame=n_steps, equilibration_steps=0)
    ends: list[float] = []
    _make(replace(job, protocol=short), 0, lambda _: ends.append(time.perf_counter()))
    return 2 * n_steps / (ends[-1] - ends[0])


def _make(job: PullJob, index: int, on_frame: Callable[[int], None]) -> PullRecord:
    import openmm

    system = openmm.XmlSerializer.deserialize(job.system_xml)
    seed = job.seed + index
    return run_pull(
        system, job.positions, job.distance, job.protocol, seed, job.platform, job.threads, on_frame
    )


def _run_here(job: PullJob, indices: Sequence[int], events: ReplicaEvents) -> None:
    for index in indices:
        try:
            record = _make(job, index, lambda _: events.frame())
        except SimulationError as error:
            events.failed(index, str(error))
        else:
            events.done(index, record)


def _run_on_dask(job: PullJob, indices: Sequence[int], address: str, events: ReplicaEvents) -> None:
    with open_workers(0, address) as executor:
        assert executor is not None
        futures = {executor.submit(_answer, job, index): index for index in indices}
        try:
            for future in as_completed(futures):
                found = result_of(future)
                if isinstance(found, str):
                    events.failed(futures[future], found)
                    continue
                for _ in range(job.protocol.n_frames - 1):
                    events.frame()
                events.done(futures[future], found)
        finally:
            for future in futures:
                future.cancel()


def _answer(job: PullJob, index: int) -> PullRecord | str:
    """The pull, or why there is none; one at a time, because OpenMM has one stream of random numbers."""
    with _ONE_AT_A_TIME:
        try:
            return _make(job, index, lambda _: None)
        except SimulationError as error:
            return str(error)


def _run_in_processes(job: PullJob, indices: Sequence[int], workers: int, events: ReplicaEvents) -> None:
    context = multiprocessing.get_context("spawn")
    messages: Any = context.Queue()
    waiting = list(indices)
    running: dict[int, Any] = {}
    silent: dict[int, int] = {}
    looked = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                index = waiting.pop(0)
                process = context.Process(
                    target=_child, args=(job, index, messages, os.getpid()), daemon=True
                )
                process.start()
                running[index] = process
            try:
                index, kind, payload = messages.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                index, kind, payload = -1, "", None
            if not kind or time.monotonic() - looked >= _POLL_SECONDS:
                _report_lost(running, silent, events, nothing_waits=not kind)
                looked = time.monotonic()
            if index not in running:
                continue
            if kind == "frame":
                events.frame()
                continue
            running.pop(index).join()
            if kind == "done":
                events.done(index, payload)
            else:
                events.failed(index, payload)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.join()


def _report_lost(
    running: dict[int, Any], silent: dict[int, int], events: ReplicaEvents, *, nothing_waits: bool
) -> None:
    """A process that ended without a word (killed, out of memory) counts as failed.

    While messages of others wait, the word of one that was not killed outright may be among them.
    """
    for index, process in list(running.items()):
        if process.is_alive() or (process.exitcode != -signal.SIGKILL and not nothing_waits):
            continue
        silent[index] = silent.get(index, 0) + 1
        if silent[index] >= _POLLS_BEFORE_LOST:
            del running[index]
            events.failed(index, f"its process ended with exit code {process.exitcode}")


def _child(job: PullJob, index: int, messages: Any, parent: int) -> None:
    """Body of a process: make one pull, report frames, then the record or the reason why there is none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends its children

    def on_frame(_: int) -> None:
        if os.getppid() != parent:
            os._exit(1)
        messages.put((index, "frame", None))

    try:
        record = _make(job, index, on_frame)
    except SimulationError as error:
        messages.put((index, "failed", str(error)))
    except Exception as error:
        messages.put((index, "failed", f"{type(error).__name__}: {error}"))
    else:
        messages.put((index, "done", record))
