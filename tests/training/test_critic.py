"""The critic of `train-lstm`: learned where there is something to learn, kept where it holds."""

import dataclasses

import pytest
import torch

from smdgen.about.stored import describe_model
from smdgen.config import RolloutConfig, TrainLstmConfig, TrainVaeConfig
from smdgen.method.presets import METHODS
from smdgen.progress import Silent
from smdgen.stages import rollout, train_lstm, train_vae
from smdgen.store.models import DynamicsFile
from smdgen.training import critic

CONFIG = TrainLstmConfig(epochs=1, hidden_size=8, critic_samples=1000)


class StopInCritic(Silent):
    """Presses Ctrl-C when the critic is being trained."""

    def start(self, label, total=None):
        if label == "critic":
            raise KeyboardInterrupt


@pytest.fixture
def trained(run_dir, monkeypatch):
    """As many samples for each of the few training frames as make enough."""
    own = METHODS["default"]
    more = dataclasses.replace(own, critic=dataclasses.replace(own.critic, samples_per_frame=20))
    monkeypatch.setitem(METHODS, "default", more)
    train_vae.run(TrainVaeConfig(epochs=2, hidden_size=16), run_dir, Silent())
    return run_dir


def sampled(spread):
    """Next frames that are standard latents, their spread multiplied, whatever came before."""

    def draw(model, context, aim, generator):
        z = torch.randn(len(aim), model.autoencoder.latent_size, generator=generator)
        z = model.dynamics.z_centre + spread * model.dynamics.z_scale * z
        return z, model.autoencoder.decode(z)

    return draw


def test_blurred_frames_are_told_apart_and_the_critic_goes_into_the_model(trained, monkeypatch):
    monkeypatch.setattr(critic, "draw_next", sampled(2.0))
    result = train_lstm.run(CONFIG, trained, Silent())
    file = DynamicsFile.open(trained / "lstm.safetensors")
    assert file.header.critic.n_samples == 1000
    assert file.header.critic.auc > 0.7
    assert f"AUC {file.header.critic.auc:.2f}" in dict(result.summary())["critic"]
    assert file.critic["pairs"].shape[1] == 2
    told = {fact.label: fact.text for fact in describe_model(trained / "lstm.safetensors").facts}
    assert told["critic"].endswith("learned from 1,000 sampled frames")
    first, again = (
        rollout.run(RolloutConfig(steps=2, seed=1, force=True), trained, Silent()).outputs for _ in range(2)
    )
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_a_critic_that_holds_for_no_validation_pull_is_not_kept(trained, monkeypatch):
    """Sampled frames of validation pulls are the true ones, so whatever it learned is wrong there."""

    def sample(model, data, *rest):
        found = SAMPLE(model, data, *rest)
        return found if len(found.true) == 1000 else dataclasses.replace(found, made=found.true)

    monkeypatch.setattr(critic, "draw_next", sampled(2.0))
    monkeypatch.setattr(critic, "_sample", sample)
    result = train_lstm.run(CONFIG, trained, Silent())
    assert dict(result.summary())["critic"] == "none"
    file = DynamicsFile.open(trained / "lstm.safetensors")
    assert (file.critic, file.header.critic) == ({}, None)


SAMPLE = critic._sample


@pytest.mark.parametrize("n_samples", [0, 999])
def test_too_few_samples_make_no_critic(trained, n_samples):
    config = dataclasses.replace(CONFIG, critic_samples=n_samples)
    assert dict(train_lstm.run(config, trained, Silent()).summary())["critic"] == "none"


def test_ctrl_c_in_the_critic_keeps_the_dynamics_and_resuming_gives_all_of_it(trained, monkeypatch):
    monkeypatch.setattr(critic, "draw_next", sampled(2.0))
    train_lstm.run(CONFIG, trained, Silent())
    expected = DynamicsFile.open(trained / "lstm.safetensors")
    with pytest.raises(KeyboardInterrupt, match="still the finished one"):
        train_lstm.run(dataclasses.replace(CONFIG, force=True), trained, StopInCritic())
    assert DynamicsFile.open(trained / "lstm.safetensors").header.critic is not None
    (trained / "lstm.safetensors").unlink()
    with pytest.raises(KeyboardInterrupt, match="resume"):
        train_lstm.run(dataclasses.replace(CONFIG, force=True), trained, StopInCritic())
    assert DynamicsFile.open(trained / "lstm.safetensors").header.critic is None
    train_lstm.run(dataclasses.replace(CONFIG, resume=True), trained, Silent())
    found = DynamicsFile.open(trained / "lstm.safetensors")
    assert found.header.critic == expected.header.critic
    for mine, theirs in ((found.weights, expected.weights), (found.critic, expected.critic)):
        assert all(torch.equal(mine[name], value) for name, value in theirs.items())
