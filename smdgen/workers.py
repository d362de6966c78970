"""Work on many files at once: in this process, in processes of this machine, or on a Dask cluster."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any, TypeVar

from smdgen.errors import ConfigError, SmdgenError, WorkerError

Item = TypeVar("Item")
Result = TypeVar("Result")

_ORPHAN_SECONDS = 1.0
_DASK_SECONDS = 30


@contextlib.contextmanager
def open_workers(workers: int, dask: str | None = None) -> Iterator[Executor | None]:
    """What `in_order` works with.

    Args:
        workers: Processes of this machine; 1 or less for none, which gives None.
        dask: Address of a Dask scheduler, which goes before `workers`; None for none.

    Raises:
        ConfigError: Dask is not installed, or does not answer at that address.
    """
    if dask:
        with _dask_client(dask) as client:
            yield client.get_executor()
    elif workers > 1:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(os.getpid(),))
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
    else:
        yield None


def in_order(
    executor: Executor | None, work: Callable[[Item], Result], items: Iterable[Item], ahead: int = 8
) -> Iterator[Result]:
    """The results of `work` on every item, in the order of the items.

    Args:
        executor: Of `open_workers`; None works here.
        work: A function of a module, so that other processes find it.
        items: What to work on; sent to the workers.
        ahead: Most items under way before the first of their results is taken.

    Raises:
        WorkerError: A worker ended without an answer.
        SmdgenError: What `work` raised, that of the first item in order.
    """
    if executor is None:
        yield from map(work, items)
        return
    under_way: deque[Future[Result]] = deque()
    rest = iter(items)
    try:
        while True:
            for item in rest:
                under_way.append(executor.submit(work, item))
                if len(under_way) >= ahead:
                    break
            if not under_way:
                return
            yield result_of(under_way.popleft())
    finally:
        for future in under_way:
            future.cancel()


def result_of(future: "Future[Result]") -> Result:
    """What a future came to, with our own error for a worker that is gone.

    Raises:
        WorkerError: The worker ended without an answer.
    """
    try:
        return future.result()
    except SmdgenError:
        raise
    except BrokenExecutor as error:
        raise WorkerError(f"a worker ended without an answer ({error}); {_OF_MEMORY}") from error
    except Exception as error:
        if type(error).__module__.split(".")[0] != "distributed":
            raise
        raise WorkerError(f"Dask lost a worker ({error}); {_OF_MEMORY}") from error


_OF_MEMORY = "it may have run out of memory: give fewer --workers"


def _dask_client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(
            "--dask needs the package distributed; install it with: pip install 'smdgen[dask]'"
        ) from error
    try:
        return Client(address, timeout=_DASK_SECONDS)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigError(
            f"no Dask scheduler answers at {address} ({error}); give the address that `dask scheduler` prints"
        ) from error


def _begin(parent: int) -> None:
    """In a new process: Ctrl-C is the parent's business, and without the parent there is no work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_ORPHAN_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
