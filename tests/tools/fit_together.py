"""Small trainings of every network; run as a process of a group it prints what each came to."""

import hashlib
import json
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from smdgen.geometry.internal import spanning_tree
from smdgen.method.autoencoder import FeatureVae
from smdgen.method.dynamics import FlowDynamics
from smdgen.method.features.internal import InternalFeatures
from smdgen.method.model import Condition, Physics
from smdgen.method.paper import PaperVae
from smdgen.progress import Silent
from smdgen.training.distributed import exit_process, training_group
from smdgen.training.fit import FitSettings, fit

#: 49 items in batches of 16: the last batch holds one item, less than there are processes.
SETTINGS = FitSettings(epochs=3, batch_size=16, learning_rate=0.01, ema_decay=0.9)
N_ITEMS = 49


def trainings(leave_after: int | None = None, seed: int = 4) -> dict[str, dict[str, Any]]:
    """Every loss of every epoch and a hash of the last weights, by network; process 1 may leave."""
    found = {}
    for name, (model, losses) in networks().items():

        def validate(model=model, losses=losses):
            terms = losses(torch.arange(N_ITEMS), torch.Generator().manual_seed(1))
            return {"loss": terms["loss"].item()}

        def keep(state):
            if state.epoch == leave_after and torch.distributed.get_rank() == 1:
                exit_process(3)

        settings = replace(SETTINGS, seed=seed)
        state = fit(model, losses, N_ITEMS, validate, settings, Silent(), label=name, keep=keep)
        weights = [value.numpy().tobytes() for _, value in sorted(state.weights.items())]
        found[name] = {"history": state.history, "weights": hashlib.sha256(b"".join(weights)).hexdigest()}
    return found


def networks():
    """Networks with their losses on made-up frames."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(N_ITEMS, 6, 3, generator=generator) + 3 * torch.arange(6.0)[:, None]
    tree = spanning_tree(6, np.array([[0, 1], [1, 2], [2, 3], [3, 4], [2, 5]]))

    def energies(frames):
        d = torch.linalg.vector_norm(frames[:, 1:] - frames[:, :-1], dim=-1)
        return torch.stack([d.sum(-1), d.square().sum(-1), d[:, 0] * d[:, 1]], -1)

    def cv(frames):
        return torch.linalg.vector_norm(frames[:, -1] - frames[:, 0], dim=-1)

    physics = Physics(energies, torch.ones(3), cv)
    internal = FeatureVae(InternalFeatures.fit(lambda: [x], tree), 5, 12)
    paper = PaperVae(6, 4, 10)
    dynamics = FlowDynamics(4, 6, 8, 1, n_features=4, n_residues=2, n_kinds=2, n_soft=2)
    dynamics.residues.place.copy_(torch.arange(4))
    for fixed in (dynamics.to_features, dynamics.to_latents):
        torch.nn.init.normal_(fixed, generator=generator)
    z = torch.randn(N_ITEMS, 5, 4, generator=generator)
    values = torch.rand(N_ITEMS, 4, generator=generator)

    def of_internal(batch, generator):
        terms = internal.loss_terms(x[batch], physics, generator)
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def of_paper(batch, generator):
        terms = paper.loss_terms(x[batch], physics, generator)
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def of_dynamics(batch, generator):
        condition = Condition(values[batch], values[batch] + 0.1, torch.ones(len(batch), 4))
        return dynamics.loss_terms(z[batch], condition, generator)

    return {
        "internal": (internal, of_internal),
        "paper": (paper, of_paper),
        "dynamics": (dynamics, of_dynamics),
    }


if __name__ == "__main__":
    from smdgen.cli.console import exit_code_of

    torch.set_num_threads(1)
    try:
        with training_group("cpu"):
            sys.stdout.write(json.dumps(trainings(int(sys.argv[1]) if len(sys.argv) > 1 else None)))
    except Exception as error:
        exit_process(exit_code_of(error))
