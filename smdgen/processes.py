"""Which of the processes that `torchrun` started this one is; the only one where it did not."""

import os


def rank() -> int:
    """0 for the first."""
    return _number("RANK", 0)


def local_rank() -> int:
    """0 for the first on this machine."""
    return _number("LOCAL_RANK", 0)


def count() -> int:
    """All processes of the training, on all machines."""
    return _number("WORLD_SIZE", 1)


def _number(name: str, alone: int) -> int:
    """What torchrun says; other programs set only some of these."""
    if "MASTER_ADDR" not in os.environ or "RANK" not in os.environ:
        return alone
    return int(os.environ.get(name, alone))
