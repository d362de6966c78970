"""Time and peak memory of `prepare` against frames and atoms, beside other ways to read the same files.

    python -m benchmarks.speed.scale                         small files, in a few minutes
    python -m benchmarks.speed.scale --prepare-gb 1 20       files of 1 and 20 GB with 100,000 atoms
    python -m benchmarks.speed.scale --pulls 200  `prepare` of 200 small pulls by 1, 2 and 4 processes

Makes a solvated chain of 500 residues (backbone only, in a periodic box of water) as PSF and DCD, with real
bytes on the disk, and runs on each file, one after the other, each in a process of its own and with the file
dropped from the page cache:

* `smdgen prepare` with its default selection, 2000 atoms, from start to finished dataset;
* the bare loop: a numpy memory map of the frames, from which the selection of each is copied;
* `mdtraj.iterload` and MDAnalysis (if installed), reading the same atoms of the first 500 frames.

Prints the time, the peak memory and the speed of `prepare` relative to the bare loop (0.8 or more is wanted
of files that are larger than memory, below 500 MB).
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # the measuring process stays small: a child's peak counts from its parent's size
    from smdgen.io.structures.structure import PsfTerms, Structure

N_RESIDUES, N_ATOMS = 500, 100_001
#: Atoms (2000 and whole water molecules) and frames of the files that are made without --prepare-gb.
SMALL = ((10_001, 500), (10_001, 2000), (100_001, 200), (100_001, 800))
CHUNK = 100  # frames
MOST_OF_OTHERS = 500  # frames that MDTraj and MDAnalysis read: all would take most of an hour
WAYS = ("prepare", "bare loop", "mdtraj.iterload", "MDAnalysis")
PARAMETERS = """* a backbone and water
*

BONDS
N    CA    320.0   1.458
CA   C     250.0   1.525
C    O     620.0   1.231
C    N     370.0   1.329
OT   HT    450.0   0.957

ANGLES
N    CA   C     50.0   111.2
CA   C    O     80.0   120.8
CA   C    N     80.0   116.2
O    C    N     80.0   123.0
C    N    CA    50.0   121.7
HT   OT   HT    55.0   104.5

NONBONDED nbxmod  5 atom cdiel shift vatom vdistance vswitch -
cutnb 14.0 ctofnb 12.0 ctonnb 10.0 eps 1.0 e14fac 1.0 wmin 1.5
N      0.000000  -0.200000     1.850000
CA     0.000000  -0.020000     2.275000
C      0.000000  -0.110000     2.000000
O      0.000000  -0.120000     1.700000
OT     0.000000  -0.152100     1.768200
HT     0.000000  -0.046000     0.224500
END
"""


def main() -> int:
    """Make each file, time each way on it, print, remove it."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--prepare-gb", type=float, nargs="+", default=[], metavar="GB", help="file sizes")
    options.add_argument("--pulls", type=int, default=0, metavar="N", help="small pulls instead")
    options.add_argument("--folder", type=Path, default=None, help="where the files go for a while")
    options.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.child:
        return child(*chosen.child)
    if chosen.pulls:
        with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="scale-") as name:
            return many_pulls(Path(name), chosen.pulls)
    frame_bytes = 12 * N_ATOMS + 80
    sizes = [(N_ATOMS, int(gb * 1e9 / frame_bytes)) for gb in chosen.prepare_gb] or SMALL
    print(f"{'atoms':>8} {'frames':>7} {'GB':>6}  {'way':16} {'seconds':>8} {'peak MB':>8} {'frames/s':>9}")
    with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="scale-") as name:
        return max(measure(Path(name), *size) for size in sizes)


def measure(folder: Path, n_atoms: int, n_frames: int) -> int:
    """All ways on one file; 1 if `prepare` failed."""
    run_child("make", folder, n_atoms, n_frames)
    file = folder / "pull.dcd"
    size = file.stat().st_size / 1e9
    seconds = {}
    for way in WAYS:
        if way == "MDAnalysis" and importlib.util.find_spec("MDAnalysis") is None:
            print(f"{'':24} {way:16} not installed")
            continue
        drop_from_cache(file)
        took, peak, failed = run_child(way, folder, n_atoms, n_frames)
        if failed:
            return 1
        seconds[way] = took
        row = f"{n_atoms:8d} {n_frames:7d} {size:6.2f}" if way == WAYS[0] else " " * 23
        n_read = n_frames if way in WAYS[:2] else min(n_frames, MOST_OF_OTHERS)
        print(f"{row}  {way:16} {took:8.1f} {peak:8.0f} {n_read / took:9.0f}", flush=True)
    ratio = seconds["bare loop"] / seconds["prepare"]
    print(f"{'':24} prepare / bare loop: {ratio:.2f} of its speed", flush=True)
    file.unlink()
    return 0


