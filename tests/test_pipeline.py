"""The whole pipeline at tiny size: the README's commands in a folder with only a PSF and pulls in it."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from smdgen.cli.app import main

EXAMPLE = Path(__file__).parents[1] / "examples" / "deca_alanine"
N_PULLS = 6
PULLS = sorted((EXAMPLE / "pulls").glob("*.dcd"))[:N_PULLS]
N_STEPS = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder, and the working folder of every test here."""
    path = tmp_path_factory.mktemp("user")
    for pull in PULLS:
        shutil.copy(pull, path)
        shutil.copy(pull.with_suffix(".colvars.traj"), path)
    shutil.copy(EXAMPLE / "deca_alanine.psf", path / "system.psf")
    shutil.copy(EXAMPLE / "deca_alanine.pdb", path / "start.pdb")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        yield path


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    """The run folder after the five commands."""
    pulls = sorted(str(path.name) for path in folder.glob("*.dcd"))
    commands = [
        ["prepare", *pulls, "--stride", "4"],
        ["train-vae", "--epochs", "3", "--hidden-size", "32"],
        ["train-lstm", "--epochs", "2", "--hidden-size", "32"],
        ["rollout", "start.pdb", "--steps", str(N_STEPS), "--samples", "2", "--seed", "1"],
        ["analyze"],
    ]
    for command in commands:
        assert main(command) == 0, command[0]
    return folder / "smdgen-run"


