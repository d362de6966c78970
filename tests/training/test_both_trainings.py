"""What both trainings do on small pulls: files, resuming, refusals."""

import dataclasses
import json
import os
import shutil
import signal
import sys

import numpy as np
import pytest
import torch

from smdgen.about.run_folder import describe_run
from smdgen.config import PrepareConfig, TrainLstmConfig, TrainVaeConfig
from smdgen.dataset.dataset import open_dataset
from smdgen.errors import ArtifactError, ConfigError, WriteError
from smdgen.geometry.frames import rmsd
from smdgen.method.presets import DEFAULT
from smdgen.progress import Silent
from smdgen.stages import prepare, train_lstm, train_vae
from smdgen.store.artifacts import model_hash, read_model, write_model
from smdgen.store.latents import read_latents
from smdgen.store.models import AutoencoderFile, DynamicsFile
from smdgen.store.run_record import RunFolder
from smdgen.training.fit import FitState
from smdgen.training.history import loss_verdict
from tests.tools.trainings import LSTM, VAE, StopAfter
from tests.tools.two_processes import run_two


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_both_stages_leave_models_that_belong_together(run_dir, preset):
    result = train_vae.run(dataclasses.replace(VAE, preset=preset), run_dir, Silent())
    dynamics = train_lstm.run(LSTM, run_dir, Silent())
    assert dynamics.preset == preset
    dataset, latents = open_dataset(run_dir / "dataset.h5"), read_latents(run_dir / "latents.h5")
    file = AutoencoderFile.open(run_dir / "vae.safetensors")
    assert file.header.content_hash == dataset.content_hash
    assert latents.vae_hash == model_hash(run_dir / "vae.safetensors")
    assert DynamicsFile.open(run_dir / "lstm.safetensors").header.vae_sha256 == latents.vae_hash
    vae = file.network()
    x = torch.from_numpy(dataset.positions())
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(latents.means), vae.encode(x)[0], atol=1e-3, rtol=0)
        held_out = x[[i for p in dataset.of_split("validation") for i in range(p.start, p.stop)]]
        again = vae.decode(vae.encode(held_out)[0])
    assert result.reconstruction_A == pytest.approx(float(rmsd(again, held_out).mean()), rel=1e-3)
    # 75 training frames span 74 directions of 122 features, and the latents are no more than these.
    assert vae.latent_size == (74 if preset == "default" else 60)
    assert (result.reconstruction_A < 2.0) == (preset == "default")
    assert [entry["command"] for entry in json.loads((run_dir / "record.json").read_text())] == [
        "prepare", "train-vae", "train-lstm",
    ]  # fmt: skip


def test_the_paper_preset_has_the_latents_and_epochs_of_the_paper(run_dir):
    result = train_vae.run(TrainVaeConfig(preset="paper"), run_dir, Silent())
    assert (result.latent_size, result.epochs) == (60, 8)
    assert set(result.history) >= {"bonds", "angles", "torsions", "cv", "recon", "kl"}
    assert train_lstm.run(TrainLstmConfig(), run_dir, Silent()).epochs == 22


@pytest.mark.parametrize("stage", ["vae", "lstm"])
def test_ctrl_c_keeps_the_best_and_resuming_gives_the_undisturbed_model(run_dir, tmp_path, stage):
    run, config = {"vae": (train_vae.run, VAE), "lstm": (train_lstm.run, LSTM)}[stage]
    train_vae.run(VAE, run_dir, Silent()) if stage == "lstm" else None
    run(config, run_dir, Silent())
    file = run_dir / f"{stage}.safetensors"
    expected = read_model(file, stage)[0]
    (run_dir / f"{stage}.checkpoint").unlink()
    file.unlink()
    with pytest.raises(KeyboardInterrupt, match="kept what 2 epochs reached; --resume continues"):
        run(config, run_dir, StopAfter(2))
    assert read_model(file, stage)[1].header["epochs"] == 2
    assert "2 of 3 epochs" in dict(describe_run(run_dir).summary())[f"train-{stage}"]
    run(dataclasses.replace(config, resume=True), run_dir, Silent())
    found, manifest = read_model(file, stage)
    assert manifest.header["epochs"] == 3
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize(
    ("training", "validation", "says"),
    [
        (
            [5.0, 4.0, 3.0],
            [2.0, 2.5, 3.5],
            "overfitting: after epoch 1 the training loss still falls, to 3, ",
        ),
        ([5.0, 9.0, 90.0], [2.0, 9.0, 80.0], "training diverged: "),
        ([5.0, 4.0, 3.0], [3.2, 3.5, 3.5], "nothing was learned: "),
    ],
)
def test_a_training_that_went_wrong_is_called_what_it_is(training, validation, says):
    history = {"loss": training, "validation loss": validation}
    state = FitState(3, {}, {}, {}, {}, min(*validation, 3.1), history, 3.1)
    _, (note,) = loss_verdict(state, DEFAULT.autoencoder.fit)
    assert note.startswith(says)


