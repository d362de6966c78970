"""Windows of consecutive frames that never cross from one pull into another."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class FrameRange(Protocol):
    """What has a first frame and an end, such as a `Pull`."""

    @property
    def start(self) -> int:
        """First frame."""

    @property
    def stop(self) -> int:
        """Frame after the last."""


def windows(pulls: Sequence[FrameRange], length: int, stride: int = 1) -> NDArray[np.int64]:
    """Every window of frames, equally spaced, that lies within one pull.

    Args:
        pulls: Ranges of frames of the store.
        length: Frames in a window, at least 1.
        stride: Distance between two frames of a window, at least 1. Windows start at every frame.

    Returns:
        (n_windows, length) frame indices of the store, in the order of the pulls. Pulls shorter
        than a window add none.
    """
    assert length >= 1
    assert stride >= 1
    span = (length - 1) * stride
    starts = [np.arange(pull.start, max(pull.start, pull.stop - span), dtype=np.int64) for pull in pulls]
    firsts = np.concatenate([np.empty(0, dtype=np.int64), *starts])
    return firsts[:, None] + stride * np.arange(length, dtype=np.int64)
