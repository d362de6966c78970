"""The dataset: what is written is read, by us and by MDAnalysis; damage and replacement are noticed."""

import dataclasses

import numpy as np
import pytest

from smdgen.dataset.dataset import Pull, open_dataset, write_dataset
from smdgen.errors import ArtifactError
from smdgen.forcefield.bonded_terms import make_terms

N_FRAMES = 50
PULLS = (
    Pull("a", 0, 20, "train", "in/a.dcd"),
    Pull("é", 20, 43, "validation", "in/é.dcd"),
    Pull("c", 43, 50, "test", "in/c.dcd"),
)


@pytest.fixture
def parts():
    from tests.tools.pulls import make_cv, make_structure

    random = np.random.default_rng(7)
    structure = make_structure()
    return {
        "structure": structure,
        "positions": random.normal(0, 10, (N_FRAMES, structure.n_atoms, 3)).astype(np.float32),
        "terms": make_terms(
            "par_é.prm", {"bonds": [[0, 1], [1, 2]], "bond_parameters": [[300, 1.5], [310, 1.4]]}
        ),
        "cv": make_cv(),
        "pulls": PULLS,
        "times_ps": np.concatenate([5.0 * np.arange(pull.n_frames) for pull in PULLS]),
        "cv_values": random.normal(20, 5, N_FRAMES),
        "centre": random.normal(20, 5, N_FRAMES),
        "work": np.where(np.arange(N_FRAMES) < 20, np.nan, 1.0),
        "provenance": {"command": ["smdgen", "prepare"], "inputs": {"in/a.dcd": {"sha256": "00"}}},
    }


@pytest.fixture
def path(tmp_path, parts):
    path = tmp_path / "dataset.h5"
    write_dataset(path, **parts)
    return path


def test_round_trip(path, parts):
    dataset = open_dataset(path)
    for name in ("times_ps", "cv_values", "centre", "work"):
        np.testing.assert_array_equal(getattr(dataset, name), parts[name], err_msg=name)
    np.testing.assert_array_equal(dataset.positions(), parts["positions"])
    assert dataset.pulls == PULLS
    assert dataset.cv == parts["cv"]
    assert dataset.provenance == parts["provenance"]
    assert dataset.structure.atom_hash == parts["structure"].atom_hash
    np.testing.assert_array_equal(dataset.structure.bonds, parts["structure"].bonds)
    for field in dataclasses.fields(dataset.terms):
        np.testing.assert_array_equal(getattr(dataset.terms, field.name), getattr(parts["terms"], field.name))
    assert dataset.of_split("train") == PULLS[:1]


def test_without_centre_and_work(tmp_path, parts):
    write_dataset(tmp_path / "d.h5", **(parts | {"centre": None, "work": None}))
    dataset = open_dataset(tmp_path / "d.h5")
    assert dataset.centre is None
    assert dataset.work is None


@pytest.mark.parametrize(
    "frames",
    [
        slice(3, 40, 7),
        slice(None, None, -1),
        slice(5, 5),
        np.array([5, 3, 4, 4, 49, 0, -1]),
        np.arange(50) % 2 == 0,
        PULLS[1],
    ],
    ids=str,
)
def test_any_frames_in_any_order(path, parts, frames):
    wanted = slice(frames.start, frames.stop) if isinstance(frames, Pull) else frames
    found = open_dataset(path).positions(frames)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, parts["positions"][wanted])


def test_frames_outside_are_an_error(path):
    with pytest.raises(IndexError):
        open_dataset(path).positions(np.array([N_FRAMES]))


def test_mdanalysis_opens_it_as_it_is(path, parts):
    import MDAnalysis

    universe = MDAnalysis.Universe.empty(parts["structure"].n_atoms, trajectory=True)
    universe.load_new(str(path), format="H5MD")
    assert universe.trajectory.n_frames == N_FRAMES
    assert universe.trajectory.units["length"] == "Angstrom"
    assert universe.trajectory.units["time"] == "ps"
    for frame in (0, 25, 49):
        step = universe.trajectory[frame]
        np.testing.assert_array_equal(step.positions, parts["positions"][frame])
        assert step.time == parts["times_ps"][frame]
        assert step.data["cv"] == parts["cv_values"][frame]


def test_equal_content_gives_equal_bytes_and_hash(path, tmp_path, parts):
    write_dataset(tmp_path / "b.h5", **parts)
    assert (tmp_path / "b.h5").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["positions", "times_ps", "cv_values", "centre", "work"])
def test_the_content_hash_sees_every_array(path, tmp_path, parts, name):
    changed = parts[name].copy()
    changed.reshape(-1)[-1] += 1
    write_dataset(tmp_path / "b.h5", **(parts | {name: changed}))
    assert open_dataset(tmp_path / "b.h5").content_hash != open_dataset(path).content_hash


def test_the_content_hash_sees_splits_terms_cv_and_atoms_but_no_paths(path, tmp_path, parts):
    own = open_dataset(path).content_hash
    structure = dataclasses.replace(parts["structure"], segment_ids=np.full(40, "XX"))
    changes = {
        "pulls": (*PULLS[:2], dataclasses.replace(PULLS[2], split="train")),
        "terms": dataclasses.replace(parts["terms"], bond_parameters=parts["terms"].bond_parameters + 1),
        "cv": dataclasses.replace(parts["cv"], groups=((1,), (5,))),
        "structure": structure,
    }
    for name, value in changes.items():
        write_dataset(tmp_path / "b.h5", **(parts | {name: value}))
        assert open_dataset(tmp_path / "b.h5").content_hash != own, name
    moved = tuple(dataclasses.replace(pull, source=f"elsewhere/{pull.source}") for pull in PULLS)
    write_dataset(tmp_path / "b.h5", **(parts | {"provenance": {"command": ["other"]}, "pulls": moved}))
    assert open_dataset(tmp_path / "b.h5").content_hash == own


def test_a_flipped_bit_in_the_positions_is_found(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="damaged"):
        open_dataset(path)


def test_replacement_while_open_is_noticed(path, parts):
    dataset = open_dataset(path)
    write_dataset(path, **(parts | {"positions": parts["positions"] + 1}))
    with pytest.raises(ArtifactError, match="replaced"):
        dataset.positions()


def test_missing_and_other_files_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match="no such file"):
        open_dataset(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("text" * 1000)
    with pytest.raises(ArtifactError, match="not a file of smdgen"):
        open_dataset(tmp_path / "text.h5")


def test_frames_announced_and_given_must_agree(path, parts):
    with pytest.raises(AssertionError, match="cover"):
        write_dataset(path, **(parts | {"pulls": PULLS[:2]}))
    assert open_dataset(path).n_frames == N_FRAMES, "the old file stays"
