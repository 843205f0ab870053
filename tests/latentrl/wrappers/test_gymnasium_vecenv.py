"""A Gymnasium vector as a VecEnv: rewards, seeds, autoreset modes, attributes and closing."""

from __future__ import annotations

import functools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space
from stable_baselines3.common.vec_env import VecMonitor

from latentrl.wrappers import gymnasium_vecenv
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from tests.helpers import Clock

N, STEPS = 2, 24


def makers():
    return [lambda: Clock(0), lambda: Clock(1)]


def test_rewards_are_fresh_float32_arrays():
    envs = SyncVectorEnv(makers())
    venv = GymnasiumVecEnv(envs)
    venv.reset()
    _, first, _, _ = venv.step(np.ones(N, int))
    kept = first.copy()
    first += 100
    _, second, _, _ = venv.step(np.ones(N, int))
    assert first.dtype == second.dtype == np.float32
    assert np.array_equal(second, kept + 1)
    assert not np.shares_memory(second, envs._rewards)


def test_seed_is_used_once_and_counts_up():
    venv = GymnasiumVecEnv(SyncVectorEnv(makers()))
    assert venv.seed(40) == [40, 41]
    first = venv.reset()
    expected = [Clock(i).reset(seed=40 + i)[0] for i in range(N)]
    assert np.array_equal(first, np.stack(expected))
    second = venv.reset()
    assert not np.array_equal(first[..., 2], second[..., 2])
    venv.seed(40)
    assert np.array_equal(venv.reset()[..., 2], first[..., 2])
    assert venv.seed(None) == [None, None]


@pytest.mark.parametrize("mode", AutoresetMode)
def test_infos_of_automatic_resets_are_kept(mode):
    venv = GymnasiumVecEnv(SyncVectorEnv(makers(), autoreset_mode=mode))
    venv.reset()
    numbers = [0] * N
    for _ in range(STEPS):
        assert [info["episode_number"] for info in venv.reset_infos] == numbers
        _, _, dones, infos = venv.step(np.zeros(N, int))
        assert all(info["time"] > 0 for info in infos)
        numbers = [number + int(done) for number, done in zip(numbers, dones, strict=True)]
    assert min(numbers) > 1


@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_monitor_reports_the_extrinsic_return_and_no_step_is_lost(mode):
    venv = VecMonitor(GymnasiumVecEnv(SyncVectorEnv(makers(), autoreset_mode=mode)))
    venv.reset()
    episodes = [[] for _ in range(N)]
    for _ in range(STEPS):
        *_, infos = venv.step(np.zeros(N, int))
        for i, info in enumerate(infos):
            if "episode" in info:
                episodes[i].append((info["episode"]["r"], info["episode"]["l"]))
    for i, found in enumerate(episodes):
        lengths = [3 + i + k for k in range(len(found))]
        assert found == [(n * (n + 1) / 2, n) for n in lengths]
        assert len(found) >= 3


class NextStepVector(VectorEnv):
    """A vector environment in native code, as EnvPool's are."""

    def __init__(self, mode):
        self.num_envs, self.metadata, self.colour = N, {"autoreset_mode": mode}, "red"
        self.single_observation_space = spaces.Box(0, 1, (2,), np.float32)
        self.single_action_space = spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, N)
        self.action_space = batch_space(self.single_action_space, N)
        self.render_mode = None

    def render(self):
        return None


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_other_next_step_vectors_are_refused(mode):
    with pytest.raises(
        ValueError,
        match=r"^NextStepVector resets in the step after an episode, which SB3 cannot use; "
        r"make it with autoreset_mode=AutoresetMode\.SAME_STEP$",
    ):
        GymnasiumVecEnv(NextStepVector(mode))


def test_environments_in_native_code():
    venv = GymnasiumVecEnv(NextStepVector(AutoresetMode.SAME_STEP))
    assert venv.get_attr("colour") == ["red"] * N
    assert venv.env_is_wrapped(gym.Wrapper) == [False] * N
    assert venv.get_images() == [None] * N
    with pytest.raises(
        TypeError, match="the environments of NextStepVector have no Python methods"
    ):
        venv.env_method("double", 3)


