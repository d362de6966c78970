"""What the benchmark of long rollouts says about pulls whose answer is known."""

import numpy as np
import pytest
import torch

from benchmarks.quality import long_rollouts
from smdgen.dataset.dataset import Pull, open_dataset, write_dataset
from smdgen.forcefield.bonded_terms import geometry_terms
from tests.tools.pulls import end_to_end, make_cv, make_pull, make_structure

REAL = torch.from_numpy(np.stack([make_pull(11, seed) for seed in range(6)])).double()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "dataset.h5"
    x, structure = REAL.float().flatten(0, 1).numpy(), make_structure()
    write_dataset(
        path,
        structure=structure,
        terms=geometry_terms(structure.bonds, x.astype(float)),
        cv=make_cv(),
        pulls=[Pull(f"p{i}", 11 * i, 11 * i + 11, "test", "") for i in range(6)],
        positions=x,
        times_ps=np.tile(np.arange(11.0), 6),
        cv_values=end_to_end(x).astype(float),
    )
    return open_dataset(path)


def test_a_frozen_pull_does_not_move_and_an_exploding_one_drifts(dataset):
    real = long_rollouts.measure(REAL, dataset)
    frozen = long_rollouts.measure(REAL[:, :1].expand(-1, 11, -1, -1), dataset)
    assert frozen["way of end_to_end, A"] == frozen["end_to_end from step to step, A"] == 0
    assert frozen["frame-to-frame RMSD, A"] == pytest.approx(0, abs=1e-5)
    assert frozen["bond energy, last fifth / first fifth"] == pytest.approx(1)
    growing = REAL * torch.linspace(1, 1.5, 11, dtype=torch.float64)[:, None, None]
    exploding = long_rollouts.measure(growing, dataset)
    assert exploding["longest bond, A"] > 1.3 * real["longest bond, A"]
    assert exploding["bond energy, last fifth / first fifth"] > 3
    assert long_rollouts.measure(0.2 * REAL, dataset)["frames with a clash, share"] == 1


def test_the_two_sample_test_tells_noise_from_real_and_real_not_from_itself(dataset):
    noise = 0.2 * torch.randn(REAL.shape, generator=torch.Generator().manual_seed(0), dtype=REAL.dtype)
    noisy = long_rollouts.measure(REAL + noise, dataset, REAL + noise, REAL)
    same = long_rollouts.measure(REAL, dataset, REAL, REAL)
    assert noisy["two-sample AUC"] > 0.95
    assert same["two-sample AUC"] == pytest.approx(0.5, abs=0.1)
    text = long_rollouts.table([noisy, same], [10])
    assert f"| two-sample AUC | {noisy['two-sample AUC']:.3f} | {same['two-sample AUC']:.3f} |" in text


def test_the_command_prints_a_table_for_the_shipped_model(capsys):
    long_rollouts.main(["--steps", "2", "--split", "validation"])
    printed = capsys.readouterr().out
    assert "6 validation pulls" in printed
    assert "longest bond, A" in printed
