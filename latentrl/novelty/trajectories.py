"""The newest states of each environment, and pairs of a state and a later one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from latentrl.novelty.base import grown
from latentrl.types import Array

NAMES = ("states", "episodes", "added", "steps")


class Trajectories:
    """Ring buffers of the newest ``window`` states of each environment, with their episodes."""

    def __init__(self, window: int, discount: float) -> None:
        """Start empty.

        Args:
            window: states of each environment.
            discount: of the geometric distribution of the steps between the states of a pair.
        """
        self.window, self.discount = window, discount
        self._clear()

    def _clear(self) -> None:
        self.states = np.zeros((0, self.window, 0), np.float32)
        """``(num_envs, window, values)``."""
        self.episodes = np.zeros((0, self.window), np.int64)
        """Number of the episode of each state, counted in each environment."""
        self.added = np.zeros(0, np.int64)
        """States that were added in each environment."""
        self.steps = 0
        """Calls of ``add`` after a step; those after the start of an episode do not count."""
        self._current = np.zeros(0, np.int64)
        self._started = False

    def start(self, env_ids: Array) -> None:
        """Let the next state of these environments be the first of an episode."""
        self._current = grown(self._current, env_ids)
        self._current[env_ids] += 1
        self._started = True

    def add(self, env_ids: Array, values: Array) -> None:
        """Add one state ``(B, values)`` of each of these environments."""
        self._grow(env_ids, values.shape[1])
        places = self.added[env_ids] % self.window
        self.states[env_ids, places] = values
        self.episodes[env_ids, places] = self._current[env_ids]
        self.added[env_ids] += 1
        self.steps += not self._started
        self._started = False

    def _grow(self, env_ids: Array, values: int) -> None:
        count = max(len(self.added), int(env_ids.max(initial=-1)) + 1)
        if (count, values) != (len(self.states), self.states.shape[2]):
            states = np.zeros((count, self.window, values), np.float32)
            if self.states.shape[2] == values:
                states[: len(self.states)] = self.states
            self.states = states
        for name in ("episodes", "added", "_current"):
            setattr(self, name, grown(getattr(self, name), np.array([count - 1])))

    def newest(self, count: int) -> Array:
        """Return the newest states of each environment, at most ``count``, ``(N, values)``."""
        rows = [
            self.states[env, self._order(env)[-min(count, self.window) :]]
            for env in range(len(self.added))
        ]
        return np.concatenate(rows)

    def pairs(self, count: int, generator: torch.Generator) -> tuple[Array, Array] | None:
        """Draw ``count`` states and one later state of the same episode for each.

        Returns:
            Twice ``(count, values)``; None where no episode has two states.
        """
        first, last = zip(*map(self._ends, range(len(self.added))), strict=True)
        env = np.repeat(np.arange(len(first)), [len(each) for each in first])
        if len(env) == 0:
            return None
        starts, ends = np.concatenate(first), np.concatenate(last)
        drawn = torch.randint(len(env), (count,), generator=generator).numpy()
        # The inverse of the geometric distribution, cut off at the end of the episode.
        uniform = torch.rand(count, generator=generator, dtype=torch.float64).numpy()
        ratio = np.log1p(-uniform) / np.log(self.discount) if self.discount else np.zeros(count)
        steps = 1 + np.minimum(ratio, self.window).astype(int)
        later = np.minimum(starts[drawn] + steps, ends[drawn])
        return self._at(env[drawn], starts[drawn]), self._at(env[drawn], later)

    def _at(self, env: Array, place: Array) -> Array:
        """Return the states at ``place``, counted from the oldest one that is kept."""
        oldest = np.maximum(self.added[env] - self.window, 0)
        states: Array = self.states[env, (oldest + place) % self.window]
        return states

    def _order(self, env: int) -> Array:
        """Return the slots of an environment's states, from the oldest to the newest."""
        kept = min(int(self.added[env]), self.window)
        slots: Array = (self.added[env] - kept + np.arange(kept)) % self.window
        return slots

    def _ends(self, env: int) -> tuple[Array, Array]:
        """Return the places of states that others follow, and that of the last one of each."""
        episodes = self.episodes[env, self._order(env)]
        last = np.searchsorted(episodes, episodes, side="right") - 1
        places = np.arange(len(episodes))
        followed = places < last
        return places[followed], last[followed]

    def state_dict(self) -> dict[str, Tensor]:
        """Return copies of the states and of what orders them; empty before the first state."""
        if not self.added.any():
            return {}
        arrays = {name: np.array(getattr(self, name)) for name in NAMES}
        return {f"trajectories.{name}": torch.from_numpy(each) for name, each in arrays.items()}

    def loaded_from(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Restore what ``state_dict`` returned, and return the rest of ``state``.

        Raises:
            ValueError: the state is of another window.
        """
        self._clear()
        names = [f"trajectories.{name}" for name in NAMES]
        if names[0] in state:
            if state[names[0]].shape[1] != self.window:
                raise ValueError(
                    f"a window of {self.window} states cannot load that of "
                    f"{state[names[0]].shape[1]} states of another bonus"
                )
            self.states, self.episodes, self.added, steps = (
                state[name].numpy().copy() for name in names
            )
            self.steps = int(steps)
            self._current = self.episodes.max(1)
        return {name: value for name, value in state.items() if name not in names}
