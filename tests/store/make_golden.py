"""Make the golden model files: networks with made-up weights, and frames that they generate.

    python -m tests.store.make_golden

writes `golden/schema_<n>_<kind>.tar.xz` of today's layout, one for each kind of model. Run it once, when a
layout is new; the archives of earlier layouts stay as the code of their time wrote them. Weights repeat a
short pattern, so that an archive takes a few kB.
"""

import io
import lzma
import tarfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from smdgen.forcefield.system import residue_rows
from smdgen.geometry.cvs import CollectiveVariable, evaluate
from smdgen.geometry.frames import superpose
from smdgen.geometry.internal import spanning_tree
from smdgen.io.structures.structure import Structure
from smdgen.method.autoencoder import FeatureVae
from smdgen.method.critic import Critic
from smdgen.method.dynamics import FlowDynamics
from smdgen.method.features.aligned import AlignedFeatures
from smdgen.method.features.base import Features
from smdgen.method.features.internal import InternalFeatures
from smdgen.method.fold import FoldVae
from smdgen.method.model import Autoencoder, TrainingFrames
from smdgen.method.paper import PaperLstm, PaperVae
from smdgen.method.presets import DEFAULT, METHODS, recorded
from smdgen.method.rollout import generate
from smdgen.method.transformer import residue_layout
from smdgen.store.headers import CriticScore
from smdgen.store.manifest import SCHEMA
from smdgen.store.models import AutoencoderFile, DynamicsFile, build_model
from tests.tools.models import autoencoder_header, dynamics_header
from tests.tools.pulls import make_cv, make_pull, make_structure

FOLDER = Path(__file__).with_name("golden")
KINDS = ("default", "aligned", "paper", "fold")
N_RESIDUES, N_FOLDED, N_FRAMES, LATENT_SIZE, HIDDEN_SIZE = 4, 12, 30, 6, 8

#: What is generated: steps, pulls and seed.
N_STEPS, N_SAMPLES, SEED = 3, 2, 1

STRUCTURE, CV = make_structure(N_RESIDUES), make_cv(N_RESIDUES)


def molecule(kind: str) -> tuple[Structure, CollectiveVariable, int]:
    """Structure, CV and number of residues of one kind."""
    if kind == "fold":
        return make_structure(N_FOLDED), make_cv(N_FOLDED), N_FOLDED
    return STRUCTURE, CV, N_RESIDUES


