"""`smdgen info`: what it says of every kind of file is what the file holds."""

import gzip
import json
import shutil
import struct

import numpy as np
import pytest
import torch

from smdgen.about.info import describe
from smdgen.cli.app import main
from smdgen.config import PrepareConfig
from smdgen.dataset.dataset import open_dataset
from smdgen.dataset.remarks import thin_data
from smdgen.errors import ConfigError, SmdgenError
from smdgen.io.trajectories.dcd import write_dcd
from smdgen.progress import Silent
from smdgen.stages import prepare
from smdgen.store.artifacts import write_model
from smdgen.store.headers import CheckpointHeader
from smdgen.store.latents import Latents, write_latents
from smdgen.store.plain import to_plain
from smdgen.store.run_record import RunFolder
from tests.conftest import write_pull
from tests.tools.models import autoencoder_header, dynamics_header, write_autoencoder, write_dynamics
from tests.tools.other_formats import write_netcdf
from tests.tools.pulls import make_pull

TITLES = ("One", "Two")


def values_of(path):
    return describe(path).as_json()


def rows_of(path):
    return dict(describe(path).summary())


@pytest.fixture
def dcd(tmp_path):
    path = tmp_path / "a.dcd"
    x = np.random.default_rng(0).normal(size=(6, 9, 3))
    cells = np.array([30.0, 31, 32, 90, 90, 90])
    write_dcd(path, x, timestep_ps=0.002, steps_per_frame=250, first_step=1000, cells=cells, titles=TITLES)
    return path


def test_a_dcd_tells_its_times_cell_titles_and_dialect(dcd):
    found = values_of(dcd)
    assert found["kind"] == "DCD trajectory"
    assert (found["frames"], found["atoms"]) == ({"frames": 6, "declared": 6}, 9)
    assert found["times"] == pytest.approx({"first_ps": 2.0, "last_ps": 4.5, "spacing_ps": 0.5})
    assert found["MD_steps"] == {"first": 1000, "last": 2250}
    np.testing.assert_allclose(found["cell"]["first"], [30, 31, 32, 90, 90, 90])
    assert found["titles"] == list(TITLES)
    assert found["dialect"]["byte_order"] == "little-endian"
    assert rows_of(dcd)["times"] == "2 to 4.5 ps, every 0.5 ps"
    assert rows_of(dcd)["cell"] == "30 x 31 x 32 A, 90 x 90 x 90 deg"


def test_a_header_that_disagrees_with_its_body_is_pointed_out(dcd):
    content = bytearray(dcd.read_bytes())
    content[8:12] = struct.pack("<i", 99)  # NSET
    content[44:48] = struct.pack("<f", 0.0)  # DELTA
    dcd.write_bytes(content)
    assert rows_of(dcd)["frames"] == "6  (the header declares 99)"
    assert values_of(dcd)["times"] is None
    assert any("declares 99" in note for note in values_of(dcd)["notes"])


def test_a_packed_file_is_to_be_unpacked(tmp_path):
    (tmp_path / "pull.dcd.gz").write_bytes(gzip.compress(b"CORD" * 100))
    with pytest.raises(ConfigError, match=r"unpack it first \(gunzip"):
        describe(tmp_path / "pull.dcd.gz")


def test_a_structure_tells_what_it_is_made_of(pull_files):
    found = values_of(pull_files.topology)
    assert found["kind"] == "PSF"
    assert found["atoms"] == pull_files.structure.n_atoms
    assert found["elements"] == {"N": 10, "C": 20, "O": 10}
    assert found["bonds"] == len(pull_files.structure.bonds)
    assert found["protein"] == {"residues": 10, "chains": 1}
    assert found["coordinates"] is False


def test_a_dataset_tells_splits_selection_labels_and_origin(run_dir, pull_files):
    found = values_of(run_dir / "dataset.h5")
    assert sum(found["pulls"].values()) == 6
    assert sum(found["frames"].values()) == 150
    assert found["atoms"] == {"modelled": 40, "topology": 40, "selection": "name N CA C O"}
    assert (found["centre"], found["work"]) == (6, 6)
    assert found["content_hash"] == open_dataset(run_dir / "dataset.h5").content_hash
    assert found["bonded_terms"]["bonds"] == 39
    assert str(pull_files.topology) in found["inputs"]


def test_blocks_of_one_trajectory_are_one_pull(pull_files, tmp_path):
    path = write_pull(pull_files.folder, "long", make_pull(90, seed=8))
    config = PrepareConfig((path,), pull_files.topology, (pull_files.parameters,), select="name N CA C O")
    prepare.run(config, tmp_path / "run", Silent())
    assert rows_of(tmp_path / "run")["prepare"].startswith("done: 1 pull in 7 blocks (4 train, 1 val")
    (note,) = thin_data(open_dataset(tmp_path / "run" / "dataset.h5"))
    assert note.startswith("few training pulls: 1 pull in 4 blocks with ")
    found = values_of(tmp_path / "run" / "dataset.h5")
    assert (found["trajectories"], found["work"]) == (1, 1)
    assert found["length_of_a_pull"]["largest"] == pytest.approx(89.0)


