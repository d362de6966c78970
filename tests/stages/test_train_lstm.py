"""The dynamics on small pulls: their settings, what is refused, and what a late stop or failure leaves."""

import dataclasses

import numpy as np
import pytest

from smdgen.about.run_folder import describe_run
from smdgen.config import PrepareConfig, TrainLstmConfig, TrainVaeConfig
from smdgen.dataset.dataset import Pull, open_dataset, write_dataset
from smdgen.errors import ArtifactError
from smdgen.method.default import DefaultMethod
from smdgen.method.dynamics import FlowDynamics
from smdgen.method.presets import DEFAULT, PathNumbers, dynamics_settings
from smdgen.progress import Silent
from smdgen.stages import prepare, train_lstm, train_vae
from smdgen.store.artifacts import model_hash, read_model, write_model
from smdgen.store.latents import Latents, read_latents, write_latents
from smdgen.store.models import DynamicsFile
from smdgen.store.run_record import RunFolder
from smdgen.training import verdicts
from smdgen.training.sequences import EncodedPulls
from tests.tools.trainings import LSTM, VAE, Notes, StopAtRollouts


def test_ctrl_c_after_the_training_says_that_the_network_is_finished(run_dir):
    train_vae.run(VAE, run_dir, Silent())
    with pytest.raises(KeyboardInterrupt, match=r"lstm\.safetensors is finished; only its errors"):
        train_lstm.run(LSTM, run_dir, StopAtRollouts())
    assert describe_run(run_dir).as_json()["train_lstm"]["state"] == "done"


@pytest.mark.parametrize(("split", "other"), [("train", "validation"), ("validation", "train")])
def test_pulls_shorter_than_a_sequence_of_the_paper_are_refused(run_dir, split, other):
    """Before anything is trained."""
    dataset = open_dataset(run_dir / "dataset.h5")
    n_frames, pulls, rows = {split: 9, other: 12}, [], []
    for pull in (dataset.of_split("train")[0], dataset.of_split("validation")[0]):
        rows += range(pull.start, pull.start + n_frames[pull.split])
        pulls.append(dataclasses.replace(pull, start=len(rows) - n_frames[pull.split], stop=len(rows)))
    write_dataset(
        run_dir / "dataset.h5", structure=dataset.structure, positions=dataset.positions(np.array(rows)),
        terms=dataset.terms, cv=dataset.cv, pulls=pulls, times_ps=dataset.times_ps[rows],
        cv_values=dataset.cv_values[rows],
    )  # fmt: skip
    train_vae.run(dataclasses.replace(VAE, preset="paper"), run_dir, Silent())
    with pytest.raises(ArtifactError, match=f"longest {split} pull has 9 frames, .* paper 10; prepare"):
        train_lstm.run(LSTM, run_dir, Silent())


def test_a_validation_pull_that_begins_beyond_the_training_pulls_loses_no_training(pull_files, tmp_path):
    """Of a single short pull the last part is held back."""
    config = PrepareConfig(
        pull_files.trajectories[1:2], pull_files.topology, (pull_files.parameters,), select="name N CA C O",
        validation_share=0.1, test_share=0.1,
    )  # fmt: skip
    prepare.run(config, tmp_path / "run", Silent())
    train_vae.run(VAE, tmp_path / "run", Silent())
    notes = Notes()
    result = train_lstm.run(LSTM, tmp_path / "run", notes)
    (note,) = [text for text in notes.texts if "no rollout" in text]
    assert "the training pulls cover" in note
    assert ";" not in note, "nothing that the user could give"
    assert DynamicsFile.open(tmp_path / "run/lstm.safetensors").header.epochs == 3
    assert len(result.not_rolled_out) == 1
    assert "not known" in dict(result.summary())["free-running error"]
    assert result.one_step_A > 0


def test_a_failure_after_training_leaves_the_model(run_dir, monkeypatch):
    train_vae.run(VAE, run_dir, Silent())
    monkeypatch.setattr(verdicts, "generate", None)
    with pytest.raises(TypeError):
        train_lstm.run(LSTM, run_dir, Silent())
    assert DynamicsFile.open(run_dir / "lstm.safetensors").header.epochs == 3