def many_pulls(folder: Path, n_pulls: int) -> int:
    """Time `prepare` of pulls of 200 frames and 40 atoms by one process and by several."""
    run_child("make pulls", folder, n_pulls, 200)
    print(f"{'pulls':>8} {'workers':>8} {'seconds':>8}")
    failed = False
    for workers in (1, 2, 4):
        took, _, wrong = run_child("prepare", folder, n_pulls, workers)
        failed |= wrong
        print(f"{n_pulls:8d} {workers:8d} {took:8.1f}", flush=True)
    return int(failed)


def make_pulls(folder: Path, n_pulls: int, n_frames: int) -> None:
    """`pull_000.dcd` and so on with `system.psf`."""
    from smdgen.io.structures.structure import write_psf
    from smdgen.io.trajectories.dcd import write_dcd
    from tests.tools.pulls import make_pull, make_structure

    write_psf(folder / "system.psf", make_structure())
    for i in range(n_pulls):
        write_dcd(
            folder / f"pull_{i:03d}.dcd", make_pull(n_frames, i), timestep_ps=0.002, steps_per_frame=500
        )


def run_child(way: str, folder: Path, n_atoms: int, n_frames: int) -> tuple[float, float, bool]:
    """Seconds, peak memory (MB) and failure of a process that does one thing; this process stays small."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.speed.scale",
        "--child",
        way,
        str(folder),
        str(n_atoms),
        str(n_frames),
    ]
    if way == "prepare":
        files = sorted(str(path.name) for path in folder.glob("pull*.dcd"))
        command = [
            sys.executable,
            "-m",
            "smdgen",
            "prepare",
            *files,
            "--top",
            "system.psf",
            "--force",
            "--json",
        ]
        command += ["--params", "system.prm"] if len(files) == 1 else ["--workers", str(n_frames)]
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.monotonic() - began, usage.ru_maxrss / 1024, process.returncode != 0


def drop_from_cache(file: Path) -> None:
    """So that every way reads from the disk."""
    if hasattr(os, "posix_fadvise"):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def child(way: str, folder: str, n_atoms: str, n_frames: str) -> int:
    """One way, in the process that `run_child` started."""
    does = {
        "make": make_files,
        "make pulls": make_pulls,
        "bare loop": bare_loop,
        "mdtraj.iterload": mdtraj_loop,
        "MDAnalysis": mda_loop,
    }
    does[way](Path(folder), int(n_atoms), int(n_frames))
    return 0


# --- the ways --------------------------------------------------------------------------------------------


def bare_loop(folder: Path, n_atoms: int, n_frames: int) -> None:
    """Copy the selection of every frame from a memory map."""
    frames = np.memmap(folder / "pull.dcd", dtype=frame_record(n_atoms), mode="r", offset=HEADER_BYTES)
    selected = np.arange(4 * N_RESIDUES)
    assert len(frames) == n_frames
    out = np.empty((CHUNK, len(selected), 3), dtype=np.float32)
    for i, frame in enumerate(frames):
        for axis, name in enumerate("xyz"):
            out[i % CHUNK, :, axis] = frame[name][selected]


def mdtraj_loop(folder: Path, _: int, n_frames: int) -> None:
    """MDTraj's own way to read a long file in pieces."""
    import mdtraj

    top = mdtraj.load_psf(str(folder / "system.psf"))
    atoms, read = np.arange(4 * N_RESIDUES), 0
    for part in mdtraj.iterload(str(folder / "pull.dcd"), top=top, chunk=CHUNK, atom_indices=atoms):
        read += len(part.xyz)
        if read >= MOST_OF_OTHERS:
            break
    assert read >= min(n_frames, MOST_OF_OTHERS)


def mda_loop(folder: Path, _: int, n_frames: int) -> None:
    """MDAnalysis, frame by frame."""
    import MDAnalysis

    universe = MDAnalysis.Universe(str(folder / "system.psf"), str(folder / "pull.dcd"))
    group = universe.atoms[: 4 * N_RESIDUES]
    out = np.empty((CHUNK, len(group), 3), dtype=np.float32)
    for i, _frame in enumerate(universe.trajectory[: min(n_frames, MOST_OF_OTHERS)]):
        out[i % CHUNK] = group.positions


# --- the files -------------------------------------------------------------------------------------------

HEADER_BYTES = 92 + 172 + 12


def frame_record(n_atoms: int) -> np.dtype[np.void]:
    """A frame of the files made here, written out for the bare loop."""
    fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = [("cell", "V56")]
    for name in "xyz":
        fields += [(f"a{name}", "<i4"), (name, "<f4", (n_atoms,)), (f"b{name}", "<i4")]
    return np.dtype(fields)


