"""Centre and work of frames: rows found by step, other trajectories' tables refused."""

import dataclasses

import numpy as np
import pytest

from smdgen.io.tables.colvars import ColvarsTable, write_colvars_traj
from smdgen.io.tables.pull_labels import LabelledFrames, read_labels, tables_beside
from smdgen.io.tables.pull_proof import moves_along, thermal_ratio

N_FRAMES = 20
STEPS = 500 * np.arange(1, N_FRAMES + 1)  # as NAMD writes: the first frame after 500 steps
DISTANCE = np.linspace(12.0, 30.0, N_FRAMES)


def table(**columns):
    """A row every 100 steps from step 0, as Colvars writes more often than NAMD writes frames."""
    steps = 100 * np.arange(5 * N_FRAMES + 1)
    given = {name: np.interp(steps, STEPS, values) for name, values in columns.items()}
    return ColvarsTable(steps, given)


def labels(path, steps=STEPS, chosen=None, values=DISTANCE, name="d", unit="A"):
    chosen = np.arange(N_FRAMES) if chosen is None else chosen
    return read_labels((path,), LabelledFrames(N_FRAMES, chosen, steps, None, name, unit, values[chosen]))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.colvars.traj"


def test_tables_have_the_stem_of_the_trajectory(tmp_path):
    trajectory = tmp_path / "pull.1.dcd"
    log = tmp_path / "pull.1.log"
    log.write_text("ENERGY: 1\n")
    assert tables_beside(trajectory) == (), "a log without steered MD"
    log.write_text("ENERGY: 1\nSMD  0 1 2 3 4 5 6\n")
    assert tables_beside(trajectory) == (log,)
    found = {"pull.1_pullx.xvg", "pull.1_pullf.xvg"}
    for name in found:
        (tmp_path / name).touch()
    assert {path.name for path in tables_beside(trajectory)} == found
    for name in ("COLVAR.pull.1", "pull.1.colvar", "pull.1.colvars.traj"):
        (tmp_path / name).touch()
        assert tables_beside(trajectory) == (tmp_path / name,)


def test_rows_are_found_by_step_and_stride(path):
    write_colvars_traj(path, table(d=DISTANCE, x0_d=DISTANCE + 1, W_h=2 * DISTANCE))
    chosen = np.arange(0, N_FRAMES, 3)
    found = labels(path, chosen=chosen)
    np.testing.assert_allclose(found.centre, DISTANCE[chosen] + 1)
    np.testing.assert_allclose(found.work, 2 * DISTANCE[chosen])
    assert found.notes == ()


def test_the_variable_is_known_by_its_values_when_its_name_differs(path):
    other = DISTANCE[::-1].copy()
    write_colvars_traj(path, table(r=other, x0_r=other, ete=DISTANCE, x0_ete=DISTANCE + 2, W_h=DISTANCE))
    found = labels(path)
    np.testing.assert_allclose(found.centre, DISTANCE + 2)


@pytest.mark.parametrize("extra", [0, 1])
def test_without_steps_rows_go_one_to_one_if_the_variable_agrees(path, extra):
    values = np.concatenate([[11.0] * extra, DISTANCE])
    write_colvars_traj(path, ColvarsTable(7 * np.arange(N_FRAMES + extra), {"d": values, "W_h": values}))
    np.testing.assert_allclose(labels(path, steps=None).work, DISTANCE)


@pytest.mark.parametrize(
    ("n_rows", "row_of_first"), [(5 * N_FRAMES - 4, 0), (5 * N_FRAMES + 1, 5), (5 * N_FRAMES, 4)]
)
def test_without_a_clock_every_few_rows_are_taken_if_the_variable_agrees(path, n_rows, row_of_first):
    """Frames that another program copied (mere numbers as steps), of a table that was written more often."""
    places = row_of_first + 5 * np.arange(N_FRAMES)
    values = np.interp(np.arange(n_rows), places, DISTANCE)
    write_colvars_traj(path, ColvarsTable(100 * np.arange(n_rows), {"d": values, "x0_d": values + 1}))
    chosen = np.arange(0, N_FRAMES, 2)
    np.testing.assert_allclose(labels(path, np.arange(N_FRAMES), chosen).centre, DISTANCE[chosen] + 1)
    assert labels(path, None, values=DISTANCE + 0.1).centre is None
    assert labels(path, STEPS + 37).centre is None, "the frames' own steps say otherwise"


