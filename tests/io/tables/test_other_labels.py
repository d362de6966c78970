"""Labels of PLUMED, GROMACS and NAMD: one pull with a known spring, written as each of them writes it."""

import numpy as np
import pytest
import scipy.signal

from smdgen.errors import ConfigError, TrajectoryError
from smdgen.io.tables.plumed import read_plumed
from smdgen.io.tables.pull_labels import LabelledFrames, read_labels, tables_beside
from smdgen.io.tables.pull_proof import thermal_ratio

N_FRAMES, EVERY = 20, 5  # a frame every 5 rows
TIMES = 0.2 * np.arange(EVERY * (N_FRAMES - 1) + 1)  # ps
STEPS = (500 * TIMES).round().astype(int)  # of 2 fs
SPRING, SPEED = 3.0, 0.9  # kcal/mol/A^2, A/ps
CENTRE = 12.0 + SPEED * TIMES
THERMAL, RATE = np.sqrt(2 * 0.5962 / SPRING), 6.0  # A, 1/ps. As the spring allows at 300 K
D = CENTRE - 0.4 - THERMAL * np.sin(RATE * TIMES)
FORCE = SPRING * (CENTRE - D)  # kcal/mol/A


def exact_work():
    """kcal/mol. The integral of k v (0.4 + A sin wt), by hand."""
    return SPRING * SPEED * (0.4 * TIMES + THERMAL / RATE * (1 - np.cos(RATE * TIMES)))


def frames(values=D, unit="A", steps=True, times=True, shift=0.0):
    rows = EVERY * np.arange(N_FRAMES)
    return LabelledFrames(
        N_FRAMES, np.arange(N_FRAMES), STEPS[rows] if steps else None, TIMES[rows] + shift if times else None,
        "d", unit, values[rows],
    )  # fmt: skip


def check(found, centre=True, work=True):
    rows = EVERY * np.arange(N_FRAMES)
    assert (found.centre is not None, found.work is not None) == (centre, work)
    if centre:
        np.testing.assert_allclose(found.centre, CENTRE[rows], atol=2e-3)
    if work:
        np.testing.assert_allclose(found.work, exact_work()[rows], atol=0.1)  # trapezoids


def lines(*columns, form="%.6f"):
    return "".join(" ".join(form % x for x in row) + "\n" for row in zip(*columns, strict=True))


def plumed(tmp_path, length=0.1, energy=4.184, head=""):
    path = tmp_path / "pull.colvar"
    fields = "#! FIELDS time d r.bias r.force2 r.d_cntr r.d_work r.d_kappa r.work\n"
    work, unused = exact_work() * energy, np.zeros_like(D)
    text = lines(TIMES, D * length, unused, unused, CENTRE * length, work, unused, work)
    path.write_text(fields + head + text)
    return path


def test_plumed_in_its_own_units(tmp_path):
    path = plumed(tmp_path)
    assert tables_beside(tmp_path / "pull.dcd") == (path,)
    check(read_labels((path,), frames()))


def test_plumed_in_angstrom_is_seen_by_its_values_and_its_energies_are_not_guessed(tmp_path):
    path = plumed(tmp_path, 1.0, 1.0)
    found = read_labels((path,), frames())
    check(found, work=False)
    assert any("the unit of its work is not known" in note for note in found.notes)
    check(read_labels((path,), frames(), units="A ps kcal/mol"))
    told = plumed(tmp_path, 1.0, 1.0, "#! SET length_unit A\n#! SET energy_unit kcal/mol\n")
    check(read_labels((told,), frames()))
    with pytest.raises(ConfigError, match="expected one each of nm or A"):
        read_labels((path,), frames(), units="A A ps")


def test_plumed_angles_come_in_radians(tmp_path):
    degrees = np.linspace(150.0, 210.0, len(TIMES))
    wrapped = (degrees + 180) % 360 - 180
    path = tmp_path / "pull.colvar"
    rows = lines(TIMES, np.radians(wrapped), np.radians(degrees))
    path.write_text("#! FIELDS time phi r.phi_cntr\n#! SET min_phi -pi\n" + rows)
    found = read_labels((path,), frames(wrapped, "deg"))
    np.testing.assert_allclose(found.centre, degrees[::EVERY], atol=1e-3)


