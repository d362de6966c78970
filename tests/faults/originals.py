"""Sound files of every format the project reads, made from the shipped example; damage begins here."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from smdgen.config import PrepareConfig
from smdgen.io.structures.structure import read_structure, write_pdb
from smdgen.io.trajectories.dcd import DcdFile, write_dcd
from smdgen.progress import Silent
from smdgen.stages import prepare
from smdgen.store.artifacts import write_model
from smdgen.store.latents import Latents, write_latents
from tests.tools.other_formats import write_h5, write_netcdf, write_xtc

EXAMPLE = Path(__file__).parents[2] / "examples" / "deca_alanine"
N_FRAMES = 12
EVERY = 17  # of the frames of a shipped pull, so that neighbours differ
CELL = (90.0, 90.0, 90.0, 90.0, 90.0, 90.0)

#: What kinds there are, and the file of each.
FILES = {
    "psf": "system.psf",
    "pdb": "system.pdb",
    "dcd": "pull.dcd",
    "xtc": "pull.xtc",
    "netcdf": "pull.nc",
    "h5": "pull.h5",
    "models": "models.pdb",
    "table": "pull.colvars.traj",
    "store": "dataset.h5",
    "latents": "latents.h5",
    "model": "vae.safetensors",
}


@dataclass(frozen=True)
class Originals:
    """A folder with one sound file of every kind."""

    folder: Path

    def path(self, kind: str) -> Path:
        """The sound file of a kind."""
        return self.folder / FILES[kind]


def example_frames(pull: int = 0) -> NDArray[np.float32]:
    """(N_FRAMES, 104, 3), A. Some frames of one shipped pull."""
    with DcdFile(EXAMPLE / "pulls" / f"pull_{pull:03d}.dcd") as dcd:
        return dcd.read(np.arange(N_FRAMES) * EVERY)


def make_originals(folder: Path) -> Originals:
    """Write them all; the same bytes every time but for the provenance in the store."""
    folder.mkdir(parents=True, exist_ok=True)
    originals = Originals(folder)
    shutil.copyfile(EXAMPLE / "deca_alanine.psf", originals.path("psf"))
    shutil.copyfile(EXAMPLE / "deca_alanine.pdb", originals.path("pdb"))
    frames = example_frames()
    write_dcd(originals.path("dcd"), frames, timestep_ps=0.002, steps_per_frame=500)
    cells = np.tile(CELL, (N_FRAMES, 1))
    write_xtc(originals.path("xtc"), frames, cells)
    write_netcdf(originals.path("netcdf"), frames)
    write_h5(originals.path("h5"), frames, cells)
    _write_models(originals, frames)
    _write_table(originals.path("table"))
    _write_run(originals, frames)
    return originals


def _write_models(originals: Originals, frames: NDArray[np.float32]) -> None:
    structure = read_structure(originals.path("pdb"))
    lines = []
    for number, frame in enumerate(frames[:4], start=1):
        write_pdb(originals.folder / "one.pdb", structure, frame)
        atoms = (originals.folder / "one.pdb").read_text().replace("END\n", "")
        lines.append(f"MODEL     {number:4d}\n{atoms}ENDMDL\n")
    originals.path("models").write_text("".join(lines) + "END\n")
    (originals.folder / "one.pdb").unlink()


def _write_table(path: Path) -> None:
    shutil.copyfile(EXAMPLE / "pulls" / "pull_000.colvars.traj", path)


def _write_run(originals: Originals, frames: NDArray[np.float32]) -> None:
    """The files of a run folder; the network is one matrix, because only its bytes count here."""
    copy = originals.folder / "alone.dcd"  # without the table beside it
    shutil.copyfile(originals.path("dcd"), copy)
    config = PrepareConfig((copy,), topology=originals.path("psf"))
    prepare.run(config, originals.folder, Silent())
    copy.unlink()
    means = np.random.default_rng(0).normal(size=(len(frames), 6)).astype(np.float32)
    write_latents(originals.path("latents"), Latents(means, "0" * 64))
    weights = {"weight": torch.arange(600.0).reshape(20, 30), "bias": torch.zeros(20)}
    write_model(originals.path("model"), "vae", weights, {"preset": "default", "sizes": [20, 30]})
