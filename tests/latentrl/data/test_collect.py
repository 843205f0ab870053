"""collect(): whole episodes with their terminal observations, in every autoreset mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space

import latentrl as lrl
from latentrl.data.collect import collect
from latentrl.data.policies import checked_actions

QUIET: dict[str, Any] = {"progress": False}
OTHER_ENVIRONMENT = (
    r"the frame store .* has action.dtype=(\w+), "
    r"the call has action.dtype=(?!\1).*: use another path"
)


class Counter(gym.Env[Any, Any]):
    """Observations ``(random number of the episode, time)``; episode k lasts 3 + k steps.

    Even episodes terminate, odd ones are truncated.
    """

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
        self.mark = self.np_random.integers(1_000_000)
        self.time = 0
        self.episodes += 1
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        ended = self.time == 2 + self.episodes
        terminated = ended and self.episodes % 2 == 1
        return self.observe(), float(self.time), terminated, ended and not terminated, {}


def vector_env(
    mode: AutoresetMode, count: int = 3, keyed: bool = False, copy: bool = True
) -> VectorEnv[Any, Any, Any]:
    return SyncVectorEnv([lambda: Counter(keyed)] * count, copy, autoreset_mode=mode)


def check_episodes(frames: lrl.Frames) -> None:
    """Check that each episode is of one environment, counts from 0, and ends as ``Counter`` does.

    Only the last step of the store may lack a terminal observation, for want of room.
    """
    observations, steps = frames[:], frames.steps
    acted = ~steps["final"]
    # The reward is that of the step after the observation.
    np.testing.assert_array_equal(steps["reward"][acted], observations[acted, 1] + 1)
    for env in np.unique(steps["env"]):
        numbers = steps["episode"][steps["env"] == env]
        for rank, number in enumerate(dict.fromkeys(numbers)):
            rows = np.flatnonzero(steps["episode"] == number)
            assert set(steps["env"][rows]) == {env}
            assert len(set(observations[rows, 0])) == 1
            assert observations[rows, 1].tolist() == list(range(len(rows)))
            check_end(steps[rows], 3 + rank, cut=rows[-1] >= len(frames) - 6)


def check_end(steps: Any, length: int, cut: bool) -> None:
    """Check the records of one episode of ``length`` steps, which the end of the store may cut."""
    acted, final = steps[~steps["final"]], steps[steps["final"]]
    ended = len(acted) == length
    assert ended or cut
    assert len(final) == ended or (cut and not len(final))
    assert acted["terminated"][-1] == (ended and length % 2 == 1)
    assert acted["truncated"][-1] == (ended and length % 2 == 0)
    assert not (acted["terminated"] | acted["truncated"])[:-1].any()
    for name in ("action", "reward", "terminated", "truncated"):
        assert not final[name].any()


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("keyed", [False, True])
def test_episodes_are_whole_in_every_autoreset_mode(
    keyed: bool, mode: AutoresetMode, tmp_path: Path
) -> None:
    envs = vector_env(mode, keyed=keyed)
    assert envs.metadata["autoreset_mode"] is mode
    frames = collect(envs, 60, tmp_path, key="vector" if keyed else None, **QUIET)
    assert len(frames) == 60
    assert (frames.steps["terminated"].sum(), frames.steps["truncated"].sum()) > (3, 3)
    assert frames.steps["final"].sum() > 6
    check_episodes(frames)
    envs.reset()  # a vector environment of the caller stays open


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("keyed", [False, True])
def test_vector_environments_may_reuse_their_arrays(
    keyed: bool, mode: AutoresetMode, tmp_path: Path
) -> None:
    envs = vector_env(mode, keyed=keyed, copy=False)
    check_episodes(collect(envs, 60, tmp_path, key="vector" if keyed else None, **QUIET))


@pytest.mark.parametrize("count", range(1, 14))
def test_a_store_has_exactly_the_frames_asked_for(count: int, tmp_path: Path) -> None:
    frames = collect(vector_env(AutoresetMode.SAME_STEP, 2), count, tmp_path, **QUIET)
    assert len(frames) == count
    assert len(lrl.Frames.open(tmp_path)) == count
    check_episodes(frames)


class Unmasked(gym.vector.VectorWrapper):
    """Infos without the mask of the final observations, as ``AtariVectorEnv`` returns them."""

    kept = ("final_obs",)

    def step(self, actions: Any) -> Any:
        *result, infos = self.env.step(actions)
        return (*result, {key: infos[key] for key in self.kept if key in infos})


def test_terminal_observations_need_no_mask(tmp_path: Path) -> None:
    envs = Unmasked(vector_env(AutoresetMode.SAME_STEP))
    frames = collect(envs, 60, tmp_path, **QUIET)
    assert frames.steps["final"].sum() > 6
    check_episodes(frames)


def test_same_step_mode_without_terminal_observations_is_refused(tmp_path: Path) -> None:
    envs = Unmasked(vector_env(AutoresetMode.SAME_STEP))
    envs.kept = ()
    with pytest.raises(
        ValueError,
        match=r'autoreset mode SAME_STEP, but no infos\["final_obs"\] where .* mode NEXT_STEP',
    ):
        collect(envs, 60, tmp_path, **QUIET)


def test_autoreset_modes_agree(tmp_path: Path) -> None:
    stores = [
        collect(vector_env(mode, 1), 40, tmp_path / mode.value, **QUIET) for mode in AutoresetMode
    ]
    assert len({store[:].tobytes() for store in stores}) == 1


def test_equal_seeds_give_equal_frames(tmp_path: Path) -> None:
    def run(name: str, seed: int) -> Any:
        return collect(vector_env(AutoresetMode.SAME_STEP), 30, tmp_path / name, seed=seed, **QUIET)

    a, b, c = run("a", 1), run("b", 1), run("c", 2)
    np.testing.assert_array_equal(a[:], b[:])
    np.testing.assert_array_equal(a.steps, b.steps)
    assert not np.array_equal(a[:], c[:])


def test_a_store_is_extended_by_new_episodes(tmp_path: Path) -> None:
    first = collect(Counter, 20, tmp_path, n_envs=1, **QUIET)[:]
    both = collect(Counter, 50, tmp_path, n_envs=1, **QUIET)
    np.testing.assert_array_equal(both[:20], first)
    assert len(both) == 50
    assert not set(both[20:50][:, 0]) & set(first[:, 0])  # another seed
    assert not set(both.episodes[:20]) & set(both.episodes[20:])


def test_a_full_store_is_not_changed(tmp_path: Path) -> None:
    collect(Counter, 20, tmp_path, n_envs=1, **QUIET)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(collect(Counter, 15, tmp_path, n_envs=1, **QUIET)) == 15
    with pytest.raises(ValueError, match=OTHER_ENVIRONMENT):
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
    assert len(lrl.as_frames(tmp_path)) == (3 + 1) + (4 + 1)  # steps and terminal observations


@pytest.mark.parametrize("n_envs", [1, 2])
def test_ids_and_numbers_of_environments(n_envs: int, tmp_path: Path) -> None:
    frames = collect("CartPole-v1", 40, tmp_path, n_envs=n_envs, **QUIET)
    assert frames[:].shape == (40, 4)
    assert set(frames.steps["env"]) == set(range(n_envs))
    assert frames.metadata["environment"] == {"id": "CartPole-v1"}
    assert frames.steps["action"].dtype == np.int64


def test_one_key_of_a_dict_is_kept(tmp_path: Path) -> None:
    frames = collect(lambda: Counter(keyed=True), 30, tmp_path, n_envs=1, key="vector", **QUIET)
    assert frames.space == spaces.Box(0, 1e6, (2,), np.float32)
    check_episodes(frames)


def test_a_policy_gets_the_observations(tmp_path: Path) -> None:
    def policy(observations: Any) -> Any:
        return np.stack([np.sin(observations[:, 1]), observations[:, 1]], axis=1)

    frames = collect(vector_env(AutoresetMode.NEXT_STEP), 30, tmp_path, policy=policy, **QUIET)
    acted = ~frames.steps["final"]
    np.testing.assert_allclose(frames.steps["action"][acted, 1], frames[acted][:, 1])
    assert frames.metadata["shards"][0]["policy"] == "policy"


def test_the_manifest_is_the_same_for_any_number_of_environments(tmp_path: Path) -> None:
    collect(Counter, 10, tmp_path, n_envs=1, **QUIET)
    assert collect(Counter, 20, tmp_path, n_envs=2, **QUIET).metadata["environment"] == {
        "id": "Counter"
    }


@pytest.mark.parametrize(
    ("env", "options", "error", "message"),
    [
        (
            Counter,
            {"frames": 0},
            ValueError,
            "frames is at least 1, got 0",
        ),
        (Counter, {"seed": -1}, ValueError, "seed is at least 0, got -1"),
        (Counter, {"n_envs": 0}, ValueError, "n_envs is at least 1, got 0"),
        (Counter, {"frames": 9.5}, TypeError, r"frames is a whole number, got 9\.5"),
        (Counter, {"seed": None}, TypeError, "seed is a whole number, got None"),
        (Counter, {"path": 100}, TypeError, "path is a folder, after the number of .* got 100"),
        (Counter, {"policy": 3}, TypeError, "a name or a function from observations to actions: 3"),
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
            r"expected Box observations, got Discrete\(2\); collect rendered images",
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
    with pytest.raises(ValueError, match=OTHER_ENVIRONMENT):
        collect(Counter, 10, tmp_path, n_envs=1, **QUIET)


class Board(gym.Env[Any, Any]):
    """One of ten observations, at random."""

    observation_space = spaces.Box(0, 9, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, **kwargs: Any) -> Any:
        super().reset(**kwargs)
        return self.np_random.integers(0, 10, 1).astype(np.float32), {}

    def step(self, action: Any) -> Any:
        return self.np_random.integers(0, 10, 1).astype(np.float32), 0.0, False, False, {}


@pytest.mark.parametrize("n_envs", [1, 3])
def test_distinct_frames_are_counted_up_to_a_bound(n_envs: int, tmp_path: Path) -> None:
    def run(frames: int, most: int, folder: str = "a") -> Any:
        return collect(Board, frames, tmp_path / folder, most=most, n_envs=n_envs, **QUIET)

    whole = run(7, 100)
    assert len(np.unique(whole[:])) == 7
    assert len(np.unique(whole[:-1])) == 6  # and no frame after the seventh distinct one
    extended = run(9, 100)
    np.testing.assert_array_equal(extended[: len(whole)], whole[:])
    assert len(np.unique(extended[:])) == 9
    assert len(run(11, 50, "b")) == 50
    np.testing.assert_array_equal(run(7, 100)[:], whole[:])


def test_repeats_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    collect(Board, 11, tmp_path, most=50, n_envs=1)
    assert "50 frames, 10 distinct (80% repeat another one)" in capsys.readouterr().err
    collect(Board, 11, tmp_path, most=60, n_envs=1)
    assert "reuses 50 frames, and collects up to 10 more" in capsys.readouterr().err


def test_the_bound_is_at_least_the_number_of_frames(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="most is at least 9, got 8"):
        collect(Board, 9, tmp_path, most=8, n_envs=1, **QUIET)


@pytest.mark.parametrize("env", [Counter(), 3])
def test_one_environment_is_no_maker(env: Any, tmp_path: Path) -> None:
    message = rf"collect makes as many environments .* not one {type(env).__name__}"
    with pytest.raises(TypeError, match=message):
        collect(env, 10, tmp_path, **QUIET)


DISCRETE = spaces.Discrete(3)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.array([7, 0]), r"not in MultiDiscrete\(\[3 3\]\): \[7, 0\]"),
        (np.array([0.7, 0.2]), r"int64 actions of shape \(2,\), .* it returned float64 of shape"),
        (np.array([1]), r"one for each environment; it returned int64 of shape \(1,\)"),
        (1, r"it returned int64 of shape \(\)"),
        (None, r"it returned object of shape \(\)"),
        ((np.array([1, 2]), None), r"a tuple, .* agent\.predict\(observations\)\[0\]"),
    ],
)
def test_actions_of_a_policy_are_checked(actions: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_actions(actions, batch_space(DISCRETE, 2))


@pytest.mark.parametrize(
    ("actions", "space"),
    [
        (-1, spaces.Box(0, 255, (2,), np.uint8)),
        (300, spaces.Box(-128, 127, (2,), np.int8)),
        (256, spaces.MultiBinary(2)),
    ],
)
def test_no_number_becomes_another_one(actions: int, space: Any) -> None:
    batched = batch_space(space, 3)
    with pytest.raises(ValueError, match=f"the policy returned actions .*{actions}"):
        checked_actions(np.full(batched.shape, actions), batched)


def test_numbers_of_numpy(tmp_path: Path) -> None:
    numbers = {"seed": np.int64(3), "n_envs": np.int64(1)}
    assert len(collect("CartPole-v1", np.int64(5), tmp_path, **numbers, **QUIET)) == 5


def test_actions_may_be_lists_or_of_another_type() -> None:
    assert checked_actions([1, 2], batch_space(DISCRETE, 2)).tolist() == [1, 2]
    box = batch_space(spaces.Box(-1, 1, (2,), np.float32), 3)
    beyond = checked_actions(np.full((3, 2), 1.5), box)
    assert beyond.dtype == np.float32, "the environment clips"
    with pytest.raises(ValueError, match="the policy returned actions that are not in Box"):
        checked_actions(np.full((3, 2), np.nan), box)


def test_a_call_that_failed_leaves_no_origin(tmp_path: Path) -> None:
    def broken(observations: Any) -> Any:
        raise RuntimeError("broken policy")

    with pytest.raises(RuntimeError, match="broken policy"):
        collect("CartPole-v1", 5, tmp_path, policy=broken, n_envs=1, **QUIET)
    collect("CartPole-v1", 5, tmp_path, n_envs=1, **QUIET)
    assert len(collect("CartPole-v1", 9, tmp_path, n_envs=1, **QUIET)) == 9
