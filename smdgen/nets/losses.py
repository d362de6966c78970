"""Loss terms of the two autoencoders, means that a larger batch does not change."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from smdgen.nets.share import Share
from smdgen.nets.vae import InternalVae, PaperVae, kl_to_standard_normal

#: Maps frames (n, n_atoms, 3), A, to the three bonded energies (n, 3), kcal/mol.
Energies = Callable[[Tensor], Tensor]
#: Maps frames (n, n_atoms, 3), A, to their CV (n,).
Cv = Callable[[Tensor], Tensor]

TERM_NAMES = ("bonds", "angles", "torsions")


def random_rotations(share: Share) -> Tensor:
    """(n_rows, 3, 3). Rotations drawn evenly, from unit quaternions.

    Source: K. Shoemake, Graphics Gems III (1992), "Uniform random rotations".
    """
    w, x, y, z = nn.functional.normalize(share.normal(4, dtype=torch.float64), dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    matrices: Tensor = torch.stack(rows, -1).unflatten(-1, (3, 3))
    return matrices


def paper_losses(vae: PaperVae, x: Tensor, energies: Energies, cv: Cv, share: Share) -> dict[str, Tensor]:
    """Equations (1) and (2) of the paper on randomly rotated frames.

    | term     | here                                                                 |
    |----------|----------------------------------------------------------------------|
    | recon    | mean over frames and coordinates of (x' - x)^2, A^2                  |
    | bonds, angles, torsions | log of the mean over frames of (E' - E)^2, kcal^2/mol^2 |
    | cv       | mean over frames of (CV' - CV)^2                                     |
    | kl       | 2 / n_coordinates times the mean KL divergence: with recon this is the textbook VAE with unit variance, times 2 / n_coordinates |

    Args:
        vae: The paper's network.
        x: (n_rows, n_atoms, 3), A. This process's rows of the batch.
        energies: The three bonded energies.
        cv: The collective variable.
        share: Draws the rotations and the latent noise.

    Source: Cava et al., section 2.3.
    """  # noqa: E501
    vae.share_dropout(share)
    rotation = random_rotations(share).to(x)
    x = (x - x.mean(-2, keepdim=True)) @ rotation.transpose(-1, -2)
    mean, log_variance = vae.encode(x)
    noise = share.normal(mean.shape[-1], dtype=x.dtype).to(x.device)
    again = vae.decode(mean + noise * (log_variance / 2).exp())
    squares = share.mean((energies(again) - energies(x)).square())
    terms = {name: squares[i].log() for i, name in enumerate(TERM_NAMES)}
    terms["cv"] = share.mean((cv(again) - cv(x)).square())
    terms["recon"] = share.mean((again - x).square().mean((-2, -1)))
    terms["kl"] = share.mean(kl_to_standard_normal(mean, log_variance)) * (2 / (3 * x.shape[-2]))
    return terms


def internal_losses(
    vae: InternalVae, x: Tensor, energies: Energies, energy_scale: Tensor, cv: Cv, share: Share
) -> dict[str, Tensor]:
    """The terms of the default autoencoder, before their weights.

    | term     | here                                                                       |
    |----------|----------------------------------------------------------------------------|
    | recon    | mean over features of the Gaussian negative log likelihood, nat             |
    | shape    | mean over pairs of atoms of (distance' - distance)^2, A^2                    |
    | bonds, angles, torsions | mean over frames of |E' - E| / sd(E) of the decoder's mean    |
    | cv       | mean over frames of (CV' - CV)^2                                            |
    | kl       | mean KL divergence a feature, nat                                           |

    Args:
        vae: The network.
        x: (n_rows, n_atoms, 3), A. This process's rows of the batch.
        energies: The three bonded energies.
        energy_scale: (3,), kcal/mol. Standard deviation of each in the training frames.
        cv: The collective variable.
        share: Draws the latent noise and the atoms whose distances are compared.
    """
    f = vae.features.encode(x)
    mean, log_variance = vae.encode_features(f)
    noise = share.normal(mean.shape[-1], dtype=x.dtype).to(x.device)
    again = vae.decode_features(mean + noise * (log_variance / 2).exp())
    deviation = vae.log_deviation
    terms = {"recon": share.mean((0.5 * ((again - f) / deviation.exp()).square() + deviation).mean(-1))}
    frames = vae.features.decode(again)
    atoms = torch.randperm(x.shape[-2], generator=share.generator)[:MOST_SHAPE_ATOMS].to(x.device)
    shape_error = _distances(frames[:, atoms]) - _distances(x[:, atoms])
    terms["shape"] = share.mean(shape_error.square().mean(-1))
    off = share.mean((energies(frames) - energies(x)).abs()) / energy_scale
    terms |= {name: off[i] for i, name in enumerate(TERM_NAMES)}
    terms["cv"] = share.mean((cv(frames) - cv(x)).square())
    terms["kl"] = share.mean(kl_to_standard_normal(mean, log_variance)) / f.shape[-1]
    return terms


#: Atoms whose mutual distances enter the shape term; a larger system draws as many anew each batch.
MOST_SHAPE_ATOMS = 64


def _distances(x: Tensor) -> Tensor:
    """(n, n_pairs), A. Distances between all pairs of atoms of (n, n_atoms, 3)."""
    i, j = torch.triu_indices(x.shape[-2], x.shape[-2], 1, device=x.device)
    distances: Tensor = torch.linalg.vector_norm(x[:, i] - x[:, j], dim=-1)
    return distances