def test_a_restart_and_a_cut_last_row(tmp_path):
    path = plumed(tmp_path)
    whole = path.read_text().splitlines(keepends=True)
    head, rows = whole[0], whole[1:]
    wrong = [row.replace(" ", " 9", 1) for row in rows[40:50]]
    path.write_text("".join([head, *rows[:40], *wrong, head, *rows[40:], "17.0 1.9"]))
    found = read_labels((path,), frames())
    check(found)
    assert any("restart" in note for note in found.notes)
    path.write_text("".join([head, *rows[:40], "1.0 2.0\n", *rows[40:]]))
    with pytest.raises(TrajectoryError, match=r"line 42: '1.0 2.0' is not 8 numbers"):
        read_labels((path,), frames())


@pytest.mark.parametrize("overlap", [0, 7])
def test_work_that_begins_again_at_a_restart_is_joined(tmp_path, overlap):
    """PLUMED counts from 0 after a restart, which goes back by some rows or goes on with the next."""
    path = plumed(tmp_path)
    head, *rows = path.read_text().splitlines(keepends=True)
    work = exact_work() * 4.184
    begin = 50 - overlap
    since = work - work[begin] if overlap else work - work[49]
    later = []
    for row, w in zip(rows, since, strict=True):
        words = row.split()
        words[5] = words[7] = f"{w:.6f}"
        later.append(" ".join(words) + "\n")
    path.write_text("".join([head, *rows[:50], head, *later[begin:]]))
    found = read_labels((path,), frames())
    check(found)
    assert any("r.work begins again at 0 at a restart; the parts are joined" in note for note in found.notes)
    if not overlap:
        path.write_text("".join([head, *rows[:50], head, *later[55:]]))
        table = read_plumed(path)
        assert table.works == {}, "the work between the parts is not known"
        assert any("rows are missing there" in note for note in table.notes)


def test_work_between_two_parts_that_neither_holds_is_estimated(tmp_path):
    """PLUMED's first row after a restart is work 0 at its own time, which no row before has."""
    path = plumed(tmp_path)
    head, *rows = path.read_text().splitlines(keepends=True)
    work = exact_work() * 4.184
    for i in range(50, len(rows)):
        words = rows[i].split()
        words[5] = words[7] = f"{work[i] - work[50]:.6f}"
        rows[i] = " ".join(words) + "\n"
    path.write_text("".join([head, *rows[:50], head, *rows[50:]]))
    joined = read_plumed(path).works["r.work"]
    assert work[50] - work[49] > 1.0
    np.testing.assert_allclose(joined[50:], work[50:], atol=0.3)


def test_a_restart_that_goes_on_counting_is_left_as_it_is(tmp_path):
    path = plumed(tmp_path)
    head, *rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([head, *rows[:50], head, *rows[43:]]))
    found = read_labels((path,), frames())
    check(found)
    assert not any("begins again" in note for note in found.notes)


def test_columns_that_change_at_a_restart_are_those_of_all_parts(tmp_path):
    """Another order, and one column more than before."""
    path = plumed(tmp_path)
    head, *rows = path.read_text().splitlines(keepends=True)
    fields = "#! FIELDS time r.work e d r.d_cntr\n"
    later = [" ".join(row.split()[i] for i in (0, 7, 2, 1, 4)) + "\n" for row in rows]
    path.write_text("".join([head, *rows[:50], fields, *later[50:]]))
    found = read_labels((path,), frames())
    check(found)
    assert any("the columns change at line 53 (not in all parts: " in note for note in found.notes)
    path.write_text("".join([head, *rows[:50], "#! FIELDS time other\n", "50 1.0\n"]))
    with pytest.raises(TrajectoryError, match=r"columns change at line 53.*split the file there"):
        read_plumed(path)


def test_a_nan_costs_its_own_column_only(tmp_path):
    path = plumed(tmp_path)
    head, *rows = path.read_text().splitlines(keepends=True)
    spoilt = rows[10].split()
    spoilt[2] = "nan"  # the bias
    path.write_text("".join([head, *rows[:10], " ".join(spoilt) + "\n", *rows[11:]]))
    found = read_labels((path,), frames())
    check(found)
    assert any("columns left out (vectors or not finite): r.bias (line 12)" in note for note in found.notes)
    spoilt[2], spoilt[5], spoilt[7] = "0", "nan", "nan"
    path.write_text("".join([head, *rows[:10], " ".join(spoilt) + "\n", *rows[11:]]))
    found = read_labels((path,), frames())
    check(found, work=False)
    spoilt[7] = "1.25x"
    path.write_text("".join([head, *rows[:10], " ".join(spoilt) + "\n", *rows[11:]]))
    with pytest.raises(TrajectoryError, match=r"line 12: r.work is '1.25x'"):
        read_plumed(path)


