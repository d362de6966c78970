"""The critic of `train-lstm`: sampled next frames against the true ones."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from smdgen.geometry.backbone import find_backbone
from smdgen.geometry.bonds import ca_pairs, even_choice
from smdgen.geometry.frames import bond_lengths
from smdgen.io.structures.structure import Structure
from smdgen.method.critic import Critic
from smdgen.method.dynamics import CONDITION_SIZE
from smdgen.method.guidance import FlowModel, draw_next
from smdgen.progress import Progress
from smdgen.store.headers import CriticScore
from smdgen.training.fit import fit, fit_settings
from smdgen.training.sequences import Sequences, draw_batch

#: The loss of a critic that says "one or the other" to everything.
CHANCE = 2 * math.log(2)


@dataclass(frozen=True)
class CriticOutcome:
    """A trained critic, or none.

    Attributes:
        critic: Chooses among candidates; None: there were too few frames, or it learned nothing that holds.
        auc: How well it tells true from sampled next frames of validation pulls, 0.5 for not at all.
        n_samples: Sampled frames it learned from.
        n_candidates: Among which it chooses.
    """

    critic: Critic | None = None
    auc: float = math.nan
    n_samples: int = 0
    n_candidates: int = 0

    def text(self) -> str:
        """For the console."""
        if self.critic is None:
            return "none"
        return f"chooses among {self.n_candidates} candidates a step, AUC {self.auc:.2f} on validation pulls"

    def score(self) -> CriticScore | None:
        """For the model file."""
        return None if self.critic is None else CriticScore(self.auc, self.n_samples)

    def weights(self) -> Mapping[str, Tensor]:
        """For the model file."""
        return {} if self.critic is None else self.critic.state_dict()


@dataclass(frozen=True)
class _Examples:
    """Distances (n, n_pairs), A, in true and in sampled next frames, and what the dynamics knew."""

    true: Tensor
    made: Tensor
    scaled_condition: Tensor


def train_critic(
    model: FlowModel,
    parts: Mapping[str, Sequences],
    structure: Structure,
    most_samples: int,
    seed: int,
    progress: Progress,
) -> CriticOutcome:
    """Train a critic on next frames of the training pulls; it is kept if validation pulls bear it out.

    True frames go through the autoencoder too, so that the critic judges what the dynamics do.

    Args:
        model: The trained networks, on the device to use.
        parts: Encoded training and validation pulls.
        structure: The modelled atoms.
        most_samples: Most next frames to sample.
        seed: Of the samples and the training.
        progress: Told of samples and epochs.
    """
    own = model.dynamics.numbers.critic
    pairs = even_choice(ca_pairs(find_backbone(structure)), own.most_distances)
    data, most = parts["train"], own.most_residues // max(1, model.dynamics.n_residues)
    n = min(most_samples, own.samples_per_frame * len(data.z), most)
    if n < own.fewest_samples or not len(pairs) or model.autoencoder.meets_cv:
        return CriticOutcome()
    generator = torch.Generator().manual_seed(seed)
    atoms = torch.from_numpy(pairs).to(model.dynamics.z_scale.device)
    n_checked = round(own.validation_share * n)
    progress.start("samples for the critic", n + n_checked)
    examples = _sample(model, data, n, atoms, generator, progress)
    checked = _sample(model, parts["validation"], n_checked, atoms, generator, progress)
    torch.manual_seed(seed)
    critic = Critic.of(pairs, examples.true, examples.scaled_condition, own)

    def terms(of: _Examples) -> dict[str, Tensor]:
        true, made = critic(of.true, of.scaled_condition), critic(of.made, of.scaled_condition)
        return {"loss": (softplus(-true) + softplus(made)).mean(0)}

    def losses(items: Tensor, _: torch.Generator) -> dict[str, Tensor]:
        return terms(_Examples(examples.true[items], examples.made[items], examples.scaled_condition[items]))

    @torch.no_grad()
    def validate() -> dict[str, float]:
        found = terms(checked)
        return {name: value.item() for name, value in found.items()}

    settings = fit_settings(own.fit, asdict(own.fit), seed)
    state = fit(critic, losses, n, validate, settings, progress, label="critic")
    if state.best_loss >= CHANCE:
        return CriticOutcome()
    with torch.no_grad():
        true, made = (critic(x, checked.scaled_condition) for x in (checked.true, checked.made))
    n_candidates = model.dynamics.numbers.sampling.n_candidates
    return CriticOutcome(critic.cpu(), float((true[:, None] > made).float().mean()), n, n_candidates)


@torch.no_grad()
def _sample(
    model: FlowModel, data: Sequences, n: int, pairs: Tensor, generator: torch.Generator, progress: Progress
) -> _Examples:
    dynamics, vae = model.dynamics, model.autoencoder
    true, made, scaled_condition, n_done = [], [], [], 0
    while n_done < n:
        stride, numbers = model.method.draw_stride(data.longest, generator), dynamics.numbers
        z, condition = draw_batch(data, stride, numbers.dynamics.n_steps, numbers.critic.n_rows, generator)
        z, condition = z.to(pairs.device), condition.to(pairs.device)
        history, _ = dynamics.encode_history(dynamics.standardised(z[:, :-1], condition.cv), condition)
        history, following = history.flatten(0, 1), z[:, 1:].flatten(0, 1)
        target_cv = condition.target_cv.flatten()
        noise = torch.randn(len(target_cv), vae.noise_size, generator=generator).to(z)
        true.append(bond_lengths(vae.decode(following, noise), pairs))
        made.append(bond_lengths(draw_next(model, history, target_cv, generator)[1], pairs))
        scaled_condition.append(history[:, -CONDITION_SIZE:])
        n_done += len(target_cv)
        progress.advance(min(len(target_cv), n - n_done + len(target_cv)))
    return _Examples(*(torch.cat(values)[:n] for values in (true, made, scaled_condition)))
