"""collect(): the right frames, with the right episodes, in every autoreset mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

import latentrl as lrl
from latentrl.data.collect import EXPLORERS, collect, describe_environment

QUIET: dict[str, Any] = {"progress": False}


class Counter(gym.Env[Any, Any]):
    """Observations say (random mark of the episode, step in it); episode k lasts 3 + k steps, every
    other cut off."""

    def __init__(self, keyed: bool = False) -> None:
        vector = spaces.Box(0, 1e6, (2,), np.float32)
        self.keyed = keyed
        self.observation_space = (
            spaces.Dict({"vector": vector, "other": spaces.Discrete(2)}) if keyed else vector
        )
        self.action_space = spaces.Box(np.array([-1, 0], np.float32), np.array([1, 5], np.float32))
        self.episodes = 0

    def observe(self) -> Any:
        vector = np.array([self.mark, self.time], np.float32)
        return {"vector": vector, "other": 0} if self.keyed else vector

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.mark, self.time, self.episodes = (
            self.np_random.integers(1_000_000),
            0,
            self.episodes + 1,
        )
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        ended = self.time == 2 + self.episodes
        return (
            self.observe(),
            float(self.time),
            ended and self.episodes % 2 == 1,
            ended and self.episodes % 2 == 0,
            {},
        )


def vector_env(mode: AutoresetMode, count: int = 3) -> VectorEnv[Any, Any, Any]:
    return SyncVectorEnv([Counter] * count, autoreset_mode=mode)


def check_episodes(frames: lrl.Frames) -> None:
    """Every episode belongs to one environment, counts from 0, and ends where its last record
    says."""
    observations, steps = frames[:], frames.steps
    np.testing.assert_array_equal(
        steps["reward"], observations[:, 1] + 1
    )  # of the step after the observation
    for env in np.unique(steps["env"]):
        numbers = steps["episode"][steps["env"] == env]
        for rank, number in enumerate(list(dict.fromkeys(numbers))):
            rows = np.flatnonzero(steps["episode"] == number)
            assert set(steps["env"][rows]) == {env}
            assert len(set(observations[rows, 0])) == 1
            assert observations[rows, 1].tolist() == list(range(len(rows)))
            ended = len(rows) == 3 + rank
            assert steps["terminated"][rows[-1]] == (ended and rank % 2 == 0)
            assert steps["truncated"][rows[-1]] == (ended and rank % 2 == 1)
            assert not (steps["terminated"] | steps["truncated"])[rows[:-1]].any()


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_episodes_are_whole_in_every_autoreset_mode(mode: AutoresetMode, tmp_path: Path) -> None:
    envs = vector_env(mode)
    assert envs.metadata["autoreset_mode"] is mode
    frames = collect(envs, 50, tmp_path, **QUIET)
    assert len(frames) == 50
    assert (frames.steps["terminated"].sum(), frames.steps["truncated"].sum()) > (3, 3)
    check_episodes(frames)
    envs.reset()  # a vector environment of the caller's stays open


def test_autoreset_modes_agree(tmp_path: Path) -> None:
    stores = [
        collect(vector_env(mode, 1), 40, tmp_path / mode.value, **QUIET) for mode in AutoresetMode
    ]
    assert len({store[:].tobytes() for store in stores}) == 1


def test_same_seed_same_frames(tmp_path: Path) -> None:
    def run(name: str, seed: int) -> Any:
        return collect(vector_env(AutoresetMode.SAME_STEP), 30, tmp_path / name, seed=seed, **QUIET)

    a, b, c = run("a", 1), run("b", 1), run("c", 2)
    np.testing.assert_array_equal(a[:], b[:])
    np.testing.assert_array_equal(a.steps, b.steps)
    assert not np.array_equal(a[:], c[:])


def test_continues_a_store_with_new_episodes(tmp_path: Path) -> None:
    first = collect(Counter, 20, tmp_path, n_envs=1, **QUIET)[:]
    both = collect(Counter, 50, tmp_path, n_envs=1, **QUIET)
    np.testing.assert_array_equal(both[:20], first)
    assert len(both) == 50
    assert not set(both[20:50][:, 0]) & set(first[:, 0])  # a seed of its own
    assert not set(both.episodes[:20]) & set(both.episodes[20:])


def test_a_full_store_is_left_alone(tmp_path: Path) -> None:
    collect(Counter, 20, tmp_path, n_envs=1, **QUIET)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(collect(Counter, 15, tmp_path, n_envs=1, **QUIET)) == 15
    with pytest.raises(ValueError, match=r"holds frames with .*: use another path"):
        collect("CartPole-v1", 5, tmp_path, n_envs=1, **QUIET)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_an_interrupted_call_keeps_its_frames(tmp_path: Path) -> None:
    class Interrupting(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> Any:
            if self.env.unwrapped.episodes == 3:
                raise KeyboardInterrupt
            return super().step(action)

    with pytest.raises(KeyboardInterrupt):
        collect(lambda: Interrupting(Counter()), 100, tmp_path, n_envs=1, **QUIET)
    assert len(lrl.as_frames(tmp_path)) == 3 + 4


@pytest.mark.parametrize("n_envs", [1, 2])
def test_takes_ids_and_steps_several_at_once(n_envs: int, tmp_path: Path) -> None:
    frames = collect("CartPole-v1", 40, tmp_path, n_envs=n_envs, **QUIET)
    assert frames[:].shape == (40, 4)
    assert set(frames.steps["env"]) == set(range(n_envs))
    assert frames.metadata["environment"] == {"id": "CartPole-v1"}
    assert frames.steps["action"].dtype == np.int64


def test_keeps_one_key_of_a_dict(tmp_path: Path) -> None:
    frames = collect(lambda: Counter(keyed=True), 30, tmp_path, n_envs=1, key="vector", **QUIET)
    assert frames.space == spaces.Box(0, 1e6, (2,), np.float32)
    check_episodes(frames)


def test_a_policy_sees_the_observations(tmp_path: Path) -> None:
    def policy(observations: Any) -> Any:
        return np.stack([np.sin(observations[:, 1]), observations[:, 1]], axis=1)

    frames = collect(vector_env(AutoresetMode.NEXT_STEP), 30, tmp_path, policy=policy, **QUIET)
    np.testing.assert_allclose(frames.steps["action"][:, 1], frames[:][:, 1])
    assert frames.metadata["shards"][0]["policy"] == "function"


def test_a_store_names_what_was_made_whatever_the_number(tmp_path: Path) -> None:
    collect(Counter, 10, tmp_path, n_envs=1, **QUIET)
    assert collect(Counter, 20, tmp_path, n_envs=2, **QUIET).metadata["environment"] == {
        "id": "Counter"
    }


def test_an_environment_may_describe_itself() -> None:
    envs = vector_env(AutoresetMode.NEXT_STEP)
    assert describe_environment(envs) == {"id": "SyncVectorEnv"}
    envs.metadata = {**envs.metadata, "environment": {"id": "Counter", "frame_skip": 4}}
    assert describe_environment(envs) == {"id": "Counter", "frame_skip": 4}


BATCHED = [
    spaces.Box(-1, 2, (4, 3), np.float32),
    spaces.MultiDiscrete([5] * 4),
    spaces.MultiDiscrete([[5, 2]] * 4),
    spaces.Box(0, 1, (4, 3), np.int8),
]


@pytest.mark.parametrize("space", BATCHED, ids=str)
@pytest.mark.parametrize("name", list(EXPLORERS))
def test_explorers_stay_in_the_space_vary_and_follow_the_seed(
    name: str, space: spaces.Space[Any]
) -> None:
    def run(seed: int) -> list[Any]:
        policy = EXPLORERS.build({"name": name}, action_space=space, seed=seed)
        return [policy(None) for _ in range(60)]

    actions = run(1)
    assert all(space.contains(action) for action in actions)
    assert len({action.tobytes() for action in actions}) > 5
    np.testing.assert_array_equal(actions, run(1))
    assert not np.array_equal(actions, run(2))


def test_brownian_actions_are_correlated_and_cover_the_space() -> None:
    box = spaces.Box(-1, 1, (200, 1), np.float32)
    policy = EXPLORERS.build({"name": "brownian"}, action_space=box, seed=0)
    walk = np.stack([policy(None) for _ in range(100)])[..., 0]
    assert np.corrcoef(walk[:-1].ravel(), walk[1:].ravel())[0, 1] > 0.8
    counts, _ = np.histogram(walk, bins=4, range=(-1, 1))
    assert counts.min() > 0.2 * walk.size


def test_brownian_needs_bounds() -> None:
    box = spaces.Box(-np.inf, np.inf, (2, 1), np.float32)
    with pytest.raises(
        ValueError, match="walks between bounds, and these actions have none; use 'random'"
    ):
        EXPLORERS.build({"name": "brownian"}, action_space=box, seed=0)


def test_brownian_keeps_discrete_actions_for_a_while() -> None:
    policy = EXPLORERS.build(
        {"name": "brownian"}, action_space=spaces.MultiDiscrete([50] * 200), seed=0
    )
    actions = np.stack([policy(None) for _ in range(100)])
    assert abs((actions[1:] == actions[:-1]).mean() - 0.755) < 0.02  # kept, or drawn again


@pytest.mark.parametrize(
    ("env", "options", "error", "message"),
    [
        (
            Counter,
            {"frames": 0},
            ValueError,
            "frames is a number of observations, at least 1; got 0",
        ),
        (
            Counter,
            {"policy": "greedy"},
            ValueError,
            "unknown policy 'greedy'; known: brownian, random",
        ),
        (
            Counter,
            {"key": "image"},
            ValueError,
            r"key='image' is for Dict observations; these are \(2,\) float32",
        ),
        (
            lambda: Counter(keyed=True),
            {},
            ValueError,
            "observations are a Dict of other, vector; set key to one of them, not None",
        ),
        (
            lambda: Counter(keyed=True),
            {"key": "other"},
            TypeError,
            r"expected Box observations, got Discrete\(2\)",
        ),
    ],
)
def test_mistakes_are_named(
    env: Any, options: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        collect(env, **{"frames": 5, "path": tmp_path, "n_envs": 1, **QUIET, **options})


def test_a_store_of_another_environment_is_refused(tmp_path: Path) -> None:
    collect("CartPole-v1", 5, tmp_path, n_envs=1, **QUIET)
    with pytest.raises(ValueError, match=r"holds frames with .*: use another path"):
        collect(Counter, 10, tmp_path, n_envs=1, **QUIET)
