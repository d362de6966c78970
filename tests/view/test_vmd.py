"""The VMD script does in VMD what it should: a stand-in that knows VMD's rules runs it."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from smdgen.geometry.cvs import evaluate
from smdgen.geometry.frames import rmsd
from smdgen.io.structures.structure import write_pdb
from smdgen.io.trajectories.dcd import DcdFile, write_dcd
from smdgen.view.pull_folder import RealPull, write_pull_folder
from smdgen.view.vmd import tcl_word, write_view_vmd
from tests.tools.pulls import make_cv, make_pull, make_structure
from tests.tools.vmd import Vmd, VmdError

STRUCTURE, CV = make_structure(), make_cv()


def write_pulls(folder: Path, n_pulls: int = 1, n_frames: int = 11) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    pulls = [folder / f"pull_{i:03d}.dcd" for i in range(n_pulls)]
    for i, pull in enumerate(pulls):
        write_dcd(pull, make_pull(n_frames, i), timestep_ps=1.0)
    write_pdb(folder / "topology.pdb", STRUCTURE, make_pull(2, 0)[0])
    return pulls


def show(folder: Path, pulls: list[Path], cv=CV, names=STRUCTURE.names, n_frames: int = 11) -> Vmd:
    write_view_vmd(folder / "view.vmd", folder / "topology.pdb", pulls, cv, names, n_frames)
    vmd = Vmd()
    vmd.source(folder / "view.vmd")
    return vmd


NAMES = ["plain", "with space", "a[b]$c {d", 'quo"te;#', "wurzel-ä"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["play", "source"])
@pytest.mark.parametrize("moved", [False, True])
def test_pulls_are_found_from_their_folder_and_from_elsewhere(tmp_path, monkeypatch, name, how, moved):
    """Unmoved from anywhere; moved by `source`, or by `vmd -e` in the folder; no letter is taken for Tcl."""
    folder = tmp_path / name
    show(folder, write_pulls(folder))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if moved:
        folder = folder.rename(elsewhere / name)
    for place in (folder,) if moved and how == "play" else (folder, tmp_path, elsewhere):
        monkeypatch.chdir(place)
        vmd = Vmd()
        getattr(vmd, how)(Path(os.path.relpath(folder, place)) / "view.vmd")
        assert [(molecule.n_atoms, molecule.n_frames) for molecule in vmd.molecules] == [(40, 11)], vmd.output
        assert not any("ERROR" in line for line in vmd.output)


def test_pulls_that_are_not_found_are_one_line(tmp_path, monkeypatch):
    """Nothing else is done: no cheerful last line, no commands on molecules that are not there."""
    folder = tmp_path / "before"
    show(folder, write_pulls(folder))
    folder = folder.rename(tmp_path / "after")
    monkeypatch.chdir(tmp_path)
    vmd = Vmd()
    vmd.play(folder / "view.vmd")
    assert vmd.molecules == []
    assert len(vmd.output) == 1
    assert "cd to its folder, then: source view.vmd" in vmd.output[0]


@pytest.mark.parametrize("how", ["play", "source"])
@pytest.mark.parametrize("name", ["topology.pdb", "pull_001.dcd"])
def test_a_missing_file_is_one_line(tmp_path, monkeypatch, name, how):
    """The file is named, and no command follows on molecules that are half there."""
    show(tmp_path, write_pulls(tmp_path, n_pulls=2))
    (tmp_path / name).unlink()
    monkeypatch.chdir(tmp_path)
    vmd = Vmd()
    getattr(vmd, how)(tmp_path / "view.vmd")
    assert vmd.molecules == []
    assert vmd.output == [
        f"smdgen: error: {name} not found in {tmp_path}; keep the files of a rollout together"
    ]


def test_other_pulls_of_the_same_names_are_not_shown(tmp_path, monkeypatch):
    """In the current folder, or where the pulls were before they were moved, lies another rollout."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    show(mine, write_pulls(mine, n_pulls=2))
    show(other, write_pulls(other, n_pulls=1))
    monkeypatch.chdir(other)
    vmd = Vmd()
    vmd.play(mine / "view.vmd")
    assert len(vmd.molecules) == 2
    mine.rename(tmp_path / "moved")
    show(mine, write_pulls(mine, n_pulls=3))
    vmd = Vmd()
    vmd.play(tmp_path / "moved" / "view.vmd")
    assert vmd.molecules == []
    monkeypatch.chdir(tmp_path / "moved")
    vmd = Vmd()
    vmd.play(tmp_path / "moved" / "view.vmd")
    assert len(vmd.molecules) == 2


def test_a_script_written_before_its_folder_has_its_name(tmp_path, monkeypatch):
    """A rollout is written under another name and appears whole."""
    pulls = write_pulls(tmp_path / "new")
    script = tmp_path / "new" / "view.vmd"
    write_view_vmd(
        script, tmp_path / "new/topology.pdb", pulls, CV, STRUCTURE.names, 11, home=tmp_path / "rollout"
    )
    (tmp_path / "new").rename(tmp_path / "rollout")
    monkeypatch.chdir(Path("/"))
    vmd = Vmd()
    vmd.play(tmp_path / "rollout" / "view.vmd")
    assert len(vmd.molecules) == 1


def test_rows_of_the_cv_table_are_frames_of_the_molecule(tmp_path):
    """The structure file's own frame is gone, so frame i of VMD is row i of the table."""
    vmd = show(tmp_path, write_pulls(tmp_path, n_pulls=3))
    assert [molecule.n_frames for molecule in vmd.molecules] == [11, 11, 11]
    assert [molecule.name for molecule in vmd.molecules] == ["pull_000", "pull_001", "pull_002"]
    assert [molecule.shown for molecule in vmd.molecules] == [True, False, False]
    assert vmd.top == 0
    assert vmd.frame == "start"


