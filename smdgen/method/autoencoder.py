"""The variational autoencoder of the default method, and the terms of its loss.

| symbol       | here                                                                            |
|--------------|---------------------------------------------------------------------------------|
| f            | features of a frame, standardised                                               |
| W, b; W', b' | `linear_in`, `linear_out`: whitened principal components before training        |
| MLP          | `network_in`, `network_out`: zero before training                               |
| mu, sigma^2  | `mean`, `log_variance.exp()` of the latent z                                    |
| sd           | `log_std.exp()`: deviation of the decoder's noise, one for each feature         |
| E, sd(E)     | `physics.energies`, `physics.energy_scale`, kcal/mol                            |

Source: D. P. Kingma and M. Welling, arXiv:1312.6114.
"""

import torch
from torch import Tensor, nn

from smdgen.geometry.internal import InternalTree
from smdgen.method.components import Blocks, principal_components
from smdgen.method.features.base import Features
from smdgen.method.model import Autoencoder, Physics, kl_to_standard_normal
from smdgen.method.presets import DEFAULT, TERM_NAMES, AutoencoderNumbers


class FeatureVae(Autoencoder):
    """A VAE on features of frames, internal or aligned, with a learned deviation for each of them.

    Encoder and decoder are a linear map plus a network. The linear maps start as the whitened
    principal components of the training features and the networks as zero, so that training
    starts from a (nearly) lossless latent space and can only bend it.
    """

    def __init__(
        self,
        features: Features,
        latent_size: int,
        hidden_size: int,
        numbers: AutoencoderNumbers = DEFAULT.autoencoder,
    ) -> None:
        super().__init__()
        self.numbers, n_layers = numbers, numbers.n_layers
        n_features = features.n_features
        self.features, self.latent_size, self.hidden_size = features, latent_size, hidden_size
        self.representation, self.noise_size = features.representation, n_features
        self.linear_in, self.linear_out = (
            nn.Linear(n_features, latent_size),
            nn.Linear(latent_size, n_features),
        )
        self.network_in = _zero_last(_layers(n_features, hidden_size, latent_size, n_layers))
        self.network_out = _zero_last(_layers(latent_size, hidden_size, n_features, n_layers))
        self.latent_log_variance = nn.Parameter(torch.full((latent_size,), numbers.first_log_variance))
        self.log_std = nn.Parameter(torch.full((n_features,), numbers.first_log_std))

    @property
    def tree(self) -> InternalTree | None:
        """Spanning tree of the atoms, where it reads internal coordinates."""
        return self.features.tree

    @torch.no_grad()
    def init_from_pca(self, blocks: Blocks) -> None:
        """Set the linear maps to the whitened principal components of features (n, n_features)."""
        variance, axes = principal_components(blocks, self.features.n_features, self.latent_size)
        deviation = variance.clamp_min(self.numbers.least_variance).sqrt()
        self.linear_in.weight.copy_((axes / deviation).T)
        self.linear_out.weight.copy_(axes * deviation)
        self.linear_in.bias.zero_()
        self.linear_out.bias.zero_()

    def finish(self, blocks: Blocks, _: Physics) -> None:
        """Lower the decoder's noise to what validation frames bear out."""
        self.shrink_decoder_std(blocks)

    @torch.no_grad()
    def shrink_decoder_std(self, blocks: Blocks) -> None:
        """Lower the deviations to what is lost of frames (n, n_atoms, 3), A, decoded from their mean latents.

        In training latents are sampled, and the deviations cover that spread too. The dynamics give latents
        like the means, and noise for a spread that these do not have blurs their frames: a few hundredths of
        a radian in every torsion move paired strands apart.
        """
        squares, n_frames = torch.zeros_like(self.log_std), 0
        for x in blocks():
            f = self.features.encode(x)
            squares += (f - self.decode_features(self.encode_features(f)[0])).square().sum(0)
            n_frames += len(x)
        lost = (squares / n_frames).sqrt().clamp_min(self.numbers.least_noise)
        self.log_std.copy_(torch.minimum(self.log_std, lost.log()))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(..., n_atoms, 3), A -> mean and log variance of the latent, (..., latent_size) each."""
        return self.encode_features(self.features.encode(x))

    def encode_features(self, f: Tensor) -> tuple[Tensor, Tensor]:
        """(..., n_features) -> mean and log variance of the latent."""
        mean = self.linear_in(f) + self.network_in(f)
        return mean, self.latent_log_variance.expand_as(mean)

    def decode_features(self, z: Tensor) -> Tensor:
        """(..., latent_size) -> (..., n_features): the decoder's mean."""
        mean: Tensor = self.linear_out(z) + self.network_out(z)
        return mean

    def decode(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """Frames of latents.

        Args:
            z: (..., latent_size).
            noise: (..., n_features). Standard normal numbers, scaled by the decoder's deviation;
                None for its mean.

        Returns:
            (..., n_atoms, 3), A, in a frame of their own.
        """
        f = self.decode_features(z)
        if noise is not None:
            f = f + self.features.noisy(noise * self.log_std.exp())
        return self.features.decode(f)

    def loss_terms(self, x: Tensor, physics: Physics, generator: torch.Generator) -> dict[str, Tensor]:
        """The terms of the default autoencoder, before their weights.

        | term     | here                                                                       |
        |----------|----------------------------------------------------------------------------|
        | recon    | mean over features of the Gaussian negative log likelihood, nat             |
        | shape    | mean over pairs of atoms of (distance' - distance)^2, A^2                    |
        | bonds, angles, torsions | mean over frames of |E' - E| / sd(E) of the decoder's mean    |
        | cv       | mean over frames of (CV' - CV)^2                                            |
        | kl       | mean KL divergence a feature, nat                                           |

        Args:
            x: (n_rows, n_atoms, 3), A. Frames of a batch.
            physics: Energies and CV.
            generator: Draws the latent noise and the atoms whose distances are compared.
        """
        f = self.features.encode(x)
        mean, log_variance = self.encode_features(f)
        noise = torch.randn(*mean.shape, generator=generator, dtype=x.dtype).to(x.device)
        again = self.decode_features(mean + noise * (log_variance / 2).exp())
        deviation = self.log_std
        terms = {"recon": (0.5 * ((again - f) / deviation.exp()).square() + deviation).mean(-1).mean(0)}
        frames = self.features.decode(again)
        atoms = torch.randperm(x.shape[-2], generator=generator)
        atoms = atoms[: self.numbers.most_shape_atoms].to(x.device)
        shape_error = _distances(frames[:, atoms]) - _distances(x[:, atoms])
        terms["shape"] = shape_error.square().mean(-1).mean(0)
        scale = physics.energy_scale.clamp_min(self.numbers.least_energy_deviation)
        off = (physics.energies(frames) - physics.energies(x)).abs().mean(0) / scale
        terms |= {name: off[i] for i, name in enumerate(TERM_NAMES)}
        terms["cv"] = (physics.cv(frames) - physics.cv(x)).square().mean(0)
        terms["kl"] = kl_to_standard_normal(mean, log_variance).mean(0) / f.shape[-1]
        return terms


def _layers(n_in: int, hidden: int, n_out: int, n_layers: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(n_in, hidden), nn.SiLU()]
    for _ in range(n_layers - 1):
        layers += [nn.Linear(hidden, hidden), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, n_out))


def _zero_last(network: nn.Sequential) -> nn.Sequential:
    last = network[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return network


def _distances(x: Tensor) -> Tensor:
    """(n, n_pairs), A. Distances between all pairs of atoms of (n, n_atoms, 3)."""
    i, j = torch.triu_indices(x.shape[-2], x.shape[-2], 1, device=x.device)
    distances: Tensor = torch.linalg.vector_norm(x[:, i] - x[:, j], dim=-1)
    return distances
