"""An SB3 VecEnv with latents agrees with one of wrapped environments."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)

import latentrl as lrl
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from latentrl.wrappers.sb3 import LatentVecEnv
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
            latents, rewards, dones, infos = got
            assert same(latents, wanted[0])
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
def test_the_terminal_observation_is_the_latent_of_the_last_frame(host):
    encoder = FakeEncoder()
    venv = lrl.wrap(host(makers()), encoder)
    venv.reset()
    ends = 0
    for step in range(1, STEPS):
        latents, _, dones, infos = venv.step(np.zeros(N, int))
        assert len(encoder.batches) == step + 1
        assert encoder.batches[-1] == N + dones.sum()
        for i, info in enumerate(infos):
            assert ("terminal_observation" in info) == dones[i]
            if dones[i]:
                episode, time, _ = info["terminal_observation"]
                assert time == 3 + i + episode - 10 * i
                assert latents[i].tolist()[:2] == [episode + 1, 0]
                assert info["TimeLimit.truncated"] == (episode % 2 == 1)
                ends += 1
    assert ends >= 4


def test_latents_go_through_sb3s_own_wrappers():
    venv = VecNormalize(lrl.wrap(VecMonitor(DummyVecEnv(makers())), FakeEncoder()))
    venv.reset()
    returns = []
    for _ in range(STEPS):
        *_, infos = venv.step(np.ones(N, int))
        returns += [info["episode"]["r"] for info in infos if "episode" in info]
    # The return of an episode of length n is 1.5 + 2.5 + ... + (n + 0.5).
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
