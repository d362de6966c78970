"""Settings from TOML files and flags."""

import dataclasses
import math
import os
import re
from pathlib import Path

import pytest

from smdgen.config import STAGES, PrepareConfig, Range, RolloutConfig, TrainLstmConfig, TrainVaeConfig
from smdgen.config_file import load_settings
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
    assert (config.epochs, config.seed, config.batch_size) == (7, 5, None)


def test_paths_are_taken_from_the_folder_of_the_file(toml, tmp_path):
    config = load_settings(PrepareConfig, toml('topology = "a.psf"\n'), trajectories=(Path("x.dcd"),))
    assert config.topology == tmp_path / "a.psf"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("epochz = 3\n", "unknown setting epochz"),
        ('precision = "half"\n', "expected one of 'float32', 'float64'"),
        ('epochs = "many"\n', "epochs = 'many', expected a whole number"),
        ('learning_rate = "1e-3"\n', "learning_rate = '1e-3', expected a number"),
        ('quick = "yes"\n', "quick = 'yes', expected true or false"),
        ("device = 3\n", "device = 3, expected a text in quotes"),
        ("epochs = \n", "not valid TOML"),
        ("epochs = true\n", "epochs = true, expected a whole number"),
        ("learning_rate = nan\n", "learning_rate = nan, expected a finite number"),
        ("[train_vae]\nepochs = 3\n", "no command is named train_vae; expected a table of .*train-vae"),
        ("[rolout]\nsteps = 3\n", "no command is named rolout"),
        ("[rollout.steps]\nx = 3\n[train_lstm]\n", "no command is named train_lstm"),
        ("rollout = 3\n", r"rollout = 3, expected a table, which begins with \[rollout\]"),
        ("[[train-vae]]\nepochs = 3\n", r"expected a table, which begins with \[train-vae\]"),
        ("epochs = 3\n[rollout]\nsteps = 3\n", "epochs stands before the tables"),
        ("seed = -1\n", "seed is -1, expected a number from 0 to 2147483647"),
        ("seed = 99999999999999999999\n", "seed is 9{20}, expected"),
    ],
)
def test_what_the_stage_does_not_know_is_refused(toml, text, says):
    with pytest.raises(ConfigError, match=says):
        load_settings(TrainVaeConfig, toml(text))


@pytest.mark.parametrize(
    ("config_type", "text"),
    [
        (TrainVaeConfig, "epochs = 0\nlatent_size = 0\nlearning_rate = 0\nkl_weight = -1\nthreads = 0\n"),
        (TrainVaeConfig, "learning_rate = 0.0\nkl_weight = -1.0\nenergy_weight = -1\n"),
        (TrainLstmConfig, "epochs = 0\nbatch_size = 0\nhidden_size = 0\nlearning_rate = 0.0\n"),
        (RolloutConfig, "steps = 0\n"),
    ],
)
def test_files_of_earlier_versions_that_set_the_presets_own_stay_valid(toml, config_type, text):
    assert load_settings(config_type, toml(text)) == config_type()


def test_texts_that_were_empty_are_not_set(toml):
    path = toml('cv = ""\ndask = ""\nlabel_units = ""\n')
    given = {"trajectories": (Path("x.dcd"),)}
    assert load_settings(PrepareConfig, path, **given) == PrepareConfig(**given)


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "words"),
    [
        (Range(1), [1, 10**400], [0, -1, math.nan, math.inf], "1 or more"),
        (Range(0, excluded=True), [1e-9], [0.0, -1.0, math.nan, math.inf], "a number above 0"),
        (Range(0, 2**31 - 1), [0, 2147483647], [-1, 2147483648], "a number from 0 to 2147483647"),
        (Range(), [-1e9, 0], [math.inf, -math.inf, math.nan], "a finite number"),
    ],
)
def test_a_range_knows_its_numbers_and_its_words(allowed, inside, outside, words):
    assert all(value in allowed for value in inside)
    assert not any(value in allowed for value in outside)
    assert str(allowed) == words


@pytest.mark.parametrize("config_type", STAGES)
def test_every_number_has_a_range_that_its_default_and_example_keep(config_type):
    for field in dataclasses.fields(config_type):
        words, is_number = field.metadata, re.search(r"\b(int|float)\b", str(field.type)) is not None
        assert (words["allowed"] is not None) == is_number, field.name
        shown = [value for value in (field.default, words["example"]) if type(value) in (int, float)]
        assert all(value in words["allowed"] for value in shown), field.name


def test_a_number_out_of_range_is_refused_however_it_is_given(toml):
    with pytest.raises(ConfigError, match=r"^--to is inf, expected a finite number$"):
        load_settings(RolloutConfig, None, target=math.inf)
    with pytest.raises(ConfigError, match=r"^--to is nan, expected a finite number$"):
        RolloutConfig(target=math.nan)
    with pytest.raises(ConfigError, match=r"^stride is 0, expected 1 or more$"):
        load_settings(PrepareConfig, toml("stride = 0\n"), trajectories=(Path("x.dcd"),))


@pytest.mark.parametrize("name", ["epochs", "hidden_size", "batch_size", "learning_rate", "threads"])
@pytest.mark.parametrize("config_type", [TrainVaeConfig, TrainLstmConfig])
def test_sizes_rates_and_counts_of_trainings_are_above_zero(config_type, name):
    for value in (-2, 0):
        with pytest.raises(ConfigError, match=f"^{name} is {value}, expected (1 or more|a number above 0)$"):
            config_type(**{name: value})


@pytest.mark.parametrize("text", ["critic_samples = 0\n", "critic_samples = 8000\n"])
def test_a_zero_that_means_none_stays_a_number(toml, text):
    assert load_settings(TrainLstmConfig, toml(text)).critic_samples == int(text.split()[-1])


def test_a_setting_that_moved_names_its_new_place(toml):
    with pytest.raises(
        ConfigError, match=r"relax is not a setting of rollout; .* `smdgen relax` .* \[relax\]"
    ):
        load_settings(RolloutConfig, toml("[rollout]\nrelax = true\n"))


def test_a_byte_order_mark_is_no_part_of_the_settings(tmp_path):
    """Windows' editor writes one."""
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xef\xbb\xbf[train-vae]\r\nepochs = 7\r\n")
    assert load_settings(TrainVaeConfig, path).epochs == 7


@pytest.mark.parametrize("content", ["[train-vae]\n".encode("utf-16"), b"# caf\xe9\nepochs = 1\n"])
def test_settings_in_another_encoding_are_refused(tmp_path, content):
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is not UTF-8 text; save it as UTF-8"):
        load_settings(TrainVaeConfig, path)


def test_a_file_of_other_tables_changes_nothing(toml):
    assert load_settings(TrainVaeConfig, toml("[rollout]\nsteps = 3\n")) == TrainVaeConfig()


@pytest.mark.parametrize("text", ["parameters = 3\n", "parameters = [3]\n", "topology = 3\n"])
def test_what_is_no_path_is_refused(toml, text):
    with pytest.raises(ConfigError, match="expected a path in quotes"):
        load_settings(PrepareConfig, toml(text), trajectories=(Path("x.dcd"),))


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
