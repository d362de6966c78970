"""Training on two processes: what docs/cluster.md promises of it."""

import json

import numpy as np

from smdgen.training.distributed import average_values, group_place, own_rows
from tests.tools.fit_together import trainings
from tests.tools.two_processes import run_two


def test_a_process_alone_computes_all_rows():
    assert group_place() == (0, 1)
    assert own_rows(7) == slice(0, 7)
    assert average_values({"loss": 2.0}) == {"loss": 2.0}


def test_two_processes_have_equal_weights_and_losses_within_sampling_error():
    """Order, noise and dropout differ from those of one process as those of another seed do."""
    alone = [trainings(seed=seed) for seed in range(6)]
    found = []
    for code, out, err in run_two(["-m", "tests.tools.fit_together"]):
        assert code == 0, err
        found.append(json.loads(out.splitlines()[-1]))
    assert found[0] == found[1], "weights and losses of both, bit for bit"
    for network, result in found[0].items():
        for term in ("loss", "validation loss"):
            seeds = np.array([training[network]["history"][term] for training in alone])
            off = np.abs(result["history"][term] - seeds.mean(0))
            assert (off < 5 * seeds.std(0, ddof=1)).all(), (network, term)
        assert result["weights"] not in {training[network]["weights"] for training in alone}
        assert result["history"]["validation loss"][-1] < result["history"]["validation loss"][0], network


def test_a_process_that_ends_ends_the_others_with_a_line():
    (code, _, err), (other, _, _) = run_two(["-m", "tests.tools.fit_together", "2"])
    assert (code, other) == (1, 3)
    assert "process 0 of 2 lost the others" in err
    assert "Traceback" not in err
