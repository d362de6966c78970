"""From trajectories to the dataset: nothing lost or mixed up, bad input refused in one line."""

import dataclasses
import itertools
import shlex
import shutil

import mdtraj
import numpy as np
import pytest

from smdgen.about.info import describe
from smdgen.cli.app import main
from smdgen.config import PrepareConfig
from smdgen.dataset import sources
from smdgen.dataset.dataset import open_dataset
from smdgen.dataset.sources import distinct_names
from smdgen.errors import ArtifactError, ConfigError, SmdgenError
from smdgen.io.structures.selection import residue_selection
from smdgen.io.structures.structure import PsfTerms, select_atoms, subset, write_pdb, write_psf
from smdgen.io.trajectories.dcd import write_dcd
from smdgen.progress import Silent
from smdgen.stages import prepare
from tests.conftest import angles_of, write_pull
from tests.tools.pulls import HINGE_CHAIN, end_to_end, make_hinge_pulls, make_pull, make_structure

SELECT = "name N CA C O"


@pytest.fixture
def config(pull_files):
    return PrepareConfig(
        trajectories=pull_files.trajectories, parameters=(pull_files.parameters,), select=SELECT, seed=3
    )


def run(config, folder):
    result = prepare.run(config, folder, Silent())
    return result, open_dataset(folder / "dataset.h5")


def write_topology(path, structure):
    none = np.zeros((0, 4), dtype=np.int64)
    cross = np.zeros((0, 8), dtype=np.int64)
    write_psf(path, structure, PsfTerms(structure.bonds, angles_of(structure.bonds), none, none, cross))


def test_everything_arrives(config, pull_files, tmp_path):
    result, dataset = run(config, tmp_path / "run")
    assert [pull.name for pull in dataset.pulls] == [f"pull_{i}" for i in range(6)]
    for pull, positions in zip(dataset.pulls, pull_files.positions, strict=True):
        np.testing.assert_array_equal(dataset.positions(pull), positions)
        frames = slice(pull.start, pull.stop)
        distance = end_to_end(positions.astype(float))
        np.testing.assert_allclose(dataset.cv_values[frames], distance, atol=1e-6)
        np.testing.assert_allclose(dataset.times_ps[frames], np.arange(25.0), rtol=1e-6)
        np.testing.assert_allclose(dataset.work[frames], 0.1 * np.arange(25))
        np.testing.assert_allclose(dataset.centre[frames], np.linspace(distance[0], distance[-1], 25))
    assert result.pulls == {"train": 3, "validation": 1, "test": 2}
    assert result.n_with_work == 6
    assert result.final_work == pytest.approx(2.4)


def test_bonded_energies_are_those_of_the_formula(config, pull_files, tmp_path):
    result, dataset = run(config, tmp_path / "run")
    x = dataset.positions().astype(float)
    constants = {"N CA": (320.0, 1.43), "CA C": (250.0, 1.49), "C O": (620.0, 1.23), "C N": (370.0, 1.345)}
    energy = np.zeros(len(x))
    names = dataset.structure.names
    for i, j in dataset.structure.bonds:
        k, r0 = constants[f"{names[i]} {names[j]}"]
        energy += k * (np.linalg.norm(x[:, i] - x[:, j], axis=1) - r0) ** 2
    # a median between two frames may be either of them
    assert result.energies["bonds"] == pytest.approx(np.median(energy), rel=0.02)
    assert result.n_terms == {"bonds": 39, "angles": 47}


def test_rows_of_the_table_say_what_is_in_it(config, tmp_path):
    result, _ = run(config, tmp_path / "run")
    rows = dict(result.summary())
    assert rows["pulls"].startswith("6 ")
    assert rows["frames"].startswith("150 ")
    assert rows["atoms"].startswith("40 of 40")
    assert "2.4 kcal/mol" in rows["work"]
    assert result.hints == (f"smdgen train-vae --run {tmp_path / 'run'}",)


def test_every_file_is_listed_and_none_of_an_earlier_dataset_stays(config, pull_files, tmp_path):
    """A PSF is written only of atoms with types, which a PDB does not give."""
    folder = tmp_path / "run"
    write_pdb(pull_files.folder / "other.pdb", pull_files.structure, pull_files.positions[0][0])
    plain = dataclasses.replace(
        config, topology=pull_files.folder / "other.pdb", parameters=(), cv="d=distance(index 0; index 39)"
    )
    for used, kinds in ((config, {"pdb", "psf"}), (plain, {"pdb"})):
        result, _ = run(dataclasses.replace(used, force=True), folder)
        assert set(result.outputs) == {
            folder / "dataset.h5",
            *(folder / f"topology.{kind}" for kind in kinds),
        }
        assert {*folder.glob("topology.*")} <= set(result.outputs)


