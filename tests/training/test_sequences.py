"""Windows of frames: none crosses two pulls, none is missing."""

from types import SimpleNamespace

import numpy as np
import pytest

from smdgen.training.sequences import windows


@pytest.mark.parametrize(("length", "stride"), [(1, 1), (3, 1), (4, 3), (2, 9)])
def test_windows_are_those_of_a_naive_loop(length, stride):
    pulls = [
        SimpleNamespace(start=start, stop=stop) for start, stop in [(0, 10), (10, 13), (13, 13), (20, 32)]
    ]
    expected = [
        list(range(first, first + length * stride, stride))
        for pull in pulls
        for first in range(pull.start, pull.stop)
        if first + (length - 1) * stride < pull.stop
    ]
    found = windows(pulls, length, stride)
    assert found.dtype == np.int64
    assert found.shape == (len(expected), length)
    assert found.tolist() == expected


def test_no_pull_is_long_enough():
    assert windows([SimpleNamespace(start=0, stop=3)], 4).shape == (0, 4)
