"""Two chains pulled apart in a periodic box arrive as they were, however a program put them into the box."""

import dataclasses

import numpy as np
import pytest

from smdgen.cli.app import main
from smdgen.config import PrepareConfig
from smdgen.dataset import reading
from smdgen.dataset.dataset import open_dataset
from smdgen.geometry.cell import box_vectors
from smdgen.io.structures.structure import PsfTerms, Structure, write_psf
from smdgen.io.tables.colvars import ColvarsTable, write_colvars_traj
from smdgen.io.trajectories.dcd import write_dcd
from smdgen.progress import Silent
from smdgen.stages import prepare
from tests.conftest import PARAMETERS, angles_of
from tests.tools.pulls import make_pull, make_structure

N_FRAMES, N_CHAIN = 40, 40
CELLS = {
    "brick": (90.0, 70.0, 80.0, 90.0, 90.0, 90.0),
    "octahedron": (93.0, 93.0, 93.0, 109.4712206, 109.4712206, 109.4712206),
    "dodecahedron": (93.0, 93.0, 93.0, 60.0, 60.0, 90.0),
    "triclinic": (90.0, 80.0, 85.0, 75.0, 70.0, 100.0),
}
CV = "d=distance(segname A; segname B)"


def dimer():
    """Two chains of ten residues, segments A and B."""
    one = make_structure()
    columns = {
        field.name: np.concatenate([getattr(one, field.name)] * 2)
        for field in dataclasses.fields(Structure)
        if isinstance(getattr(one, field.name), np.ndarray) and field.name != "bonds"
    }
    columns["segment_ids"] = np.repeat(["A", "B"], N_CHAIN)
    bonds = np.concatenate([one.bonds, one.bonds + N_CHAIN])
    return Structure(**columns, bonds=bonds, types=columns["names"], charges=np.zeros(2 * N_CHAIN))


def unbinding(cell, seed, furthest=0.7):
    """(n_frames, 80, 3), A. The second chain leaves along the first box vector; both drift through walls."""
    random = np.random.default_rng(seed)
    boxes = box_vectors(np.array(cell))
    along = boxes[0] / np.linalg.norm(boxes[0])
    apart = np.linspace(12.0, furthest * np.linalg.norm(boxes[0]), N_FRAMES)
    drift = random.uniform(0, 1, 3) @ boxes + np.linspace(0, 1, N_FRAMES)[:, None] * (0.6 * boxes.sum(axis=0))
    first = make_pull(N_FRAMES, seed) + drift[:, None]
    second = make_pull(N_FRAMES, seed + 100) + (drift + apart[:, None] * along)[:, None]
    return np.concatenate([first, second], axis=1).astype(np.float32)


def put_into_box(positions, cell, how):
    """Atoms or molecules moved into the cell, the latter perhaps with the first in its middle."""
    boxes = box_vectors(np.array(cell))
    inverse = np.linalg.inv(boxes)
    if how == "by atom":
        return (positions - np.floor(positions @ inverse) @ boxes).astype(np.float32)
    moved = positions.astype(np.float64).copy()
    if how == "centred":
        moved -= moved[:, :N_CHAIN].mean(axis=1, keepdims=True) - boxes.sum(axis=0) / 2
    for chain in (slice(0, N_CHAIN), slice(N_CHAIN, 2 * N_CHAIN)):
        moved[:, chain] -= np.floor(moved[:, chain].mean(axis=1, keepdims=True) @ inverse) @ boxes
    return moved.astype(np.float32)


def distance(positions):
    """Between the centres of mass, A."""
    masses = dimer().masses[:N_CHAIN]
    x = positions.astype(np.float64).reshape(len(positions), 2, N_CHAIN, 3)
    return np.linalg.norm(np.diff(np.average(x, axis=2, weights=masses), axis=1)[:, 0], axis=-1)


def write_files(folder, pulls, cell, **more):
    """A PSF with its parameters, and pulls as DCDs."""
    structure = dimer()
    none, cross = np.zeros((0, 4), dtype=np.int64), np.zeros((0, 8), dtype=np.int64)
    terms = PsfTerms(structure.bonds, angles_of(structure.bonds), none, none, cross)
    write_psf(folder / "dimer.psf", structure, terms)
    (folder / "backbone.prm").write_text(PARAMETERS)
    for i, pull in enumerate(pulls):
        cells = None if cell is None else np.tile(cell, (len(pull), 1))
        write_dcd(folder / f"pull_{i}.dcd", pull, timestep_ps=0.002, steps_per_frame=500, cells=cells)
    return PrepareConfig(
        trajectories=tuple(folder / f"pull_{i}.dcd" for i in range(len(pulls))),
        parameters=(folder / "backbone.prm",),
        select="all",
        cv=CV,
        **more,
    )


