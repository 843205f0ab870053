"""A Gymnasium ``VectorEnv`` as a Stable-Baselines3 ``VecEnv``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from stable_baselines3.common.vec_env import VecEnv

from latentrl.data.contract import check_rewards
from latentrl.data.environment import check_inside
from latentrl.data.infos import info_row
from latentrl.types import Array
from latentrl.utils.pipes import CLOSE_TIMEOUT, stop_workers
from latentrl.wrappers.vector import final_indices

__all__ = ["CLOSE_TIMEOUT", "GymnasiumVecEnv"]

Indices = None | int | Iterable[int]


class GymnasiumVecEnv(VecEnv):
    """A Gymnasium ``VectorEnv`` as the ``VecEnv`` that SB3's algorithms take.

    Its autoreset mode must be SAME_STEP; ``SyncVectorEnv`` and ``AsyncVectorEnv`` may have any
    mode, because they can reset the environments that ended and no others.

    ``info["episode"]`` belongs to SB3, which reads the return and length of an episode there.
    Another value of an environment, or one before the end, becomes ``info["env_episode"]``.
    """

    def __init__(self, envs: VectorEnv[Any, Any, Any]) -> None:
        """Adapt ``envs``.

        Raises:
            ValueError: in its autoreset mode the first step of each episode would be lost.
        """
        self.envs = envs
        self.same_step = envs.metadata.get("autoreset_mode") == AutoresetMode.SAME_STEP
        if not self.same_step and not isinstance(envs.unwrapped, SyncVectorEnv | AsyncVectorEnv):
            raise ValueError(
                f"{type(envs.unwrapped).__name__} resets in the step after an episode, which SB3 "
                "cannot use; make it with autoreset_mode=AutoresetMode.SAME_STEP"
            )
        check_inside(envs)
        self._steps = 0
        self._seed: int | None = None
        self._actions: Any = None
        actions, self._first_action = counted_from_zero(envs.single_action_space)
        super().__init__(envs.num_envs, envs.single_observation_space, actions)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the next ``reset``: environment i gets ``seed + i``."""
        self._seed = seed
        return [None if seed is None else seed + i for i in range(self.num_envs)]

    def reset(self) -> Any:
        """Reset all environments."""
        observations, infos = self.envs.reset(seed=self._seed)
        self._seed = None
        self.reset_infos = self._unbatch(infos)
        return observations

    def step_async(self, actions: Array) -> None:
        """Keep the actions for ``step_wait``."""
        self._actions = actions if self._first_action is None else actions + self._first_action

    def step_wait(self) -> Any:
        """Step, reset what ended, and put the terminal observations into the infos.

        Raises:
            ValueError: a reward is not finite, or ``info["is_success"]`` is no number at the end of
                an episode.
        """
        observations, rewards, terminated, truncated, batched = self.envs.step(self._actions)
        self._steps += 1
        rewards = np.array(rewards, np.float32)
        check_rewards(rewards, f"at step {self._steps}")
        dones = terminated | truncated
        infos = self._unbatch(batched)
        if dones.any():
            finals = self._finals(observations, batched, dones)
            if self.same_step:
                # The infos are those of the resets, beside which the step's own are, and of vector
                # wrappers, such as the return of the episode.
                of_reset, of_step = infos, self._unbatch(batched.get("final_info", {}))
            else:
                observations, started = self.envs.reset(options={"reset_mask": dones})
                of_reset, of_step = self._unbatch(started), infos
            for i in map(int, np.flatnonzero(dones)):
                self.reset_infos[i] = {**of_reset[i]}
                infos[i] = {**infos[i], **of_step[i]}
                infos[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
                if i in finals:
                    infos[i]["terminal_observation"] = finals[i]
                _check_success(infos[i])
        for info, done in zip(infos, dones, strict=True):
            # SB3 counts what any step has there.
            if "episode" in info and not (done and _is_monitored(info["episode"])):
                info["env_episode"] = info.pop("episode")
        return observations, rewards, dones, infos

    def _finals(self, observations: Any, infos: dict[str, Any], dones: Array) -> dict[int, Any]:
        if self.same_step:
            return {int(i): infos["final_obs"][i] for i in final_indices(infos, dones)}
        return {i: _row(observations, i) for i in map(int, np.flatnonzero(dones))}

    def _unbatch(self, infos: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for key, values in infos.items() if isinstance(infos, dict) else ():
            mask = infos.get(f"_{key}")
            if mask is None or key in ("final_obs", "final_info"):
                continue
            for i in map(int, np.flatnonzero(mask)):
                rows[i][key] = info_row(values, i)
        return rows

    def close(self) -> None:
        """Close the environments; workers that do not answer are killed."""
        bare = self.envs.unwrapped
        if not isinstance(bare, AsyncVectorEnv):
            self.envs.close()
            return
        try:
            self.envs.close(timeout=CLOSE_TIMEOUT)
        except (EOFError, OSError):  # of workers that have ended
            stop_workers(bare.processes, bare.parent_pipes, CLOSE_TIMEOUT)

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """Return an attribute of each environment, or of the vector if they are native code."""
        if isinstance(self.envs.unwrapped, SyncVectorEnv | AsyncVectorEnv):
            values = self.envs.unwrapped.get_attr(attr_name)
            return [values[i] for i in self._get_indices(indices)]
        return [getattr(self.envs, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Set an attribute of each environment."""
        chosen = set(self._get_indices(indices))
        values = (
            [None] * self.num_envs if len(chosen) == self.num_envs else self.get_attr(attr_name)
        )
        values = [value if i in chosen else old for i, old in enumerate(values)]
        self.envs.unwrapped.set_attr(attr_name, values)  # type: ignore[attr-defined]

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of each environment; ``TypeError`` if they are native code."""
        if not isinstance(self.envs.unwrapped, SyncVectorEnv | AsyncVectorEnv):
            raise TypeError(
                f"the environments of {type(self.envs.unwrapped).__name__} have no Python methods"
            )
        values = self.envs.unwrapped.call(method_name, *method_args, **method_kwargs)
        return [values[i] for i in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Indices = None
    ) -> list[bool]:
        """Return for each environment whether it has such a wrapper; False in other processes."""
        if not isinstance(self.envs.unwrapped, SyncVectorEnv):
            return [False for _ in self._get_indices(indices)]
        return [
            _has_wrapper(self.envs.unwrapped.envs[i], wrapper_class)
            for i in self._get_indices(indices)
        ]

    def get_images(self) -> Sequence[Array | None]:
        """Return the rendered frames, None for those of environments that render nothing."""
        try:
            images: Any = self.envs.render()
        except NotImplementedError:  # of gymnasium.Env, which has no render of its own
            images = None
        return images or [None] * self.num_envs


def _check_success(info: dict[str, Any]) -> None:
    success = info.get("is_success")
    if success is not None and np.asarray(success).dtype.kind not in "biuf":
        raise ValueError(
            f'info["is_success"] is True or False at the end of an episode, got {success!r}'
        )


def _is_monitored(value: Any) -> bool:
    """Whether an ``info["episode"]`` has the return and length that SB3 reads from it."""
    return isinstance(value, dict) and {"r", "l"} <= value.keys()


def counted_from_zero(space: spaces.Space[Any]) -> tuple[spaces.Space[Any], Any]:
    """Return discrete actions counted from 0, as SB3 counts them, and the first action.

    The first action is None where that is how ``space`` counts them already.
    """
    if isinstance(space, spaces.Discrete) and space.start != 0:
        return spaces.Discrete(space.n), space.start
    if isinstance(space, spaces.MultiDiscrete) and space.start.any():
        return spaces.MultiDiscrete(space.nvec), space.start
    return space, None


def _row(observations: Any, i: int) -> Any:
    if isinstance(observations, dict):
        return {key: value[i].copy() for key, value in observations.items()}
    return observations[i].copy()


def _has_wrapper(env: gym.Env[Any, Any], wrapper_class: type[Any]) -> bool:
    while isinstance(env, gym.Wrapper):
        if isinstance(env, wrapper_class):
            return True
        env = env.env
    return False
