"""Timesteps of past episodes, for an on-policy algorithm, which has no replay buffer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from agents.parts import Part
from latentrl.types import Array

SIZE = 10_000
"""Most timesteps that are kept."""
LONGEST = 256
"""Most timesteps of one episode that are kept: the last ones."""
ARRAYS = ("observations", "actions", "returns")


class GoodEpisodes:
    """A ring buffer of observations, actions and discounted returns; the newest ones stay."""

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        size: int = SIZE,
    ) -> None:
        """Start empty.

        Args:
            observation_space: of the agent.
            action_space: of the agent.
            size: most timesteps that are kept.
        """
        assert observation_space.shape is not None
        assert action_space.shape is not None
        shape = (size, *observation_space.shape)
        self._arrays: dict[str, Array] = {
            "observations": np.empty(shape, observation_space.dtype),
            "actions": np.empty((size, *action_space.shape), np.float32),
            "returns": np.empty(size, np.float32),
        }
        self.size = size
        self._position = self._filled = 0

    def __len__(self) -> int:
        """Return the number of timesteps."""
        return self._filled

    def add(self, observations: Array, actions: Array, returns: Array) -> None:
        """Add the timesteps of an episode, ``(T, ...)`` each, with ``T`` at most ``size``."""
        rows = (self._position + np.arange(len(returns))) % self.size
        given = (observations, actions, returns)
        for array, values in zip(self._arrays.values(), given, strict=True):
            array[rows] = values
        self._position = (self._position + len(returns)) % self.size
        self._filled = min(self.size, self._filled + len(returns))

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Draw observations, actions and returns of ``n`` timesteps, with replacement."""
        rows = rng.integers(self._filled, size=n)
        observations, actions, returns = (array[rows] for array in self._arrays.values())
        return observations, actions, returns

    def clear(self) -> None:
        """Remove all timesteps."""
        self._position = self._filled = 0

    def part(self) -> Part:
        """Return the timesteps as a part of a checkpoint, the oldest one first."""
        rows = (self._position - self._filled + np.arange(self._filled)) % self.size
        return {name: torch.from_numpy(array[rows]) for name, array in self._arrays.items()}, {}

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Load what ``part`` returned.

        Raises:
            ValueError: the arrays do not fit the agent, or a return is NaN or infinite.
        """
        if tensors.keys() != self._arrays.keys():
            names = sorted(tensors)
            raise ValueError(f"good episodes have {', '.join(ARRAYS)}, the file has {names}")
        filled = min(self.size, len(tensors["returns"]))
        for name, wanted in self._arrays.items():
            array = tensors[name].numpy()
            if array.shape != (filled, *wanted.shape[1:]) or array.dtype != wanted.dtype:
                raise ValueError(
                    f"{name} of the good episodes are {array.shape} {array.dtype}, the agent needs "
                    f"{(filled, *wanted.shape[1:])} {wanted.dtype}: resume it with its own flags"
                )
        if not tensors["returns"].isfinite().all():
            raise ValueError("good episodes have returns that are NaN or infinite: train again")
        self.clear()
        self.add(*(tensors[name].numpy() for name in ARRAYS))


class OpenEpisodes:
    """The last timesteps of the episodes that are under way, one for each environment."""

    def __init__(self, n_envs: int, longest: int = LONGEST) -> None:
        """Start with no timestep.

        Args:
            n_envs: number of environments.
            longest: most timesteps of one episode that are kept.
        """
        self.longest = longest
        self._steps: tuple[Array, ...] | None = None
        self._time = 0
        self._lengths = np.zeros(n_envs, int)

    def add(self, observations: Array, actions: Array, rewards: Array) -> None:
        """Add one timestep of all environments, ``(n_envs, ...)`` each."""
        step = (observations, actions, rewards)
        if self._steps is None:
            self._steps = tuple(np.empty((self.longest, *x.shape), x.dtype) for x in step)
        for array, values in zip(self._steps, step, strict=True):
            array[self._time % self.longest] = values
        self._time += 1
        self._lengths += 1

    def end(self, env: int) -> Iterator[Array]:
        """End an episode; return its last observations, actions and rewards, ``(T, ...)`` each."""
        assert self._steps is not None
        kept = min(self.longest, self._lengths[env])
        self._lengths[env] = 0
        rows = np.arange(self._time - kept, self._time) % self.longest
        return (array[rows, env] for array in self._steps)

    def clear(self) -> None:
        """Remove the timesteps so far; the episodes continue without them."""
        self._lengths[:] = 0


def discounted_returns(rewards: Array, gamma: float, last: float) -> Array:
    """Return the discounted sum of the rewards from each timestep on, ``(T,)``.

    Args:
        rewards: of the successive timesteps, ``(T,)``.
        gamma: discount factor.
        last: value of the observation after the last timestep; 0 where the episode is over.
    """
    returns = np.empty(len(rewards), np.float32)
    for t in range(len(rewards) - 1, -1, -1):
        last = returns[t] = rewards[t] + gamma * last
    return returns
