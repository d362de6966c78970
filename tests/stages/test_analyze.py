"""The analysis: real pulls pass for real, places and atoms are matched, bad input leaves nothing behind."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from smdgen.cli.console import result_to_json
from smdgen.config import AnalyzeConfig
from smdgen.dataset.dataset import Pull, open_dataset, write_dataset
from smdgen.dataset.generated import Generated, Way, frames_to_show, places, way_covered, way_of
from smdgen.errors import ArtifactError, SmdgenError, TopologyError, TrajectoryError
from smdgen.forcefield.bonded_terms import geometry_terms
from smdgen.io.structures.structure import subset, write_pdb
from smdgen.io.trajectories.dcd import write_dcd
from smdgen.progress import Silent
from smdgen.quality import table as quality
from smdgen.quality.faults import FAULTS
from smdgen.stages import analyze
from smdgen.view import report
from tests.tools.pulls import end_to_end, make_cv, make_pull, make_structure

STRUCTURE, CV = make_structure(), make_cv()
N_TRAIN, N_TEST, N_FRAMES = 6, 4, 21
PULLS = np.stack([make_pull(N_FRAMES, seed) for seed in range(N_TRAIN + N_TEST)])


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """No classifier and no PyMOL: neither is what is tested here."""
    monkeypatch.setattr(quality, "auc_rows", lambda *_, **__: ())
    monkeypatch.setattr(report, "render_frames", lambda *_: None)


@pytest.fixture(scope="module")
def dataset_file(tmp_path_factory) -> Path:
    """Ten made-up pulls, four of them held out."""
    path = tmp_path_factory.mktemp("store") / "dataset.h5"
    splits = ["train"] * N_TRAIN + ["test"] * N_TEST
    starts = [i * N_FRAMES for i in range(len(splits))]
    pulls = [Pull(f"p{i}", starts[i], starts[i] + N_FRAMES, splits[i], "") for i in range(len(splits))]
    frames = PULLS.reshape(-1, 40, 3)
    write_dataset(
        path,
        structure=STRUCTURE,
        terms=geometry_terms(STRUCTURE.bonds, frames[: N_TRAIN * N_FRAMES].astype(float)),
        cv=CV,
        pulls=pulls,
        positions=frames,
        times_ps=np.tile(10.0 * np.arange(N_FRAMES), len(pulls)),
        cv_values=end_to_end(frames).astype(float),
    )
    return path


@pytest.fixture
def run_dir(tmp_path, dataset_file) -> Path:
    """A run folder with the dataset only."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "dataset.h5").write_bytes(dataset_file.read_bytes())
    return folder


def write_pulls(folder: Path, pulls, structure=STRUCTURE, topology: str = "topology.pdb") -> tuple[Path, ...]:
    folder.mkdir(exist_ok=True)
    paths = tuple(folder / f"pull_{i:03d}.dcd" for i in range(len(pulls)))
    for path, frames in zip(paths, pulls, strict=True):
        write_dcd(path, frames, timestep_ps=20.0)
    write_pdb(folder / topology, structure, pulls[0][0])
    return paths