def run_in(folder: Path, *arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return main(list(arguments))


def generated(rollout: Path) -> list[Path]:
    return sorted(rollout.glob("pull_*.dcd"))


def test_every_step_left_its_files_and_its_record(finished):
    for name in ["dataset.h5", "vae.safetensors", "latents.h5", "lstm.safetensors"]:
        assert (finished / name).stat().st_size > 0
    entries = json.loads((finished / "record.json").read_text())
    assert [entry["command"] for entry in entries] == [
        "prepare",
        "train-vae",
        "train-lstm",
        "rollout",
        "analyze",
    ]
    assert all(entry["inputs"] for entry in entries)


def test_info_finds_every_step_done(finished, folder, capsys):
    assert run_in(folder, "info", "smdgen-run", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    steps = ("prepare", "train_vae", "train_lstm", "rollout", "analyze")
    assert [found[step]["state"] for step in steps] == ["done"] * 5
    assert found["next"] == []


def test_the_dataset_opens_in_mdanalysis_with_the_pulls_coordinates(finished, folder):
    mda = pytest.importorskip("MDAnalysis")
    stored = mda.Universe(
        str(finished / "rollout" / "topology.pdb"), str(finished / "dataset.h5"), format="H5MD"
    )
    real = mda.Universe(str(folder / "system.psf"), str(sorted(folder.glob("*.dcd"))[0]))
    backbone = real.select_atoms("name N CA C O")
    order = {(atom.resid, atom.name): i for i, atom in enumerate(backbone)}
    columns = [order[atom.resid, atom.name] for atom in stored.atoms]
    stored.trajectory[1]
    real.trajectory[4]
    assert np.abs(stored.atoms.positions - backbone.positions[columns]).max() < 1e-3


def test_generated_pulls_start_where_they_were_told_and_keep_the_users_names(finished, folder):
    mda = pytest.importorskip("MDAnalysis")
    start = mda.Universe(str(folder / "start.pdb")).select_atoms("name N CA C O")
    topology = finished / "rollout" / "topology.pdb"
    assert len(generated(finished / "rollout")) == 2
    for trajectory in generated(finished / "rollout"):
        universe = mda.Universe(str(topology), str(trajectory))
        assert universe.trajectory.n_frames == N_STEPS + 1
        assert [(a.resid, a.name) for a in universe.atoms] == [(a.resid, a.name) for a in start]
        assert np.abs(universe.atoms.positions - start.positions).max() < 1e-2


def test_the_table_holds_the_cv_of_the_frames(finished):
    """Measured here on the DCD: the distance of the first and the last CA."""
    mda = pytest.importorskip("MDAnalysis")
    rows = np.genfromtxt(finished / "rollout" / "cv.csv", delimiter=",", names=True)
    for number, trajectory in enumerate(generated(finished / "rollout")):
        universe = mda.Universe(str(finished / "rollout" / "topology.pdb"), str(trajectory))
        carbons = universe.select_atoms("name CA")
        ends = [np.linalg.norm(carbons[0].position - carbons[-1].position) for _ in universe.trajectory]
        told = rows[rows["pull"] == number]
        assert np.abs(told["end_to_end_A"] - ends).max() < 1e-2
        assert np.abs(told["time_ps"] - [step.time for step in universe.trajectory]).max() < 1e-3


def test_pymol_opens_every_frame(finished):
    pymol2 = pytest.importorskip("pymol2")
    with pymol2.PyMOL() as session:
        session.cmd.load(str(finished / "rollout" / "topology.pdb"), "pull")
        session.cmd.load_traj(str(generated(finished / "rollout")[0]), "pull", state=1)
        assert session.cmd.count_states("pull") == N_STEPS + 1


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(finished, folder):
    def again(name: str, seed: str) -> list[bytes]:
        line = ["rollout", "start.pdb", "--steps", str(N_STEPS), "--samples", "2", "--seed", seed, "-o", name]
        assert run_in(folder, *line, "--quiet") == 0
        return [path.read_bytes() for path in generated(folder / name)]

    first = [path.read_bytes() for path in generated(finished / "rollout")]
    assert again("same", "1") == first
    assert again("other", "2") != first


def test_analysis_speaks_of_the_generated_pulls(finished):
    report = json.loads((finished / "analysis" / "report.json").read_text())
    assert report
    pictures = list((finished / "analysis").glob("*.png"))
    assert pictures
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        (["train-vae"], "prepare"),
        (["train-lstm"], "prepare"),
        (["analyze"], "prepare"),
    ],
)
def test_a_step_too_early_names_the_step_before(arguments, step, tmp_path, capsys):
    assert run_in(tmp_path, *arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("smdgen: error: ")
    assert shown.count("\n") == 1
    assert f"`smdgen {step}`" in shown
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["prepare", "train-vae", "train-lstm", "rollout"])
def test_outputs_that_exist_are_kept(command, finished, folder, capsys):
    before = contents(finished)
    arguments: dict[str, list[str]] = {
        "prepare": [path.name for path in sorted(folder.glob("*.dcd"))],
        "rollout": ["start.pdb"],
    }
    assert run_in(folder, command, *arguments.get(command, [])) == 2
    assert "--force" in capsys.readouterr().err
    assert contents(finished) == before


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-5000]), ["pull_bad.dcd"]),
        (lambda path: path.write_text("not a trajectory\n" * 100), ["pull_bad.dcd"]),
        (lambda path: path.write_bytes(b""), ["pull_bad.dcd", "empty"]),
        (lambda path: path.unlink(), ["pull_bad.dcd"]),
    ],
    ids=["cut", "text", "empty", "missing"],
)
def test_a_bad_trajectory_is_one_line_and_leaves_nothing(
    spoil: Callable[[Path], object], words: list[str], folder, tmp_path, capsys
):
    bad = tmp_path / "pull_bad.dcd"
    shutil.copy(sorted(folder.glob("*.dcd"))[0], bad)
    spoil(bad)
    before = contents(tmp_path)
    assert run_in(tmp_path, "prepare", bad.name, "--top", str(folder / "system.psf")) == 2
    shown = capsys.readouterr().err.splitlines()
    assert len([line for line in shown if line.startswith("smdgen: error: ")]) == 1
    assert all(word in shown[-1] for word in words)
    assert {name: data for name, data in contents(tmp_path).items() if data} == {
        n: d for n, d in before.items() if d
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Every visible file below a folder with what it holds."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
