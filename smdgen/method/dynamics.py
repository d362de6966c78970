"""The dynamics of the default method: an LSTM for the history, a flow for the next latent, and its loss.

| symbol   | here                                                                                   |
|----------|----------------------------------------------------------------------------------------|
| z(t)     | latent of frame t; inside, standardised by `z_centre` and `z_scale`                    |
| c, c'    | `condition.cv`, `condition.target_cv`: CV of frame t, and that frame t + 1 is to have  |
| dt       | `condition.dt_ps`, ps                                                                  |
| h        | `history`: soft torsions, LSTM output, scaled condition                                |
| s        | flow time, 0 for noise, 1 for the next latent                                          |
| u        | the sample on its way: (1 - s) noise + s z(t + 1) in training                          |
| v        | `velocity(u, s, h)`; the loss is the mean of (v - (z(t + 1) - noise))^2                |

To try another network for the flow, change `velocity`; for a head that is no flow, change also `sample` and
`loss_terms`, and what `guidance.draw_next` gives to `sample`; for another memory, change `encode_history`,
whose last columns (`scaled_condition`) the critic reads too. The training loop is in
`smdgen/training/fit.py`, called by `smdgen/stages/train_lstm.py`.

Source: Y. Lipman et al., arXiv:2210.02747 (flow matching, the straight path).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from smdgen.method.autoencoder import FeatureVae
from smdgen.method.mean_path import at as path_at
from smdgen.method.mean_path import mean_path
from smdgen.method.model import Condition, Dynamics
from smdgen.method.presets import DEFAULT, DefaultNumbers, SamplingNumbers
from smdgen.method.transformer import ResidueLayout, ResidueNet

#: Numbers of a scaled condition: CV now, target CV, their difference, log of the time to the next frame.
CONDITION_SIZE = 4


class FlowDynamics(Dynamics):
    """Samples the next latent: an LSTM for the memory, a flow-matching head for the step.

    The head moves standard normal noise to the next latent by the ordinary differential equation
    du/ds = v(u, s | soft torsions now, memory, CV now, target CV, time step), s from 0 to 1. Its velocity
    is the sum of a network on the latents, for what is stiff, and of one on the residues, which see the
    latents as internal features, for the torsions.

    Source: Y. Lipman et al., arXiv:2210.02747 (flow matching, the straight path).
    """

    cv_centre: Tensor  # () mean CV of the training frames
    cv_scale: Tensor  # () its standard deviation
    z_centre: Tensor  # (latent_size,) mean latent of the training frames
    z_scale: Tensor  # (latent_size,) its standard deviation
    knots: Tensor  # (n_knots,) CV at which the mean path is known; only if there are knots
    path: Tensor  # (n_knots, latent_size) mean latents there, in place of `z_centre`
    to_features: Tensor  # (n_features, latent_size) the autoencoder's linear way out
    to_latents: Tensor  # (latent_size, n_features) and in
    soft: Tensor  # (n_soft,) the soft features

    def __init__(
        self,
        latent_size: int,
        hidden_size: int,
        head_size: int,
        n_blocks: int,
        n_features: int,
        n_residues: int,
        n_kinds: int,
        n_soft: int,
        n_knots: int = 0,
        numbers: DefaultNumbers = DEFAULT,
    ) -> None:
        super().__init__()
        self.latent_size, self.n_soft = latent_size, n_soft
        self.numbers, n_frequencies = numbers, numbers.dynamics.n_frequencies
        self.lstm = nn.LSTM(n_soft + CONDITION_SIZE, hidden_size, batch_first=True)
        n_conditioning = hidden_size + CONDITION_SIZE + 2 * n_frequencies
        n_in = latent_size + n_soft + n_conditioning
        self.input_proj = nn.Linear(n_in, head_size)
        self.blocks = nn.ModuleList(_Block(head_size) for _ in range(n_blocks))
        self.output_proj = nn.Linear(head_size, latent_size)
        self.skip = nn.Linear(n_in, latent_size)
        for last in (self.output_proj, self.skip):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.n_residues = n_residues
        if n_residues:
            own = numbers.transformer
            self.residues = ResidueNet(n_features, n_residues, n_kinds, n_soft, n_conditioning, own)
        self.n_knots = n_knots
        if n_knots:
            self.register_buffer("knots", torch.arange(n_knots, dtype=torch.get_default_dtype()))
            self.register_buffer("path", torch.zeros(n_knots, latent_size))
        self.register_buffer("cv_centre", torch.zeros(()))
        self.register_buffer("cv_scale", torch.ones(()))
        self.register_buffer("z_centre", torch.zeros(latent_size))
        self.register_buffer("z_scale", torch.ones(latent_size))
        self.register_buffer("to_features", torch.zeros(n_features, latent_size))
        self.register_buffer("to_latents", torch.zeros(latent_size, n_features))
        self.register_buffer("soft", torch.zeros(n_soft, dtype=torch.long))
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.pi * torch.arange(1, n_frequencies + 1) / 2)

    @torch.no_grad()
    def read_latents(self) -> None:
        """Take the standardised latents themselves as features: they belong to no residue."""
        self.to_features.copy_(torch.diag(1 / self.z_scale))
        self.to_latents.copy_(torch.diag(self.z_scale))
        self.soft.copy_(torch.arange(self.latent_size))

    @torch.no_grad()
    def read_features(self, vae: FeatureVae, layout: ResidueLayout) -> None:
        """Take from the autoencoder what latents mean, and from the layout where features belong."""
        self.to_features.copy_(vae.linear_out.weight)
        self.to_latents.copy_(vae.linear_in.weight)
        self.soft.copy_(torch.from_numpy(layout.soft))
        self.residues.arrange(layout)

    @torch.no_grad()
    def standardise(self, z: Tensor, cv: Tensor, scale: Tensor | None = None) -> None:
        """Take the scales from training frames.

        Args:
            z: (n_frames, latent_size). Their latents.
            cv: (n_frames,). Their CV.
            scale: (latent_size,). What a unit of each latent counts, for the mean path.
        """
        self.z_centre.copy_(z.mean(0))
        least = self.numbers.dynamics.least_deviation
        self.z_scale.copy_(z.std(0, correction=0).clamp_min(least))
        self.cv_centre.copy_(cv.mean())
        self.cv_scale.copy_(cv.std(correction=0).clamp_min(least))
        own = self.numbers.fold
        if self.n_knots and own is not None and scale is not None:
            knots, path, deviation = mean_path(cv, z, scale, self.n_knots, own.mean_path)
            self.knots.copy_(knots)
            self.path.copy_(path)
            self.z_scale.copy_(deviation.clamp_min(least))

    def standardised(self, z: Tensor, cv: Tensor) -> Tensor:
        """Latents as the flow sees them, from those of the autoencoder, (..., latent_size) both.

        Args:
            z: (..., latent_size). Of frames.
            cv: (...,). Their CV, for the mean path.
        """
        return (z - self._centre(cv)) / self.z_scale

    def unstandardised(self, u: Tensor, cv: Tensor) -> Tensor:
        """The inverse of `standardised`."""
        return u * self.z_scale + self._centre(cv)

    def _centre(self, cv: Tensor) -> Tensor:
        return path_at(cv, self.knots, self.path) if self.n_knots else self.z_centre

    def encode_history(
        self,
        z: Tensor,
        condition: Condition,
        state: tuple[Tensor, Tensor] | None = None,
        disturbance: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """What is known after each latent.

        Args:
            z: (n, n_steps, latent_size), standardised.
            condition: (n, n_steps) each.
            state: The LSTM's state before the first step; None at the start of a sequence.
            disturbance: (n, n_steps, n_soft). Added to the soft torsions, in training.

        Returns:
            History (n, n_steps, n_soft + hidden_size + CONDITION_SIZE) for `velocity`, and the state.
        """
        scaled = self.scaled_condition(condition)
        soft = (z * self.z_scale) @ self.to_features[self.soft].T
        if disturbance is not None:
            soft = soft + disturbance
        hidden, state = self.lstm(torch.cat([soft, scaled], -1), state)
        return torch.cat([soft, hidden, scaled], -1), state

    def velocity(self, u: Tensor, s: Tensor, history: Tensor) -> Tensor:
        """Velocity of the flow: u (..., latent_size), s (...,) from 0 to 1, given `encode_history`."""
        phase = s[..., None] * self.frequencies
        soft, rest = history.split([self.n_soft, history.shape[-1] - self.n_soft], -1)
        conditioning = torch.cat([rest, phase.sin(), phase.cos()], -1)
        entered = torch.cat([u, soft, conditioning], -1)
        hidden = self.input_proj(entered)
        for block in self.blocks:
            hidden = block(hidden)
        learned: Tensor = self.output_proj(nn.functional.silu(hidden)) + self.skip(entered)
        if self.n_residues:
            turned = self.residues((u * self.z_scale) @ self.to_features.T, soft, conditioning)
            learned = learned + (turned @ self.to_latents.T) / self.z_scale
        return learned + normal_velocity(s)[..., None] * u

    @torch.no_grad()
    def sample(
        self,
        history: Tensor,
        noise: Tensor,
        numbers: SamplingNumbers,
        guidance: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Next latents, standardised: Heun's method from noise (n, latent_size) at s = 0 to s = 1.

        Args:
            history: (n, ...). Of `encode_history`.
            noise: (n, latent_size).
            numbers: Steps of the method, and the window of guidance.
            guidance: By how much the expected next latents (n, latent_size) miss their target; asked while
                s is within the window of guidance, so that the remaining flow relaxes the rest.
        """
        u, step = noise, 1.0 / numbers.n_ode_steps
        for i in range(numbers.n_ode_steps):
            at = i * step
            s = torch.full(u.shape[:-1], at, dtype=u.dtype, device=u.device)
            first = self.velocity(u, s, history)
            if guidance is not None and numbers.guidance_from <= at <= numbers.guidance_to:
                u = u + at * guidance(u + (1 - at) * first)
                first = self.velocity(u, s, history)
            second = self.velocity(u + step * first, s + step, history)
            u = u + step / 2 * (first + second)
        return u

    def loss_terms(self, z: Tensor, condition: Condition, generator: torch.Generator) -> dict[str, Tensor]:
        """The flow-matching loss of sequences, as "loss"."""
        return {"loss": flow_matching_loss(self, z, condition, generator)}

    def scaled_condition(self, condition: Condition) -> Tensor:
        """(n, n_steps, CONDITION_SIZE). What the networks see of a condition, (n, n_steps) each."""
        now = (condition.cv - self.cv_centre) / self.cv_scale
        target = (condition.target_cv - self.cv_centre) / self.cv_scale
        return torch.stack(
            [now, target, self.numbers.dynamics.step_factor * (target - now), condition.dt_ps.log()], -1
        )


