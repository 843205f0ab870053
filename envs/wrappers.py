"""Single-environment wrappers that Gymnasium does not have."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, cast

import gymnasium as gym
import numpy as np

from latentrl.types import Array


class FrameSkip(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Repetition of each action for ``skip`` frames or until the episode ends."""

    def __init__(self, env: gym.Env[Any, Any], skip: int) -> None:
        """Wrap ``env``.

        Raises:
            ValueError: ``skip`` is less than 1.
        """
        # The recorded argument goes into the spec, from which gym.make repeats the wrapper.
        gym.utils.RecordConstructorArgs.__init__(self, skip=skip)
        super().__init__(env)
        if skip < 1:
            raise ValueError(f"the frame skip must be at least 1 frame, got {skip}")
        self.skip = skip

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step ``skip`` times, and return the last observation and the sum of rewards."""
        total = 0.0
        for _ in range(self.skip):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


class PickObservation(gym.ObservationWrapper[Any, Any, Any], gym.utils.RecordConstructorArgs):
    """One observation of a Dict space, without the others."""

    def __init__(self, env: gym.Env[Any, Any], key: str) -> None:
        """Wrap ``env``.

        Raises:
            ValueError: its observations are no Dict or have no such key.
        """
        gym.utils.RecordConstructorArgs.__init__(self, key=key)
        super().__init__(env)
        space = env.observation_space
        if not isinstance(space, gym.spaces.Dict) or key not in space.spaces:
            keys = ", ".join(space.spaces) if isinstance(space, gym.spaces.Dict) else "no keys"
            raise ValueError(f"no observation {key!r}; the environment has {keys}")
        self.key, self.observation_space = key, space[key]

    def observation(self, observation: Any) -> Any:
        """Return the observation under the key."""
        return observation[self.key]


class ChannelsLast(gym.ObservationWrapper[Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Images ``(H, W, C)`` of an environment that returns ``(C, H, W)``."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        """Wrap ``env``, whose observations are a Box ``(C, H, W)``."""
        gym.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        space = cast("gym.spaces.Box", env.observation_space)
        low, high = np.moveaxis(space.low, 0, -1), np.moveaxis(space.high, 0, -1)
        self.observation_space = gym.spaces.Box(low, high, dtype=space.dtype.type)

    def observation(self, observation: Any) -> Array:
        """Return the observation with its channels last."""
        return np.moveaxis(np.asarray(observation), 0, -1)


class EpisodeSeeds(gym.Wrapper[Any, Any, Any, Any]):
    """Episodes with the seeds of a list, in order and again from its start."""

    def __init__(self, env: gym.Env[Any, Any], seeds: Sequence[int]) -> None:
        """Wrap ``env`` with the ``seeds`` of its episodes, at least one."""
        super().__init__(env)
        self.seeds = list(seeds)
        self.episode = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset with the next seed of the list in place of ``seed``."""
        chosen = self.seeds[self.episode % len(self.seeds)]
        self.episode += 1
        return self.env.reset(seed=chosen, options=options)


class KnownFactors(gym.Wrapper[Any, Any, Any, Any]):
    """Adds ``info["factors"]``, which a subclass reads from the simulator's state.

    ``metadata["factors"]`` has their names.
    """

    def __init__(self, env: gym.Env[Any, Any], names: Sequence[str]) -> None:
        """Wrap ``env``; ``names`` are those of its factors, in order."""
        super().__init__(env)
        self.metadata = {**env.metadata, "factors": tuple(names)}

    @abstractmethod
    def factors(self) -> Array:
        """Return the values of the factors, ``(F,)``; NaN is unknown."""

    def begin(self) -> None:
        """Find what stays the same in an episode, once it has been reset."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset the environment."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.begin()
        return observation, {**info, "factors": self.factors()}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, {**info, "factors": self.factors()}