@pytest.mark.parametrize("stage", ["vae", "lstm"])
def test_a_finished_network_is_replaced_only_by_a_finished_one(run_dir, stage):
    """Ctrl-C leaves all files but the checkpoint; what was begun is continued or given up by choice."""
    run, config = {"vae": (train_vae.run, VAE), "lstm": (train_lstm.run, LSTM)}[stage]
    train_vae.run(VAE, run_dir, Silent())
    train_lstm.run(LSTM, run_dir, Silent())
    before = {path.name: path.read_bytes() for path in run_dir.iterdir()}
    other = dataclasses.replace(config, seed=5)
    with pytest.raises(KeyboardInterrupt, match=rf"{stage}\.safetensors is still the finished one.*--resume"):
        run(dataclasses.replace(other, force=True), run_dir, StopAfter(2))
    after = {path.name: path.read_bytes() for path in run_dir.iterdir()}
    assert {name for name in after if after[name] != before.get(name)} == {f"{stage}.checkpoint"}
    with pytest.raises(
        ArtifactError, match="holds 2 of 3 epochs of a training that was stopped; add --resume"
    ):
        run(other, run_dir, Silent())
    run(dataclasses.replace(other, resume=True), run_dir, Silent())
    assert (run_dir / f"{stage}.safetensors").read_bytes() != before[f"{stage}.safetensors"]
    with pytest.raises(ArtifactError, match="exists already"):
        run(other, run_dir, Silent())


class TerminateAfter(StopAfter):
    """Has a scheduler send SIGTERM after some epochs."""

    def advance(self, n=1, note=""):
        try:
            super().advance(n, note)
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_stops_as_ctrl_c_does_and_info_says_how_to_continue(run_dir, monkeypatch):
    """Also where only the checkpoint was written, as after SIGKILL; nothing begins anew without a word."""
    typed = ["smdgen", "train-vae", "--epochs", "3", "--run", str(run_dir), "--force"]
    monkeypatch.setattr(sys, "argv", typed)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt, match="kept what 2 epochs reached"):
            train_vae.run(VAE, run_dir, TerminateAfter(2))
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
    line = f"smdgen train-vae --epochs 3 --run {run_dir} --resume"
    assert describe_run(run_dir).as_json()["train_vae"]["state"] == "stopped"
    assert describe_run(run_dir).hints == (line,)
    with RunFolder(run_dir).lock():
        assert describe_run(run_dir).notes == ("another smdgen command is writing to it now",)
        assert not describe_run(run_dir).hints
        with pytest.raises(ArtifactError, match="in use: a training is at 2 of 3 epochs"):
            train_vae.run(VAE, run_dir, Silent())
    with pytest.raises(ArtifactError) as wrong:
        train_vae.run(dataclasses.replace(VAE, resume=True, epochs=5), run_dir, Silent())
    assert f"(epochs was 3, is 5); `{line}` continues it, or give --force in place of" in str(wrong.value)
    assert any(f"2 of 3 epochs: `{line}`" in note for note in describe_run(run_dir).notes)
    for name in ("vae.safetensors", "latents.h5"):
        (run_dir / name).unlink()
    assert describe_run(run_dir).hints == (line,)
    with pytest.raises(ArtifactError, match="--resume to continue it or --force"):
        train_vae.run(VAE, run_dir, Silent())
    assert train_vae.run(dataclasses.replace(VAE, resume=True), run_dir, Silent()).epochs == 3
    assert describe_run(run_dir).hints == (f"smdgen train-lstm --run {run_dir}",)
    assert not describe_run(run_dir).notes


