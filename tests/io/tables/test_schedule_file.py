"""Schedule files: read in the forms people write them, refused in one line otherwise."""

import numpy as np
import pytest

from smdgen.errors import ConfigError
from smdgen.io.tables.schedule_file import n_steps_of, read_schedule_file, values_of


def write(folder, text):
    (folder / "schedule.csv").write_text(text, encoding="utf-8")
    return folder / "schedule.csv"


@pytest.mark.parametrize(
    "text",
    [
        "step,end_to_end_A\n5,25\n10,20\n",
        "# a comment\n\n5 25 # up\n10\t20",
        "\ufeffstep;A\r\n 0; 9\r\n5;25\r\n10 ; 20\r\n",
    ],
)
def test_every_way_to_write_it_gives_straight_lines_from_the_start(tmp_path, text):
    schedule = read_schedule_file(write(tmp_path, text))
    n_steps = n_steps_of(schedule, None, 7)
    assert n_steps == 10
    values = values_of(schedule, n_steps, 15.0, periodic=False)
    np.testing.assert_allclose(values, [17, 19, 21, 23, 25, 24, 23, 22, 21, 20])


def test_fractions_take_any_number_of_steps(tmp_path):
    schedule = read_schedule_file(write(tmp_path, "fraction,A\n0.5,20\n1,10"))
    assert n_steps_of(schedule, None, 10) == 10
    assert n_steps_of(schedule, 4, 10) == 4
    np.testing.assert_allclose(values_of(schedule, 4, 10.0, periodic=False), [15, 20, 15, 10])


def test_dihedrals_go_the_short_way(tmp_path):
    schedule = read_schedule_file(write(tmp_path, "2 -170\n4 -150"))
    values = values_of(schedule, 4, 170.0, periodic=True)
    np.testing.assert_allclose(values % 360, [180, 190, 200, 210])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# nothing", "no row after the start"),
        ("0 14", "no row after the start"),
        ("5 20\n5 21", "do not rise"),
        ("-1 20\n5 21", "do not rise"),
        ("5 20 3", "line 1: found '5 20 3'"),
        ("step;cv\n5;20,5\n", "line 2: found '5;20,5', .*a point in decimals"),
        ("2 20\nx 21", "line 2"),
        ("5 nan", "line 1"),
        ("0.5 20\n1 21", "whole numbers"),
        ("fraction A\n0.5 20", "expected 1"),
        ("\0\1\2", "line 1"),
    ],
)
def test_anything_else_is_refused(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words) as error:
        read_schedule_file(write(tmp_path, text))
    assert "\n" not in str(error.value)


def test_steps_that_disagree_are_refused(tmp_path):
    schedule = read_schedule_file(write(tmp_path, "8 20"))
    with pytest.raises(ConfigError, match="ends at step 8, --steps is 10"):
        n_steps_of(schedule, 10, 10)
