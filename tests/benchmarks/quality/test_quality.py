"""The quality benchmark: it goes on where it was, judges by the goals, and writes the page from its cells."""

import json

import numpy as np
import pytest
import torch

from benchmarks.quality import baseline_nets
from benchmarks.quality import cells as quality
from benchmarks.quality.baselines import Generator
from benchmarks.quality.methods import LABELS, Bench, choose_pulls, definitions, method_hash
from benchmarks.quality.page import judge, markdown
from benchmarks.quality.score import one_step_rows, phases
from benchmarks.quality.table import read_table
from smdgen.config import PrepareConfig
from smdgen.dataset.dataset import open_dataset
from smdgen.progress import Silent
from smdgen.quality import two_sample
from smdgen.quality.goals import (
    NO_MORE_THAN_REAL,
    at_most,
    at_most_real,
    between,
    between_real,
    near_real,
)
from smdgen.stages import prepare


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(baseline_nets, "BATCHES", 2)
    monkeypatch.setattr(two_sample, "ITERATIONS", 3)
    monkeypatch.setattr(two_sample, "FOLDS", 2)


@pytest.fixture
def source(pull_files):
    folder = pull_files.folder / "run"
    config = PrepareConfig(pull_files.trajectories, pull_files.topology, (pull_files.parameters,))
    prepare.run(config, folder, Silent())
    return folder


def cell(method="default", seed=1, data="example", pulls="all", split="test", **values):
    """A cell with a few rows; `values` are keys with (generated, real)."""
    goals = {"auc": "<= 0.55", "diversity": "0.95 to 1.05 x real", "in_band_share": "within 0.03 of real"}
    rows = [
        {"key": key, "label": f"|{key}|", "generated": pair[0], "real": pair[1], "goal": goals.get(key, ""),
         "met": None}
        for key, pair in values.items()
    ]  # fmt: skip
    n_train = 24 if pulls == "all" else int(pulls)
    return {
        "data": data, "method": method, "train_pulls": pulls, "seed": seed, "split": split, "quick": False,
        "pulls": {"train": n_train, "validation": 6, "test": 10}, "code": "abc", "n_atoms": 40,
        "n_frames": 201, "seconds": {"score": 10.0}, "rows": rows, "notes": [], "profiles": {},
    }  # fmt: skip


def test_a_run_makes_its_cells_goes_on_and_writes_the_page(source, tmp_path, capsys):
    work, page = tmp_path / "work", tmp_path / "docs" / "quality.md"
    common = ["--data", f"small={source}", "--work", str(work), "--quick", "--seeds", "1"]
    quality.main([*common, "--methods", "default", "pca", "--train-pulls", "2"])
    made = sorted(path.name for path in (work / "quick" / "cells").iterdir())
    assert made == [f"small.test.2.{name}.1.json" for name in ("default", "pca")]
    found = json.loads((work / "quick" / "cells" / made[0]).read_text())
    keys = {row["key"] for row in found["rows"]}
    assert {
        "reconstruction",
        "auc",
        "auc_psi",
        "one_step_auc",
        "target_error",
    } <= keys
    assert found["pulls"] == {"train": 2, "validation": 1, "test": 2}
    assert found["code"] == method_hash("default")
    before = {name: (work / "quick" / "cells" / name).stat().st_mtime_ns for name in made}
    (work / "quick" / "cells" / made[1]).unlink()
    capsys.readouterr()
    page.parent.mkdir()
    quality.main([*common, "--methods", "default", "pca", "--train-pulls", "2", "--write", str(page)])
    assert "default.1.json: there already" in capsys.readouterr().out
    after = {name: (work / "quick" / "cells" / name).stat().st_mtime_ns for name in made}
    assert [after[name] == before[name] for name in made] == [True, False]
    text = page.read_text()
    assert "These numbers mean nothing" in text
    assert "| reconstruction RMSD, A |" in text
    assert (page.parent / "images" / "quality.png").stat().st_size > 1000


def test_what_is_known_of_real_pulls_is_not_taken_from_other_pulls(source, tmp_path, monkeypatch):
    """Fewer training pulls have fewer validation pulls beside them."""
    seen = {}

    def compute(cell, work, known, *, quick):
        seen.setdefault(id(known), []).append((cell.train_pulls, cell.seed, cell.method))
        return {"rows": [], "code": "abc"}

    monkeypatch.setattr(quality, "compute", compute)
    quality.main(
        ["--data", f"small={source}", "--work", str(tmp_path), "--methods", "default", "pca",
         "--train-pulls", "2", "3", "--seeds", "1", "2", "--split", "validation"]
    )  # fmt: skip
    assert sorted(seen.values()) == [
        [(n, seed, method) for method in ("default", "pca")] for n in "23" for seed in (1, 2)
    ]