def test_a_checkpoint_of_other_data_is_in_nobodys_way(run_dir, pull_files):
    with pytest.raises(KeyboardInterrupt):
        train_vae.run(VAE, run_dir, StopAfter(1))
    (run_dir / "vae.safetensors").unlink()
    (run_dir / "latents.h5").unlink()
    config = PrepareConfig(
        pull_files.trajectories, pull_files.topology, (pull_files.parameters,),
        select="name N CA C O", stride=2, force=True,
    )  # fmt: skip
    prepare.run(config, run_dir, Silent())
    assert describe_run(run_dir).hints == (f"smdgen train-vae --run {run_dir}",)
    with pytest.raises(ArtifactError, match="on another dataset; give --force in place of --resume"):
        train_vae.run(dataclasses.replace(VAE, resume=True), run_dir, Silent())
    assert train_vae.run(VAE, run_dir, Silent()).epochs == 3


FORGED = {
    "no epoch": lambda t, h: h.pop("epoch"),
    "an epoch beyond": lambda t, h: h.update(epoch=99),
    "an epoch before": lambda t, h: h.update(epoch=-3),
    "an epoch that is none": lambda t, h: h.update(epoch=True),
    "no identity": lambda t, h: h.update(identity=[]),
    "a best loss of no epoch": lambda t, h: h.update(best_loss=-1e9),
    "a short history": lambda t, h: h["history"][0][1].pop(),
    "no history": lambda t, h: h.update(history=[]),
    "a weight less": lambda t, h: t.pop("w:linear_in.bias"),
    "whole weights": lambda t, h: t.update({"w:linear_in.bias": t["w:linear_in.bias"].long()}),
    "a short average": lambda t, h: t.update({"a:linear_in.bias": t["a:linear_in.bias"][1:]}),
    "a best less": lambda t, h: t.pop("b:linear_in.bias"),
    "no optimiser": lambda t, h: [t.pop(name) for name in list(t) if name[:2] == "o:"],
    "a short momentum": lambda t, h: t.update(
        {"o:linear_in.bias.exp_avg": t["o:linear_in.bias.exp_avg"][1:]}
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED.keys())
def test_a_forged_checkpoint_is_refused(run_dir, change):
    """All are sealed anew; what was there stays."""
    train_vae.run(VAE, run_dir, Silent())
    before, checkpoint = (run_dir / "vae.safetensors").read_bytes(), run_dir / "vae.checkpoint"
    found, manifest = read_model(checkpoint, "checkpoint")
    tensors, header = dict(found), json.loads(json.dumps(manifest.header))
    change(tensors, header)
    write_model(
        checkpoint, "checkpoint", tensors, {k: v for k, v in header.items() if k not in {"kind", "hash"}}
    )
    with pytest.raises(ArtifactError, match=r"vae\.checkpoint"):
        train_vae.run(dataclasses.replace(VAE, resume=True), run_dir, Silent())
    assert (run_dir / "vae.safetensors").read_bytes() == before


def test_a_stop_before_the_first_epoch_writes_nothing(run_dir):
    class AtOnce(Silent):
        def start(self, label, total=None):
            if label == "train-vae":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="nothing was written"):
        train_vae.run(VAE, run_dir, AtOnce())
    assert not (run_dir / "vae.safetensors").exists()


def test_a_folder_that_may_not_be_written_is_found_before_the_first_epoch(run_dir, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK | os.X_OK)
    with pytest.raises(WriteError, match=f"cannot write {run_dir}: Permission denied; choose a folder"):
        train_vae.plan(dataclasses.replace(VAE, force=True), run_dir)


