"""Every host gives a bonus one transition for each step, and the hosts agree."""

from __future__ import annotations

import functools
import itertools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv

import latentrl as lrl
from latentrl.novelty import (
    ICM,
    RND,
    Elliptical,
    FirstVisits,
    HashCounts,
    NormalizedBonus,
    Product,
    Sum,
)
from latentrl.types import Novelty
from latentrl.wrappers import LatentVectorObservation
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from latentrl.wrappers.sb3 import LatentVecEnv
from tests.helpers import Clock, FakeEncoder
from tests.latentrl.wrappers.cases import (
    DISABLED,
    HOSTS,
    NEXT_STEP,
    PRICES,
    SAME_STEP,
    SEED,
    STEPS,
    N,
    Recorder,
    Witness,
    by_environment,
    lived,
    makers,
)

EACH_HOST = pytest.mark.parametrize("play", HOSTS)


@pytest.mark.parametrize("novelty", [Recorder, Witness])
@EACH_HOST
def test_each_state_that_a_step_reaches_is_scored_once(play, novelty):
    novelty = novelty()
    assert isinstance(novelty, Novelty)
    logs = play(novelty, FakeEncoder())
    ends = 0
    for log, scored, updated, (started, reached, rewards) in zip(
        logs, by_environment(novelty.scored), by_environment(novelty.updated), lived(), strict=True
    ):
        # The terminal state of an episode, never the first state of the next.
        assert np.array_equal(scored[:STEPS], reached)
        assert np.array_equal(scored, updated)
        assert (scored[:, 1] > 0).all()
        assert log[:, 1] == pytest.approx(rewards)
        assert log[:, 2] == pytest.approx(reached @ PRICES)
        total = (log[:, 1] + log[:, 2]).astype(np.float32)
        assert np.array_equal(log[:, 0].astype(np.float32), total)
        ends += len(started) - 1
    assert ends >= 3 * N


@EACH_HOST
def test_a_bonus_is_reset_at_the_first_state_of_each_episode(play):
    novelty = Witness()
    play(novelty, FakeEncoder())
    for latents, (started, *_) in zip(by_environment(novelty.started), lived(), strict=True):
        assert np.array_equal(latents[: len(started)], started[: len(latents)])
        assert len(latents) >= len(started) - 1
    for env_id in range(N):  # the actions of the steps, whichever resets lie between
        actions = [action for i, action in novelty.actions if i == env_id][:STEPS]
        assert actions == [(step + env_id) % 2 for step in range(STEPS)]


@EACH_HOST
def test_the_encoder_runs_once_for_each_step_and_reset(play, monkeypatch):
    calls = []

    def counted(name, method):
        return lambda *args, **options: calls.append(name) or method(*args, **options)

    hosts = (LatentVectorObservation, LatentVecEnv)
    for host, name in itertools.product(hosts, ("reset", "step", "step_wait")):
        if name in vars(host):
            monkeypatch.setattr(host, name, counted(name, getattr(host, name)))
    novelty, encoder = Recorder(), FakeEncoder()
    play(novelty, encoder)
    assert len(encoder.batches) == len(calls)
    assert len(novelty.scored) == len(calls) - calls.count("reset")


class Careless(Recorder):
    """One that computes in place."""

    def score(self, transitions):
        transitions.latents[:], transitions.next_latents[:] = -1, -2
        return np.zeros(len(transitions), np.float32)

    def update(self, transitions):
        pass


def test_a_bonus_that_computes_in_place_leaves_the_agents_latents():
    seen = []
    for novelty in (None, Careless()):
        venv = lrl.wrap(DummyVecEnv(makers()), FakeEncoder(), novelty=novelty)
        venv.seed(SEED)
        seen.append([venv.reset(), *(venv.step(np.zeros(N, int))[0] for _ in range(STEPS))])
    np.testing.assert_array_equal(*seen)


class OneInfo(Clock):
    """Returns one and the same dict at every step, as some environments do."""

    def __init__(self, ident=0):
        super().__init__(ident)
        self.info = {}

    def reset(self, **options):
        return super().reset(**options)[0], self.info

    def step(self, action):
        return (*super().step(action)[:4], self.info)


