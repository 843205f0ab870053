"""How well the dimensions of a code match known factors, by the definitions of Locatello et al.
(arXiv:1811.12359).

Every metric takes ``codes`` ``(N, latent_dim)``, posterior means and not samples, and ``factors``
``(N, F)``, whole numbers, of independently drawn observations. Scores are at most 1, and higher is
better. SAP, BetaVAE and the pruning of FactorVAE expect the scale of a VAE's codes, a standard
deviation near 1; standardise those of other models first.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import ArrayLike

from latentrl.types import Array
from latentrl.utils.registry import Registry

Part: TypeAlias = tuple[Array, Array]
MINIMUM_ROWS = 100
"""Fewer rows are refused: every estimate would be mostly bias."""
METRICS: Registry[Any] = Registry("metric")
"""Functions of codes, factors, seed and options; they return a float, or a dict of floats by flat
name."""


def disentanglement_scores(
    codes: ArrayLike,
    factors: ArrayLike,
    seed: int = 0,
    metrics: Sequence[str | Mapping[str, Any]] | None = None,
) -> dict[str, float]:
    """Run several metrics at the reference sizes; DCI, with 100 boosted trees per value of a
    factor, takes longest.

    Args:
        codes: ``(N, latent_dim)`` finite numbers, at least 2 dimensions.
        factors: ``(N, F)`` whole numbers, at least 2 factors, at least 2 values in each.
        seed: of every random choice.
        metrics: names, or specs with options such as ``{"name": "dci", "train": 1000}``; None runs
            all.

    Returns:
        Scores by flat name, such as ``"mig"`` and ``"dci_completeness"``.

    Raises:
        ValueError: an array is not as above or has under 100 rows, or a name or an option is wrong.
        ImportError: a metric needs scikit-learn, which is missing.
    """
    codes, factors = _check(codes, factors)
    specs = [
        {"name": item} if isinstance(item, str) else item
        for item in (METRICS if metrics is None else metrics)
    ]
    for spec in specs:
        METRICS[spec.get("name", "")]  # a wrong name must not wait for the fits before it
    scores: dict[str, float] = {}
    for spec in specs:
        score = METRICS.build(spec, codes=codes, factors=factors, seed=seed)
        scores |= score if isinstance(score, dict) else {spec["name"]: score}
    return scores


@METRICS.register("mig")
def mig(
    codes: ArrayLike, factors: ArrayLike, seed: int = 0, points: int = 10_000, bins: int = 20
) -> float:
    """Mutual information gap (Chen et al. 2018, arXiv:1802.04942).

    Per factor, the gap in nats between the two dimensions that tell most about it, over its
    entropy; then the mean. Dimensions are cut into ``bins`` of equal width. Of more than ``points``
    rows so many are drawn. Errors are those of ``disentanglement_scores``.
    """
    information, entropy = _information(codes, factors, seed, points, bins)
    return float(np.mean(np.diff(np.sort(information, 0)[-2:], axis=0) / entropy))


@METRICS.register("modularity")
def modularity(
    codes: ArrayLike, factors: ArrayLike, seed: int = 0, points: int = 10_000, bins: int = 20
) -> float:
    """Whether each dimension tells about one factor only (Ridgeway & Mozer 2018, arXiv:1802.05312).

    Arguments and errors are those of ``mig``. A dimension without information scores 0, as in the
    reference.
    """
    squared = np.square(_information(codes, factors, seed, points, bins)[0])
    most = squared.max(1)
    others = (squared.sum(1) - most) / (squared.shape[1] - 1)
    return float(np.mean(1 - np.divide(others, most, out=np.ones_like(most), where=most > 0)))


@METRICS.register("dci")
def dci(
    codes: ArrayLike, factors: ArrayLike, seed: int = 0, train: int = 10_000, test: int = 5000
) -> dict[str, float]:
    """Disentanglement, completeness, informativeness (Eastwood & Williams 2018, openreview
    By-7dz-AZ).

    From the feature importances of one gradient boosting classifier per factor. Of more than
    ``train + test`` rows, so many are drawn; fewer are split in that proportion. Informativeness is
    the mean accuracy over the factors, on the test rows (``dci_informativeness``) and on the others
    (``dci_informativeness_train``). Errors are those of ``disentanglement_scores``, which hold for
    each part too: 2 values of every factor, and two rows that share one.
    """
    make = _sklearn("ensemble").GradientBoostingClassifier
    parts = _split(codes, factors, seed, train=train, test=test)
    models = [make(random_state=seed).fit(parts[0][0], values) for values in parts[0][1].T]
    importance = np.stack([model.feature_importances_ for model in models], 1)
    fitted, held_out = [
        np.mean([m.score(x, values) for m, values in zip(models, y.T, strict=True)])
        for x, y in parts
    ]
    return {
        "dci_disentanglement": concentration(importance),
        "dci_completeness": concentration(importance.T),
        "dci_informativeness": float(held_out),
        "dci_informativeness_train": float(fitted),
    }


@METRICS.register("sap")
def sap(
    codes: ArrayLike, factors: ArrayLike, seed: int = 0, train: int = 10_000, test: int = 5000
) -> float:
    """Separated attribute predictability (Kumar et al. 2018, arXiv:1711.00848).

    Per factor, the gap in test accuracy between the two dimensions from which a linear SVM predicts
    it best; then the mean. With V equally frequent values it is at most 1 - 1 / V. Arguments and
    errors are those of ``dci``.
    """
    make = _sklearn("svm").LinearSVC
    (x, y), (held_x, held_y) = _split(codes, factors, seed, train=train, test=test)
    accuracy = np.empty((x.shape[1], y.shape[1]))
    for i, k in np.ndindex(accuracy.shape):
        # The primal problem has one variable per feature and converges; the dual has one per row
        # and may not.
        svm = make(C=0.01, class_weight="balanced", dual=False).fit(x[:, [i]], y[:, k])
        accuracy[i, k] = svm.score(held_x[:, [i]], held_y[:, k])
    return float(np.mean(np.diff(np.sort(accuracy, 0)[-2:], axis=0)))


@METRICS.register("factor_vae")
def factor_vae_score(
    codes: ArrayLike,
    factors: ArrayLike,
    seed: int = 0,
    train: int = 10_000,
    test: int = 5000,
    batch: int = 64,
) -> float:
    """Score of the FactorVAE paper (Kim & Mnih 2018, arXiv:1802.05983).

    A vote is the dimension of least variance, relative to that of the training rows, in a ``batch``
    of rows that share the value of one random factor. The score is the accuracy, on ``test`` votes,
    of the majority of ``train`` votes. Dimensions with a standard deviation below 0.05 take no
    part; with none left the score is 0.

    Rows are split, and errors raised, as in ``dci``: votes from shared rows would score by chance
    differences between groups. Values are drawn as often as they occur, save those of one row, and
    their rows with replacement.
    """
    _at_least(2, batch=batch)
    parts = _split(codes, factors, seed, train=train, test=test)
    spread = parts[0][0].std(0, ddof=1)
    active = spread >= 0.05
    if not active.any():
        return 0.0
    samples = _with_one_fixed(
        parts, (train, test), (1, batch), seed, lambda values: values.var((1, 2), ddof=1)
    )
    (votes, fixed), (held_out, answers) = [
        ((s[:, active] / spread[active] ** 2).argmin(1), y) for s, y in samples
    ]
    table = np.zeros((parts[0][1].shape[1], len(spread)))
    np.add.at(table, (fixed, votes), 1)
    return float(np.mean(table.argmax(0)[held_out] == answers))


@METRICS.register("beta_vae")
def beta_vae_score(
    codes: ArrayLike,
    factors: ArrayLike,
    seed: int = 0,
    train: int = 10_000,
    test: int = 5000,
    pairs: int = 64,
) -> float:
    """Score of the beta-VAE paper (Higgins et al. 2017, openreview Sy2fzU9gl).

    A point is the mean absolute difference over ``pairs`` of different rows that share the value of
    one random factor. A logistic regression on ``train`` points tells which factor, and the score
    is its accuracy on ``test`` points: it forgives a rotated code. Draws are as in
    ``factor_vae_score``, and errors as in ``dci``.
    """
    make = _sklearn("linear_model").LogisticRegression
    _at_least(1, pairs=pairs)
    parts = _split(codes, factors, seed, train=train, test=test)
    samples = _with_one_fixed(
        parts, (train, test), (pairs, 2), seed, lambda values: abs(np.diff(values)).mean((1, 2))
    )
    # Newton's method copes with dimensions of very different scale, where lbfgs does not converge.
    return float(make(solver="newton-cholesky", max_iter=1000).fit(*samples[0]).score(*samples[1]))


def mutual_information(a: Array, b: Array) -> float:
    """Return the mutual information in nats of two vectors ``(N,)`` of categories."""
    (rows, a), (columns, b) = [np.unique(values, return_inverse=True) for values in (a, b)]
    joint = np.bincount(a * len(columns) + b, minlength=len(rows) * len(columns)).reshape(
        len(rows), -1
    ) / len(a)
    seen = joint > 0
    ratio = joint[seen] / np.outer(joint.sum(1), joint.sum(0))[seen]
    return max(0.0, float(joint[seen] @ np.log(ratio)))


def concentration(importance: Array) -> float:
    """Return 1 minus the normalised entropy of each row of ``(rows, columns)``, weighted by its
    sum; 0 if all are 0.
    """
    weight = importance.sum(1, keepdims=True)
    share = importance / np.where(weight > 0, weight, 1)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(1) / np.log(importance.shape[1])
    return float(weight[:, 0] @ (1 - entropy) / (weight.sum() or 1))


def _information(codes: ArrayLike, factors: ArrayLike, seed: int, points: int, bins: int) -> Part:
    """Return the mutual information ``(latent_dim, F)`` and the factors' entropy ``(F,)``, in
    nats.
    """
    _at_least(2, bins=bins)
    ((codes, factors),) = _split(codes, factors, seed, points=points)
    edges = np.linspace(codes.min(0), codes.max(0), bins + 1)[1:-1]
    binned = [np.digitize(column, edge) for column, edge in zip(codes.T, edges.T, strict=True)]
    information = [
        [mutual_information(column, factor) for factor in factors.T] for column in binned
    ]
    return np.array(information), np.array(
        [mutual_information(factor, factor) for factor in factors.T]
    )


def _with_one_fixed(
    parts: list[Part],
    counts: tuple[int, int],
    shape: tuple[int, int],
    seed: int,
    statistic: Callable[[Array], Array],
) -> list[Part]:
    """Return ``statistic`` of draws of ``shape`` from either part, ``(count, latent_dim)``, and the
    factors fixed.
    """
    rng, samples = default_rng(seed), []
    for (codes, factors), count in zip(parts, counts, strict=True):
        fixed = np.sort(rng.integers(factors.shape[1], size=count))
        rows = np.concatenate(
            [_draw(f, (int(np.sum(fixed == k)), *shape), rng) for k, f in enumerate(factors.T)]
        )
        samples.append((np.stack([statistic(code[rows]) for code in codes.T], 1), fixed))
    return samples


def _draw(factor: Array, shape: tuple[int, int, int], rng: Generator) -> Array:
    """Return row numbers that share a value along the last axis, where none but the first is the
    first.
    """
    order = np.argsort(factor, kind="stable")
    _, start, size = np.unique(factor[order], return_index=True, return_counts=True)
    start, size = (
        np.repeat(start, size),
        np.repeat(size, size),
    )  # of the group of each place in that order
    first = rng.choice(np.flatnonzero(size > 1), (*shape[:-1], 1))
    step = rng.integers(1, size[first], shape) * (np.arange(shape[-1]) > 0)
    rows: Array = order[start[first] + (first - start[first] + step) % size[first]]
    return rows


def _split(codes: ArrayLike, factors: ArrayLike, seed: int, **sizes: int) -> list[Part]:
    """Return disjoint random parts in the proportion of ``sizes``, none larger than its size."""
    _at_least(1, **sizes)
    codes, factors = _check(codes, factors)
    ends = np.cumsum(list(sizes.values())) * len(codes) // sum(sizes.values())
    parts = np.split(default_rng(seed).permutation(len(codes)), ends[:-1])
    drawn = [rows[:size] for rows, size in zip(parts, sizes.values(), strict=True)]
    return [(codes[rows], _varied(factors[rows])) for rows in drawn]


def _check(codes: ArrayLike, factors: ArrayLike) -> Part:
    """Return float64 codes and int64 factors, or say what is wrong."""
    codes, factors = np.asarray(codes, np.float64), np.asarray(factors)
    for name, array, columns in (("codes", codes, "latent_dim"), ("factors", factors, "F")):
        if array.ndim != 2 or array.shape[1] < 2:
            raise ValueError(
                f"{name} must be (N, {columns}) with 2 columns or more to compare, got {array.shape}"
            )
    if len(codes) != len(factors) or len(codes) < MINIMUM_ROWS:
        rows = f"got {len(codes)} and {len(factors)} rows"
        raise ValueError(
            f"codes and factors need one row per observation and at least {MINIMUM_ROWS}, {rows}"
        )
    finite = np.isfinite(codes).all(0)
    if not finite.all():
        raise ValueError(
            f"codes must be finite, got NaN or infinity in dimensions {np.flatnonzero(~finite).tolist()}"
        )
    numeric = factors.dtype.kind in "biuf"
    wrong = (
        factors[~np.isfinite(factors) | (factors != np.rint(factors))]
        if numeric
        else factors.ravel()
    )
    if len(wrong):
        advice = "number categories with np.unique and bin continuous ones with np.digitize"
        raise ValueError(f"factors must be whole numbers, got {wrong[0]}; {advice}")
    return codes, _varied(factors.astype(np.int64))


def _varied(factors: Array) -> Array:
    for k, factor in enumerate(factors.T):
        count = len(np.unique(factor))
        if count < 2:
            raise ValueError(
                f"factor {k} has {count} value in {len(factor)} rows; drop it, or bring rows with others"
            )
        if count == len(factor):
            raise ValueError(
                f"no two of {count} rows share a value of factor {k}; bin it with np.digitize"
            )
    return factors


def _at_least(minimum: int, **numbers: int) -> None:
    for name, number in numbers.items():
        if number < minimum:
            raise ValueError(f"{name} must be at least {minimum}, got {number}")


def _sklearn(module: str) -> Any:
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise ImportError(
            'this metric needs scikit-learn: pip install "latentrl[metrics]"'
        ) from error
