"""The two variational autoencoders: the paper's and ours."""

import torch
from torch import Tensor, nn

from smdgen.nets.components import Blocks, principal_components
from smdgen.nets.features import InternalFeatures
from smdgen.nets.places import PlacedFeatures
from smdgen.nets.share import Share


class PaperVae(nn.Module):
    """The paper's network on centred Cartesian coordinates.

    Source: Cava et al., section 2.2.1: three linear layers each way (120-100-100-60 and
    60-100-100-120 for 40 atoms), dropout 0.05 after every layer but the last. The activation is
    not given there; ReLU is the plainest.
    """

    def __init__(self, n_atoms: int, latent_size: int, hidden_size: int, dropout: float = 0.05) -> None:
        super().__init__()
        self.n_atoms, self.latent_size = n_atoms, latent_size
        self.encoder = _paper_layers(3 * n_atoms, hidden_size, 2 * latent_size, dropout)
        self.decoder = _paper_layers(latent_size, hidden_size, 3 * n_atoms, dropout)

    def share_dropout(self, share: Share) -> None:
        """Drop in the next batches what a process with all rows would drop in these."""
        for module in self.modules():
            if isinstance(module, _Dropout):
                module.n, module.rows = share.n, share.rows

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(..., n_atoms, 3), A -> mean and log variance of the latent, (..., latent_size) each."""
        centred = x - x.mean(-2, keepdim=True)
        mean, log_variance = self.encoder(centred.flatten(-2)).chunk(2, -1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """(..., latent_size) -> (..., n_atoms, 3), A."""
        x: Tensor = self.decoder(z).unflatten(-1, (self.n_atoms, 3))
        return x


#: Least deviation of the decoder's noise, in standardised features.
LEAST_NOISE = 1e-6

#: What `InternalVae` reads and writes: internal coordinates, or places where these do not hold a fold.
Features = InternalFeatures | PlacedFeatures


class InternalVae(nn.Module):
    """A VAE on internal coordinates (or places) with a learned deviation for each of them.

    Encoder and decoder are a linear map plus a network. The linear maps start as the whitened
    principal components of the training features and the networks as zero, so that training
    starts from a (nearly) lossless latent space and can only bend it.
    """

    def __init__(self, features: Features, latent_size: int, hidden_size: int, n_layers: int = 2) -> None:
        super().__init__()
        n_features = features.n_features
        self.features, self.latent_size = features, latent_size
        self.linear_in, self.linear_out = (
            nn.Linear(n_features, latent_size),
            nn.Linear(latent_size, n_features),
        )
        self.network_in = _zero_last(_layers(n_features, hidden_size, latent_size, n_layers))
        self.network_out = _zero_last(_layers(latent_size, hidden_size, n_features, n_layers))
        self.latent_log_variance = nn.Parameter(torch.full((latent_size,), -4.0))
        self.log_deviation = nn.Parameter(torch.full((n_features,), -2.5))

    @torch.no_grad()
    def start_from_components(self, blocks: Blocks) -> None:
        """Set the linear maps to the whitened principal components of features (n, n_features)."""
        variance, axes = principal_components(blocks, self.features.n_features, self.latent_size)
        deviation = variance.clamp_min(1e-3).sqrt()
        self.linear_in.weight.copy_((axes / deviation).T)
        self.linear_out.weight.copy_(axes * deviation)
        self.linear_in.bias.zero_()
        self.linear_out.bias.zero_()

    @torch.no_grad()
    def lower_noise(self, blocks: Blocks) -> None:
        """Lower the deviations to what is lost of frames (n, n_atoms, 3), A, decoded from their mean latents.

        In training latents are sampled, and the deviations cover that spread too. The dynamics give latents
        like the means, and noise for a spread that these do not have blurs their frames: a few hundredths of
        a radian in every torsion move paired strands apart.
        """
        squares, n_frames = torch.zeros_like(self.log_deviation), 0
        for x in blocks():
            f = self.features.encode(x)
            squares += (f - self.decode_features(self.encode_features(f)[0])).square().sum(0)
            n_frames += len(x)
        lost = (squares / n_frames).sqrt().clamp_min(LEAST_NOISE)
        self.log_deviation.copy_(torch.minimum(self.log_deviation, lost.log()))

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
            f = f + self.features.noisy(noise * self.log_deviation.exp())
        return self.features.decode(f)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """(...,), nat. Kullback-Leibler divergence of N(mean, variance) from N(0, 1), summed over the last axis.

    Source: D. P. Kingma and M. Welling, arXiv:1312.6114, appendix B.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)


class _Dropout(nn.Dropout):
    """Dropout whose random numbers are drawn for all rows of a batch, of which some are at hand."""

    n, rows = 0, slice(0)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = torch.empty(self.n, *x.shape[1:], dtype=x.dtype).bernoulli_(1 - self.p)[self.rows]
        return x * (kept.to(x.device) / (1 - self.p))


def _paper_layers(n_in: int, hidden: int, n_out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_in, hidden), nn.ReLU(), _Dropout(dropout),
        nn.Linear(hidden, hidden), nn.ReLU(), _Dropout(dropout),
        nn.Linear(hidden, n_out),
    )  # fmt: skip


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
