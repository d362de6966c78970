"""`prepare` decodes every frame of a packed trajectory once, and what it then does with it is the same."""

import dataclasses
import tempfile
from pathlib import Path

import mdtraj
import numpy as np
import pytest

from smdgen.dataset.sources import inspect
from smdgen.errors import TrajectoryError, WriteError
from smdgen.io.structures import pdb
from smdgen.io.structures.structure import read_structure, write_pdb
from smdgen.io.trajectories import kept, sandboxed
from smdgen.io.trajectories.netcdf import NetcdfTrajectory
from smdgen.progress import Silent
from smdgen.stages import prepare
from tests.dataset.test_images import CELLS, N_FRAMES, put_into_box, unbinding, write_files
from tests.tools.other_formats import write_h5, write_netcdf, write_xtc

KINDS = ("xtc", "trr", "h5", "nc", "pdb")
CELL = CELLS["brick"]


@pytest.fixture(scope="module")
def pulls():
    """Two chains, the second of which goes through the wall: their images are looked for in all frames."""
    return [put_into_box(unbinding(CELL, seed), CELL, "by molecule") for seed in range(3)]


def write(folder, kind, pulls):
    """The pulls in a format, and the settings to prepare them."""
    folder.mkdir(exist_ok=True)
    config = dataclasses.replace(write_files(folder, pulls, CELL), topology=folder / "dimer.psf")
    cells, paths = np.tile(CELL, (N_FRAMES, 1)), []
    for dcd, positions in zip(config.trajectories, pulls, strict=True):
        paths.append(dcd.with_suffix(f".{kind}"))
        if kind == "nc":
            write_netcdf(paths[-1], positions)
        elif kind == "h5":
            write_h5(paths[-1], positions, cells)
        elif kind == "xtc":
            write_xtc(paths[-1], positions, cells)
        elif kind == "trr":
            with mdtraj.formats.TRRTrajectoryFile(str(paths[-1]), "w") as file:
                box = (cells[:, :3, None] / 10 * np.eye(3)).astype(np.float32)
                time = 2.0 * np.arange(N_FRAMES, dtype=np.float32)
                file.write(positions / 10, time=time, step=1000 * np.arange(N_FRAMES), box=box)
        else:
            structure = read_structure(config.topology)
            models = []
            for frame in positions:
                write_pdb(paths[-1], structure, frame)
                models.append(paths[-1].read_text().replace("END\n", "ENDMDL\n"))
            text = "".join(f"MODEL     {i:4d}\n{model}" for i, model in enumerate(models, 1))
            cell = "".join(f"{side:9.3f}" for side in CELL[:3]) + 3 * "  90.00"
            paths[-1].write_text(f"CRYST1{cell} P 1\n{text}END\n")
        dcd.unlink()
    return dataclasses.replace(config, trajectories=tuple(paths))


@pytest.fixture
def decoded(tmp_path, monkeypatch):
    """A function: how often each frame of all trajectories together was decoded since the test began."""
    log, found = tmp_path / "decoded", []
    monkeypatch.setenv("FRAMES_DECODED", str(log))
    child = Path(__file__).parents[1] / "tools" / "counting_child.py"
    monkeypatch.setattr(sandboxed, "_CHILD", child)
    values, models = NetcdfTrajectory._values, pdb.read_pdb_models

    def count_values(self, name, row, *rest):
        found.extend([row] if name == "coordinates" else [])
        return values(self, name, row, *rest)

    def count_models(path):
        read = models(path)
        found.extend(range(len(read.positions)))
        return read

    monkeypatch.setattr(NetcdfTrajectory, "_values", count_values)
    monkeypatch.setattr(pdb, "read_pdb_models", count_models)

    def counts():
        lines = log.read_text().splitlines() if log.exists() else []
        frames = [i for line in lines for i in range(*map(int, line.split()))]
        return np.bincount([*frames, *found], minlength=N_FRAMES)

    return counts


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_is_decoded_once(kind, pulls, decoded, tmp_path):
    config = write(tmp_path, kind, pulls)
    prepare.run(config, tmp_path / "run", Silent())
    assert decoded().tolist() == [len(pulls)] * N_FRAMES