def make_files(folder: Path, n_atoms: int, n_frames: int) -> None:
    """`system.psf`, `system.prm` and `pull.dcd`: a chain that opens, in water, wrapped into the box."""
    from smdgen.io.structures.structure import write_psf
    from smdgen.io.trajectories.dcd import write_dcd
    from tests.tools.pulls import make_pull

    n_water = (n_atoms - 4 * N_RESIDUES) // 3
    side = 3.1 * np.ceil(n_water ** (1 / 3))
    write_psf(folder / "system.psf", *system(n_water))
    (folder / "system.prm").write_text(PARAMETERS)
    chain = make_pull(200, seed=1, n_residues=N_RESIDUES)
    random = np.random.default_rng(0)
    water = [water_box(n_water, side, random) for _ in range(8)]
    cell = np.array([side, side, side, 90.0, 90.0, 90.0])
    first = np.concatenate([chain[0] % side, water[0]])[None]
    write_dcd(folder / "pull.dcd", first, timestep_ps=0.002, steps_per_frame=500, cells=cell)
    content = (folder / "pull.dcd").read_bytes()
    record = np.frombuffer(content, frame_record(len(first[0])), offset=HEADER_BYTES).copy()
    header = bytearray(content[:HEADER_BYTES])
    header[8:12] = np.int32(n_frames).tobytes()
    with (folder / "pull.dcd").open("wb") as stream:
        stream.write(header)
        for i in range(n_frames):
            opened = chain[i * len(chain) // n_frames] + random.normal(0, 0.01, 3).astype(np.float32)
            for axis, name in enumerate("xyz"):
                record[name][0, : len(opened)] = opened[:, axis] % side
                record[name][0, len(opened) :] = water[i % len(water)][:, axis]
            stream.write(record.tobytes())


def system(n_water: int) -> tuple["Structure", "PsfTerms"]:
    """The chain and the water, with their bonds and angles."""
    from smdgen.io.structures.structure import PsfTerms, Structure
    from tests.tools.pulls import make_structure

    chain = make_structure(N_RESIDUES)
    oxygen = chain.n_atoms + 3 * np.arange(n_water)
    water_bonds = np.concatenate([np.stack([oxygen, oxygen + k], axis=1) for k in (1, 2)])
    bonds = np.concatenate([chain.bonds, water_bonds])
    n, n_atoms = 3 * n_water, chain.n_atoms + 3 * n_water
    types = np.concatenate([chain.names, np.tile(["OT", "HT", "HT"], n_water)])
    numbers = np.arange(n_water) % 9999 + 1
    structure = Structure(
        names=np.concatenate([chain.names, np.tile(["OH2", "H1", "H2"], n_water)]),
        residue_names=np.concatenate([chain.residue_names, np.full(n, "TIP3")]),
        residue_ids=np.concatenate([chain.residue_ids, np.repeat(numbers, 3)]),
        insertion_codes=np.full(n_atoms, ""),
        chain_ids=np.full(n_atoms, ""),
        segment_ids=np.concatenate(
            [chain.segment_ids, np.repeat([f"W{k // 9999}" for k in range(n_water)], 3)]
        ),
        elements=np.concatenate([chain.elements, np.tile(["O", "H", "H"], n_water)]),
        masses=np.concatenate([chain.masses, np.tile([15.999, 1.008, 1.008], n_water)]),
        bonds=bonds,
        charges=np.zeros(n_atoms),
        types=types,
    )
    angles = np.stack([oxygen + 1, oxygen, oxygen + 2], axis=1)
    none, cross = np.zeros((0, 4), dtype=np.int64), np.zeros((0, 8), dtype=np.int64)
    backbone = chain_angles(chain.bonds)
    return structure, PsfTerms(bonds, np.concatenate([backbone, angles]), none, none, cross)


def chain_angles(bonds: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, 3). Every two bonds that share an atom."""
    near: dict[int, list[int]] = {}
    for i, j in bonds.tolist():
        near.setdefault(i, []).append(j)
        near.setdefault(j, []).append(i)
    found = [(a, b, c) for b, ends in near.items() for k, a in enumerate(ends) for c in ends[k + 1 :]]
    return np.array(found, dtype=np.int64)


def water_box(n_water: int, side: float, random: np.random.Generator) -> NDArray[np.float32]:
    """(3 n_water, 3), A. Molecules on a lattice, turned and moved a little, every atom in the box."""
    n = round(side / 3.1)
    lattice = 3.1 * np.stack(np.meshgrid(*[np.arange(n)] * 3), axis=-1).reshape(-1, 3)[:n_water]
    oxygen = lattice + random.normal(0, 0.1, lattice.shape)
    one = random.normal(size=lattice.shape)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    other = np.cross(one, random.normal(size=lattice.shape))
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    angle = np.radians(104.5)
    ends = [one, np.cos(angle) * one + np.sin(angle) * other]
    atoms = np.stack([oxygen, *(oxygen + 0.957 * end for end in ends)], axis=1)
    return (atoms.reshape(-1, 3) % side).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
