"""What a bonus is, and the registry of those that go by a name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from latentrl.types import Array, Novelty
from latentrl.utils.registry import Registry


class Bonus(ABC):
    """A novelty bonus; ``score`` and ``update`` are all that a new one needs.

    Row i of every batch is environment i. A state is scored when it is reached, the last of an
    episode included, and then learned from.
    """

    @abstractmethod
    def score(self, observations: Array, latents: Array) -> Array:
        """Return how new the states are, float32 ``(B,)``, without learning from them.

        Args:
            observations: ``(B, *observation_shape)``, in the environment's units.
            latents: their codes, float32 ``(B, latent_dim)``.
        """

    @abstractmethod
    def update(self, observations: Array, latents: Array) -> None:
        """Learn from the states that ``score`` has just seen; arguments as there."""

    def act(self, actions: Array) -> None:  # noqa: B027 - most bonuses do not look at actions
        """Hear of the actions ``(B, ...)`` that lead to the next states."""

    def begin(self, observations: Array, latents: Array, rows: Array) -> None:  # noqa: B027 - most know no episodes
        """Hear that episodes begin, at these states, in the environments where ``rows (B,)`` is
        True.
        """

    def select(self, rows: Array) -> None:  # noqa: B027 - most bonuses treat all environments alike
        """Hear that the rows of the next batch are these environments, int ``(B,)``; all, unless
        told.
        """

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that must be kept to resume."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027 - where there is no state
        """Take what ``state`` returned."""

    def metrics(self) -> dict[str, float]:
        """Return figures for curves, by name."""
        return {}


NOVELTIES: Registry[Bonus] = Registry("novelty")


def check_novelty(novelty: Any) -> None:
    """Raise ``TypeError`` for what is no novelty."""
    if not isinstance(novelty, Novelty):
        raise TypeError(
            "a novelty has score(observations, latents) and update(observations, latents); "
            f"{type(novelty).__name__} lacks one"
        )


def checked(novelty: Novelty, bonus: Array, count: int) -> Array:
    """Return a bonus as float32 ``(count,)``.

    Raises:
        ValueError: it has another shape, or holds NaN or infinity; the message names the class.
    """
    array = np.asarray(bonus, np.float32)
    if array.shape != (count,):
        raise ValueError(
            f"{type(novelty).__name__}.score must return {count} bonuses, got shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{type(novelty).__name__}.score returned NaN or infinity")
    return array


def hook(novelty: Novelty, name: str, *arguments: Any) -> Any:
    """Return what an optional method of a user's own novelty returns; None where it lacks it."""
    method = getattr(novelty, name, None)
    return None if method is None else method(*arguments)


def below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the part of a state whose names begin with ``prefix``, without it."""
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


def rows_for(rows: Array | None, count: int) -> Array:
    """Return the numbers of the environments of a batch: those that ``select`` named, or all
    ``count``.
    """
    return np.arange(count) if rows is None else rows


def grown(array: Array, rows: Array, fresh: float | Array = 0) -> Array:
    """Return ``array``, one entry an environment, with ``fresh`` ones added where ``rows`` go
    beyond it.
    """
    missing = int(rows.max(initial=-1)) + 1 - len(array)
    if missing <= 0:
        return array
    more = np.broadcast_to(np.asarray(fresh, array.dtype), (missing, *array.shape[1:]))
    return np.concatenate([array, more])
