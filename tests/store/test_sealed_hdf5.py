"""Sealed HDF5 files: damage found before HDF5 sees it, full disks met as an error, tricks refused."""

import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from smdgen.errors import ArtifactError
from smdgen.store import sealed_hdf5
from smdgen.store.sealed_hdf5 import create_sealed, open_sealed

KIND = "latents"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.h5"
    write(path)
    return path


def write(path, fill=None):
    with create_sealed(path, KIND, 100_000) as file:
        file["group/values"] = np.arange(1000.0)
        if fill is not None:
            fill(file)


def test_round_trip_and_equal_bytes(path, tmp_path):
    time.sleep(1.1)  # times in seconds are what HDF5 may write into its objects
    write(tmp_path / "b.h5")
    assert path.read_bytes() == (tmp_path / "b.h5").read_bytes()
    with open_sealed(path, KIND) as file:
        np.testing.assert_array_equal(file["group/values"][:], np.arange(1000.0))
    assert path.stat().st_size < 40_000, "reserved space is given back"


def test_other_programs_open_it(path):
    with h5py.File(path) as file:
        assert file["group/values"].shape == (1000,)


def test_every_flipped_bit_is_found(path, tmp_path):
    sound = path.read_bytes()
    broken = tmp_path / "broken.h5"
    places = np.random.default_rng(1).integers(len(sound), size=200).tolist() + list(
        range(sealed_hdf5.SEAL_SIZE)
    )
    for place in places:
        damaged = bytearray(sound)
        damaged[place] ^= 1 << (place % 8)
        broken.write_bytes(damaged)
        with pytest.raises(ArtifactError), open_sealed(broken, KIND):
            pass


@pytest.mark.parametrize("keep", [0, 10, 511, 512, 600, -1])
def test_cut_files_are_refused(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArtifactError), open_sealed(path, KIND):
        pass


def test_other_kinds_other_files_and_newer_layouts_are_refused(path, tmp_path, monkeypatch):
    with (
        pytest.raises(ArtifactError, match="holds a latents, expected a dataset"),
        open_sealed(path, "dataset"),
    ):
        pass
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["x"] = np.arange(500)
    with pytest.raises(ArtifactError, match="not a file of smdgen"), open_sealed(tmp_path / "plain.h5", KIND):
        pass
    newer = sealed_hdf5.LAYOUTS[KIND] + 1
    with monkeypatch.context() as later:
        later.setitem(sealed_hdf5.LAYOUTS, KIND, newer)
        write(tmp_path / "new.h5")
    with pytest.raises(ArtifactError, match=f"layout {newer}"), open_sealed(tmp_path / "new.h5", KIND):
        pass


def _external(file):
    file["other"] = h5py.ExternalLink("/etc/hostname", "/x")


def _soft(file):
    file["other"] = h5py.SoftLink("/group")


def _cycle(file):
    file["group/again"] = file["group"]


def _virtual(file):
    layout = h5py.VirtualLayout(shape=(10,), dtype="f8")
    layout[:] = h5py.VirtualSource("/tmp/elsewhere.h5", "x", shape=(10,))
    file.create_virtual_dataset("other", layout)


def _outside(file):
    file.create_dataset("other", (10,), "f8", external=[("/tmp/elsewhere.raw", 0, 80)])


def _absurd(file):
    file.create_dataset("other", (1 << 40,), "f8", chunks=(1 << 20,))


@pytest.mark.parametrize("trick", [_external, _soft, _cycle, _virtual, _outside, _absurd])
def test_tricks_are_refused(tmp_path, trick):
    write(tmp_path / "t.h5", trick)
    with pytest.raises(ArtifactError, match="refused"), open_sealed(tmp_path / "t.h5", KIND):
        pass


def test_a_failing_block_keeps_the_old_file(path):
    before = path.read_bytes()

    def fail(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(path, fail)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from smdgen.errors import ArtifactError
from smdgen.store.sealed_hdf5 import create_sealed
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    with create_sealed(Path(sys.argv[1]), "numbers", 1_000_000) as file:
        file["values"] = np.arange(100_000.0)
except ArtifactError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [0, 600, 40_000, 500_000, 900_000])
def test_a_full_disk_is_an_error_and_no_crash(path, limit):
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(limit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "cannot write" in done.stdout
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
