"""Generated and real pulls, measured once and paired so that like is compared with like."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from smdgen.forcefield.energy import BondedEnergy
from smdgen.geometry import cvs, validity
from smdgen.geometry.atoms import Molecule
from smdgen.geometry.backbone import Backbone, find_backbone
from smdgen.geometry.frames import dihedrals, rmsd_matrix
from smdgen.geometry.hydrogen_bonds import count_helix_bonds, has_peptides
from smdgen.quality import similarity

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]

#: Random halvings of the held-out pulls behind the real-real column.
HALVINGS = 100
#: What no sound structure has, by the key of its numbers everywhere, in words.
FAULTS = {
    "positive_phi": "residues with phi > 0",
    "left_turns": "left-handed CA turns",
    "inverted_centres": "frames with an inverted centre",
    "clashes": "frames with a clash",
    "cis_omega": "cis peptide bonds",
}

_TORSIONS = ("phi", "psi", "omega")
_HELIX = {"hbonds_i_i3": 0, "hbonds_i_i4": 1}


class Halving(NamedTuple):
    """One way to compare like with like.

    `stand_in` and `reference` are two halves of the held-out pulls. Generated pulls take the place of
    the stand-ins: as many, and where known from the same start frames. Both are scored against the
    reference half, so the generated and the real figure differ in nothing but who made the pulls, and no
    generated pull is compared with the real one it started from.
    """

    stand_in: Indices
    reference: Indices
    generated: Indices


class Measured(NamedTuple):
    """Numbers of one set of pulls; first axis: pulls."""

    energies: Floats  # (n_pulls, n_steps, 3), kcal/mol
    cv: Floats  # (n_pulls, n_steps)
    histograms: dict[str, NDArray[np.int64]]  # each (n_pulls, n_bins)
    profiles: dict[str, Floats]  # each (n_pulls, n_steps)
    to_real: Floats  # (n_steps, n_pulls, n_real_pulls), A. RMSD at the same step
    within: Floats  # (n_steps, n_pulls, n_pulls), A
    faults: dict[str, Floats]  # each (n_pulls, n_steps), share or 0 / 1; NaN: does not apply


@dataclass(frozen=True)
class Comparison:
    """Everything the rows of the quality table are made of.

    Attributes:
        generated: The generated pulls.
        real: The held-out pulls.
        halvings: Ways to compare like with like; none with a single held-out pull.
        starts: (n_samples,). The held-out pull each sample started from; None: unknown.
    """

    generated: Measured
    real: Measured
    halvings: tuple[Halving, ...]
    starts: Indices | None


def compare(
    generated: Tensor,
    real: Tensor,
    structure: Molecule,
    energy: BondedEnergy,
    cv: cvs.CollectiveVariable,
    starts: Indices | None,
    seed: int,
) -> Comparison:
    """Measure both sets and draw the halvings.

    Args:
        generated: (n_samples, n_steps, n_atoms, 3), A.
        real: (n_pulls, n_steps, n_atoms, 3), A.
        structure: The modelled atoms.
        energy: Their bonded energy.
        cv: The steered variable.
        starts: (n_samples,). The held-out pull each sample started from; None: unknown.
        seed: Of the halvings.
    """
    backbone = find_backbone(structure)
    centres = validity.find_stereocentres(real.flatten(0, 1), structure)
    ours, theirs = (measure(x, real, structure, backbone, centres, energy, cv) for x in (generated, real))
    halvings = tuple(draw_halvings(len(real), len(generated), starts, seed))
    return Comparison(ours, theirs, halvings, starts)


def draw_halvings(
    n_pulls: int, n_samples: int, starts: Indices | None, seed: int, count: int = HALVINGS
) -> Iterator[Halving]:
    """Random halvings of the held-out pulls; none with a single pull.

    Args:
        n_pulls: Held-out pulls.
        n_samples: Generated pulls.
        starts: (n_samples,). The held-out pull each sample started from; None: unknown.
        seed: Of the generator.
        count: Number of halvings.
    """
    generator = np.random.default_rng(seed)
    origins = np.unique([] if starts is None else starts)
    for _ in range(count if n_pulls > 1 else 0):
        order = generator.permutation(n_pulls)
        if (
            len(origins) == 1
        ):  # the one pull that gave the start is never what generated pulls are held against
            order = np.concatenate([origins, order[order != origins[0]]])
        stand_in, reference = order[: n_pulls // 2], order[n_pulls // 2 :]
        samples = generator.permutation(n_samples)
        if starts is not None and len(origins) > 1:
            first = {int(starts[sample]): int(sample) for sample in samples}
            both = [pull for pull in stand_in.tolist() if pull in first]
            if both:
                yield Halving(np.array(both), reference, np.array([first[pull] for pull in both]))
            continue
        size = min(len(stand_in), n_samples)
        yield Halving(stand_in[:size], reference, samples[:size])


def measure(
    x: Tensor,
    real: Tensor,
    structure: Molecule,
    backbone: Backbone,
    centres: validity.Stereocentres,
    energy: BondedEnergy,
    cv: cvs.CollectiveVariable,
) -> Measured:
    """All numbers of (n_pulls, n_steps, n_atoms, 3) frames that need no other set."""
    shape = x.shape[:2]
    x = x.double()
    values = cvs.evaluate(cv, x).numpy()
    quads = {"phi": backbone.phi, "psi": backbone.psi, "omega": backbone.omega}
    torsions = {name: dihedrals(x, quads[name]).numpy() for name in _TORSIONS if len(quads[name])}
    profiles = {"cv": values}
    if has_peptides(backbone):
        counts = count_helix_bonds(x.flatten(0, 1).numpy(), backbone).reshape(*shape, -1)
        profiles.update({name: counts[..., place].astype(float) for name, place in _HELIX.items()})
    faults = {
        "positive_phi": validity.positive_phi(x, backbone),
        "left_turns": validity.left_turns(x, backbone),
        "inverted_centres": validity.inverted_centres(x, centres),
        "clashes": validity.clashing(x.flatten(0, 1), validity.clash_limits(structure)).view(shape),
        "cis_omega": validity.cis_bonds(x, backbone),
    }
    return Measured(
        energies=energy.three(x).double().numpy(),
        cv=values,
        histograms={
            name: np.stack([similarity.torsion_histogram(pull) for pull in angles])
            for name, angles in torsions.items()
        },
        profiles=profiles,
        to_real=_step_distances(x, real),
        within=_step_distances(x, x),
        faults={name: fault.numpy() for name, fault in faults.items()},
    )


def _step_distances(x: Tensor, y: Tensor) -> Floats:
    """(n_steps, n, m), A. RMSD between the frames of each step."""
    return np.stack([rmsd_matrix(x[:, t], y[:, t]).numpy() for t in range(y.shape[1])])


def band_limit(values: Floats, halvings: tuple[Halving, ...]) -> float:
    """The score that the whole mean profile of other real pulls keeps below, 95 times in 100.

    See `similarity.profile_scores`: the largest score of any step, of one half of the real pulls
    against the other, is below this limit in 95 % of the halvings.

    Args:
        values: (n_pulls, n_steps). One number of every real frame.
        halvings: Of the real pulls.
    """
    score = similarity.profile_scores
    worst = [score(values[h.stand_in], values[h.reference]).max() for h in halvings]
    return max(1.96, float(np.percentile(worst, 95)))
