"""Newton guidance: samples of the flow are brought to the CV that the next frame is to have.

| symbol   | here                                                                                   |
|----------|----------------------------------------------------------------------------------------|
| c        | `target_cv` of each sample                                                             |
| g        | `gradient`, dCV/dz of the decoded frame, its noise included                            |
| step     | -g (CV - c) / |g|^2, the shortest that meets c to first order                          |
| s        | flow time: between 0.3 and 0.9 the step is taken at the expected end point and scaled  |
|          | by s (`FlowDynamics.sample`); what is left of the flow relaxes the rest of the frame;  |
|          | after the flow, `move_to_target` repeats it until the decoded frame has the CV         |
"""

from typing import Any

import torch
from torch import Tensor

from smdgen.geometry.cvs import CollectiveVariable, difference, evaluate
from smdgen.method.autoencoder import FeatureVae
from smdgen.method.dynamics import FlowDynamics
from smdgen.method.model import PullModel
from smdgen.method.presets import DEFAULT, SamplingNumbers

#: A model of the default method: a `FeatureVae` or a `FoldVae`, and its dynamics.
FlowModel = PullModel[Any, FlowDynamics]


def draw_next(
    model: FlowModel, history: Tensor, target_cv: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Next latents (n, latent_size) and frames (n, n_atoms, 3), A, of the flow, guided to their target CVs.

    Args:
        model: The trained networks.
        history: (n, ...). Of `FlowDynamics.encode_history`.
        target_cv: (n,). The CV they are to have.
        generator: Of all noise.
    """

    def normal(size: int) -> Tensor:
        return torch.randn(len(target_cv), size, generator=generator).to(history)

    vae, cv, dynamics = model.autoencoder, model.cv, model.dynamics
    numbers = dynamics.numbers.sampling
    start, noise = normal(vae.latent_size), normal(vae.noise_size)

    def guidance(u: Tensor) -> Tensor:
        z = dynamics.unstandardised(u, target_cv)
        return newton_step(vae, cv, z, noise, target_cv, numbers)[0] / dynamics.z_scale

    if vae.meets_cv:
        z = dynamics.unstandardised(dynamics.sample(history, start, numbers), target_cv)
        return z, vae.decode(z, noise, cv, target_cv)
    u = dynamics.sample(history, start, numbers, guidance)
    z = move_to_target(vae, cv, dynamics.unstandardised(u, target_cv), noise, target_cv, numbers)
    return z, vae.decode(z, noise)


def move_to_target(
    vae: FeatureVae,
    cv: CollectiveVariable,
    z: Tensor,
    noise: Tensor,
    target_cv: Tensor,
    numbers: SamplingNumbers = DEFAULT.sampling,
) -> Tensor:
    """Move latents the least way that brings the CV of their frames to its target.

    Args:
        vae: Decodes.
        cv: The CV.
        z: (n, latent_size).
        noise: (n, n_features). The decoder noise the frames will carry.
        target_cv: (n,). Target of each.
        numbers: Most steps, and how near is enough.

    Returns:
        (n, latent_size).
    """
    for _ in range(numbers.n_newton_steps):
        step, off = newton_step(vae, cv, z, noise, target_cv, numbers)
        if off.abs().max() < numbers.cv_tolerance:
            break
        z = z + step
    return z.detach()


def newton_step(
    vae: FeatureVae,
    cv: CollectiveVariable,
    z: Tensor,
    noise: Tensor,
    target_cv: Tensor,
    numbers: SamplingNumbers = DEFAULT.sampling,
) -> tuple[Tensor, Tensor]:
    """-g (CV - target) / |g|^2 with g = dCV/dz, (n, latent_size), and CV - target, (n,)."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = evaluate(cv, vae.decode(z, noise))
        (gradient,) = torch.autograd.grad(value.sum(), z)
    off = difference(cv, value.detach(), target_cv)
    square = gradient.square().sum(-1, keepdim=True).clamp_min(numbers.least_square)
    return -gradient * off[:, None] / square, off
