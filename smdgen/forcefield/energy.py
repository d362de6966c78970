"""Bonded energies of many frames in one pass through TorchMD's own functions."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmd.forces import evaluate_angles, evaluate_bonds, evaluate_torsion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from smdgen.forcefield.bonded_terms import Terms

#: Below this length (A) a vector has no direction: it is replaced and exerts no angle force.
_SHORTEST_VECTOR = 1e-2
#: Below this area (A^2) the plane of a torsion is undefined: the torsion is replaced.
_SMALLEST_AREA = 1e-3
#: Most frames, and most atoms of all frames, taken at once; bound the memory of large inputs.
_FRAMES, _ATOMS = 4096, 200_000


class BondedEnergies(NamedTuple):
    """Energies of the five kinds of bonded terms, each (...,), kcal/mol."""

    bonds: Tensor
    angles: Tensor
    torsions: Tensor
    impropers: Tensor
    urey_bradley: Tensor

    def total(self) -> Tensor:
        """(...,), kcal/mol. Sum of the five."""
        return self.bonds + self.angles + self.torsions + self.impropers + self.urey_bradley


class _Lists(NamedTuple):
    """Parameters of one kind of term, repeated for every frame of a batch, and the frame-wise slots."""

    parameters: Tensor  # (n_terms * n_frames, 2 or 3)
    slots: Tensor  # (n_terms * n_frames,): the torsion angle each term belongs to; empty for pairs and angles


class BondedEnergy:
    """The bonded terms of one molecule, ready to score any number of frames.

    TorchMD's `Forces.compute` loops over replicas in Python. Its `evaluate_*` functions are stateless,
    so they are called once for a batch, on term lists repeated for every frame. Gradients flow to the
    coordinates and stay finite for coincident atoms, straight angles and undefined torsions; there the
    angle or torsion exerts no force or that of a neighbouring geometry.

    | symbol | variable | energy |
    |---|---|---|
    | bonds, Urey-Bradley | `[k, r0]` | k (r - r0)^2 |
    | angles | `[k, theta0]` | k (theta - theta0)^2 |
    | torsions | `[k, phase, n]` | k (1 + cos(n phi - phase)) |
    | impropers | `[k, psi0]` | k (psi - psi0)^2, psi - psi0 wrapped to [-pi, pi] |

    Source: S. Doerr et al., J. Chem. Theory Comput. 17, 2355 (2021) (TorchMD).
    """

    def __init__(
        self, terms: "Terms", device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        """Keep the term lists of a molecule.

        Args:
            terms: Index lists (0-based) and parameters in A, rad and kcal/mol.
            device: Where energies are computed.
            dtype: Precision of coordinates and energies.
        """
        self.device, self.dtype = torch.device(device), dtype
        self._bonds = _index(terms.bonds, 2, self.device)
        self._angles = _index(terms.angles, 3, self.device)
        self._urey_bradley = _index(terms.urey_bradley, 2, self.device)
        torsions, self._torsion_slots = _unique_rows(terms.torsions)
        impropers, self._improper_slots = _unique_rows(terms.impropers)
        self._torsions = _index(torsions, 4, self.device)
        self._impropers = _index(impropers, 4, self.device)
        self._parameters = {
            "bonds": _parameters(terms.bond_parameters, 2),
            "angles": _parameters(terms.angle_parameters, 2),
            "torsions": _parameters(terms.torsion_parameters, 3),
            # TorchMD marks a harmonic torsion by periodicity 0
            "impropers": np.pad(_parameters(terms.improper_parameters, 2), ((0, 0), (0, 1))),
            "urey_bradley": _parameters(terms.urey_bradley_parameters, 2),
        }
        if np.any(self._parameters["torsions"][:, 2] <= 0):
            raise ValueError("periodic torsions need n > 0; harmonic ones belong to the impropers")
        self._cache: dict[int, dict[str, _Lists]] = {}

    def energy(self, x: Tensor) -> BondedEnergies:
        """Energies of every frame, by kind of term.

        Args:
            x: (..., n_atoms, 3), A. Frames to score, of any leading shape.

        Returns:
            Five tensors (...,), kcal/mol.
        """
        shape = x.shape[:-2]
        frames = x.to(self.device, self.dtype).reshape(-1, *x.shape[-2:])
        if len(frames) == 0:
            return BondedEnergies(*(frames.new_zeros(shape) for _ in BondedEnergies._fields))
        at_once = min(_FRAMES, max(1, _ATOMS // frames.shape[1]))
        parts = [self._chunk(chunk) for chunk in torch.split(frames, at_once)]
        return BondedEnergies(*(torch.cat(kind).reshape(shape) for kind in zip(*parts, strict=True)))

    def three(self, x: Tensor) -> Tensor:
        """The three energies of the paper: bonds, angles, torsions (periodic and improper).

        Urey-Bradley terms are in `energy` only: TorchMD knows none.

        Args:
            x: (..., n_atoms, 3), A.

        Returns:
            (..., 3), kcal/mol.
        """
        parts = self.energy(x)
        return torch.stack([parts.bonds, parts.angles, parts.torsions + parts.impropers], -1)

    def _chunk(self, frames: Tensor) -> BondedEnergies:
        """Energies of (n_frames, n_atoms, 3) frames."""
        n_frames = len(frames)
        lists = self._lists(n_frames)
        # Atoms by rows and frames by columns: a term's gather copies whole rows.
        columns = frames.permute(2, 1, 0)
        return BondedEnergies(
            _pair_energy(columns, self._bonds, lists["bonds"]).sum(0),
            _angle_energy(columns, self._angles, lists["angles"]).sum(0),
            _torsion_energy(columns, self._torsions, lists["torsions"]).sum(0),
            _torsion_energy(columns, self._impropers, lists["impropers"]).sum(0),
            _pair_energy(columns, self._urey_bradley, lists["urey_bradley"]).sum(0),
        )

    def _lists(self, n_frames: int) -> dict[str, _Lists]:
        """Term lists for a batch of `n_frames`; those of recent batch sizes are kept."""
        if n_frames not in self._cache:
            if len(self._cache) >= 8:
                self._cache.pop(next(iter(self._cache)))
            slots = {"torsions": self._torsion_slots, "impropers": self._improper_slots}
            self._cache[n_frames] = {
                kind: self._repeat(parameters, slots.get(kind), n_frames)
                for kind, parameters in self._parameters.items()
            }
        return self._cache[n_frames]

    def _repeat(
        self, parameters: "NDArray[np.float64]", slots: "NDArray[np.int64] | None", n_frames: int
    ) -> _Lists:
        columns = torch.as_tensor(parameters, dtype=self.dtype, device=self.device)
        repeated = columns.repeat_interleave(n_frames, 0)
        if slots is None:
            return _Lists(repeated, torch.empty(0, dtype=torch.int64, device=self.device))
        first = torch.as_tensor(slots, dtype=torch.int64, device=self.device)[:, None] * n_frames
        return _Lists(repeated, (first + torch.arange(n_frames, device=self.device)).reshape(-1))


def _index(rows: "NDArray[np.int64]", width: int, device: torch.device) -> Tensor:
    """(width, n_terms) index tensor."""
    return torch.as_tensor(np.asarray(rows, dtype=np.int64).reshape(-1, width).T.copy(), device=device)


def _parameters(rows: "NDArray[np.float64]", width: int) -> "NDArray[np.float64]":
    return np.asarray(rows, dtype=np.float64).reshape(-1, width)


def _unique_rows(rows: "NDArray[np.int64]") -> tuple["NDArray[np.int64]", "NDArray[np.int64]"]:
    """Each quadruple once, and for every row its place among them (a quadruple has several terms)."""
    unique, slots = np.unique(np.asarray(rows, dtype=np.int64).reshape(-1, 4), axis=0, return_inverse=True)
    return unique, slots.reshape(-1)


def _vectors(columns: Tensor, to: Tensor, origin: Tensor) -> Tensor:
    """(n_terms * n_frames, 3), A. Vectors between atoms."""
    difference = columns.index_select(1, to) - columns.index_select(1, origin)
    # contiguous, because `torch.norm` over x, y, z is 20 times slower on a transposed array
    return difference.reshape(3, -1).T.contiguous()


def _pair_energy(columns: Tensor, pairs: Tensor, lists: _Lists) -> Tensor:
    """(n_terms, n_frames), kcal/mol."""
    distance = torch.linalg.vector_norm(_vectors(columns, pairs[0], pairs[1]), dim=1)
    energy: Tensor = evaluate_bonds(distance, lists.parameters, explicit_forces=False)[0]
    return energy.view(pairs.shape[1], -1) if pairs.shape[1] else columns.new_zeros(1, columns.shape[2])


def _angle_energy(columns: Tensor, triples: Tensor, lists: _Lists) -> Tensor:
    """(n_terms, n_frames), kcal/mol."""
    if not triples.shape[1]:
        return columns.new_zeros(1, columns.shape[2])
    first = _vectors(columns, triples[0], triples[1])
    second = _vectors(columns, triples[2], triples[1])
    energy: Tensor = evaluate_angles(*_safe_angle(first, second), lists.parameters, explicit_forces=False)[0]
    return energy.view(triples.shape[1], -1)


def _torsion_energy(columns: Tensor, quadruples: Tensor, lists: _Lists) -> Tensor:
    """(n_quadruples, n_frames), kcal/mol."""
    if not quadruples.shape[1]:
        return columns.new_zeros(1, columns.shape[2])
    vectors = [_vectors(columns, quadruples[i], quadruples[i + 1]) for i in range(3)]
    safe = _safe_torsion(vectors[0], vectors[1], vectors[2])
    energy: Tensor = evaluate_torsion(*safe, lists.slots, lists.parameters, explicit_forces=False)[0]
    return energy.view(quadruples.shape[1], -1)


def _safe_angle(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The two arms of every angle, bent a little where acos has no slope, replaced where too short."""
    with torch.no_grad():
        squares = (first * first).sum(1), (second * second).sum(1)
        short = torch.minimum(squares[0], squares[1]) < _SHORTEST_VECTOR**2
        bend = 2e-3 if first.dtype == torch.float32 else 1e-6
        straight = (first * second).sum(1).square() >= (1 - bend**2) * squares[0] * squares[1]
        if not bool((short | straight).any()):
            return first, second
        axes = torch.eye(3, dtype=first.dtype, device=first.device)
        across = torch.linalg.cross(first, axes[first.abs().argmin(1)])
        nudge = straight[:, None] * bend * 2 * across
    first = torch.where(short[:, None], axes[0], first + nudge)
    return first, torch.where(short[:, None], axes[1], second)


def _safe_torsion(r12: Tensor, r23: Tensor, r34: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three bond vectors of every torsion, replaced by a trans one where a plane is undefined."""
    with torch.no_grad():
        areas = [torch.linalg.cross(a, b).square().sum(1) for a, b in ((r12, r23), (r23, r34))]
        undefined = (torch.minimum(areas[0], areas[1]) < _SMALLEST_AREA**2)[:, None]
        if not bool(undefined.any()):
            return r12, r23, r34
        axes = torch.eye(3, dtype=r12.dtype, device=r12.device)
    return (
        torch.where(undefined, axes[1], r12),
        torch.where(undefined, axes[0], r23),
        torch.where(undefined, axes[1], r34),
    )
