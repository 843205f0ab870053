"""What the tests of intrinsic rewards share: recorders, the steps of bare clocks, and all hosts."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv

import latentrl as lrl
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from tests.helpers import Clock

N, STEPS, SEED = 3, 24, 7
PRICES = np.array([0.5, 0.25, 0.01], np.float32)
NEXT_STEP, SAME_STEP, DISABLED = (
    AutoresetMode.NEXT_STEP,
    AutoresetMode.SAME_STEP,
    AutoresetMode.DISABLED,
)


def encoded(observations):
    """Return what ``FakeEncoder`` returns."""
    return observations.mean(axis=(1, 2), dtype=np.float32)


class Recorder:
    """A user's own bonus, the least there can be: a price for each value of the next latent."""

    def __init__(self):
        self.scored, self.updated = [], []

    def score(self, transitions):
        assert np.array_equal(encoded(transitions.next_observations), transitions.next_latents)
        self.scored.append(transitions.next_latents.copy())
        return transitions.next_latents @ PRICES

    def update(self, transitions):
        assert np.array_equal(transitions.next_latents, self.scored[-1])
        self.updated.append(transitions.next_latents.copy())


class Witness(Recorder):
    """One that checks each transition against the resets and steps before it."""

    def __init__(self, env_ids=range(N)):
        super().__init__()
        self.idents, self.now, self.started, self.actions = list(env_ids), {}, [], []

    def reset(self, env_ids, observations, latents):
        assert len(env_ids) == len(observations) == len(latents) > 0
        assert np.array_equal(encoded(observations), latents)
        self.started.append(latents.copy())
        self.now |= dict(zip(env_ids.tolist(), latents.tolist(), strict=True))

    def update(self, transitions):
        super().update(transitions)
        env_ids = transitions.env_ids.tolist()
        idents = (transitions.next_latents[:, 0] // 10).astype(int).tolist()
        assert [self.idents[i] for i in env_ids] == idents
        assert np.array_equal(encoded(transitions.observations), transitions.latents)
        assert transitions.latents.tolist() == [self.now[i] for i in env_ids]
        self.now |= dict(zip(env_ids, transitions.next_latents.tolist(), strict=True))
        episode = transitions.next_latents[:, 0].astype(int) % 10
        over = transitions.next_latents[:, 1] == 3 + np.array(idents) + episode
        assert transitions.terminated.tolist() == (over & (episode % 2 == 0)).tolist()
        assert transitions.truncated.tolist() == (over & (episode % 2 == 1)).tolist()
        self.actions += zip(env_ids, np.asarray(transitions.actions).tolist(), strict=True)


def makers(count=N, first=0, outer=lambda env: env):
    return [functools.partial(lambda i: outer(Clock(i)), i) for i in range(first, first + count)]


def lived(count=N):
    """Step bare clocks: for each, first latents of episodes, latents reached, and rewards."""
    lives = []
    for i in range(count):
        env = Clock(i)
        started, reached, rewards = [env.reset(seed=SEED + i)[0]], [], []
        for step in range(STEPS):
            frame, reward, terminated, truncated, _ = env.step((step + i) % 2)
            reached.append(frame)
            rewards.append(reward)
            if terminated or truncated:
                started.append(env.reset()[0])
        lives.append((encoded(np.stack(started)), encoded(np.stack(reached)), np.array(rewards)))
    return lives


def step_vector(vector, mode):
    """Return reward, extrinsic and intrinsic reward of each environment's steps, without resets."""
    logs, over = [[] for _ in range(N)], np.zeros(N, bool)
    vector.reset(seed=SEED)
    while min(map(len, logs)) < STEPS:
        actions = np.array([(len(log) + i) % 2 for i, log in enumerate(logs)])
        _, rewards, terminated, truncated, infos = vector.step(actions)
        assert infos["_extrinsic_reward"].all()
        assert infos["_intrinsic_reward"].all()
        rows = np.stack([rewards, infos["extrinsic_reward"], infos["intrinsic_reward"]], 1)
        assert not rows[over].any()
        for i in np.flatnonzero(~over):
            logs[i].append(rows[i])
        done = terminated | truncated
        over = done if mode == NEXT_STEP else over
        if mode == DISABLED and done.any():
            vector.reset(options={"reset_mask": done})
    return [np.array(log[:STEPS]) for log in logs]


def step_sb3(venv):
    venv.seed(SEED)
    venv.reset()
    logs = []
    for step in range(STEPS):
        _, rewards, _, infos = venv.step(np.array([(step + i) % 2 for i in range(N)]))
        assert rewards.dtype == np.float32
        terms = [(info["extrinsic_reward"], info["intrinsic_reward"]) for info in infos]
        logs.append(np.column_stack([rewards, terms]))
    return list(np.array(logs).transpose(1, 0, 2))


def vector_host(mode, vector=SyncVectorEnv):
    def play(novelty, encoder):
        host = lrl.wrap(vector(makers(), autoreset_mode=mode), encoder, novelty=novelty)
        try:
            return step_vector(host, mode)
        finally:
            host.close()

    return pytest.param(play, id=f"{vector.__name__}-{mode.name}")


def sb3_host(make, name):
    def play(novelty, encoder):
        return step_sb3(lrl.wrap(make(), encoder, novelty=novelty))

    return pytest.param(play, id=name)


def adapted(mode):
    return GymnasiumVecEnv(SyncVectorEnv(makers(), autoreset_mode=mode))


def wrapped_first(mode):
    def play(novelty, encoder):
        vector = lrl.wrap(SyncVectorEnv(makers(), autoreset_mode=mode), encoder, novelty=novelty)
        return step_sb3(GymnasiumVecEnv(vector))

    return pytest.param(play, id=f"GymnasiumVecEnv-of-wrapped-{mode.name}")


HOSTS = [
    vector_host(SAME_STEP),
    vector_host(SAME_STEP, AsyncVectorEnv),
    vector_host(NEXT_STEP),
    vector_host(DISABLED),
    sb3_host(lambda: DummyVecEnv(makers()), "DummyVecEnv"),
    *(
        sb3_host(functools.partial(adapted, mode), f"GymnasiumVecEnv-{mode.name}")
        for mode in AutoresetMode
    ),
    *(wrapped_first(mode) for mode in AutoresetMode),
]


def by_environment(batches):
    """Return the latents of each clock, by the number that its frames show."""
    latents = np.concatenate(batches)
    return [latents[latents[:, 0] // 10 == i] for i in range(N)]