def test_atoms_are_matched_by_name_whatever_their_order(config, pull_files, tmp_path):
    """One of the pulls comes with atoms shuffled and its own topology of the same stem."""
    order = np.random.default_rng(5).permutation(40)
    place = np.argsort(order)
    structure = pull_files.structure
    shuffled = dataclasses.replace(
        structure,
        **{
            field: getattr(structure, field)[order]
            for field in ("names", "residue_names", "residue_ids", "insertion_codes", "chain_ids")
        },
        **{
            field: getattr(structure, field)[order]
            for field in ("segment_ids", "elements", "masses", "types")
        },
        bonds=np.sort(place[structure.bonds], axis=1),
    )
    pull_files.topology.unlink()
    for i in range(6):
        write_topology(pull_files.folder / f"pull_{i}.psf", shuffled if i == 4 else structure)
    write_pull(pull_files.folder, "pull_4", pull_files.positions[4][:, order], table=False)
    _, dataset = run(config, tmp_path / "run")
    np.testing.assert_array_equal(dataset.positions(dataset.pulls[4]), pull_files.positions[4])


def test_chunk_size_changes_nothing(config, tmp_path, monkeypatch):
    run(config, tmp_path / "a")
    monkeypatch.setattr("smdgen.io.trajectories.trajectory.CHUNK_BYTES", 7 * 40 * 12)
    run(config, tmp_path / "b")
    assert (tmp_path / "a/dataset.h5").read_bytes() == (tmp_path / "b/dataset.h5").read_bytes()


@pytest.mark.parametrize("chunk", [4, 5, 25])
def test_what_is_odd_about_frames_is_told_once_a_trajectory(config, pull_files, tmp_path, monkeypatch, chunk):
    """Repeats within and between the pieces that are read; the frame is that of the file."""
    positions = pull_files.positions[1].copy()
    positions[[2, 5, 16, 20]] = positions[[1, 4, 15, 19]]
    carbonyl = positions[13, 3] - positions[13, 2]
    positions[13, 3] += 0.5 * carbonyl
    write_pull(pull_files.folder, "pull_1", positions, table=False)
    monkeypatch.setattr("smdgen.io.trajectories.trajectory.CHUNK_BYTES", chunk * 40 * 12)
    result, _ = run(config, tmp_path / "run")
    assert [note for note in result.notes if "repeat" in note] == [
        "pull_1.dcd: 4 frames repeat the frame before"
    ]
    (strained,) = [note for note in result.notes if "room temperature" in note]
    assert "in 1 frames" in strained
    assert "in frame 14;" in strained


def test_molecules_cut_by_the_box_are_made_whole(config, pull_files, tmp_path):
    whole = pull_files.positions[2].astype(float)
    cell = np.array([20.0, 22.0, 24.0, 90.0, 90.0, 90.0])  # smaller than the stretched chain
    cut = whole - np.floor(whole / cell[:3]) * cell[:3]
    assert np.abs(np.diff(cut, axis=1)).max() > 15
    write_dcd(pull_files.trajectories[2], cut, timestep_ps=0.002, steps_per_frame=500, cells=cell)
    _, dataset = run(config, tmp_path / "run")
    found = dataset.positions(dataset.pulls[2])
    np.testing.assert_allclose(found - found[:, :1], whole - whole[:, :1], atol=1e-4)
    start, stop = dataset.pulls[2].start, dataset.pulls[2].stop
    np.testing.assert_allclose(dataset.cv_values[start:stop], end_to_end(whole), atol=1e-4)


def test_an_rmsd_without_reference_is_taken_from_the_first_frame(config, tmp_path):
    _, dataset = run(dataclasses.replace(config, cv="rmsd(name CA)"), tmp_path / "run")
    assert dataset.cv_values[0] == pytest.approx(0.0, abs=1e-3)
    assert dataset.cv_values[24] > 3.0


