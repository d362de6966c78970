"""The rollout stage: whatever start it is given, files that fit together and stay as they are."""

import dataclasses
import errno
import json
import math
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from smdgen.about.run_folder import describe_run
from smdgen.about.stored import describe_model
from smdgen.config import RolloutConfig
from smdgen.dataset.dataset import Pull, open_dataset, write_dataset
from smdgen.errors import ArtifactError, ConfigError, SmdgenError, TopologyError
from smdgen.files import sha256_file
from smdgen.forcefield.bonded_terms import geometry_terms
from smdgen.geometry import cvs
from smdgen.io.structures.structure import read_structure, structure_to_json, subset, write_pdb, write_psf
from smdgen.io.tables.colvars import read_colvars_traj
from smdgen.io.trajectories.dcd import DcdFile, write_dcd
from smdgen.method import model as built
from smdgen.method import rollout as method
from smdgen.method.training_paths import TrainingPaths
from smdgen.progress import Silent
from smdgen.stages import rollout
from smdgen.store import models, trained
from smdgen.store.artifacts import model_hash, read_model, write_model
from smdgen.store.run_record import RunFolder
from smdgen.training.devices import choose_device
from tests.tools.models import autoencoder_header, dynamics_header, write_autoencoder, write_dynamics
from tests.tools.other_formats import write_netcdf
from tests.tools.pulls import end_to_end, make_cv, make_pull, make_structure
from tests.tools.vmd import Vmd

STRUCTURE, CV = make_structure(), make_cv()
START = make_pull(2, 0)[0]
BUILD_MODEL, START_DISTANCE = models.build_model, built.start_distance


@pytest.fixture
def run_dir(tmp_path, monkeypatch):
    """A run folder with models that stretch the start by a tenth a step, with a little seeded noise."""
    folder = tmp_path / "run"
    folder.mkdir()
    write_models(folder)
    reference_frames = torch.from_numpy(START)[None]
    schedule = TrainingPaths(torch.zeros(1, 2), 1.0)
    model = SimpleNamespace(
        training_paths=schedule, reference_frames=reference_frames, training_radius=1.0, cv=CV
    )
    monkeypatch.setattr(models, "build_model", lambda *_: model)
    monkeypatch.setattr(built, "on_device", lambda model, _: model)
    monkeypatch.setattr(built, "start_distance", lambda *_: 0.5)
    monkeypatch.setattr(method, "generate", stretch)
    return folder


def write_models(folder: Path, structure=STRUCTURE, content_hash="0" * 64) -> None:
    header = autoencoder_header(structure, CV, content_hash=content_hash)
    own = write_autoencoder(folder / "vae.safetensors", header)
    write_dynamics(folder / "lstm.safetensors", dynamics_header(vae_sha256=own))


def forge(folder: Path, name: str, tensors=(), header=()) -> None:
    """Other tensors or fields in a model file, sealed anew; a new autoencoder gets dynamics of its own."""
    path = folder / f"{name}.safetensors"
    found, manifest = read_model(path, name)
    write_model(path, name, {**found, **dict(tensors)}, {**manifest.header, **dict(header)})
    if name == "vae":
        write_dynamics(folder / "lstm.safetensors", dynamics_header(vae_sha256=model_hash(path)))


def stretch(model, start, n_steps, n_samples, target=None, seed=0, progress=None, values=None):
    noise = 0.01 * torch.randn(n_samples, n_steps + 1, generator=torch.Generator().manual_seed(seed))
    factor = 1 + 0.1 * torch.arange(n_steps + 1) + noise
    factor[:, 0] = 1
    positions = start.mean(0) + factor[..., None, None] * (start - start.mean(0))
    values = cvs.evaluate(CV, positions)
    times = 2.5 * torch.arange(n_steps + 1, dtype=torch.float64)
    return built.Rollout(positions, values, values, times)


