"""Every setting has a meaning and a default in words; the printed file is valid and gives the defaults."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
import typer

from smdgen.about.settings import as_toml, settings_of
from smdgen.cli.app import app, main
from smdgen.config import STAGES, Range, TrainLstmConfig, stage_name
from smdgen.config_file import load_settings
from smdgen.method.presets import (
    CRITIC_SAMPLES,
    DEFAULT,
    METHODS,
    PAPER,
    autoencoder_settings,
    dynamics_settings,
)

COMMANDS = typer.main.get_command(app).commands
FLAGS = [
    (name, item)
    for name, command in COMMANDS.items()
    for item in command.params
    if item.param_type_name == "option" and item.name != "help"
]


def required(config_type) -> dict[str, object]:
    """Values for the settings that have no default."""
    return {
        field.name: (Path("x"),) if "tuple" in str(field.type) else Path("x")
        for field in dataclasses.fields(config_type)
        if field.default is dataclasses.MISSING
    }


@pytest.mark.parametrize("config_type", STAGES)
def test_every_setting_has_a_meaning_and_says_what_happens_without_it(config_type):
    for item in settings_of(config_type):
        assert re.fullmatch(r"[A-Za-z].*[.]", item.meaning), item
        assert item.default or item.name in required(config_type), item
        assert item.help.endswith((f"Default: {item.default}.", "Required.")), item


@pytest.mark.parametrize(("name", "flag"), FLAGS, ids=[f"{name} {flag.opts[0]}" for name, flag in FLAGS])
def test_the_help_of_every_flag_shows_its_default(name, flag):
    assert re.search(r"Default: .*\.$", flag.help), (name, flag.opts)


@pytest.mark.parametrize("config_type", STAGES)
def test_help_names_the_range_and_messages_name_the_flag(config_type):
    flags = {item.name: item for item in COMMANDS[stage_name(config_type)].params}
    for field in dataclasses.fields(config_type):
        flag, words = flags.get(field.name), field.metadata
        if flag is None:
            continue
        assert words["flag"] in ("", flag.opts[0])
        assert words["allowed"] is None or field.name in flag.opts[0].replace("-", "_") or words["flag"]
        if words["allowed"] not in (None, Range()):
            assert str(words["allowed"]).removeprefix("a number ").capitalize() + "." in flag.help


def test_the_flag_of_a_preset_shows_the_names_of_the_methods():
    for name in ("train-vae", "train-lstm"):
        (flag,) = (item for item in COMMANDS[name].params if item.name == "preset")
        assert flag.metavar == "|".join(METHODS)


@pytest.mark.parametrize("name", ["train-vae", "train-lstm"])
def test_the_help_of_trainings_shows_the_numbers_of_both_presets(name):
    """As they stand in presets.py: changed there, changed here."""
    of = autoencoder_settings if name == "train-vae" else dynamics_settings
    flags = {item.name: item.help for item in COMMANDS[name].params}
    shown = [setting for setting in of(DEFAULT) if setting in flags]
    assert {"epochs", "batch_size", "hidden_size"} <= set(shown)
    for setting in shown:
        for numbers in (of(DEFAULT), of(PAPER)):
            number = f"{numbers[setting]:g}"
            assert number == "0" or re.search(rf"\b{re.escape(number)}\b", flags[setting]), flags[setting]


def test_the_number_of_critic_samples_is_that_of_the_method():
    (found,) = (item for item in settings_of(TrainLstmConfig) if item.name == "critic_samples")
    assert found.default.startswith(f"{CRITIC_SAMPLES},")


def test_the_printed_file_is_valid_and_gives_the_defaults(tmp_path, capsys):
    assert main(["config"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "settings.toml").write_text(text)
    assert list(tomllib.loads(text)) == [stage_name(kind) for kind in STAGES]
    for config_type in STAGES:
        needed = required(config_type)
        read = load_settings(config_type, tmp_path / "settings.toml", **needed)
        assert read == config_type(**needed)


def test_the_printed_file_has_every_setting_and_its_examples_are_valid(tmp_path):
    """With every comment of an example made a setting, each is read."""
    text = re.sub(r"^#(?=\w+ = )", "", as_toml(STAGES), flags=re.MULTILINE)
    (tmp_path / "settings.toml").write_text(text)
    tables = tomllib.loads(text)
    for config_type in STAGES:
        names = [field.name for field in dataclasses.fields(config_type)]
        assert list(tables[stage_name(config_type)]) == names
        read = load_settings(config_type, tmp_path / "settings.toml")
        assert all(getattr(read, name) not in (None, ()) for name in names)


def test_settings_of_some_commands_can_be_printed(capsys):
    assert main(["config", "rollout"]) == 0
    assert re.findall(r"^\[(.*)\]$", capsys.readouterr().out, re.MULTILINE) == ["rollout"]
    assert main(["config", "info"]) == 2
    assert "info has no settings; expected simulate, prepare" in capsys.readouterr().err