@pytest.mark.parametrize("name", ["a_COLVAR", "COLVAR-a", "pullx_a.xvg", "a.pullx.xvg"])
def test_the_parts_of_a_tables_name_are_joined_in_any_way(tmp_path, name):
    (tmp_path / name).touch()
    assert tables_beside(tmp_path / "a.xtc") == (tmp_path / name,)


@pytest.mark.parametrize("names", [("COLVAR",), ("pullx.xvg", "pullf.xvg"), ("pullf.xvg",)])
def test_the_programs_own_names_count_beside_the_only_trajectory(tmp_path, names):
    for name in ("traj.xtc", "conf.gro", *names):
        (tmp_path / name).touch()
    assert tables_beside(tmp_path / "traj.xtc") == tuple(tmp_path / name for name in names)
    (tmp_path / "other.xtc").touch()
    assert tables_beside(tmp_path / "traj.xtc") == ()


def test_a_table_of_another_trajectory_is_left_out_with_a_note(path):
    write_colvars_traj(path, table(d=DISTANCE + 0.3, x0_d=DISTANCE, W_h=DISTANCE))
    found = labels(path)
    assert found.centre is None
    assert found.work is None
    assert "up to 0.30 A from that of the frames" in found.notes[0]


def test_work_that_nothing_verified_is_left_out(path):
    """Another variable, or another trajectory under another name: the values tell, not the names."""
    write_colvars_traj(path, table(angle=DISTANCE * 3, x0_angle=DISTANCE * 3, W_h=DISTANCE))
    found = labels(path)
    assert (found.centre, found.work) == (None, None)
    (note,) = found.notes
    assert "its variables (angle) are not the CV d" in note
    assert "work and centre are left out: give the variable that was pulled with --cv" in note


def test_a_spring_on_another_variable_is_noted(path):
    """The table is that of the frames, as their CV is in it; the work is real, the CV was not pulled."""
    other = 40 - DISTANCE
    write_colvars_traj(path, table(d=DISTANCE, e=other, x0_e=other + 0.5, W_h=DISTANCE))
    found = labels(path)
    assert found.centre is None
    np.testing.assert_allclose(found.work, DISTANCE)
    assert "the spring acted on e, not on the CV d" in found.notes[0]


def spring_pull(n=400, constant=1.0, seed=0):
    """Variable, centre (A) and work (kcal/mol) of a spring at 300 K."""
    random = np.random.default_rng(seed)
    centre = np.linspace(12.0, 34.0, n)
    x = centre - 1.0 + np.sqrt(0.5962 / constant) * random.standard_normal(n)
    apart = centre - x
    work = np.concatenate([[0.0], np.cumsum(constant * 0.5 * (apart[1:] + apart[:-1]) * np.diff(centre))])
    return x, centre, work


@pytest.mark.parametrize("name", ["d", "dist"])
def test_the_units_of_colvars_in_gromacs_are_proved_by_the_variable(path, name):
    """nm and kJ/mol: the variable is a tenth of the CV, so the work is divided by 4.184."""
    x, centre, work = spring_pull()
    columns = {name: x / 10, f"x0_{name}": centre / 10, "W_smd": work * 4.184}
    write_colvars_traj(path, ColvarsTable(np.arange(len(x)), columns))
    every = np.arange(len(x))
    found = read_labels((path,), LabelledFrames(len(x), every, every, None, "d", "A", x))
    np.testing.assert_allclose(found.centre, centre)
    np.testing.assert_allclose(found.work, work)
    assert found.notes == ()


def test_work_in_a_unit_that_does_not_fit_the_fluctuations_is_left_out(path):
    x, centre, work = spring_pull()
    assert thermal_ratio(x, centre, work) == pytest.approx(1.0, abs=0.15)
    every = np.arange(len(x))
    frames = LabelledFrames(len(x), every, every, None, "d", "A", x)
    write_colvars_traj(path, ColvarsTable(every, {"d": x, "x0_d": centre, "W_smd": work * 4.184}))
    found = read_labels((path,), frames)
    assert found.centre is not None
    assert found.work is None
    assert "so the unit is in doubt and work is left out" in found.notes[0]
    np.testing.assert_allclose(read_labels((path,), frames, "A kJ/mol ps").work, work)


def test_a_wrapped_dihedral_centre_is_no_jump(path):
    values = np.linspace(150.0, 210.0, N_FRAMES)
    wrapped = (values + 180) % 360 - 180
    write_colvars_traj(path, ColvarsTable(STEPS, {"phi": wrapped, "x0_phi": wrapped, "W_h": values}))
    notes = labels(path, values=wrapped, name="phi", unit="deg").notes
    assert not any("jumps" in note for note in notes)


