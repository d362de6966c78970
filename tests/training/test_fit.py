"""The training loop."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from smdgen.errors import TrainingError
from smdgen.progress import Silent
from smdgen.training.fit import FitSettings, fit, rate_share


def regression(seed=0):
    """A linear problem with dropout (so that random state matters), its losses and its validation."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.1), nn.Linear(8, 1))
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]])

    def losses(batch, generator):
        disturbed = x[batch] + 0.01 * torch.randn(len(batch), 3, generator=generator)
        return {"loss": (model(disturbed) - y[batch]).square().mean()}

    def validate():
        return {"loss": float((model(x) - y).square().mean())}

    return model, losses, validate


def run(model, losses, validate, settings, **options):
    return fit(model, losses, 64, validate, settings, Silent(), label="test", **options)


SETTINGS = FitSettings(epochs=12, batch_size=10, learning_rate=0.02, ema_decay=0.9, gradient_norm=5.0)
both = pytest.mark.parametrize(
    "settings", [SETTINGS, replace(SETTINGS, muon=True, learning_rate=0.2)], ids=["adamw", "muon"]
)


@both
def test_it_learns_and_leaves_the_best_weights_in_the_model(settings):
    model, losses, validate = regression()
    before = validate()["loss"]
    state = run(model, losses, validate, settings)
    assert state.best_loss < 0.05 * before
    assert validate()["loss"] == pytest.approx(state.best_loss)
    assert state.best_loss == min(state.history["validation loss"])
    assert len(state.history["loss"]) == 12


def test_the_last_weights_are_kept_where_that_is_asked_for():
    model, losses, _ = regression()
    worse = iter([30, *(20 + 0.5 * i for i in range(12))])
    state = run(model, losses, lambda: {"loss": float(next(worse))}, replace(SETTINGS, keep_last=True))
    assert (state.first_loss, state.best_loss, state.best_epoch) == (30, 20, 1)
    assert all(torch.equal(value, state.averaged[name]) for name, value in model.state_dict().items())
    first = run(model, losses, lambda: {"loss": 0.0}, SETTINGS)
    assert not torch.equal(first.best["0.weight"], first.averaged["0.weight"])


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ([10.0, 9.0, 8.0, 11.0], 2),
        ([10.0, 3.0, 2.0, 9.0], 2),
        ([10.0, 11.0, 12.0, 13.0], 0),
        ([10.0, 9.0, float("nan"), 20.0], 1),
    ],
)
def test_a_training_that_diverges_leaves_its_best_weights(last, found, kept):
    """Worse than before training, or far above the lowest loss; the first value is that before training."""
    model, losses, _ = regression()
    values, seen = iter(found), []

    def validate():
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"loss": next(values)}

    state = run(model, losses, validate, replace(SETTINGS, epochs=3, keep_last=last))
    assert state.diverged(SETTINGS)
    assert state.best_epoch == kept
    assert all(torch.equal(value, seen[kept][name]) for name, value in model.state_dict().items())


@both
def test_resuming_continues_bit_for_bit(settings):
    whole = regression()
    expected = run(*whole, settings)
    states = []
    first = regression()

    def keep(state):
        states.append(state)
        if state.epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(*first, settings, keep=keep)
    second = regression(seed=99)
    found = run(*second, settings, state=states[-1])
    assert found.history == expected.history
    for name, value in whole[0].state_dict().items():
        assert torch.equal(second[0].state_dict()[name], value), name


def test_muon_takes_the_weights_of_layers_and_adamw_the_rest():
    model, losses, validate = regression()
    slots = run(model, losses, validate, replace(SETTINGS, muon=True)).optimiser
    assert {name for name in slots if name.endswith(".momentum_buffer")} == {
        "0.weight.momentum_buffer", "2.weight.momentum_buffer"
    }  # fmt: skip
    assert {name.rpartition(".")[0] for name in slots if name.endswith(".exp_avg")} == {"0.bias", "2.bias"}


def test_the_rate_rises_along_a_line_and_falls_to_the_end():
    cycle = replace(SETTINGS, warm_up=0.2, first_rate=0.5, last_rate=0.25)
    shares = [rate_share(at, cycle) for at in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert shares == pytest.approx([0.5, 0.75, 1.0, 0.625, 0.25])
    assert rate_share(0.0, replace(cycle, one_cycle=False)) == 1.0


def test_another_seed_gives_other_weights():
    weights = []
    for seed in (0, 1):
        model, losses, validate = regression()
        run(model, losses, validate, FitSettings(3, 10, 0.02, seed=seed))
        weights.append(model[0].weight.detach().clone())
    assert not torch.equal(*weights)


def test_a_loss_that_is_no_number_stops_with_the_terms_named():
    model, _, validate = regression()

    def losses(batch, generator):
        return {"loss": model(torch.full((1, 3), float("nan"))).sum(), "recon": torch.tensor(1.0)}

    with pytest.raises(TrainingError, match=r"epoch 1.*recon 1"):
        run(model, losses, validate, SETTINGS)
