"""PyMOL opens the script and renders frames; skipped where PyMOL cannot be installed."""

import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from smdgen.geometry.cvs import evaluate
from smdgen.io.structures.structure import write_pdb
from smdgen.io.trajectories.dcd import write_dcd
from smdgen.view import pymol as view
from smdgen.view.film import upright
from smdgen.view.pull_folder import RealPull, write_pull_folder
from tests.tools.pulls import end_to_end, make_cv, make_pull, make_structure

STRUCTURE, CV = make_structure(), make_cv()
needs_pymol = pytest.mark.skipif(importlib.util.find_spec("pymol") is None, reason="PyMOL is not installed")


def write_pulls(folder: Path, names: list[str]) -> list[Path]:
    pulls = [folder / name for name in names]
    for i, pull in enumerate(pulls):
        write_dcd(pull, make_pull(11, i), timestep_ps=1.0)
    write_pdb(folder / "topology.pdb", STRUCTURE, make_pull(2, 0)[0])
    return pulls


def run_script(folder: Path, extra: str) -> str:
    """What PyMOL prints when it runs the script, from another folder than the script's."""
    with (folder / "view.pml").open("a") as script:
        script.write(extra)
    command = [sys.executable, "-m", "pymol", "-cq", str(folder / "view.pml")]
    done = subprocess.run(
        command, cwd=folder.parent, capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout + done.stderr


@needs_pymol
def test_script_runs_in_pymol(tmp_path):
    """Every frame is there, the distance is that of the last frame, and nothing is complained about."""
    folder = tmp_path / "a b'c"
    folder.mkdir()
    pulls = write_pulls(folder, ["pull_000.dcd", "pull_001.dcd"])
    view.write_view_pml(folder / "view.pml", folder / "topology.pdb", pulls, CV, STRUCTURE.names, 11)
    extra = (
        "python\nprint('FOUND', cmd.count_states('pull_000'), cmd.count_frames(), cmd.get_names(),"
        " cmd.get_distance('pull_001 and rank 1', 'pull_001 and rank 37', 11))\npython end\n"
    )
    text = run_script(folder, extra)
    distance = end_to_end(make_pull(11, 1))[-1]
    found = next(line for line in text.splitlines() if line.startswith("FOUND")).split()
    assert found[1:3] == ["11", "11"]
    assert float(found[-1]) == pytest.approx(distance, abs=0.01)
    assert "end_to_end_of_pull_001" in text
    assert "rror" not in text


@needs_pymol
def test_the_ends_of_the_cv_are_marked(tmp_path):
    """Cartoon and sticks of all atoms, spheres of the two that the variable joins."""
    pulls = write_pulls(tmp_path, ["pull_000.dcd"])
    view.write_view_pml(tmp_path / "view.pml", tmp_path / "topology.pdb", pulls, CV, STRUCTURE.names, 11)
    counts = ", ".join(f"cmd.count_atoms('pull_000 and rep {rep}')" for rep in ("spheres", "sticks"))
    text = run_script(tmp_path, f"python\nprint('FOUND', {counts})\npython end\n")
    assert "FOUND 2 40" in text
    assert "shows another pull" not in text


@needs_pymol
@pytest.mark.parametrize("name", ["topology.pdb", "pull_001.dcd"])
def test_a_missing_file_is_one_line(tmp_path, name):
    """Nothing else is complained about, and nothing is loaded."""
    pulls = write_pulls(tmp_path, ["pull_000.dcd", "pull_001.dcd"])
    view.write_view_pml(tmp_path / "view.pml", tmp_path / "topology.pdb", pulls, CV, STRUCTURE.names, 11)
    (tmp_path / name).unlink()
    text = run_script(tmp_path, "python\nprint('FOUND', cmd.get_object_list())\npython end\n")
    said = [line for line in text.splitlines() if line.startswith(("smdgen", "FOUND", " Error", "Traceback"))]
    assert said == [
        f"smdgen: {name} not found in {tmp_path}; keep the files of a rollout together",
        "FOUND []",
    ]


@needs_pymol
def test_object_names_that_pymol_would_misread(tmp_path):
    """`b` and `q` are words of PyMOL's language, and a name may stand twice after cleaning."""
    pulls = write_pulls(tmp_path, ["b.dcd", "x y.dcd", "x-y.dcd"])
    view.write_view_pml(tmp_path / "view.pml", tmp_path / "topology.pdb", pulls, CV, STRUCTURE.names, 11)
    listed = "[name for name in cmd.get_object_list() if '_of_' not in name]"
    text = run_script(tmp_path, f"python\nprint('FOUND', {listed})\npython end\n")
    assert "FOUND ['pull_b', 'pull_x_y', 'pull_x_y_2']" in text


@needs_pymol
def test_a_cv_between_groups_and_a_real_pull_are_shown(tmp_path):
    """The number between centres of mass is the CV itself; the first and the real pull are on the screen."""
    cv = dataclasses.replace(CV, groups=((1, 5, 9), (29, 33, 37)), weights=((12.0,) * 3,) * 2)
    positions = np.stack([make_pull(11, seed) for seed in (0, 1)])
    real = RealPull("pull_7", make_pull(11, 2))
    write_pull_folder(
        tmp_path, STRUCTURE, cv, positions, 5.0 * np.arange(11), np.zeros((2, 11)), tmp_path, real
    )
    extra = (
        "python\nprint('FOUND', cmd.get_distance('centres_of_pull_001 and rank 0', "
        "'centres_of_pull_001 and rank 1', 11))\n"
        "print('SHOWN', sorted(cmd.get_names('public_objects', enabled_only=1)))\npython end\n"
    )
    text = run_script(tmp_path, extra)
    assert "rror" not in text
    found = next(line for line in text.splitlines() if line.startswith("FOUND")).split()
    assert float(found[1]) == pytest.approx(float(evaluate(cv, torch.from_numpy(positions[1, -1]))), abs=0.01)
    shown = next(line for line in text.splitlines() if line.startswith("SHOWN"))
    assert "'caption_of_pull_000'" in shown
    assert "'real_000'" in shown
    assert "pull_001" not in shown


@needs_pymol
def test_cv_without_label(tmp_path):
    """A variable between centres has no label, and the script still runs."""
    cv = dataclasses.replace(CV, kind="gyration", groups=((0, 1, 2),), weights=((1.0, 1.0, 1.0),))
    pulls = write_pulls(tmp_path, ["pull_000.dcd"])
    view.write_view_pml(tmp_path / "view.pml", tmp_path / "topology.pdb", pulls, cv, STRUCTURE.names, 11)
    assert "rror" not in run_script(tmp_path, "")


@needs_pymol
def test_rendered_frames_show_the_pull():
    """One scale for all frames: the stretched one is taller than the helix by the ratio of their lengths."""
    frames = upright(make_pull(11, 0)[[0, -1]], [1], [37])
    pictures = view.render_frames(STRUCTURE, frames, width=120, max_height=360)
    assert pictures is not None
    heights = [np.ptp(np.flatnonzero((picture[..., :3] < 0.98).any(axis=(1, 2)))) for picture in pictures]
    lengths = np.ptp(frames[..., 1], axis=1)
    assert [picture.shape[:2] for picture in pictures] == [pictures[0].shape[:2]] * 2
    assert pictures[0].shape[1] == 120
    assert heights[1] / heights[0] == pytest.approx(lengths[1] / lengths[0], rel=0.15)


@needs_pymol
def test_pictures_of_large_proteins_have_no_sticks(monkeypatch):
    """Above 500 atoms sticks hide the cartoon: fewer pixels are drawn without them."""
    frames = upright(make_pull(2, 0), [1], [37])
    drawn = []
    for most in (500, 39):
        monkeypatch.setattr(view, "MOST_STICKS", most)
        pictures = view.render_frames(STRUCTURE, frames, width=120, max_height=200)
        assert pictures is not None
        drawn.append((pictures[0][..., :3] < 0.98).any(axis=-1).sum())
    assert 0 < drawn[1] < drawn[0]


def test_no_pymol_no_pictures(monkeypatch):
    """The caller draws by itself then."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    assert view.render_frames(STRUCTURE, make_pull(2, 0)) is None
