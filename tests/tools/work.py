"""Work for other processes to do: they find it by its module."""

import os
import time

from smdgen.errors import TrajectoryError


def late_if_even(item: int) -> int:
    """The square; even items take longer."""
    if item % 2 == 0:
        time.sleep(0.2)
    return item * item


def refuse_three(item: int) -> int:
    """An error for item 3, later ones included after it."""
    if item >= 3:
        raise TrajectoryError(f"item {item} is bad")
    return item


def die(_: int) -> int:
    """What the kernel does when memory is short."""
    os._exit(9)
