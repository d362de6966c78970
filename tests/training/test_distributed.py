"""Training on two processes is the training on one, but for rounding."""

import json

import pytest
import torch

from smdgen.method.share import Share, own_share, whole
from tests.tools.fit_together import histories
from tests.tools.two_processes import run_two


def test_a_share_draws_its_rows_of_what_the_whole_batch_draws():
    expected = torch.randn(7, 3, generator=torch.Generator().manual_seed(5))
    parts = [Share(7, rows, torch.Generator().manual_seed(5)) for rows in (slice(0, 3), slice(3, 7))]
    assert torch.equal(torch.cat([share.normal(3) for share in parts]), expected)
    alone = own_share(7, torch.Generator().manual_seed(5))
    assert alone.is_whole
    assert torch.equal(alone.normal(3), expected)
    assert whole(7, alone.generator).mean(expected).equal(expected.mean(0))


def test_two_processes_have_the_losses_of_one():
    """Every term of every epoch, with dropout, noise and a last batch of one item."""
    expected = histories()
    for code, out, err in run_two(["-m", "tests.tools.fit_together"]):
        assert code == 0, err
        found = json.loads(out.splitlines()[-1])
        for network, terms in expected.items():
            for term, values in terms.items():
                assert found[network][term] == pytest.approx(values, rel=1e-5, abs=1e-5), (network, term)
    assert expected["internal"]["loss"][2] < expected["internal"]["loss"][0]


def test_a_process_that_ends_ends_the_others_with_a_line():
    (code, _, err), (other, _, _) = run_two(["-m", "tests.tools.fit_together", "2"])
    assert (code, other) == (1, 3)
    assert "process 0 of 2 lost the others" in err
    assert "Traceback" not in err
