"""Settings from TOML files and flags."""

import os
from pathlib import Path

import pytest

from smdgen.config import PrepareConfig, TrainVaeConfig, load_settings
from smdgen.errors import ConfigError


@pytest.fixture
def toml(tmp_path):
    """Writes a settings file."""

    def write(text: str) -> Path:
        path = tmp_path / "settings.toml"
        path.write_text(text)
        return path

    return write


def test_flags_win_over_the_file_and_the_file_over_the_defaults(toml):
    path = toml("[train-vae]\nepochs = 7\nseed = 3\n")
    config = load_settings(TrainVaeConfig, path, seed=5, batch_size=None)
    assert (config.epochs, config.seed, config.batch_size) == (7, 5, 0)


def test_paths_are_taken_from_the_folder_of_the_file(toml, tmp_path):
    config = load_settings(PrepareConfig, toml('topology = "a.psf"\n'), trajectories=(Path("x.dcd"),))
    assert config.topology == tmp_path / "a.psf"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("epochz = 3\n", "unknown setting epochz"),
        ('preset = "best"\n', "expected one of 'paper', 'default'"),
        ('epochs = "many"\n', "not of type int"),
        ("epochs = \n", "not valid TOML"),
    ],
)
def test_what_the_stage_does_not_know_is_refused(toml, text, says):
    with pytest.raises(ConfigError, match=says):
        load_settings(TrainVaeConfig, toml(text))


def test_settings_are_read_from_a_file_only(tmp_path):
    """A pipe would wait for ever, a device fill the memory."""
    os.mkfifo(tmp_path / "pipe.toml")
    for path, says in (
        (tmp_path / "pipe.toml", "a pipe"),
        (tmp_path, "a folder"),
        (Path("/dev/zero"), "a device"),
    ):
        with pytest.raises(ConfigError, match=says):
            load_settings(TrainVaeConfig, path)
