"""Principal components of features that come block by block.

| symbol   | here                                                                                   |
|----------|----------------------------------------------------------------------------------------|
| f        | rows of `blocks`, (n_features,); m: their `mean`                                       |
| C        | mean of (f - m)(f - m)'; C d is `times_covariance`(d), so that C need not be kept      |
| w, D     | `variance`, `axes`: the largest eigenvalues of C, and their eigenvectors               |
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

#: Blocks (n, n_features) of all frames, in the same order at every call.
Blocks = Callable[[], Iterable[Tensor]]

#: Features up to which the covariance matrix is diagonalised; its cost grows with the third power.
MOST_EXACT = 1500

#: Directions beyond those that are wanted, and rounds, of the subspace iteration for more features.
_SPARE, _ROUNDS = 32, 3


def mean_and_deviation(blocks: Blocks) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column of blocks (n, n_columns): (n_columns,) each, 64-bit, CPU."""
    first = next(iter(blocks()))[0].double().cpu()  # near the mean, for precision
    count, total, squares = 0, *torch.zeros(2, len(first), dtype=torch.float64)
    for block in blocks():
        off = block.double().cpu() - first
        count, total, squares = count + len(block), total + off.sum(0), squares + off.square().sum(0)
    return first + total / count, (squares / count - (total / count).square()).clamp_min(0).sqrt()


def principal_components(blocks: Blocks, n_features: int, n_wanted: int) -> tuple[Tensor, Tensor]:
    """The directions of largest variance.

    Args:
        blocks: The features.
        n_features: How many there are.
        n_wanted: Directions to find.

    Returns:
        Variances (n_wanted,), falling, and directions (n_features, n_wanted), both in double precision.

    Source: N. Halko, P. G. Martinsson, J. A. Tropp, SIAM Rev. 53, 217 (2011), algorithm 4.4, beyond
    `MOST_EXACT` features.
    """
    count, total = 0, torch.zeros(n_features, dtype=torch.float64)
    for block in blocks():
        count, total = count + len(block), total + block.double().sum(0).cpu()
    mean = total / count

    def times_covariance(directions: Tensor) -> Tensor:
        product = torch.zeros_like(directions)
        for block in blocks():
            centred = block.double().cpu() - mean
            product += centred.mT @ (centred @ directions)
        return product / count

    if n_features <= MOST_EXACT:
        variance, axes = torch.linalg.eigh(times_covariance(torch.eye(n_features, dtype=torch.float64)))
        return variance.flip(0)[:n_wanted], axes.flip(1)[:, :n_wanted]
    generator = torch.Generator().manual_seed(0)
    size = min(n_wanted + _SPARE, n_features)
    basis = torch.randn(n_features, size, generator=generator, dtype=torch.float64)
    for _ in range(_ROUNDS):
        basis, _ = torch.linalg.qr(times_covariance(basis))
    variance, turn = torch.linalg.eigh(basis.mT @ times_covariance(basis))
    return variance.flip(0)[:n_wanted], (basis @ turn.flip(1))[:, :n_wanted]