def test_a_table_keeps_the_cells_and_what_is_in_it_is_not_made_again(tmp_path, source, monkeypatch, capsys):
    table, page = tmp_path / "cells.csv.gz", tmp_path / "quality.md"
    made = cell("pca", data="small", auc=(0.9, None), diversity=(1.0, 2.0))
    made["rows"][0] |= {"generated_spread": None, "real_spread": 0.1, "met": False}
    made["rows"][1] |= {"generated_spread": 0.25, "real_spread": None}
    monkeypatch.setattr(quality, "compute", lambda *_, **__: made)
    arguments = [
        "--data",
        f"small={source}",
        "--work",
        str(tmp_path / "work"),
        "--methods",
        "pca",
        "--seeds",
        "1",
    ]
    quality.main([*arguments, "--table", str(table)])
    (back,) = read_table(table)
    assert back == {key: value for key, value in made.items() if key != "profiles"}
    bytes_before = table.read_bytes()
    arguments[3] = str(tmp_path / "elsewhere")
    capsys.readouterr()
    quality.main([*arguments, "--table", str(table), "--write", str(page)])
    assert "small.test.all.pca.1.json: there already, made by other code" in capsys.readouterr().out
    assert table.read_bytes() == bytes_before
    assert page.read_text() == markdown([made])


def test_comments_docstrings_and_moves_make_no_cell_out_of_date():
    source = 'import math\n\n\ndef f(x):\n    """Doc."""\n    return math.pi * x  # why\n'
    moved = "from numpy import pi\nimport math\n\n\ndef f(x):\n    return math.pi * x\n"
    assert definitions(source) == definitions(moved)
    assert definitions(source) != definitions(source.replace("pi * x", "pi + x"))


def test_networks_of_other_data_are_not_taken(source, tmp_path):
    """The source was prepared anew, with other frames."""
    Bench(tmp_path / "work", source / "dataset.h5", None, 1, quick=True)
    Bench(tmp_path / "work", source / "dataset.h5", None, 1, quick=True)
    choose_pulls(source / "dataset.h5", tmp_path / "new.h5", 2, seed=1)
    with pytest.raises(SystemExit, match=r"work is of other data than .*new\.h5; remove it"):
        Bench(tmp_path / "work", tmp_path / "new.h5", None, 1, quick=True)
    assert [file.name for file in (tmp_path / "work").iterdir()] == ["dataset.h5"]


def test_a_folder_without_a_dataset_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"x=nowhere: expected NAME=FOLDER"):
        quality.main(["--data", "x=nowhere", "--work", str(tmp_path)])


def test_few_pulls_are_training_pulls_and_the_test_pulls_stay(source, tmp_path):
    whole = open_dataset(source / "dataset.h5")
    choose_pulls(whole.path, tmp_path / "few.h5", 2, seed=1)
    few = open_dataset(tmp_path / "few.h5")
    by_name = {pull.name: pull for pull in whole.pulls}
    assert len(few.of_split("train")) == 2
    assert [pull.name for pull in few.of_split("test")] == [pull.name for pull in whole.of_split("test")]
    for pull in few.pulls:
        assert by_name[pull.name].split == pull.split
        np.testing.assert_array_equal(few.positions(pull), whole.positions(by_name[pull.name]))
    choose_pulls(whole.path, tmp_path / "other.h5", 2, seed=3)
    chosen = {pull.name for pull in few.of_split("train")}
    assert chosen != {pull.name for pull in open_dataset(tmp_path / "other.h5").of_split("train")}
    with pytest.raises(SystemExit, match="3 training pulls, asked for 9"):
        choose_pulls(whole.path, tmp_path / "none.h5", 9, seed=1)


def test_phases_step_by_the_rollouts_stride_and_begin_at_different_frames():
    pulls = torch.arange(201.0).reshape(1, 201, 1, 1).expand(2, 201, 4, 3)
    found = phases(pulls)[0, :, :, 0, 0]
    assert found.shape == (10, 10)
    assert (found.diff(dim=1) == 20).all()
    assert len(found[:, 1:].unique()) == 90
    assert found.max() == 199
    assert phases(pulls[:, :11]).shape == (2, 1, 11, 4, 3)


