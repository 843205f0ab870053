"""collect(): frames of an environment, written to a store on disk."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import FilterObservation
from tqdm import tqdm

from latentrl.data.channels_first import is_surely_channels_first, refuse_channels_first
from latentrl.data.contract import FinalCheck, ObservationCheck, check_rewards
from latentrl.data.distinct import Progress
from latentrl.data.environment import check_inside, checked_maker
from latentrl.data.factors import declared_factors, read_factors
from latentrl.data.frames import Frames
from latentrl.data.policies import EXPLORERS, Policy, checked_actions
from latentrl.data.resize import FrameResize, StorePreprocessing
from latentrl.data.reuse import (
    check_drawing,
    check_origin,
    origin_of,
    progress_of,
    show_reused,
    warn_if_unnamed,
)
from latentrl.data.store import FrameWriter, check_same, has_store
from latentrl.types import Array, describe_space
from latentrl.utils.environments import described, described_vector
from latentrl.utils.progress import progress_bar
from latentrl.utils.workers import in_workers

EnvironmentLike = str | Callable[[], gym.Env[Any, Any]] | VectorEnv[Any, Any, Any]

WITHOUT_FACTORS = (
    "these frames have no known factors, because the store was started without them; delete it to "
    "collect frames with factors"
)


def collect(
    env: EnvironmentLike,
    frames: int,
    path: str | Path,
    *,
    policy: str | Policy = "brownian",
    most: int | None = None,
    seed: int = 0,
    n_envs: int | None = None,
    key: str | None = None,
    preprocessing: StorePreprocessing | None = None,
    progress: bool = True,
) -> Frames:
    """Step an environment until the store at ``path`` holds ``frames`` observations.

    A store that holds fewer is extended, so that repeating an interrupted call resumes it. Of a
    store that holds more, the first ``frames`` are returned. Frames that are reused, and with
    ``most`` those that are distinct, are counted on stderr if ``progress``. Numbers in
    ``info["factors"]`` that ``metadata["factors"]`` of the environment names are stored, too.

    Args:
        env: a Gymnasium id, a function that makes an environment, or a vector environment of any
            autoreset mode, which stays open.
        frames: number of observations: one per step, and the terminal observation of each episode.
        path: folder of the store.
        policy: ``"brownian"``, ``"random"``, or a function from batched observations to actions. A
            store keeps the name of a function and a hash of its code.
        most: collect until ``frames`` of them are distinct, and no more than ``most``; None counts
            equal observations, too.
        seed: seed of the environments and of the policy.
        n_envs: number of environments, if this function makes them; None is one per core.
        key: key of the observation to keep, for Dict observations.
        preprocessing: store images cropped and resized by this ``Preprocessing``, if that makes
            them smaller. Build the model with the same one, for ``frames.observation_space``.
        progress: whether to show a progress bar.

    Warns:
        UserWarning: the environment draws another first frame than the store has, or the policy
            has no name of its own, as a lambda, so that it cannot be compared with the store's, or
            has other code.

    Raises:
        ValueError: a number is out of range, ``policy`` is unknown, an observation or an action of
            the policy does not belong to its space, a reward is not finite, the actions are not one
            array, images are channels-first, or the store there is damaged, of another environment,
            policy, seed or key, or of an older format.
        TypeError: the observations are not a Box, ``env`` is one environment, or another argument
            is of another type.
        WorkerError: a worker process died or did not answer.
    """
    _check_call(env, frames, path, policy, most, seed, n_envs)
    path, seed = Path(path), int(seed)
    envs = env
    if not isinstance(envs, VectorEnv):
        # A function may act on any key; the others need not reach this process.
        kept = key if isinstance(policy, str) else None
        envs = _make_vector(envs, n_envs or os.cpu_count() or 1, kept)
    check_inside(envs)
    try:
        space = _frame_space(envs.single_observation_space, key)
        if is_surely_channels_first(space.shape) and not has_store(path):
            refuse_channels_first(space.shape)
        _check_actions(envs.single_action_space)
        environment = described_vector(envs)
        resize = None if preprocessing is None else preprocessing.stored(space)
        stored = space if resize is None else resize.space
        if resize is not None:
            environment = {**environment, "stored": resize.to_json()}
        check_same(path, stored, envs.single_action_space, environment)
        origin = origin_of(envs, policy, seed, key)
        if has_store(path):
            check_origin(path, origin)
            warn_if_unnamed(path, policy)
        done = progress_of(path, frames, most)
        if done.stored:
            check_drawing(path, functools.partial(_first_frame, envs, seed, key, resize))
        if progress:
            show_reused(path, done)
        if done.room:
            check = ObservationCheck(space, f"the environment {environment['id']}")
            with (
                progress_bar(frames, done.count, "collecting", "frame", progress) as bar,
                FrameWriter(
                    path,
                    stored,
                    envs.single_action_space,
                    environment,
                    declared_factors(envs),
                    **origin,
                ) as writer,
            ):
                # Each shard has a seed of its own, and so other episodes: no writer shares its
                # number, not even one that collects with the same seed at the same time.
                shard_seed = _shard_seed(seed, writer.number)
                chosen = _build_policy(policy, envs.action_space, shard_seed)
                run = _Collection(envs, chosen, writer, key, check, resize, done)
                run.run(shard_seed, bar)
    except BaseException:
        if envs is not env:
            with contextlib.suppress(Exception):  # which would hide the first error
                envs.close()
        raise
    if envs is not env:
        envs.close()
    done = progress_of(path, frames, most)
    if progress and most is not None:
        tqdm.write(f"{path}: {done}", file=sys.stderr)
    collected = Frames.open(path).subset(np.arange(done.stored))
    if progress and declared_factors(envs) and not collected.factors:
        tqdm.write(f"{path}: {WITHOUT_FACTORS}", file=sys.stderr)
    return collected


def _check_call(
    env: EnvironmentLike,
    frames: int,
    path: str | Path,
    policy: str | Policy,
    most: int | None,
    seed: int,
    n_envs: int | None,
) -> None:
    if not isinstance(path, str | Path):
        raise TypeError(f"path is a folder, after the number of frames; got {path!r}")
    least = {"frames": 1, "most": frames, "seed": 0, "n_envs": 1}
    given = {"frames": frames, "most": most, "seed": seed, "n_envs": n_envs}
    for name, value in given.items():
        if value is None and name in ("most", "n_envs"):
            continue
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise TypeError(f"{name} is a whole number, got {value!r}")
        if value < least[name]:
            raise ValueError(f"{name} is at least {least[name]}, got {value}")
    if isinstance(policy, str):
        EXPLORERS[policy]
    elif not callable(policy):
        raise TypeError(f"policy is a name or a function from observations to actions: {policy!r}")
    if not isinstance(env, str | VectorEnv) and not callable(env):
        raise TypeError(
            "collect makes as many environments as it steps: give it a Gymnasium id, the class of "
            "the environment, a function that makes one, or a gymnasium VectorEnv, not one "
            f"{type(env).__name__}"
        )


def _make_vector(
    env: str | Callable[[], gym.Env[Any, Any]], n_envs: int, key: str | None
) -> VectorEnv[Any, Any, Any]:
    factory = functools.partial(gym.make, env) if isinstance(env, str) else env
    if key is not None:
        factory = functools.partial(_with_key_alone, factory, key)
    makers = [functools.partial(checked_maker, factory, i) for i in range(n_envs)]
    if n_envs > 1:
        return in_workers(makers)
    envs = SyncVectorEnv(makers)
    envs.metadata = {**envs.metadata, **described(envs.envs[0])}
    return envs


def _with_key_alone(factory: Callable[[], gym.Env[Any, Any]], key: str) -> gym.Env[Any, Any]:
    env = factory()
    known = isinstance(env.observation_space, spaces.Dict) and key in env.observation_space.spaces
    return FilterObservation(env, [key]) if known else env


def _first_frame(
    envs: VectorEnv[Any, Any, Any],
    seed: int,
    key: str | None,
    resize: FrameResize | None,
    number: int,
) -> Array:
    """Return the first frame of shard ``number`` of a call with ``seed``, as it is stored."""
    observations, _ = envs.reset(seed=_shard_seed(seed, number))
    frames: Array = (observations if key is None else observations[key])[:1]
    first: Array = (frames if resize is None else resize(frames))[0]
    return first


def _shard_seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1)


def _build_policy(
    policy: str | Policy, action_space: spaces.Space[Any], seed: int
) -> Callable[[Any], Array]:
    if not isinstance(policy, str):
        return policy
    return EXPLORERS.build({"name": policy}, action_space=action_space, seed=seed)


class _Collection:
    """One run of ``collect``: steps the environments and fills a shard."""

    def __init__(
        self,
        envs: VectorEnv[Any, Any, Any],
        policy: Callable[[Any], Array],
        writer: FrameWriter,
        key: str | None,
        check: ObservationCheck,
        resize: FrameResize | None,
        done: Progress,
    ) -> None:
        self.envs = envs
        self.policy = policy
        self.writer = writer
        self.key = key
        self.resize = resize
        self.check, self.check_finals = check, FinalCheck(check.where)
        self.mode = envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self.episodes = np.arange(envs.num_envs)
        self.next_episode = envs.num_envs
        self.factors: Array = np.empty(0)
        """Known factors of the newest observations, ``(n_envs, F)``."""
        self.done = done
        self.steps = 0

    def run(self, seed: int, bar: tqdm[Any]) -> None:
        """Write observations until there are enough."""
        observations, infos = self.envs.reset(seed=seed)
        if "factors" in infos and not declared_factors(self.envs):
            warnings.warn(
                'info["factors"] is not stored: the environment\'s metadata["factors"] has to name '
                "the numbers in it",
                stacklevel=3,
            )
        self.factors = self._read_factors(infos)
        resetting = np.zeros(self.envs.num_envs, bool)
        while self.done.room:
            before = self.done.count
            observations, resetting = self._step(observations, resetting)
            bar.update(self.done.count - before)

    def _step(self, observations: Any, resetting: Array) -> tuple[Any, Array]:
        actions = checked_actions(self.policy(observations), self.envs.action_space)
        # An environment that only resets returns the first observation of an episode: no step.
        stepped = np.flatnonzero(~resetting)
        # A copy before the step: vector environments may write into the same array again.
        before = self.check(self._select(observations))[stepped]
        following, rewards, terminated, truncated, infos = self.envs.step(actions)
        self.steps += 1
        check_rewards(rewards, f"at step {self.steps}")
        done = terminated | truncated
        self._write(
            before,
            env=stepped,
            action=actions[stepped],
            reward=rewards[stepped],
            terminated=terminated[stepped],
            truncated=truncated[stepped],
            **self._known(self.factors[stepped]),
        )
        self.factors = self._read_factors(infos)
        if done.any():
            ended = np.flatnonzero(done)
            finals = self._terminal(before, following, infos, ended)
            known = self._known(self._final_factors(infos)[ended])
            self._write(finals, env=ended, final=done[ended], **known)
        return self._start_episodes(following, done)

    def _select(self, observations: Any) -> Array:
        frames: Array = observations if self.key is None else observations[self.key]
        return frames

    def _read_factors(self, infos: dict[str, Any]) -> Array:
        # A store that was started without factors, or with others, keeps what it has.
        given = infos if self.writer.factors == declared_factors(self.envs) else {}
        return read_factors(given, self.writer.factors, self.envs.num_envs)

    def _final_factors(self, infos: dict[str, Any]) -> Array:
        if self.mode != AutoresetMode.SAME_STEP:
            return self.factors
        return self._read_factors(infos.get("final_info", {}))

    def _known(self, factors: Array) -> dict[str, Array]:
        return {"factors": factors} if self.writer.factors else {}

    def _write(self, observations: Array, **fields: Array) -> None:
        rows = slice(self.done.room)
        fields = {name: values[rows] for name, values in fields.items()}
        frames = observations[rows] if self.resize is None else self.resize(observations[rows])
        self.writer.append(frames, episode=self.episodes[fields["env"]], **fields)
        self.done.add(frames)

    def _terminal(
        self, before: Array, following: Any, infos: dict[str, Any], ended: Array
    ) -> Array:
        """Last observations of the episodes that ended, ``(B, *shape)``."""
        if self.mode != AutoresetMode.SAME_STEP:
            return self.check(self._select(following))[ended]
        # In SAME_STEP mode the step returns the first observation of the next episode instead.
        if "final_obs" not in infos:
            raise ValueError(
                'the vector environment has autoreset mode SAME_STEP, but no infos["final_obs"] '
                "where an episode ended; use autoreset mode NEXT_STEP"
            )
        finals = self.check(np.stack([self._select(infos["final_obs"][i]) for i in ended]))
        self.check_finals(before[ended], finals, self._select(following)[ended])
        return finals

    def _start_episodes(self, observations: Any, done: Array) -> tuple[Any, Array]:
        if done.any():
            self.episodes[done] = self.next_episode + np.arange(done.sum())
            self.next_episode += int(done.sum())
            if self.mode == AutoresetMode.DISABLED:
                observations, infos = self.envs.reset(options={"reset_mask": done})
                self.factors[done] = self._read_factors(infos)[done]
        return observations, done if self.mode == AutoresetMode.NEXT_STEP else np.zeros_like(done)


def _check_actions(space: spaces.Space[Any]) -> None:
    if space.shape is None or np.dtype(space.dtype).kind not in "biuf":
        raise ValueError(
            f"actions are {space}, and a frame store keeps actions of one array (Box, Discrete, "
            "MultiDiscrete or MultiBinary): map them with gymnasium.wrappers.TransformAction"
        )


def _frame_space(space: spaces.Space[Any], key: str | None) -> spaces.Box:
    if isinstance(space, spaces.Dict):
        if key not in space.spaces:
            raise ValueError(
                f"observations are a Dict of {', '.join(space.spaces)}; "
                f"set key to one of them, not {key!r}"
            )
        space = space[key]
    elif key is not None:
        raise ValueError(f"key={key!r} is for Dict observations; these are {describe_space(space)}")
    if not isinstance(space, spaces.Box):
        raise TypeError(
            f"expected Box observations, got {describe_space(space)}; collect rendered images "
            "instead, with gymnasium.wrappers.AddRenderObservation"
        )
    return space
