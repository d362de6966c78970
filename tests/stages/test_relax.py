"""The relax stage: all atoms of the start, lower energies, the pulls of the rollout untouched."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from smdgen.config import RelaxConfig
from smdgen.errors import ArtifactError, ConfigError, TrajectoryError
from smdgen.io.structures.structure import read_structure, subset, write_pdb
from smdgen.io.trajectories.dcd import DcdFile, write_dcd
from smdgen.progress import Silent
from smdgen.stages import relax
from smdgen.store.folder import ROLLOUT_FILES, refuse_results, whole_folder
from smdgen.store.run_record import RunFolder
from smdgen.view.pull_folder import write_pull_folder
from tests.tools.pulls import make_cv, make_pull, make_structure

STRUCTURE, START = make_structure(), make_pull(2, 0)[0]
INTERVAL_PS = 2.5
MODELLED = np.arange(39)


def make_rollout(folder: Path, relaxed_before: tuple[str, ...] = ()) -> Path:
    """Two pulls of four frames of all atoms but the last, stretched from the start."""
    folder.mkdir(parents=True)
    factor = 1 + 0.02 * np.array([[0, 1, 2, 3], [0, 2, 3, 4]])
    positions = (factor[..., None, None] * START[MODELLED]).astype(np.float32)
    cv = dataclasses.replace(make_cv(), groups=((1,), (37,)))
    times = INTERVAL_PS * np.arange(4)
    write_pull_folder(
        folder, subset(STRUCTURE, MODELLED), cv, positions, times, np.zeros((2, 4)), home=folder
    )
    names = [*(path.name for path in folder.iterdir()), "rollout.json", *relaxed_before]
    record = {"kind": "rollout", "time_per_step_ps": INTERVAL_PS, "files": names}
    (folder / "rollout.json").write_text(json.dumps(record))
    for name in relaxed_before:
        (folder / name).write_text("old")
    return folder


@pytest.fixture
def run_dir(tmp_path):
    """A run folder that holds a rollout."""
    make_rollout(tmp_path / "run" / "rollout")
    return tmp_path / "run"


@pytest.fixture
def config(pull_files):
    """The PSF with its parameters, and the start's coordinates beside it."""
    write_pdb(pull_files.folder / "system.pdb", STRUCTURE, START)
    return RelaxConfig(pull_files.folder / "system.psf", parameters=(pull_files.parameters,))


def read_pull(path: Path) -> np.ndarray:
    with DcdFile(path) as pull:
        return pull.read(slice(None))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_relaxed_frames_lie_beside_the_generated_ones(run_dir, config):
    """All atoms of the start, also those not modelled; lower energies; the pulls stay as they are."""
    folder = run_dir / "rollout"
    before = content(folder)
    result = relax.run(config, run_dir, Silent())
    after = content(folder)
    assert {name: after[name] for name in before} == before
    assert {path.name for path in result.outputs} == after.keys() - before.keys() == {
        "relaxed_000.dcd", "relaxed_001.dcd", "relaxed.pdb", "relaxed.csv", "relaxed.json",
    }  # fmt: skip
    assert read_structure(folder / "relaxed.pdb").n_atoms == 40
    rows = np.genfromtxt(folder / "relaxed.csv", delimiter=",", names=True)
    assert rows["frame"].tolist() == [0, 1, 2, 3] * 2
    assert (rows["energy_after_kcal_mol"] < rows["energy_before_kcal_mol"]).all()
    for number in range(2):
        with DcdFile(folder / f"relaxed_{number:03d}.dcd") as pull:
            np.testing.assert_allclose(pull.times_ps, INTERVAL_PS * np.arange(4), rtol=1e-6)
        moved = read_pull(folder / f"relaxed_{number:03d}.dcd")[:, MODELLED]
        moved = np.linalg.norm(moved - read_pull(folder / f"pull_{number:03d}.dcd"), axis=-1)
        told = rows[rows["pull"] == number]
        np.testing.assert_allclose(np.sqrt((moved**2).mean(1)), told["moved_rms_A"], atol=1e-4)
        np.testing.assert_allclose(moved.max(1), told["moved_most_A"], atol=1e-4)
    assert dict(result.summary())["relaxed"] == "8 frames of 2 pulls, 40 atoms"
    assert RunFolder(run_dir).entries()[-1]["command"] == "relax"


