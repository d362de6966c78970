"""Numbers of both methods that a user may set."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Numbers:
    """What a method takes where the user sets nothing; a size of 0 follows the data.

    Attributes:
        autoencoder: By setting of `train-vae`.
        dynamics: By setting of `train-lstm`.
    """

    autoencoder: Mapping[str, float]
    dynamics: Mapping[str, float]


#: The paper gives sizes, dropout, epochs and sequences of 10 frames; batch size, optimiser (Adam) and rate
#: are the plainest.
PAPER = Numbers(
    {"epochs": 8, "batch_size": 32, "latent_size": 60, "hidden_size": 100, "learning_rate": 1e-3,
     "kl_weight": 1.0, "energy_weight": 1.0, "cartesian_weight": 1.0},
    {"epochs": 22, "batch_size": 32, "hidden_size": 0, "learning_rate": 1e-3},
)  # fmt: skip
DEFAULT = Numbers(
    {"epochs": 40, "batch_size": 128, "latent_size": 0, "hidden_size": 0, "learning_rate": 1e-3,
     "kl_weight": 0.003, "energy_weight": 0.02, "cartesian_weight": 1.0},
    {"epochs": 40, "batch_size": 32, "hidden_size": 128, "learning_rate": 5e-3},
)  # fmt: skip

#: Most next frames that are sampled for the critic of the default method, if all its epochs are trained.
CRITIC_SAMPLES = 8000

#: The methods by the names that `--preset` takes.
METHODS = {"paper": PAPER, "default": DEFAULT}


def autoencoder_settings(numbers: Numbers) -> dict[str, float]:
    """Numbers of the autoencoder that a user may set; a size of 0 follows the data."""
    return dict(numbers.autoencoder)


def dynamics_settings(numbers: Numbers) -> dict[str, float]:
    """Numbers of the dynamics that a user may set; a size of 0 is that of the latents."""
    return dict(numbers.dynamics)
