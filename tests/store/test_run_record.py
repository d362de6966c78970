"""The run folder: missing steps named, entries kept, one writer at a time."""

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from smdgen.errors import ArtifactError
from smdgen.store.run_record import RunFolder


def test_missing_step_names_the_command(tmp_path):
    run = RunFolder(tmp_path / "run")
    with pytest.raises(ArtifactError, match=r"dataset.h5 not found; run `smdgen prepare` first"):
        run.require(run.dataset, "prepare")


def test_entries_are_added_with_command_line_and_input_hashes(tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "deep" / "run")
    source = tmp_path / "in.dcd"
    source.write_bytes(b"frames")
    monkeypatch.setattr("sys.argv", ["/somewhere/__main__.py", "prepare", "in.dcd"])
    run.record("prepare", 1.25, [source])
    run.record("train-vae", 2.0, {"dataset.h5": "00"})
    first, second = json.loads(run.record_file.read_text())
    assert first["command"] == "prepare"
    assert first["inputs"] == {str(source): hashlib.sha256(b"frames").hexdigest()}
    assert first["seconds"] == 1.25
    assert second["inputs"] == {"dataset.h5": "00"}
    assert first["argv"] == ["smdgen", "prepare", "in.dcd"]
    assert {"argv", "version", "when"} <= second.keys()


def test_entries_of_many_writers_are_all_kept(tmp_path):
    run = RunFolder(tmp_path / "run")
    threads = [threading.Thread(target=run.record, args=(f"c{i}", 0.0, {})) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry["command"] for entry in run.entries()) == sorted(f"c{i}" for i in range(12))


@pytest.mark.parametrize("content", ["[{", "{}", "[1]", '[{"command": []}]', "[" * 100_000])
def test_damaged_record_is_put_aside(tmp_path, content):
    run = RunFolder(tmp_path)
    run.record_file.write_text(content)
    run.record("analyze", 0.0, {})
    assert [entry["command"] for entry in run.entries()] == ["analyze"]
    assert (tmp_path / "record.damaged.json").read_text() == content


def test_a_pipe_in_the_place_of_the_record_is_put_aside(tmp_path):
    """Opening it would wait for ever, after the work was done."""
    run = RunFolder(tmp_path)
    os.mkfifo(run.record_file)
    run.record("analyze", 0.0, {})
    assert [entry["command"] for entry in run.entries()] == ["analyze"]


def test_second_writer_is_refused_while_the_first_works(tmp_path):
    run = RunFolder(tmp_path / "run")
    with run.lock(), pytest.raises(ArtifactError, match="another smdgen command"), RunFolder(run.path).lock():
        pass
    with run.lock():
        run.record("prepare", 0.0, {})


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "run").write_text("x")
    with pytest.raises(ArtifactError, match="is a file, expected a run folder"):
        RunFolder(tmp_path / "run").create()


def test_what_a_killed_command_left_is_swept(tmp_path):
    stale, own = tmp_path / ".smdgen-tmp-999999999-ab.h5", tmp_path / f".smdgen-tmp-{os.getpid()}-ab.h5"
    stale.touch()
    own.touch()
    with RunFolder(tmp_path).lock():
        assert not stale.exists()
        assert own.exists(), "its process lives"


@pytest.mark.parametrize(
    ("folder", "line"),
    [("smdgen-run", "smdgen train-vae"), ("my run", "smdgen train-vae --run 'my run'")],
)
def test_the_next_line_names_the_folder_unless_it_is_the_usual_one(folder, line):
    assert RunFolder(Path(folder)).next_command("train-vae") == line
