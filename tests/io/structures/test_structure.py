"""Structures of any format, their subsets, their JSON, and how the one of a trajectory is found."""

import dataclasses
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from smdgen.errors import ArtifactError, SmdgenError, TopologyError
from smdgen.io.structures.structure import (
    Structure,
    find_topology,
    read_positions,
    read_structure,
    structure_format,
    structure_from_json,
    structure_to_json,
    subset,
    write_pdb,
)
from smdgen.io.trajectories.dcd import write_dcd


def test_the_content_tells_the_format(
    tmp_path: Path, example_psf: Path, example_pdb: Path, peptide: Structure
) -> None:
    for source in (example_psf, example_pdb):
        for name in ("a", "a.txt", "a.PSF", "a b ü.pdb"):
            shutil.copy(source, tmp_path / name)
            assert read_structure(tmp_path / name).atom_hash == peptide.atom_hash


@pytest.mark.parametrize("head", ["", "# an extract\n#\n", "\n  # an extract\n"])
def test_comments_may_stand_before_an_mmcif(tmp_path: Path, head: str) -> None:
    (tmp_path / "a.pdbx").write_text(f"{head}data_1ABC\n#\n")
    assert structure_format(tmp_path / "a.pdbx") == "mmCIF"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pdb", b"", "empty"),
        ("a.pdb", b"\x1f\x8b\x08", "gzip"),
        ("a.top", b"; Include forcefield parameters\n", "GROMACS topology"),
        ("a.xyz", b"3\ncomment\nC 0 0 0\n", "no ATOM lines"),
        ("a.dcd", b"\x54\0\0\0CORD", "a trajectory"),
        ("a.psf", b"hello\n", "is not a PSF file"),
        ("a.prmtop", b"hello\n", "no section POINTERS"),
        ("a.cif", b"hello\n", "no atoms"),
    ],
)
def test_what_is_no_structure_is_refused(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TopologyError, match=words) as caught:
        read_structure(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_folders_pipes_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match="a folder"):
        read_structure(tmp_path)
    with pytest.raises(TopologyError, match="no such file"):
        read_structure(tmp_path / "none.pdb")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.pdb")
        with pytest.raises(TopologyError, match="a pipe"):
            read_structure(tmp_path / "pipe.pdb")


def test_a_subset_keeps_its_own_bonds(peptide: Structure) -> None:
    order = np.random.default_rng(1).permutation(peptide.n_atoms)[:60]
    part = subset(peptide, order)
    expected = {frozenset(bond) for bond in peptide.bonds.tolist() if set(bond) <= set(order.tolist())}
    assert {frozenset(order[bond].tolist()) for bond in part.bonds} == expected
    assert (part.bonds[:, 0] < part.bonds[:, 1]).all()
    assert part.names.tolist() == peptide.names[order].tolist()
    assert part.charges is not None
    assert peptide.charges is not None
    assert part.charges.tolist() == peptide.charges[order].tolist()


@pytest.mark.parametrize("field", ["names", "residue_names", "residue_ids", "segment_ids", "insertion_codes"])
def test_the_hash_depends_on_every_part_of_a_name(peptide: Structure, field: str) -> None:
    values = getattr(peptide, field).copy().astype(object)
    values[17] = 99 if field == "residue_ids" else "Z"
    kind = np.int64 if field == "residue_ids" else np.str_
    assert dataclasses.replace(peptide, **{field: values.astype(kind)}).atom_hash != peptide.atom_hash


def test_the_hash_depends_on_the_order(peptide: Structure) -> None:
    assert subset(peptide, np.arange(104)[::-1]).atom_hash != peptide.atom_hash


@pytest.mark.parametrize("source", ["peptide", "folded"])
def test_json_round_trip(source: str, request: pytest.FixtureRequest) -> None:
    structure: Structure = request.getfixturevalue(source)
    text = structure_to_json(structure)
    found = structure_from_json(text)
    assert structure_to_json(found) == text
    for field in dataclasses.fields(Structure):
        if field.name not in ("path", "notes"):
            assert np.array_equal(getattr(found, field.name), getattr(structure, field.name)), field.name


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"names": 3}'])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(ArtifactError):
        structure_from_json(text)


