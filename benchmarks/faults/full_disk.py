"""A disk that fills up, or may not be written to, at five moments of prepare, train-vae and rollout.

    python -m benchmarks.faults.full_disk     a minute or two; as root also on a small file system in memory

Each command runs with a limit on the size of a file (RLIMIT_FSIZE), then on a file system with as little
room, then on one that is read-only. Wanted every time: exit code 1, one line that says what could not be
written, the files of earlier commands untouched, nothing half-written, no signal. It exits with 1 otherwise.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.faults.commands import Commands, Outcome, leftovers, make_commands, run_command, snapshot

SHARES = (0.01, 0.1, 0.3, 0.7, 0.98)  # of the largest file, or of the room, that the command needs
PAGE = 4096  # bytes, of a file system in memory


def wrong(outcome: Outcome, before: dict[str, bytes], run: Path) -> str:
    """What is not as it should be after a command had no room; empty if all is."""
    after = snapshot(run)
    lines = [line for line in outcome.said.splitlines() if line.startswith("smdgen: error")]
    if outcome.code != 1:
        return f"exit code {outcome.code}: {outcome.said.strip()[-200:]}"
    if len(lines) != 1 or "cannot" not in lines[0] or "Traceback" in outcome.said:
        return f"said {outcome.said.strip()[-200:]!r}"
    if any(after.get(name) != content for name, content in before.items()):
        return "a file of an earlier command changed"
    return f"left over: {leftovers(run)}" if leftovers(run) else ""


def stages(commands: Commands) -> Iterator[tuple[str, Callable[[], list[str]], dict[str, bytes], list[int]]]:
    """Name, arguments, files before, and sizes (bytes) of the files that each command writes."""
    for name, command in (
        ("prepare", commands.prepare),
        ("train-vae", commands.train_vae),
        ("train-lstm", commands.train_lstm),
        ("rollout", commands.rollout),
    ):
        commands.run.mkdir(exist_ok=True)
        before = snapshot(commands.run)
        kept = commands.run.with_name(f"before-{name}")
        shutil.copytree(commands.run, kept)
        outcome = run_command(command())
        assert outcome.code == 0, outcome.said
        new = {path: content for path, content in snapshot(commands.run).items() if path not in before}
        done = commands.run.with_name(f"after-{name}")
        commands.run.rename(done)
        if name != "train-lstm":
            shutil.copytree(kept, commands.run)
            yield name, command, before, list(map(len, new.values()))
            shutil.rmtree(commands.run)
        shutil.copytree(done, commands.run)


def with_limits(
    command: Callable[[], list[str]],
    before: dict[str, bytes],
    run: Path,
    sizes: Sequence[int],
    shares: Sequence[float] = SHARES,
) -> list[str]:
    """What went wrong with a limit on the size of a file, by share of the largest."""
    return [
        wrong(run_command(command(), most_bytes=int(share * max(sizes))), before, run) for share in shares
    ]


def on_small_disks(
    command: Callable[[], list[str]], before: dict[str, bytes], run: Path, sizes: Sequence[int]
) -> list[str]:
    """What went wrong on file systems with little room, and on a read-only one; none if none can be made."""
    found = []
    needed = sum(-(-size // PAGE) for size in sizes)
    for pages in (*(int(share * needed) for share in SHARES), None):
        with _small_disk(run, pages) as is_mounted:
            if not is_mounted:
                return []
            found.append(wrong(run_command(command()), before, run))
    return found


@contextlib.contextmanager
def _small_disk(run: Path, pages: int | None) -> Iterator[bool]:
    """Put the run folder on a file system with some pages of room; None makes it read-only."""
    copy = run.with_name("aside")
    shutil.copytree(run, copy)
    mounted = _is_done("mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(run))
    try:
        if mounted:
            shutil.copytree(copy, run, dirs_exist_ok=True)
            disk = os.statvfs(run)
            used = disk.f_blocks - disk.f_bfree
            option = "ro" if pages is None else f"size={PAGE * max(used + pages, 1)}"  # 0 is any size
            assert _is_done("mount", "-o", f"remount,{option}", str(run))
        yield mounted
    finally:
        if mounted:
            _is_done("umount", str(run))
        shutil.rmtree(copy)


def _is_done(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def main() -> int:
    """Run, print what was found, give the exit code."""
    n_wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        commands = make_commands(Path(folder))
        for name, command, before, sizes in stages(commands):
            for kind, find in (("limited files", with_limits), ("small disks", on_small_disks)):
                found = find(command, before, commands.run, sizes)
                bad = [words for words in found if words]
                n_wrong += len(bad)
                result = (
                    f"{len(found) - len(bad)} of {len(found)} as wanted"
                    if found
                    else "not tried (needs root)"
                )
                print(f"{name:10s} {kind:14s} {result}", *bad, sep="\n    ", flush=True)
    return int(n_wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