@pytest.mark.parametrize("vector", [SyncVectorEnv, AsyncVectorEnv])
def test_attributes_and_methods_of_the_environments(vector):
    venv = GymnasiumVecEnv(vector(makers()))
    try:
        assert venv.get_attr("ident") == [0, 1]
        assert venv.get_attr("ident", indices=1) == [1]
        assert venv.env_method("double", 5) == [10, 11]
        assert venv.env_method("double", value=5, indices=[1]) == [11]
        venv.set_attr("ident", 7, indices=0)
        assert venv.get_attr("ident") == [7, 1]
        venv.set_attr("ident", 8)
        assert venv.get_attr("ident") == [8, 8]
    finally:
        venv.close()


@pytest.mark.filterwarnings("ignore:.*Calling `close` while waiting for a pending call to `step`")
def test_closing_during_a_step_does_not_hang(monkeypatch):
    monkeypatch.setattr(gymnasium_vecenv, "CLOSE_TIMEOUT", 0.1)
    envs = AsyncVectorEnv(makers())
    venv = GymnasiumVecEnv(envs)
    venv.reset()
    envs.step_async(np.zeros(N, int))
    envs.parent_pipes[0].recv()  # an interrupt came after the first answer
    venv.close()
    assert not any(process.is_alive() for process in envs.processes)


def test_env_is_wrapped_and_images():
    frames = [
        lambda: gym.wrappers.TimeLimit(Clock(render_mode="rgb_array"), 5),
        lambda: Clock(render_mode="rgb_array"),
    ]
    venv = GymnasiumVecEnv(SyncVectorEnv(frames))
    assert venv.env_is_wrapped(gym.wrappers.TimeLimit) == [True, False]
    assert venv.env_is_wrapped(gym.wrappers.TimeLimit, indices=[1]) == [False]
    venv.reset()
    assert [image.shape for image in venv.get_images()] == [(4, 4, 3)] * N


class Numbered(Clock):
    """A clock whose info has the number of its episode where SB3 has a return."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def step(self, action):
        return *super().step(action)[:4], {"episode": self.value}


@pytest.mark.parametrize(
    ("value", "at_the_end"),
    [
        (3, "env_episode"),
        ({"number": 1}, "env_episode"),
        ({"r": 2.5, "l": 4, "t": 0.1}, "episode"),
    ],
)
def test_an_info_in_the_place_of_a_return_gets_another_name(value, at_the_end):
    venv = GymnasiumVecEnv(SyncVectorEnv([functools.partial(Numbered, value)]))
    venv.reset()
    for name in ("env_episode", "env_episode", at_the_end):
        *_, (info,) = venv.step(np.zeros(1, int))
        assert info[name] == value
        assert len({"episode", "env_episode"} & info.keys()) == 1


class Successful(Clock):
    """A clock with another kind of success."""

    success: object = None

    def step(self, action):
        return *super().step(action)[:4], {"is_success": self.success}


@pytest.mark.parametrize("success", [True, np.bool_(False), 1, 0.0, None])
def test_successes_may_be_numbers(success, monkeypatch):
    monkeypatch.setattr(Successful, "success", success)
    venv = GymnasiumVecEnv(SyncVectorEnv([Successful]))
    venv.reset()
    for _ in range(3):
        *_, (info,) = venv.step(np.zeros(1, int))
    assert info["is_success"] == success


def test_words_are_no_success(monkeypatch):
    monkeypatch.setattr(Successful, "success", "no")
    venv = GymnasiumVecEnv(SyncVectorEnv([Successful]))
    venv.reset()
    venv.step(np.zeros(1, int))
    venv.step(np.zeros(1, int))
    message = r'info\["is_success"\] is True or False at the end of an episode, got .*no'
    with pytest.raises(ValueError, match=message):
        venv.step(np.zeros(1, int))


def test_environments_without_a_render_have_no_images():
    class Bare(Clock):
        render = gym.Env.render

    venv = GymnasiumVecEnv(SyncVectorEnv([Bare] * 2))
    venv.reset()
    assert venv.get_images() == [None, None]