def test_the_terminal_observation_in_an_old_info_is_not_used():
    novelty = Witness(range(2))
    venv = lrl.wrap(DummyVecEnv([OneInfo, lambda: OneInfo(1)]), FakeEncoder(), novelty=novelty)
    venv.reset()
    for _ in range(12):
        latents, _, dones, _ = venv.step(np.zeros(2, int))
        assert np.array_equal(novelty.updated[-1][~dones], latents[~dones])


def test_environments_may_reuse_the_buffer_of_their_observations():
    novelty = Witness()
    vector = SyncVectorEnv(makers(), copy=False, autoreset_mode=SAME_STEP)
    host = lrl.wrap(vector, FakeEncoder(), novelty=novelty)
    host.reset(seed=SEED)
    for _ in range(STEPS):
        host.step(np.ones(N, int))  # the witness compares the observations before each step
    assert len(novelty.updated) == STEPS


def next_step_host(novelty, count=2):
    same = [functools.partial(Clock, 0) for _ in range(count)]
    vector = SyncVectorEnv(same, autoreset_mode=NEXT_STEP)
    host = lrl.wrap(vector, FakeEncoder(), novelty=novelty)
    host.reset(seed=SEED)
    return host


def test_an_environment_that_only_resets_is_left_out():
    novelty = Witness()
    host = lrl.wrap(
        SyncVectorEnv(makers(), autoreset_mode=NEXT_STEP), FakeEncoder(), novelty=novelty
    )
    host.reset(seed=SEED)
    for _ in range(3):
        host.step(np.ones(N, int))
        assert len(novelty.scored[-1]) == N
    host.step(np.ones(N, int))  # environment 0 ended, and resets
    assert novelty.actions[-2:] == [(1, 1), (2, 1)]
    assert novelty.started[-1][:, :2].tolist() == [[1, 0]]
    assert len(novelty.scored[-1]) == N - 1


def test_a_step_that_resets_all_environments_is_no_step():
    novelty = Recorder()
    host = next_step_host(novelty)
    rewards = [host.step(np.ones(2, int))[1].tolist() for _ in range(5)]
    assert rewards[3] == [0, 0]
    assert min(map(min, rewards[:3] + rewards[4:])) > 1
    assert len(novelty.scored) == len(novelty.updated) == 4


def test_a_reset_by_hand_replaces_the_automatic_one():
    """Both have ended; one is reset by hand, so that the next step resets the other alone."""
    host = next_step_host(Recorder())
    for _ in range(3):
        host.step(np.ones(2, int))
    host.reset(options={"reset_mask": np.array([True, False])})
    _, rewards, *_, infos = host.step(np.ones(2, int))
    assert (infos["intrinsic_reward"] > 0).tolist() == [True, False]
    assert (rewards > 0).tolist() == [True, False]


def test_a_single_environment_agrees_with_a_row_of_a_vector():
    for i, (started, reached, rewards) in enumerate(lived()):
        novelty, encoder = Witness([i]), FakeEncoder()
        env = lrl.wrap(Clock(i), encoder, novelty=novelty)
        env.reset(seed=SEED + i)
        for step in range(STEPS):
            latent, reward, terminated, truncated, info = env.step((step + i) % 2)
            assert isinstance(reward, float)
            assert info["extrinsic_reward"] == rewards[step]
            assert info["intrinsic_reward"] == pytest.approx(latent @ PRICES)
            assert reward == info["extrinsic_reward"] + info["intrinsic_reward"]
            assert info["time"] == latent[1]
            if terminated or truncated:
                env.reset()
        assert np.array_equal(np.concatenate(novelty.scored), reached)
        assert np.array_equal(np.concatenate(novelty.updated), reached)
        assert np.array_equal(np.concatenate(novelty.started), started)
        assert encoder.batches == [1] * (len(started) + STEPS)


def test_of_a_dict_a_bonus_gets_the_encoded_key():
    alone, several = Recorder(), Recorder()
    env = lrl.wrap(Clock(keyed=True), FakeEncoder(), key="image", novelty=alone)
    vector = SyncVectorEnv([functools.partial(Clock, 0, keyed=True)] * 2, autoreset_mode=SAME_STEP)
    venv = lrl.wrap(GymnasiumVecEnv(vector), FakeEncoder(), key="image", novelty=several)
    env.reset(seed=0)
    venv.reset()
    for _ in range(3):
        env.step(0)
        venv.step(np.zeros(2, int))
    for recorder, count in (alone, 1), (several, 2):
        found = [batch[:, :2].tolist() for batch in recorder.scored]
        assert found == [[[0, t]] * count for t in (1, 2, 3)]


