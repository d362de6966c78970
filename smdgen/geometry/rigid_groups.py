"""Which two groups of a molecule move most against each other, for a CV that tells a domain motion."""

import numpy as np
from numpy.typing import NDArray

#: Fewest points of a group.
_LEAST = 5

#: Rounds in which points change their group.
_GROUP_ROUNDS = 20


def rigid_groups(
    first: NDArray[np.floating], last: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Two groups that keep their shape while the distance between their centres changes.

    The groups begin as the signs of the eigenvector with the most negative eigenvalue of the matrix of
    changes; then every point joins the group whose distances to it change less. Points whose distances to
    their own group change by more than half of those to the other are left out.

    Args:
        first: (n_points, 3), A. CA atoms at the start.
        last: (n_points, 3), A. The same atoms at the end.

    Returns:
        Indices of both groups, the one with the first point first; None if one has too few points.
    """
    change = np.abs(_distances(last) - _distances(first))
    in_second = np.linalg.eigh(change)[1][:, 0] > 0  # the sum of changes between the signs is large
    for _ in range(_GROUP_ROUNDS):
        if min(in_second.sum(), (~in_second).sum()) < _LEAST:
            return None
        to_first, to_second = change[:, ~in_second].mean(axis=1), change[:, in_second].mean(axis=1)
        moved = to_first > to_second
        if (moved == in_second).all():
            break
        in_second = moved
    if min(in_second.sum(), (~in_second).sum()) < _LEAST:
        return None
    own, other = np.where(in_second, to_second, to_first), np.where(in_second, to_first, to_second)
    is_rigid = own <= 0.5 * other
    groups = np.flatnonzero(is_rigid & ~in_second), np.flatnonzero(is_rigid & in_second)
    if min(map(len, groups)) < _LEAST:
        return None
    return groups if groups[0][0] < groups[1][0] else groups[::-1]


def _distances(points: NDArray[np.floating]) -> NDArray[np.float64]:
    apart = points[:, None].astype(np.float64) - points
    return np.asarray(np.sqrt(np.square(apart).sum(axis=-1)))
