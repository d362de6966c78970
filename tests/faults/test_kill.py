"""Killed, interrupted or out of disk space: what was there stays, and running again ends well."""

import shutil
import signal
from pathlib import Path

import pytest

from benchmarks.faults.full_disk import stages, with_limits
from benchmarks.faults.kill import kill_and_rerun
from tests.faults.commands import Commands, leftovers, make_commands, run_command, snapshot


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return make_commands(tmp_path)


def test_after_a_kill_the_same_command_gives_the_same_files(commands: Commands, tmp_path: Path) -> None:
    counts = kill_and_rerun(commands, commands.prepare, None, n_kills=3, seed=0)
    assert (counts["same"], counts["leftovers"]) == (3, 0)
    fresh = tmp_path / "fresh"
    shutil.copytree(commands.run, fresh)
    counts = kill_and_rerun(commands, commands.train_vae, fresh, n_kills=2, seed=0)
    assert (counts["same"], counts["leftovers"]) == (2, 0)


def test_a_resumed_training_writes_the_same_files(commands: Commands) -> None:
    """All of them: the table of losses as well as the weights."""
    assert run_command(commands.prepare()).code == 0
    assert run_command(commands.train_vae()).code == 0
    expected = snapshot(commands.run)
    arguments = commands.train_vae()
    assert "--resume" in arguments
    assert run_command(arguments).code == 0
    assert snapshot(commands.run) == expected


def test_a_full_disk_is_one_line_and_changes_nothing(commands: Commands) -> None:
    for _, command, before, sizes in stages(commands):
        assert set(with_limits(command, before, commands.run, sizes, (0.1, 0.7))) == {""}


def test_an_interrupted_training_keeps_what_was_there(commands: Commands) -> None:
    assert run_command(commands.prepare()).code == 0
    before = snapshot(commands.run)
    outcome = run_command(
        [*commands.train_vae(), "--epochs", "100000"], kill_after=3.0, kill_with=signal.SIGINT
    )
    assert outcome.code == 130, outcome.said
    assert "Traceback" not in outcome.said
    after = snapshot(commands.run)
    assert all(after[name] == content for name, content in before.items())
    assert leftovers(commands.run) == []
