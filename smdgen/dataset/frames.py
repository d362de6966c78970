"""Frames of some pulls as tensors: kept in memory where they fit, else read whenever they are asked for."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smdgen.dataset.dataset import Dataset, Pull

#: Frames of a block; a constant, so that sums over blocks do not depend on the memory there is.
BLOCK = 256

#: Atoms of all frames that `blocks_of` reads at once.
_ATOMS_AT_A_TIME = 100_000


class Frames:
    """The frames of some pulls, one after another.

    Args:
        dataset: Where they are.
        pulls: Which ones, in order.
        dtype: Of the tensors.
        device: Where the tensors are.
        most_bytes: Frames up to this size are kept in memory.
    """

    def __init__(
        self,
        dataset: Dataset,
        pulls: Sequence[Pull],
        dtype: torch.dtype,
        device: torch.device,
        most_bytes: float,
    ) -> None:
        self._dataset, self._dtype, self._device = dataset, dtype, device
        self._rows = np.concatenate([np.arange(pull.start, pull.stop) for pull in pulls])
        needed = len(self._rows) * dataset.structure.n_atoms * 3 * dtype.itemsize
        self._kept = self._read(self._rows) if needed <= most_bytes else None

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._rows)

    def __getitem__(self, indices: Tensor) -> Tensor:
        """(n, n_atoms, 3), A. Frames by their place, in any order."""
        if self._kept is not None:
            return self._kept[indices.to(self._device)]
        return self._read(self._rows[indices.cpu().numpy()])

    def blocks(self) -> Iterator[Tensor]:
        """(n, n_atoms, 3), A. All frames in order, some hundred at a time."""
        for block in torch.arange(len(self)).split(BLOCK):
            yield self[block]

    def _read(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(self._dataset.positions(rows)).to(self._device, self._dtype)


def blocks_of(dataset: Dataset, frames: NDArray[np.int64]) -> Iterator[Tensor]:
    """(n, n_atoms, 3), A. These frames of a dataset, some at a time."""
    size = max(1, _ATOMS_AT_A_TIME // dataset.structure.n_atoms)
    for start in range(0, len(frames), size):
        yield torch.from_numpy(dataset.positions(frames[start : start + size]))