@pytest.mark.parametrize("header", [{}, {"preset": "default", "sizes": "big"}, {"preset": 3, "sizes": {}}])
def test_models_of_another_make_up_are_refused(tmp_path, header):
    """Their checksums fit: a faulty or a later program wrote them."""
    known = {"structure": structure_to_json(STRUCTURE), "cv": cvs.to_dict(CV)} if header else {}
    write_model(tmp_path / "vae.safetensors", "vae", {"w": torch.zeros(1)}, {**known, **header})
    own = {"vae_sha256": model_hash(tmp_path / "vae.safetensors")}
    write_model(tmp_path / "lstm.safetensors", "lstm", {"w": torch.zeros(1)}, own)
    with pytest.raises(ArtifactError, match="whole, but not made up as"):
        rollout.run(RolloutConfig(write_start(tmp_path)), tmp_path, Silent())
    with pytest.raises(ArtifactError, match="whole, but not made up as"):
        describe_model(tmp_path / "vae.safetensors")
    assert "damaged" in str(describe_run(tmp_path).facts)


@pytest.mark.parametrize(
    ("name", "tensors", "header"),
    [
        ("vae", {"reference_frames": torch.zeros(39, 3)}, {}),
        ("vae", {"reference_frames": torch.zeros(2, 39, 3)}, {}),
        ("vae", {"reference_frames": torch.zeros(0, 40, 3)}, {}),
        ("vae", {"reference_frames": torch.zeros(2, 39, 3)}, {"sizes": {"n_atoms": 39}}),
        ("vae", {}, {"training_radius_A": math.nan}),
        ("vae", {}, {"training_radius_A": "far"}),
        ("lstm", {"paths": torch.zeros(2)}, {}),
        ("lstm", {"paths": torch.zeros(0, 2)}, {}),
        ("lstm", {"paths": torch.zeros(1, 1)}, {}),
        ("lstm", {}, {"duration_ps": 0.0}),
        ("lstm", {}, {"duration_ps": "long"}),
        ("lstm", {"weights.w": torch.zeros(1).half()}, {}),
    ],
)
def test_models_with_parts_of_another_make_up_are_refused(run_dir, name, tensors, header):
    forge(run_dir, name, tensors, header)
    with pytest.raises(ArtifactError, match="whole, but not made up as"):
        rollout.run(RolloutConfig(write_start(run_dir)), run_dir, Silent())


def test_sizes_beyond_the_weights_take_no_memory(run_dir, monkeypatch):
    """Building such a network would fill the memory before its weights could be found missing."""
    monkeypatch.setattr(models, "build_model", BUILD_MODEL)
    forge(run_dir, "vae", header={"sizes": {"n_atoms": 40, "latent_size": 1, "hidden_size": 10**9}})
    with pytest.raises(ArtifactError, match="beyond the number of weights"):
        rollout.run(RolloutConfig(write_start(run_dir)), run_dir, Silent())


def test_an_unknown_device_is_refused(run_dir):
    with pytest.raises(ConfigError, match="device 'abacus'"):
        rollout.run(RolloutConfig(write_start(run_dir), device="abacus"), run_dir, Silent())


@pytest.mark.parametrize("found", ["cuda", "cpu"])
def test_auto_means_the_same_device_as_in_training(run_dir, monkeypatch, found):
    """A GPU where there is one; what is computed there then needs none here."""
    devices = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found == "cuda")
    monkeypatch.setattr(torch, "zeros", lambda *_, device=None: devices.append(device.type))
    rollout.run(RolloutConfig(write_start(run_dir), samples=1), run_dir, Silent())
    assert devices[0] == found
    assert choose_device("auto", 40, 0).type == found


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
@pytest.mark.parametrize(("module", "place"), [(models, "build_model"), (built, "on_device")])
def test_no_memory_left_says_nothing_of_the_model(run_dir, monkeypatch, error, module, place):
    def fail(*_):
        raise error

    monkeypatch.setattr(module, place, fail)
    with pytest.raises(RuntimeError) as caught:
        rollout.run(RolloutConfig(write_start(run_dir)), run_dir, Silent())
    assert caught.value is error


def test_a_full_gpu_is_not_an_unknown_device(monkeypatch):
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: (_ for _ in ()).throw(OUT_OF_MEMORY[0]))
    with pytest.raises(torch.OutOfMemoryError):
        choose_device("cpu", 40, 0)


def test_eight_pulls_unless_told_otherwise(run_dir, tmp_path):
    """As many as the two-sample test of `analyze` needs."""
    rollout.run(RolloutConfig(write_start(tmp_path), steps=2), run_dir, Silent())
    assert len(list((run_dir / "rollout").glob("*.dcd"))) == 8


