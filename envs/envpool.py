"""EnvPool's C++ environments as a Gymnasium vector environment that resets in the same step."""

from __future__ import annotations

import os
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from latentrl.types import Array

SUPPORTED = ("CarRacing-v2", "CarRacing-v3")
"""Ids that EnvPool serves as they are; ``envs/minigrid.py`` has more."""
DISCRETE_ACTIONS = np.array(
    [[0, 0, 0], [0.6, 0, 0], [-0.6, 0, 0], [0, 0.2, 0], [0, 0, 0.8]], np.float32
)
"""Steering, gas and brake of the five discrete actions: nothing, right, left, gas, brake."""


class EnvPoolVectorEnv(VectorEnv[Array, Array, Array]):
    """Environments of EnvPool with frame skip and Gymnasium's SAME_STEP autoreset.

    An environment whose episode ends amid skipped frames waits for the others, so that no frame of
    the next episode is lost; the frame it ended on is in ``infos["final_obs"]``.
    """

    def __init__(
        self, env_id: str, n_envs: int, frame_skip: int = 1, discrete: bool = False, seed: int = 0
    ) -> None:
        """Start ``n_envs`` environments on every core."""
        self.env_id, self.num_envs, self.frame_skip = env_id, n_envs, frame_skip
        self.spec = gym.spec(env_id)
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self._actions = DISCRETE_ACTIONS if discrete else None
        self._start(seed)
        self.single_observation_space = self._space_seen()
        self.single_action_space = (
            spaces.Discrete(len(DISCRETE_ACTIONS)) if discrete else self._pool.action_space
        )
        self.observation_space = batch_space(self.single_observation_space, n_envs)
        self.action_space = batch_space(self.single_action_space, n_envs)

    def _space_seen(self) -> spaces.Space[Any]:
        """Return the space of what ``_see`` returns for one environment."""
        space: spaces.Space[Any] = self._pool.observation_space
        return space

    def _see(self, observations: Any) -> Array:
        """Return what an agent sees of EnvPool's ``observations``."""
        frames: Array = observations
        return frames

    def _start(self, seed: int) -> None:
        import envpool

        self._seed, self._begun = seed, False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the precision of its float64 bounds
            self._pool = envpool.make(
                self.env_id,
                env_type="gymnasium",
                num_envs=self.num_envs,
                seed=seed,
                num_threads=min(self.num_envs, os.cpu_count() or 1),
            )
            self._pool.observation_space, self._pool.action_space  # noqa: B018 - computed once, here

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin new episodes everywhere; environment i takes ``seed + i``."""
        if seed is not None and (self._begun or seed != self._seed):
            self._start(seed)
        self._begun = True
        observations, _ = self._pool.reset()
        return self._see(observations), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Repeat ``actions`` for the frames of one decision."""
        actions = (
            np.asarray(actions) if self._actions is None else self._actions[np.asarray(actions)]
        )
        seen, rewards, terminated, truncated, _ = self._pool.step(actions)
        observations = self._see(seen)
        rewards = rewards.astype(np.float64)
        for _ in range(self.frame_skip - 1):
            running = np.flatnonzero(~(terminated | truncated)).astype(np.int32)
            if len(running) == 0:
                break
            seen, gained, *ends, _ = self._pool.step(actions[running], running)
            observations[running] = self._see(seen)
            rewards[running] += gained
            terminated[running], truncated[running] = ends
        return (
            observations,
            rewards,
            terminated,
            truncated,
            self._restart(observations, terminated | truncated),
        )

    def _restart(self, observations: Array, done: Array) -> dict[str, Any]:
        if not done.any():
            return {}
        final = np.full(self.num_envs, None, dtype=object)
        for i in np.flatnonzero(done):
            final[i] = observations[i].copy()
        observations[done] = self._see(self._pool.reset(np.flatnonzero(done).astype(np.int32))[0])
        return {"final_obs": final, "_final_obs": done}

    def close_extras(self, **kwargs: Any) -> None:
        """Stop EnvPool's threads."""
        self._pool.close()
