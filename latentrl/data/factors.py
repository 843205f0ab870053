"""Known factors of variation: those in ``info["factors"]``, and those that come with data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from latentrl.data.frames import Frames
from latentrl.data.readers import check_factor
from latentrl.types import Array


def declared_factors(envs: VectorEnv[Any, Any, Any]) -> tuple[str, ...]:
    """Return the names in the environment's ``metadata["factors"]``; none without the entry."""
    return tuple(envs.metadata.get("factors", ()))


def read_factors(infos: Mapping[str, Any], names: Sequence[str], num_envs: int) -> Array:
    """Return the factors in the infos of a vector environment, float32 ``(num_envs, F)``.

    Args:
        infos: infos of a step or of a reset.
        names: names of the factors, as the environment declares them.
        num_envs: number of environments; one without factors in the infos gets NaN.

    Raises:
        ValueError: the environment returned another number of factors than it declares.
    """
    factors = np.full((num_envs, len(names)), np.nan, np.float32)
    if "factors" in infos and names:
        given = np.asarray(infos["factors"])
        if given.shape != factors.shape:
            raise ValueError(
                f'metadata["factors"] of the environment names {len(names)} factors, '
                f'info["factors"] has shape {given.shape[1:]}: return one number for each name'
            )
        present = infos.get("_factors", np.ones(num_envs, bool))
        factors[present] = given[present]
    return factors


def with_factors(frames: Frames, factors: Mapping[str, Array]) -> Frames:
    """Return a view of ``frames`` with known factors of variation.

    Args:
        frames: the observations.
        factors: numbers by name, ``(N,)`` each; NaN is unknown.

    Raises:
        ValueError: a factor does not have one number for each observation.
    """
    known = {name: np.full(len(frames._episodes), np.nan) for name in factors}
    for name, values in factors.items():
        known[name][frames.indices] = check_factor(name, values, len(frames))
    return Frames(
        frames.space,
        frames._sources,
        frames._episodes,
        frames._steps,
        frames.indices,
        frames.metadata,
        known,
    )
