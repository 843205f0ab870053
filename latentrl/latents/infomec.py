"""InfoMEC: modularity, explicitness and compactness by information (Hsu et al. 2023)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from latentrl.latents.disentanglement import METRICS, import_sklearn, mutual_information
from latentrl.latents.factors import check_at_least, random_split
from latentrl.types import Array

NEIGHBOURS = 10
"""Neighbours of the estimate of mutual information, as in the reference implementation."""
RANGE = (0.05, 0.95)
"""Quantiles between which the range of a dimension is measured."""
INACTIVE = 0.05
"""A dimension is inactive whose range is less than this fraction of the largest one."""
INVERSE_PENALTY = 1e6
"""C of the logistic regression, which has no penalty in the paper: with none it does not converge
where a line separates the values of a factor."""


@METRICS.register("infomec")
def infomec(
    latents: ArrayLike, factors: ArrayLike, seed: int = 0, points: int = 10_000, levels: int = 32
) -> dict[str, float]:
    """InfoM, InfoE and InfoC, which allow for quantised latents (arXiv:2305.18378, section 4).

    With R_ij the mutual information of factor i and dimension j over the entropy of the factor:
    ``infom`` is the mean over active j of max_i R_ij / sum_i R_ij, scaled so that 0 is uniform and
    1 one factor only; ``infoc`` is the same over i, of the active dimensions. ``infoe`` is the mean
    over i of (H(i) - H(i|z)) / H(i), H the cross-entropy of a balanced logistic regression fitted
    to the same rows, without and with all latents.

    Latents are quantised where every dimension has at most ``levels`` different values: mutual
    information is then exact, and values are one-hot inputs. That of continuous latents is
    estimated from 10 nearest neighbours (Ross 2014, doi:10.1371/journal.pone.0087357). A dimension
    is inactive where its range from the 5 % to the 95 % quantile is 0, or below a 20th of the
    largest one. With no active dimension ``infom``, and with fewer than two ``infoc``, are 0.

    At most ``points`` rows are drawn. Errors are those of ``disentanglement_scores``.
    """
    check_at_least(1, levels=levels)
    ((z, v),) = random_split(latents, factors, seed, points=points)
    quantised = all(len(np.unique(column)) <= levels for column in z.T)
    low, high = np.quantile(z, RANGE, axis=0)
    active = (high > low) & (high - low >= INACTIVE * (high - low).max())
    relevance = normalised_information(z[:, active], v, quantised, seed)
    return {
        "infom": _largest_fraction(relevance),
        "infoe": explicitness(z, v, quantised),
        "infoc": _largest_fraction(relevance.T),
    }


def normalised_information(latents: Array, factors: Array, quantised: bool, seed: int = 0) -> Array:
    """Mutual information of dimensions and factors over the entropy of the factors.

    Args:
        latents: ``(N, latent_dim)``, no dimension constant.
        factors: whole numbers ``(N, F)``.
        quantised: whether the latents have levels; else information is estimated from neighbours.
        seed: seed of the noise that separates equal values of continuous latents.

    Returns:
        ``(latent_dim, F)``.
    """
    relevance = np.empty((latents.shape[1], factors.shape[1]))
    for j, i in np.ndindex(relevance.shape):
        pair = latents[:, j], factors[:, i]
        relevance[j, i] = mutual_information(*pair) if quantised else _estimate(*pair, seed)
    return relevance / [mutual_information(factor, factor) for factor in factors.T]


def _estimate(column: Array, factor: Array, seed: int) -> float:
    estimate = import_sklearn("feature_selection").mutual_info_classif
    scaled = (column / column.std())[:, None]
    return float(estimate(scaled, factor, n_neighbors=NEIGHBOURS, random_state=seed)[0])


def explicitness(latents: Array, factors: Array, quantised: bool) -> float:
    """InfoE: the fraction of the factors' entropy that a linear classifier of all latents removes.

    Every value of a factor has the same weight, so that the classifier without latents is uniform
    and its cross-entropy the logarithm of their number.

    Args:
        latents: ``(N, latent_dim)``.
        factors: whole numbers ``(N, F)``.
        quantised: whether the inputs are the one-hot levels; else they are standardised latents.
    """
    inputs = _one_hot(latents) if quantised else _standardised(latents)
    return float(np.mean([1 - _conditional_entropy(inputs, factor) for factor in factors.T]))


def _conditional_entropy(inputs: Array, factor: Array) -> float:
    """Balanced cross-entropy of a classifier of ``factor``, over that of a uniform one."""
    labels, counts = np.unique(factor, return_inverse=True, return_counts=True)[1:]
    # Few dense inputs suit Newton's method, which converges where lbfgs does not; of many sparse
    # ones its Hessian is too large, and lbfgs takes few steps.
    solver = "lbfgs" if inputs.dtype == bool else "newton-cholesky"
    options = {"solver": solver, "C": INVERSE_PENALTY, "max_iter": 1000}
    model = import_sklearn("linear_model").LogisticRegression(class_weight="balanced", **options)
    p = model.fit(inputs, labels).predict_proba(inputs)[np.arange(len(labels)), labels]
    nll = -np.log(p.clip(np.finfo(p.dtype).tiny))
    return float(np.average(nll, weights=1 / counts[labels]) / np.log(len(counts)))


def _one_hot(latents: Array) -> Array:
    return np.concatenate([column[:, None] == np.unique(column) for column in latents.T], 1)


def _standardised(latents: Array) -> Array:
    # The standard deviation of a constant need not be exactly 0.
    varied = latents[:, latents.max(0) > latents.min(0)]
    standardised: Array = (varied - varied.mean(0)) / varied.std(0)
    return standardised


def _largest_fraction(relevance: Array) -> float:
    """Mean over rows of the largest entry's fraction of the sum, scaled from 1 / columns to 0."""
    count = relevance.shape[1]
    if len(relevance) == 0 or count < 2:
        return 0.0
    total = relevance.sum(1)
    # A row without any information is uniform.
    fraction = np.divide(
        relevance.max(1), total, out=np.full(len(total), 1 / count), where=total > 0
    )
    return float((fraction.mean() - 1 / count) / (1 - 1 / count))
