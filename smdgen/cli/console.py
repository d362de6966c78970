"""The only module that prints: results on standard output, everything else on standard error."""

import dataclasses
import json
import math
import os
import re
import sys
import textwrap
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from smdgen.cli.habits import usage_message
from smdgen.errors import SmdgenError, is_out_of_memory
from smdgen.progress import Progress

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

#: Seconds between two lines of progress where there is no terminal to draw a bar on.
PLAIN_INTERVAL = 10.0

_KEPT = "finished files are kept; the same command does this step again"


# --- results: standard output ------------------------------------------------------------------------------


def show_result(result: object, *, as_json: bool, quiet: bool, seconds: float) -> None:
    """Show what a stage returned: its verdict, a table, the files, the lines to type next.

    Args:
        result: A stage's result. `verdict`, `summary()`, `outputs` and `hints` are used where it has them.
        as_json: One JSON object instead of the table.
        quiet: Nothing (but the JSON object, if asked for).
        seconds: How long the stage took.
    """
    if as_json:
        show_json(result_to_json(result, seconds))
    elif not quiet:
        _show_paragraph(getattr(result, "verdict", ""))
        show_table([*_summary(result), ("time", format_seconds(seconds))])
        _show_lines("files", short_list([Path(path) for path in getattr(result, "outputs", ())]))
        _show_lines("next", getattr(result, "hints", ()))
    sys.stdout.flush()


def show_description(title: str, rows: Sequence[tuple[str, str]], hints: Sequence[str]) -> None:
    """One table under its title, the lines to type next, and an empty line."""
    Console(highlight=False, markup=False, soft_wrap=True).print(Text(_clean(title), style="bold"))
    show_table(rows)
    _show_lines("next", hints)
    show_line("")


def show_json(value: Any) -> None:
    """Any value in types that JSON knows."""
    sys.stdout.write(json.dumps(_to_plain(value), indent=2, allow_nan=False) + "\n")


def show_plan(config: object, rows: Sequence[tuple[str, str]]) -> None:
    """What a dry run would do: the stage's own plan, then every setting that is not empty."""
    show_table(rows)
    settings = [(name, _setting(value)) for name, value in _to_plain(config).items()]
    show_line("\nsettings")
    show_table([(name, value) for name, value in settings if value])
    show_line("\nnothing was run and nothing written (--dry-run)")


def show_text(text: str) -> None:
    """Text as it is, to be kept in a file."""
    sys.stdout.write(text)


def show_line(text: str) -> None:
    """One line on standard output."""
    Console(highlight=False, markup=False, soft_wrap=True).print(text)


def show_table(rows: Sequence[tuple[str, str]]) -> None:
    """Two aligned columns, never wrapped, so that paths can be copied."""
    out = Console(highlight=False, markup=False, soft_wrap=True)
    width = max((len(label) for label, _ in rows), default=0)
    for label, value in rows:
        first, *rest = _clean(str(value)).split("\n")
        out.print(Text.assemble((f"  {_clean(label):<{width}}  ", "bold"), first))
        for line in rest:
            out.print(" " * (width + 4) + line)


def result_to_json(result: object, seconds: float) -> dict[str, Any]:
    """The fields of a result with its summary, outputs and hints, in types that JSON knows."""
    fields = dataclasses.fields(result) if dataclasses.is_dataclass(result) else ()
    values = {field.name: getattr(result, field.name) for field in fields}
    values["summary"] = dict(_summary(result))
    values["outputs"] = getattr(result, "outputs", ())
    values["hints"] = getattr(result, "hints", ())
    values["seconds"] = round(seconds, 3)
    plain: dict[str, Any] = _to_plain(values)
    return plain


def short_list(paths: Sequence[Path]) -> list[str]:
    """Files as they are shown: one line for all that differ in their number or ending only.

    `out/pull_000.dcd ... pull_007.dcd, also .colvars.in`; each line begins with a path that can be copied.

    Args:
        paths: In the order in which they are shown.
    """
    series: dict[tuple[Path, str], dict[str, dict[str, Path]]] = {}  # then number, then ending
    for path in paths:
        stem, dot, ending = path.name.partition(".")
        name, number = re.fullmatch(r"(.*?)(\d{3,})?", stem, re.DOTALL).groups("")  # type: ignore[union-attr]
        series.setdefault((path.parent, name), {}).setdefault(number, {})[dot + ending] = path
    lines = []
    for numbered in series.values():
        files = list(numbered.values())
        first, *others = sorted({ending: None for own in files for ending in own}, key=len)
        shown = [own[first] for own in files if first in own]
        line = str(shown[0]) + (f" ... {shown[-1].name}" if len(shown) > 1 else "")
        lines.append(line + (f", also {', '.join(others)}" if others else ""))
    return lines


def format_seconds(seconds: float) -> str:
    """`3.2 s`, `4 min 07 s`, `1 h 02 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _summary(result: object) -> list[tuple[str, str]]:
    summary = getattr(result, "summary", None)
    return [(str(label), str(value)) for label, value in summary()] if callable(summary) else []


def _setting(value: Any) -> str:
    """A setting as it would stand in TOML, without quotes; empty where it is not set."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _show_paragraph(text: str) -> None:
    """A few sentences in lines of at most 80 columns, and an empty line."""
    for line in textwrap.wrap(_clean(text), 78, initial_indent="  ", subsequent_indent="  "):
        show_line(line)
    if text:
        show_line("")