def run(config, folder):
    result = prepare.run(config, folder, Silent())
    return result, open_dataset(folder / "dataset.h5")


def relative(positions):
    return positions - positions[:, :1]


@pytest.mark.parametrize("how", ["by atom", "by molecule", "centred"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
def test_chains_in_the_box_are_followed(tmp_path, cell, how):
    pulls = [unbinding(cell, seed) for seed in range(3)]
    wrapped = [put_into_box(pull, cell, how) for pull in pulls]
    assert all(np.abs(distance(w) - distance(p)).max() > 20 for w, p in zip(wrapped, pulls, strict=True))
    _, dataset = run(write_files(tmp_path, wrapped, cell), tmp_path / "run")
    np.testing.assert_allclose(dataset.cv_values, np.concatenate([distance(p) for p in pulls]), atol=1e-3)
    for pull, expected in zip(dataset.pulls, pulls, strict=True):
        np.testing.assert_allclose(relative(dataset.positions(pull)), relative(expected), atol=1e-3)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
@pytest.mark.parametrize("backwards", [False, True], ids=["apart", "together"])
def test_what_is_whole_and_continuous_stays_as_it_is(tmp_path, cell, backwards):
    """Also where it begins beyond half the box, as a second part of a pull does; that is noted."""
    pulls = [unbinding(cell, seed)[:: -1 if backwards else 1] for seed in range(3)]
    result, dataset = run(write_files(tmp_path, pulls, cell), tmp_path / "run")
    np.testing.assert_array_equal(dataset.positions(), np.concatenate(pulls))
    np.testing.assert_allclose(dataset.cv_values, np.concatenate([distance(p) for p in pulls]), atol=1e-4)
    apart = [note for note in result.notes if "as they are written" in note]
    assert len(apart) == (1 if backwards else 0)
    assert all("(2 more trajectories likewise)" in note for note in apart)
    (half,) = [note for note in result.notes if "half the box" in note]
    assert "pull_0.dcd: the groups of the CV are up to 0.70 of a box vector apart" in half
    assert "(2 more trajectories likewise)" in half
    assert not [note for note in result.notes if "CV jumps" in note or "goes to is uncertain" in note]


@pytest.mark.parametrize("how", ["by atom", "by molecule"])
def test_chunks_and_processes_change_nothing(tmp_path, monkeypatch, how):
    cell = CELLS["triclinic"]
    config = write_files(tmp_path, [put_into_box(unbinding(cell, i), cell, how) for i in range(3)], cell)
    run(config, tmp_path / "a")
    monkeypatch.setattr("smdgen.io.trajectories.trajectory.CHUNK_BYTES", 7 * 80 * 12)
    monkeypatch.setattr(reading, "_CHUNKS_A_TASK", 2)
    run(config, tmp_path / "b")
    run(dataclasses.replace(config, workers=2), tmp_path / "c")
    for other in "bc":
        assert (tmp_path / "a/dataset.h5").read_bytes() == (tmp_path / other / "dataset.h5").read_bytes()


def test_frames_that_are_kept_are_followed(tmp_path):
    """The stride counts: what is kept is what every frame shows."""
    cell = CELLS["octahedron"]
    pulls = [unbinding(cell, seed) for seed in range(3)]
    config = write_files(tmp_path, [put_into_box(pull, cell, "by atom") for pull in pulls], cell, stride=3)
    _, dataset = run(config, tmp_path / "run")
    np.testing.assert_allclose(
        dataset.cv_values, np.concatenate([distance(p)[::3] for p in pulls]), atol=1e-3
    )


def test_blocks_of_one_trajectory_are_followed(tmp_path):
    cell = CELLS["octahedron"]
    pull = np.concatenate([unbinding(cell, 0), unbinding(cell, 0)[::-1]])
    config = write_files(tmp_path, [put_into_box(pull, cell, "by molecule")], cell)
    _, dataset = run(config, tmp_path / "run")
    expected = distance(pull)
    for block in dataset.pulls:
        first = round(float(dataset.times_ps[block.start])) - round(float(dataset.times_ps[0]))
        own = dataset.cv_values[block.start : block.stop]
        np.testing.assert_allclose(own, expected[first : first + len(own)], atol=1e-3)


@pytest.mark.parametrize("how", ["by atom", "as it is"])
def test_a_gap_in_the_selection_is_bridged(tmp_path, how):
    """A long chain of which the ends are modelled: they are one molecule, however far apart."""
    cell = (40.0, 40.0, 40.0, 90.0, 90.0, 90.0)
    pulls = [unbinding(cell, seed) for seed in range(3)]
    written = pulls if how == "as it is" else [put_into_box(pull, cell, how) for pull in pulls]
    config = write_files(tmp_path, written, cell)
    config = dataclasses.replace(
        config,
        select="segname A and (resid 1 to 3 or resid 8 to 10)",
        cv="d=distance(segname A and resid 1 and name CA; segname A and resid 10 and name CA)",
    )
    _, dataset = run(config, tmp_path / "run")
    ends = [pull[:, 37].astype(float) - pull[:, 1] for pull in pulls]
    np.testing.assert_allclose(dataset.cv_values, np.linalg.norm(np.concatenate(ends), axis=1), atol=1e-3)
    assert dataset.cv_values.max() > 28
    assert dataset.structure.n_atoms == 24


def test_the_true_table_of_an_unwrapped_pull_is_accepted(tmp_path):
    cell = CELLS["brick"]
    pulls = [unbinding(cell, seed) for seed in range(3)]
    config = write_files(tmp_path, pulls, cell)
    for i, pull in enumerate(pulls):
        true = distance(pull)
        columns = {"d": true, "x0_d": true + 0.1, "W_pull": 0.1 * np.arange(N_FRAMES)}
        table = ColvarsTable(500 * np.arange(N_FRAMES), columns)
        write_colvars_traj(tmp_path / f"pull_{i}.colvars.traj", table)
    result, dataset = run(config, tmp_path / "run")
    assert result.n_with_work == 3
    np.testing.assert_allclose(dataset.centre, np.concatenate([distance(p) for p in pulls]) + 0.1, atol=1e-6)


def test_an_rmsd_is_that_of_the_followed_frames(tmp_path):
    """Its reference is the first frame, put together; turns do not count."""
    cell = CELLS["dodecahedron"]
    pulls = [unbinding(cell, seed) for seed in range(3)]
    values = {}
    for how in ("as it is", "by atom"):
        folder = tmp_path / how.replace(" ", "_")
        folder.mkdir()
        written = pulls if how == "as it is" else [put_into_box(pull, cell, how) for pull in pulls]
        config = dataclasses.replace(write_files(folder, written, cell), cv="r=rmsd(all)")
        values[how] = run(config, folder / "run")[1].cv_values
    np.testing.assert_allclose(values["by atom"], values["as it is"], atol=1e-3)
    assert values["as it is"][0] < 1e-3
    assert values["as it is"].max() > 20


def test_jumps_that_remain_are_noted(tmp_path):
    """Without a unit cell nothing says by what a chain jumped."""
    pulls = [
        put_into_box(unbinding(CELLS["brick"], seed), CELLS["brick"], "by molecule") for seed in range(3)
    ]
    result, _ = run(write_files(tmp_path, pulls, None), tmp_path / "run")
    (note,) = [note for note in result.notes if "CV jumps" in note]
    first = int(np.argmax(np.abs(np.diff(distance(pulls[0]))) > 8)) + 2
    assert note.startswith("pull_0.dcd: the CV jumps ")
    assert f"at frame {first} (the median step is" in note


def test_wide_steps_are_noted(tmp_path):
    """A chain that moves by 0.4 of the box between frames may have gone the other way."""
    cell = CELLS["brick"]
    pulls = [unbinding(cell, seed) for seed in range(3)]
    pulls[1][20:, N_CHAIN:] += [0.0, 0.0, 0.42 * cell[2]]
    result, dataset = run(write_files(tmp_path, pulls, cell), tmp_path / "run")
    (note,) = [note for note in result.notes if "goes to is uncertain" in note]
    assert note.startswith("pull_1.dcd: a molecule moves by 0.41 of a box vector before frame 21 (by more")
    np.testing.assert_allclose(dataset.cv_values, np.concatenate([distance(p) for p in pulls]), atol=1e-4)


def test_dry_run_of_a_box(tmp_path, capsys):
    cell = CELLS["triclinic"]
    config = write_files(
        tmp_path, [put_into_box(unbinding(cell, i), cell, "by atom") for i in range(3)], cell
    )
    words = ["prepare", *map(str, config.trajectories), "--select", "all", "--cv", "r=rmsd(segname A)"]
    assert main([*words, "--run", str(tmp_path / "run"), "--dry-run"]) == 0
    assert "r (rmsd, A)" in capsys.readouterr().out
