"""collect(): frames of an environment, into a store on disk."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from latentrl.data.frames import Frames
from latentrl.data.store import FrameWriter, check_same
from latentrl.types import Array, describe_space
from latentrl.utils.progress import progress_bar
from latentrl.utils.registry import Registry
from latentrl.utils.workers import in_workers

EnvironmentLike = str | Callable[[], gym.Env[Any, Any]] | VectorEnv[Any, Any, Any]


class Policy(Protocol):
    """Chooses the actions of all environments at once."""

    def __call__(self, observations: Any) -> Array:
        """Return actions ``(n_envs, *action_shape)`` for the batched ``observations``."""


EXPLORERS: Registry[Policy] = Registry("policy")


@EXPLORERS.register("random")
class RandomPolicy:
    """Independent uniform actions."""

    def __init__(self, action_space: spaces.Space[Any], seed: int) -> None:
        """Seed the batched ``action_space``."""
        self.action_space = action_space
        self.action_space.seed(seed)

    def __call__(self, observations: Any) -> Array:
        """Return a sample, whatever the observations."""
        return np.asarray(self.action_space.sample())


@EXPLORERS.register("brownian")
class BrownianPolicy:
    """Correlated actions, which reach further than independent ones.

    Box actions do a random walk of ``stride`` times their half range a step, reflected at the
    bounds (World Models, Ha & Schmidhuber 2018, arXiv:1803.10122, explores with random actions; its
    best known reimplementations correlate them). Other actions are kept for ``1 / renewal`` steps
    on average.
    """

    def __init__(
        self,
        action_space: spaces.Space[Any],
        seed: int,
        stride: float = 0.25,
        renewal: float = 0.25,
    ) -> None:
        """Seed the batched ``action_space`` and draw the first actions; ``ValueError`` for
        unbounded ones.
        """
        if isinstance(action_space, spaces.Box) and not action_space.is_bounded():
            raise ValueError(
                "policy 'brownian' walks between bounds, and these actions have none; use 'random'"
            )
        self.action_space, self.stride, self.renewal = action_space, stride, renewal
        self.action_space.seed(seed)
        self._rng = np.random.default_rng(seed)
        self._actions = np.asarray(action_space.sample())
        self._position = self._actions.astype(np.float64)

    def __call__(self, observations: Any) -> Array:
        """Return the next actions, whatever the observations."""
        if isinstance(self.action_space, spaces.Box):
            self._actions = self._walk(self.action_space)
        else:
            renew = self._rng.random(len(self._actions)) < self.renewal
            renew = renew.reshape(-1, *[1] * (self._actions.ndim - 1))
            self._actions = np.where(renew, np.asarray(self.action_space.sample()), self._actions)
        return self._actions

    def _walk(self, box: spaces.Box) -> Array:
        low, high = box.low.astype(np.float64), box.high.astype(np.float64)
        step = self.stride * (high - low) / 2 * self._rng.standard_normal(low.shape)
        moved = np.abs(self._position + step - low)
        self._position = np.clip(high - np.abs(high - low - moved), low, high)
        whole = np.issubdtype(box.dtype, np.integer)
        actions: Array = (self._position.round() if whole else self._position).astype(box.dtype)
        return actions


def collect(
    env: EnvironmentLike,
    frames: int,
    path: str | Path,
    *,
    policy: str | Policy = "brownian",
    seed: int = 0,
    n_envs: int | None = None,
    key: str | None = None,
    progress: bool = True,
) -> Frames:
    """Step an environment until the store at ``path`` holds ``frames`` observations.

    A store that holds fewer is added to, so that an interrupted call is continued by repeating it;
    of one that holds more, the first ``frames`` are returned.

    Args:
        env: a Gymnasium id, a function that makes an environment, or a vector environment of any
            autoreset mode (which stays open).
        frames: observations wanted, one per environment step.
        path: folder of the store.
        policy: ``"brownian"``, ``"random"``, or a function from batched observations to actions.
        seed: seed of environments and policy.
        n_envs: environments to step at once, where this function makes them; None uses every core.
        key: which observation of a Dict space to keep.
        progress: whether to show a progress bar.

    Raises:
        ValueError: ``frames`` is not positive, or the store there is of something else.
        TypeError: the observations are not a Box.
    """
    if frames < 1:
        raise ValueError(f"frames is a number of observations, at least 1; got {frames}")
    path = Path(path)
    envs = env if isinstance(env, VectorEnv) else _make_vector(env, n_envs or os.cpu_count() or 1)
    try:
        space = _frame_space(envs.single_observation_space, key)
        check_same(path, space, envs.single_action_space, describe_environment(envs))
        existing = len(Frames.open(path)) if (path / "manifest.json").exists() else 0
        if existing < frames:
            _Collection(envs, space, path, policy, seed, existing, key).run(frames, progress)
    finally:
        if envs is not env:
            envs.close()
    return Frames.open(path).subset(np.arange(frames))


def _make_vector(
    env: str | Callable[[], gym.Env[Any, Any]], n_envs: int
) -> VectorEnv[Any, Any, Any]:
    factory = functools.partial(gym.make, env) if isinstance(env, str) else env
    envs: VectorEnv[Any, Any, Any] = (
        SyncVectorEnv([factory]) if n_envs == 1 else in_workers([factory] * n_envs)
    )
    # Neither kind knows what it is a vector of, and the store must, whatever the number.
    probe = factory()
    described = {"id": _name(probe), **envs.metadata.get("environment", {})}
    probe.close()
    envs.metadata = {**envs.metadata, "environment": described}
    return envs


class _Collection:
    """One run of ``collect``: the vector environment, the policy and the shard that it fills."""

    def __init__(
        self,
        envs: VectorEnv[Any, Any, Any],
        space: spaces.Box,
        path: Path,
        policy: str | Policy,
        seed: int,
        existing: int,
        key: str | None,
    ) -> None:
        self.envs, self.key, self.stored, self.path = envs, key, existing, path
        self.mode = envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self.space = space
        self.seed = int(np.random.SeedSequence([seed, existing]).generate_state(1)[0] >> 1)
        self.origin = {
            "policy": policy if isinstance(policy, str) else type(policy).__name__,
            "seed": self.seed,
        }
        self.policy = policy
        if isinstance(policy, str):
            self.policy = EXPLORERS.build(
                {"name": policy}, action_space=envs.action_space, seed=self.seed
            )
        self.episodes = np.arange(envs.num_envs)
        self.next_episode = envs.num_envs

    def run(self, frames: int, progress: bool) -> None:
        environment = describe_environment(self.envs)
        action_space = self.envs.single_action_space
        bar = progress_bar(frames, self.stored, "collecting", "frame", progress)
        with (
            bar,
            FrameWriter(self.path, self.space, action_space, environment, **self.origin) as writer,
        ):
            observations, _ = self.envs.reset(seed=self.seed)
            resetting = np.zeros(self.envs.num_envs, bool)
            while self.stored < frames:
                before = self.stored
                observations, resetting = self._step(
                    writer, observations, resetting, frames - before
                )
                bar.update(self.stored - before)

    def _step(
        self, writer: FrameWriter, observations: Any, resetting: Array, room: int
    ) -> tuple[Any, Array]:
        actions = self.policy(observations)  # type: ignore[operator]
        following, rewards, terminated, truncated, _ = self.envs.step(actions)
        kept = np.flatnonzero(~resetting)[:room]
        writer.append(
            (observations if self.key is None else observations[self.key])[kept],
            action=actions[kept],
            reward=rewards[kept],
            terminated=terminated[kept],
            truncated=truncated[kept],
            env=kept,
            episode=self.episodes[kept],
        )
        self.stored += len(kept)
        return self._begin_episodes(following, terminated | truncated)

    def _begin_episodes(self, observations: Any, done: Array) -> tuple[Any, Array]:
        if done.any():
            self.episodes[done] = self.next_episode + np.arange(done.sum())
            self.next_episode += int(done.sum())
            if self.mode == AutoresetMode.DISABLED:
                observations, _ = self.envs.reset(options={"reset_mask": done})
        return observations, done if self.mode == AutoresetMode.NEXT_STEP else np.zeros_like(done)


def describe_environment(envs: VectorEnv[Any, Any, Any]) -> dict[str, Any]:
    """Return what a manifest says of an environment.

    That is ``envs.metadata["environment"]``, where whoever made it described it there, or its id.
    """
    described: dict[str, Any] = envs.metadata.get("environment", {"id": _name(envs)})
    return described


def _name(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> str:
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def _frame_space(space: spaces.Space[Any], key: str | None) -> spaces.Box:
    if isinstance(space, spaces.Dict):
        if key not in space.spaces:
            raise ValueError(
                f"observations are a Dict of {', '.join(space.spaces)}; set key to one of them, not {key!r}"
            )
        space = space[key]
    elif key is not None:
        raise ValueError(f"key={key!r} is for Dict observations; these are {describe_space(space)}")
    if not isinstance(space, spaces.Box):
        raise TypeError(
            f"expected Box observations, got {describe_space(space)}; learn from rendered pictures instead"
        )
    return space
