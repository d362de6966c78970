"""The processes that `torchrun` started; the only one where it did not."""

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from smdgen.errors import TrainingError

if TYPE_CHECKING:  # the command line asks for the rank, and loads neither torch nor HDF5 for that
    from smdgen.store.run_record import RunFolder


def rank() -> int:
    """0 for the first."""
    return _number("RANK", 0)


def local_rank() -> int:
    """0 for the first on this machine."""
    return _number("LOCAL_RANK", 0)


def count() -> int:
    """All processes of the training, on all machines."""
    return _number("WORLD_SIZE", 1)


def leave(code: int) -> NoReturn:
    """End this process with an exit code.

    One of several ends at once: after the others were lost, threads of gloo may still run, and C++ aborts
    (signal 6 in the place of the exit code) when the interpreter takes their group apart.
    """
    if count() > 1:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def leads() -> bool:
    """Whether this is the process that writes and prints: the first of several, or the only one."""
    return rank() == 0


def lock_once(folder: "RunFolder") -> contextlib.AbstractContextManager[None]:
    """The lock of the run folder, held by the process that writes."""
    return folder.lock() if leads() else contextlib.nullcontext()


@contextlib.contextmanager
def training_group(device: str) -> Iterator[None]:
    """Join the other processes that `torchrun` started, if it did; leave them at the end.

    Raises:
        TrainingError: The others do not answer.
    """
    if count() == 1:
        yield
        return
    from torch import distributed

    from smdgen.training.devices import resolve

    backend = "nccl" if resolve(device).startswith("cuda") else "gloo"
    try:
        distributed.init_process_group(backend)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"process {rank()} of {count()} does not reach the others ({error}); "
            "see that torchrun started all of them"
        ) from error
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _number(name: str, alone: int) -> int:
    """What torchrun says; other programs set only some of these."""
    if "MASTER_ADDR" not in os.environ or "RANK" not in os.environ:
        return alone
    return int(os.environ.get(name, alone))
