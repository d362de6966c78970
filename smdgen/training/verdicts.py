"""What trained networks make of validation pulls, beside these and beside copies of training frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smdgen.dataset.dataset import Dataset, Pull
from smdgen.dataset.frames import Frames
from smdgen.errors import ConfigError
from smdgen.forcefield.energy import BondedEnergy
from smdgen.geometry.cv_paths import difference
from smdgen.geometry.frames import rmsd
from smdgen.io.structures.structure import Structure
from smdgen.method.model import Autoencoder, PullModel
from smdgen.method.rollout import generate, next_frames
from smdgen.progress import Progress, Silent
from smdgen.quality.frames import FrameVerdict, judge_frames

#: Real frames that others are judged by, at most.
MOST_JUDGED = 400

#: Steps in which the trained networks are compared with validation pulls.
CHECKED_STEPS = 10

#: Rollouts so many times as far from true pulls as copies of training frames are of less use than these.
COPIES_ARE_CLOSER = 1.1


@torch.no_grad()
def judge_reconstruction(vae: Autoencoder, frames: Frames, structure: Structure) -> FrameVerdict:
    """What the autoencoder makes of held-out frames, beside these frames.

    Energies are left out: they are those of frames with the decoder's noise, which belongs to rollouts.

    Args:
        vae: The trained network, on the CPU.
        frames: Validation frames.
        structure: The modelled atoms.
    """
    chosen = torch.linspace(0, len(frames) - 1, min(len(frames), MOST_JUDGED)).round().long()
    real = frames[chosen].cpu()
    return judge_frames(vae.decode(vae.encode(real)[0]), real, structure)


def reconstruction_notes(reconstruction: float, nearest: float, frames: FrameVerdict) -> tuple[str, ...]:
    """Notes on an autoencoder of less use than copies of training frames, or whose frames are not like MD.

    Args:
        reconstruction: A. Mean RMSD of held-out frames to what the autoencoder makes of them.
        nearest: A. Their mean RMSD to the nearest training frame.
        frames: What the autoencoder makes of them, judged by them.
    """
    notes = []
    if reconstruction > nearest:
        notes.append(
            f"the autoencoder does not carry over to new frames: held-out frames come back "
            f"{reconstruction:.2f} A away, and the nearest training frame is {nearest:.2f} A away; generated "
            "frames will be worse than copies. More pulls or more epochs help"
        )
    if not frames.like_md:
        notes.append(f"held-out frames come back {frames.words()}")
    return tuple(notes)


@dataclass(frozen=True)
class Check:
    """The trained networks on the validation pulls, in `CHECKED_STEPS` steps each.

    Attributes:
        one_step: A. Mean RMSD of the frame predicted from the true one before.
        free_running: A. Mean RMSD of all frames of a rollout to the true pull; NaN without any rollout.
        copies: A. The same of the training frames of the same CV.
        real: A. Mean RMSD between two real pulls at the same step; NaN with one validation pull.
        without: Validation pulls from whose first frame no rollout can begin.
        frames: The frames of the rollouts (without any: the predicted ones) judged by validation frames.
    """

    one_step: float
    free_running: float
    copies: float
    real: float
    without: tuple[str, ...]
    frames: FrameVerdict

    def notes(self) -> tuple[str, ...]:
        """What a user has to know."""
        notes = []
        if not self.frames.like_md:
            notes.append(f"frames generated from validation pulls are {self.frames.words()}")
        if self.free_running > COPIES_ARE_CLOSER * self.copies:
            notes.append(
                f"training frames of the same CV are closer to validation pulls ({self.copies:.2f} A) than "
                f"generated frames are ({self.free_running:.2f} A): the model is of less use than a copy"
            )
        return tuple(notes)


@torch.no_grad()
def check_dynamics(model: PullModel[Any, Any], dataset: Dataset, progress: Progress) -> Check:
    """Rollouts and single steps from validation pulls, beside these pulls and beside training frames."""
    pulls = dataset.of_split("validation")
    places = [
        np.linspace(pull.start, pull.stop - 1, CHECKED_STEPS + 1).round().astype(np.int64) for pull in pulls
    ]
    real = [torch.from_numpy(dataset.positions(rows)).to(model.reference_frames.dtype) for rows in places]
    progress.start("validation rollouts", len(pulls))
    one_step, free, copied, without, made, steps = [], [], [], [], [], []
    for number, (pull, x) in enumerate(zip(pulls, real, strict=True)):
        target, duration_ps = _rest_of(pull, dataset, model)
        try:
            path = generate(model, x[0], CHECKED_STEPS, 1, target, number, Silent()).positions[0]
            free.append(rmsd(path[1:], x[1:]).mean())
            copied.append(rmsd(_training_frames(dataset, places[number][1:]).to(x), x[1:]).mean())
            made.append(path[1:])
        except ConfigError:
            first, last = dataset.cv_values[[pull.start, pull.stop - 1]].tolist()
            low, high = model.training_paths.paths.min().item(), model.training_paths.paths.max().item()
            progress.note(
                f"no rollout of validation pull {pull.name}: it goes from {first:.2f} to {last:.2f} "
                f"{dataset.cv.unit}, the training pulls cover {low:.2f} to {high:.2f}"
            )
            without.append(pull.name)
        following = next_frames(model, x[None], duration_ps / CHECKED_STEPS, number)[0]
        one_step.append(rmsd(following, x[1:]).mean())
        steps.append(following)
        progress.advance()
    apart = [rmsd(a[1:], b[1:]).mean() for i, a in enumerate(real) for b in real[:i]]
    mean = [
        float(torch.stack(values).mean()) if values else math.nan
        for values in (one_step, free, copied, apart)
    ]
    energy = BondedEnergy(dataset.terms, dtype=torch.float64)
    frames = judge_frames(torch.cat(made or steps), _some_frames(dataset, pulls), dataset.structure, energy)
    return Check(mean[0], mean[1], mean[2], mean[3], tuple(without), frames)


def _training_frames(dataset: Dataset, frames: NDArray[np.int64]) -> Tensor:
    """(n, n_atoms, 3), A. The training frame whose CV is nearest to that of each frame (n,) of the store."""
    rows = np.concatenate([np.arange(pull.start, pull.stop) for pull in dataset.of_split("train")])
    gap = difference(dataset.cv_values[frames][:, None], dataset.cv_values[rows][None], dataset.cv.periodic)
    return torch.from_numpy(dataset.positions(rows[np.abs(gap).argmin(axis=1)]))


def _some_frames(dataset: Dataset, pulls: Sequence[Pull], most: int = MOST_JUDGED) -> Tensor:
    """(n, n_atoms, 3), A. Frames of pulls, evenly."""
    rows = np.concatenate([np.arange(pull.start, pull.stop) for pull in pulls])
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(np.int64)
    return torch.from_numpy(dataset.positions(rows[chosen]))


def _rest_of(pull: Pull, dataset: Dataset, model: PullModel[Any, Any]) -> tuple[float | None, float]:
    """Where a validation rollout ends and what it lasts, ps: of a block of a trajectory, the block's own."""
    if not dataset.is_block(pull) or not model.method.steerable:
        return None, model.training_paths.duration_ps
    duration = dataset.times_ps[pull.stop - 1] - dataset.times_ps[pull.start]
    return float(dataset.cv_values[pull.stop - 1]), float(duration)