def _show_lines(title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    out = Console(highlight=False, markup=False, soft_wrap=True)
    out.print(Text(f"\n{title}", style="bold"))
    for line in lines:
        out.print(f"  {_clean(line)}")


def _to_plain(value: Any) -> Any:
    """Paths, tuples, dataclasses, numpy scalars and arrays as JSON types; NaN and infinities as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_to_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


# --- notes and errors: standard error ----------------------------------------------------------------------


def show_note(text: str) -> None:
    """One remark on standard error."""
    _error_console().print(_note(text))


def show_error(text: str) -> None:
    """One line on standard error, whatever line breaks the message holds."""
    line = " ".join(_clean(text).split())
    _error_console().print(Text.assemble(("smdgen: error: ", "bold red"), line))


def show_usage_error(error: Exception) -> int:
    """Report a wrong flag or argument; bare `smdgen` shows its help instead."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return EXIT_USAGE
    message = usage_message(error)
    path = context.command_path if context is not None else "smdgen"
    show_error(f"{message} ({path} --help)")
    return int(getattr(error, "exit_code", EXIT_USAGE))


def exit_code_of(error: BaseException) -> int:
    """Report an exception that ended a command and give the exit code that goes with it."""
    if isinstance(error, KeyboardInterrupt):
        _error_console().print(f"\nsmdgen: interrupted; {_clean(str(error)) or _KEPT}")
        return EXIT_INTERRUPTED
    if isinstance(error, BrokenPipeError):
        _discard_stdout()
        return EXIT_FAILED
    if os.environ.get("SMDGEN_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, SmdgenError):
        show_error(str(error))
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        show_error(f"{place}{error.strerror}")
        return EXIT_FAILED
    if is_out_of_memory(error):
        place = " of the GPU; use --device cpu," if "CUDA" in str(error) else "; use"
        show_error(
            f"out of memory{place} a larger --stride, a smaller --select, batch or network, fewer --samples"
        )
        return EXIT_FAILED
    show_error(
        f"unexpected {type(error).__name__}: {error} ({_place(error)}); please report this; "
        "SMDGEN_DEBUG=1 shows where it came from"
    )
    return EXIT_FAILED


def prepare_streams() -> None:
    """Never fail on a character that the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _note(text: str) -> Text:
    return Text.assemble(("note: ", "yellow"), _clean(text))


def _error_console() -> Console:
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def _clean(text: str) -> str:
    """Text from users' files without control characters, which could rewrite the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "no traceback"


def _discard_stdout() -> None:
    """The reader has gone (`smdgen ... | head`): keep the interpreter from complaining at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- progress: standard error ------------------------------------------------------------------------------


@contextmanager
def open_progress(*, quiet: bool) -> Iterator[Progress]:
    """Progress for one stage: bars on a terminal, plain lines elsewhere, notes only when quiet."""
    console = _error_console()
    if quiet:
        yield QuietProgress()
    elif console.is_terminal:
        bars = BarProgress(console)
        with bars.bars:
            yield bars
            bars.finish()
    else:
        lines = PlainProgress(console)
        yield lines
        lines.finish()


class QuietProgress:
    """Shows notes and nothing else."""

    def start(self, label: str, total: int | None = None) -> None:
        """Do nothing."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Print the remark."""
        show_note(text)


class BarProgress:
    """One bar a part of the work; finished bars stay on the screen."""

    def __init__(self, console: Console) -> None:
        self.bars = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )
        self._part: TaskID | None = None

    def start(self, label: str, total: int | None = None) -> None:
        """Close the bar before and begin a new one."""
        self.finish()
        self._part = self.bars.add_task(_clean(label), total=total, note="")

    def advance(self, n: int = 1, note: str = "") -> None:
        """Move the bar of the present part."""
        if self._part is not None:
            self.bars.advance(self._part, n)
            if note:
                self.bars.update(self._part, note=_clean(note))

    def note(self, text: str) -> None:
        """Print the remark above the bars."""
        self.bars.console.print(_note(text))

    def finish(self) -> None:
        """A part without a total becomes a full bar once it is over."""
        if self._part is not None and self.bars.tasks[self._part].total is None:
            done = max(1, int(self.bars.tasks[self._part].completed))
            self.bars.update(self._part, total=done, completed=done)
        self._part = None


class PlainProgress:
    """Lines without control codes, for log files: one when a part begins, then one every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._label, self._done = "", 0
        self._total: int | None = None
        self._began = self._shown = time.monotonic()

    def start(self, label: str, total: int | None = None) -> None:
        """Close the part before and name the new one."""
        self.finish()
        self._label, self._done, self._total = _clean(label), 0, total
        self._began = self._shown = time.monotonic()
        self._console.print(f"{self._label} ..." if total is None else f"{self._label}: 0/{total}")

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count, and now and then say how far the part has come."""
        self._done += n
        if time.monotonic() - self._shown >= PLAIN_INTERVAL:
            self._shown = time.monotonic()
            self._console.print(f"{self._label}: {self._count()} {_clean(note)}".rstrip())

    def note(self, text: str) -> None:
        """Print the remark."""
        show_note(text)

    def finish(self) -> None:
        """Say that the last part is done, and how long it took."""
        if self._label:
            took = format_seconds(time.monotonic() - self._began)
            self._console.print(f"{self._label}: {self._count()} done in {took}".replace(":  done", ": done"))
        self._label = ""

    def _count(self) -> str:
        if self._total is not None:
            return f"{self._done}/{self._total}"
        return str(self._done) if self._done else ""
