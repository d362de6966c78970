"""Times of the frames of one file: whether they mean anything, and which frames a restart wrote again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LATEST = 1e12  # ps, a second
_MOST_STEPS = 1.5  # between two frames, times the usual one
_LEAST_KEPT = 0.6  # of all frames, if those that are left out were written again after a restart


@dataclass(frozen=True)
class Timeline:
    """The frames that count, and when they are."""

    kept: NDArray[np.int64]  # (n,), 0-based, into the file
    times_ps: NDArray[np.float64]  # (n,); the number of each frame if the file has no meaningful times
    has_times: bool  # whether it has
    notes: tuple[str, ...]


def read_timeline(raw: NDArray[np.float64]) -> Timeline:
    """Times as a file has them.

    A simulation that was restarted writes some frames again, at the same times: the later ones count.

    Args:
        raw: (n_frames,), ps. NaN where the file has none.
    """
    every = np.arange(len(raw))
    if not (np.abs(raw) < _LATEST).all():  # NaN compares as false
        return _numbered(every, "the file holds no meaningful times")
    back = np.flatnonzero(np.diff(raw) <= 0)
    if not len(back):
        return Timeline(every, raw.copy(), True, tuple(_jumps(raw)))
    kept = _latest(raw)
    before, after = raw[back[0] : back[0] + 2]
    place = f"from {before:g} to {after:g} ps at frame {back[0] + 2}"
    if not _is_restart(raw, kept):
        return _numbered(every, f"the file holds no meaningful times, as they go back {place}")
    note = (
        f"times go back {place}, as after a restart: {len(raw) - len(kept)} frames that were written again "
        "later are left out"
    )
    return Timeline(kept, raw[kept], True, (note, *_jumps(raw[kept])))


def numbered(reason: str) -> str:
    """The note on a trajectory without times of its own, and why it has none."""
    return f"{reason}; frames are numbered instead"


def _numbered(frames: NDArray[np.int64], reason: str) -> Timeline:
    """Frames (n,) without times."""
    return Timeline(frames, frames.astype(np.float64), False, (numbered(reason),))


def _latest(raw: NDArray[np.float64]) -> NDArray[np.int64]:
    """Frames after which no frame has the same or an earlier time."""
    earliest_after = np.minimum.accumulate(raw[::-1])[::-1][1:]
    return np.flatnonzero(np.append(raw[:-1] < earliest_after, True))


def _is_restart(raw: NDArray[np.float64], kept: NDArray[np.int64]) -> bool:
    """Whether the later frames continue where the kept ones before them end, rather than begin anew."""
    apart = np.diff(raw)
    if kept[0] != 0 or len(kept) < _LEAST_KEPT * len(raw) or not (apart > 0).any():
        return False
    joints = np.diff(raw[kept])[np.diff(kept) > 1]
    onward = apart[np.minimum(np.flatnonzero(apart <= 0) + 1, len(apart) - 1)]
    return bool((np.concatenate([joints, onward]) <= _MOST_STEPS * np.median(apart[apart > 0])).all())


def _jumps(times_ps: NDArray[np.float64]) -> list[str]:
    """A note where frames are much further apart than they mostly are, as where some are missing."""
    apart = np.diff(times_ps)
    usual = float(np.median(apart)) if len(apart) else 0.0
    jumps = np.flatnonzero(apart > _MOST_STEPS * usual)
    if not len(jumps):
        return []
    before, after = times_ps[jumps[0] : jumps[0] + 2]
    return [
        f"{len(jumps)} jumps in time, first from {before:g} to {after:g} ps at frame {jumps[0] + 2} "
        f"(mostly {usual:g} ps apart); frames may be missing there"
    ]
