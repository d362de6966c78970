"""Tables in the layout of the Colvars module, as NAMD writes them and the Dashboard reads them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smdgen.errors import ConfigError, SmdgenError, TrajectoryError
from smdgen.io.tables.colvars import ColvarsTable, read_colvars_traj, write_colvars_input, write_colvars_traj

#: As NAMD writes it: a vector, a header that is repeated, a restart that goes back to step 20.
NAMD = """\
# step         d                      x0_d                   com
           0    1.30000000000000e+01   1.20000000000000e+01  ( 1.0 , 2.0 , 3.0 )
          10    1.31000000000000e+01   1.20100000000000e+01  ( 1.0 , 2.0 , 3.0 )
          20    1.32000000000000e+01   1.20200000000000e+01  ( 1.0 , 2.0 , 3.0 )
          30    9.90000000000000e+01   9.90000000000000e+01  ( 1.0 , 2.0 , 3.0 )
# step         d                      x0_d                   com
          20    1.32000000000000e+01   1.20200000000000e+01  ( 1.0 , 2.0 , 3.0 )
          30    1.33000000000000e+01   1.20300000000000e+01  ( 1.0 , 2.0 , 3.0 )
"""


def test_a_restart_replaces_what_it_repeats(tmp_path: Path) -> None:
    found = read_colvars_traj(_write(tmp_path, NAMD))
    assert found.steps.tolist() == [0, 10, 20, 30]
    assert found.columns["d"].tolist() == [13.0, 13.1, 13.2, 13.3]
    assert found.columns["x0_d"].tolist() == [12.0, 12.01, 12.02, 12.03]
    assert list(found.columns) == ["d", "x0_d"]
    assert any("restart" in note for note in found.notes)
    assert any("com" in note for note in found.notes)


def test_columns_and_work_after_a_restart_without_a_state_file(tmp_path: Path) -> None:
    """Colvars counts the work from 0 again, and writes one column more."""
    text = "# step d W_p\n0 1.0 0.0\n10 1.1 0.5\n20 1.2 0.9\n# step d e W_p\n20 1.2 7 0.0\n30 1.3 7 0.4\n"
    found = read_colvars_traj(_write(tmp_path, text))
    assert list(found.columns) == ["d", "W_p"]
    np.testing.assert_allclose(found.columns["W_p"], [0.0, 0.5, 0.9, 1.3])
    assert sum("columns change at line 6" in note or "joined" in note for note in found.notes) == 2


def test_a_cut_last_row_is_left_out_with_a_note(tmp_path: Path) -> None:
    found = read_colvars_traj(_write(tmp_path, NAMD[: NAMD.rindex("1.2030")]))
    assert found.steps.tolist() == [0, 10, 20]
    assert any("cut" in note for note in found.notes)


@pytest.mark.parametrize("letters", range(1, 21))
def test_a_number_that_is_cut_is_left_out(tmp_path: Path, letters: int) -> None:
    """A killed run ends in the middle of a number: of 2.2428e+01 there may be 2.2 left."""
    rows = "".join(f"{step} {x:.14e} {10 * x:.14e}\n" for step, x in ((0, 1.3), (10, 1.4), (20, 2.2428)))
    found = read_colvars_traj(_write(tmp_path, "# step d W_p\n" + rows[: -letters - 1]))
    assert found.steps.tolist() == [0, 10]
    assert any("cut" in note for note in found.notes)


def test_a_last_row_without_an_end_may_be_whole(tmp_path: Path) -> None:
    assert read_colvars_traj(_write(tmp_path, NAMD.rstrip("\n"))).steps.tolist() == [0, 10, 20, 30]


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    assert read_colvars_traj(_write(tmp_path, "\xef\xbb\xbf" + NAMD)).columns["d"].tolist()[0] == 13.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello\n",
        "# step d\n",
        "0 1.0\n",
        "# step d\n0 1.0 2.0\n10 1.0\n",
        "# step d\n0 x\n10 1.0\n",
        "# step d\n0.5 1.0\n10 1.0\n",
        "# step d d\n0 1.0 2.0\n",
        "# step d\n0 1.0\n# step e\n10 1.0\n",
        "# step d\n0 nan\n",
        f"# step d\n{10**30} 1.0\n10 1.0\n",
    ],
    ids=[
        "empty",
        "text",
        "no rows",
        "no header",
        "columns",
        "letters",
        "step",
        "twice",
        "other",
        "nan",
        "large",
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(TrajectoryError) as caught:
        read_colvars_traj(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_layout_is_that_of_colvars(tmp_path: Path) -> None:
    """`#`, `step`, names of 21 letters' width; the header again after 1000 rows."""
    table = ColvarsTable(np.arange(1001) * 500, {"d": np.full(1001, 13.5), "W_pull": np.full(1001, -1e-3)})
    write_colvars_traj(tmp_path / "a.colvars.traj", table)
    lines = (tmp_path / "a.colvars.traj").read_text().splitlines()
    assert lines[0] == "# step         d                      W_pull"
    assert lines[1] == "           0    1.35000000000000e+01  -1.00000000000000e-03"
    assert [i for i, line in enumerate(lines) if line.startswith("#")] == [0, 1001]
    assert lines[0].split()[:2] == ["#", "step"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=20),
    first=st.integers(0, 10**9),
    name=st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,17}", fullmatch=True),
)
def test_round_trip(tmp_path: Path, rows: list[float], first: int, name: str) -> None:
    steps = first + 10 * np.arange(len(rows))
    path = tmp_path / "a.colvars.traj"
    write_colvars_traj(path, ColvarsTable(steps, {name: np.array(rows)}))
    content = path.read_bytes()
    found = read_colvars_traj(path)
    assert found.steps.tolist() == steps.tolist()
    assert np.allclose(found.columns[name], rows, rtol=1e-14, atol=1e-300)
    assert found.notes == ()
    write_colvars_traj(path, ColvarsTable(steps, {name: np.array(rows)}))
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["", "1d", "a b", "d-1", "a" * 19, "é"])
def test_names_the_dashboard_would_not_take(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="column name"):
        write_colvars_traj(tmp_path / "a.colvars.traj", ColvarsTable(np.arange(2), {name: np.zeros(2)}))