def test_a_run_folder_tells_what_is_done_what_fits_and_what_comes_next(run_dir):
    """Models of the right and of another dataset, without training."""
    folder = RunFolder(run_dir)
    dataset = open_dataset(folder.dataset)

    def state():
        found = values_of(run_dir)
        steps = ("prepare", "train-vae", "train-lstm", "rollout", "analyze")
        return [found[step.replace("-", "_")]["state"] for step in steps], found["next"]

    def models(content_hash):
        found = write_autoencoder(folder.vae, autoencoder_header(content_hash=content_hash))
        z = np.zeros((dataset.n_frames, 3), dtype=np.float32)
        write_latents(folder.latents, Latents(z, found))
        return found

    assert state() == (["done"] + 4 * ["not done"], (f"smdgen train-vae --run {run_dir}",))
    models("0" * 64)
    assert state() == (
        ["done", "out of date"] + 3 * ["not done"],
        (f"smdgen train-vae --force --run {run_dir}",),
    )
    vae_hash = models(dataset.content_hash)
    assert state() == (["done"] * 2 + 3 * ["not done"], (f"smdgen train-lstm --run {run_dir}",))
    write_dynamics(folder.lstm, dynamics_header(vae_sha256="0" * 64))
    assert state()[0][2] == "out of date"
    write_dynamics(folder.lstm, dynamics_header(vae_sha256=vae_hash))
    assert state() == (["done"] * 3 + 2 * ["not done"], (f"smdgen rollout --steps 10 --run {run_dir}",))
    folder.lstm.write_bytes(folder.lstm.read_bytes()[:-1])
    assert state()[0][2] == "damaged"


def test_latents_and_checkpoints_are_known(tmp_path):
    write_latents(tmp_path / "latents.h5", Latents(np.ones((5, 4)), "ab" * 32))
    found = values_of(tmp_path / "latents.h5")
    assert (found["frames"], found["latent_size"], found["autoencoder"]) == (5, 4, "ab" * 32)
    header = CheckpointHeader(7, 0.5, None, (), {"kind": "vae", "preset": "default"})
    write_model(tmp_path / "vae.checkpoint", "checkpoint", {"w:a": torch.ones(3, 2)}, to_plain(header))
    found = values_of(tmp_path / "vae.checkpoint")
    assert (found["epochs"], found["weights"], found["training"]) == (7, 6, "vae")


def test_files_are_known_by_their_content(dcd, tmp_path):
    x = np.random.default_rng(0).normal(0, 5, (3, 9, 3)).astype(np.float32)
    shutil.copy(dcd, tmp_path / "pull.trj")
    write_netcdf(tmp_path / "pull.mdcrd", x)
    (tmp_path / "a.restart").write_bytes(struct.pack("<i", 9) + x[0].astype("<f8").tobytes())
    kinds = {name: values_of(tmp_path / name)["kind"] for name in ("pull.trj", "pull.mdcrd", "a.restart")}
    assert kinds == {
        "pull.trj": "DCD trajectory",
        "pull.mdcrd": "NetCDF trajectory",
        "a.restart": "NAMD coordinates, one set",
    }
    found = values_of(tmp_path / "a.restart")
    assert found["atoms"] == 9
    np.testing.assert_allclose(found["extent"], np.ptp(x[0], axis=0))


def test_one_bad_file_is_one_line_and_the_others_are_shown(dcd, tmp_path, capsys):
    cut, text = tmp_path / "cut.dcd", tmp_path / "notes.txt"
    cut.write_bytes(dcd.read_bytes()[:-20])
    text.write_text("hello\n")
    assert main(["info", str(cut), str(dcd), str(text), str(tmp_path / "none")]) == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 3
    assert "is cut inside frame 6" in shown.err
    assert "notes.txt is not a trajectory" in shown.err
    assert f"{dcd}: DCD trajectory" in shown.out

    assert main(["info", "--json", str(cut), str(dcd)]) == 2
    bad, good = json.loads(capsys.readouterr().out)
    assert "is cut inside" in bad["error"]
    assert good["frames"]["frames"] == 6


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(SmdgenError, match="without any file of a run"):
        describe(tmp_path)


def test_info_writes_nothing(run_dir):
    (run_dir / "record.json").write_text("[{")
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    assert any("record.json is damaged" in note for note in describe(run_dir).notes)
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("suffix", ["xtc", "nc"])
def test_other_formats_tell_the_same_frames(pull_files, tmp_path, suffix):
    md = pytest.importorskip("mdtraj")
    shutil.copy(pull_files.trajectories[0], tmp_path / "a.dcd")
    trajectory = md.Trajectory(pull_files.positions[0] / 10, None, time=np.arange(25.0) * 2)
    trajectory.topology = md.Topology()
    chain = trajectory.topology.add_chain()
    residue = trajectory.topology.add_residue("ALA", chain)
    for _ in range(40):
        trajectory.topology.add_atom("CA", md.element.carbon, residue)
    path = tmp_path / f"a.{suffix}"
    trajectory.save(str(path))
    found = values_of(path)
    assert (found["frames"], found["atoms"]) == (25, 40)
    assert found["times"]["spacing_ps"] == pytest.approx(2.0)
