"""Can a classifier tell generated frames from real ones?"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Boosting iterations and folds of the test.
ITERATIONS = 120
FOLDS = 5


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
        with threadpool_limits(1):  # threads only wait for each other on so few frames
            model.fit(features[train], labels[train], sample_weight=weights[train])
            likely = model.predict_proba(features[test])[:, 1]
        areas.append(roc_auc_score(labels[test], likely))
    if not areas:
        return TwoSample(float("nan"), float("nan"), 0)
    return TwoSample(float(np.mean(areas)), float(np.std(areas)), len(areas))
