"""Latents with known factors of variation: checks, random splits, draws that share a factor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import ArrayLike

from latentrl.types import Array

Labelled: TypeAlias = tuple[Array, Array]
"""Latents ``(N, latent_dim)`` with their factors ``(N, F)``, or another pair of arrays."""
MINIMUM_ROWS = 100
"""Smallest number of observations; with fewer, every estimate is mostly bias."""


def check_labelled(latents: ArrayLike, factors: ArrayLike) -> Labelled:
    """Check arrays and convert them to float64 latents and int64 factors.

    Args:
        latents: ``(N, latent_dim)`` finite numbers, at least 2 dimensions.
        factors: ``(N, F)`` whole numbers, at least 2 factors, at least 2 values in each.

    Raises:
        ValueError: an array is not as above, or has fewer than 100 rows.
    """
    latents = np.asarray(latents, np.float64)
    factors = np.asarray(factors)
    for name, array, columns in (("latents", latents, "latent_dim"), ("factors", factors, "F")):
        if array.ndim != 2 or array.shape[1] < 2:
            raise ValueError(
                f"{name} must be (N, {columns}) with at least 2 columns to compare, "
                f"got {array.shape}"
            )
    if len(latents) != len(factors) or len(latents) < MINIMUM_ROWS:
        raise ValueError(
            f"latents and factors need one row per observation and at least {MINIMUM_ROWS}, "
            f"got {len(latents)} and {len(factors)} rows"
        )
    finite = np.isfinite(latents).all(0)
    if not finite.all():
        bad = np.flatnonzero(~finite).tolist()
        raise ValueError(f"latents must be finite, got NaN or infinity in dimensions {bad}")
    _check_whole(factors)
    return latents, _check_varied(factors.astype(np.int64))


def _check_whole(factors: Array) -> None:
    wrong = factors.ravel()
    if factors.dtype.kind in "biuf":
        wrong = factors[~np.isfinite(factors) | (factors != np.rint(factors))]
    if len(wrong):
        raise ValueError(
            f"factors must be whole numbers, got {wrong[0]}; number categories with np.unique and "
            "bin continuous factors with np.digitize"
        )


def _check_varied(factors: Array) -> Array:
    for k, factor in enumerate(factors.T):
        count = len(np.unique(factor))
        if count < 2:
            raise ValueError(
                f"factor {k} has {count} value in {len(factor)} rows; drop it, or add rows with "
                "other values"
            )
        if count == len(factor):
            raise ValueError(
                f"no two of {count} rows share a value of factor {k}; bin it with np.digitize"
            )
    return factors


def check_at_least(minimum: int, **numbers: int) -> None:
    """Check that each of the named ``numbers`` is at least ``minimum``.

    Raises:
        ValueError: one is smaller.
    """
    for name, number in numbers.items():
        if number < minimum:
            raise ValueError(f"{name} must be at least {minimum}, got {number}")


def random_split(latents: ArrayLike, factors: ArrayLike, seed: int, **sizes: int) -> list[Labelled]:
    """Split the rows at random into disjoint sets in the proportion of ``sizes``.

    Args:
        latents: as in ``check_labelled``.
        factors: as in ``check_labelled``.
        seed: seed of the split.
        **sizes: largest number of rows of each set, by the name that error messages use.

    Raises:
        ValueError: an array is wrong, a size is not positive, or a factor is constant in a set.
    """
    check_at_least(1, **sizes)
    latents, factors = check_labelled(latents, factors)
    ends = np.cumsum(list(sizes.values())) * len(latents) // sum(sizes.values())
    sets = np.split(default_rng(seed).permutation(len(latents)), ends[:-1])
    drawn = [rows[:size] for rows, size in zip(sets, sizes.values(), strict=True)]
    return [(latents[rows], _check_varied(factors[rows])) for rows in drawn]


def samples_with_fixed_factor(
    sets: list[Labelled],
    counts: tuple[int, int],
    shape: tuple[int, int],
    seed: int,
    statistic: Callable[[Array], Array],
) -> list[Labelled]:
    """Statistics of groups of rows that share the value of one random factor.

    Args:
        sets: training and test rows.
        counts: number of groups from each set.
        shape: shape of a group of rows; those along the last axis share the value.
        seed: seed of the factors and of the rows.
        statistic: from one dimension of all groups ``(count, *shape)`` to ``(count,)``.

    Returns:
        For each set, the statistics ``(count, latent_dim)`` and the fixed factors ``(count,)``.
    """
    rng = default_rng(seed)
    samples = []
    for (latents, factors), count in zip(sets, counts, strict=True):
        fixed = np.sort(rng.integers(factors.shape[1], size=count))
        rows = np.concatenate(
            [
                draw_groups(factor, (int(np.sum(fixed == k)), *shape), rng)
                for k, factor in enumerate(factors.T)
            ]
        )
        # One dimension at a time: all at once would need latent_dim times the memory.
        samples.append((np.stack([statistic(values[rows]) for values in latents.T], 1), fixed))
    return samples


def draw_groups(factor: Array, shape: tuple[int, int, int], rng: Generator) -> Array:
    """Row numbers of ``shape`` that share a value of ``factor`` along the last axis.

    The first of a group is uniform over the rows whose value is not unique. The others differ from
    it and may repeat each other.
    """
    order = np.argsort(factor, kind="stable")
    _, starts, sizes = np.unique(factor[order], return_index=True, return_counts=True)
    # Start and size of the run of equal values that each position of ``order`` is in.
    start = np.repeat(starts, sizes)
    size = np.repeat(sizes, sizes)
    first = rng.choice(np.flatnonzero(size > 1), (*shape[:-1], 1))
    # A step of 1 to size - 1 around the run leads to every other row of it and never to the first.
    step = rng.integers(1, size[first], shape) * (np.arange(shape[-1]) > 0)
    rows: Array = order[start[first] + (first - start[first] + step) % size[first]]
    return rows
