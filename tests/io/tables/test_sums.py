"""Inputs held to sums that were written down before."""

import hashlib
from pathlib import Path

import pytest

from smdgen.cli.app import main
from smdgen.errors import ConfigError, TrajectoryError
from smdgen.io.tables.sums import hold_to_sum, read_sums
from tests.conftest import PullFiles


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    (tmp_path / "a b.dcd").write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    path = tmp_path / "SHA256SUMS"
    path.write_text(f"{digest}  a b.dcd\n{'0' * 64} *./other.dcd\n")
    return path


def test_a_listed_file_passes_and_a_changed_one_does_not(sums: Path, tmp_path: Path) -> None:
    listed = read_sums(sums)
    file = tmp_path / "a b.dcd"
    assert hold_to_sum(file, listed, sums) == hashlib.sha256(b"content").hexdigest()
    file.write_bytes(b"Content")
    with pytest.raises(TrajectoryError, match="it changed"):
        hold_to_sum(file, listed, sums)


def test_an_unlisted_file_is_refused(sums: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not listed"):
        hold_to_sum(tmp_path / "third.dcd", read_sums(sums), sums)


@pytest.mark.parametrize("text", ["", "\n\n", "abc  file\n", f"{'0' * 64}\n", f"{'g' * 64}  file\n"])
def test_what_is_no_list_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sums"
    path.write_text(text)
    with pytest.raises(ConfigError):
        read_sums(path)


def test_prepare_refuses_an_input_that_changed(
    pull_files: PullFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [*pull_files.folder.glob("*.dcd"), *pull_files.folder.glob("*.traj"), pull_files.topology]
    files.append(pull_files.parameters)
    sums = pull_files.folder / "SHA256SUMS"
    sums.write_text("".join(f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files))
    arguments = ["prepare", *map(str, pull_files.trajectories), "--top", str(pull_files.topology)]
    arguments += ["--params", str(pull_files.parameters), "--expect-sha256", str(sums), "--quiet"]
    assert main([*arguments, "--run", str(tmp_path / "run")]) == 0
    table = pull_files.trajectories[0].with_suffix(".colvars.traj")
    table.write_text(table.read_text() + "\n")
    assert main([*arguments, "--run", str(tmp_path / "again")]) == 2
    assert f"{table} has the SHA-256" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()