def table(folder: Path, name: str = "cv.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def column(folder: Path, name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in table(folder)])


def test_real_pulls_pass_for_real(run_dir):
    """The held-out pulls, judged as if generated, are their own nearest neighbours."""
    pulls = PULLS[N_TRAIN:, ::2]
    write_pulls(run_dir / "rollout", pulls)
    result = analyze.run(AnalyzeConfig(), run_dir, Silent())
    folder = run_dir / "analysis"
    assert {path.name for path in result.outputs} == set(analyze.ANALYSIS_FILES.patterns)
    assert max(len(f"  {label:<30}  {cells}") for label, cells in result.lines) <= 80
    assert max(len(label) for label, _ in result.summary()) <= 30
    assert result.verdict.startswith("The frames are like MD in all 7 measures. Close to real pulls")
    assert result.verdict in (folder / "report.md").read_text()
    np.testing.assert_allclose(column(folder, "end_to_end_A"), end_to_end(pulls).ravel(), rtol=1e-4)
    np.testing.assert_allclose(column(folder, "rmsd_to_nearest_real_A"), 0, atol=1e-3)
    np.testing.assert_allclose(column(folder, "time_ps"), np.tile(20.0 * np.arange(11), N_TEST), rtol=1e-5)
    rows = {row["key"]: row for row in table(folder, "quality.csv")}
    for key in ("bond_energy_ratio", "angle_energy_ratio"):
        assert float(rows[key]["generated"]) == pytest.approx(1.0, abs=1e-6)
    assert float(rows["cv_error"]["generated"]) == pytest.approx(0.0, abs=1e-4)
    beside = json.loads((folder / "report.json").read_text())["baselines"]
    assert beside["columns"][:3] == ["generated", "real", "training frame at the same CV"]
    assert beside["copies"] is False
    ours, _, copies, *_ = beside["rows"]["held-out frame to the nearest of these, A"]
    assert float(ours) < float(copies), "these held-out frames are nearer to the held-out pulls themselves"
    assert f"| held-out frame to the nearest of these, A | {ours} | - |" in (folder / "report.md").read_text()


def test_copies_of_training_pulls_are_called_so(run_dir):
    write_pulls(run_dir / "rollout", PULLS[:4, ::2])
    result = analyze.run(AnalyzeConfig(), run_dir, Silent())
    assert "The model copies: generated frames are 0.00 A from the nearest training frame" in result.verdict


def test_real_curves_have_the_frames_and_times_of_real_pulls(run_dir):
    """No frame of a real pull is drawn twice: of 21 frames, 5 steps take every one, 10 ps apart."""
    write_pulls(run_dir / "rollout", PULLS[N_TRAIN:, ::4])
    analyze.run(AnalyzeConfig(), run_dir, Silent())
    rows = table(run_dir / "analysis", "real.csv")
    times = np.array([float(row["time_ps"]) for row in rows]).reshape(N_TEST, N_FRAMES)
    np.testing.assert_allclose(times, np.tile(4.0 * np.arange(N_FRAMES), (N_TEST, 1)) * 20 / 16)
    curves = np.array([float(row["end_to_end_A"]) for row in rows])
    np.testing.assert_allclose(curves, end_to_end(PULLS[N_TRAIN:]).ravel(), rtol=1e-4)


def test_broken_pulls_do_not(run_dir):
    """The same frames with an angstrom of noise: energies far above, nothing near them, goals missed."""
    noise = np.random.default_rng(0).normal(0, 1, PULLS[N_TRAIN:, ::2].shape)
    write_pulls(run_dir / "rollout", (PULLS[N_TRAIN:, ::2] + noise).astype(np.float32))
    result = analyze.run(AnalyzeConfig(), run_dir, Silent())
    assert result.verdict.startswith("The frames are not like MD: ")
    assert "Do not take these pulls for real ones" in result.verdict
    rows = {row["key"]: row for row in table(run_dir / "analysis", "quality.csv")}
    assert float(rows["bond_energy_ratio"]["generated"]) > 100
    assert rows["bond_energy_ratio"]["met"] == rows["in_band_share"]["met"] == "0"
    assert column(run_dir / "analysis", "rmsd_to_nearest_real_A").min() > 0.8


def inputs_of(pulls, **others) -> analyze.Inputs:
    """What `load` would give for pulls (n, n_frames, 40, 3), A, and the held-out pulls."""
    n, n_frames = pulls.shape[:2]
    generated = Generated(
        names=tuple(f"made_{i}" for i in range(n)),
        paths=(),
        positions=pulls.astype(np.float32),
        times_ps=20.0 * np.arange(n_frames),
        target_cv=end_to_end(pulls) + 0.5,
        way=Way(),
        start_pull=None,
        notes=(),
    )
    given = {
        "structure": STRUCTURE,
        "terms": geometry_terms(STRUCTURE.bonds, PULLS[:N_TRAIN].reshape(-1, 40, 3).astype(float)),
        "cv": CV,
        "generated": generated,
        "real": PULLS[N_TRAIN:],
        "real_names": tuple(f"real_{i}" for i in range(N_TEST)),
        "between": (N_FRAMES - 1) // (n_frames - 1),
        "example": PULLS[N_TRAIN, :: (N_FRAMES - 1) // (n_frames - 1)],
        "training": None,
        "training_frames": None,
        "beside": None,
        "independent": True,
        "notes": (),
        "provenance": {},
    }
    return analyze.Inputs(**given | others)


def columns_of(text: str) -> dict[str, np.ndarray]:
    """Columns of a CSV, each (N_TEST, n_frames)."""
    rows = list(csv.DictReader(text.splitlines()))
    return {name: np.array([float(row[name]) for row in rows]).reshape(N_TEST, -1)
            for name in rows[0].keys() - {"pull"}}  # fmt: skip


def test_the_table_is_made_of_the_numbers_in_the_csv_files():
    """Every frame is measured once: means over the rows of cv.csv and real.csv are those of quality.csv."""
    pulls = PULLS[N_TRAIN:, ::2] + np.random.default_rng(0).normal(0, 0.3, (N_TEST, 11, 40, 3))
    made = analyze.compute(inputs_of(pulls))
    ours, theirs = (columns_of(text(made)) for text in (report.frame_table, report.real_table))
    steps, real_steps = slice(1, None), slice(2, None, 2)
    judged = 0
    for key in FAULTS.keys() & ours.keys():
        assert made.quality.row(key).generated == pytest.approx(ours[key][:, steps].mean(), rel=1e-4), key
        judged += ours[key][:, steps].any()
    assert judged >= 3, "frames with noise show faults"
    for name in ("bond", "angle", "torsion"):
        column = f"{name}_energy_kcal_mol"
        expected = np.median(ours[column][:, steps]) / np.median(theirs[column][:, real_steps])
        assert made.quality.row(f"{name}_energy_ratio").generated == pytest.approx(expected, rel=1e-4)
    missed = ours["end_to_end_missed_A"][:, steps].mean(axis=0)
    assert made.quality.row("target_error").generated == pytest.approx(missed.mean(), rel=1e-4)
    assert made.quality.row("target_error_worst").generated == pytest.approx(missed.max(), rel=1e-4)
    for name, key in (("end_to_end_A", "cv"), ("hydrogen_bonds_i_i3", "hbonds_i_i3"),
                      ("hydrogen_bonds_i_i4", "hbonds_i_i4")):  # fmt: skip
        profile = made.quality.profiles[key]
        np.testing.assert_allclose(profile.generated, ours[name][:, steps].mean(axis=0), rtol=1e-4)
        np.testing.assert_allclose(profile.real, theirs[name][:, real_steps].mean(axis=0), rtol=1e-4)


def test_atom_order_place_and_orientation_do_not_matter(run_dir, tmp_path):
    """The same pull shuffled, turned, moved and among other atoms gives the same table."""
    random = np.random.default_rng(1)
    pulls = np.stack([make_pull(6, 50 + i) for i in range(2)])
    q, _ = np.linalg.qr(random.normal(size=(3, 3)))
    more = np.concatenate([pulls, random.normal(0, 30, (2, 6, 4, 3))], axis=2)
    order = random.permutation(44)
    turned = (more[:, :, order] @ (q * np.linalg.det(q)) + 7.0).astype(np.float32)
    longer = subset(make_structure(11), order)
    for name, x, structure in (("a", pulls, STRUCTURE), ("b", turned, longer)):
        paths = write_pulls(tmp_path / name, x, structure)
        config = AnalyzeConfig(trajectories=paths, output=tmp_path / name / "out")
        analyze.run(config, run_dir, Silent())
    first, second = table(tmp_path / "a" / "out"), table(tmp_path / "b" / "out")
    assert first[0].keys() == second[0].keys()
    for one, other in zip(first, second, strict=True):
        for name in one.keys() - {"pull"}:
            assert float(one[name]) == pytest.approx(float(other[name]), rel=2e-3, abs=2e-3), name


def test_report_can_be_read_by_programs_and_people(run_dir):
    """JSON without NaN; the page shows every picture; inputs and dataset are named by their hashes."""
    write_pulls(run_dir / "rollout", PULLS[:2, ::4])
    result = analyze.run(AnalyzeConfig(), run_dir, Silent())
    folder = run_dir / "analysis"
    content = json.loads((folder / "report.json").read_text())
    assert content["dataset_hash"] == open_dataset(run_dir / "dataset.h5").content_hash
    assert set(content["trajectories"]) == {"pull_000.dcd", "pull_001.dcd"}
    assert content["compared_with"] == {"split": "test", "by": "time", "from": 0.0, "to": 1.0}
    page = (folder / "report.md").read_text()
    for picture in folder.glob("*.png"):
        assert f"]({picture.name})" in page
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert json.loads((run_dir / "record.json").read_text())[-1]["command"] == "analyze"
    assert result_to_json(result, 1.0)["quality"] == content["quality"]["rows"]


def test_rollouts_know_what_they_aimed_at(run_dir):
    """Aims come from the rollout's table; a pull to a target is compared with the way up to it."""
    pulls = PULLS[:2, :11:2]
    write_pulls(run_dir / "rollout", pulls)
    values = end_to_end(pulls)
    rows = [f"{f},{20 * f},{p},{values[p, f]},{values[p, f] + 0.5}" for p in range(2) for f in range(6)]
    header = "frame,time_ps,pull,end_to_end_A,end_to_end_aim_A"
    (run_dir / "rollout" / "cv.csv").write_text("\n".join([header, *rows]))
    mean = end_to_end(PULLS[:N_TRAIN]).mean(axis=0)
    told = {"kind": "rollout", "time_per_step_ps": 20.0, "target": float(mean[:11].max()), "start_pull": "p7"}
    (run_dir / "rollout" / "rollout.json").write_text(json.dumps(told))
    progress = Silent()
    analyze.run(AnalyzeConfig(), run_dir, progress)
    content = json.loads((run_dir / "analysis" / "report.json").read_text())
    assert content["compared_with"]["to"] == pytest.approx(np.argmax(mean[:11]) / 20)
    assert content["compared_with"]["from"] == pytest.approx(
        max(np.argmax(mean[:11]) / 20 - 0.5, 0), abs=0.02
    )
    assert content["held_out_pulls"][0] == "p7"
    assert any("% of the real ones" in note for note in progress.notes)
    targets = {row["key"]: row for row in table(run_dir / "analysis", "quality.csv")}
    assert float(targets["target_error"]["generated"]) == pytest.approx(0.5, abs=1e-3)


def test_a_rollout_report_of_another_layout_counts_as_none(run_dir):
    write_pulls(run_dir / "rollout", PULLS[:2, :11:2])
    for told in ({}, {"time_per_step_ps": "long"}, {"time_per_step_ps": 20.0, "target": [1]}):
        (run_dir / "rollout" / "rollout.json").write_text(json.dumps({"kind": "rollout", **told}))
        assert analyze.run(AnalyzeConfig(force=True), run_dir, Silent()).outputs


def test_places_are_the_same_share_of_every_pull():
    """Step i of n belongs to frame round(i (frames - 1) / n)."""
    pull = Pull("p", 100, 301, "test", "p.dcd")
    expected = [100 + round(i * 200 / 7) for i in range(8)]
    assert places(None, pull, 8, Way()).tolist() == expected
    assert places(None, pull, 3, Way((0.25, 0.75))).tolist() == [150, 200, 250]


def test_pulls_that_follow_a_schedule_are_compared_at_the_same_cv(run_dir):
    """There and back along a held-out pull: every frame finds itself, whatever its time."""
    there = PULLS[6][::5]
    pull = np.concatenate([there, there[-2::-1]])
    paths = write_pulls(run_dir / "rollout", [pull])
    report_of = {"kind": "rollout", "time_per_step_ps": 50.0, "target": None, "schedule_sha256": "0" * 64}
    (run_dir / "rollout" / "rollout.json").write_text(json.dumps(report_of))
    target_cv = [f"{frame},0,0,0,{value}" for frame, value in enumerate(end_to_end(pull))]
    text = "\n".join(["frame,time_ps,pull,end_to_end_A,end_to_end_aim_A", *target_cv])
    (run_dir / "rollout" / "cv.csv").write_text(text)
    progress = Silent()
    analyze.run(AnalyzeConfig(paths), run_dir, progress)
    assert column(run_dir / "analysis", "rmsd_to_nearest_real_A").max() < 1e-3
    assert column(run_dir / "analysis", "end_to_end_missed_A").max() < 1e-3
    assert any("CV is closest" in note for note in progress.notes)


@pytest.mark.parametrize(
    ("share", "target", "expected"),
    [(1.0, None, (0, 1)), (0.25, None, (0.75, 1)), (0.5, 20.0, (0, 0.5)), (0.2, 26.0, (0.6, 0.8))],
)
def test_way_covered_by_a_rollout(share, target, expected):
    """On a straight path from 10 to 30 the answer is plain; the other way round too."""
    up = np.linspace(10, 30, 21)[None]
    assert way_covered(up, share, target) == pytest.approx(expected)
    assert way_covered(-up, share, None if target is None else -target) == pytest.approx(expected)


def spoil(kind: str, folder: Path) -> tuple[type[SmdgenError], str]:
    """One kind of bad input, and what is said about it."""
    path = folder / "pull_000.dcd"
    if kind == "none":
        for file in folder.glob("*.dcd"):
            file.unlink()
        return ArtifactError, "smdgen rollout"
    if kind == "one frame":
        write_dcd(path, PULLS[0, :1], timestep_ps=1.0)
        return TrajectoryError, "1 frame"
    if kind == "lengths":
        write_dcd(path, PULLS[0, :7], timestep_ps=1.0)
        return TrajectoryError, "step by step"
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-100])
        return TrajectoryError, "pull_000.dcd"
    if kind == "text":
        path.write_text("no trajectory at all\n" * 50)
        return TrajectoryError, "pull_000.dcd"
    if kind == "NaN":
        content = bytearray(path.read_bytes())
        content[-80:-76] = b"\xff\xff\xff\x7f"
        path.write_bytes(content)
        return TrajectoryError, r"pull_000\.dcd.* is nan"
    if kind == "other atoms":
        write_pdb(folder / "topology.pdb", make_structure(4), make_pull(2, 0, 4)[0])
        return TopologyError, "residue|atom"
    write_pdb(folder / "topology.pdb", make_structure(12), make_pull(2, 0, 12)[0])
    return TrajectoryError, "40"