def test_stride_and_selection(config, pull_files, tmp_path):
    narrow = dataclasses.replace(
        config,
        stride=4,
        select="name CA or name C N",
        cv="r=distance(resid 2 and name CA; resid 9 and name CA)",
    )
    result, dataset = run(narrow, tmp_path / "run")
    kept = [i for i in range(40) if i % 4 != 3]
    pull = dataset.pulls[2]
    np.testing.assert_array_equal(dataset.positions(pull), pull_files.positions[2][::4, kept])
    np.testing.assert_allclose(dataset.times_ps[pull.start : pull.stop], np.arange(0.0, 25.0, 4.0), rtol=1e-6)
    assert (dataset.work, dataset.centre) == (None, None), "the table's variable is another one"
    assert any("are not the CV r" in note for note in result.notes)
    assert result.n_atoms == 30
    x = pull_files.positions[2][::4].astype(float)
    np.testing.assert_allclose(
        dataset.cv_values[pull.start : pull.stop], np.linalg.norm(x[:, 5] - x[:, 33], axis=1), atol=1e-6
    )


def test_values_that_no_atom_has_are_noted(config, pull_files, tmp_path):
    cv = "d=distance(resid 1 41 and name CA; resid 10 and name CA)"
    result, dataset = run(dataclasses.replace(config, select="name N CA C 0 O", cv=cv), tmp_path / "run")
    assert dataset.structure.n_atoms == 40
    said = [note for note in result.notes if "no atom has" in note]
    assert [note.rpartition("no atom has ")[2] for note in said] == ["name 0", "resid 41"]


def test_the_seed_moves_pulls_between_splits(config, tmp_path):
    splits = set()
    for seed in range(6):
        _, dataset = run(dataclasses.replace(config, seed=seed), tmp_path / f"run{seed}")
        splits.add(tuple(pull.split for pull in dataset.pulls))
    assert len(splits) > 1


def test_a_single_trajectory_is_split_by_blocks_with_gaps(pull_files, config, tmp_path):
    long = make_pull(90, seed=8)
    path = write_pull(pull_files.folder, "long", long)
    result, dataset = run(dataclasses.replace(config, trajectories=(path,)), tmp_path / "run")
    assert {pull.split for pull in dataset.pulls} == {"train", "validation", "test"}
    assert dataset.n_frames == 90 - (len(dataset.pulls) - 1), "a frame between two blocks is left out"
    times = [dataset.times_ps[pull.start : pull.stop] for pull in dataset.pulls]
    for before, after in itertools.pairwise(times):
        assert after[0] - before[-1] == pytest.approx(2.0)
    frames = np.round(dataset.times_ps).astype(int)
    np.testing.assert_array_equal(dataset.positions(), long[frames])
    np.testing.assert_allclose(dataset.work, 0.1 * frames)
    assert any("weaker" in note for note in result.notes)
    assert not any("held back" in note for note in result.notes), "training sees both ends"
    rows, distance = dict(result.summary()), end_to_end(long.astype(float))
    assert rows["pulls"].startswith(f"1, split into {len(dataset.pulls)} blocks  (")
    assert rows["CV from start to end"] == f"{distance[0]:.2f} to {distance[-1]:.2f} A"
    assert rows["work"] == "8.9 kcal/mol at the end", "of the whole, not the mean over blocks"
    shown = {item.label: item.text for item in describe(tmp_path / "run/dataset.h5").facts}
    assert shown["trajectories"] == "1, split into blocks"
    assert shown["length of a pull"] == "89 to 89 ps"
    assert shown["work"] == "known in 1 of 1 pulls"


@pytest.mark.parametrize("n_frames", [14, 30])
def test_both_ends_of_a_short_trajectory_are_trained_on(pull_files, config, tmp_path, n_frames):
    frames = make_pull(n_frames, seed=8)
    path = write_pull(pull_files.folder, "short", frames)
    _, dataset = run(dataclasses.replace(config, trajectories=(path,)), tmp_path / "run")
    distance, own = end_to_end(frames.astype(float)), dataset.of_split("train")
    ends = [dataset.cv_values[own[0].start], dataset.cv_values[own[-1].stop - 1]]
    assert ends == pytest.approx([distance[0], distance[-1]], abs=1e-3)
    assert {pull.split for pull in dataset.pulls[1:-1]} >= {"validation", "test"}


