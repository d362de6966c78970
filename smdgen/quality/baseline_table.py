"""Generated pulls beside what anybody has without a model, and whether they are copies of training frames."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smdgen.arrays import Floats, Indices
from smdgen.forcefield.energy import BondedEnergy
from smdgen.geometry.atoms import Molecule
from smdgen.geometry.backbone import find_backbone
from smdgen.geometry.bonds import bonds_or_chain
from smdgen.geometry.cv_paths import difference
from smdgen.geometry.frames import rmsd_matrix
from smdgen.geometry.internal import spanning_tree
from smdgen.quality.baselines import BASELINES, RealPath, baseline_pulls
from smdgen.quality.faults import fault_gauge
from smdgen.quality.frames import FrameVerdict, compare_frames, number_frames

#: Residues above which shapes are compared by CA atoms; below, by all modelled atoms.
PEPTIDE = 20

#: Frames so much nearer to training frames than held-out frames are, and of no more use, are copies.
MUCH_CLOSER = 0.75

#: Copies do better if held-out frames are so many times as far from generated frames.
CLEARLY_WORSE = 1.05

#: Real frames of one CV whose distances from each other are the real diversity.
ALIKE = 5

COPY = next(iter(BASELINES))


@dataclass(frozen=True)
class RealFrames:
    """Real frames that generated ones are held against.

    Attributes:
        training: (n, n_atoms, 3), A. Frames of all training pulls.
        paths: Training pulls for the baselines; blocks of a trajectory are one.
        held_out: (m, n_atoms, 3), A. Held-out frames of the CVs that are generated.
        all_frames: (k, n_atoms, 3), A. Real frames of any kind from that range.
        all_cv: (k,). Their CV.
    """

    training: Tensor
    paths: tuple[RealPath, ...]
    held_out: Tensor
    all_frames: Tensor
    all_cv: Floats


@dataclass(frozen=True)
class Column:
    """Pulls of one origin.

    Attributes:
        name: Who made them.
        frames: Whether their frames are like those of MD; None for the real ones that they are judged by.
        nearest_training: A. Mean RMSD of their frames to the nearest training frame.
        coverage: A. Mean RMSD of held-out frames to the nearest of their frames.
        diversity: A. Mean RMSD between two of them at the same step; of real frames at the same CV.
    """

    name: str
    frames: FrameVerdict | None
    nearest_training: float
    coverage: float
    diversity: float


@dataclass(frozen=True)
class BaselineTable:
    """Generated pulls, real ones, and the baselines."""

    generated: Column
    real: Column
    baselines: tuple[Column, ...]

    @property
    def are_copies(self) -> bool:
        """Whether the frames are training frames, with no gain over these."""
        copy = self.baselines[0]
        near = self.generated.nearest_training < MUCH_CLOSER * self.real.nearest_training
        return near and self.generated.coverage > 0.95 * copy.coverage

    def verdict(self) -> str:
        """One to three sentences."""
        assert self.generated.frames is not None
        said = [f"The frames are {self.generated.frames.words()}."]
        ours, real, copy = self.generated, self.real, self.baselines[0]
        gain = (
            f"held-out frames are {ours.coverage:.2f} A from the nearest generated frame, "
            f"{copy.coverage:.2f} A from the nearest {COPY}"
        )
        if self.are_copies:
            said.append(
                f"The model copies: generated frames are {ours.nearest_training:.2f} A from the nearest "
                f"training frame (held-out frames {real.nearest_training:.2f} A), and {gain}."
            )
        elif ours.coverage > CLEARLY_WORSE * copy.coverage:
            said.append(f"A copy would do better: {gain}.")
        return " ".join(said)

    def rows(self) -> list[tuple[str, list[str]]]:
        """For a page: each measure with its values, generated, real and of each baseline."""
        assert self.generated.frames is not None
        columns = [self.generated, self.real, *self.baselines]
        rows = []
        for number, row in enumerate(self.generated.frames.rows):
            values = [row.real if c.frames is None else c.frames.rows[number].generated for c in columns]
            label = row.name if row.unit != "share" else f"{row.name}, %"
            scale = 100 if row.unit == "share" else 1
            rows.append((label, [f"{scale * value:.2f}" for value in values]))
        for label, name in _DISTANCES:
            rows.append((label, [_shown(getattr(column, name)) for column in columns]))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        names = [self.generated.name, self.real.name, *(column.name for column in self.baselines)]
        return {
            "verdict": self.verdict(),
            "copies": self.are_copies,
            "columns": names,
            "rows": {label: values for label, values in self.rows()},
        }


_DISTANCES = (
    ("nearest training frame, A", "nearest_training"),
    ("held-out frame to the nearest of these, A", "coverage"),
    ("between pulls at one step, A", "diversity"),
)


def baseline_table(
    generated: Tensor,
    cv: Floats,
    real: RealFrames,
    structure: Molecule,
    energy: BondedEnergy | None = None,
    periodic: bool = False,
) -> BaselineTable:
    """Measure generated pulls and the baselines of the same CVs with the same functions.

    Args:
        generated: (n_samples, n_steps, n_atoms, 3), A. Without the start frame.
        cv: (n_samples, n_steps). Their CV.
        real: What they are held against.
        structure: The modelled atoms.
        energy: Their bonded energy; None: energies are left out.
        periodic: Whether 360 is one turn of the CV.
    """
    atoms = compared_atoms(structure)
    gauge = fault_gauge(structure, real.all_frames)
    theirs = number_frames(real.all_frames.double(), gauge, energy)

    def column(name: str, x: Tensor) -> Column:
        return _column(name, x, compare_frames(number_frames(_flat(x), gauge, energy), theirs), real, atoms)

    tree = spanning_tree(len(structure.names), bonds_or_chain(structure))
    made = {name: baseline_pulls(name, real.paths, cv, tree, periodic) for name in BASELINES}
    to_training = _nearest(real.held_out, real.training, atoms)
    real_column = Column("real", None, to_training, math.nan, _real_diversity(cv, real, atoms, periodic))
    return BaselineTable(
        column("generated", generated), real_column, tuple(column(name, x) for name, x in made.items())
    )


def compared_atoms(structure: Molecule) -> Indices:
    """(n,). CA atoms of a protein, all modelled atoms of a peptide or anything else."""
    ca = find_backbone(structure).atoms["CA"]
    return ca if len(ca) > PEPTIDE else np.arange(len(structure.names))


def _column(name: str, x: Tensor, frames: FrameVerdict, real: RealFrames, atoms: Indices) -> Column:
    among = [rmsd_matrix(x[:, t, atoms], x[:, t, atoms]) for t in range(x.shape[1])]
    pairs = torch.triu(torch.ones(len(x), len(x), dtype=torch.bool), 1)
    apart = float(torch.stack(among)[:, pairs].mean()) if len(x) > 1 else math.nan
    flat = _flat(x)
    return Column(
        name, frames, _nearest(flat, real.training, atoms), _nearest(real.held_out, flat, atoms), apart
    )


def _real_diversity(cv: Floats, real: RealFrames, atoms: Indices, periodic: bool) -> float:
    """A. Mean RMSD between the real frames nearest in CV to each generated step."""
    wanted = np.median(cv, axis=0)
    gap = np.abs(difference(wanted[:, None], real.all_cv[None], periodic))
    rows = np.argsort(gap, axis=1, kind="stable")[:, :ALIKE]
    apart = [rmsd_matrix(*(real.all_frames[row][:, atoms],) * 2) for row in rows]
    pairs = torch.triu(torch.ones(rows.shape[1], rows.shape[1], dtype=torch.bool), 1)
    return float(torch.stack(apart)[:, pairs].mean())


def _nearest(x: Tensor, y: Tensor, atoms: Indices) -> float:
    """A. Mean RMSD from each frame (n, n_atoms, 3) to the nearest of others (m, n_atoms, 3)."""
    return float(rmsd_matrix(x[:, atoms], y[:, atoms]).min(1).values.mean())


def _flat(x: Tensor) -> Tensor:
    return x.flatten(0, -3).double()


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