def test_label_joins_the_atoms_of_the_cv(tmp_path):
    """VMD counts atoms from 0, as we do; each pull has its own label."""
    vmd = show(tmp_path, write_pulls(tmp_path, n_pulls=2))
    assert vmd.labels == [("Bonds", [(0, 1), (0, 37)]), ("Bonds", [(1, 1), (1, 37)])]


@pytest.mark.parametrize(
    ("kind", "groups", "label"),
    [
        ("angle", ((1,), (17,), (37,)), "Angles"),
        ("dihedral", ((1,), (13,), (25,), (37,)), "Dihedrals"),
        ("gyration", ((0, 1, 2, 3),), None),
    ],
)
def test_label_follows_the_kind_of_cv(tmp_path, kind, groups, label):
    """No label where VMD's would show another number than the table."""
    weights = tuple((1.0,) * len(group) for group in groups)
    cv = dataclasses.replace(CV, kind=kind, groups=groups, weights=weights)
    vmd = show(tmp_path, write_pulls(tmp_path), cv)
    assert [name for name, _ in vmd.labels] == ([] if label is None else [label])


def test_a_cv_between_groups_is_labelled_between_their_centres(tmp_path):
    """The centres are atoms of a molecule of their own, so VMD's label and graph are the CV."""
    cv = dataclasses.replace(CV, groups=((1, 5, 9), (29, 33, 37)), weights=((12.0,) * 3,) * 2)
    positions, real = np.stack([make_pull(11, 0)]), RealPull("pull_7", make_pull(11, 2))
    write_pull_folder(tmp_path, STRUCTURE, cv, positions, np.arange(11.0), np.zeros((1, 11)), tmp_path, real)
    vmd = Vmd()
    vmd.play(tmp_path / "view.vmd")
    assert [kind for kind, _ in vmd.labels] == ["Bonds", "Bonds"]
    centres = [molecule for molecule in vmd.molecules if molecule.n_atoms == 2]
    assert len(centres) == 2
    apart = np.linalg.norm(np.diff(DcdFile(tmp_path / "centres_pull_000.dcd").read(), axis=1)[:, 0], axis=-1)
    np.testing.assert_allclose(apart, evaluate(cv, torch.from_numpy(positions[0])), atol=1e-3)
    moved = DcdFile(tmp_path / "real_000.dcd").read()
    np.testing.assert_allclose(
        evaluate(cv, torch.from_numpy(moved)), evaluate(cv, torch.from_numpy(real.positions)), atol=1e-3
    )
    assert float(rmsd(torch.from_numpy(moved[0]), torch.from_numpy(positions[0, 0]))) == pytest.approx(
        float(np.sqrt(np.square(moved[0] - positions[0, 0]).sum(-1).mean())), abs=1e-4
    ), "superposed on the start"


def test_representations_fit_a_backbone(tmp_path):
    """Tube, sticks and marked ends; the cartoon waits, because VMD would keep the helix of one frame."""
    reps = show(tmp_path, write_pulls(tmp_path)).molecules[0].reps
    assert [(rep.style, rep.shown) for rep in reps] == [
        ("Tube", True), ("Licorice", True), ("VDW", True), ("NewCartoon", False),
    ]  # fmt: skip
    assert reps[2].selection == "index 1 37"


def test_model_without_backbone_gets_no_tube(tmp_path):
    """A tube through CA atoms that are not there would show nothing."""
    names = np.array(["X"] * 40)
    reps = show(tmp_path, write_pulls(tmp_path), names=names).molecules[0].reps
    assert [rep.style for rep in reps] == ["Licorice", "VDW"]


@pytest.mark.parametrize(("n_frames", "smoothing"), [(11, 0), (201, 2)])
def test_only_long_pulls_are_smoothed(tmp_path, n_frames, smoothing):
    """Ten steps smoothed over five frames would be no steps any more."""
    pulls = write_pulls(tmp_path, n_frames=n_frames)
    reps = show(tmp_path, pulls, n_frames=n_frames).molecules[0].reps
    assert {rep.smoothing for rep in reps} == {smoothing}


def test_stand_in_is_strict(tmp_path):
    """The tests above mean something only if wrong scripts fail."""
    with pytest.raises(VmdError, match="Unable to load"):
        Vmd().run(f"mol new {tcl_word(str(tmp_path / 'nothing.dcd'))} type dcd waitfor all")
    for wrong in ("mol representation NewCartoonish", "mol colour Name", "animate", "nonsense", "set a $b"):
        with pytest.raises(VmdError):
            Vmd().run(wrong)


def test_stand_in_plays_as_vmd_does(tmp_path):
    """`vmd -e` knows no `info script` and goes on after an error, `source` knows it and stops."""
    script = tmp_path / "a.tcl"
    script.write_text("puts <[info script]>\nnonsense {\n}\nputs done\n")
    played, sourced = Vmd(), Vmd()
    played.play(script)
    assert played.output == ["<>", 'ERROR) invalid command name "nonsense"', "done"]
    with pytest.raises(VmdError, match="nonsense"):
        sourced.source(script)
    assert sourced.output == [f"<{script}>"]


@pytest.mark.parametrize("text", ["a", "a b", "a{", "}", "[exit]", "$x", 'a"b', "a\\b", "#", ";", "~", "é"])
def test_tcl_word_stands_for_its_text(text):
    """Whatever a file is called, Tcl sees one word with that text."""
    assert Vmd().run(f"set x {tcl_word(text)}") == text