# Bonuses that learn.


class HalfTime(FakeEncoder):
    """Latents that return, in an episode and in the next: two successive steps share one."""

    def __init__(self):
        super().__init__()
        self.latent_space = gym.spaces.Box(-99, 99, (2,), np.float32)

    def encode(self, observations):
        half = super().encode(observations)[:, 1] // 2
        return np.stack([half, 3 - half], 1)


BONUSES = {
    "counts": lambda: HashCounts(episodic=True),
    "product": lambda: Product([HashCounts(), FirstVisits()]),
    "icm-elliptical": lambda: Sum([ICM(2), Elliptical()], [1.0, 0.1]),
    "rnd": lambda: NormalizedBonus(RND(fraction=1.0), warmup=5),
}


@pytest.mark.parametrize("bonus", BONUSES.values(), ids=BONUSES)
@pytest.mark.parametrize("mode", AutoresetMode)
def test_hosts_agree_on_the_rewards_of_a_bonus_that_learns(mode, bonus):
    ends = []

    def steps(host, reset, step):
        reset(host)
        return [step(host, number % 2) for number in range(STEPS)]

    def step_env(env, action):
        _, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            env.reset()
        return info["intrinsic_reward"]

    def step_vector(vector, action):
        _, _, terminated, truncated, infos = vector.step(np.array([action]))
        ended = terminated | truncated
        ends.append(bool(ended[0]))
        if ended.any() and mode == DISABLED:
            vector.reset(options={"reset_mask": ended})
        if ended.any() and mode == NEXT_STEP:
            assert vector.step(np.array([action]))[-1]["intrinsic_reward"] == 0
        return infos["intrinsic_reward"][0]

    def step_venv(venv, action):
        return venv.step(np.array([action]))[3][0]["intrinsic_reward"]

    def vector():
        return SyncVectorEnv(makers(1), autoreset_mode=mode)

    env = lrl.wrap(Clock(), HalfTime(), novelty=bonus())
    expected = steps(env, lambda host: host.reset(seed=SEED), step_env)
    assert len(set(expected)) > 2
    host = lrl.wrap(vector(), HalfTime(), novelty=bonus())
    rewards = steps(host, lambda host: host.reset(seed=SEED), step_vector)
    assert rewards == pytest.approx(expected, rel=1e-4)
    assert sum(ends) >= 3
    venv = lrl.wrap(GymnasiumVecEnv(vector()), HalfTime(), novelty=bonus())
    venv.seed(SEED)
    assert steps(venv, lambda host: host.reset(), step_venv) == pytest.approx(expected, rel=1e-4)


@EACH_HOST
def test_each_environment_has_an_episode_of_its_own(play):
    def episodic():
        return Sum([FirstVisits(), Elliptical()], [1.0, 0.1])

    for i, log in enumerate(play(episodic(), HalfTime())):
        env = lrl.wrap(Clock(i), HalfTime(), novelty=episodic())
        env.reset(seed=SEED + i)
        for step in range(STEPS):
            *_, terminated, truncated, info = env.step((step + i) % 2)
            assert log[step, 2] == pytest.approx(info["intrinsic_reward"], rel=1e-5)
            if terminated or truncated:
                env.reset()


def two_hosts(*bonuses):
    hosts = [
        LatentVecEnv(DummyVecEnv(makers(1)), FakeEncoder(), novelty=bonus) for bonus in bonuses
    ]
    for host in hosts:
        host.reset()
    return hosts


@pytest.mark.parametrize("make", [lambda: HashCounts(episodic=True), Recorder])
def test_environments_that_share_a_bonus_are_a_warning(make):
    bonus = make()
    first, second = two_hosts(bonus, bonus)
    for host in (first, first, second, second):  # one after the other, as a training after another
        host.step(np.zeros(1, int))
    with pytest.warns(UserWarning, match=r"two wrapped environments use one \w+, which mixes"):
        first.step(np.zeros(1, int))


def test_a_bonus_each_is_none():
    first, second = two_hosts(HashCounts(), HashCounts())
    for host in (first, second) * 3:
        host.step(np.zeros(1, int))