def write_start(folder: Path, positions=START, structure=STRUCTURE, name: str = "start.pdb") -> Path:
    write_pdb(folder / name, structure, positions)
    return folder / name


def read_pull(path: Path) -> np.ndarray:
    with DcdFile(path) as pull:
        return pull.read(slice(None))


def test_files_fit_together(run_dir, tmp_path):
    """Names, frames, times, tables: each as the others say."""
    config = RolloutConfig(start=write_start(tmp_path), steps=4, samples=2)
    result = rollout.run(config, run_dir, Silent())
    folder = run_dir / "rollout"
    assert {path.name for path in result.outputs} == {path.name for path in folder.iterdir()} == {
        "pull_000.dcd", "pull_000.colvars.traj", "pull_000.colvars.in",
        "pull_001.dcd", "pull_001.colvars.traj", "pull_001.colvars.in",
        "topology.pdb", "view.vmd", "view.pml", "cv.csv", "rollout.json",
    }  # fmt: skip
    with DcdFile(folder / "pull_001.dcd") as pull:
        np.testing.assert_allclose(pull.times_ps, [0, 2.5, 5, 7.5, 10], rtol=1e-6)
        frames = pull.read(slice(None))
    np.testing.assert_allclose(frames[0], START, atol=2e-3)
    table = read_colvars_traj(folder / "pull_001.colvars.traj")
    np.testing.assert_allclose(table.columns["end_to_end"], end_to_end(frames), rtol=1e-5)
    assert "atomNumbers 2\n" in (folder / "pull_001.colvars.in").read_text()
    rows = [line.split(",") for line in (folder / "cv.csv").read_text().splitlines()]
    assert rows[0] == ["frame", "time_ps", "pull", "end_to_end_A", "end_to_end_aim_A", "end_to_end_missed_A"]
    assert [row[0] for row in rows[1:]] == list("0123401234")
    np.testing.assert_allclose([float(row[3]) for row in rows[6:]], end_to_end(frames), atol=1e-4)
    assert result.first == pytest.approx(end_to_end(START), abs=1e-3)


def test_vmd_shows_it(run_dir, tmp_path):
    """The written script finds the written files, frame for frame."""
    rollout.run(RolloutConfig(start=write_start(tmp_path), steps=4, samples=2), run_dir, Silent())
    vmd = Vmd()
    vmd.play(run_dir / "rollout" / "view.vmd")
    assert [(molecule.n_atoms, molecule.n_frames) for molecule in vmd.molecules] == [(40, 5)] * 2
    assert vmd.labels[0] == ("Bonds", [(0, 1), (0, 37)])


def test_start_in_any_order_and_with_more_atoms(run_dir, tmp_path):
    """Atoms are found by residue and name, others left out; the output has the model's order."""
    more = dataclasses.replace(
        make_structure(11), residue_ids=np.repeat(np.arange(1, 12), 4), segment_ids=np.full(44, "MINE")
    )
    order = np.random.default_rng(0).permutation(44)
    positions = make_pull(2, 5, n_residues=11)[0]
    start = write_start(tmp_path, positions[order], subset(more, order))
    rollout.run(RolloutConfig(start=start, steps=2), run_dir, Silent())
    written = read_structure(run_dir / "rollout" / "topology.pdb")
    assert written.names.tolist() == STRUCTURE.names.tolist()
    assert written.residue_ids.tolist() == STRUCTURE.residue_ids.tolist()
    assert set(written.segment_ids) == {"MINE"}
    np.testing.assert_allclose(read_pull(run_dir / "rollout" / "pull_000.dcd")[0], positions[:40], atol=2e-3)


def test_psf_with_coordinates_beside_and_first_frame_of_a_dcd(run_dir, tmp_path):
    """A PSF takes its coordinates from the file of its name, a DCD its atoms from the topology beside it."""
    structure = dataclasses.replace(STRUCTURE, types=np.full(40, "CT"), charges=np.zeros(40))
    write_psf(tmp_path / "system.psf", structure)
    write_dcd(tmp_path / "system.dcd", np.stack([START, START + 5]), timestep_ps=1.0)
    write_netcdf(tmp_path / "system.rst7", np.stack([START, START + 5]))
    for name in ("system.psf", "system.dcd", "system.rst7"):
        rollout.run(RolloutConfig(start=tmp_path / name, steps=2, force=True), run_dir, Silent())
        np.testing.assert_allclose(read_pull(run_dir / "rollout" / "pull_000.dcd")[0], START, atol=1e-5)


