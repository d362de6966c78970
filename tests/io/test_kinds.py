"""The content decides what a file is, whatever it is called."""

import bz2
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from smdgen.about.info import describe
from smdgen.errors import SmdgenError, TrajectoryError
from smdgen.io.kinds import coordinate_kind
from smdgen.io.structures.structure import Structure, find_topology, read_positions, read_structure
from smdgen.io.trajectories.dcd import write_dcd
from smdgen.io.trajectories.trajectory import open_trajectory
from tests.tools.other_formats import write_h5, write_netcdf, write_xtc

N_FRAMES, N_ATOMS = 4, 104
CELL = (90.0, 90.0, 90.0, 90.0, 90.0, 90.0)


@pytest.fixture(scope="module")
def frames(folded: Structure) -> NDArray[np.float32]:
    assert folded.positions is not None
    noise = np.random.default_rng(5).normal(0, 0.02, (N_FRAMES, N_ATOMS, 3))
    return (folded.positions + noise).astype(np.float32)


@pytest.fixture(scope="module")
def files(
    frames: NDArray[np.float32], example_psf: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A file of every kind, by other programs where there is one that writes it."""
    mdtraj = pytest.importorskip("mdtraj")
    mda = pytest.importorskip("MDAnalysis")
    folder = tmp_path_factory.mktemp("kinds")
    x = frames[0]
    write_dcd(folder / "a.dcd", frames, timestep_ps=0.002)
    write_xtc(folder / "a.xtc", frames, np.tile(CELL, (N_FRAMES, 1)))
    write_netcdf(folder / "a.nc", frames)
    write_h5(folder / "a.h5", frames, np.tile(CELL, (N_FRAMES, 1)))
    with mdtraj.formats.TRRTrajectoryFile(str(folder / "a.trr"), "w") as trr:
        trr.write(frames / 10)
    with mdtraj.formats.AmberNetCDFRestartFile(str(folder / "a.ncrst"), "w", force_overwrite=True) as restart:
        restart.write(x, time=5.0, cell_lengths=[CELL[:3]], cell_angles=[CELL[3:]])
    with mdtraj.formats.AmberRestartFile(str(folder / "a.rst7"), "w", force_overwrite=True) as restart:
        restart.write(x, time=5.0, cell_lengths=[CELL[:3]], cell_angles=[CELL[3:]])
    universe = mda.Universe(str(example_psf), str(folder / "a.dcd"))
    for name, extended in (("a.crd", False), ("extended.crd", True)):
        universe.atoms.write(str(folder / name), extended=extended)
    for name, order in (("a.coor", "<"), ("big.coor", ">")):
        (folder / name).write_bytes(struct.pack(order + "i", N_ATOMS) + x.astype(order + "f8").tobytes())
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("a.nc", ("pull.mdcrd", "pull.x", "pull.dcd", "pull")),
        ("a.xtc", ("pull.trr", "pull.nc", "pull.dat")),
        ("a.trr", ("pull.xtc", "pull.TRJ")),
        ("a.h5", ("pull.nc", "pull.mdh5")),
        ("a.dcd", ("pull.xtc", "pull.coor", "pull")),
    ],
)
def test_trajectories_of_any_name(
    files: dict[str, Path], frames: NDArray[np.float32], tmp_path: Path, name: str, others: tuple[str, ...]
) -> None:
    for other in others:
        shutil.copy(files[name], tmp_path / other)
        with open_trajectory(tmp_path / other, N_ATOMS) as trajectory:
            assert np.abs(trajectory.read() - frames).max() < 0.006


@pytest.mark.parametrize(
    "name",
    ["a.ncrst", "a.rst7", "a.crd", "extended.crd", "a.coor", "big.coor", "a.nc", "a.xtc", "a.trr", "a.h5"],
)
@pytest.mark.parametrize("other", ["start.rst7", "start.coor", "start.crd", "start.restrt", "start"])
def test_coordinates_of_any_name(
    files: dict[str, Path], frames: NDArray[np.float32], tmp_path: Path, name: str, other: str
) -> None:
    shutil.copy(files[name], tmp_path / other)
    assert np.abs(read_positions(tmp_path / other, N_ATOMS) - frames[0]).max() < 0.006


def test_a_pdb_named_coor_is_what_namd_writes_as_text(example_pdb: Path, tmp_path: Path) -> None:
    shutil.copy(example_pdb, tmp_path / "restart.coor")
    assert coordinate_kind(tmp_path / "restart.coor") == "PDB"
    expected = read_positions(example_pdb, N_ATOMS)
    assert np.array_equal(read_positions(tmp_path / "restart.coor", N_ATOMS), expected)


@pytest.mark.parametrize("name", ["a.rst7", "a.crd", "a.coor"])
def test_one_set_of_coordinates_is_no_trajectory(files: dict[str, Path], name: str) -> None:
    with pytest.raises(TrajectoryError, match="one set of them; expected a trajectory"):
        open_trajectory(files[name])


@pytest.mark.parametrize(
    "text",
    [
        "title\n  104\n  not numbers\n",
        "* title\n* of a topology file\n   36    1\nMASS     1 H      1.00800\n",
        "REMARK\n",
        "RECORD 1\n",
        "title\n  12.345  23.456  34.567\n",
        "x",
        "\n\n\n",
    ],
)
def test_other_texts_are_nothing_of_these(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text(text)
    assert coordinate_kind(tmp_path / "a") in ("", "PDB")
    assert (coordinate_kind(tmp_path / "a") == "PDB") == text.startswith("REMARK")


def test_the_name_counts_where_the_content_is_damaged(tmp_path: Path) -> None:
    for name, kind in (("a.dcd", "DCD"), ("a.mdcrd", ""), ("a.rst7", "Amber restart"), ("a.NC", "NetCDF")):
        (tmp_path / name).write_bytes(b"\xff" * 50)
        assert coordinate_kind(tmp_path / name) == kind


def test_amber_trajectories_of_text_are_named_as_that(tmp_path: Path, frames: NDArray[np.float32]) -> None:
    rows = [f"{x:8.3f}" for x in frames.ravel()]
    text = "\n".join("".join(rows[i : i + 10]) for i in range(0, len(rows), 10))
    path = tmp_path / "pull.mdcrd"
    path.write_text(f"TITLE : as MDTraj writes it\n{text}\n")
    with pytest.raises(TrajectoryError, match=r"is an Amber trajectory of text.*cpptraj .* -x pull.nc"):
        open_trajectory(path)


def test_a_gro_without_atoms_is_no_amber_restart(tmp_path: Path) -> None:
    (tmp_path / "a.gro").write_text("title\n    1\n\n  10.0  10.0  10.0\n")
    assert coordinate_kind(tmp_path / "a.gro") == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.tpr", r"is a run input of GROMACS.* \(gmx editconf -f \S*a\.tpr -o a\.gro\)"),
        ("a.mol2", r"is a MOL2 file.* \(obabel \S*a\.mol2 -O a\.pdb\)"),
        ("a.pqr", "is a PQR file, with charges and radii"),
        ("a.PDBQT", "is a PDBQT file, with charges where a PDB has segments"),
        ("a b.tng", r"is a TNG trajectory.* \(gmx trjconv -f '.*a b\.tng' -o 'a b'\.xtc\)"),
        ("a.pdb.bz2", r"is packed with bzip2; unpack it first \(bunzip2 \S*a\.pdb\.bz2\)"),
    ],
)
def test_files_that_are_never_read_say_what_they_are_and_how_to_convert_them(
    tmp_path: Path, name: str, words: str
) -> None:
    """Wherever one is named; a PDBQT was read as a PDB with its charges for segments."""
    line = b"ATOM      1  N   ALA A   1       0.000   0.000   0.000  1.00  0.00    -0.347 N \n"
    (tmp_path / name).write_bytes(bz2.compress(line) if name.endswith("bz2") else line)
    calls: list[Callable[[Path], object]] = [open_trajectory, read_structure, find_topology, describe]
    for call in calls:
        with pytest.raises(SmdgenError, match=words) as caught:
            call(tmp_path / name)
        assert "\n" not in str(caught.value)
