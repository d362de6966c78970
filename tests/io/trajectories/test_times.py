"""Times that go back: after a restart the later frames count."""

import numpy as np
import pytest

from smdgen.io.trajectories.times import read_timeline


def restarted(*parts: tuple[float, float]) -> np.ndarray:
    """Times of parts of a simulation, 2 ps apart, both ends included."""
    return np.concatenate([np.arange(first, last + 1, 2.0) for first, last in parts])


@pytest.mark.parametrize(
    ("parts", "kept", "words"),
    [
        (((0, 20), (14, 30)), [*range(7), *range(11, 20)], "from 20 to 14 ps at frame 12"),
        (((0, 20), (20, 30)), [*range(10), *range(11, 17)], "from 20 to 20 ps at frame 12"),
        (((0, 20), (14, 18), (16, 30)), [*range(8), *range(14, 22)], "4 frames|from 20 to 14"),
        (((0, 20), (14, 18), (10, 40)), [*range(5), *range(14, 30)], "from 20 to 14 ps at frame 12"),
    ],
)
def test_the_later_of_frames_at_the_same_time_count(
    parts: tuple[tuple[float, float], ...], kept: list[int], words: str
) -> None:
    raw = restarted(*parts)
    found = read_timeline(raw)
    if len(parts) == 3 and parts[2][0] == 16:  # 14 of the second part, then 16 of the third
        kept = [*range(7), 11, *range(14, 22)]
    assert found.kept.tolist() == kept
    assert np.array_equal(found.times_ps, restarted((0, parts[-1][1])))
    assert len(found.notes) == 1
    assert any(word in found.notes[0] for word in words.split("|"))


@pytest.mark.parametrize(
    "raw",
    [
        restarted((0, 40), (0, 40)),  # two pulls in one file
        restarted((0, 40), (2, 40)),
        restarted((0, 40))[::-1],
        np.zeros(9),
        np.array([0.0, 2, 4, 6, 1, 10, 12, 14]),  # one damaged time
        np.array([0.0, 2, 4, 6, 8, 10, 3, 14, 16, 18]),
    ],
)
def test_times_that_begin_anew_or_are_damaged_are_not_taken_for_a_restart(raw: np.ndarray) -> None:
    found = read_timeline(raw)
    assert np.array_equal(found.times_ps, np.arange(len(raw)))
    assert np.array_equal(found.kept, np.arange(len(raw)))
    assert not found.has_times
    assert found.notes[0].endswith("frames are numbered instead")
    assert "go back from" in found.notes[0]


def test_rising_times_are_kept_as_they_are() -> None:
    raw = np.array([0.0, 1, 2, 3.5, 4])
    assert np.array_equal(read_timeline(raw).times_ps, raw)
    assert (read_timeline(raw).notes, read_timeline(raw).has_times) == ((), True)
