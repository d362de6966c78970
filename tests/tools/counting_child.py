"""The process of `smdgen.io.trajectories.sandboxed_child`, which also writes down the frames it decodes.

For each read a line with the first frame and the one after the last goes to the file that the environment
variable FRAMES_DECODED names.
"""

import os
import runpy
from pathlib import Path

import h5py
import mdtraj

from smdgen.io.trajectories import sandboxed

_open, _item = mdtraj.open, h5py.Dataset.__getitem__


def _note(first, stop):
    with Path(os.environ["FRAMES_DECODED"]).open("a") as log:
        log.write(f"{first} {stop}\n")


class _Counting:
    """An XTC or TRR file."""

    def __init__(self, path):
        self._file = _open(path)

    def __len__(self):
        return len(self._file)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def read(self, n_frames):
        first = self._file.tell()
        _note(first, first + n_frames)
        return self._file.read(n_frames=n_frames)


def _counting_item(data, selection, **options):
    if data.name == "/coordinates":
        _note(selection.start, selection.stop)
    return _item(data, selection, **options)


if __name__ == "__main__":
    mdtraj.open, h5py.Dataset.__getitem__ = _Counting, _counting_item
    runpy.run_path(str(Path(sandboxed.__file__).with_name("sandboxed_child.py")), run_name="__main__")
