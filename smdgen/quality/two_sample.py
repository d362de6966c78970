"""Can a classifier tell generated frames from real ones?"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Boosting iterations and folds of the test, and bins of a feature.
ITERATIONS = 120
FOLDS = 5
BINS = 255


class TwoSample(NamedTuple):
    """Outcome of a two-sample test.

    Attributes:
        auc: Mean over the folds of the area under the ROC curve: 0.5 cannot be told apart, 1 always
            told apart. NaN if a class has fewer than two groups.
        spread: Standard deviation over the folds.
        folds: Number of folds used.
    """

    auc: float
    spread: float
    folds: int


def two_sample_auc(
    first: NDArray[Any],
    second: NDArray[Any],
    first_groups: NDArray[Any],
    second_groups: NDArray[Any],
    seed: int = 0,
) -> TwoSample:
    """Cross-validated AUC of gradient boosting between two sets of frames.

    Frames of a pull never stand on both sides of a fold, or the classifier would know pulls by heart.
    A generated pull shares its group with the real pull it started from. The classes are weighted to
    the same sum, so that their sizes do not matter. With fewer than five groups in a class there are
    as many folds as groups.

    Args:
        first: (n, n_features). Frames of class 0.
        second: (m, n_features). Frames of class 1.
        first_groups: (n,). Pull of each frame.
        second_groups: (m,). Pull of each frame.
        seed: Of the classifier and of the assignment of groups to folds.

    Source: D. Lopez-Paz and M. Oquab, ICLR 2017 (classifier two-sample tests).
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    n_folds = min(FOLDS, len(np.unique(first_groups)), len(np.unique(second_groups)))
    if n_folds < 2 or first.shape[1] == 0:
        return TwoSample(float("nan"), float("nan"), 0)
    features = np.concatenate([first, second])
    labels = np.repeat([0, 1], [len(first), len(second)])
    weights = np.repeat([1 / len(first), 1 / len(second)], [len(first), len(second)]) * len(labels) / 2
    groups = np.concatenate([first_groups, second_groups])
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    areas = []
    for train, test in splitter.split(features, labels, groups):
        if len(np.unique(labels[test])) < 2 or len(np.unique(labels[train])) < 2:
            continue
        model = HistGradientBoostingClassifier(max_iter=ITERATIONS, early_stopping=False, random_state=seed)
        edges = [_edges(column) for column in features[train].T]
        seen, unseen = _binned(features[train], edges), _binned(features[test], edges)
        with threadpool_limits(1):  # threads only wait for each other on so few frames
            model.fit(seen, labels[train], sample_weight=weights[train])
            likely = model.predict_proba(unseen)[:, 1]
        areas.append(roc_auc_score(labels[test], likely))
    if not areas:
        return TwoSample(float("nan"), float("nan"), 0)
    return TwoSample(float(np.mean(areas)), float(np.std(areas)), len(areas))


def _edges(column: NDArray[Any]) -> NDArray[Any]:
    """Edges of bins of equally many frames; the classifier needs minutes to find those of weighted ones."""
    values = np.unique(column)
    few, inner = len(values) <= BINS, np.linspace(0, 1, BINS + 1)[1:-1]
    edges: NDArray[Any] = (values[1:] + values[:-1]) / 2 if few else np.quantile(column, inner)
    return edges


def _binned(features: NDArray[Any], edges: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Number of the bin of each value."""
    return np.stack([np.searchsorted(e, f) for e, f in zip(edges, features.T, strict=True)], 1)