@pytest.mark.parametrize(
    "kind", ["none", "one frame", "lengths", "cut", "text", "NaN", "other atoms", "atom count"]
)
def test_bad_input_leaves_nothing_behind(run_dir, kind):
    """One line that says what is wrong, and no analysis."""
    write_pulls(run_dir / "rollout", PULLS[:2, ::2])
    error, words = spoil(kind, run_dir / "rollout")
    with pytest.raises(error, match=words) as caught:
        analyze.run(AnalyzeConfig(), run_dir, Silent())
    assert "\n" not in str(caught.value)
    assert not (run_dir / "analysis").exists()


def test_a_dataset_with_missing_numbers_is_refused(run_dir):
    """Sealed as a faulty program would; one coordinate of a held-out pull is NaN."""
    dataset, frames = open_dataset(run_dir / "dataset.h5"), PULLS.reshape(-1, 40, 3).copy()
    frames[-2, 7, 1] = np.nan
    parts = {name: getattr(dataset, name) for name in ("structure", "terms", "cv", "pulls")}
    write_dataset(
        run_dir / "dataset.h5",
        **parts,
        positions=frames,
        times_ps=dataset.times_ps,
        cv_values=dataset.cv_values,
    )
    write_pulls(run_dir / "rollout", PULLS[:2])
    with pytest.raises(
        ArtifactError, match=r"dataset\.h5 has positions that are not numbers.*smdgen prepare"
    ):
        analyze.run(AnalyzeConfig(), run_dir, Silent())
    assert not (run_dir / "analysis").exists()


