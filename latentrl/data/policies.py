"""Policies that explore an environment without a trained agent."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from gymnasium import spaces

from latentrl.types import Array
from latentrl.utils.registry import Registry


class Policy(Protocol):
    """Maps the observations of all environments to their actions."""

    def __call__(self, observations: Any) -> Array:
        """Return actions ``(n_envs, *action_shape)`` for the batched ``observations``."""


def checked_actions(actions: Any, space: spaces.Space[Any]) -> Array:
    """Return the actions of a policy as an array of ``space``.

    Args:
        actions: what the policy returned.
        space: batched action space of the environments.

    Returns:
        Actions ``(n_envs, *action_shape)`` of the type of ``space``.

    Raises:
        ValueError: they are not one finite action for each environment, or not in ``space``;
            fractions may leave the bounds of a Box.
    """
    if isinstance(actions, tuple):
        raise ValueError(
            "the policy returned a tuple, where collect takes actions alone: of an SB3 agent, give "
            "it lambda observations: agent.predict(observations)[0]"
        )
    array = np.asarray(actions)
    whole = np.dtype(space.dtype).kind in "iub"
    if array.shape != space.shape or array.dtype.kind not in ("iub" if whole else "iuf"):
        raise ValueError(
            f"the policy must return {space.dtype} actions of shape {space.shape}, one for each "
            f"environment; it returned {array.dtype} of shape {array.shape}"
        )
    given, array = array, array.astype(space.dtype, copy=False)
    # The environment clips or refuses finite fractions beyond a Box, as it does for an agent. Whole
    # numbers of another type may become others by the cast.
    possible = (
        (given == array).all() and space.contains(array) if whole else np.isfinite(array).all()
    )
    if not possible:
        raise ValueError(f"the policy returned actions that are not in {space}: {given.tolist()}")
    return array


EXPLORERS: Registry[Policy] = Registry("policy")
"""Exploration policies, built with the batched ``action_space`` and a ``seed``."""


@EXPLORERS.register("random")
class RandomPolicy:
    """Independent uniform actions."""

    def __init__(self, action_space: spaces.Space[Any], seed: int) -> None:
        """Seed the batched ``action_space``."""
        self.action_space = action_space
        self.action_space.seed(seed)

    def __call__(self, observations: Any) -> Array:
        """Return a sample of the action space; the observations are not used."""
        return np.asarray(self.action_space.sample())


@EXPLORERS.register("brownian")
class BrownianPolicy:
    """Actions that are correlated in time and therefore reach further than independent ones.

    Box actions follow a random walk with a standard deviation of ``stride`` times half their range
    per step, reflected at the bounds. Other actions, discrete ones and those without bounds, are
    repeated and resampled with probability ``renewal`` at each step. World Models (Ha & Schmidhuber
    2018, arXiv:1803.10122) explores with random actions; its best-known reimplementations correlate
    them.
    """

    def __init__(
        self,
        action_space: spaces.Space[Any],
        seed: int,
        stride: float = 0.25,
        renewal: float = 0.25,
    ) -> None:
        """Seed the batched ``action_space`` and sample the first actions."""
        self.action_space = action_space
        self._walks = isinstance(action_space, spaces.Box) and action_space.is_bounded()
        self.stride = stride
        self.renewal = renewal
        self.action_space.seed(seed)
        # Sampled actions come from random numbers of this seed. The same numbers must not decide
        # when they are renewed: actions of low index would soon be, and the last ones be held.
        self._rng = np.random.default_rng(seed if self._walks else [seed, 1])
        self._actions = np.asarray(action_space.sample())
        self._position = self._actions.astype(np.float64)
        self._before: list[Array] = []

    def __call__(self, observations: Any) -> Array:
        """Return the next actions."""
        stuck = self._unchanged(observations)
        if self._walks:
            self._restart(stuck)
            self._actions = self._walk()
        else:
            renew = (self._rng.random(len(self._actions)) < self.renewal) | stuck
            renew = renew.reshape(-1, *[1] * (self._actions.ndim - 1))
            self._actions = np.where(renew, np.asarray(self.action_space.sample()), self._actions)
        return self._actions

    def _unchanged(self, observations: Any) -> Array:
        """Return where the newest observations equal those before, bool ``(n_envs,)``."""
        parts = observations.values() if isinstance(observations, dict) else [observations]
        arrays = [part for part in parts if isinstance(part, np.ndarray) and part.dtype != object]
        # Copies, because vector environments may write the next ones into the same arrays.
        before, self._before = self._before, [array.copy() for array in arrays]
        same = [
            (old == new).reshape(len(new), -1).all(1)
            for old, new in zip(before, arrays, strict=False)
        ]
        return np.logical_and.reduce(same) if same else np.zeros(len(self._actions), bool)

    def _restart(self, stuck: Array) -> None:
        """Continue the walk of the environments in ``stuck`` from a sample of the actions."""
        if stuck.any():
            self._position[stuck] = np.asarray(self.action_space.sample())[stuck]

    def _walk(self) -> Array:
        box = self.action_space
        assert isinstance(box, spaces.Box)
        low = box.low.astype(np.float64)
        high = box.high.astype(np.float64)
        step = self.stride * (high - low) / 2 * self._rng.standard_normal(low.shape)
        # Reflection at both bounds by two absolute values. Clipping in its place would gather the
        # actions at the bounds; here it only catches steps longer than the whole range.
        above_low = np.abs(self._position + step - low)
        self._position = np.clip(high - np.abs(high - low - above_low), low, high)
        whole = np.issubdtype(box.dtype, np.integer)
        actions: Array = (self._position.round() if whole else self._position).astype(box.dtype)
        return actions
