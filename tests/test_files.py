"""Files are whole or absent, and looked at before they are opened."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from smdgen.errors import ArtifactError, TopologyError, WriteError
from smdgen.files import (
    atomic_path,
    checksum,
    read_json,
    read_text_lines,
    refuse_overwrite,
    refuse_unwritable,
    require_regular_file,
    sha256_file,
    sweep_temporaries,
)


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
        assert temporary.suffix == path.suffix
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)):
        _write_half(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["none/a.txt", "folder"])
def test_what_cannot_be_written_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(ArtifactError, match="cannot write") as caught,
        atomic_path(tmp_path / name) as temporary,
    ):
        temporary.write_text("x")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and limits")
def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    program = (
        "import resource, signal, sys; from pathlib import Path; from smdgen.files import atomic_path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "with atomic_path(Path(sys.argv[1])) as temporary: temporary.write_bytes(bytes(5000))\n"
    )
    done = _run(program, tmp_path / "a.txt")
    assert done.returncode == 1
    assert "WriteError: cannot write" in done.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from smdgen.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "a.txt").write_text("old")
    assert _run(program, tmp_path / "a.txt").returncode == -signal.SIGKILL
    assert (tmp_path / "a.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_path(tmp_path / "b.txt") as alive:
        alive.write_text("being written")
        assert sweep_temporaries(tmp_path) == 1
        assert alive.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]


def test_overwriting_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    refuse_overwrite(path, force=False)
    path.touch()
    refuse_overwrite(path, force=True)
    with pytest.raises(ArtifactError, match="--force"):
        refuse_overwrite(path, force=False)


def test_sha256(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(content)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_a_big_file_is_known_by_64_blocks_and_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smdgen.files._WHOLE_UP_TO", 1000)
    monkeypatch.setattr("smdgen.files._READ_BLOCK", 10)
    content = bytearray(os.urandom(6310))
    file = tmp_path / "a"
    file.write_bytes(content)
    blocks = b"".join(content[100 * i : 100 * i + 10] for i in range(64))
    assert checksum(file) == f"blocks:{hashlib.sha256(b'6310' + blocks).hexdigest()}"
    seen = {checksum(file)}
    for place in (0, 3105, 6309):
        changed = content.copy()
        changed[place] ^= 1
        file.write_bytes(changed)
        seen.add(checksum(file))
    assert len(seen) == 4
    file.write_bytes(content[:1000])
    assert checksum(file) == sha256_file(file)


def test_lines_in_any_spelling(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfone\r\ntwo \x85\x0b\rthree\n\xe4")
    assert read_text_lines(tmp_path / "a") == ["one", "two \x85\x0b", "three", "ä"]


def test_only_regular_files_with_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("abc")
    assert require_regular_file(tmp_path / "a", "text", TopologyError) == 3
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert require_regular_file(tmp_path / "link", "text", TopologyError) == 3
    (tmp_path / "empty").touch()
    (tmp_path / "broken").symlink_to(tmp_path / "gone")
    cases = {
        "empty": "empty",
        "broken": "no such file",
        "gone": "no such file",
        ".": "a folder",
        "a/b": "cannot read",
    }
    for name, words in cases.items():
        with pytest.raises(TopologyError, match=words):
            require_regular_file(tmp_path / name, "text", TopologyError)
    with pytest.raises(TopologyError, match="cannot read"):
        require_regular_file(tmp_path / "a\0b", "text", TopologyError)


def test_json_that_is_none_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content in (b"", b"{", b"\xff\xfe{}", b"[" * 100_000):
        path.write_bytes(content)
        assert read_json(path) is None
    path.write_text('{"a": [1]}')
    assert read_json(path) == {"a": [1]}
    path.unlink()
    assert read_json(path) is None
    os.mkfifo(path)
    assert read_json(path) is None


def test_a_hole_is_no_file(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as stream:
        stream.truncate(1 << 30)
    if (tmp_path / "a").stat().st_blocks * 512 > 1 << 20:
        pytest.skip("this file system keeps no holes")
    with pytest.raises(TopologyError, match="claims 1073741824 bytes"):
        require_regular_file(tmp_path / "a", "text", TopologyError)


def test_a_read_only_disk_is_named_by_the_file_that_was_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There even what is not there cannot be removed."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", refuse)
    with (
        pytest.raises(WriteError, match=r"cannot write .*/wanted\.h5: Read-only"),
        atomic_path(tmp_path / "wanted.h5"),
    ):
        refuse()


def test_folders_that_cannot_be_written_are_found_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether they are there or not; nothing is made by looking."""
    refuse_unwritable(tmp_path / "new" / "run")
    refuse_unwritable(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(
        ArtifactError, match=r"notes\.txt is a file, expected a folder to write to; give another"
    ):
        refuse_unwritable(tmp_path / "notes.txt" / "run", "give another --run")
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)  # the tests' user may be root
    for folder in (tmp_path, tmp_path / "new" / "run"):
        with pytest.raises(WriteError, match=rf"cannot write {folder}: Permission denied; choose a folder"):
            refuse_unwritable(folder)
        with pytest.raises(WriteError, match="Permission denied"):
            refuse_overwrite(folder / "dataset.h5", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def _write_half(path: Path, error: BaseException) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error


def _run(program: str, path: Path) -> "subprocess.CompletedProcess[str]":
    root = Path(__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=root, capture_output=True, text=True
    )
