"""An environment whose steps and resets are checked where it returns them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import MethodType
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv

from latentrl.data.contract import LARGEST_REWARD, ObservationCheck, check_rewards
from latentrl.data.infos import keep_any_infos
from latentrl.utils.environments import name_of, raised

NUMBERS = (int, float, np.number)
ENDS = (bool, np.bool_, int)
OLD_API = (
    "which is the interface of gym before 0.26: make it through Shimmy, "
    'gymnasium.make("GymV21Environment-v0", env=env), or return what gymnasium.Env describes'
)


def checked(env: gym.Env[Any, Any], index: int = 0) -> gym.Env[Any, Any]:
    """Check each step and reset of ``env`` from now on, and copy last observations of episodes.

    Vector environments cast observations to the declared dtype, and keep the last observation of
    an episode while the environment draws the first one of the next: here neither has happened.

    Args:
        env: the environment, which is changed in place.
        index: number of the environment, for error messages.

    Returns:
        ``env``.

    Raises:
        TypeError: it is no ``gymnasium.Env``.
    """
    if not isinstance(env, gym.Env):
        raise TypeError(
            f"expected a gymnasium.Env, got {type(env).__module__}.{type(env).__name__}; make "
            'environments of the package gym through Shimmy, gymnasium.make("GymV21Environment-v0",'
            " env=env)"
        )
    if not isinstance(getattr(env.step, "__self__", None), CheckedSteps):
        # Methods of the object, and not a wrapper: attributes of the environment stay where they
        # are for vector environments that set them, and its spec stays as it is.
        steps = CheckedSteps(env, index)
        env.step, env.reset = steps.step, steps.reset  # type: ignore[method-assign]
    return env


def checked_maker(maker: Callable[[], gym.Env[Any, Any]], index: int) -> gym.Env[Any, Any]:
    """Return what ``maker`` makes, checked; ``functools.partial`` makes a maker of it."""
    return checked(maker(), index)


def check_inside(host: Any) -> None:
    """Check each environment that ``host``, a vector environment, steps in this process.

    Infos of all environments may hold values of any shape.
    """
    vector = getattr(host, "unwrapped", host)
    if isinstance(vector, VectorEnv):
        keep_any_infos(vector)
    envs = getattr(vector, "envs", ())
    if isinstance(envs, VectorEnv):
        check_inside(envs)
    elif isinstance(envs, list | tuple):
        for i, env in enumerate(envs):
            if isinstance(env, gym.Env):
                checked(env, i)


class StepError(gym.error.Error):
    """The code of an environment raised in ``step`` or ``reset``; the message says where."""


class CheckedSteps:
    """``step`` and ``reset`` of one environment, with checks of what they return."""

    def __init__(self, env: gym.Env[Any, Any], index: int) -> None:
        """Check ``env``, number ``index`` of its vector environment."""
        self._step: MethodType | Callable[..., Any] = env.step
        self._reset: MethodType | Callable[..., Any] = env.reset
        self.index, self.steps = index, 0
        self.where = f"the environment {name_of(env)}"
        space = env.observation_space
        self.keys = space.spaces.keys() if isinstance(space, spaces.Dict) else None
        parts = space.spaces if isinstance(space, spaces.Dict) else {"": space}
        self.checks = {
            key: ObservationCheck(part, f"{self.where}{key and f', key {key!r},'}")
            for key, part in parts.items()
            if isinstance(part, spaces.Box)
        }

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        """Reset, and check the first observation.

        Raises:
            ValueError: the observation does not belong to its space, or there is no info.
            StepError: the environment raised.
        """
        try:
            result = self._reset(**arguments)
        except gym.error.Error:
            raise
        except Exception as error:
            if isinstance(error, TypeError) and "unexpected keyword argument" in str(error):
                fault = (
                    "takes no options: add options=None to its arguments, as gymnasium.Env has"
                    if "'options'" in str(error)
                    else f"takes no seed or options, {OLD_API}"
                )
                raise ValueError(f"reset of {self.where} {fault}") from error
            raise self._failure(error) from error
        if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)):
            raise ValueError(f"reset of {self.where} returned no (observation, info), {OLD_API}")
        return self._checked(result[0]), result[1]

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and check observation and reward.

        Raises:
            ValueError: the observation does not belong to its space, the reward is not finite, an
                end is no bool, or there are not five values, of which the last is a dict.
            StepError: the environment raised.
        """
        try:
            result = self._step(action)
        except gym.error.Error:
            raise
        except Exception as error:
            raise self._failure(error) from error
        if not isinstance(result, tuple | list) or len(result) != 5:
            values = f"{len(result)} values" if isinstance(result, tuple | list) else f"{result!r}"
            raise ValueError(f"step of {self.where} returned {values}, {OLD_API}")
        observation, reward, terminated, truncated, info = result
        if not isinstance(info, dict):
            raise ValueError(f"step of {self.where} returned the info {info!r}: return a dict")
        terminated, truncated = self._end(terminated), self._end(truncated)
        self.steps += 1
        if not (isinstance(reward, NUMBERS) and abs(reward) <= LARGEST_REWARD):
            reward = self._number(reward)
        observation = self._checked(observation)
        if terminated or truncated:
            # The reset that follows may draw into the same array.
            observation = copy.deepcopy(observation)
        return observation, reward, terminated, truncated, info

    def _failure(self, error: Exception) -> Exception:
        """Return what to raise for an error of the environment's own code."""
        kind = ValueError if isinstance(error, ValueError) else StepError
        return kind(f"{self.where} raised {raised(error)}")

    def _number(self, reward: Any) -> float:
        """Check a reward that is no finite number of Python or NumPy, and return it as one."""
        values = np.asarray(reward)
        check_rewards(values, f"at step {self.steps}", self.index)
        if values.size != 1:
            raise ValueError(
                f"a reward is a number, environment {self.index} returned {reward}: return one"
            )
        return float(values.item())

    def _end(self, value: Any) -> Any:
        """Check whether an episode ends, and return it without axes."""
        if isinstance(value, ENDS):
            return value
        if np.size(value) != 1 or np.asarray(value).dtype.kind not in "biuf":
            raise ValueError(
                f"step of {self.where} returned {value!r} for the end of an episode: return a bool "
                "for terminated and one for truncated"
            )
        return bool(np.asarray(value).item())

    def _checked(self, observation: Any) -> Any:
        if self.keys is None:
            return self._part("", observation)
        if not isinstance(observation, dict) or self.keys - observation.keys():
            found = ", ".join(observation) if isinstance(observation, dict) else "no Dict"
            raise ValueError(
                f"{self.where} returned {found}, its space declares a Dict of "
                f"{', '.join(self.keys)}: return a value for each key"
            )
        return {key: self._part(key, value) for key, value in observation.items()}

    def _part(self, key: str, value: Any) -> Any:
        if key not in self.checks:
            return value
        return self.checks[key](np.asarray(value)[None])[0]
