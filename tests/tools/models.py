"""Headers of model files, and files of networks that are too small to be of use."""

from pathlib import Path
from typing import Any

import torch

from smdgen.geometry import cvs
from smdgen.geometry.cvs import CollectiveVariable
from smdgen.io.structures.structure import Structure, structure_to_json
from smdgen.method.presets import METHODS
from smdgen.store.headers import AutoencoderHeader, DynamicsHeader
from smdgen.store.models import AutoencoderFile, DynamicsFile
from tests.tools.pulls import make_cv, make_structure


def autoencoder_header(
    structure: Structure | None = None, cv: CollectiveVariable | None = None, **changes: Any
) -> AutoencoderHeader:
    """A header of vae.safetensors."""
    structure, cv = structure or make_structure(), cv or make_cv()
    values = {
        "preset": "default",
        "numbers": METHODS["default"],
        "representation": "aligned",
        "sizes": {"n_atoms": structure.n_atoms, "latent_size": 1, "hidden_size": 1},
        "settings": {"epochs": 2},
        "config": {"seed": 0},
        "structure": structure_to_json(structure),
        "atom_hash": structure.atom_hash,
        "cv": cvs.to_dict(cv),
        "content_hash": "0" * 64,
        "terms": "geometry",
        "units": {"length": "A", "energy": "kcal/mol"},
        "epochs": 2,
        "validation_rmsd_A": 0.5,
        "training_radius_A": 1.0,
    }
    return AutoencoderHeader(**{**values, **changes})


def dynamics_header(**changes: Any) -> DynamicsHeader:
    """A header of lstm.safetensors."""
    values = {
        "preset": "default",
        "numbers": METHODS["default"],
        "sizes": {"hidden_size": 1},
        "settings": {"epochs": 2},
        "config": {"seed": 0},
        "vae_sha256": "0" * 64,
        "content_hash": "0" * 64,
        "duration_ps": 10.0,
        "interval_ps": 1.0,
        "epochs": 2,
    }
    return DynamicsHeader(**{**values, **changes})


def write_autoencoder(path: Path, header: AutoencoderHeader | None = None) -> str:
    """A vae.safetensors of one weight; its content hash."""
    header = header or autoencoder_header()
    frames = torch.zeros(1, header.sizes["n_atoms"], 3)
    AutoencoderFile(header, {"w": torch.zeros(1)}, frames, tree=None).save(path)
    return AutoencoderFile.open(path).sha256


def write_dynamics(path: Path, header: DynamicsHeader | None = None) -> None:
    """An lstm.safetensors of one weight."""
    DynamicsFile(header or dynamics_header(), {"w": torch.zeros(1)}, torch.zeros(1, 2), {}).save(path)