def test_psf_is_written_when_training_had_one(run_dir, tmp_path):
    """VMD then shows the real bonds; the script loads it, and no frame of a PDB comes in between."""
    structure = dataclasses.replace(STRUCTURE, types=np.full(40, "CT"), charges=np.zeros(40))
    write_models(run_dir, structure)
    rollout.run(RolloutConfig(start=write_start(tmp_path), steps=4), run_dir, Silent())
    psf = read_structure(run_dir / "rollout" / "topology.psf")
    np.testing.assert_array_equal(psf.bonds, STRUCTURE.bonds)
    vmd = Vmd()
    vmd.play(run_dir / "rollout" / "view.vmd")
    assert vmd.molecules[0].n_frames == 5


def test_same_seed_same_bytes(run_dir, tmp_path):
    """In another folder, at another time; another seed gives another pull."""
    start = write_start(tmp_path)
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        config = RolloutConfig(start=start, steps=3, samples=2, seed=seed, output=tmp_path / name / "out")
        rollout.run(config, run_dir, Silent())
    files = {name: {f.name: f.read_bytes() for f in (tmp_path / name / "out").iterdir()} for name in "abc"}
    for name in "ab":  # but for the folder, which VMD does not tell a script of `vmd -e`
        script = files[name]["view.vmd"].decode()
        assert str(tmp_path / name / "out") in script
        files[name]["view.vmd"] = script.replace(str(tmp_path / name / "out"), "").encode()
    assert files["a"] == files["b"]
    assert files["a"]["pull_000.dcd"] != files["c"]["pull_000.dcd"]


def test_output_is_not_replaced_unless_told(run_dir, tmp_path):
    """With --force nothing of the old pulls stays, and what is not ours is left alone."""
    start = write_start(tmp_path)
    rollout.run(RolloutConfig(start=start, steps=3, samples=3), run_dir, Silent())
    folder = run_dir / "rollout"
    (folder / "notes.txt").write_text("mine")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(ArtifactError, match="--force"):
        rollout.run(RolloutConfig(start=start, steps=2), run_dir, Silent())
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    rollout.run(RolloutConfig(start=start, steps=2, samples=1, force=True), run_dir, Silent())
    assert [path.name for path in sorted(folder.glob("*.dcd"))] == ["pull_000.dcd"]
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_run_killed_while_it_replaces_files_can_be_repeated(run_dir, tmp_path, monkeypatch):
    """More pulls than before: those it had moved are known as its own."""
    config = RolloutConfig(
        start=write_start(tmp_path), steps=2, samples=1, output=tmp_path / "out", force=True
    )
    rollout.run(config, run_dir, Silent())
    real = Path.replace

    def replace(self, target):
        if Path(target) == config.output / "pull_002.dcd":
            raise OSError(errno.EIO, "Input/output error")
        return real(self, target)

    more = dataclasses.replace(config, samples=3)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(ArtifactError, match="Input/output error"):
            rollout.run(more, run_dir, Silent())
    assert (config.output / "pull_002.colvars.traj").is_file()
    rollout.run(dataclasses.replace(more, seed=5), run_dir, Silent())


def test_what_killed_runs_left_is_swept(run_dir, tmp_path):
    """In the folder and beside it; a new run works inside a folder that is there, beside one that is not."""
    config = RolloutConfig(start=write_start(tmp_path), steps=2, output=tmp_path / "out", force=True)
    for _ in range(2):
        for place in (tmp_path, config.output):
            if place.exists():
                (place / ".smdgen-new-999999999-dead").mkdir()
        rollout.run(config, run_dir, Silent())
        assert not list(tmp_path.rglob(".smdgen-new-*"))
    assert (config.output / "rollout.json").is_file()


