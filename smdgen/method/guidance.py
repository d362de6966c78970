"""Newton steps that bring the CV of decoded latents to its target."""

import torch
from torch import Tensor

from smdgen.geometry.cvs import CollectiveVariable, difference, evaluate
from smdgen.method.autoencoder import InternalVae
from smdgen.method.presets import DEFAULT, SamplingNumbers


def steer(
    vae: InternalVae,
    cv: CollectiveVariable,
    z: Tensor,
    noise: Tensor,
    aim: Tensor,
    numbers: SamplingNumbers = DEFAULT.sampling,
) -> Tensor:
    """Move latents the least way that brings the CV of their frames to its target.

    Args:
        vae: Decodes.
        cv: The CV.
        z: (n, latent_size).
        noise: (n, n_features). The decoder noise the frames will carry.
        aim: (n,). Target of each.
        numbers: Most steps, and how near is enough.

    Returns:
        (n, latent_size).
    """
    for _ in range(numbers.n_newton_steps):
        step, off = newton_step(vae, cv, z, noise, aim)
        if off.abs().max() < numbers.on_target:
            break
        z = z + step
    return z.detach()


def newton_step(
    vae: InternalVae, cv: CollectiveVariable, z: Tensor, noise: Tensor, aim: Tensor
) -> tuple[Tensor, Tensor]:
    """A step of `steer`, -g (CV - target) / |g|^2 with g = dCV/dz, (n, latent_size); CV - target, (n,)."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = evaluate(cv, vae.decode(z, noise))
        (gradient,) = torch.autograd.grad(value.sum(), z)
    off = difference(cv, value.detach(), aim)
    return -gradient * off[:, None] / gradient.square().sum(-1, keepdim=True).clamp_min(1e-12), off
