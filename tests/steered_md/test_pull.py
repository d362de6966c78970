"""One pull and many: exact answers on a toy, reproducibility, and failures that stay their own."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import openmm
import pytest

from smdgen.errors import SimulationError
from smdgen.forcefield.platforms import choose_platform
from smdgen.steered_md import replicas
from smdgen.steered_md.pull import (
    PulledDistance,
    PullProtocol,
    PullRecord,
    add_restraint,
    divisor_at_most,
    run_pull,
)
from smdgen.steered_md.replicas import PullJob, ReplicaEvents, run_replicas

STIFFNESS = 5.0  # kcal/mol/A^2, E = K/2 (r - r0)^2
REST = 10.0  # A
PROTOCOL = PullProtocol(
    start_centre=10.0,
    end_centre=16.0,
    spring_constant=2.0,
    n_steps=20_000,
    steps_per_frame=1000,
    steps_per_move=10,
    timestep_ps=0.005,
    temperature=1.0,
    friction_per_ps=10.0,
    minimisation_steps=10,
    equilibration_steps=0,
)
PAIR = PulledDistance((0,), (1,), (40.0,), (40.0,))
START = np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0]])


def two_beads(distance: PulledDistance = PAIR, n_beads: int = 2) -> openmm.System:
    """Beads 0 and 1 on a spring; the rest free."""
    system = openmm.System()
    for _ in range(n_beads):
        system.addParticle(40.0)
    spring = openmm.HarmonicBondForce()
    spring.addBond(0, 1, REST / 10, STIFFNESS * 4.184 * 100)
    system.addForce(spring)
    add_restraint(system, distance)
    return system


def pull(protocol: PullProtocol = PROTOCOL, seed: int = 1) -> PullRecord:
    return run_pull(two_beads(), START, PAIR, protocol, seed, "Reference")


@pytest.fixture(scope="module")
def record() -> PullRecord:
    return pull()


def test_a_slow_cold_pull_does_the_reversible_work(record):
    """Two springs in a row: W = K k / (2 (K + k)) D^2, and the beads follow to r0 + k D / (K + k)."""
    k, moved = PROTOCOL.spring_constant, 6.0
    assert record.work[-1] == pytest.approx(0.5 * STIFFNESS * k / (STIFFNESS + k) * moved**2, rel=0.02)
    assert record.cv[-1] == pytest.approx(REST + k * moved / (STIFFNESS + k), abs=0.1)


def test_rows_belong_to_frames(record):
    """Row i has the CV of frame i, the centre of its step and a step count that starts at 0."""
    assert record.positions.shape == (21, 2, 3)
    measured = np.linalg.norm(record.positions[:, 1] - record.positions[:, 0], axis=1)
    np.testing.assert_allclose(record.cv, measured, atol=1e-5)
    np.testing.assert_array_equal(record.steps, np.arange(21) * 1000)
    np.testing.assert_allclose(record.centre, 10.0 + 6.0 * np.arange(21) / 20)
    assert record.work[0] == 0.0


def test_the_same_seed_gives_the_same_pull_and_another_does_not(record):
    again, other = pull(), pull(seed=2)
    np.testing.assert_array_equal(again.positions, record.positions)
    np.testing.assert_array_equal(again.work, record.work)
    assert not np.array_equal(other.positions[-1], record.positions[-1])


def test_groups_are_pulled_by_their_centres_of_mass():
    """Bead 1 tied to a light partner: the distance of record is that of the centre of mass."""
    groups = PulledDistance((0,), (1, 2), (40.0,), (40.0, 20.0))
    start = np.array([[0.0, 0, 0], [10.0, 0, 0], [10.0, 3.0, 0]])
    assert groups.value(start) == pytest.approx(np.hypot(10.0, 1.0))
    protocol = dataclasses.replace(PROTOCOL, n_steps=2000, minimisation_steps=0)
    record = run_pull(two_beads(groups, 3), start, groups, protocol, 1, "Reference")
    assert record.cv[0] == pytest.approx(np.hypot(10.0, 1.0))
    assert record.cv[-1] > 11.0
    lone = np.linalg.norm(record.positions[-1, 1] - record.positions[-1, 0])
    assert abs(record.cv[-1] - lone) > 0.01


def test_an_exploding_pull_says_when():
    with pytest.raises(SimulationError, match=r"NaN|OpenMM stopped"):
        pull(dataclasses.replace(PROTOCOL, timestep_ps=5.0))


def job(protocol: PullProtocol = PROTOCOL) -> PullJob:
    xml = openmm.XmlSerializer.serialize(two_beads())
    return PullJob(xml, START, PAIR, protocol, seed=7, platform="Reference", threads=1)


class Log:
    """What happened, in the calling process."""

    def __init__(self) -> None:
        self.n_frames = 0
        self.done: dict[int, PullRecord] = {}
        self.failed: dict[int, str] = {}
        self.events = ReplicaEvents(self._frame, self.done.__setitem__, self.failed.__setitem__)

    def _frame(self) -> None:
        self.n_frames += 1


def test_pulls_in_processes_are_those_made_here():
    """Pull i uses seed + i, wherever and after whatever it runs."""
    short = job(dataclasses.replace(PROTOCOL, n_steps=2000))
    here, there = Log(), Log()
    run_replicas(short, [0, 2], 1, here.events)
    run_replicas(short, [0, 2], 2, there.events)
    assert sorted(here.done) == sorted(there.done) == [0, 2]
    assert here.n_frames == there.n_frames == 4
    for index in (0, 2):
        np.testing.assert_array_equal(here.done[index].positions, there.done[index].positions)
    alone = run_pull(two_beads(), START, PAIR, short.protocol, 9, "Reference")
    np.testing.assert_array_equal(alone.positions, here.done[2].positions)


def test_failing_processes_are_reported_one_by_one():
    log = Log()
    run_replicas(job(dataclasses.replace(PROTOCOL, timestep_ps=5.0)), [0, 1], 2, log.events)
    assert sorted(log.failed) == [0, 1]
    assert not log.done


class Crowd:
    """A multiprocessing context: pull 0 is killed at once, pull 1 ends well, and its word waits long."""

    def Queue(self):
        answers = [(2, "frame", None)] * 50 + [(1, "done", "record 1"), (2, "done", "record 2")]
        return SimpleNamespace(get=lambda timeout: answers.pop(0))

    def Process(self, target, args, daemon):
        code = {0: -9, 1: 0}.get(args[1])
        return SimpleNamespace(
            start=lambda: None, join=lambda: None, is_alive=lambda: code is None, exitcode=code
        )


def test_a_killed_pull_is_noticed_while_others_report(monkeypatch):
    """Its place is needed: pull 2 begins only after it."""
    monkeypatch.setattr(replicas, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(replicas.multiprocessing, "get_context", lambda _: Crowd())
    log = Log()
    run_replicas(job(), [0, 1, 2], 2, log.events)
    assert log.failed == {0: "its process ended with exit code -9"}
    assert log.done == {1: "record 1", 2: "record 2"}
    assert 40 < log.n_frames < 50


def test_a_failing_pull_does_not_stop_the_others(monkeypatch, record):
    def make(job, index, on_frame):
        if index == 1:
            raise SimulationError("coordinates became NaN at 3.000 ps")
        return record

    monkeypatch.setattr(replicas, "_make", make)
    log = Log()
    run_replicas(job(), [0, 1, 2], 1, log.events)
    assert sorted(log.done) == [0, 2]
    assert log.failed == {1: "coordinates became NaN at 3.000 ps"}


def test_the_platform_goes_by_size_and_solvent():
    names = ["Reference", "CPU", "OpenCL"]
    assert choose_platform(104, False, names) == "Reference"
    assert choose_platform(104, True, names) == "CPU"
    assert choose_platform(20_000, False, names) == "CPU"
    assert choose_platform(20_000, True, [*names, "CUDA"]) == "CUDA"


@pytest.mark.parametrize(("n", "expected"), [(2500, 10), (7, 7), (13, 1), (12, 6)])
def test_moves_divide_the_steps_of_a_frame(n, expected):
    assert divisor_at_most(n, 10) == expected