@pytest.mark.parametrize("asked", [{"steps": 10**8}, {"samples": 10**8}, {"schedule": "1e9, 4"}])
def test_more_than_memory_holds_is_refused(run_dir, tmp_path, asked):
    if "schedule" in asked:
        (tmp_path / "far.csv").write_text(asked["schedule"])
        asked = {"schedule": tmp_path / "far.csv"}
    with pytest.raises(ConfigError, match=r"atoms in all frames, expected at most 2e\+08; generate fewer"):
        rollout.run(RolloutConfig(start=write_start(tmp_path), **asked), run_dir, Silent())
    assert not (run_dir / "rollout").exists()


def test_a_run_folder_of_somebody_else_gets_no_record(run_dir, tmp_path, monkeypatch):
    """What was asked for is whole elsewhere: a note, no failure. A full disk still fails."""
    config = RolloutConfig(start=write_start(tmp_path), steps=2, output=tmp_path / "mine")

    def refuse(number):
        def refused(*_):
            raise OSError(number, os.strerror(number), "record.json")

        monkeypatch.setattr(RunFolder, "record", refused)

    progress = Silent()
    for number in (errno.EACCES, errno.EROFS):
        refuse(number)
        rollout.run(dataclasses.replace(config, force=True), run_dir, progress)
        assert (tmp_path / "mine" / "pull_000.dcd").is_file()
        assert progress.notes[-1] == f"{run_dir} may not be written to: its record.json lacks this run"
    refuse(errno.ENOSPC)
    with pytest.raises(OSError, match="No space"):
        rollout.run(dataclasses.replace(config, force=True), run_dir, progress)


@pytest.mark.parametrize("among", [False, True])
def test_pulls_of_the_users_own_are_never_replaced(run_dir, tmp_path, among):
    """In a folder of theirs, or put into one of an earlier rollout."""
    config = RolloutConfig(
        start=write_start(tmp_path), steps=2, samples=1, output=tmp_path / "pulls", force=True
    )
    if among:
        rollout.run(config, run_dir, Silent())
    config.output.mkdir(exist_ok=True)
    (config.output / "pull_007.dcd").write_text("MD")
    before = {file.name: file.read_bytes() for file in config.output.iterdir()}
    with pytest.raises(ArtifactError, match=r"holds pull_007\.dcd, which no earlier run .* another --output"):
        rollout.run(config, run_dir, Silent())
    assert {file.name: file.read_bytes() for file in config.output.iterdir()} == before


def test_nothing_is_half_written(run_dir, tmp_path, monkeypatch):
    """When the model breaks down the folder of the last time is as it was, and no temporary file stays."""
    start = write_start(tmp_path)
    rollout.run(RolloutConfig(start=start, steps=3), run_dir, Silent())
    before = sorted(run_dir.rglob("*"))

    def broken(*arguments):
        result = stretch(*arguments)
        result.positions[0, -1] = float("nan")
        return result

    monkeypatch.setattr(method, "generate", broken)
    with pytest.raises(SmdgenError, match="finite"):
        rollout.run(RolloutConfig(start=start, steps=3, force=True), run_dir, Silent())
    assert sorted(run_dir.rglob("*")) == before


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"steps": -1}, ConfigError, "steps is -1, expected 1 or more"),
        ({"samples": 0}, ConfigError, "samples is 0, expected 1 or more"),
        ({"target": float("nan")}, ConfigError, "--to is nan, expected a finite number"),
        ({"start": Path("no.pdb")}, TopologyError, "no such file"),
    ],
)
def test_wrong_settings(run_dir, tmp_path, settings, error, words):
    """One line each, and nothing is written."""
    with pytest.raises(error, match=words):
        rollout.run(RolloutConfig(**{"start": write_start(tmp_path), **settings}), run_dir, Silent())
    assert not (run_dir / "rollout").exists()


def test_start_that_lacks_atoms(run_dir, tmp_path):
    """The first atom that is missing is named."""
    start = write_start(tmp_path, START[:-1], subset(STRUCTURE, np.arange(39)))
    with pytest.raises(TopologyError, match=r"O\b"):
        rollout.run(RolloutConfig(start=start), run_dir, Silent())


