"""Base class of novelty bonuses, and the registry that ``--novelty`` and ``make_bonus`` look in."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from torch import Tensor

from latentrl.types import Array, Encoder, Novelty, Transitions
from latentrl.utils.registry import Registry

METHODS = ("reset", "score", "update", "step", "state_dict", "load_state_dict", "metrics")
SIMILAR = 0.75
"""``difflib`` ratio from which a method's name counts as a misspelling of one of ``METHODS``."""


def check_spelling(cls: type, names: Iterable[str]) -> None:
    """Raise ``TypeError`` if one of ``names`` is a public method of ``cls`` and a misspelling.

    An optional method under a wrong name would never be called, and nothing else would fail.
    """
    for name in names:
        if name in METHODS or name.startswith("_") or not callable(getattr(cls, name, None)):
            continue
        meant = difflib.get_close_matches(name, METHODS, 1, SIMILAR)
        if meant and meant[0] not in vars(cls):
            raise TypeError(
                f"{cls.__name__}.{name} is no method of a bonus: did you mean {meant[0]!r}? "
                f"A bonus has {', '.join(METHODS)}"
            )


class Bonus(ABC):
    """A novelty bonus; a new one needs ``score`` and ``update`` alone.

    A step is scored first and learned from afterwards, so that the first visit of a state is scored
    as a first visit. A public method whose name is nearly one of the seven raises ``TypeError``.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_spelling(cls, vars(cls))

    @property
    def name(self) -> str:
        """Class name, for error messages and metrics."""
        return type(self).__name__

    @property
    def recurs(self) -> bool:
        """Whether it has found that what it counts returns in other episodes; most do not look."""
        return False

    def reset(self, env_ids: Array, observations: Array, latents: Array) -> None:  # noqa: B027
        """Start new episodes.

        Args:
            env_ids: indices of the environments that were reset, int ``(B,)``.
            observations: first observations of their episodes, ``(B, *observation_shape)``.
            latents: latents of ``observations``, float32 ``(B, latent_dim)``.
        """

    @abstractmethod
    def score(self, transitions: Transitions) -> Array:
        """Return the bonus of each transition, float32 ``(B,)``, without any change of state."""

    @abstractmethod
    def update(self, transitions: Transitions) -> None:
        """Learn from transitions that have been scored."""

    def step(self, transitions: Transitions) -> Array:
        """Return what ``score`` returns, then ``update``; override it to do shared work once."""
        scores = self.score(transitions)
        self.update(transitions)
        return scores

    def state_dict(self) -> dict[str, Tensor]:
        """Return copies of the tensors that a resumed run needs."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state_dict`` returned; the next call is ``reset``, which starts episodes.

        Raises:
            ValueError: the state is that of another kind of bonus.
        """
        if state and type(self).state_dict is Bonus.state_dict:
            raise ValueError(f"{self.name} keeps no state, got {describe(state)} of another bonus")

    def metrics(self) -> dict[str, float]:
        """Return named numbers for curves."""
        return {}


BONUSES: Registry[Bonus] = Registry("novelty")
"""Builders of bonuses by name; each takes what it needs of ``encoder, action_space, seed``."""


def make_bonus(
    name: str, encoder: Encoder, action_space: spaces.Space[Any] | None = None, seed: int = 0
) -> Bonus:
    """Return the bonus called ``name``, not yet scaled; ``NormalizedBonus`` scales it.

    Args:
        name: one of ``BONUSES``.
        encoder: the agent's encoder, whose latent layout sets what is counted.
        action_space: the environment's; 'icm' needs it.
        seed: of random networks and hashes.

    Raises:
        ValueError: the name is unknown, or the bonus does not suit the encoder or the actions.
    """
    return BONUSES.build({"name": name}, encoder=encoder, action_space=action_space, seed=seed)


class AdaptedBonus(Bonus):
    """A user's plain object with ``score`` and ``update``; its other methods are optional."""

    def __init__(self, novelty: Novelty) -> None:
        """Adapt ``novelty``; errors as in ``as_bonus``."""
        check_spelling(type(novelty), dir(type(novelty)))
        if not isinstance(novelty, Novelty):
            raise TypeError(
                "a novelty bonus has score(transitions) and update(transitions); "
                f"{type(novelty).__name__} lacks one"
            )
        self.novelty = novelty

    @property
    def name(self) -> str:
        """Class name of the user's object."""
        return type(self.novelty).__name__

    def reset(self, env_ids: Array, observations: Array, latents: Array) -> None:
        """Pass the start of new episodes on."""
        self._call("reset", None, env_ids, observations, latents)

    def score(self, transitions: Transitions) -> Array:
        """Return the object's scores."""
        return self.novelty.score(transitions)

    def update(self, transitions: Transitions) -> None:
        """Update the object."""
        self.novelty.update(transitions)

    def step(self, transitions: Transitions) -> Array:
        """Return the scores of the object's own ``step``, or of ``score`` before ``update``."""
        if hasattr(self.novelty, "step"):
            scores: Array = self.novelty.step(transitions)
            return scores
        return super().step(transitions)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the object's state, empty if it keeps none."""
        return dict(self._call("state_dict", {}))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the object's state."""
        self._call("load_state_dict", None, state)

    def metrics(self) -> dict[str, float]:
        """Return the object's metrics, empty if it has none."""
        return dict(self._call("metrics", {}))

    def _call(self, method: str, default: Any, *arguments: Any) -> Any:
        own = getattr(self.novelty, method, None)
        return default if own is None else own(*arguments)


