"""The published method: its autoencoder, its LSTM and their losses."""

import torch
from torch import Tensor, nn

from smdgen.method.autoencoder import TERM_NAMES, Cv, Energies, kl_to_standard_normal
from smdgen.method.presets import PAPER


class PaperVae(nn.Module):
    """The paper's network on centred Cartesian coordinates.

    Source: Cava et al., section 2.2.1: three linear layers each way (120-100-100-60 and
    60-100-100-120 for 40 atoms), dropout 0.05 after every layer but the last. The activation is
    not given there; ReLU is the plainest.
    """

    def __init__(
        self, n_atoms: int, latent_size: int, hidden_size: int, dropout: float = PAPER.dropout
    ) -> None:
        super().__init__()
        self.n_atoms, self.latent_size = n_atoms, latent_size
        self.encoder = _paper_layers(3 * n_atoms, hidden_size, 2 * latent_size, dropout)
        self.decoder = _paper_layers(latent_size, hidden_size, 3 * n_atoms, dropout)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(..., n_atoms, 3), A -> mean and log variance of the latent, (..., latent_size) each."""
        centred = x - x.mean(-2, keepdim=True)
        mean, log_variance = self.encoder(centred.flatten(-2)).chunk(2, -1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """(..., latent_size) -> (..., n_atoms, 3), A."""
        x: Tensor = self.decoder(z).unflatten(-1, (self.n_atoms, 3))
        return x


def paper_losses(
    vae: PaperVae, x: Tensor, energies: Energies, cv: Cv, generator: torch.Generator
) -> dict[str, Tensor]:
    """Equations (1) and (2) of the paper on randomly rotated frames.

    | term     | here                                                                 |
    |----------|----------------------------------------------------------------------|
    | recon    | mean over frames and coordinates of (x' - x)^2, A^2                  |
    | bonds, angles, torsions | log of the mean over frames of (E' - E)^2, kcal^2/mol^2 |
    | cv       | mean over frames of (CV' - CV)^2                                     |
    | kl       | 2 / n_coordinates times the mean KL divergence: with recon this is the textbook VAE with unit variance, times 2 / n_coordinates |

    Args:
        vae: The paper's network.
        x: (n_rows, n_atoms, 3), A. Frames of a batch.
        energies: The three bonded energies.
        cv: The collective variable.
        generator: Draws the rotations and the latent noise.

    Source: Cava et al., section 2.3.
    """  # noqa: E501
    rotation = random_rotations(len(x), generator).to(x)
    x = (x - x.mean(-2, keepdim=True)) @ rotation.transpose(-1, -2)
    mean, log_variance = vae.encode(x)
    noise = torch.randn(*mean.shape, generator=generator, dtype=x.dtype).to(x.device)
    again = vae.decode(mean + noise * (log_variance / 2).exp())
    squares = (energies(again) - energies(x)).square().mean(0)
    terms = {name: squares[i].log() for i, name in enumerate(TERM_NAMES)}
    terms["cv"] = (cv(again) - cv(x)).square().mean(0)
    terms["recon"] = (again - x).square().mean((-2, -1)).mean(0)
    terms["kl"] = kl_to_standard_normal(mean, log_variance).mean(0) * (2 / (3 * x.shape[-2]))
    return terms


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


class PaperLstm(nn.Module):
    """Predicts an action vector from the latent now: z(t+1) = z(t) + a(t).

    Source: Cava et al., section 2.2.2. The width is not given there; the latent size is the plainest.
    """

    def __init__(self, latent_size: int, hidden_size: int) -> None:
        super().__init__()
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


def paper_sequence_loss(lstm: PaperLstm, z: Tensor) -> dict[str, Tensor]:
    """The paper's loss of a free-running sequence.

    Args:
        lstm: The network.
        z: (n_rows, n_frames, latent_size). Encoded sequences; the first frame is state A, the last B.

    Returns:
        "sequence": () mean squared error over all predicted latents; "end": () over the last.

    Source: Cava et al., sections 2.2.2 and 2.3.
    """
    path = lstm(z[:, 0], z.shape[1] - 1)
    squares = (path - z[:, 1:]).square()
    return {"sequence": squares.mean((-2, -1)).mean(0), "end": squares[:, -1].mean(-1).mean(0)}


def _paper_layers(n_in: int, hidden: int, n_out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_in, hidden), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(hidden, n_out),
    )  # fmt: skip
