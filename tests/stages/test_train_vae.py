"""The autoencoder on small pulls: sizes, features, memory, what is noted."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from benchmarks.speed import large_protein
from smdgen.config import RolloutConfig
from smdgen.dataset.dataset import Pull, write_dataset
from smdgen.errors import ArtifactError, ConfigError
from smdgen.forcefield.bonded_terms import geometry_terms
from smdgen.geometry.cvs import end_to_end as end_to_end_cv
from smdgen.geometry.cvs import evaluate
from smdgen.geometry.frames import rmsd_matrix
from smdgen.io.trajectories.trajectory import open_trajectory
from smdgen.progress import Silent
from smdgen.stages import rollout, train_lstm, train_vae
from smdgen.store.artifacts import read_model
from tests.tools.trainings import LSTM, VAE


def test_a_negative_weight_is_refused_and_none_is_a_weight(tmp_path):
    with pytest.raises(ConfigError, match=r"kl_weight is -2\.0, expected 0 or more"):
        train_vae.run(dataclasses.replace(VAE, kl_weight=-2.0), tmp_path / "run", Silent())
    with pytest.raises(ArtifactError, match="not found"):
        train_vae.run(dataclasses.replace(VAE, kl_weight=0.0), tmp_path / "run", Silent())


@pytest.mark.parametrize("n_frames", [200, 201, 199 * 50, 200 * 50, 24 * 201])
def test_reference_frames_are_of_all_pulls_and_all_times(n_frames):
    """Even steps through 199 or 200 pulls of 50 frames would meet each at the same time."""
    rows = train_vae._spread(n_frames, 200)
    assert (rows[0], len(rows.unique())) == (0, 200)
    assert rows.diff().min() > 0
    assert rows.diff().max() <= 2 * n_frames / 200 + 1
    assert rows[-1] < n_frames
    if n_frames % 50 == 0:
        assert torch.bincount(rows % 50 // 10, minlength=5).min() > 20


def test_frames_read_as_needed_give_the_same_model(run_dir, tmp_path):
    """No memory for frames: every batch comes from the file."""
    found = []
    for name, memory_gb in (("kept", 1.0), ("read", 0.0)):
        shutil.copytree(run_dir, tmp_path / name)
        train_vae.run(dataclasses.replace(VAE, memory_gb=memory_gb), tmp_path / name, Silent())
        found.append(read_model(tmp_path / name / "vae.safetensors", "vae")[0])
    assert found[0].keys() == found[1].keys()
    for key, value in found[0].items():
        assert torch.equal(found[1][key], value), key


def bending_run(run_dir, structure):
    """A run of four pulls of 100 residues that bend as a whole, and their frames."""
    n_frames = 40
    start = structure.positions - structure.positions.mean(0)
    random = np.random.default_rng(0)
    bend = np.stack([np.zeros(400), 0.004 * start[:, 0] ** 2, np.zeros(400)], 1)
    pulls = [
        start + np.linspace(0, 1, n_frames)[:, None, None] * bend + random.normal(0, 0.05, (n_frames, 400, 3))
        for _ in range(4)
    ]
    x = np.concatenate(pulls).astype(np.float32)
    cv = end_to_end_cv(structure, np.arange(400))
    run_dir.mkdir()
    write_dataset(
        run_dir / "dataset.h5", structure=structure, terms=geometry_terms(structure.bonds, x.astype(float)),
        cv=cv, positions=x, times_ps=np.tile(np.arange(n_frames, dtype=float), 4),
        cv_values=evaluate(cv, torch.from_numpy(x).double()).numpy(),
        pulls=[Pull(f"p{i}", n_frames * i, n_frames * (i + 1), split, "")
               for i, split in enumerate(("train", "train", "validation", "test"))],
    )  # fmt: skip
    return torch.from_numpy(x)


def farthest_from_real(run_dir, x):
    """A. Largest RMSD of a generated frame to its nearest real one."""
    train_lstm.run(LSTM, run_dir, Silent())
    rollout.run(RolloutConfig(steps=4), run_dir, Silent())
    with open_trajectory(run_dir / "rollout/pull_000.dcd", 400) as trajectory:
        generated = torch.from_numpy(trajectory.read())
    return rmsd_matrix(generated, x).min(1).values.max()


def test_two_large_chains_are_learned_by_their_places_and_rolled_out(tmp_path):
    """Internal coordinates would not hold the fold."""
    structure, run_dir = large_protein.chain(100), tmp_path / "run"
    cut = np.isin(structure.bonds, [198, 200]).all(1)
    chains = np.repeat(["A", "B"], 200)
    x = bending_run(run_dir, dataclasses.replace(structure, bonds=structure.bonds[~cut], chain_ids=chains))
    result = train_vae.run(VAE, run_dir, Silent())
    assert "weights.features.pairs" in read_model(run_dir / "vae.safetensors", "vae")[0]
    assert result.latent_size == 79, "two training pulls of 40 frames span no more"
    assert result.reconstruction_A < 0.15
    assert farthest_from_real(run_dir, x) < 1


def test_one_large_chain_is_learned_as_a_fold_and_rolled_out(tmp_path):
    run_dir = tmp_path / "run"
    x = bending_run(run_dir, large_protein.chain(100))
    result = train_vae.run(VAE, run_dir, Silent())
    assert "weights.map_axes" in read_model(run_dir / "vae.safetensors", "vae")[0]
    assert result.latent_size == 32
    assert result.reconstruction_A < 0.5
    assert farthest_from_real(run_dir, x) < 1


def test_a_small_protein_keeps_its_internal_coordinates(run_dir):
    train_vae.run(VAE, run_dir, Silent())
    assert "weights.features.wide" in read_model(run_dir / "vae.safetensors", "vae")[0]
