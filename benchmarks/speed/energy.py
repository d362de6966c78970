"""Batched bonded energies against TorchMD's own loop over replicas, on the backbone of deca-alanine.

    python -m benchmarks.speed.energy            batch of 256 frames, forward and backward, one thread

Both get the same terms: those of N, CA, C and O from the CHARMM36 force field, as `smdgen prepare` takes
them. TorchMD's `Forces.compute` scores the frames one after the other; `BondedEnergy` calls the same
`evaluate_*` functions once. Prints the times, their ratio (60 or more is wanted) and the differences;
exits with 1 if the ratio or the agreement falls short.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor
from torchmd.forces import Forces

from smdgen.forcefield.bonded_terms import Terms
from smdgen.forcefield.energy import BondedEnergy
from smdgen.forcefield.parametrise import structure_terms
from smdgen.io.structures.structure import read_structure, select_atoms

EXAMPLE = Path(__file__).parents[2] / "examples" / "deca_alanine"
WANTED_RATIO = 60.0
#: kcal/mol and kcal/mol/A; single precision.
TOLERANCE = 2e-3


def main() -> int:
    """Time both, compare both, print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--batch", type=int, default=256)
    options.add_argument("--repeats", type=int, default=3)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    structure = read_structure(EXAMPLE / "deca_alanine.psf")
    pdb = read_structure(EXAMPLE / "deca_alanine.pdb")
    atoms = select_atoms(structure, "name N CA C O")
    terms, _ = structure_terms(structure, atoms)
    assert pdb.positions is not None
    start = torch.from_numpy(pdb.positions[atoms]).float()
    noise = 0.05 * torch.randn(chosen.batch, *start.shape, generator=torch.Generator().manual_seed(0))
    x = start + noise
    ours, theirs = batched(terms), replica_loop(terms, len(atoms))
    energies = [score(x.clone().requires_grad_()) for score in (ours, theirs)]
    fast, slow = seconds(ours, x, 10 * chosen.repeats), seconds(theirs, x, chosen.repeats)
    energy_gap, gradient_gap = (float((a - b).abs().max()) for a, b in zip(*energies, strict=True))
    counts = f"{len(terms.bonds)} bonds, {len(terms.angles)} angles, {len(terms.torsions)} torsion terms"
    print(f"{len(atoms)} of {structure.n_atoms} atoms: {counts}, {len(terms.impropers)} impropers")
    print(f"batch {chosen.batch}, forward and backward, CPU time on one thread, per frame:")
    print(f"  TorchMD's replica loop {1e6 * slow / chosen.batch:9.1f} us")
    print(f"  batched                {1e6 * fast / chosen.batch:9.1f} us")
    print(f"ratio {slow / fast:.0f} (wanted: {WANTED_RATIO:.0f} or more)")
    print(f"largest difference: energy {energy_gap:.1e} kcal/mol, gradient {gradient_gap:.1e} kcal/mol/A")
    return 0 if slow / fast >= WANTED_RATIO and max(energy_gap, gradient_gap) < TOLERANCE else 1


def batched(terms: Terms) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Our energies (n_frames,), kcal/mol, and gradients, kcal/mol/A."""
    energy = BondedEnergy(terms)

    def score(x: Tensor) -> tuple[Tensor, Tensor]:
        values = energy.three(x).sum(-1)
        return values.detach(), torch.autograd.grad(values.sum(), x)[0]

    return score


def replica_loop(terms: Terms, n_atoms: int) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """TorchMD's energies and gradients of the same terms."""
    forces = Forces(torchmd_parameters(terms, n_atoms), terms=["bonds", "angles", "dihedrals", "impropers"])

    def score(x: Tensor) -> tuple[Tensor, Tensor]:
        box = torch.zeros(len(x), 3, 3)
        values = forces.compute(x, box, None, toNumpy=False, calculateForces=False)
        return values.detach(), torch.autograd.grad(values.sum(), x)[0]

    return score


def torchmd_parameters(terms: Terms, n_atoms: int) -> SimpleNamespace:
    """The terms in the tables that TorchMD's `Forces` reads."""

    def table(indices: np.ndarray, parameters: np.ndarray) -> dict[str, Tensor]:
        places = torch.arange(len(indices))
        return {
            "idx": torch.as_tensor(indices, dtype=torch.int64),
            "map": torch.stack([places, places], 1),
            "params": torch.as_tensor(parameters, dtype=torch.float32),
        }

    return SimpleNamespace(
        masses=torch.ones(n_atoms),
        nonbonded_params=None,
        nonbonded_14_params=None,
        device="cpu",
        bond_params=table(terms.bonds, terms.bond_parameters),
        angle_params=table(terms.angles, terms.angle_parameters),
        dihedral_params=table(terms.torsions, terms.torsion_parameters),
        improper_params=table(terms.impropers, np.pad(terms.improper_parameters, ((0, 0), (0, 1)))),
    )


def seconds(score: Callable[[Tensor], tuple[Tensor, Tensor]], x: Tensor, repeats: int) -> float:
    """CPU time of the best of some runs, s: one thread, and blind to what else the machine does."""
    times = []
    for _ in range(repeats):
        copy = x.clone().requires_grad_()
        began = time.process_time()
        score(copy)
        times.append(time.process_time() - began)
    return min(times)


if __name__ == "__main__":
    sys.exit(main())
