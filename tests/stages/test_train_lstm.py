"""The dynamics on small pulls: what is refused, and what a late stop leaves."""

import dataclasses

import numpy as np
import pytest

from smdgen.about.run_folder import describe_run
from smdgen.dataset.dataset import open_dataset, write_dataset
from smdgen.errors import ArtifactError
from smdgen.progress import Silent
from smdgen.stages import train_lstm, train_vae
from tests.tools.trainings import LSTM, VAE, StopAtRollouts


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