def test_thin_data_is_said_and_tables_that_do_not_fit(config, pull_files, tmp_path):
    shutil.copy(
        pull_files.folder / "pull_0.colvars.traj", pull_files.folder / "pull_1.colvars.traj"
    )  # another pull's
    result, dataset = run(config, tmp_path / "run")
    assert any("few training pulls" in note for note in result.notes)
    assert any("pull_1.colvars.traj" in note and "another trajectory" in note for note in result.notes)
    own = dataset.pulls[1]
    assert np.isnan(dataset.work[own.start : own.stop]).all()
    assert result.n_with_work == 5


def test_odd_pulls_are_pointed_out(config, pull_files, tmp_path):
    short = make_pull(25, 1)[:11]
    write_dcd(pull_files.trajectories[1], short, timestep_ps=0.002, steps_per_frame=1000)
    still = np.repeat(pull_files.positions[2][:1], 25, axis=0)
    still[:, :, 0] += np.arange(25)[:, None]
    write_pull(pull_files.folder, "pull_2", still, table=False)
    result, _ = run(config, tmp_path / "run")
    notes = "; ".join(result.notes)
    assert "not of 25 frames like most pulls: pull_1 (11)" in notes
    assert "1 ps in 5, 2 ps in 1 pulls" in notes
    assert "the CV hardly moves" in notes
    assert "pull_2 (0.0 A)" in notes


@pytest.mark.parametrize("n_looked_at", [100, 10_000])
def test_a_pull_in_another_format_or_joined_to_others_is_pointed_out(
    config, pull_files, tmp_path, monkeypatch, n_looked_at
):
    """It would be trained on and tested on; its bytes differ, by XTC's rounding too."""
    monkeypatch.setattr("smdgen.dataset.remarks._DUPLICATE_FRAMES", n_looked_at)
    result, _ = run(config, tmp_path / "none")
    assert not any("there twice" in note for note in result.notes)
    copy, joined = pull_files.folder / "copy.xtc", pull_files.folder / "joined.dcd"
    with mdtraj.formats.XTCTrajectoryFile(str(copy), "w") as xtc:
        xtc.write(pull_files.positions[3] / 10, time=np.arange(25.0), step=np.arange(25))
    write_dcd(joined, np.concatenate([make_pull(25, 77), pull_files.positions[4]]), timestep_ps=1.0)
    paths = (*pull_files.trajectories, copy, joined)
    result, _ = run(dataclasses.replace(config, trajectories=paths), tmp_path / "run")
    assert (
        "the last frame of one pull is in the other: pull_3 and copy, pull_4 and joined; "
        "leave out what is there twice"
    ) in result.notes


def test_a_dihedral_that_turns_too_far_between_frames_is_pointed_out(config, tmp_path):
    """Frames of a torsion that jumps are no path round the circle."""
    jumpy = "t=dihedral(resid 1 and name C; resid 1 and name CA; resid 5 and name CA; resid 9 and name C)"
    smooth = "w=dihedral(resid 1 and name CA; resid 1 and name C; resid 2 and name N; resid 2 and name CA)"
    found = {}
    for cv in (jumpy, smooth):
        result, dataset = run(dataclasses.replace(config, cv=cv, force=True), tmp_path / "run")
        steps = np.concatenate([np.diff(dataset.cv_values[p.start : p.stop]) for p in dataset.pulls])
        wild = int((np.abs((steps + 180) % 360 - 180) > 120).sum())
        said = [note for note in result.notes if "the dihedral turns" in note]
        found[cv] = (wild > 0, [f"between two frames {wild} times" in note for note in said])
    assert found == {jumpy: (True, [True]), smooth: (False, [])}


def test_mirrored_pulls_are_pointed_out(config, pull_files, tmp_path):
    for i in (1, 4):
        write_pull(pull_files.folder, f"pull_{i}", pull_files.positions[i] * np.float32([-1, 1, 1]))
    result, _ = run(config, tmp_path / "run")
    notes = [note for note in result.notes if "looks like a mirror image" in note]
    assert [note.partition(":")[0] for note in notes] == ["pull_1.dcd", "pull_4.dcd"]