def test_the_one_step_test_passes_the_truth_and_sees_noise(source):
    dataset = open_dataset(source / "dataset.h5")
    held_out = torch.stack([torch.from_numpy(dataset.positions(pull)) for pull in dataset.pulls])

    def auc(noise):
        def following(pulls, seed):
            generator = torch.Generator().manual_seed(seed)
            return pulls[:, 1:] + noise * torch.randn(pulls[:, 1:].shape, generator=generator)

        rows = one_step_rows(Generator(lambda *_: (held_out, None), following), dataset, held_out, 0, {})
        return {row.key: row.generated for row in rows}["one_step_auc"]

    assert auc(0.0) == pytest.approx(0.5, abs=0.02)
    assert auc(0.1) > 0.9


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (at_most(0.25), 0.25, True), (at_most(0.25), 0.26, False),
        (at_most_real(1.05), 2.09, True), (at_most_real(1.05), 2.11, False),
        (between(0.95, 1.05), 1.04, True), (between(0.95, 1.05), 1.06, False),
        (between(0.95, 1.05), 0.94, False),
        (between_real(0.95, 1.05), 1.95, True), (between_real(0.95, 1.05), 1.0, False),
        (near_real(0.03), 1.98, True), (near_real(0.03), 2.04, False),
        (None, 1.0, None),
    ],
)  # fmt: skip
def test_goals_are_judged_on_the_mean_of_the_seeds(goal, value, met):
    cells = [cell(seed=1, x=(value - 0.5, 1.5)), cell(seed=2, x=(value + 0.5, 2.5))]
    assert judge(cells, "x", goal) is met


@pytest.mark.parametrize("goal", [between_real(0.95, 1.05), at_most_real(1.05), near_real(0.03)])
def test_a_goal_that_asks_for_a_missing_real_figure_is_not_judged(goal):
    assert judge([cell(seed=1, x=(1.0, None))], "x", goal) is None


def test_goals_without_a_number_must_be_met_by_every_seed():
    cells = [cell(seed=seed, x=(0.0, 0.0)) for seed in (1, 2)]
    for one in cells:
        one["rows"][0]["met"] = True
    assert judge(cells, "x", NO_MORE_THAN_REAL) is True
    cells[1]["rows"][0]["met"] = False
    assert judge(cells, "x", NO_MORE_THAN_REAL) is False


def test_the_page_says_what_is_left_without_the_rounding_of_rigid_bonds():
    cells = [cell(seed=1, auc=(1.0, 0.5), auc_rounded=(0.51, None)),
             cell(seed=2, auc=(1.0, 0.5), auc_rounded=(0.53, None))]  # fmt: skip
    text = markdown(cells)
    assert r"missed: \|auc\|. Bonds that MD holds rigid" in text
    assert "its AUC is 0.520 +- 0.010." in text
    assert "rigid" not in markdown([cell(auc=(0.5, 0.5))])


def test_the_page_says_what_was_met_and_what_was_missed():
    cells = [
        cell(seed=1, auc=(0.50, 0.5), diversity=(1.0, 2.0)),
        cell(seed=2, auc=(0.58, 0.5), diversity=(1.1, 2.0)),
        cell("paper", auc=(1.0, 0.5), diversity=(0.0, 2.0)),
        cell("line", auc=(0.9, 0.5)),
        cell(pulls="16", auc=(0.59, 0.5)),
        cell(pulls="4", auc=(0.8, 0.5)),
        cell(data="hairpin", auc=(0.59, 0.5)),
    ]
    text = markdown(cells)
    assert r"| \|auc\| | <= 0.55 | 0.500 +- 0.000 | 0.540 +- 0.040 met | 1.000 |" in text
    assert "1.050 +- 0.050 **missed**" in text
    assert r"Default meets 1 of 2 goals; missed: \|diversity\|." in text
    assert "| measure | real | straight line |" in text
    assert "| measure | real | 4 | 16 | all |" in text
    assert r"| \|auc\| | 0.500 +- 0.000 | 0.800 | 0.590 | 0.540 +- 0.040 |" in text
    assert "AUC goal at 16 training pulls, <= 0.60: met." in text
    assert r"| \|auc\| | <= 0.60 | 0.500 | 0.590 met |" in text
    assert "--data example=runs/example --seeds 1 --train-pulls 4 --methods default\n" in text
    assert "--data example=runs/example --seeds 1 2 --methods default\n" in text
    assert "--data example=runs/example --seeds 1 --methods paper line\n" in text
    assert "mean +- standard deviation of 1 or 2 seed(s)" in text
    assert "several versions" not in text
    cells[0]["code"] = "old"
    assert "Made by several versions of the code: default" in markdown(cells)
    beside = markdown([*cells, cell("train", auc=(0.51, 0.5))])
    assert "*Training pulls* are judged as if" in beside
    assert "*Training pulls*" not in text
    assert "| measure | goal | real | default | paper | training pulls |" in beside
    assert r"| \|auc\| | <= 0.55 | 0.500 +- 0.000 | 0.540 +- 0.040 met | 1.000 | 0.510 |" in beside


def test_a_page_holds_cells_of_one_split():
    with pytest.raises(SystemExit, match="several splits"):
        markdown([cell(auc=(0.5, 0.5)), cell(split="validation", auc=(0.5, 0.5))])


def test_every_method_has_a_label_and_a_baseline_of_its_own():
    from benchmarks.quality.methods import _BASELINES

    assert set(_BASELINES) == set(LABELS) - {"default", "paper"}
