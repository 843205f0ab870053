"""Timesteps of past episodes, for an on-policy algorithm, which has no replay buffer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from agents.parts import Part
from latentrl.types import Array
from latentrl.utils.decoding import decode

RECENT = 100
"""Episodes whose mean return a good one exceeds."""
SIZE = 10_000
"""Most timesteps that are kept."""
LONGEST = 256
"""Most timesteps of one episode that are kept: the last ones."""
REPLAYS = 48
"""Times that each kept timestep is learned from, on average: without a limit the policy may fit
the first lucky episodes."""


class GoodEpisodes:
    """A ring buffer of observations, actions and rewards of episodes; the newest ones stay."""

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
        self.arrays: dict[str, Array] = {
            "observations": np.empty(shape, observation_space.dtype),
            "actions": np.empty((size, *action_space.shape), np.float32),
            "rewards": np.empty(size, np.float32),
            "values_after": np.empty(size, np.float32),
            "ends": np.empty(size, bool),
        }
        """Observations, actions, rewards, values of what follows the end, and whether it is one."""
        self.size = size
        self.budget = 0
        """Timesteps that may still be learned from."""
        self.recent: deque[float] = deque(maxlen=RECENT)
        """Returns of the last episodes, good or not."""
        self._position = self._filled = 0

    def __len__(self) -> int:
        """Return the number of timesteps."""
        return self._filled

    @property
    def rows(self) -> Array:
        """Rows of the arrays that hold a timestep, the oldest one first."""
        rows: Array = (self._position - self._filled + np.arange(self._filled)) % self.size
        return rows

    def judge(self, total: float) -> bool:
        """Return whether a return exceeds the mean of the last ones, and add it to them."""
        usual = np.mean(self.recent) if self.recent else np.inf
        self.recent.append(total)
        return bool(total > usual)

    def add(self, observations: Array, actions: Array, rewards: Array, value_after: float) -> None:
        """Add the timesteps of an episode.

        Args:
            observations: ``(T, ...)``, with ``T`` at most ``size``.
            actions: ``(T, ...)``.
            rewards: ``(T,)``.
            value_after: value of the observation after the last one, in units of the rewards; 0
                where the episode was over.
        """
        ends = np.arange(len(rewards)) == len(rewards) - 1
        given = (observations, actions, rewards, value_after * ends, ends)
        self._write(dict(zip(self.arrays, given, strict=True)))
        # What has been overwritten is not learned from any more.
        self.budget = min(self.budget + REPLAYS * len(rewards), REPLAYS * len(self))

    def returns(self, normalize: Callable[[Array], Array], unit: float, gamma: float) -> Array:
        """Return the discounted sum of the rewards from each timestep on, ``(size,)``.

        Args:
            normalize: maps rewards to those that the algorithm learns from.
            unit: standard deviation by which it divides them.
            gamma: discount factor.
        """
        rows = self.rows[::-1]
        rewards = normalize(self.arrays["rewards"][rows])
        after = self.arrays["values_after"][rows] / unit
        found, total = np.zeros(self.size, np.float32), 0.0
        ends = self.arrays["ends"][rows]
        for row, reward, value, end in zip(rows, rewards, after, ends, strict=True):
            total = reward + gamma * (value if end else total)
            found[row] = total
        return found

    def clear(self) -> None:
        """Remove all timesteps; the last returns stay."""
        self._position = self._filled = self.budget = 0

    def part(self) -> Part:
        """Return the timesteps as a part of a checkpoint, the oldest one first."""
        rows = self.rows
        tensors = {name: torch.from_numpy(array[rows]) for name, array in self.arrays.items()}
        return tensors, {"budget": self.budget, "recent": list(self.recent)}

    def load(self, tensors: Mapping[str, torch.Tensor], notes: Mapping[str, Any]) -> None:
        """Load what ``part`` returned.

        Raises:
            ValueError: the arrays do not fit the agent, or a value is NaN or infinite.
        """
        # Checkpoints of before have no returns.
        recent = decode(list[float], notes.get("recent", []), "recent returns of good episodes")
        if tensors.keys() != self.arrays.keys():
            expected, found = (", ".join(sorted(each)) for each in (self.arrays, tensors))
            raise ValueError(f"good episodes have {expected}, the file has {found}")
        filled = min(self.size, tensors["rewards"].numel())
        for name, wanted in self.arrays.items():
            array = tensors[name].numpy()
            if array.shape != (filled, *wanted.shape[1:]) or array.dtype != wanted.dtype:
                raise ValueError(
                    f"{name} of the good episodes are {array.shape} {array.dtype}, the agent needs "
                    f"{(filled, *wanted.shape[1:])} {wanted.dtype}: resume it with its own flags"
                )
        for name in self.arrays:
            if not np.isfinite(tensors[name].numpy()).all():
                raise ValueError(f"{name} of good episodes are NaN or infinite: train again")
        self.clear()
        self._write({name: tensor.numpy() for name, tensor in tensors.items()})
        budget = decode(int, notes.get("budget", 0), "budget of the good episodes")
        self.budget = min(max(0, budget), REPLAYS * filled)
        self.recent = deque(recent, RECENT)

    def _write(self, steps: Mapping[str, Array]) -> None:
        count = len(steps["rewards"])
        rows = (self._position + np.arange(count)) % self.size
        for name, values in steps.items():
            self.arrays[name][rows] = values
        self._position = (self._position + count) % self.size
        self._filled = min(self.size, self._filled + count)


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
