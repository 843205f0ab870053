"""Codes in place of observations for an SB3 ``VecEnv``, and Gymnasium vectors as a ``VecEnv``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from latentrl.types import Array, Encoder, Novelty
from latentrl.wrappers.encode import LatentTransform
from latentrl.wrappers.intrinsic import IntrinsicRewards
from latentrl.wrappers.vector import final_indices

__all__ = ["GymnasiumVecEnv", "LatentVecEnv", "VecEnv"]

Indices = None | int | Iterable[int]

CLOSE_TIMEOUT = 5.0
"""Seconds that ``close`` waits for workers; after an interrupt some answers may have been read
already."""


class LatentVecEnv(VecEnvWrapper):
    """Replaces observations, and ``infos[i]["terminal_observation"]``, by their codes in one batch
    a step.

    A novelty's bonus is added to the rewards; the task's own reward stays in
    ``infos[i]["extrinsic_reward"]``.
    """

    def __init__(
        self,
        venv: VecEnv,
        encoder: Encoder | str | Path,
        key: str | None = None,
        novelty: Novelty | None = None,
    ) -> None:
        """Arguments and errors as in ``wrap``."""
        self.transform = LatentTransform(encoder, venv.observation_space, key)
        self.payment = None if novelty is None else IntrinsicRewards(novelty, venv.num_envs)
        super().__init__(venv, observation_space=self.transform.space)

    def reset(self) -> Any:
        """Reset, and encode the first observations."""
        codes = self.transform.batch(self.venv.reset())[0]
        if self.payment is not None:
            self.payment.begin(self.transform, np.ones(self.num_envs, bool))
        return codes

    def step_async(self, actions: Array) -> None:
        """Pass the actions on, to the novelty too."""
        if self.payment is not None:
            self.payment.act(actions)
        self.venv.step_async(actions)

    def step_wait(self) -> Any:
        """Finish the step, and encode every observation together with the terminal ones."""
        observations, rewards, dones, infos = self.venv.step_wait()
        ended = [infos[i] for i in np.flatnonzero(dones)]
        codes, finals = self.transform.batch(
            observations, [info["terminal_observation"] for info in ended]
        )
        for info, final in zip(ended, finals, strict=True):
            info["terminal_observation"] = final
        if self.payment is not None:
            rewards = self._pay(self.payment, rewards, dones, infos)
        return codes, rewards, dones, infos

    def _pay(
        self, payment: IntrinsicRewards, rewards: Array, dones: Array, infos: list[dict[str, Any]]
    ) -> Array:
        bonus = payment.pay(self.transform, np.flatnonzero(dones), np.ones(self.num_envs, bool))
        payment.begin(self.transform, dones)
        for info, reward, paid in zip(infos, rewards, bonus, strict=True):
            info["extrinsic_reward"], info["intrinsic_reward"] = float(reward), float(paid)
        return (rewards + bonus).astype(np.float32)


class GymnasiumVecEnv(VecEnv):
    """A Gymnasium ``VectorEnv`` as the ``VecEnv`` that SB3's algorithms take.

    Any SAME_STEP environment will do; ``SyncVectorEnv`` and ``AsyncVectorEnv`` in every autoreset
    mode, since they can reset just those that ended.
    """

    def __init__(self, envs: VectorEnv[Any, Any, Any]) -> None:
        """Adapt ``envs``.

        Raises:
            ValueError: its autoreset mode would lose the first step of each episode.
        """
        self.envs = envs
        self.same_step = envs.metadata.get("autoreset_mode") == AutoresetMode.SAME_STEP
        if not self.same_step and not isinstance(envs.unwrapped, SyncVectorEnv | AsyncVectorEnv):
            raise ValueError(
                f"{type(envs.unwrapped).__name__} resets in the step after an episode, which SB3 cannot use; "
                "make it with autoreset_mode=AutoresetMode.SAME_STEP"
            )
        self._seed: int | None = None
        self._actions: Any = None
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the next ``reset``: environment i takes ``seed + i``."""
        self._seed = seed
        return [None if seed is None else seed + i for i in range(self.num_envs)]

    def reset(self) -> Any:
        """Begin new episodes everywhere."""
        observations, infos = self.envs.reset(seed=self._seed)
        self._seed = None
        self.reset_infos = self._unbatch(infos)
        return observations

    def step_async(self, actions: Array) -> None:
        """Keep the actions for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Step, reset what ended, and put the last observations into the infos."""
        observations, rewards, terminated, truncated, batched = self.envs.step(self._actions)
        dones = terminated | truncated
        infos = self._unbatch(batched)
        if dones.any():
            finals = self._finals(observations, batched, dones)
            for i in map(int, np.flatnonzero(dones)):
                infos[i] |= {
                    "terminal_observation": finals[i],
                    "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
                }
            if not self.same_step:
                observations, _ = self.envs.reset(options={"reset_mask": dones})
        return observations, np.array(rewards, np.float32), dones, infos

    def _finals(self, observations: Any, infos: dict[str, Any], dones: Array) -> dict[int, Any]:
        if self.same_step:
            return {int(i): infos["final_obs"][i] for i in final_indices(infos, dones)}
        return {i: _row(observations, i) for i in map(int, np.flatnonzero(dones))}

    def _unbatch(self, infos: dict[str, Any]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        final = infos.get("final_info", {})
        for source in (infos, final if isinstance(final, dict) else {}):
            for key, values in source.items():
                mask = source.get(f"_{key}")
                if mask is None or key in ("final_obs", "final_info") or isinstance(values, dict):
                    continue
                for i in np.flatnonzero(mask):
                    rows[i][key] = values[i]
        return rows

    def close(self) -> None:
        """Close the environments."""
        if isinstance(self.envs.unwrapped, AsyncVectorEnv):
            self.envs.close(timeout=CLOSE_TIMEOUT)
        else:
            self.envs.close()

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """Return an attribute of the environments, or of the vector where they are not Python
        objects.
        """
        if isinstance(self.envs.unwrapped, SyncVectorEnv | AsyncVectorEnv):
            values = self.envs.unwrapped.get_attr(attr_name)
            return [values[i] for i in self._get_indices(indices)]
        return [getattr(self.envs, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Set an attribute of the environments."""
        chosen = set(self._get_indices(indices))
        values = (
            [None] * self.num_envs if len(chosen) == self.num_envs else self.get_attr(attr_name)
        )
        values = [value if i in chosen else old for i, old in enumerate(values)]
        self.envs.unwrapped.set_attr(attr_name, values)  # type: ignore[attr-defined]

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of every environment; ``TypeError`` where they are not Python objects."""
        if not isinstance(self.envs.unwrapped, SyncVectorEnv | AsyncVectorEnv):
            raise TypeError(
                f"the environments of {type(self.envs.unwrapped).__name__} have no Python methods"
            )
        values = self.envs.unwrapped.call(method_name, *method_args, **method_kwargs)
        return [values[i] for i in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Indices = None
    ) -> list[bool]:
        """Tell for each environment whether it has such a wrapper; False where that cannot be
        seen.
        """
        if not isinstance(self.envs.unwrapped, SyncVectorEnv):
            return [False for _ in self._get_indices(indices)]
        return [
            _has_wrapper(self.envs.unwrapped.envs[i], wrapper_class)
            for i in self._get_indices(indices)
        ]

    def get_images(self) -> Sequence[Array | None]:
        """Return the rendered frames."""
        return self.envs.render() or [None] * self.num_envs  # type: ignore[return-value]


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