def test_plumed_with_energies_in_kcal_is_not_read_as_kj(tmp_path):
    """UNITS ENERGY=kcal/mol leaves the length in nm: only the spring's fluctuations show it."""
    random = np.random.default_rng(1)
    times, apart = 0.2 * np.arange(400), -0.5 + np.sqrt(0.5962 / SPRING) * random.standard_normal(400)
    centre = 12.0 + 0.05 * times
    d = centre + apart
    way = -0.5 * (apart[1:] + apart[:-1]) * np.diff(centre)
    work = np.concatenate([[0.0], np.cumsum(SPRING * way)])
    path = tmp_path / "pull.colvar"
    path.write_text(
        "#! FIELDS time d r.d_cntr r.work\n" + lines(times, d / 10, centre / 10, work, form="%.8f")
    )
    every = np.arange(400)
    pull = LabelledFrames(400, every, None, times, "d", "A", d)
    found = read_labels((path,), pull)
    assert found.work is None
    assert any('set label_units, for example to "nm kcal/mol ps"' in note for note in found.notes)
    np.testing.assert_allclose(read_labels((path,), pull, "nm kcal/mol ps").work, work, atol=1e-6)


def test_rows_that_are_written_often_prove_units_too():
    """Neighbouring rows of a dense table are alike; rows further apart are thermal."""
    random = np.random.default_rng(5)
    n, memory, spring = 20_000, 0.98, 3.0
    kicks = random.normal(0, np.sqrt(0.5962 / spring * (1 - memory**2)), n)
    apart = scipy.signal.lfilter([1.0], [1.0, -memory], kicks)
    centre = np.linspace(12.0, 30.0, n)
    force = spring * apart
    work = np.concatenate([[0.0], np.cumsum((force[1:] + force[:-1]) / 2 * np.diff(centre))])
    assert abs(thermal_ratio(centre - apart, centre, work) - 1) < 0.35
    assert abs(thermal_ratio(centre - apart, centre, work * 4.184) / 4.184 - 1) < 0.35


def test_plumed_of_few_rows_or_without_a_centre_needs_its_units(tmp_path):
    """Nothing shows the unit of the energy, which UNITS in PLUMED's input sets apart from the length."""
    path = plumed(tmp_path)
    head, *rows = path.read_text().splitlines(keepends=True)
    for few in ([head, *rows[::EVERY]], [head.replace("d_cntr", "other"), *rows]):
        path.write_text("".join(few))
        found = read_labels((path,), frames())
        assert found.work is None
        assert "is in kJ/mol (too few rows, or no centre)" in found.notes[-1]
        assert 'for example to "nm kJ/mol ps"' in found.notes[-1]
        check(read_labels((path,), frames(), "nm kJ/mol ps"), centre="d_cntr" in few[0])


def test_rows_at_other_times_are_not_taken(tmp_path):
    found = read_labels((plumed(tmp_path),), frames(shift=0.1))
    check(found, centre=False, work=False)
    assert "96 rows whose times are not those of the 20 frames" in found.notes[-1]


def gromacs(tmp_path, with_reference, force=FORCE):
    path, forces = tmp_path / "pull_pullx.xvg", tmp_path / "pull_pullf.xvg"
    head = '# gmx mdrun -deffnm pull\n@    title "Pull COM"\n@ s0 legend "1"\n'
    columns = [TIMES, D / 10] + ([CENTRE / 10] if with_reference else [])
    path.write_text(head + ('@ s1 legend "1 ref"\n' if with_reference else "") + lines(*columns))
    forces.write_text(head + lines(TIMES, force * 41.84, form="%.4f"))
    return tables_beside(tmp_path / "pull.xtc")


@pytest.mark.parametrize("with_reference", [True, False])
def test_gromacs_with_the_reference_and_with_one_worked_out_from_the_forces(tmp_path, with_reference):
    tables = gromacs(tmp_path, with_reference)
    assert len(tables) == 2
    found = read_labels(tables, frames(steps=False))
    check(found)
    told = any("spring 1255 kJ/mol/nm^2, 0.09 nm/ps" in note for note in found.notes)
    assert told is not with_reference, "3 kcal/mol/A^2 is 1255 kJ/mol/nm^2"