def test_missing_dataset_is_named(tmp_path):
    """And no folder is made."""
    with pytest.raises(ArtifactError, match="smdgen prepare"):
        analyze.run(AnalyzeConfig(), tmp_path / "run", Silent())
    assert list(tmp_path.iterdir()) == []


def test_output_is_kept_and_never_half_written(run_dir, monkeypatch):
    """Refused without --force; with it, a failure while drawing leaves the old report whole."""
    write_pulls(run_dir / "rollout", PULLS[:2, ::4])
    analyze.run(AnalyzeConfig(), run_dir, Silent())
    with pytest.raises(ArtifactError, match="--force"):
        analyze.run(AnalyzeConfig(), run_dir, Silent())

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "plot_ramachandran", broken)
    before = {file.name: file.read_bytes() for file in (run_dir / "analysis").iterdir()}
    with pytest.raises(ArtifactError, match="No space left"):
        analyze.run(AnalyzeConfig(force=True), run_dir, Silent())
    assert {file.name: file.read_bytes() for file in (run_dir / "analysis").iterdir()} == before
    assert not list(run_dir.glob(".smdgen-new-*"))


def test_a_table_of_a_rollout_is_not_replaced(run_dir):
    """Both write a cv.csv."""
    write_pulls(run_dir / "rollout", PULLS[:2, ::4])
    (run_dir / "rollout" / "cv.csv").write_text("of the rollout")
    with pytest.raises(ArtifactError, match=r"holds cv\.csv, which no earlier run of this command wrote"):
        analyze.run(AnalyzeConfig(output=run_dir / "rollout", force=True), run_dir, Silent())
    assert (run_dir / "rollout" / "cv.csv").read_text() == "of the rollout"


