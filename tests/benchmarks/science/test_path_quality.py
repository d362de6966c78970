"""Measures of generated paths whose answer is known, and commands whose end is known."""

import re

import numpy as np
import pytest
import torch

from benchmarks.science import path_quality
from benchmarks.speed import stage_costs
from smdgen.dataset.dataset import Pull, open_dataset, write_dataset
from smdgen.forcefield.bonded_terms import geometry_terms
from tests.tools.pulls import end_to_end, make_cv, make_pull, make_structure


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "dataset.h5"
    x, structure = np.concatenate([make_pull(11, seed) for seed in range(3)]), make_structure()
    splits = ("train", "validation", "test")
    write_dataset(
        path,
        structure=structure,
        terms=geometry_terms(structure.bonds, x.astype(float)),
        cv=make_cv(),
        pulls=[Pull(f"p{i}", 11 * i, 11 * i + 11, split, "") for i, split in enumerate(splits)],
        positions=x,
        times_ps=np.tile(np.arange(11.0), 3),
        cv_values=end_to_end(x).astype(float),
    )
    return open_dataset(path)


def test_a_real_path_moved_away_is_at_no_distance_and_has_its_own_energy(dataset, capsys):
    path = torch.from_numpy(dataset.positions(dataset.pulls[1])).double() + 5
    path_quality.report_path("moved", path, dataset)
    said = capsys.readouterr().out
    assert re.findall(r"0\.00 \((\d+)\)", said) == [str(i) for i in range(11)]
    ratios = path_quality.bonded_ratios(dataset, path, path)
    assert ratios == pytest.approx(dict.fromkeys(path_quality.TERMS, 1))


def test_stretched_bonds_and_overlapping_atoms_are_seen(dataset, capsys):
    path = path_quality.frames_of(dataset, "test")
    assert path_quality.bonded_ratios(dataset, 1.1 * path, path)["bonds"] > 5
    path_quality.report_path("small", 0.2 * path, dataset)
    assert "frames with a clash: 100%" in capsys.readouterr().out


def test_held_out_frames_are_those_of_no_training(dataset):
    held_out = path_quality.frames_of(dataset, "validation", "test")
    np.testing.assert_array_equal(held_out, dataset.positions()[11:])


def test_a_command_that_fails_ends_the_rest_with_its_one_line(tmp_path, capfd):
    done = stage_costs.run_commands(
        tmp_path, ("dataset.h5", ["prepare", "missing.dcd"]), ("vae.safetensors", ["train-vae"])
    )
    said = capfd.readouterr().out
    assert not done
    assert "missing.dcd" in said.splitlines()[0]
    assert re.search(r"prepare: \d+ s, \d+ s of computing, peak \d+ MB", said)
    assert "train-vae" not in said