def test_the_folder_of_any_rollout_can_be_named(run_dir, config, tmp_path):
    other = make_rollout(tmp_path / "other")
    relax.run(dataclasses.replace(config, rollout=other), run_dir, Silent())
    assert (other / "relaxed_001.dcd").is_file()
    assert not (run_dir / "rollout" / "relaxed.csv").exists()


def test_a_dry_run_says_what_would_be_written(run_dir, config):
    before = content(run_dir / "rollout")
    rows = dict(relax.plan(config, run_dir))
    assert rows["reads"] == f"2 pulls of 4 frames in {run_dir / 'rollout'}, 39 atoms"
    assert rows["start"].endswith("40 atoms")
    assert content(run_dir / "rollout") == before


def test_relaxed_frames_are_replaced_only_if_told(run_dir, config):
    """Also those that `rollout --relax` of earlier versions left, which rollout.json lists."""
    first = relax.run(config, run_dir, Silent())
    with pytest.raises(ArtifactError, match="--force"):
        relax.run(config, run_dir, Silent())
    assert relax.run(dataclasses.replace(config, force=True), run_dir, Silent()).outputs == first.outputs


def test_relaxed_frames_of_earlier_versions_are_known(config, tmp_path):
    """`rollout --relax` wrote them, and rollout.json lists them."""
    old = make_rollout(tmp_path / "old", ("relaxed_000.dcd", "relaxed.csv", "relaxed_007.dcd"))
    with pytest.raises(ArtifactError, match="--force"):
        relax.run(dataclasses.replace(config, rollout=old), tmp_path / "run", Silent())
    relax.run(dataclasses.replace(config, rollout=old, force=True), tmp_path / "run", Silent())
    assert not (old / "relaxed_007.dcd").exists()
    assert (old / "relaxed.csv").read_text() != "old"


def test_a_file_of_the_users_own_is_left_alone(run_dir, config):
    mine = run_dir / "rollout" / "relaxed_007.dcd"
    mine.write_text("MD")
    with pytest.raises(ArtifactError, match=r"relaxed_007\.dcd, which no earlier run"):
        relax.run(dataclasses.replace(config, force=True), run_dir, Silent())
    assert mine.read_text() == "MD"


def test_a_new_rollout_takes_relaxed_frames_of_the_old_one_away(run_dir, config):
    """They would belong to pulls that are gone."""
    relax.run(config, run_dir, Silent())
    folder = run_dir / "rollout"
    with pytest.raises(ArtifactError, match="--force"):
        refuse_results(folder, ROLLOUT_FILES, force=False)
    with whole_folder(folder, ROLLOUT_FILES, force=True) as new:
        (new / "rollout.json").write_text("{}")
    assert [path.name for path in folder.iterdir()] == ["rollout.json"]


def test_pulls_of_another_start_are_refused(run_dir, config):
    write_pdb(config.start.with_suffix(".pdb"), STRUCTURE, START + 0.1)
    with pytest.raises(ConfigError, match=r"up to 0\.10 A from their first frame; name the file that"):
        relax.run(config, run_dir, Silent())


@pytest.mark.parametrize("missing", ["rollout.json", "pull_000.dcd pull_001.dcd"])
def test_what_is_no_rollout_is_refused(run_dir, config, missing):
    for name in missing.split():
        (run_dir / "rollout" / name).unlink()
    with pytest.raises(ArtifactError, match="not the folder of a rollout"):
        relax.run(config, run_dir, Silent())


@pytest.mark.parametrize(("n_frames", "n_atoms"), [(5, 39), (4, 40)])
def test_pulls_that_do_not_belong_together_are_refused(run_dir, config, n_frames, n_atoms):
    frames = np.repeat(START[None, :n_atoms], n_frames, axis=0)
    write_dcd(run_dir / "rollout" / "pull_001.dcd", frames, timestep_ps=INTERVAL_PS)
    with pytest.raises(TrajectoryError, match="generate"):
        relax.run(config, run_dir, Silent())


def test_a_force_field_that_does_not_exist_is_refused_before_anything_is_written(run_dir, config):
    before = content(run_dir / "rollout")
    wrong = dataclasses.replace(
        config, start=config.start.with_suffix(".pdb"), parameters=(), forcefield="no-such-field"
    )
    with pytest.raises(ConfigError, match="no-such-field"):
        relax.run(wrong, run_dir, Silent())
    assert content(run_dir / "rollout") == before