@pytest.mark.parametrize(("factor", "verdict"), [(0.5, "taken"), (1.5, "noted"), (2.5, "refused")])
def test_start_unlike_the_training_data(run_dir, tmp_path, monkeypatch, factor, verdict):
    """The distance is said; beyond twice the reach of real frames nothing is generated."""
    monkeypatch.setattr(built, "start_distance", lambda *_: factor)
    progress, config = Silent(), RolloutConfig(start=write_start(tmp_path), steps=2)
    if verdict == "refused":
        with pytest.raises(ConfigError, match="is 2\\.50 A"):
            rollout.run(config, run_dir, progress)
        assert not (run_dir / "rollout").exists()
        return
    rollout.run(config, run_dir, progress)
    assert any("1.50 A" in note for note in progress.notes) == (verdict == "noted")


def test_a_mirrored_start_is_refused(run_dir, tmp_path, monkeypatch):
    """However near it is: of internal coordinates the first step would jump to the other hand."""
    monkeypatch.setattr(built, "start_distance", START_DISTANCE)
    turned = tmp_path / "turned.pdb"
    write_pdb(turned, STRUCTURE, START * [-1.0, -1.0, 1.0])
    rollout.run(RolloutConfig(start=turned, steps=2), run_dir, Silent())
    write_pdb(turned, STRUCTURE, START * [1.0, 1.0, -1.0])
    with pytest.raises(
        ConfigError, match=r"is a mirror image: .* its reflection 0\.00 A; an axis was negated"
    ):
        rollout.run(RolloutConfig(start=turned, steps=2, output=tmp_path / "x"), run_dir, Silent())


def test_missing_step_is_named(run_dir, tmp_path):
    """A run that was begun is not finished with somebody else's model."""
    (run_dir / "lstm.safetensors").unlink()
    with pytest.raises(ArtifactError, match="smdgen train-lstm"):
        rollout.run(RolloutConfig(start=write_start(tmp_path)), run_dir, Silent())


def test_models_of_different_runs_are_refused(run_dir, tmp_path):
    """An LSTM moves in the latent space of one VAE only."""
    write_dynamics(run_dir / "lstm.safetensors", dynamics_header(vae_sha256="1" * 64))
    with pytest.raises(ArtifactError, match=r"another vae\.safetensors.*smdgen train-lstm --force"):
        rollout.run(RolloutConfig(start=write_start(tmp_path)), run_dir, Silent())


def test_without_a_start_the_dataset_gives_one(run_dir, tmp_path):
    """The first frame of a held-out pull; not from a dataset the model was not trained on."""
    frames = np.concatenate([make_pull(3, 0), make_pull(3, 1)])
    write_dataset(
        run_dir / "dataset.h5",
        structure=STRUCTURE,
        terms=geometry_terms(STRUCTURE.bonds, frames.astype(float)),
        cv=CV,
        positions=frames,
        pulls=[Pull("a", 0, 3, "train", ""), Pull("b", 3, 6, "test", "")],
        times_ps=np.tile(np.arange(3.0), 2),
        cv_values=end_to_end(frames).astype(float),
    )
    with pytest.raises(ArtifactError, match="trained on another"):
        rollout.run(RolloutConfig(steps=2), run_dir, Silent())
    write_models(run_dir, content_hash=open_dataset(run_dir / "dataset.h5").content_hash)
    result = rollout.run(RolloutConfig(steps=2), run_dir, Silent())
    assert "first frame of b" in result.start
    np.testing.assert_allclose(read_pull(run_dir / "rollout" / "pull_000.dcd")[0], frames[3], atol=1e-5)
    assert json.loads((run_dir / "rollout" / "rollout.json").read_text())["start_pull"] == "b"


@pytest.mark.parametrize("shipped", [False, True])
def test_the_real_pull_shown_is_that_part_of_the_way(run_dir, tmp_path, monkeypatch, shipped):
    """Two steps of 2.5 ps to the middle of pulls of 20 ps: the real pull is there too, at those times."""
    pull = make_pull(9, 0)
    frames = np.concatenate([pull, pull])
    path = run_dir / "dataset.h5"
    write_dataset(
        path,
        structure=STRUCTURE,
        terms=geometry_terms(STRUCTURE.bonds, frames.astype(float)),
        cv=CV,
        positions=frames,
        pulls=[Pull("a", 0, 9, "train", ""), Pull("b", 9, 18, "test", "")],
        times_ps=np.tile(2.5 * np.arange(9), 2),
        cv_values=end_to_end(frames).astype(float),
    )
    write_models(run_dir, content_hash=open_dataset(path).content_hash)
    if shipped:
        folder = tmp_path / "models" / "deca_alanine"
        folder.mkdir(parents=True)
        path.replace(folder / "reference.h5")
        for name in ("vae.safetensors", "lstm.safetensors"):
            (run_dir / name).replace(folder / name)
        monkeypatch.setattr(trained, "SHIPPED", tmp_path / "models" / "deca_alanine")
    target = float(end_to_end(pull)[3])
    config = RolloutConfig(start=write_start(tmp_path), steps=2, target=target)
    rollout.run(config, run_dir, Silent())
    shown = end_to_end(DcdFile(run_dir / "rollout" / "real_000.dcd").read())
    np.testing.assert_allclose(shown, end_to_end(pull)[1:4], atol=1e-3)