@pytest.mark.parametrize("column", [np.zeros(3), np.array([0.0, np.nan]), np.zeros((2, 3))])
def test_columns_must_be_finite_numbers_one_a_step(tmp_path: Path, column: np.ndarray) -> None:
    with pytest.raises(TrajectoryError, match="column d"):
        write_colvars_traj(tmp_path / "a.colvars.traj", ColvarsTable(np.arange(2), {"d": column}))
    assert list(tmp_path.iterdir()) == []


def test_colvars_input(tmp_path: Path) -> None:
    block = "colvar {\n  name d\n  distance {\n    group1 {\n      atomNumbers 1\n    }\n  }\n}\n"
    write_colvars_input(tmp_path / "a.colvars.in", block, block, trajectory_frequency=500)
    text = (tmp_path / "a.colvars.in").read_text()
    assert text.startswith("colvarsTrajFrequency 500\n")
    assert text.count("colvar {") == 2
    assert all(line.count("{") + line.count("}") <= 1 for line in text.splitlines())


@pytest.mark.parametrize("block", ["colvar { name d }", "colvar {\n", "}\n{\n"])
def test_braces_the_dashboard_cannot_read(tmp_path: Path, block: str) -> None:
    with pytest.raises(ConfigError, match="brace"):
        write_colvars_input(tmp_path / "a.colvars.in", block)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, len(NAMD) - 1), letter=st.characters(max_codepoint=255))
def test_any_damage_is_an_error_of_ours_or_harmless(tmp_path: Path, place: int, letter: str) -> None:
    try:
        found = read_colvars_traj(_write(tmp_path, NAMD[:place] + letter + NAMD[place + 1 :]))
    except SmdgenError as error:
        message = str(error)
        assert "\n" not in message
    else:
        assert (np.diff(found.steps) > 0).all()
        assert all(np.isfinite(column).all() for column in found.columns.values())


def _write(folder: Path, text: str) -> Path:
    path = folder / "a.colvars.traj"
    path.write_bytes(text.encode("latin-1"))
    return path
