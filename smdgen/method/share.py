"""One process's share of a batch that several processes train on, and what they add up.

All draw the same random numbers for the whole batch and keep those of their own rows, and means are taken
over the rows of all, so that a training on several processes follows the one on a single process.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from smdgen.errors import TrainingError


@dataclass(frozen=True)
class Share:
    """Rows of a batch, with the generator from which the whole batch draws.

    Attributes:
        n: Rows of the whole batch.
        rows: Those of this process.
        generator: In the same state in all processes.
    """

    n: int
    rows: slice
    generator: torch.Generator

    @property
    def is_whole(self) -> bool:
        """Whether this process has all rows."""
        return self.rows == slice(0, self.n)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """(n_rows, *shape). Standard normal numbers for the rows, drawn for the whole batch."""
        return torch.randn(self.n, *shape, generator=self.generator, dtype=dtype)[self.rows]

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """(n_rows, *shape). Numbers from 0 to 1 for the rows, drawn for the whole batch."""
        return torch.rand(self.n, *shape, generator=self.generator, dtype=dtype)[self.rows]

    def mean(self, values: Tensor) -> Tensor:
        """(...,). Mean over the rows of the whole batch of values (n_rows, ...) of the own ones."""
        if self.is_whole:
            return values.mean(0)
        total: Tensor = _SumOfAll.apply(values.sum(0)) / self.n  # type: ignore[no-untyped-call]
        return total


def whole(n: int, generator: torch.Generator) -> Share:
    """All rows: validation, and training on one process."""
    return Share(n, slice(0, n), generator)


def own_share(n: int, generator: torch.Generator) -> Share:
    """The rows of this process: all of them if it is alone, or if there are fewer rows than processes."""
    rank, size = (distributed.get_rank(), distributed.get_world_size()) if together() else (0, 1)
    if n < size:
        return whole(n, generator)
    return Share(n, slice(n * rank // size, n * (rank + 1) // size), generator)


def together() -> bool:
    """Whether several processes train."""
    return distributed.is_available() and distributed.is_initialized()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes; does nothing where there is one."""
    if not together():
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    _add_up(flat)
    flat /= distributed.get_world_size()
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


class _SumOfAll(torch.autograd.Function):
    """Sum over processes; all have one loss, so the mean of their gradients is that of the whole batch."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.detach().clone()
        _add_up(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return gradient * distributed.get_world_size()


def _add_up(values: Tensor) -> None:
    try:
        distributed.all_reduce(values)
    except RuntimeError as error:
        raise TrainingError(
            f"process {distributed.get_rank()} of {distributed.get_world_size()} lost the others "
            f"({str(error).splitlines()[0]}); see what the one that ended first says"
        ) from error
