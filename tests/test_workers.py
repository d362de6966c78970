"""Work on processes and on a Dask cluster: the order, the errors and the files of one process."""

import dataclasses
import sys

import pytest

from smdgen.config import PrepareConfig
from smdgen.errors import ConfigError, TrajectoryError, WorkerError
from smdgen.progress import Silent
from smdgen.workers import in_order, open_workers
from tests.tools.work import die, late_if_even, refuse_three


@pytest.fixture(scope="module")
def dask():
    """The address of a cluster of two processes."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def started(kind, request):
    """Arguments of `open_workers`."""
    return {"here": (1,), "pool": (2,), "dask": (1, request.getfixturevalue("dask"))}[kind]


@pytest.mark.parametrize("kind", ["here", "pool", "dask"])
def test_results_come_in_order_and_the_first_error_counts(kind, request):
    drawn = []

    def items():
        for item in range(6):
            drawn.append(item)
            yield item

    with open_workers(*(started(kind, request))) as executor:
        assert list(in_order(executor, late_if_even, range(7))) == [i * i for i in range(7)]
        results = in_order(executor, refuse_three, items(), ahead=2)
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        assert max(drawn) <= 4, "more under way than asked for"
        with pytest.raises(TrajectoryError, match="item 3"):
            next(results)


def test_a_worker_that_dies_is_an_error():
    with open_workers(2) as executor, pytest.raises(WorkerError, match="memory"):
        list(in_order(executor, die, range(3)))


def test_a_cluster_that_is_not_there_or_not_installed_is_named(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("smdgen.workers._DASK_SECONDS", 1)
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:9"), open_workers(1, "tcp://127.0.0.1:9"):
        pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match="pip install"), open_workers(1, "tcp://127.0.0.1:9"):
        pass


def test_prepare_writes_the_same_file_on_any_number_of_workers(pull_files, tmp_path, dask, monkeypatch):
    """Small tasks, so that each trajectory is read in several, by different processes."""
    from smdgen.dataset import reading
    from smdgen.stages import prepare

    monkeypatch.setattr("smdgen.io.trajectories.trajectory.CHUNK_BYTES", 7 * 40 * 12)
    monkeypatch.setattr(reading, "_CHUNKS_A_TASK", 1)
    config = PrepareConfig(
        pull_files.trajectories, parameters=(pull_files.parameters,), select="name N CA C O"
    )
    for name, changes in {"one": {}, "pool": {"workers": 2}, "dask": {"dask": dask}}.items():
        prepare.run(dataclasses.replace(config, **changes), tmp_path / name, Silent())
    expected = (tmp_path / "one/dataset.h5").read_bytes()
    assert (tmp_path / "pool/dataset.h5").read_bytes() == expected
    assert (tmp_path / "dask/dataset.h5").read_bytes() == expected


def test_the_first_bad_file_is_named_on_any_number_of_workers(pull_files, tmp_path):
    from smdgen.stages import prepare

    for i in (2, 4):
        path = pull_files.trajectories[i]
        path.write_bytes(path.read_bytes()[:-100])
    config = PrepareConfig(pull_files.trajectories, parameters=(pull_files.parameters,), workers=2)
    with pytest.raises(TrajectoryError, match=r"pull_2\.dcd is cut"):
        prepare.run(config, tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()


def test_simulate_makes_the_same_pulls_on_a_cluster(tmp_path, dask):
    from smdgen.stages import simulate
    from tests.stages.test_simulate import short_pulls, spring_system

    config = short_pulls(spring_system(tmp_path / "system.xml"), tmp_path / "here", replicas=3)
    simulate.run(config, tmp_path, Silent())
    result = simulate.run(
        dataclasses.replace(config, dask=dask, output=tmp_path / "there"), tmp_path, Silent()
    )
    assert result.n_made == 3
    for i in range(3):
        for ending in ("dcd", "colvars.traj"):
            name = f"pull_{i:03d}.{ending}"
            assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes(), name
