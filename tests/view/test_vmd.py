"""The VMD script does in VMD what it should: a stand-in that knows VMD's rules runs it."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from smdgen.data.dcd import write_dcd
from smdgen.data.structure import write_pdb
from smdgen.view.vmd import tcl_word, write_view_vmd
from tests.tools.pulls import make_cv, make_pull, make_structure
from tests.tools.tcl import Tcl, TclError
from tests.tools.vmd import Vmd

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


@pytest.mark.parametrize("name", ["plain", "with space", "a[b]$c {d", 'quo"te;#', "wurzel-ä"])
def test_folder_of_any_name_can_be_moved(tmp_path, name):
    """Paths come from the script's own place, and no character of them is taken for Tcl."""
    folder = tmp_path / "before"
    show(folder, write_pulls(folder))
    shutil.move(folder, tmp_path / name)
    vmd = Vmd()
    vmd.source(tmp_path / name / "view.vmd")
    assert vmd.molecules[0].n_atoms == 40


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
        ("distance", ((0, 1), (37,)), None),
        ("gyration", ((0, 1, 2, 3),), None),
    ],
)
def test_label_follows_the_kind_of_cv(tmp_path, kind, groups, label):
    """No label where VMD's would show another number than the table."""
    weights = tuple((1.0,) * len(group) for group in groups)
    cv = dataclasses.replace(CV, kind=kind, groups=groups, weights=weights)
    vmd = show(tmp_path, write_pulls(tmp_path), cv)
    assert [name for name, _ in vmd.labels] == ([] if label is None else [label])


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


def test_no_cv_no_label(tmp_path):
    """Trajectories without a CV can be looked at as well."""
    assert show(tmp_path, write_pulls(tmp_path), cv=None).labels == []


def test_stand_in_is_strict(tmp_path):
    """The tests above mean something only if wrong scripts fail."""
    write_pulls(tmp_path)
    write_view_vmd(tmp_path / "v", tmp_path / "topology.pdb", [tmp_path / "no.dcd"], CV, STRUCTURE.names, 2)
    with pytest.raises(TclError, match="Unable to load"):
        Vmd().source(tmp_path / "v")
    for wrong in ("mol representation NewCartoonish", "mol colour Name", "animate", "nonsense", "set a $b"):
        with pytest.raises((TclError, IndexError)):
            Vmd().run(wrong)


@pytest.mark.parametrize("text", ["a", "a b", "a{", "}", "[exit]", "$x", 'a"b', "a\\b", "#", ";", "~", "é"])
def test_tcl_word_stands_for_its_text(text):
    """Whatever a file is called, Tcl sees one word with that text."""
    assert Tcl().run(f"set x {tcl_word(text)}") == text