def test_empty_folder_uses_the_shipped_model_if_it_fits(run_dir, tmp_path, monkeypatch):
    """It says so; a start with other atoms is told which commands come first."""
    shipped = tmp_path / "models" / "deca_alanine"
    shipped.mkdir(parents=True)
    for name in ("vae.safetensors", "lstm.safetensors"):
        (run_dir / name).replace(shipped / name)
    monkeypatch.setattr(trained, "SHIPPED", tmp_path / "models" / "deca_alanine")
    progress = Silent()
    result = rollout.run(RolloutConfig(start=write_start(tmp_path), steps=2), run_dir, progress)
    assert "shipped" in result.model
    assert any("shipped" in note for note in progress.notes)
    other = write_start(tmp_path, make_pull(2, 0, 4)[0], make_structure(4), "other.pdb")
    with pytest.raises(ArtifactError, match=r"smdgen prepare.*train-vae.*train-lstm.*first"):
        rollout.run(RolloutConfig(start=other, output=tmp_path / "x"), run_dir, Silent())


def test_a_schedule_says_where_each_step_goes(run_dir, tmp_path, monkeypatch):
    """The model gets its values from the start on, and what it misses is told step by step."""
    asked = []

    def note_values(*arguments):
        asked.append(arguments[-1])
        return dataclasses.replace(stretch(*arguments[:-1]), target_cv=torch.tensor([[0.0, *arguments[-1]]]))

    monkeypatch.setattr(method, "generate", note_values)
    (tmp_path / "schedule.csv").write_text("step,A\n2,20\n4,15\n")
    config = RolloutConfig(start=write_start(tmp_path), schedule=tmp_path / "schedule.csv", samples=1)
    result = rollout.run(config, run_dir, Silent())
    first = float(end_to_end(START))
    assert asked == [pytest.approx([(first + 20) / 2, 20, 17.5, 15], abs=1e-2)]
    rows = np.genfromtxt(run_dir / "rollout" / "cv.csv", delimiter=",", names=True)[1:]
    np.testing.assert_allclose(rows["end_to_end_missed_A"], abs(rows["end_to_end_A"] - asked[0]), atol=1e-4)
    np.testing.assert_allclose(result.missed, rows["end_to_end_missed_A"], atol=1e-4)
    assert f"4: {result.missed[3]:.3f}" in dict(result.summary())["mean per step"]
    with pytest.raises(ConfigError, match="give one of them"):
        rollout.run(dataclasses.replace(config, target=20.0, force=True), run_dir, Silent())
    for begin, said in ((first + 0.1, 0), (first + 5, 1)):
        (tmp_path / "schedule.csv").write_text(f"0,{begin}\n2,20\n4,15\n")
        progress = Silent()
        rollout.run(dataclasses.replace(config, force=True), run_dir, progress)
        assert sum("the pulls begin at the start" in note for note in progress.notes) == said


