"""The benchmark of real proteins: what it runs, what it says without files, what its table says."""

import math

import numpy as np
import pytest

from benchmarks.proteins.__main__ import main
from benchmarks.proteins.data_sets import DATA_SETS, commands, copy_files
from benchmarks.proteins.judge import Measure, _worst_tenth, table
from smdgen.quality.baselines import BASELINES
from smdgen.quality.goals import at_most


def test_files_are_asked_for_in_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "runs"), "--data", "ubiquitin"]) == 2
    assert capsys.readouterr().err == ("ubiquitin: name the folder of 1UBQ.pdb, mon_sys.dcd with --files\n")
    assert main([str(tmp_path / "runs"), "--data", "trp-cage", "--files", str(tmp_path)]) == 2
    assert "has no topology.pdb, pull_*.dcd" in capsys.readouterr().err


def test_commands_have_their_defaults_and_the_seed(tmp_path):
    files, folder = tmp_path / "files", tmp_path / "runs"
    files.mkdir()
    for name in ("topology.pdb", "pull_001.dcd", "pull_000.dcd"):
        (files / name).touch()
    copy_files(DATA_SETS["trp-cage"], folder, files)
    steps = dict(commands(DATA_SETS["trp-cage"], folder, 3, quick=False))
    assert steps["dataset.h5"] == ["prepare", "pull_000.dcd", "pull_001.dcd", "--top", "topology.pdb"]
    assert steps["vae.safetensors"] == ["train-vae", "--config", "seed.toml"]
    assert "seed = 3" in (folder / "seed.toml").read_text()


def test_a_goal_is_met_if_every_seed_meets_it():
    def measures(value):
        others = [math.nan] * (1 + len(BASELINES))
        return [
            Measure("off", (value, *others), at_most(0.05, 2), value <= 0.05),
            Measure("way", (1.0, *others)),
        ]

    (line, informs) = table(DATA_SETS["adk"], [measures(0.01), measures(0.09)]).splitlines()[4:6]
    assert line.startswith("| off | <= 0.05 | 0.050 +- 0.040 |  |")
    assert line.endswith("| **no** |")
    assert informs.endswith("|  |")
    assert "| yes |" in table(DATA_SETS["adk"], [measures(0.01)])


def test_the_worst_tenth_is_found_where_both_have_frames():
    cv = np.linspace(0, 10, 101)
    real, made = np.ones(101), np.where(cv > 8.5, 0.5, 1.0)
    assert _worst_tenth(made, cv, real, cv) == pytest.approx(0.5)
    assert _worst_tenth(made[cv < 8], cv[cv < 8], real, cv) == 0.0