def test_provenance_names_every_file_with_its_checksum(config, pull_files, tmp_path):
    from smdgen.files import sha256_file

    _, dataset = run(config, tmp_path / "run")
    inputs = dataset.provenance["inputs"]
    paths = [*pull_files.trajectories, pull_files.topology, pull_files.parameters]
    paths += [path.with_suffix(".colvars.traj") for path in pull_files.trajectories]
    assert set(inputs) == {str(path) for path in paths}
    for path in paths:
        assert inputs[str(path)]["sha256"] == sha256_file(path)
    assert dataset.provenance["selection"] == SELECT
    assert dataset.provenance["atoms"] == {str(pull_files.topology): list(range(40))}


def test_labels_of_another_program_are_found_and_remembered(config, pull_files, tmp_path):
    """One pull with PLUMED's table, one with none, the others with Colvars'."""
    tables = [path.with_suffix(".colvars.traj") for path in pull_files.trajectories]
    distance = end_to_end(pull_files.positions[0].astype(float))
    rows = "".join(f"{i}.0 {d / 10:.6f} {i * 4.184:.6f}\n" for i, d in enumerate(distance))
    (pull_files.folder / "COLVAR.pull_0").write_text(
        "#! FIELDS time d r.d_work\n#! SET energy_unit kJ/mol\n" + rows
    )
    for table in tables[:2]:
        table.unlink()
    result, dataset = run(config, tmp_path / "run")
    assert result.n_with_work == 5
    first = dataset.pulls[0]
    np.testing.assert_allclose(dataset.work[first.start : first.stop], np.arange(25), atol=1e-5)
    expected = {str(path): str(table) for path, table in zip(pull_files.trajectories, tables, strict=True)}
    del expected[str(pull_files.trajectories[1])]
    expected[str(pull_files.trajectories[0])] = str(pull_files.folder / "COLVAR.pull_0")
    assert dataset.provenance["labels"] == expected
    assert set(expected.values()) <= dataset.provenance["inputs"].keys()


def test_a_table_that_cannot_be_read_costs_the_labels_of_its_pull_only(config, pull_files, tmp_path):
    table = pull_files.folder / "pull_2.colvars.traj"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([*lines[:8], "once upon a time\n", *lines[9:]]))
    result, dataset = run(config, tmp_path / "run")
    assert result.n_with_work == 5
    pull = dataset.pulls[2]
    assert np.isnan(dataset.work[pull.start : pull.stop]).all()
    (note,) = [note for note in result.notes if "pull_2.colvars.traj" in note]
    assert "line 9: step is 'once', expected 4 numbers" in note
    assert "work and centre are left out" in note


def test_a_dataset_is_replaced_only_with_force_and_only_by_a_whole_one(config, pull_files, tmp_path):
    folder = tmp_path / "run"
    run(config, folder)
    before = (folder / "dataset.h5").read_bytes()
    with pytest.raises(ArtifactError, match="--force"):
        run(config, folder)
    forced = dataclasses.replace(config, force=True)
    damaged = pull_files.positions[5].copy()
    damaged[20, 7] = 500.0  # torn away: found only when the last pull is read
    write_pull(pull_files.folder, "pull_5", damaged, table=False)
    with pytest.raises(Exception, match=r"pull_5\.dcd"):
        run(forced, folder)
    assert (folder / "dataset.h5").read_bytes() == before
    write_pull(pull_files.folder, "pull_5", make_pull(25, seed=77))
    run(forced, folder)
    assert (folder / "dataset.h5").read_bytes() != before


class Interrupting(Silent):
    """Ctrl-C while frames are read."""

    def advance(self, n=1, note=""):
        if n > 1:
            raise KeyboardInterrupt


