"""EnvPool's C++ environments as a Gymnasium vector environment with SAME_STEP autoreset."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from latentrl.types import Array
from latentrl.utils.processes import usable_cores


class EnvPoolVectorEnv(VectorEnv[Array, Array, Array]):
    """Environments of EnvPool with frame skip and Gymnasium's SAME_STEP autoreset.

    An environment whose episode ends amid skipped frames waits for the others, so that no frame of
    the next episode is lost; its terminal observation is in ``infos["final_obs"]``.

    A family whose ids, observations or actions differ from EnvPool's overrides the class
    attributes, ``pool_id`` and ``observe``; one that skips frames itself, ``skipped``.
    """

    options: Mapping[str, Any] = {}
    """Further arguments of ``envpool.make``."""
    discrete_actions: ClassVar[Array | None] = None
    """Continuous actions ``(n, action_dim)`` behind the indices of the discrete variant."""
    _pool: Any
    _seed: int
    _started: bool
    _newest: Array
    """Observations of the newest reset or step, ``(B, *shape)``."""

    def __init__(
        self,
        env_id: str,
        n_envs: int,
        frame_skip: int = 1,
        discrete: bool = False,
        seed: int = 0,
        max_episode_steps: int | None = None,
    ) -> None:
        """Start ``n_envs`` environments on all cores.

        Args:
            env_id: id of the environment; ``pool_id`` returns that in EnvPool.
            n_envs: number of environments.
            frame_skip: environment frames per timestep.
            discrete: whether actions are indices of ``discrete_actions``.
            seed: environment i has seed ``seed + i``.
            max_episode_steps: timesteps after which an episode is truncated; None sets no limit of
                its own.

        Raises:
            ValueError: EnvPool cannot load the environment's library.
        """
        self.env_id, self.num_envs = env_id, n_envs
        self.options, self.frame_skip = self.skipped(frame_skip)
        self._limit = np.inf if max_episode_steps is None else max_episode_steps
        self._elapsed = np.zeros(n_envs, int)
        """Timesteps of the current episodes."""
        # None for ids that exist in EnvPool alone, which Gymnasium's registry does not have.
        self.spec = gym.registry.get(env_id)
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self._actions = self.discrete_actions if discrete else None
        self._start(seed)
        self.single_observation_space = self.observed_space()
        self.single_action_space = (
            self._pool.action_space
            if self._actions is None
            else spaces.Discrete(len(self._actions))
        )
        self.observation_space = batch_space(self.single_observation_space, n_envs)
        self.action_space = batch_space(self.single_action_space, n_envs)

    def skipped(self, frame_skip: int) -> tuple[Mapping[str, Any], int]:
        """Return the options of EnvPool for ``frame_skip``, and how often a step is repeated."""
        return self.options, frame_skip

    @staticmethod
    def pool_id(env_id: str) -> str:
        """Return EnvPool's name of the environment ``env_id``."""
        return env_id

    def observed_space(self) -> spaces.Space[Any]:
        """Return the space of one environment's observation after ``observe``."""
        space: spaces.Space[Any] = self._pool.observation_space
        return space

    def observe(self, observations: Any) -> Array:
        """Return the agents' observations ``(B, *shape)`` from those of EnvPool."""
        frames: Array = observations
        return frames

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start new episodes; environment i has seed ``seed + i``.

        ``options["reset_mask"]``, ``(B,)``, names the environments to reset; the others continue.
        """
        if options is not None and "reset_mask" in options:
            return self._reset_some(np.asarray(options["reset_mask"], bool)), {}
        # EnvPool takes a seed at construction only; the pool of the same seed that has not been
        # reset yet is as good as a new one.
        if seed is not None and (self._started or seed != self._seed):
            self._start(seed)
        self._started = True
        self._elapsed[:] = 0
        observations, _ = self._pool.reset()
        self._newest = self.observe(observations)
        return self._newest, {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Repeat ``actions`` for the frames of one timestep and sum the rewards."""
        actions = np.asarray(actions)
        if self._actions is not None:
            actions = self._actions[actions]
        raw, rewards, terminated, truncated, _ = self._pool.step(actions)
        observations = self.observe(raw)
        rewards = rewards.astype(np.float64)
        for _ in range(self.frame_skip - 1):
            running = np.flatnonzero(~(terminated | truncated)).astype(np.int32)
            if len(running) == 0:
                break
            raw, gained, *ends, _ = self._pool.step(actions[running], running)
            observations[running] = self.observe(raw)
            rewards[running] += gained
            terminated[running], truncated[running] = ends
        self._elapsed += 1
        truncated |= self._elapsed >= self._limit
        infos = self._autoreset(observations, terminated | truncated)
        self._newest = observations
        return observations, rewards, terminated, truncated, infos

    def close_extras(self, **kwargs: Any) -> None:
        """Stop EnvPool's threads."""
        self._pool.close()

    def _start(self, seed: int) -> None:
        import envpool

        self._seed, self._started = seed, False
        with warnings.catch_warnings():
            # EnvPool declares float64 bounds for float32 spaces; Gymnasium warns of the precision.
            warnings.simplefilter("ignore", UserWarning)
            try:
                self._pool = envpool.make(
                    self.pool_id(self.env_id),
                    env_type="gymnasium",
                    num_envs=self.num_envs,
                    seed=seed,
                    num_threads=min(self.num_envs, usable_cores()),
                    **self.options,
                )
            except ImportError as error:
                raise ValueError(f"EnvPool cannot start {self.env_id}: {error}") from error
            # Both spaces are built on first access, so the access belongs inside the filter.
            self._pool.observation_space, self._pool.action_space  # noqa: B018

    def _autoreset(self, observations: Array, done: Array) -> dict[str, Any]:
        if not done.any():
            return {}
        final = np.full(self.num_envs, None, dtype=object)
        for i in np.flatnonzero(done):
            final[i] = observations[i].copy()
        self._restart(observations, done)
        return {"final_obs": final, "_final_obs": done}

    def _reset_some(self, mask: Array) -> Array:
        self._newest = self._newest.copy()
        self._restart(self._newest, mask)
        return self._newest

    def _restart(self, observations: Array, mask: Array) -> None:
        """Start new episodes where ``mask`` holds, and write their first observations."""
        first, _ = self._pool.reset(np.flatnonzero(mask).astype(np.int32))
        observations[mask] = self.observe(first)
        self._elapsed[mask] = 0


def is_installed() -> bool:
    """Whether the package envpool can be imported."""
    return importlib.util.find_spec("envpool") is not None


def refuse_unknown(env_id: str) -> str | None:
    """Return the reason why EnvPool does not serve ``env_id``; None for an id of its own."""
    import envpool

    return None if env_id in envpool.list_all_envs() else "it has no environment of this id"