def assert_shown_whole(dataset, n):
    """Beside a rollout of the whole way or of its second half stand those frames of the whole trajectory."""
    block = dataset.of_split("test")[0]
    values = dataset.cv_values
    for n_steps, target, first in ((n - 1, None, 0), (10, float(values[-1]), 10)):
        report_of = {"time_per_step_ps": 10.0, "target": target, "schedule_sha256": None}
        target_cv = values[None, first : first + n_steps + 1]
        way = way_of(report_of, dataset, n_steps, target_cv)
        assert way.cv is not None
        shown = frames_to_show(dataset, block, n_steps + 1, way)
        np.testing.assert_array_equal(shown, np.arange(first, first + n_steps + 1))


def test_blocks_of_one_trajectory_are_compared_at_the_same_cv(run_dir, tmp_path):
    """A rollout along the whole way, held against the part of it that was held back."""
    whole, n = PULLS[6], len(PULLS[6])
    bounds = {"train": (0, n // 3), "test": (n // 3, 2 * n // 3), "validation": (2 * n // 3, n)}
    write_dataset(
        run_dir / "dataset.h5",
        structure=STRUCTURE,
        terms=geometry_terms(STRUCTURE.bonds, whole.astype(float)),
        cv=CV,
        pulls=[Pull(split, *where, split, "one.dcd") for split, where in bounds.items()],
        positions=whole,
        times_ps=10.0 * np.arange(n),
        cv_values=end_to_end(whole).astype(float),
    )
    assert_shown_whole(open_dataset(run_dir / "dataset.h5"), n)
    paths = write_pulls(run_dir / "rollout", [whole])
    step = 10.0 * n / (n - 1)
    report_of = {"kind": "rollout", "time_per_step_ps": step, "target": None, "schedule_sha256": None}
    (run_dir / "rollout" / "rollout.json").write_text(json.dumps(report_of))
    target_cv = [f"{frame},0,0,0,{value}" for frame, value in enumerate(end_to_end(whole))]
    text = "\n".join(["frame,time_ps,pull,end_to_end_A,end_to_end_aim_A", *target_cv])
    (run_dir / "rollout" / "cv.csv").write_text(text)
    progress = Silent()
    result = analyze.run(AnalyzeConfig(paths), run_dir, progress)
    assert (result.met, result.goals) == (0, 0)
    assert result.verdict.startswith("The frames are like MD in all 7 measures. ")
    assert "Not judged: there are no independent pulls" in result.verdict
    assert ("goals met", "none judged") in result.summary()
    assert {row["met"] for row in table(run_dir / "analysis", "quality.csv")} == {""}
    assert not {cells.split()[-1] for _, cells in result.lines} & {"yes", "no"}
    away = column(run_dir / "analysis", "rmsd_to_nearest_real_A")
    assert away[slice(*bounds["test"])].max() < 1e-3
    assert away[[0, -1]].min() > 1
    assert any("blocks of a trajectory" in note for note in progress.notes)