def test_an_interruption_leaves_nothing_behind(config, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        prepare.run(config, tmp_path / "run", Interrupting())
    assert not (tmp_path / "run").exists()
    (tmp_path / "other").mkdir()
    with pytest.raises(KeyboardInterrupt):
        prepare.run(config, tmp_path / "other", Interrupting())
    assert list((tmp_path / "other").iterdir()) == [], "a folder that was there stays"


# --- bad input, through the command line ----------------------------------------


def no_topology(files):
    files.topology.unlink()
    return [*files.trajectories]


def two_topologies(files):
    shutil.copy(files.topology, files.folder / "other.psf")
    return [*files.trajectories]


def other_atom_count(files):
    write_dcd(files.folder / "pull_2.dcd", make_pull(25, 2)[:, :36], timestep_ps=0.002)
    return [*files.trajectories]


def other_molecule_of_as_many_atoms(files):
    write_dcd(files.folder / "pull_2.dcd", make_pull(25, 2)[:, ::-1], timestep_ps=0.002)
    return [*files.trajectories]


def no_match(files):
    return [*files.trajectories, "--select", "name XX"]


def no_match_in_cv(files):
    return [*files.trajectories, "--cv", "d=distance(resid 1 and name CA; resid 99 and name CA)"]


def truncated(files):
    path = files.trajectories[3]
    path.write_bytes(path.read_bytes()[:-100])
    return [*files.trajectories]


def empty(files):
    files.trajectories[3].write_bytes(b"")
    return [*files.trajectories]


def text(files):
    files.trajectories[3].write_text("this is no trajectory\n" * 50)
    return [*files.trajectories]


def not_a_number(files):
    path = files.trajectories[3]
    content = bytearray(path.read_bytes())
    content[-20:-16] = np.float32(np.nan).tobytes()  # a z coordinate of the last frame
    path.write_bytes(content)
    return [*files.trajectories]


def one_frame(files):
    write_pull(files.folder, "pull_3", make_pull(1, 3), table=False)
    return [*files.trajectories]


def too_large_a_stride(files):
    return [*files.trajectories, "--stride", "30"]


def too_few_frames_for_blocks(files):
    return [files.trajectories[0], "--stride", "5"]


def missing_trajectory(files):
    return [files.folder / "none.dcd"]


def missing_parameters(files):
    return [*files.trajectories, "--params", files.folder / "none.prm"]


def a_folder(files):
    return [files.folder]


def twice(files):
    return [files.trajectories[0], *files.trajectories]


def a_link_to_itself(files):
    (files.folder / "loop.dcd").symlink_to("loop.dcd")
    return [files.folder / "loop.dcd"]


def copied(files):
    shutil.copy(files.trajectories[0], files.trajectories[1])
    return [*files.trajectories]


def topology_without_bonds(files):
    write_psf(files.topology, dataclasses.replace(files.structure, bonds=np.zeros((0, 2), dtype=np.int64)))
    return [*files.trajectories]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_topology, ["--top"]),
        (two_topologies, ["other.psf", "system.psf", "--top"]),
        (other_atom_count, ["pull_2.dcd", "36", "40"]),
        (other_molecule_of_as_many_atoms, ["pull_2.dcd"]),
        (no_match, ["name XX"]),
        (no_match_in_cv, ["resid 99"]),
        (truncated, ["pull_3.dcd", "--salvage"]),
        (empty, ["pull_3.dcd", "empty"]),
        (text, ["pull_3.dcd"]),
        (not_a_number, ["pull_3.dcd", "frame 25", "nan"]),
        (one_frame, ["pull_3.dcd", "1 frame"]),
        (too_large_a_stride, ["25 frames", "--stride 30"]),
        (too_few_frames_for_blocks, ["found 5 frames", "expected 12"]),
        (missing_trajectory, ["none.dcd"]),
        (missing_parameters, ["none.prm"]),
        (a_folder, ["folder"]),
        (twice, ["named twice"]),
        (a_link_to_itself, ["loop.dcd", "symbolic links"]),
        (copied, ["pull_0.dcd", "pull_1.dcd", "same bytes"]),
        (topology_without_bonds, ["bonds", "--top"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_bad_input_is_refused_in_one_line(spoil, said, pull_files, tmp_path, capsys):
    arguments = [str(argument) for argument in spoil(pull_files)]
    if "--select" not in arguments:
        arguments += ["--select", SELECT]
    if "--params" not in arguments:
        arguments += ["--params", str(pull_files.parameters)]
    code = main(["prepare", *arguments, "--run", str(tmp_path / "run"), "--quiet"])
    captured = capsys.readouterr()
    assert code == 2, captured.err
    errors = [line for line in captured.err.splitlines() if not line.startswith("note:")]
    assert len(errors) == 1, captured.err
    assert errors[0].startswith("smdgen: error: ")
    for words in said:
        assert words in errors[0]
    assert not (tmp_path / "run").exists(), "nothing is left behind"


def test_an_existing_dataset_is_refused_before_anything_is_read(pull_files, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/dataset.h5").write_bytes(b"precious")
    assert main(["prepare", str(pull_files.folder / "none.dcd"), "--run", str(tmp_path / "run")]) == 2
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "run/dataset.h5").read_bytes() == b"precious"


def test_salvage_keeps_the_whole_frames(config, pull_files, tmp_path):
    path = pull_files.trajectories[3]
    path.write_bytes(path.read_bytes()[:-100])
    result, dataset = run(dataclasses.replace(config, salvage=True), tmp_path / "run")
    assert dataset.pulls[3].n_frames == 24
    np.testing.assert_array_equal(dataset.positions(dataset.pulls[3]), pull_files.positions[3][:24])
    assert any("pull_3.dcd" in note for note in result.notes)


def test_dry_run_writes_nothing(pull_files, tmp_path, capsys):
    arguments = [str(path) for path in pull_files.trajectories] + ["--select", SELECT]
    assert main(["prepare", *arguments, "--run", str(tmp_path / "run"), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "6 trajectories, 150 frames" in shown
    assert "40 of 40 atoms" in shown
    assert not (tmp_path / "run").exists()


def test_a_pdb_serves_as_topology_too(config, pull_files, tmp_path):
    """Only the look at the files; the terms of a PDB are tested with the force field."""
    pull_files.topology.unlink()
    write_pdb(
        pull_files.folder / "system.pdb", pull_files.structure, pull_files.positions[0][0].astype(float)
    )
    rows = dict(prepare.plan(config, tmp_path / "run"))
    assert rows["would model"].startswith("40 of 40 atoms")


def test_notes_tell_files_of_one_name_apart(config, pull_files, tmp_path):
    """Three folders with a path.dcd each, as replicas often have them; only the second is odd."""
    paths = []
    for number, pull in enumerate(pull_files.trajectories[:3]):
        path = tmp_path / f"run{number}" / "path.dcd"
        path.parent.mkdir()
        content = bytearray(pull.read_bytes())
        content[8:12] = np.int32(0 if number == 1 else 25).tobytes()  # NSET
        path.write_bytes(content)
        paths.append(path)
    result, _ = run(
        dataclasses.replace(config, trajectories=tuple(paths), topology=pull_files.topology), tmp_path / "run"
    )
    (note,) = [note for note in result.notes if "declares 0 frames" in note]
    assert note.startswith("run1/path.dcd: ")
    assert distinct_names([paths[0], paths[1], tmp_path / "other.dcd"]) == [
        "run0/path.dcd",
        "run1/path.dcd",
        "other.dcd",
    ]


def test_a_selection_of_residues_is_ranges(pull_files):
    structure = pull_files.structure
    ca = np.flatnonzero(structure.names == "CA")
    text = residue_selection(structure, ca[[0, 1, 2, 5, 7, 8]])
    assert text.endswith("resid 1 to 3 6 8 to 9")
    chosen = select_atoms(structure, f"name CA and ({text})")
    np.testing.assert_array_equal(chosen, ca[[0, 1, 2, 5, 7, 8]])


def test_a_structure_among_the_trajectories_is_the_topology(config, pull_files, tmp_path):
    mixed = (pull_files.topology, *config.trajectories)
    _, dataset = run(dataclasses.replace(config, trajectories=mixed), tmp_path / "run")
    assert len(dataset.pulls) == 6
    with pytest.raises(ConfigError, match="is a structure, expected a trajectory"):
        run(dataclasses.replace(config, trajectories=mixed, topology=pull_files.topology), tmp_path / "b")
    with pytest.raises(ConfigError, match="is a structure, expected a trajectory"):
        run(dataclasses.replace(config, trajectories=(pull_files.topology,)), tmp_path / "b")


def test_what_is_cheap_is_checked_before_the_force_field(config, pull_files, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("the force field was asked")

    monkeypatch.setattr("smdgen.dataset.model.terms_of", fail)
    one = config.trajectories[:1]
    for changed, words in (
        ({"cv": "d=distanc(resid 1; resid 2)"}, "unknown CV kind 'distanc'"),
        ({"cv": "d=distance(resid 1 and nmae CA; resid 2)"}, "'nmae' is not a keyword"),
        ({"cv": "d=distance(resid 99; resid 2)"}, "matches no atom"),
        ({"trajectories": one, "stride": 5}, "found 5 frames, expected 12"),
        ({"forcefield": "amber99"}, "'amber99' is not known; choose charmm36, amber14"),
    ):
        with pytest.raises(SmdgenError, match=words):
            run(dataclasses.replace(config, **changed), tmp_path / "run")


def test_a_cv_that_does_not_fit_is_refused_before_a_trajectory_is_read(config, tmp_path, monkeypatch):
    def fail(*_):
        raise AssertionError("a trajectory was read")

    monkeypatch.setattr(sources, "_inspect_one", fail)
    for changed, words in (
        ({"cv": "d=distance(resid 99 and name CA; resid 2)"}, "no atom has resid 99"),
        ({"cv": "d=distance(resid 1; resid 2)", "select": "name N CA C"}, "outside of the modelled ones"),
        ({"select": "resid 1 and name CA"}, "gives no bonds among the 1 modelled atoms"),
        ({"select": "resid 1"}, "found 1 CA among the modelled atoms"),
    ):
        with pytest.raises(SmdgenError, match=words):
            run(dataclasses.replace(config, **changed), tmp_path / "run")


def test_models_of_ca_atoms_are_told_what_they_lack(config, pull_files, tmp_path):
    structure = pull_files.structure
    ca = np.flatnonzero(structure.names == "CA")
    (tmp_path / "ca").mkdir()
    first = pull_files.positions[0]
    write_pdb(tmp_path / "ca/top.pdb", dataclasses.replace(subset(structure, ca), positions=first[0, ca]))
    path = write_pull(tmp_path / "ca", "pull", first[:, ca], table=False)
    with pytest.raises(SmdgenError, match="has CA atoms only, expected at least N, CA, C and O") as caught:
        run(PrepareConfig((path,), forcefield=config.forcefield), tmp_path / "run")
    assert "--select" not in str(caught.value)


def test_single_frames_are_joined_as_the_error_says(config, pull_files, tmp_path):
    for number, x in enumerate(pull_files.positions[0][:12]):
        frame = dataclasses.replace(pull_files.structure, positions=x.astype(float))
        write_pdb(tmp_path / f"frame_{number:02d}.pdb", frame)
    frames = sorted(tmp_path.glob("frame_*.pdb"))
    with pytest.raises(
        SmdgenError, match=r"has 1 frame, expected 2 or more; .* `cat frame_\*.pdb > pull.pdb`"
    ):
        run(dataclasses.replace(config, trajectories=tuple(frames), parameters=()), tmp_path / "run")
    joined = tmp_path / "pull.pdb"
    joined.write_text("".join(path.read_text() for path in frames))  # cat
    topology = pull_files.topology
    changed = dataclasses.replace(config, trajectories=(joined,), topology=topology)
    _, dataset = run(changed, tmp_path / "run")
    np.testing.assert_allclose(dataset.positions([0]), pull_files.positions[0][:1], atol=1e-3)


def test_a_domain_motion_that_the_ends_do_not_see_gets_a_cv_that_works(tmp_path):
    """Two rigid domains turn about a hinge so that the ends come back to their distance."""
    structure, pulls = make_structure(HINGE_CHAIN), make_hinge_pulls(3, 15)
    structure = dataclasses.replace(structure, types=structure.names, charges=np.zeros(structure.n_atoms))
    write_topology(tmp_path / "system.psf", structure)
    paths = tuple(write_pull(tmp_path, f"pull_{i}", x, table=False) for i, x in enumerate(pulls))
    config = PrepareConfig(paths, tmp_path / "system.psf", select=SELECT)
    result, _ = run(config, tmp_path / "run")
    assert abs(result.cv_ends[1] - result.cv_ends[0]) < 1.5
    (note,) = [note for note in result.notes if "the default CV hardly moves" in note]
    command = shlex.split(note[note.index("--cv") :])
    assert command[0] == "--cv"
    better, dataset = run(dataclasses.replace(config, cv=command[1]), tmp_path / "better")
    assert abs(better.cv_ends[1] - better.cv_ends[0]) > 5.0
    assert not any("hardly moves" in note for note in better.notes)
    shaken = [x[:1] + np.random.default_rng(i).normal(0, 0.01, x.shape) for i, x in enumerate(pulls)]
    still = tuple(write_pull(tmp_path, f"still_{i}", x, table=False) for i, x in enumerate(shaken))
    result, _ = run(dataclasses.replace(config, trajectories=still), tmp_path / "still")
    assert any("hardly moves" in note and "give what was pulled with --cv" in note for note in result.notes)
    groups = [structure.residue_ids[np.array(group)] for group in dataset.cv.groups]
    assert max(groups[0]) <= 17
    assert min(groups[1]) >= 16, "one domain each, but for the hinge of residues 16 to 18"
