"""The simulate stage: files, resuming, refusals, and pulls that fail."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import openmm
import pytest

from smdgen.config import SimulateConfig
from smdgen.errors import ArtifactError, ConfigError, SimulationError, TopologyError, TrajectoryError
from smdgen.io.structures.structure import find_topology, read_positions, read_structure, write_pdb
from smdgen.io.tables.colvars import read_colvars_traj
from smdgen.io.trajectories.dcd import DcdFile
from smdgen.progress import Silent
from smdgen.stages import simulate
from smdgen.stages.simulate import SimulatedPull, SimulateResult, plan
from smdgen.steered_md import plan as pull_plan
from smdgen.steered_md import replicas
from smdgen.steered_md.plan import plan_pulls
from tests.conftest import PullFiles
from tests.tools.other_formats import write_netcdf

EXAMPLE = Path(__file__).parents[2] / "examples" / "deca_alanine"


def spring_system(file: Path) -> Path:
    """Write a System XML that is cheap to read: the bonds of the example as springs, nothing else."""
    structure = read_structure(EXAMPLE / "deca_alanine.psf")
    start = read_positions(EXAMPLE / "deca_alanine.pdb", 104) / 10
    system, springs = openmm.System(), openmm.HarmonicBondForce()
    for mass in structure.masses:
        system.addParticle(mass)
    for i, j in structure.bonds.tolist():
        springs.addBond(i, j, float(np.linalg.norm(start[i] - start[j])), 1e5)
    system.addForce(springs)
    file.write_text(openmm.XmlSerializer.serialize(system))
    return file


def short_pulls(forces: Path, output: Path, replicas: int = 2) -> SimulateConfig:
    """Pulls of 20 steps and 5 frames of `spring_system`."""
    return SimulateConfig(
        structure=EXAMPLE / "deca_alanine.psf",
        coordinates=EXAMPLE / "deca_alanine.pdb",
        parameters=(forces,),
        solvent="vacuum",
        start_centre=12.0,
        end_centre=16.0,
        duration_ps=0.02,
        timestep_fs=1.0,
        minimisation_steps=5,
        replicas=replicas,
        frames=5,
        workers=1,
        output=output,
    )


@pytest.fixture(scope="session")
def forces(tmp_path_factory) -> Path:
    return spring_system(tmp_path_factory.mktemp("forces") / "system.xml")


@pytest.fixture
def config(forces, tmp_path) -> SimulateConfig:
    return short_pulls(forces, tmp_path / "pulls")


def run(config: SimulateConfig) -> SimulateResult:
    return simulate.run(config, Path("unused"), Silent())


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_a_pull_is_a_dcd_with_true_times_and_a_table_with_a_row_a_frame(config):
    result = run(config)
    assert [pull.trajectory.name for pull in result.pulls] == ["pull_000.dcd", "pull_001.dcd"]
    table = read_colvars_traj(config.output / "pull_000.colvars.traj")
    with DcdFile(config.output / "pull_000.dcd") as dcd:
        np.testing.assert_allclose(dcd.times_ps, [0.0, 0.005, 0.010, 0.015, 0.020], rtol=1e-5)
        assert not dcd.notes
        frames = dcd.read()
    assert list(table.columns) == ["end_to_end", "x0_end_to_end", "W_pull"]
    np.testing.assert_array_equal(table.steps, [0, 5, 10, 15, 20])
    np.testing.assert_allclose(table.columns["x0_end_to_end"], [12, 13, 14, 15, 16])
    structure = read_structure(config.structure)
    first, *_, last = np.flatnonzero(structure.names == "CA")
    measured = np.linalg.norm(frames[:, last] - frames[:, first], axis=1)
    np.testing.assert_allclose(table.columns["end_to_end"], measured, atol=1e-4)
    assert result.pulls[0].work == table.columns["W_pull"][-1]
    assert read_structure(find_topology(result.pulls[0].trajectory)).atom_hash == structure.atom_hash
    assert "atomNumbers 4" in (config.output / "pull_000.colvars.in").read_text()


def test_a_rerun_goes_on_at_the_missing_pull_and_gives_the_same_bytes(config):
    run(config)
    whole = contents(config.output)
    (config.output / "pull_001.dcd").unlink()
    (config.output / ".smdgen-tmp-999999999-dead.dcd").write_bytes(b"of a killed run")
    before = (config.output / "pull_000.dcd").stat().st_mtime_ns
    result = run(config)
    assert result.n_made == 1
    assert contents(config.output) == whole
    assert (config.output / "pull_000.dcd").stat().st_mtime_ns == before
    more = run(dataclasses.replace(config, replicas=3))
    assert (more.n_made, len(more.pulls)) == (1, 3)
    assert run(dataclasses.replace(config, replicas=3)).n_made == 0


def test_pull_i_uses_seed_plus_i(config):
    """Pull 1 of seed 1 is pull 0 of seed 2."""
    run(config)
    shifted = dataclasses.replace(config, seed=2, replicas=1, output=config.output.parent / "other")
    run(shifted)
    assert contents(shifted.output)["pull_000.dcd"] == contents(config.output)["pull_001.dcd"]
    assert contents(config.output)["pull_000.dcd"] != contents(config.output)["pull_001.dcd"]


def test_pulls_of_other_settings_are_refused_and_left_alone(config):
    run(config)
    before = contents(config.output)
    stiffer = dataclasses.replace(config, spring_constant=2.0)
    with pytest.raises(ArtifactError, match=r"spring_constant was 1\.0, is 2\.0.*--force"):
        run(stiffer)
    assert contents(config.output) == before
    result = run(dataclasses.replace(stiffer, force=True, replicas=1))
    assert len(result.pulls) == 1
    assert not (config.output / "pull_001.dcd").exists()
    assert json.loads((config.output / "protocol.json").read_text())["spring_constant"] == 2.0


def test_force_makes_pulls_of_the_same_settings_again(config):
    """And of what else is in the folder nothing is touched."""
    run(config)
    for name in ("pull_notes.txt", "pull_folder/pull_000.dcd", "pull_000_aligned.dcd", "pull_all.dcd"):
        (config.output / name).parent.mkdir(exist_ok=True)
        (config.output / name).write_text("mine")
    (config.output / "pull_001.colvars.in").write_text("old")
    again = dataclasses.replace(config, force=True)
    assert dict(plan(again, Path("unused")))["to make"].startswith("2 of 2")
    assert run(again).n_made == 2
    assert (config.output / "pull_000_aligned.dcd").read_text() == "mine"
    assert (config.output / "pull_all.dcd").read_text() == "mine"
    assert (config.output / "pull_001.colvars.in").read_text() != "old"
    assert (config.output / "pull_notes.txt").read_text() == "mine"
    assert (config.output / "pull_folder" / "pull_000.dcd").read_text() == "mine"


def test_the_target_has_to_be_given(config):
    """The error says where the distance is now, in the start structure and for the CV that was chosen."""
    aimless = dataclasses.replace(config, end_centre=None)
    for run_or_plan in (run, lambda of: plan(of, Path("unused"))):
        with pytest.raises(ConfigError, match=r"--to is missing: end_to_end is 14\.\d A .* --to 25 for 10 A"):
            run_or_plan(aimless)
    with pytest.raises(ConfigError, match=r"--to is missing: d is 2\.\d A"):
        run(dataclasses.replace(aimless, pulled="d=distance(resid 1 and name N; resid 1 and name C)"))
    assert not config.output.exists()


def test_pulls_that_exist_tell_their_target(config):
    """The command without --to continues them; --force, which deletes them, needs the target again."""
    run(config)
    progress = Silent()
    aimless = dataclasses.replace(config, end_centre=None, replicas=3)
    assert simulate.run(aimless, Path("unused"), progress).n_made == 1
    assert any(note.startswith("--to 16, as the pulls in") for note in progress.notes)
    with pytest.raises(ConfigError, match="--to is missing"):
        run(dataclasses.replace(aimless, force=True))
    assert len(list(config.output.glob("pull_*.dcd"))) == 3


def backbone_pulls(pull_files: PullFiles, tmp_path: Path) -> SimulateConfig:
    """Pulls of the made-up backbone, whose PSF has one parameter file beside it."""
    start = tmp_path / "start.pdb"
    write_pdb(start, pull_files.structure, pull_files.positions[0][0])
    return SimulateConfig(
        pull_files.topology, start, end_centre=15.0, duration_ps=0.02, timestep_fs=1.0, minimisation_steps=5,
        frames=5, solvent="vacuum", output=tmp_path / "pulls",
    )  # fmt: skip


def test_the_parameter_file_beside_a_psf_is_used_and_named(pull_files, tmp_path):
    """It gives the pulls that naming it gives; the table, protocol.json and the next command name it."""
    config, progress = backbone_pulls(pull_files, tmp_path), Silent()
    result = simulate.run(config, Path("unused"), progress)
    assert any(note.startswith("parameters from backbone.prm beside system.psf") for note in progress.notes)
    assert dict(result.summary())["forces"].startswith("system.psf with backbone.prm, ")
    assert json.loads((config.output / "protocol.json").read_text())["forces"][0].endswith("backbone.prm")
    assert result.hints[0].endswith(f"pull_*.dcd --params {pull_files.parameters}")
    named = dataclasses.replace(config, parameters=(pull_files.parameters,))
    assert run(named).n_made == 0
    assert run(dataclasses.replace(config, replicas=2)).n_made == 1


def test_of_several_parameter_files_beside_a_psf_one_has_to_be_chosen(pull_files, tmp_path):
    config = backbone_pulls(pull_files, tmp_path)
    shutil.copyfile(pull_files.parameters, pull_files.folder / "a_copy.prm")
    (pull_files.folder / "other.prm").write_text(pull_files.parameters.read_text().replace("620.0", "630.0"))
    with pytest.raises(ConfigError, match=r"a_copy\.prm, other\.prm: each of these files"):
        run(config)
    assert run(dataclasses.replace(config, parameters=(pull_files.folder / "other.prm",))).n_made == 1


def test_a_parameter_file_that_does_not_describe_the_psf_is_left_and_named(tmp_path):
    for file in ("deca_alanine.psf", "deca_alanine.pdb"):
        shutil.copyfile(EXAMPLE / file, tmp_path / file)
    (tmp_path / "water.prm").write_text("NONBONDED\nOT 0.0 -0.15 1.77\nEND\n")
    (tmp_path / "run.inp").write_text("* a script, no parameters\n")
    config = SimulateConfig(tmp_path / "deca_alanine.psf", end_centre=15.0, output=tmp_path / "pulls")
    made = plan_pulls(config)
    assert made.identity["forces"][0] == "force field charmm36"
    assert any(note.startswith("water.prm beside deca_alanine.psf: not used") for note in made.notes)
    chosen = plan_pulls(dataclasses.replace(config, forcefield="charmm36"))
    assert not any("water.prm" in note for note in chosen.notes)


def test_pulls_of_a_force_field_continue_though_a_parameter_file_lies_beside(pull_files, tmp_path):
    """Versions before this rule made them with charmm36."""
    config = backbone_pulls(pull_files, tmp_path)
    config.output.mkdir()
    (config.output / "protocol.json").write_text('{"forces": ["force field charmm36", "vacuum"]}')
    with pytest.raises(TopologyError, match="force field charmm36 does not fit"):
        plan_pulls(config)
    assert plan_pulls(dataclasses.replace(config, force=True)).parameters == (pull_files.parameters,)


def test_pulls_of_another_start_or_other_charges_are_refused(config, tmp_path):
    run(config)
    before = contents(config.output)
    structure = read_structure(config.coordinates)
    moved = tmp_path / "moved.pdb"
    write_pdb(moved, structure, structure.positions + np.where(np.arange(104) == 50, 0.2, 0.0)[:, None])
    with pytest.raises(ArtifactError, match=r"other settings .*: other start coordinates; give"):
        run(dataclasses.replace(config, coordinates=moved))
    heavier = tmp_path / config.parameters[0].name
    heavier.write_text(config.parameters[0].read_text().replace("100000", "100001"))
    with pytest.raises(ArtifactError, match=r"other settings .*: other charges or force-field terms"):
        run(dataclasses.replace(config, parameters=(heavier,)))
    assert contents(config.output) == before


def test_pulls_of_a_version_that_recorded_less_go_on(config):
    """But not with other settings."""
    run(config)
    file = config.output / "protocol.json"
    known = json.loads(file.read_text())
    less = {key: value for key, value in known.items() if not key.endswith("_hash")}
    file.write_text(json.dumps(less))
    with pytest.raises(ArtifactError, match=r"\): spring_constant was 1\.0, is 2\.0; give"):
        run(dataclasses.replace(config, spring_constant=2.0))
    assert run(dataclasses.replace(config, replicas=3)).n_made == 1
    assert json.loads(file.read_text()) == known


@pytest.mark.parametrize("force", [False, True])
def test_pulls_made_otherwise_are_not_continued_or_deleted(config, force):
    config.output.mkdir(parents=True)
    (config.output / "pull_007.dcd").write_bytes(b"of a rollout")
    with pytest.raises(ArtifactError, match=r"pull_007\.dcd but no protocol\.json: not made by"):
        run(dataclasses.replace(config, force=force))
    assert contents(config.output) == {"pull_007.dcd": b"of a rollout"}


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[]"])
def test_a_damaged_protocol_is_refused(config, content):
    config.output.mkdir(parents=True)
    (config.output / "protocol.json").write_bytes(content)
    with pytest.raises(ArtifactError, match="it cannot be read"):
        run(config)


def fail_at(monkeypatch, indices: set[int], error: BaseException) -> None:
    """Let some pulls end with an error."""
    real = replicas._make

    def make(job, index, on_frame):
        if index in indices:
            raise error
        return real(job, index, on_frame)

    monkeypatch.setattr(replicas, "_make", make)


def test_a_failing_pull_is_reported_and_the_others_go_on(config, monkeypatch):
    fail_at(monkeypatch, {0}, SimulationError("coordinates became NaN at 0.005 ps"))
    result = run(config)
    assert [pull.trajectory.name for pull in result.pulls] == ["pull_001.dcd"]
    assert result.exit_code == 1
    assert result.failed == ("pull 0 failed (seed 1): coordinates became NaN at 0.005 ps",)
    assert any("pull 0 failed" in value for _, value in result.summary())


def test_when_all_pulls_fail_the_run_fails(config):
    with pytest.raises(SimulationError, match=r"all 2 pulls failed.*NaN|all 2 pulls failed.*OpenMM"):
        run(dataclasses.replace(config, timestep_fs=2000.0, duration_ps=40.0))
    assert not list(config.output.glob("pull_*"))


def test_speed_and_work_beyond_sense_are_noted(config):
    """4 ps for 20 A is 5,000 A/ns; works that differ by 12 kcal/mol are no basis for an average."""
    hasty = dataclasses.replace(config, start_centre=14.0, end_centre=34.0, duration_ps=4.0, frames=3)
    (note,) = [text for name, text in plan(hasty, Path("unused")) if name == "note" and "A/ns" in text]
    assert note.startswith("the spring moves at 5e+03 A/ns; usual pulls take 1 to 100 A/ns")
    slow = dataclasses.replace(hasty, duration_ps=1000.0)
    assert not [text for name, text in plan(slow, Path("unused")) if name == "note" and "A/ns" in text]
    pulls = tuple(SimulatedPull(Path("a"), 34.0, work) for work in (60.0, 84.0))
    common = {
        "output": Path("o"),
        "n_made": 2,
        "failed": (),
        "parameters": (),
        "forces": ("x",),
        "jarzynski": 60.0,
    }
    wild = SimulateResult(pulls=pulls, n_atoms=9, platform="Reference", ns_per_day=1.0, **common)
    assert "the work differs by 12.0 kcal/mol between pulls (20 kT)" in dict(wild.summary())["note"]
    tame = dataclasses.replace(wild, pulls=(pulls[0], pulls[0]))
    assert "note" not in dict(tame.summary())


def test_a_dry_run_estimates_time_and_disk(config):
    rows = dict(plan(dataclasses.replace(config, duration_ps=40_000.0, frames=1001), Path("unused")))
    assert re.fullmatch(
        r"about (\d+ h \d+ min|\d+ min|\d+ s) at \d+ steps/s per pull \(measured now on one\), 2.5 MB",
        rows["estimate"],
    )


def test_an_interrupt_keeps_what_is_finished_and_says_so(config, monkeypatch):
    fail_at(monkeypatch, {1}, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt, match="1 of 2 pulls are in"):
        run(config)
    assert (config.output / "pull_000.dcd").is_file()
    assert not (config.output / "pull_001.dcd").exists()
    assert not list(config.output.glob(".smdgen-tmp*"))


def test_coordinates_are_matched_by_name_not_by_order(config, tmp_path):
    """A PDB that lists residue 10 first is as good."""
    structure = read_structure(EXAMPLE / "deca_alanine.pdb")
    order = np.argsort(-structure.residue_ids, kind="stable")
    from smdgen.io.structures.structure import subset

    shuffled = tmp_path / "shuffled.pdb"
    write_pdb(shuffled, subset(structure, order))
    run(config)
    other = dataclasses.replace(config, coordinates=shuffled, output=tmp_path / "other")
    run(other)
    assert contents(other.output)["pull_000.dcd"] == contents(config.output)["pull_000.dcd"]


@pytest.mark.parametrize("name", ["start.coor", "start.rst7", "start.x"])
def test_coordinates_are_known_by_their_content(config, tmp_path, name):
    """A PDB named .coor is matched by name; a NetCDF trajectory of any name gives its first frame."""
    structure = read_structure(EXAMPLE / "deca_alanine.pdb")
    order = np.argsort(-structure.residue_ids, kind="stable")
    from smdgen.io.structures.structure import subset

    path = tmp_path / name
    if name == "start.coor":
        write_pdb(tmp_path / "a.pdb", subset(structure, order))
        (tmp_path / "a.pdb").rename(path)
    else:
        write_netcdf(path, np.stack([structure.positions, structure.positions + 1]))
    _, positions, _ = pull_plan._start(dataclasses.replace(config, coordinates=path))
    np.testing.assert_allclose(positions, structure.positions, atol=1e-5)


def test_a_pdb_beside_the_psf_is_found(config):
    rows = dict(plan(dataclasses.replace(config, coordinates=None), Path("unused")))
    assert rows["note"] == "coordinates from deca_alanine.pdb"
    assert not config.output.exists()


def test_a_psf_without_coordinates_says_what_to_give(config, tmp_path):
    lonely = tmp_path / "lonely.psf"
    lonely.write_bytes(config.structure.read_bytes())
    with pytest.raises(TopologyError, match=r"has no coordinates; name a PDB"):
        run(dataclasses.replace(config, structure=lonely, coordinates=None))


def test_coordinates_in_another_unit_are_refused(config, tmp_path):
    structure = read_structure(EXAMPLE / "deca_alanine.pdb")
    small = tmp_path / "nm.pdb"
    write_pdb(small, structure, structure.positions / 10)
    with pytest.raises(TrajectoryError):
        run(dataclasses.replace(config, coordinates=small))
    assert not config.output.exists()


def test_the_pulled_distance_can_be_chosen(config):
    run(dataclasses.replace(config, pulled="n_to_c=distance(resid 1 and name N; resid 9 10 and name C)"))
    table = read_colvars_traj(config.output / "pull_000.colvars.traj")
    assert list(table.columns) == ["n_to_c", "x0_n_to_c", "W_pull"]
    text = (config.output / "pull_000.colvars.in").read_text()
    assert len(text.split("group2")[1].split("atomNumbers")[1].split("}")[0].split()) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pulled": "g=gyration(protein)"}, "only a distance"),
        ({"pulled": "d=distance(resid 1; resid 1 2)"}, "share 11 atoms"),
        ({"pulled": "d=distance(resid 99; resid 1)"}, "resid 99"),
        ({"end_centre": float("nan")}, "--to is nan, expected a number from 0 to 10000"),
        ({"end_centre": -5.0}, "--to is -5.0"),
        ({"start_centre": 1e9}, "--from is 1000000000.0"),
        ({"duration_ps": 0.0}, "--duration is 0.0, expected a number above 0"),
        ({"timestep_fs": float("nan")}, "timestep_fs is nan"),
        ({"frames": 1}, "frames is 1, expected 2 or more"),
        ({"seed": 0}, "seed is 0"),
        ({"replicas": 0}, "replicas is 0"),
        ({"platform": "Abacus"}, "Abacus.*Reference"),
        ({"equilibration_ps": -1.0}, "equilibration_ps"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(config, change, message):
    with pytest.raises(ConfigError, match=message):
        run(dataclasses.replace(config, **change))
    assert not config.output.exists()


def test_two_workers_make_what_one_makes(config, tmp_path):
    run(config)
    parallel = dataclasses.replace(config, workers=2, output=tmp_path / "parallel")
    run(parallel)
    assert contents(parallel.output) == contents(config.output)


def test_a_completed_pdb_keeps_its_chains_and_residue_numbers(config, tmp_path):
    """Its own numbers are those of --cv, and those of the topology beside the pulls."""
    from smdgen.io.structures.structure import subset

    structure = read_structure(EXAMPLE / "deca_alanine.pdb")
    heavy = np.flatnonzero((structure.elements != "H") & (structure.names != "NT"))
    bare = subset(structure, heavy)
    n = bare.n_atoms
    labels = {
        "residue_ids": bare.residue_ids + 5,
        "chain_ids": np.full(n, "Q"),
        "segment_ids": np.full(n, ""),
    }
    write_pdb(tmp_path / "bare.pdb", dataclasses.replace(bare, **labels))
    pulled = "d=distance(chain Q and resid 7 and name CA; resid 14 and name CA)"
    own = {"structure": tmp_path / "bare.pdb", "coordinates": None, "parameters": (), "pulled": pulled}
    made = plan_pulls(dataclasses.replace(config, **own))
    assert set(made.structure.chain_ids) == {"Q"}
    assert made.structure.residue_ids.min() == 6
    assert made.structure.residue_ids.max() == 15
    ca = np.flatnonzero(bare.names == "CA")
    there = made.structure.positions[[group[0] for group in made.cv.groups]]
    np.testing.assert_allclose(there, bare.positions[ca[[1, 8]]], atol=2e-3)


@pytest.mark.parametrize(("fits", "words"), [("amber14", r"--forcefield amber14 fits$"), ("", "and caps$")])
def test_a_force_field_that_does_not_fit_names_the_residue_and_one_that_does(
    config, tmp_path, monkeypatch, fits, words
):
    """OpenMM counts residues from 0 and gives advice to programmers; the file's own numbers help more."""
    asked = []
    monkeypatch.setattr(pull_plan, "another_that_fits", lambda of, name: asked.append(name) or fits)
    lines = (EXAMPLE / "deca_alanine.pdb").read_text().splitlines(keepends=True)
    lost = [line for line in lines if line[12:16].strip() == "HB2" and line[22:26].strip() == "4"]
    (tmp_path / "odd.pdb").write_text("".join(line for line in lines if line not in lost))
    own = {"structure": tmp_path / "odd.pdb", "coordinates": None, "parameters": (), "end_centre": 20.0}
    with pytest.raises(TopologyError, match=words) as caught:
        plan_pulls(dataclasses.replace(config, **own))
    assert asked == ["charmm36"]
    assert "ALA 4 (The set of heavy atoms matches ALA, but the residue is missing 1 H atom);" in str(
        caught.value
    )