def test_the_unit_of_work_along_an_angle_needs_a_proof(path):
    """Degrees are degrees in NAMD and in GROMACS: the spring's fluctuations tell kcal/mol from kJ/mol."""
    x, centre, work = (
        values * 10 for values in spring_pull()
    )  # 0.01 of the constant in a hundred of the unit
    every = np.arange(len(x))
    frames = LabelledFrames(len(x), every, every, None, "phi", "deg", (x + 180) % 360 - 180)
    for energy, rows, is_known in ((1.0, every, True), (4.184, every, False), (1.0, every[:40], False)):
        columns = {"phi": x[rows], "x0_phi": centre[rows], "W_h": energy * work[rows] / 10}
        write_colvars_traj(path, ColvarsTable(every[rows], columns))
        own = LabelledFrames(len(rows), rows, rows, None, "phi", "deg", frames.cv_values[rows])
        assert (read_labels((path,), own).work is not None) is is_known


@pytest.mark.parametrize(("length", "energy"), [(1.0, 1.0), (0.1, 4.184)])
def test_a_spring_on_another_distance_keeps_its_work_if_the_unit_is_proved(path, length, energy):
    """The CV is not in the table, so A and nm cannot be told apart; but k var = kT takes no length."""
    x, centre, work = spring_pull()
    every, noise = np.arange(len(x)), np.random.default_rng(5).normal(0, 0.2, len(x))
    columns = {"dist": x * length, "x0_dist": centre * length, "W_h": work * energy}
    write_colvars_traj(path, ColvarsTable(every, columns))
    frames = LabelledFrames(len(x), every, every, None, "d", "A", 0.8 * x + 2.0 + noise)
    found = read_labels((path,), frames)
    assert found.centre is None
    np.testing.assert_allclose(found.work, work)
    assert "The spring acted on dist" in found.notes[-1]
    other = spring_pull(seed=7)[0]
    found = read_labels((path,), dataclasses.replace(frames, cv_values=0.8 * other + 2.0 + noise))
    assert found.work is None, "another pull of the same protocol"


def test_other_variables_are_of_the_same_frames_if_they_fluctuate_together():
    random = np.random.default_rng(0)
    pull = np.linspace(12, 30, 60) + random.normal(size=60)
    near, other = 0.7 * pull + random.normal(0, 0.1, 60), np.linspace(12, 30, 60) + random.normal(size=60)
    assert moves_along(pull, near)
    assert not moves_along(pull, other)
    assert not moves_along(DISTANCE, DISTANCE**2), "smooth curves show nothing"
    assert not moves_along(pull, np.full(60, 3.0))


def test_rows_that_cannot_be_told_are_left_out(path):
    write_colvars_traj(path, ColvarsTable(np.arange(7), {"W_h": np.arange(7.0)}))
    found = labels(path)
    assert found.work is None
    assert "7 rows whose steps are not those of the 20 frames" in found.notes[0]


def test_work_of_the_other_sign_is_left_out(path):
    """What the molecule does to the spring, as of a script that integrates the reaction force."""
    random = np.random.default_rng(2)
    centre = np.linspace(12.0, 30.0, N_FRAMES)
    x = centre - random.normal(0.5, 0.5, N_FRAMES)
    work = np.concatenate([[0.0], np.cumsum(1.5 * ((centre - x)[1:] + (centre - x)[:-1]) * np.diff(centre))])
    for sign in (1, -1):
        write_colvars_traj(path, ColvarsTable(STEPS, {"d": x, "x0_d": centre, "W_h": sign * work}))
        found = labels(path, values=x)
        assert found.centre is not None
        assert (found.work is None) is (sign < 0)
    assert any("sign is in doubt" in note for note in found.notes)


def test_several_works_are_not_added_up(path):
    write_colvars_traj(path, table(d=DISTANCE, x0_d=DISTANCE, W_a=DISTANCE, W_b=DISTANCE))
    found = labels(path)
    assert found.work is None
    assert found.centre is not None
    assert "W_a, W_b" in found.notes[0]


def test_angles_agree_across_the_turn(path):
    values = np.linspace(170.0, 190.0, N_FRAMES)
    wrapped = (values + 180) % 360 - 180
    write_colvars_traj(path, ColvarsTable(STEPS, {"phi": values, "x0_phi": values}))
    assert labels(path, values=wrapped, name="phi", unit="deg").centre is not None
