from __future__ import annotations

import functools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)

import latentrl as lrl
import latentrl.wrappers.sb3
from latentrl.wrappers.sb3 import GymnasiumVecEnv, LatentVecEnv
from tests.helpers import Clock, FakeEncoder, same

N, STEPS = 2, 24
HOSTS = [
    pytest.param(lambda makers: DummyVecEnv(makers), id="Dummy"),
    *(
        pytest.param(
            lambda makers, vector=vector, mode=mode: GymnasiumVecEnv(
                vector(makers, autoreset_mode=mode)
            ),
            id=f"{vector.__name__}-{mode.name}",
        )
        for vector in (SyncVectorEnv, AsyncVectorEnv)
        for mode in AutoresetMode
    ),
]


def make_clock(ident, keyed=False, encoder=None):
    env = Clock(ident, keyed)
    return env if encoder is None else lrl.wrap(env, encoder, key="image" if keyed else None)


def makers(keyed=False, encoder=None):
    return [functools.partial(make_clock, i, keyed, encoder) for i in range(N)]


def rollout(venv):
    venv.seed(7)
    yield venv.reset()
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        yield venv.step(rng.integers(2, size=N))


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("host", HOSTS)
def test_every_host_agrees_with_sb3s_vector_of_wrapped_environments(host, keyed):
    venv = lrl.wrap(host(makers(keyed)), FakeEncoder(), key="image" if keyed else None)
    reference = DummyVecEnv(makers(keyed, FakeEncoder()))
    assert isinstance(venv, LatentVecEnv)
    assert venv.observation_space == reference.observation_space
    terminations = truncations = 0
    try:
        first, expected = next(ours := rollout(venv)), next(theirs := rollout(reference))
        assert same(first, expected)
        for got, wanted in zip(ours, theirs, strict=True):
            codes, rewards, dones, infos = got
            assert same(codes, wanted[0])
            assert same(rewards, wanted[1])
            assert same(dones, wanted[2])
            for i in np.flatnonzero(dones):
                for name in ("terminal_observation", "TimeLimit.truncated"):
                    assert same(infos[i][name], wanted[3][i][name])
                truncations += infos[i]["TimeLimit.truncated"]
                terminations += not infos[i]["TimeLimit.truncated"]
            assert [info["time"] for info in infos] == [info["time"] for info in wanted[3]]
    finally:
        venv.close()
    assert min(terminations, truncations) >= 2


@pytest.mark.parametrize("host", HOSTS[:4])
def test_terminal_observation_is_the_code_of_the_last_frame(host):
    encoder = FakeEncoder()
    venv = lrl.wrap(host(makers()), encoder)
    venv.reset()
    ends = 0
    for step in range(1, STEPS):
        codes, _, dones, infos = venv.step(np.zeros(N, int))
        assert len(encoder.batches) == step + 1
        assert encoder.batches[-1] == N + dones.sum()
        for i, info in enumerate(infos):
            assert ("terminal_observation" in info) == dones[i]
            if dones[i]:
                episode, time, _ = info["terminal_observation"]
                assert time == 3 + i + episode - 10 * i
                assert codes[i].tolist()[:2] == [episode + 1, 0]
                assert info["TimeLimit.truncated"] == (episode % 2 == 1)
                ends += 1
    assert ends >= 4


def test_codes_go_through_sb3s_own_wrappers():
    venv = VecNormalize(lrl.wrap(VecMonitor(DummyVecEnv(makers())), FakeEncoder()))
    venv.reset()
    returns = []
    for _ in range(STEPS):
        *_, infos = venv.step(np.ones(N, int))
        returns += [info["episode"]["r"] for info in infos if "episode" in info]
    # An episode of length n of this environment pays 1.5 + 2.5 + ... + (n + 0.5).
    assert {round(value, 3) for value in returns} <= {
        sum(t + 0.5 for t in range(1, n + 1)) for n in range(3, 12)
    }
    assert len(returns) >= 4


def test_encoder_for_other_observations_and_channels_first():
    encoder = lrl.pca((32, 32, 3), latent_dim=4)
    with pytest.raises(
        ValueError,
        match=r"takes observations of \(32, 32, 3\) uint8, the environment gives \(4, 4, 3\)",
    ):
        lrl.wrap(DummyVecEnv(makers()), encoder)
    transposed = VecTransposeImage(DummyVecEnv([lambda: Clock(side=32)]))
    with pytest.raises(
        ValueError, match="look channels-first: wrap before VecTransposeImage, or transpose them"
    ):
        lrl.wrap(transposed, encoder)


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


def test_reset_infos_are_kept():
    venv = GymnasiumVecEnv(SyncVectorEnv(makers()))
    venv.reset()
    assert venv.reset_infos == [{"episode_number": 0}] * N


@pytest.mark.parametrize("mode", AutoresetMode)
def test_monitor_reports_the_tasks_own_return_and_no_step_is_lost(mode):
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
    """A vector environment whose environments are no Python objects, as EnvPool's are not."""

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


def test_environments_that_are_no_python_objects():
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
def test_closing_amid_a_step_does_not_hang(monkeypatch):
    monkeypatch.setattr(latentrl.wrappers.sb3, "CLOSE_TIMEOUT", 0.1)
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