def test_blocks_of_one_trajectory_are_one_pull_in_the_schedule():
    """40 frames of a CV that rises evenly; frames 10 to 29 are held back."""
    cv, times = np.linspace(5, 44, 40), 3 + 0.5 * np.arange(40)
    kept = np.r_[0:10, 30:40]

    def paths_of(*sources):
        pulls = Pull("b1", 0, 10, "train", sources[0]), Pull("b2", 10, 20, "train", sources[1])
        encoded = EncodedPulls(np.zeros((20, 1)), cv[kept], times[kept], pulls)
        return train_lstm.training_paths(encoded, PathNumbers())

    joined = paths_of("one.dcd", "one.dcd")
    assert joined.paths.shape == (1, 40)
    np.testing.assert_allclose(joined.paths[0], cv, rtol=1e-6)
    assert joined.duration_ps == pytest.approx(19.5)
    for sources in (["", ""], ["one.dcd", "other.dcd"]):
        apart = paths_of(*sources)
        assert apart.paths.shape == (2, 10)
        assert apart.duration_ps == pytest.approx(4.5)


def test_few_frames_and_large_proteins_have_fewer_epochs_and_smaller_batches():
    sizes = {"n_features": 3, "n_kinds": 2, "n_soft": 1}
    small, large = (FlowDynamics(3, 8, 16, 1, n_residues=n_residues, **sizes) for n_residues in (10, 320))
    preset = dynamics_settings(DEFAULT)

    def found(dynamics, n_frames, **own):
        settings = train_lstm.fitted_to(DefaultMethod(), dynamics, n_frames, preset, TrainLstmConfig(**own))
        return settings["batch_size"], settings["epochs"]

    assert found(small, 50_000) == (32, 40)
    assert found(small, 1600) == (32, 20), "160 passes over 1600 frames are 20 x 40 batches of 32 x 10"
    assert found(small, 100) == (32, 5)
    assert found(large, 1600) == (2, 40)
    assert found(large, 60) == (2, 12)
    assert found(small, 1600, epochs=33) == (32, 33)


def test_wide_layers_and_small_batches_have_a_lower_rate_unless_the_user_gave_one():
    sizes = {"n_features": 3, "n_kinds": 2, "n_soft": 1}
    preset = dynamics_settings(DEFAULT)

    def rate(n_latents, n_residues, **own):
        dynamics = FlowDynamics(n_latents, 8, 16, 1, n_residues=n_residues, **sizes)
        assert dynamics.input_proj.in_features == n_latents + 29
        return train_lstm.fitted_to(DefaultMethod(), dynamics, 100, preset, TrainLstmConfig(**own))[
            "learning_rate"
        ]

    assert rate(300, 10) == 5e-3
    assert rate(1024 - 29, 10) == 2.5e-3
    assert rate(300, 320) == 5e-3 / 4, "batches of 2, not 32"
    assert rate(1024 - 29, 320, learning_rate=0.01) == 0.01


@pytest.mark.parametrize(
    "forged", ["", "weights", "reference frames", "reach", "sizes", "preset", "latents", "frames", "tree"]
)
def test_an_autoencoder_whose_parts_do_not_fit_is_refused_by_train_lstm(run_dir, forged):
    """All are sealed anew, as somebody who forges would do."""
    train_vae.run(TrainVaeConfig(epochs=1, hidden_size=16, latent_size=8, batch_size=16), run_dir, Silent())
    folder = RunFolder(run_dir)
    found, manifest = read_model(folder.vae, "vae")
    tensors, header = {**found}, manifest.header
    if forged == "weights":
        tensors["weights.linear_in.weight"] = tensors["weights.linear_in.weight"][:-1].clone()
    elif forged == "reference frames":
        tensors["reference_frames"] = tensors["reference_frames"][:, :-1].clone()
    elif forged == "tree":
        tensors["tree.parent"] = tensors["tree.parent"][:-1].clone()
    elif forged == "sizes":
        header = {**header, "sizes": {**header["sizes"], "hidden_size": 10**9}}
    elif forged in ("reach", "preset"):
        header = {k: v for k, v in header.items() if k != {"reach": "training_radius_A"}.get(forged, forged)}
    write_model(folder.vae, "vae", tensors, header)
    latents = read_latents(folder.latents)
    fewer = {"latents": np.s_[:, :-1], "frames": np.s_[:-1]}
    means = latents.means[fewer.get(forged, np.s_[:])]
    sha256 = model_hash(folder.vae)
    write_latents(folder.latents, Latents(means, sha256))
    config = TrainLstmConfig(epochs=1, hidden_size=16, batch_size=16, critic_samples=0)
    if not forged:
        train_lstm.run(config, run_dir, Silent())
        return
    with pytest.raises(ArtifactError, match="not made up as"):
        train_lstm.run(config, run_dir, Silent())
    assert not folder.lstm.exists()