def test_what_is_written_elsewhere_does_not_count_for_the_run(run_dir, tmp_path, monkeypatch):
    """`info` shows the run's own rollout and analysis as they are, whatever was done in other folders."""

    def state():
        found = describe_run(run_dir).as_json()
        return {name: (found[name]["state"], found[name].get("argv")) for name in ("rollout", "analyze")}

    def generate(words, **settings):
        monkeypatch.setattr(sys, "argv", ["smdgen", *words.split()])
        start = write_start(tmp_path)
        return rollout.run(RolloutConfig(start, steps=2, samples=2, **settings), run_dir, Silent())

    def analyse(words, folder, output):
        """As `analyze` leaves it, without its figures."""
        monkeypatch.setattr(sys, "argv", ["smdgen", *words.split()])
        output.mkdir(exist_ok=True)
        used = {path.name: sha256_file(path) for path in folder.glob("pull_*.dcd")}
        (output / "report.json").write_text(json.dumps({"trajectories": used}))
        RunFolder(run_dir).record_or_note("analyze", 1.0, folder.glob("pull_*.dcd"), output, Silent())

    generate("rollout start.pdb", seed=1)
    analyse("analyze", run_dir / "rollout", run_dir / "analysis")
    own = {
        "rollout": ("done", ["smdgen", "rollout", "start.pdb"]),
        "analyze": ("done", ["smdgen", "analyze"]),
    }
    assert state() == own
    hints = generate("rollout start.pdb -o other", seed=2, output=tmp_path / "other").hints
    other = tmp_path / "other"
    assert hints[-1] == f"smdgen analyze {other}/pull_*.dcd --output {other}-analysis --run {run_dir}"
    analyse("analyze other/*.dcd -o there", tmp_path / "other", tmp_path / "there")
    assert state() == own
    assert [entry.get("elsewhere") for entry in RunFolder(run_dir).entries()] == [
        None, None, str(tmp_path / "other"), str(tmp_path / "there"),
    ]  # fmt: skip
    generate("rollout start.pdb --force", seed=3, force=True)
    assert [word for word, _ in state().values()] == ["done", "out of date"]
    analyse("analyze other/*.dcd --force", tmp_path / "other", run_dir / "analysis")
    assert state()["analyze"][0] == "out of date"
    analyse("analyze --force", run_dir / "rollout", run_dir / "analysis")
    assert state()["analyze"][0] == "done"
    (run_dir / "rollout").rename(tmp_path / "away")
    assert [word for word, _ in state().values()] == ["not done", "out of date"]
    (tmp_path / "away").rename(run_dir / "rollout")
    write_models(run_dir, content_hash="1" * 64)
    assert state()["rollout"][0] == "out of date"


def test_record_and_report(run_dir, tmp_path):
    """record.json says what was done; rollout.json says how the pulls came about, without paths and dates."""
    rollout.run(RolloutConfig(start=write_start(tmp_path), steps=2, seed=7), run_dir, Silent())
    entry = json.loads((run_dir / "record.json").read_text())[-1]
    assert entry["command"] == "rollout"
    assert str(tmp_path / "start.pdb") in entry["inputs"]
    report = (run_dir / "rollout" / "rollout.json").read_text()
    assert json.loads(report)["seed"] == 7
    assert str(tmp_path) not in report


class Notes(Silent):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_frames_unlike_md_end_with_a_note_that_names_the_worst(run_dir, tmp_path):
    """The stand-in stretches the molecule; a start that hardly moves is like itself."""
    progress = Notes()
    config = RolloutConfig(start=write_start(tmp_path), steps=4, samples=2)
    result = rollout.run(config, run_dir, progress)
    (note,) = [note for note in progress.notes if "like MD" in note]
    assert note.startswith("the generated frames are not like MD: successive CA")
    (far,) = [note for note in progress.notes if "farther from all training frames" in note]
    assert far.startswith("50% of the generated frames")
    assert "than unseen real frames are (1.00 A at most)" in far
    assert ("frames", result.frames) in result.summary()
    assert result.frames.startswith("not like MD in ")
    record = json.loads((run_dir / "rollout" / "rollout.json").read_text())
    assert record["frames"]["verdict"] in note
    assert {row["key"] for row in record["frames"]["measures"]} >= {"clashes", "ramachandran", "ca_outside"}


def test_a_copy_of_the_start_is_like_md(run_dir, tmp_path, monkeypatch):
    def stay(model, start, n_steps, n_samples, *_):
        made = stretch(model, start, n_steps, n_samples)
        return dataclasses.replace(made, positions=start.expand(n_samples, n_steps + 1, -1, -1))

    monkeypatch.setattr(method, "generate", stay)
    progress = Notes()
    config = RolloutConfig(start=write_start(tmp_path), steps=4, samples=2)
    result = rollout.run(config, run_dir, progress)
    assert result.frames.startswith("like MD in all ")
    assert not [note for note in progress.notes if "like MD" in note]