@pytest.mark.parametrize("kind", ["xtc", "nc"])
def test_frames_that_a_stride_passes_over_are_decoded_only_to_see_that_they_are_sound(
    kind, pulls, decoded, tmp_path
):
    """An XTC has no other way to tell; of a NetCDF the size has told."""
    config = dataclasses.replace(write(tmp_path, kind, pulls), stride=3)
    prepare.run(config, tmp_path / "run", Silent())
    looked_at = np.zeros(N_FRAMES, dtype=bool)
    looked_at[::3] = True
    assert (decoded()[looked_at] == len(pulls)).all()
    assert (decoded()[~looked_at] <= len(pulls)).all()
    assert (decoded() > 0).all() == (kind == "xtc")


@pytest.mark.parametrize("kind", ["xtc", "pdb"])
def test_processes_give_the_same(kind, pulls, tmp_path):
    """They cannot share a temporary file, so the frames come back through a pipe."""
    config = write(tmp_path / "files", kind, pulls)
    datasets = []
    for workers in (1, 2):
        config = dataclasses.replace(config, workers=workers)
        prepare.run(config, tmp_path / f"run{workers}", Silent())
        datasets.append((tmp_path / f"run{workers}" / "dataset.h5").read_bytes())
    assert datasets[0] == datasets[1]


def test_a_damaged_frame_that_a_stride_passes_over_is_refused(pulls, tmp_path):
    config = dataclasses.replace(write(tmp_path, "xtc", pulls), stride=10)
    path = config.trajectories[1]
    content = path.read_bytes()
    starts = [i for i in range(0, len(content), 4) if content[i : i + 8] == content[:8]]
    assert len(starts) == N_FRAMES
    middle = (starts[14] + starts[15]) // 2
    path.write_bytes(content[:middle] + b"\xff" * 40 + content[middle + 40 :])
    with pytest.raises(TrajectoryError, match=r"pull_1\.xtc is damaged"):
        inspect(config, None)


def test_a_full_disk_for_the_frames_is_an_error(pulls, tmp_path, monkeypatch):
    config = write(tmp_path, "xtc", pulls)
    if not Path("/dev/full").exists():
        pytest.skip("no device that is full here")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: Path("/dev/full").open("r+b"))  # noqa: SIM115
    with pytest.raises(WriteError, match=r"No space left.*TMPDIR"):
        inspect(config, None)


def test_no_more_than_a_block_is_in_memory(tmp_path, monkeypatch):
    """Of an XTC whose frames do not fit, parts are read, of which only the wanted atoms stay."""
    five_frames = 5 * 4 * 12  # of four atoms
    monkeypatch.setattr("smdgen.io.trajectories.trajectory.CHUNK_BYTES", five_frames)
    frames = np.random.default_rng(0).normal(0, 9, (N_FRAMES, 30, 3)).astype(np.float32)
    path = write_xtc(tmp_path / "a.xtc", frames, np.tile(CELL, (N_FRAMES, 1)))
    asked = []
    with sandboxed.SandboxedTrajectory(path, "XTC", scan=False) as trajectory:
        read = trajectory.read
        monkeypatch.setattr(
            trajectory, "read", lambda rows, atoms: asked.append(len(rows)) or read(rows, atoms)
        )
        many = kept.Wanted(np.arange(0, N_FRAMES, 2), np.array([7, 3, 21, 22]))
        few = kept.Wanted(np.array([0, 17]), None)
        found = kept.read_once(trajectory, many, [few], kept.Scratch())
    assert max(asked) == 5
    assert sum(asked) == N_FRAMES
    np.testing.assert_allclose(found.read(many.frames, many.atoms), frames[::2][:, many.atoms], atol=0.006)
    np.testing.assert_allclose(found.read([8, 4], many.atoms), frames[[8, 4]][:, many.atoms], atol=0.006)
    np.testing.assert_allclose(found.read([17]), frames[[17]], atol=0.006)
    with pytest.raises(AssertionError, match="not wanted"):
        found.read([3], many.atoms)
