"""Three heads that turn what a network knows into the next code: a point, a mixture, a flow."""

import math

import torch
from torch import Tensor, nn

#: Width and hidden layers of every head, so that heads differ in nothing but what they stand for.
WIDTH, N_LAYERS = 256, 3

#: Gaussians of the mixture; Heun steps of the flow, and frequencies of its time.
N_GAUSSIANS = 8
N_ODE_STEPS = 20
N_FREQUENCIES = 4

#: Least and most log deviation of a Gaussian, in standardised codes.
LOG_DEVIATIONS = (-5.0, 2.0)


class PointHead(nn.Module):
    """The next code itself: deterministic, trained on the mean squared error."""

    def __init__(self, size: int, n_context: int) -> None:
        super().__init__()
        self.network = _layers(n_context, size)

    def loss(self, z: Tensor, context: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """() from codes now and next (n, size)."""
        return (self.sample(z, context, None) - target).square().mean()

    def sample(self, z: Tensor, context: Tensor, generator: torch.Generator | None) -> Tensor:  # noqa: ARG002
        """(n, size). The next codes."""
        following: Tensor = z + self.network(context)
        return following


class MixtureHead(nn.Module):
    """A mixture of diagonal Gaussians, trained on the negative log likelihood.

    Source: C. M. Bishop, Mixture Density Networks, Aston University NCRG/94/004 (1994).
    """

    def __init__(self, size: int, n_context: int) -> None:
        super().__init__()
        self.size = size
        self.network = _layers(n_context, N_GAUSSIANS * (1 + 2 * size))

    def loss(self, z: Tensor, context: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """(), nat a dimension."""
        weights, mean, log_std = self._parts(z, context)
        off = (target[..., None, :] - mean) / log_std.exp()
        each = -(off.square() / 2 + log_std + math.log(2 * math.pi) / 2).sum(-1)
        return -torch.logsumexp(weights.log_softmax(-1) + each, -1).mean() / self.size

    def sample(self, z: Tensor, context: Tensor, generator: torch.Generator) -> Tensor:
        """(n, size). The next codes."""
        weights, mean, log_std = self._parts(z, context)
        chosen = torch.multinomial(weights.softmax(-1), 1, generator=generator)[..., None]
        chosen = chosen.expand(-1, 1, self.size)
        noise = torch.randn(z.shape, generator=generator, dtype=z.dtype)
        return mean.gather(1, chosen)[:, 0] + noise * log_std.gather(1, chosen)[:, 0].exp()

    def _parts(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weights, rest = self.network(context).split([N_GAUSSIANS, 2 * N_GAUSSIANS * self.size], -1)
        mean, log_std = rest.unflatten(-1, (2, N_GAUSSIANS, self.size)).unbind(-3)
        return weights, z[..., None, :] + mean, log_std.clamp(*LOG_DEVIATIONS)


class FlowHead(nn.Module):
    """Flow matching on the straight path from noise to the next code.

    Source: Y. Lipman et al., arXiv:2210.02747.
    """

    def __init__(self, size: int, n_context: int) -> None:
        super().__init__()
        self.network = _layers(size + 2 * N_FREQUENCIES + n_context, size)
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.pi * torch.arange(1, N_FREQUENCIES + 1) / 2)

    def loss(self, z: Tensor, context: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """() mean squared error of the velocity."""
        noise = torch.randn(target.shape, generator=generator, dtype=target.dtype)
        s = torch.rand(target.shape[:-1], generator=generator, dtype=target.dtype)
        u = torch.lerp(noise, target, s[..., None])
        return (self._velocity(u, s, context) - (target - noise)).square().mean()

    def sample(self, z: Tensor, context: Tensor, generator: torch.Generator) -> Tensor:
        """(n, size). The next codes, by Heun's method."""
        u, step = torch.randn(z.shape, generator=generator, dtype=z.dtype), 1 / N_ODE_STEPS
        for i in range(N_ODE_STEPS):
            s = torch.full(u.shape[:-1], i * step, dtype=u.dtype)
            first = self._velocity(u, s, context)
            second = self._velocity(u + step * first, s + step, context)
            u = u + step / 2 * (first + second)
        return u

    def _velocity(self, u: Tensor, s: Tensor, context: Tensor) -> Tensor:
        phase = s[..., None] * self.frequencies
        velocity: Tensor = self.network(torch.cat([u, phase.sin(), phase.cos(), context], -1))
        return velocity


HEADS = {"point": PointHead, "mixture": MixtureHead, "flow": FlowHead}


def _layers(n_in: int, n_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(N_LAYERS):
        layers += [nn.Linear(WIDTH if i else n_in, WIDTH), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, n_out))