def test_a_dry_run_names_what_is_read_and_written_and_refuses_what_the_run_would(run_dir, tmp_path):
    with pytest.raises(ArtifactError, match="smdgen prepare"):
        train_vae.plan(VAE, tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match="smdgen train-vae"):
        train_lstm.plan(LSTM, run_dir)
    rows = dict(train_vae.plan(VAE, run_dir))
    assert rows["reads"].startswith(f"{run_dir / 'dataset.h5'}: ")
    assert not (run_dir / "vae.safetensors").exists()
    there = {*run_dir.iterdir(), run_dir / "vae.checkpoint", run_dir / "lstm.checkpoint"}
    result = train_vae.run(VAE, run_dir, Silent())
    assert set(map(str, result.outputs)) == set(rows["writes"].split(", "))
    written = dict(train_lstm.plan(LSTM, run_dir))["writes"].split(", ")
    second = train_lstm.run(LSTM, run_dir, Silent())
    assert set(map(str, second.outputs)) == set(written)
    assert {*result.outputs, *second.outputs} == {*run_dir.iterdir()} - there
    with pytest.raises(ArtifactError, match="force"):
        train_lstm.plan(LSTM, run_dir)


def test_what_is_missing_or_in_the_way_or_of_another_run_is_refused(run_dir, tmp_path):
    with pytest.raises(ArtifactError, match="smdgen prepare"):
        train_vae.run(VAE, tmp_path / "nowhere", Silent())
    with pytest.raises(ArtifactError, match="smdgen train-vae"):
        train_lstm.run(LSTM, run_dir, Silent())
    with pytest.raises(ArtifactError, match="no training to resume"):
        train_vae.run(dataclasses.replace(VAE, resume=True), run_dir, Silent())
    train_vae.run(VAE, run_dir, Silent())
    with pytest.raises(ArtifactError, match="force"):
        train_vae.run(VAE, run_dir, Silent())
    with pytest.raises(ArtifactError, match=r"preset default, asked for paper; run `.*--force"):
        train_lstm.run(dataclasses.replace(LSTM, preset="paper"), run_dir, Silent())
    with pytest.raises(ArtifactError, match="belongs to another training"):
        train_vae.run(dataclasses.replace(VAE, resume=True, learning_rate=0.5), run_dir, Silent())
    for device in ("abacus", "meta"):
        with pytest.raises(ConfigError, match="device"):
            train_vae.run(dataclasses.replace(VAE, force=True, device=device), run_dir, Silent())


def test_two_processes_write_once(run_dir, tmp_path):
    """The command as torchrun starts it: files and words from the first only.

    That their losses are those of one process is tested in test_distributed.py.
    """
    shutil.copytree(run_dir, tmp_path / "two")
    expected = train_vae.run(dataclasses.replace(VAE, precision="float64"), run_dir, Silent())
    (tmp_path / "double.toml").write_text('[train-vae]\nprecision = "float64"\n')
    options = ["--epochs", "3", "--hidden-size", "16", "--run", "two", "--config", "double.toml"]
    (code, out, err), other = run_two(["-m", "smdgen", "train-vae", *options], tmp_path)
    assert code == 0, err
    assert "validation reconstruction" in out
    assert other == (0, "", "")
    rows = np.genfromtxt(tmp_path / "two/vae-losses.csv", delimiter=",", names=True)
    assert rows.dtype.names == ("epoch", *(name.replace(" ", "_") for name in expected.history))
    assert rows["epoch"].tolist() == [1, 2, 3]
    assert all(np.isfinite(rows[name]).all() for name in rows.dtype.names)
    assert len(json.loads((tmp_path / "two/record.json").read_text())) == 2
    assert [code for code, *_ in run_two(["-m", "smdgen", "train-vae", *options], tmp_path)] == [2, 2]


def test_an_unknown_preset_is_refused(tmp_path):
    for run, config in ((train_vae.run, VAE), (train_lstm.run, LSTM)):
        with pytest.raises(ConfigError, match="no preset is named 'best'; expected paper or default"):
            run(dataclasses.replace(config, preset="best"), tmp_path / "run", Silent())