def as_bonus(novelty: Novelty) -> Bonus:
    """Return ``novelty`` as a ``Bonus``.

    Raises:
        TypeError: it is a class, lacks ``score`` or ``update``, or a method of it is misspelt.
    """
    if isinstance(novelty, type):
        raise TypeError(
            f"a novelty bonus is an object, not the class {novelty.__name__}: make one, "
            f"{novelty.__name__}(...)"
        )
    return novelty if isinstance(novelty, Bonus) else AdaptedBonus(novelty)


def checked(bonus: Bonus, scores: Array, count: int) -> Array:
    """Return the scores of ``bonus`` as float32 ``(count,)``.

    Raises:
        ValueError: they have another shape, or hold NaN or infinity; the message names the class.
    """
    array = np.asarray(scores, np.float32)
    if array.shape != (count,):
        raise ValueError(f"{bonus.name}.score must return {count} bonuses, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{bonus.name}.score returned NaN or infinity")
    return array


def describe(state: Mapping[str, Tensor]) -> str:
    """Return the names and shapes in a state, at most five, for messages about it."""
    shown = [f"{name} {list(value.shape)}" for name, value in list(state.items())[:5]]
    return ", ".join(shown + ["..."] * (len(state) > len(shown))) or "an empty state"


def check_state(name: str, state: Mapping[str, Tensor], *needed: str) -> None:
    """Raise ``ValueError`` where the state of the bonus ``name`` lacks a ``needed`` tensor."""
    if any(key not in state for key in needed):
        raise ValueError(
            f"{name} expected a state with {', '.join(needed)}, got {describe(state)}: it is that "
            "of another bonus"
        )


def substate(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names start with ``prefix``, under their names without it."""
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under their names after ``prefix``."""
    return {f"{prefix}{name}": value for name, value in state.items()}


def grown(array: Array, env_ids: Array, fill: float | Array = 0) -> Array:
    """Return ``array`` ``(num_envs, ...)``, longer by entries of ``fill`` for new ``env_ids``."""
    missing = int(env_ids.max(initial=-1)) + 1 - len(array)
    if missing <= 0:
        return array
    added = np.broadcast_to(np.asarray(fill, array.dtype), (missing, *array.shape[1:]))
    return np.concatenate([array, added])