@torch.no_grad()
def fill(network: nn.Module, scale: float) -> None:
    """Give every parameter a pattern of its own that repeats: 61 numbers, of the size of a layer's."""
    for number, parameter in enumerate(network.parameters()):
        pattern = torch.randn(61, generator=torch.Generator().manual_seed(number))
        size = scale / parameter.shape[-1] ** 0.5 if parameter.ndim > 1 else 0.1 * scale
        parameter.copy_(
            size * pattern.repeat(parameter.numel() // 61 + 1)[: parameter.numel()].view_as(parameter)
        )


def networks(kind: str, x: Tensor) -> tuple[Autoencoder, FlowDynamics | PaperLstm, Critic | None]:
    """Untrained networks of one kind, on frames x (n, n_atoms, 3), A."""
    torch.manual_seed(0)
    n_atoms = STRUCTURE.n_atoms
    if kind == "paper":
        paper = PaperVae(n_atoms, LATENT_SIZE, HIDDEN_SIZE), PaperLstm(LATENT_SIZE, HIDDEN_SIZE)
        for network in paper:
            fill(network, 1.0)
        return *paper, None
    if kind == "fold":
        return *folded(x), None
    features: Features
    if kind == "aligned":
        features = AlignedFeatures.fit(lambda: [x], n_atoms, STRUCTURE.bonds)
    else:
        features = InternalFeatures.fit(lambda: [x], spanning_tree(n_atoms, STRUCTURE.bonds))
    vae = FeatureVae(features, LATENT_SIZE, HIDDEN_SIZE)
    fill(vae, 0.1)
    vae.init_from_pca(lambda: [features.encode(x)])
    vae.log_std.data.fill_(-4.0)
    layout = residue_layout(features, STRUCTURE.names.tolist(), residue_rows(STRUCTURE))
    dynamics = FlowDynamics(LATENT_SIZE, HIDDEN_SIZE, 16, 1, **layout.sizes)
    fill(dynamics, 0.3)
    dynamics.read_features(vae, layout)
    dynamics.standardise(vae.encode(x)[0].detach(), evaluate(CV, x))
    pairs = np.array([[1, 9], [1, 13], [5, 13]])
    critic = Critic(len(pairs))
    fill(critic, 1.0)
    critic.pairs.copy_(torch.from_numpy(pairs))
    critic.scale.fill_(3.0)
    return vae, dynamics, critic


def folded(x: Tensor) -> tuple[FoldVae, FlowDynamics]:
    """Networks of a folded chain, on frames x (n, n_atoms, 3), A."""
    structure, cv, _ = molecule("fold")
    frames = TrainingFrames(structure, lambda: [x], len(x), lambda: [x], x.dtype)
    fold = DEFAULT.fold
    assert fold is not None
    vae = FoldVae.fit(frames, LATENT_SIZE, fold, DEFAULT.internal, DEFAULT.sampling)
    fill(vae, 0.1)
    sizes = {"n_features": LATENT_SIZE, "n_residues": 0, "n_kinds": 0, "n_soft": LATENT_SIZE,
             "n_knots": fold.mean_path.n_knots}  # fmt: skip
    dynamics = FlowDynamics(LATENT_SIZE, HIDDEN_SIZE, 16, 1, **sizes)
    fill(dynamics, 0.3)
    dynamics.standardise(vae.encode(x)[0], evaluate(cv, x), vae.map_std)
    dynamics.read_latents()
    return vae, dynamics


def write(kind: str, folder: Path) -> None:
    """Write vae.safetensors, lstm.safetensors, start.npy and frames.npy of one kind."""
    structure, cv, n_residues = molecule(kind)
    pulls = [torch.from_numpy(make_pull(N_FRAMES, seed, n_residues)) for seed in range(3)]
    x = torch.cat(pulls)
    vae, dynamics, critic = networks(kind, x)
    preset = "paper" if kind == "paper" else "default"
    sizes = {"n_atoms": structure.n_atoms, "latent_size": LATENT_SIZE, "hidden_size": HIDDEN_SIZE}
    header = autoencoder_header(
        structure, cv, preset=preset, numbers=recorded(METHODS[preset], vae.representation),
        representation=vae.representation, sizes=sizes,
        training_radius_A=2.0,
    )  # fmt: skip
    frames = superpose(x[::30], x[0] - x[0].mean(0))
    AutoencoderFile(header, vae.state_dict(), frames, vae.tree).save(folder / "vae.safetensors")
    own = AutoencoderFile.open(folder / "vae.safetensors")
    sizes = {"latent_size": LATENT_SIZE, "hidden_size": HIDDEN_SIZE}
    if isinstance(dynamics, FlowDynamics):
        sizes |= {"head_size": 16, "n_blocks": 1, "n_features": len(dynamics.to_features),
                  "n_soft": dynamics.n_soft, "n_residues": dynamics.n_residues,
                  "n_kinds": dynamics.residues.n_kinds if dynamics.n_residues else 0}  # fmt: skip
        sizes |= {"n_knots": dynamics.n_knots} if dynamics.n_knots else {}
    score = None if critic is None else CriticScore(0.75, 1000)
    header = dynamics_header(
        preset=preset,
        numbers=recorded(METHODS[preset], vae.representation),
        sizes=sizes,
        vae_sha256=own.sha256,
        duration_ps=100.0,
        critic=score,
    )
    paths = torch.stack([evaluate(cv, pull) for pull in pulls])[:, ::6]
    weights = {} if critic is None else critic.state_dict()
    DynamicsFile(header, dynamics.state_dict(), paths, weights).save(folder / "lstm.safetensors")
    model = build_model(own, DynamicsFile.open(folder / "lstm.safetensors"), structure)
    rollout = generate(model, x[0], N_STEPS, N_SAMPLES, seed=SEED)
    np.save(folder / "start.npy", x[0].numpy())
    np.save(folder / "frames.npy", rollout.positions.numpy())


def pack(folder: Path, archive: Path) -> None:
    """Put the files of a folder into a .tar.xz, without times and owners."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for path in sorted(folder.iterdir()):
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            tar.addfile(entry, io.BytesIO(path.read_bytes()))
    archive.write_bytes(lzma.compress(content.getvalue(), preset=9))


def main() -> None:
    """Write all archives of today's layout."""
    import tempfile

    FOLDER.mkdir(exist_ok=True)
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            write(kind, Path(folder))
            pack(Path(folder), FOLDER / f"schema_{SCHEMA}_{kind}.tar.xz")


if __name__ == "__main__":
    main()
