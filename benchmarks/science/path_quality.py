"""How near generated paths of a large protein come to real frames."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from smdgen.dataset.dataset import Dataset, open_dataset
from smdgen.forcefield.energy import BondedEnergy
from smdgen.geometry.frames import rmsd, rmsd_matrix
from smdgen.geometry.validity import clash_limits, clashing
from smdgen.io.trajectories.trajectory import open_trajectory
from smdgen.store.models import AutoencoderFile
from smdgen.store.run_record import RunFolder

TERMS = ("bonds", "angles", "torsions")


def report(run: Path) -> None:
    """Print all measures of a run folder in which every command has run."""
    folder = RunFolder(run)
    dataset = open_dataset(folder.dataset)
    held_out = frames_of(dataset, "validation", "test")
    again, nearest = reconstruction(held_out, frames_of(dataset, "train"), folder.vae)
    print(f"held-out frames, mean RMSD: reconstructed {again:.2f} A, nearest training frame {nearest:.2f} A")
    for path in sorted(folder.rollout.glob("pull_*.dcd")):
        report_path(path.stem, read_path(path, dataset), dataset)


def report_path(name: str, path: Tensor, dataset: Dataset) -> None:
    """Print the measures of one generated path (n_frames, n_atoms, 3), A, whose first frame is its start."""
    real = torch.from_numpy(dataset.positions()).double()
    distance, place = rmsd_matrix(path, real).min(1)
    print(f"{name}: RMSD to the nearest real frame, A (which, ps)")
    steps = zip(distance.tolist(), dataset.times_ps[place.numpy()].tolist(), strict=True)
    print("  " + ", ".join(f"{off:.2f} ({time:.4g})" for off, time in steps))
    generated = distance[1:]
    print(f"  of the generated frames: mean {float(generated.mean()):.2f}, most {float(generated.max()):.2f}")
    ratios = bonded_ratios(dataset, path[1:], real)
    print("  bonded energy, generated / real: " + ", ".join(f"{k} {v:.2f}" for k, v in ratios.items()))
    clash = clashing(path[1:], clash_limits(dataset.structure)).double().mean()
    print(f"  frames with a clash: {float(clash):.0%}")


def frames_of(dataset: Dataset, *splits: str) -> Tensor:
    """(n, n_atoms, 3), A."""
    pulls = [pull for pull in dataset.pulls if pull.split in splits]
    return torch.from_numpy(np.concatenate([dataset.positions(pull) for pull in pulls])).double()


def read_path(path: Path, dataset: Dataset) -> Tensor:
    """(n_frames, n_atoms, 3), A. A rollout's trajectory."""
    with open_trajectory(path, dataset.structure.n_atoms) as trajectory:
        return torch.from_numpy(trajectory.read()).double()


@torch.no_grad()
def reconstruction(held_out: Tensor, training: Tensor, vae_file: Path) -> tuple[float, float]:
    """A. Mean RMSD of held-out frames to their reconstruction, and to the nearest training frame."""
    vae = AutoencoderFile.open(vae_file).network().double()
    again = vae.decode(vae.encode(held_out)[0])
    return float(rmsd(again, held_out).mean()), float(rmsd_matrix(held_out, training).min(1).values.mean())


def bonded_ratios(dataset: Dataset, generated: Tensor, real: Tensor) -> dict[str, float]:
    """Median bonded energies of generated frames (n, n_atoms, 3), A, over those of real ones."""
    energy = BondedEnergy(dataset.terms, dtype=torch.float64)
    ours, theirs = (energy.three(x).median(0).values for x in (generated, real))
    return dict(zip(TERMS, (ours / theirs).tolist(), strict=True))