def normal_velocity(s: Tensor) -> Tensor:
    """Factor on u of the velocity that keeps N(0, 1) as it is: E[data - noise | u] / u, data from N(0, 1).

    The latents are standardised, so this is what the flow does before anything is known; the
    network learns the rest.
    """
    return (2 * s - 1) / ((1 - s).square() + s.square())


class _Block(nn.Module):
    """A residual block: normalise, widen by SiLU, add."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.norm, self.first, self.second = nn.LayerNorm(size), nn.Linear(size, size), nn.Linear(size, size)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(nn.functional.silu(self.first(self.norm(x))))
        return out


def flow_matching_loss(
    dynamics: FlowDynamics, z: Tensor, condition: Condition, generator: torch.Generator
) -> Tensor:
    """Mean squared error of the velocity, over sequences, steps and latents.

    Args:
        dynamics: The network.
        z: (n_rows, n_steps + 1, latent_size). Encoded sequences, as the autoencoder gives them.
        condition: (n_rows, n_steps) each.
        generator: Draws the noise, the flow times and the disturbance of the remembered latents.

    Returns:
        () mean over the batch, so that a larger batch does not change it.
    """

    def normal(*shape: int) -> Tensor:
        return torch.randn(len(z), *shape, generator=generator, dtype=z.dtype).to(z.device)

    known = dynamics.standardised(z[:, :-1], condition.cv)
    target = dynamics.standardised(z[:, 1:], condition.target_cv)
    disturbance = dynamics.numbers.dynamics.memory_noise * normal(target.shape[1], dynamics.n_soft)
    history, _ = dynamics.encode_history(known, condition, disturbance=disturbance)
    s = torch.rand(*target.shape[:2], generator=generator, dtype=z.dtype).to(z.device)
    noise = normal(*target.shape[1:])
    u = torch.lerp(noise, target, s[..., None])
    return (dynamics.velocity(u, s, history) - (target - noise)).square().mean((-2, -1)).mean(0)
