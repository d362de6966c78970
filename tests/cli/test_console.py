"""What people see: tables that can be copied from, bars, lines for log files."""

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from smdgen.cli import console


@dataclass(frozen=True)
class Written:
    outputs: tuple[Path, ...]


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (247.2, "4 min 07 s"), (3720, "1 h 02 min")],
)
def test_durations_read_well(seconds, text):
    assert console.format_seconds(seconds) == text


def test_long_paths_are_not_wrapped(capsys):
    path = "/".join(["a-rather-long-folder-name"] * 10)
    console.show_table([("dataset", path)])
    assert capsys.readouterr().out == f"  dataset  {path}\n"


def test_many_files_of_one_kind_share_a_line_on_the_screen(capsys):
    """A rollout's list of 30 files pushed its table off a screen of 24 lines; --json keeps them all."""
    folder = Path("run/rollout")
    names = [f"pull_{i:03d}{end}" for i in range(8) for end in (".colvars.in", ".colvars.traj", ".dcd")]
    names += ["cv.csv", "real_000.colvars.in", "real_000.dcd", "topology.pdb", "topology.psf"]
    result = Written(tuple(folder / name for name in names))
    console.show_result(result, as_json=False, quiet=False, seconds=1.0)
    assert capsys.readouterr().out.splitlines()[2:] == [
        "files",
        "  run/rollout/pull_000.dcd ... pull_007.dcd, also .colvars.in, .colvars.traj",
        "  run/rollout/cv.csv",
        "  run/rollout/real_000.dcd, also .colvars.in",
        "  run/rollout/topology.pdb, also .psf",
    ]
    assert console.result_to_json(result, 1.0)["outputs"] == [str(folder / name) for name in names]


def test_files_of_several_folders_stay_apart():
    paths = [Path("a/x-losses.csv"), Path("b/x-losses.csv"), Path("a/x-losses.pdf"), Path("x.h5")]
    assert console.short_list(paths) == ["a/x-losses.csv, also .pdf", "b/x-losses.csv", "x.h5"]


def test_text_from_files_cannot_rewrite_the_terminal(capsys):
    console.show_note("residue \x1b[2J\x07ALA [bold]1[/bold]")
    assert capsys.readouterr().err == "note: residue ?[2J?ALA [bold]1[/bold]\n"


def test_a_bar_counts_to_its_total_and_shows_the_note():
    screen = terminal()
    bars = console.BarProgress(screen)
    with bars.bars:
        bars.start("pulls", 40)
        bars.advance(39, "12.5 ns/day")
        bars.advance()
        bars.start("checking")
        bars.advance(7)
        bars.note("pull 3 was cut")
        bars.finish()
    shown = screen.file.getvalue()
    last = shown[shown.rindex("pulls") :]
    assert "40/40" in last
    assert "12.5 ns/day" in last
    assert "7/7" in last
    assert "note: pull 3 was cut" in shown


def test_plain_progress_speaks_only_now_and_then(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    log = Console(file=io.StringIO())
    lines = console.PlainProgress(log)
    lines.start("epochs", 100)
    for _ in range(100):
        clock[0] += 0.25
        lines.advance(note="loss 1.5")
    lines.finish()
    assert log.file.getvalue().splitlines() == [
        "epochs: 0/100",
        "epochs: 40/100 loss 1.5",
        "epochs: 80/100 loss 1.5",
        "epochs: 100/100 done in 25.0 s",
    ]


def start_and_fail() -> None:
    with console.open_progress(quiet=False) as progress:
        progress.start("pulls", 4)
        raise ValueError("broken")


def test_a_part_that_fails_is_not_called_done(capsys):
    with pytest.raises(ValueError, match="broken"):
        start_and_fail()
    assert capsys.readouterr().err == "pulls: 0/4\n"


def test_results_need_none_of_the_optional_members(capsys):
    console.show_result(object(), as_json=False, quiet=False, seconds=1.0)
    assert capsys.readouterr().out == "  time  1.0 s\n"


def test_json_has_no_words_that_json_lacks():
    class Loose:
        outputs = ()

        def summary(self):
            return [("energy", "12")]

    values = console.result_to_json(Loose(), 2.0)
    assert values == {"summary": {"energy": "12"}, "outputs": [], "hints": [], "seconds": 2.0}
    assert console._to_plain({"a": (np.int64(3), math.inf, np.bool_(True), {1: None})}) == {
        "a": [3, None, True, {"1": None}]
    }


def test_a_verdict_stands_above_the_table(capsys):
    """In lines of a usual terminal, apart from the table by an empty line."""

    class Judged:
        verdict = "Close to real pulls. " * 20

        def summary(self):
            return [("goals met", "3 of 4")]

    console.show_result(Judged(), as_json=False, quiet=False, seconds=1.0)
    lines = capsys.readouterr().out.splitlines()
    table = lines.index("  goals met  3 of 4")
    assert lines[table - 1] == ""
    assert " ".join(lines[: table - 1]).split() == Judged.verdict.split()
    assert max(map(len, lines)) <= 80
