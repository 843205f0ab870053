"""Area under the ROC curve."""

from __future__ import annotations

import numpy as np

from latentrl.types import Array


def auroc(scores: Array, anomalous: Array) -> float:
    """Area under the ROC curve.

    It is the probability that an anomaly scores above a normal observation; ties count one half
    (Mann & Whitney 1947).

    Args:
        scores: ``(B,)``, high for anomalies.
        anomalous: labels ``(B,)``: bool, or 1 for an anomaly and 0 for a normal observation.

    Returns:
        1 if all anomalies score highest, about 0.5 for random scores.

    Raises:
        ValueError: the shapes differ, a label is neither 0 nor 1, a score is NaN, or there are no
            anomalies or no normal observations.
    """
    scores = np.asarray(scores)
    labels = np.asarray(anomalous)
    others = labels[~np.isin(labels, (0, 1))]
    if others.size:
        raise ValueError(
            "expected labels of 0 and 1 or bool as the second argument, after the scores, got "
            f"{others[0]!s}"
        )
    anomalous = labels.astype(bool)
    if scores.ndim != 1 or scores.shape != anomalous.shape:
        raise ValueError(
            f"expected one score and one label each, got shapes {scores.shape} and "
            f"{anomalous.shape}"
        )
    if (nans := np.isnan(scores)).any():
        raise ValueError(f"scores[{int(nans.argmax())}] is NaN, which has no rank")
    positives = int(anomalous.sum())
    negatives = len(anomalous) - positives
    if not positives or not negatives:
        raise ValueError(
            f"AUROC needs both kinds, got {positives} anomalies and {negatives} normal observations"
        )
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # equal scores share their mean rank
    # U of Mann & Whitney: the rank sum less its lowest possible value, 1 + 2 + ... + positives.
    pairs = ranks[anomalous].sum() - positives * (positives + 1) / 2
    return float(pairs / (positives * negatives))
