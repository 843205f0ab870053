"""Agreement of latent dimensions with known factors, as Locatello et al. define it.

The definitions are those of arXiv:1811.12359. Every metric takes ``latents`` ``(N, latent_dim)``,
posterior means and not samples, and ``factors`` ``(N, F)``, whole numbers, of independently drawn
observations. Scores are at most 1, and higher is better. SAP, BetaVAE and the pruning of FactorVAE
expect the scale of a VAE's latents, a standard deviation near 1; standardise those of other models.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from latentrl.latents.factors import MINIMUM_ROWS as MINIMUM_ROWS
from latentrl.latents.factors import (
    check_at_least,
    check_labelled,
    random_split,
    samples_with_fixed_factor,
)
from latentrl.types import Array
from latentrl.utils.registry import Registry

METRICS: Registry[Any] = Registry("metric")
"""Functions of latents, factors, seed and options; they return a float or a dict of floats."""


def disentanglement_scores(
    latents: ArrayLike,
    factors: ArrayLike,
    seed: int = 0,
    metrics: str | Sequence[str | Mapping[str, Any]] | None = None,
) -> dict[str, float]:
    """Compute several metrics at the sizes of the reference implementation.

    DCI, with 100 boosted trees per value of a factor, takes longest.

    Args:
        latents: ``(N, latent_dim)`` finite numbers, at least 2 dimensions.
        factors: ``(N, F)`` whole numbers, at least 2 factors, at least 2 values in each.
        seed: seed of every random choice.
        metrics: a name, or several names or specs with options, such as
            ``{"name": "dci", "train": 1000}``; None is all.

    Returns:
        Scores by flat name, such as ``"mig"`` and ``"dci_completeness"``.

    Raises:
        ValueError: an array is not as above or has under 100 rows, or a name or an option is wrong.
        ImportError: a metric needs scikit-learn, which is missing.
    """
    latents, factors = check_labelled(latents, factors)
    chosen = METRICS if metrics is None else [metrics] if isinstance(metrics, str) else metrics
    specs = [{"name": item} if isinstance(item, str) else item for item in chosen]
    for spec in specs:
        METRICS[spec.get("name", "")]  # a wrong name raises before the metrics in front of it run
    scores: dict[str, float] = {}
    for spec in specs:
        score = METRICS.build(spec, latents=latents, factors=factors, seed=seed)
        scores |= score if isinstance(score, dict) else {spec["name"]: score}
    return scores


@METRICS.register("mig")
def mig(
    latents: ArrayLike, factors: ArrayLike, seed: int = 0, points: int = 10_000, bins: int = 20
) -> float:
    """Mutual information gap (Chen et al. 2018, arXiv:1802.04942, equation 6).

    Per factor, the gap in nats between the two dimensions with the most information about it, over
    the factor's entropy; then the mean. Dimensions are cut into ``bins`` of equal width. At most
    ``points`` rows are drawn. Errors are those of ``disentanglement_scores``.
    """
    information, entropy = _information(latents, factors, seed, points, bins)
    return float(np.mean(np.diff(np.sort(information, 0)[-2:], axis=0) / entropy))


@METRICS.register("modularity")
def modularity(
    latents: ArrayLike, factors: ArrayLike, seed: int = 0, points: int = 10_000, bins: int = 20
) -> float:
    """Modularity of each dimension (Ridgeway & Mozer 2018, arXiv:1802.05312).

    A dimension with information about one factor only scores 1; one without any scores 0, as in the
    reference implementation. Arguments and errors are those of ``mig``.
    """
    squared = np.square(_information(latents, factors, seed, points, bins)[0])
    largest = squared.max(1)
    # Deviation from the template in which all information is about the largest factor.
    others = (squared.sum(1) - largest) / (squared.shape[1] - 1)
    deviation = np.divide(others, largest, out=np.ones_like(largest), where=largest > 0)
    return float(np.mean(1 - deviation))


@METRICS.register("dci")
def dci(
    latents: ArrayLike, factors: ArrayLike, seed: int = 0, train: int = 10_000, test: int = 5000
) -> dict[str, float]:
    """Disentanglement, completeness, informativeness (Eastwood & Williams 2018).

    The paper is openreview By-7dz-AZ. The scores come from the feature importances of one gradient
    boosting classifier per factor. Of more than ``train + test`` rows, that many are drawn; fewer
    are split in that proportion. Informativeness is the mean accuracy over the factors, on the test
    rows (``dci_informativeness``) and on the training rows (``dci_informativeness_train``). Errors
    are those of ``disentanglement_scores``, which hold for each set of rows, too: 2 values of every
    factor, and two rows that share one.
    """
    classifier = import_sklearn("ensemble").GradientBoostingClassifier
    sets = random_split(latents, factors, seed, train=train, test=test)
    models = [classifier(random_state=seed).fit(sets[0][0], values) for values in sets[0][1].T]
    importance = np.stack([model.feature_importances_ for model in models], 1)
    training, held_out = [
        np.mean([model.score(x, values) for model, values in zip(models, y.T, strict=True)])
        for x, y in sets
    ]
    return {
        "dci_disentanglement": concentration(importance),
        "dci_completeness": concentration(importance.T),
        "dci_informativeness": float(held_out),
        "dci_informativeness_train": float(training),
    }


@METRICS.register("sap")
def sap(
    latents: ArrayLike, factors: ArrayLike, seed: int = 0, train: int = 10_000, test: int = 5000
) -> float:
    """Separated attribute predictability (Kumar et al. 2018, arXiv:1711.00848).

    Per factor, the gap in test accuracy between the two dimensions from which a linear SVM predicts
    it best; then the mean. With V equally frequent values it is at most 1 - 1 / V. Arguments and
    errors are those of ``dci``.
    """
    classifier = import_sklearn("svm").LinearSVC
    (x, y), (test_x, test_y) = random_split(latents, factors, seed, train=train, test=test)
    accuracy = np.empty((x.shape[1], y.shape[1]))
    for i, k in np.ndindex(accuracy.shape):
        # The primal problem has one variable per feature and converges; the dual has one per row
        # and may not.
        svm = classifier(C=0.01, class_weight="balanced", dual=False).fit(x[:, [i]], y[:, k])
        accuracy[i, k] = svm.score(test_x[:, [i]], test_y[:, k])
    return float(np.mean(np.diff(np.sort(accuracy, 0)[-2:], axis=0)))


@METRICS.register("factor_vae")
def factor_vae_score(
    latents: ArrayLike,
    factors: ArrayLike,
    seed: int = 0,
    train: int = 10_000,
    test: int = 5000,
    batch: int = 64,
) -> float:
    """Score of the FactorVAE paper (Kim & Mnih 2018, arXiv:1802.05983).

    A vote is the dimension of least variance, relative to that of the training rows, in a ``batch``
    of rows that share the value of one random factor. The score is the accuracy, on ``test`` votes,
    of the majority of ``train`` votes. Dimensions with a standard deviation below 0.05 are left
    out; if none remains, the score is 0.

    Rows are split, and errors raised, as in ``dci``. If training and test votes shared rows, random
    differences between groups would raise the score. Values are drawn as often as they occur,
    except those of one row, and their rows with replacement.
    """
    check_at_least(2, batch=batch)
    sets = random_split(latents, factors, seed, train=train, test=test)
    std = sets[0][0].std(0, ddof=1)
    active = std >= 0.05  # a collapsed dimension has the least variance in every batch
    if not active.any():
        return 0.0
    samples = samples_with_fixed_factor(
        sets, (train, test), (1, batch), seed, lambda values: values.var((1, 2), ddof=1)
    )
    (votes, fixed), (test_votes, test_fixed) = [
        ((variance[:, active] / std[active] ** 2).argmin(1), k) for variance, k in samples
    ]
    table = np.zeros((sets[0][1].shape[1], len(std)))
    np.add.at(table, (fixed, votes), 1)
    return float(np.mean(table.argmax(0)[test_votes] == test_fixed))


@METRICS.register("beta_vae")
def beta_vae_score(
    latents: ArrayLike,
    factors: ArrayLike,
    seed: int = 0,
    train: int = 10_000,
    test: int = 5000,
    pairs: int = 64,
) -> float:
    """Score of the beta-VAE paper (Higgins et al. 2017, openreview Sy2fzU9gl).

    A point is the mean absolute difference over ``pairs`` of different rows that share the value of
    one random factor. A logistic regression on ``train`` points predicts that factor, and the score
    is its accuracy on ``test`` points. A rotation of the latents does not lower the score. Draws
    are as in ``factor_vae_score``, and errors as in ``dci``.
    """
    classifier = import_sklearn("linear_model").LogisticRegression
    check_at_least(1, pairs=pairs)
    sets = random_split(latents, factors, seed, train=train, test=test)
    training, held_out = samples_with_fixed_factor(
        sets, (train, test), (pairs, 2), seed, lambda values: abs(np.diff(values)).mean((1, 2))
    )
    # Newton's method converges for dimensions of very different scale, where lbfgs does not.
    model = classifier(solver="newton-cholesky", max_iter=1000).fit(*training)
    return float(model.score(*held_out))


def mutual_information(a: Array, b: Array) -> float:
    """Mutual information in nats of two vectors ``(N,)`` of categories."""
    rows, a = np.unique(a, return_inverse=True)
    columns, b = np.unique(b, return_inverse=True)
    counts = np.bincount(a * len(columns) + b, minlength=len(rows) * len(columns))
    joint = counts.reshape(len(rows), -1) / len(a)
    independent = np.outer(joint.sum(1), joint.sum(0))
    present = joint > 0  # 0 log 0 is 0
    information = joint[present] @ np.log(joint[present] / independent[present])
    return max(0.0, float(information))


def concentration(importance: Array) -> float:
    """Mean of 1 less the normalised entropy of each row, weighted by the row's sum.

    Disentanglement of DCI for ``importance`` ``(latent_dim, F)``, completeness for its transpose;
    0 if all importances are 0.
    """
    weight = importance.sum(1, keepdims=True)
    p = importance / np.where(weight > 0, weight, 1)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(1) / np.log(importance.shape[1])
    return float(weight[:, 0] @ (1 - entropy) / (weight.sum() or 1))


def _information(
    latents: ArrayLike, factors: ArrayLike, seed: int, points: int, bins: int
) -> tuple[Array, Array]:
    """Mutual information ``(latent_dim, F)`` and entropy of the factors ``(F,)``, in nats."""
    check_at_least(2, bins=bins)
    ((latents, factors),) = random_split(latents, factors, seed, points=points)
    edges = np.linspace(latents.min(0), latents.max(0), bins + 1)[1:-1]
    binned = [np.digitize(column, edge) for column, edge in zip(latents.T, edges.T, strict=True)]
    information = [[mutual_information(column, k) for k in factors.T] for column in binned]
    entropy = [mutual_information(k, k) for k in factors.T]  # H(k) = I(k; k)
    return np.array(information), np.array(entropy)


def import_sklearn(module: str) -> Any:
    """Return a module of scikit-learn, such as ``"svm"``.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise ImportError(
            'this metric needs scikit-learn: pip install "latentrl[metrics]"'
        ) from error