def test_the_structure_of_the_same_stem_belongs(tmp_path: Path) -> None:
    for name in ("a.dcd", "a.psf", "b.psf", "c.pdb"):
        (tmp_path / name).touch()
    assert find_topology(tmp_path / "a.dcd") == tmp_path / "a.psf"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["x.psf"], "x.psf"),
        (["x.pdb"], "x.pdb"),
        (["x.PSF"], "x.PSF"),
        (["x.prmtop"], "x.prmtop"),
        (["x.psf", "x.pdb"], "x.psf"),
        (["x.psf", "start.pdb", "end.pdb"], "x.psf"),
        (["a.pdb", "a.psf", "x.psf"], "a.psf"),
        (["notes.txt", "x.pdb"], "x.pdb"),
    ],
)
def test_the_only_structure_beside_it_belongs(tmp_path: Path, names: list[str], expected: str) -> None:
    for name in ["a.dcd", *names]:
        (tmp_path / name).touch()
    assert find_topology(tmp_path / "a.dcd").name == expected


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "no PSF, prmtop, PDB"),
        (["x.psf", "y.psf"], r"x\.psf, y\.psf.*--top"),
        (["x.pdb", "y.pdb"], "--top"),
    ],
)
def test_none_or_several_are_refused(tmp_path: Path, names: list[str], words: str) -> None:
    for name in ["a.dcd", *names]:
        (tmp_path / name).touch()
    with pytest.raises(TopologyError, match=words):
        find_topology(tmp_path / "a.dcd")


def test_a_pdb_trajectory_is_not_its_own_topology(tmp_path: Path) -> None:
    for name in ("a.pdb", "b.psf"):
        (tmp_path / name).touch()
    assert find_topology(tmp_path / "a.pdb").name == "b.psf"


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SmdgenError):
        find_topology(tmp_path / "none" / "a.dcd")


def test_coordinates_for_a_psf(tmp_path: Path, folded: Structure) -> None:
    positions = folded.positions
    assert positions is not None
    write_pdb(tmp_path / "a.pdb", folded)
    write_dcd(tmp_path / "a.dcd", np.stack([positions, positions + 1]), timestep_ps=0.002)
    (tmp_path / "a.coor").write_bytes(struct.pack("<i", 104) + positions.astype("<f8").tobytes())
    (tmp_path / "b.coor").write_bytes(struct.pack(">i", 104) + positions.astype(">f8").tobytes())
    numbers = "".join(f"{x:12.7f}" for x in positions.reshape(-1))
    lines = [numbers[i : i + 72] for i in range(0, len(numbers), 72)]
    (tmp_path / "a.inpcrd").write_text("\n".join(["title", "  104", *lines]) + "\n")
    for name in ("a.pdb", "a.dcd", "a.coor", "b.coor", "a.inpcrd"):
        found = read_positions(tmp_path / name, 104)
        assert found.shape == (104, 3), name
        assert np.allclose(found, positions, atol=5e-4), name
        with pytest.raises(TopologyError, match="104 atoms"):
            read_positions(tmp_path / name, 103)


@pytest.mark.parametrize("name", ["a.coor", "a.inpcrd", "a.dcd", "a.pdb", "a.rst7"])
@pytest.mark.parametrize("content", [b"x", b"title\n  5\n 1.0 2.0\n", b"\x05\0\0\0" + b"\0" * 30, b"\n\n\n"])
def test_damaged_coordinates_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SmdgenError) as caught:
        read_positions(tmp_path / name, 5)
    assert "\n" not in str(caught.value)


def test_a_psf_is_no_coordinates(example_psf: Path) -> None:
    with pytest.raises(TopologyError, match="no coordinates"):
        read_positions(example_psf, 104)