def test_gromacs_names_no_column_where_there_is_one(tmp_path):
    """Its commonest pull: one coordinate, no reference column, so neither file has a legend."""
    tables = gromacs(tmp_path, False)
    for path in tables:
        text = path.read_text().replace('@ s0 legend "1"', '@    yaxis  label "Position (nm)"\n@TYPE xy')
        path.write_text(text)
    check(read_labels(tables, frames(steps=False)))
    two = tables[0].read_text().splitlines(keepends=True)
    tables[0].write_text("".join(line if line[0] in "#@" else line.strip() + " 1.0\n" for line in two))
    with pytest.raises(TrajectoryError, match="no legends"):
        read_labels(tables, frames(steps=False))


@pytest.mark.parametrize("which", [0, 1])
def test_gromacs_positions_and_forces_may_be_written_at_other_intervals(tmp_path, which):
    tables = gromacs(tmp_path, True)
    text = tables[which].read_text().splitlines(keepends=True)
    head = [line for line in text if line[0] in "#@"]
    tables[which].write_text("".join([*head, *text[len(head) :: EVERY]]))
    found = read_labels(tables, frames(steps=False))
    coarse = EVERY * np.arange(N_FRAMES)
    trapezoids = np.diff(CENTRE[coarse]) * (FORCE[coarse][1:] + FORCE[coarse][:-1]) / 2
    np.testing.assert_allclose(found.work[1:], np.cumsum(trapezoids), atol=0.02)


def test_gromacs_says_where_a_coordinate_is_no_number_and_that_forces_alone_do_not_do(tmp_path):
    tables = gromacs(tmp_path, False)
    text = tables[0].read_text().splitlines(keepends=True)
    tables[0].write_text("".join([*text[:9], text[9].split()[0] + " nan\n", *text[10:]]))
    with pytest.raises(TrajectoryError, match=r"not finite\): 1 \(line 10\)"):
        read_labels(tables, frames())
    tables[0].unlink()
    with pytest.raises(TrajectoryError, match=r"holds forces, and no pullx.xvg is beside it"):
        read_labels(tables_beside(tmp_path / "pull.xtc"), frames())


def test_gromacs_forces_of_no_spring_give_no_work(tmp_path):
    noise = np.random.default_rng(0).normal(size=len(TIMES))
    found = read_labels(gromacs(tmp_path, False, FORCE + noise), frames())
    check(found, centre=False, work=False)
    assert any("not that of a spring at constant speed" in note for note in found.notes)


def namd(tmp_path, head=True, noise=0.0):
    path = tmp_path / "pull.log"
    direction = np.array([1.0, 2.0, 2.0]) / 3
    across = np.array([2.0, 1.0, -2.0]) / 3
    positions = np.outer(D, direction) + np.outer(np.sin(7 * TIMES), across) + [5.0, -3.0, 8.0]
    forces = 69.479 * np.outer(FORCE + noise, direction)
    text = "Info: SMD ACTIVE\n"
    if head:
        text += f"Info: SMD VELOCITY    {SPEED * 0.002} ANGSTROM/TIMESTEP\nInfo: SMD DIRECTION   3 6 6\n"
    rows = zip(STEPS, positions, forces, strict=True)
    for step, position, force in rows:
        text += "ENERGY: 1 2 3\n" + f"SMD  {step} " + " ".join(f"{x:.6g}" for x in (*position, *force)) + "\n"
    path.write_text(text)
    return path


@pytest.mark.parametrize("head", [True, False])
def test_namd_log_with_its_head_and_without(tmp_path, head):
    path = namd(tmp_path, head)
    assert tables_beside(tmp_path / "pull.dcd") == (path,)
    found = read_labels((path,), frames())
    check(found, centre=False)
    derived = any("speed 0.0018 A a step and direction (0.333, 0.667, 0.667)" in note for note in found.notes)
    assert derived is not head
    assert any("SMD is not the CV d but fluctuates with it" in note for note in found.notes)
    other = frames(CENTRE - 0.4 - THERMAL * np.sin(RATE * TIMES[::-1] ** 1.1))
    check(read_labels((path,), other), centre=False, work=False)


def test_namd_log_without_head_and_spring_says_what_is_missing(tmp_path):
    found = read_labels((namd(tmp_path, False, np.random.default_rng(0).normal(size=len(TIMES))),), frames())
    check(found, centre=False, work=False)
    assert any("has no `Info: SMD VELOCITY`" in note for note in found.notes)
