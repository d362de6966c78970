"""Which of the processes that `torchrun` started this one is; the only one where it did not."""

import os
import sys
from contextlib import suppress
from typing import NoReturn


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


def _number(name: str, alone: int) -> int:
    """What torchrun says; other programs set only some of these."""
    if "MASTER_ADDR" not in os.environ or "RANK" not in os.environ:
        return alone
    return int(os.environ.get(name, alone))
