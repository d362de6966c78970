"""The published method, whole: its autoencoder, its LSTM, their losses and the path of a rollout.

| symbol         | here                                                                                 |
|----------------|--------------------------------------------------------------------------------------|
| x, x'          | `x`, `again`: frames and what the autoencoder makes of them, A                       |
| z, mu, sigma^2 | latent, `mean`, `log_variance.exp()`                                                 |
| E              | `physics.energies`: bonds, angles, torsions, kcal/mol                                |
| a(t)           | `PaperLstm.action` of the LSTM's output: z(t+1) = z(t) + a(t)                        |
| A, B           | first and last frame of a sequence                                                   |

Source: Cava et al., sections 2.2 and 2.3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smdgen.geometry.atoms import Molecule
from smdgen.geometry.frames import rotation_onto, superpose
from smdgen.geometry.internal import InternalTree
from smdgen.method.model import (
    Autoencoder,
    Condition,
    Dynamics,
    Physics,
    PullModel,
    TrainingFrames,
    kl_to_standard_normal,
)
from smdgen.method.presets import PAPER, TERM_NAMES, CriticNumbers, Fitting, PaperNumbers
from smdgen.method.target_path import TargetPath
from smdgen.progress import Progress


class PaperVae(Autoencoder):
    """The paper's network on centred Cartesian coordinates.

    Source: Cava et al., section 2.2.1: three linear layers each way (120-100-100-60 and
    60-100-100-120 for 40 atoms), dropout 0.05 after every layer but the last. The activation is
    not given there; ReLU is the plainest.
    """

    representation = "cartesian"

    def __init__(
        self, n_atoms: int, latent_size: int, hidden_size: int, dropout: float = PAPER.dropout
    ) -> None:
        super().__init__()
        self.n_atoms, self.latent_size, self.hidden_size = n_atoms, latent_size, hidden_size
        self.encoder = _layers(3 * n_atoms, hidden_size, 2 * latent_size, dropout)
        self.decoder = _layers(latent_size, hidden_size, 3 * n_atoms, dropout)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(..., n_atoms, 3), A -> mean and log variance of the latent, (..., latent_size) each."""
        centred = x - x.mean(-2, keepdim=True)
        mean, log_variance = self.encoder(centred.flatten(-2)).chunk(2, -1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """(..., latent_size) -> (..., n_atoms, 3), A."""
        x: Tensor = self.decoder(z).unflatten(-1, (self.n_atoms, 3))
        return x

    def loss_terms(self, x: Tensor, physics: Physics, generator: torch.Generator) -> dict[str, Tensor]:
        """Equations (1) and (2) of the paper on randomly rotated frames (n, n_atoms, 3), A.

        | term     | here                                                                 |
        |----------|----------------------------------------------------------------------|
        | recon    | mean over frames and coordinates of (x' - x)^2, A^2                  |
        | bonds, angles, torsions | log of the mean over frames of (E' - E)^2, kcal^2/mol^2 |
        | cv       | mean over frames of (CV' - CV)^2                                     |
        | kl       | 2 / n_coordinates times the mean KL divergence: with recon this is   |
        |          | the textbook VAE with unit variance, times 2 / n_coordinates         |

        The paper's equations do not list the KL divergence; its networks are called a VAE, which has one.

        Source: Cava et al., section 2.3.
        """
        rotation = random_rotations(len(x), generator).to(x)
        x = (x - x.mean(-2, keepdim=True)) @ rotation.transpose(-1, -2)
        mean, log_variance = self.encode(x)
        noise = torch.randn(*mean.shape, generator=generator, dtype=x.dtype).to(x.device)
        again = self.decode(mean + noise * (log_variance / 2).exp())
        squares = (physics.energies(again) - physics.energies(x)).square().mean(0)
        terms = {name: squares[i].log() for i, name in enumerate(TERM_NAMES)}
        terms["cv"] = (physics.cv(again) - physics.cv(x)).square().mean(0)
        n_coordinates = 3 * x.shape[-2]
        terms["recon"] = (again - x).square().mean((-2, -1)).mean(0)
        terms["kl"] = kl_to_standard_normal(mean, log_variance).mean(0) * (2 / n_coordinates)
        return terms


class PaperLstm(Dynamics):
    """Predicts an action vector from the latent now: z(t+1) = z(t) + a(t).

    Source: Cava et al., section 2.2.2. The width is not given there; the latent size is the plainest.
    """

    def __init__(self, latent_size: int, hidden_size: int, end_weight: float = PAPER.end_weight) -> None:
        super().__init__()
        self.end_weight = end_weight
        self.lstm = nn.LSTM(latent_size, hidden_size, batch_first=True)
        self.action = nn.Linear(hidden_size, latent_size)

    def forward(self, z: Tensor, n_steps: int) -> Tensor:
        """Free-running sequence from a start: (n, latent_size) -> (n, n_steps, latent_size)."""
        path, state = [], None
        for _ in range(n_steps):
            hidden, state = self.lstm(z[:, None], state)
            z = z + self.action(hidden[:, 0])
            path.append(z)
        return torch.stack(path, 1)

    def loss_terms(self, z: Tensor, condition: Condition, generator: torch.Generator) -> dict[str, Tensor]:
        """The loss of a free-running sequence; condition and noise play no part in it.

        Args:
            z: (n, n_frames, latent_size). Encoded sequences; the first frame is state A, the last B.
            condition: Not used.
            generator: Not used.

        Returns:
            "sequence": () mean squared error over all predicted latents; "end": () over the last; "loss":
            sequence + `end_weight` * end.

        Source: Cava et al., sections 2.2.2 and 2.3.
        """
        squares = (self(z[:, 0], z.shape[1] - 1) - z[:, 1:]).square()
        sequence, end = squares.mean((-2, -1)).mean(0), squares[:, -1].mean(-1).mean(0)
        return {"loss": sequence + self.end_weight * end, "sequence": sequence, "end": end}


#: A model of the published method.
PaperModel = PullModel[PaperVae, PaperLstm]


@dataclass(frozen=True)
class PaperMethod:
    """See `smdgen.method.model.Method`."""

    numbers: PaperNumbers = PAPER
    name = "paper"
    steerable = False
    critic: CriticNumbers | None = None
    batches_per_epoch: int | None = None  # an epoch has every sequence once

    @property
    def autoencoder_fit(self) -> Fitting:
        """How the autoencoder is trained."""
        return self.numbers.autoencoder_fit

    @property
    def dynamics_fit(self) -> Fitting:
        """How the LSTM is trained."""
        return self.numbers.dynamics_fit

    def new_autoencoder(self, frames: TrainingFrames, latent_size: int, hidden_size: int) -> PaperVae:
        """An untrained autoencoder; a size of 0 is the paper's."""
        sizes = latent_size or self.numbers.latent_size, hidden_size or self.numbers.hidden_size
        return PaperVae(len(frames.structure.names), *sizes, self.numbers.dropout).to(frames.dtype)

    def empty_autoencoder(
        self, sizes: Mapping[str, int], weights: Mapping[str, Tensor], representation: str,
        tree: InternalTree | None,
    ) -> PaperVae:  # fmt: skip
        """An autoencoder of these sizes, for weights of a file."""
        return PaperVae(sizes["n_atoms"], sizes["latent_size"], sizes["hidden_size"], self.numbers.dropout)

    def new_dynamics(
        self, autoencoder: PaperVae, hidden_size: int, z: Tensor, cv: Tensor, names: Sequence[str],
        residues: Sequence[int],
    ) -> tuple[PaperLstm, dict[str, int]]:  # fmt: skip
        """An untrained LSTM and its sizes; a width of 0 is that of the latents."""
        latent = autoencoder.latent_size
        sizes = {"latent_size": latent, "hidden_size": hidden_size or latent}
        return self.empty_dynamics(sizes).to(z.dtype), sizes

    def empty_dynamics(self, sizes: Mapping[str, int]) -> PaperLstm:
        """An LSTM of these sizes, for weights of a file."""
        return PaperLstm(**sizes, end_weight=self.numbers.end_weight)

    @property
    def least_frames(self) -> int:
        """Frames that the longest pull of a split must have: those of a sequence."""
        return self.numbers.n_frames

    @property
    def most_steps(self) -> int:
        """Steps of a sequence."""
        return self.numbers.n_frames - 1

    def n_validation(self, batch_size: int) -> int:
        """Validation sequences that are drawn at a time."""
        return self.numbers.n_validation

    @property
    def n_validation_rounds(self) -> int:
        """Draws of these."""
        return self.numbers.n_validation_rounds

    def draw_stride(self, longest: int, generator: torch.Generator) -> int:
        """Frames between two frames of a sequence; nothing is drawn.

        The paper trains on sequences of 10 frames. It does not say how far apart these are, nor whether
        states A and B are the ends of a pull. Here 10 steps span the longest pull, as in a rollout of 10
        steps. A sequence has 9 of them: 90 of the 100 intervals between 101 frames, and it can begin at 11
        frames. A sequence from end to end could begin at 2, and at one frame of a pull of 100.
        """
        return max(1, (longest - 1) // self.numbers.n_frames)

    def fitted(self, dynamics: PaperLstm, n_frames: int, settings: Mapping[str, float]) -> dict[str, float]:
        """The settings as they are."""
        return dict(settings)

    def clash_limits(self, structure: Molecule, reference_frames: Tensor) -> Tensor:
        """(n_atoms, n_atoms), A. Zeros: the published method knows of no clashes."""
        n_atoms = len(structure.names)
        return reference_frames.new_zeros(n_atoms, n_atoms, dtype=torch.float64)

    def path(
        self,
        model: PaperModel,
        start: Tensor,
        target_path: TargetPath,
        generator: torch.Generator,
        progress: Progress,
    ) -> Tensor:
        """(n_samples, n_steps + 1, n_atoms, 3), A. The one path from a start, as often as it is asked for.

        The network sees coordinates: the start is laid onto the first reference frame, and the path goes
        back by the same motion reversed.
        """
        n_samples, n_steps = target_path.values.shape[0], target_path.values.shape[1] - 1
        reference = model.reference_frames[0] - model.reference_frames[0].mean(-2)
        centre = start.mean(-2)
        rotation = rotation_onto(start - centre, reference)
        mean, _ = model.autoencoder.encode((start - centre) @ rotation)
        decoded = model.autoencoder.decode(model.dynamics(mean[None], n_steps)[0])
        progress.advance(n_steps)
        path = torch.cat([start[None], decoded @ rotation.mT + centre])
        return path.expand(n_samples, -1, -1, -1)

    def next_frames(
        self, model: PaperModel, pulls: Tensor, dt_ps: float, generator: torch.Generator
    ) -> Tensor:
        """(n_pulls, n_frames - 1, n_atoms, 3), A. The frame after each but the last of real pulls."""
        z = model.autoencoder.encode(superpose(pulls[:, :-1], model.reference_frames[0]))[0]
        hidden, _ = model.dynamics.lstm(z)
        return model.autoencoder.decode(z + model.dynamics.action(hidden))


def random_rotations(n: int, generator: torch.Generator) -> Tensor:
    """(n, 3, 3). Rotations drawn evenly, from unit quaternions.

    Source: K. Shoemake, Graphics Gems III (1992), "Uniform random rotations".
    """
    numbers = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    w, x, y, z = nn.functional.normalize(numbers, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    matrices: Tensor = torch.stack(rows, -1).unflatten(-1, (3, 3))
    return matrices


def _layers(n_in: int, hidden: int, n_out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_in, hidden), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(hidden, n_out),
    )  # fmt: skip