def test_a_ligand_without_parameters_is_named_behind_missing_hydrogens(config, tmp_path):
    """The residues that PDBFixer completes are no news; the one that no force field knows is."""
    from smdgen.io.structures.structure import subset

    structure = read_structure(EXAMPLE / "deca_alanine.pdb")
    heavy = np.flatnonzero((structure.elements != "H") & (structure.names != "NT"))
    write_pdb(tmp_path / "bare.pdb", subset(structure, heavy))
    lines = [line for line in (tmp_path / "bare.pdb").read_text().splitlines() if line[:3] != "END"]
    lines += [
        f"HETATM{900 + i:5d}  {name}  LIG L 201    {60 + 1.4 * i:8.3f}{0:8.3f}{0:8.3f}"
        for i, name in enumerate(("C1", "C2", "C3"))
    ]
    (tmp_path / "complex.pdb").write_text("\n".join([*lines, "END", ""]))
    own = {"structure": tmp_path / "complex.pdb", "coordinates": None, "parameters": (), "end_centre": 20.0}
    with pytest.raises(TopologyError, match=r"with all hydrogens added, .*no template for L LIG 201 \("):
        plan_pulls(dataclasses.replace(config, **own))


def test_a_pdb_without_hydrogens_is_completed(config, tmp_path):
    """The heavy atoms of a plain peptide: hydrogens are added, and the topology beside the pulls has them."""
    from smdgen.io.structures.structure import subset

    structure = read_structure(EXAMPLE / "deca_alanine.pdb")
    heavy = np.flatnonzero((structure.elements != "H") & (structure.names != "NT"))
    bare = tmp_path / "bare.pdb"
    write_pdb(bare, subset(structure, heavy))
    progress = Silent()
    complete = dataclasses.replace(config, structure=bare, coordinates=None, parameters=(), replicas=1)
    result = simulate.run(complete, Path("unused"), progress)
    assert result.n_atoms > 2 * len(heavy)
    assert any("added by PDBFixer" in note for note in progress.notes)
    assert read_structure(config.output / "topology.pdb").n_atoms == result.n_atoms


def test_the_estimate_is_of_the_steps_alone(config, monkeypatch):
    """Minimisation takes a time of its own: 3 s here, of which no step may be charged."""
    plan = plan_pulls(config)
    clock = {"now": 0.0}

    def pull(*arguments):
        protocol, on_frame = arguments[3], arguments[-1]
        clock["now"] += 3.0
        for frame in range(protocol.n_steps // protocol.steps_per_frame):
            clock["now"] += protocol.steps_per_frame / 500
            on_frame(frame)

    monkeypatch.setattr(replicas, "run_pull", pull)
    monkeypatch.setattr(replicas.time, "perf_counter", lambda: clock["now"])
    assert replicas.measured_rate(plan.job) == pytest.approx(500)
