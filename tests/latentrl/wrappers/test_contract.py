"""Strange environments under wrap(): rewards, bounds, one array, infos, and lost finals."""

from __future__ import annotations

import functools
import os

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnvWrapper

import latentrl as lrl
from latentrl.utils.pipes import WorkerError
from latentrl.utils.workers import in_workers
from latentrl.wrappers import gymnasium_vecenv
from latentrl.wrappers.episodic_count import VecEpisodicCount
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from tests.helpers import Clock, FakeEncoder

N = 2
SAME_STEP = AutoresetMode.SAME_STEP


def one(makers):
    return makers[1]()


def vector(makers, kind=SyncVectorEnv, mode=SAME_STEP):
    return kind(makers, autoreset_mode=mode)


HOSTS = {
    "Env": one,
    **{f"Sync-{mode.name}": functools.partial(vector, mode=mode) for mode in AutoresetMode},
    "Async": functools.partial(vector, kind=AsyncVectorEnv),
    "in_workers": lambda makers: in_workers(makers, SAME_STEP),
    "Dummy": DummyVecEnv,
    "Subproc": functools.partial(SubprocVecEnv, start_method="fork"),
    "GymnasiumVecEnv": lambda makers: GymnasiumVecEnv(vector(makers)),
}


@pytest.fixture(params=HOSTS)
def host(request):
    hosts = []
    yield (
        lambda makers, **options: (
            hosts.append(lrl.wrap(HOSTS[request.param](makers), FakeEncoder(), **options))
            or hosts[0]
        )
    )
    for each in hosts:
        each.close()


def play(env, steps=5):
    env.reset()
    results = []
    for _ in range(steps):
        result = env.step(np.zeros(N, int) if getattr(env, "num_envs", None) else 0)
        results.append(result)
        if len(result) == 5 and env.metadata.get("autoreset_mode") is AutoresetMode.DISABLED:
            done = result[2] | result[3]
            if done.any():
                env.reset(options={"reset_mask": done})
    return results


class Rewarding(Clock):
    """A clock whose second environment returns a bad reward at time 3."""

    def __init__(self, ident, bad):
        super().__init__(ident)
        self.bad = bad

    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, self.bad if (self.time, self.ident) == (3, 1) else reward, *rest


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_reward_is_named_in_every_host(host, bad):
    env = host([functools.partial(Rewarding, i, bad) for i in range(N)], novelty=Silence())
    number = 0 if isinstance(env, gym.Env) else 1
    with pytest.raises(
        ValueError, match=f"environment {number} returned the reward {bad} at step 3"
    ):
        play(env)


class Silence:
    """A bonus that must not get a transition with a bad reward."""

    steps = 0

    def score(self, transitions):
        self.steps += 1
        assert self.steps < 3
        return np.zeros(len(transitions))

    def update(self, transitions):
        pass


ALGORITHMS = {
    "PPO": lambda venv: PPO("MlpPolicy", venv, n_steps=16, batch_size=8, device="cpu"),
    "DQN": lambda venv: DQN(
        "MlpPolicy", venv, learning_starts=4, train_freq=1, buffer_size=99, device="cpu"
    ),
}


@pytest.mark.parametrize("name", ["Dummy", "Subproc", "GymnasiumVecEnv", "in_workers"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nothing_is_learned_from_a_bad_reward(algorithm, name):
    makers = [functools.partial(Rewarding, i, np.nan) for i in range(N)]
    host = HOSTS[name](makers)
    host = GymnasiumVecEnv(host) if name == "in_workers" else host
    model = ALGORITHMS[algorithm](lrl.wrap(host, FakeEncoder()))
    with pytest.raises(ValueError, match="environment 1 returned the reward nan at step 3: "):
        model.learn(100)
    model.env.close()
    assert all(torch.isfinite(value).all() for value in model.policy.state_dict().values())


@pytest.mark.parametrize("name", ["Dummy", "GymnasiumVecEnv"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_agents_learn_without_terminal_observations(algorithm, name):
    model = ALGORITHMS[algorithm](lrl.wrap(LOSSY[name](), FakeEncoder()))
    assert model.learn(64).num_timesteps >= 64


def floats(high):
    space = spaces.Box(0, high, (16, 16, 3), np.float32)
    return gym.wrappers.TransformObservation(
        Clock(side=16), lambda image: (image / 255 * high).astype(np.float32), space
    )


@pytest.mark.parametrize("name", ["Env", "Sync-SAME_STEP", "Dummy", "GymnasiumVecEnv"])
def test_the_bounds_of_the_encoder_are_those_of_the_environment_in_every_host(name):
    model = lrl.pca(floats(2).observation_space, latent_dim=4)
    message = r"\(16, 16, 3\) float32 in \[0, 2\], the environment gives .* in \[0, 7\]: scale"
    with pytest.raises(ValueError, match=message):
        lrl.wrap(HOSTS[name]([functools.partial(floats, 7)] * N), model)
    assert len(play(lrl.wrap(floats(2), model))) == 5


def test_the_bounds_are_compared_by_channel():
    def env(*highs):
        high = np.broadcast_to(np.array(highs, np.float32), (16, 16, 3))
        space = spaces.Box(np.zeros_like(high), high, dtype=np.float32)
        return gym.wrappers.TransformObservation(Clock(side=16), lambda _: high / 2, space)

    model = lrl.pca(env(255, 255, 10).observation_space, latent_dim=2)
    message = r"\[0, 255\], \[0, 255\], \[0, 10\], .* gives .*\[0, 10\], \[0, 255\], \[0, 255\]"
    with pytest.raises(ValueError, match=message):
        lrl.wrap(env(10, 255, 255), model)
    assert lrl.wrap(env(255, 255, 10), model).reset()[0].shape == (2,)


class OneArray(Clock):
    """A clock that draws into one array."""

    canvas = None

    def _image(self):
        self.canvas = super()._image() if self.canvas is None else self.canvas
        self.canvas[:] = super()._image()
        return self.canvas


@pytest.mark.parametrize("name", ["Sync-SAME_STEP", "Dummy", "GymnasiumVecEnv"])
def test_one_array_for_all_observations_keeps_its_finals(name):
    env = lrl.wrap(HOSTS[name]([functools.partial(OneArray, i) for i in range(N)]), FakeEncoder())
    infos = play(env, 3)[-1][-1]
    final = infos["final_obs"][0] if name.startswith("Sync") else infos[0]["terminal_observation"]
    assert final.tolist()[:2] == [0, 3]


@pytest.mark.parametrize("name", ["Async", "Subproc"])
def test_one_array_in_workers_of_others_is_reported(name):
    env = lrl.wrap(HOSTS[name]([functools.partial(OneArray, i) for i in range(N)]), FakeEncoder())
    with pytest.warns(UserWarning, match="the environment returned the same observation at the en"):
        play(env, 12)
    env.close()


STATISTICS = {
    "Monitor": lambda i: Monitor(Clock(i)),
    "RecordEpisodeStatistics": lambda i: gym.wrappers.RecordEpisodeStatistics(Clock(i)),
}


@pytest.mark.filterwarnings("ignore:Evaluation environment is not wrapped")
@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
@pytest.mark.parametrize("wrapper", STATISTICS)
def test_episode_statistics_inside_a_gymnasium_vector_arrive(wrapper, kind, mode):
    makers = [functools.partial(STATISTICS[wrapper], i) for i in range(N)]
    venv = lrl.wrap(GymnasiumVecEnv(kind(makers, autoreset_mode=mode)), FakeEncoder())
    found = [[], []]
    for *_, infos in play(venv, 12):
        for i, info in enumerate(infos):
            if "episode" in info:
                found[i].append((float(info["episode"]["r"]), int(info["episode"]["l"])))
    for i, episodes in enumerate(found):
        assert len(episodes) >= 2
        assert episodes == [(n * (n + 1) / 2, n) for n in range(3 + i, 3 + i + len(episodes))]
    returns, lengths = evaluate_policy(Zero(), venv, 4, return_episode_rewards=True, warn=False)
    assert len(returns) == len(lengths) == 4
    venv.close()


class Zero:
    def predict(self, observations, **_):
        return np.zeros(len(observations), int), None


class Lossy(VecEnvWrapper):
    """A VecEnv without terminal observations."""

    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        observations, rewards, dones, infos = self.venv.step_wait()
        for info in infos:
            info.pop("terminal_observation", None)
        return observations, rewards, dones, infos


class LossyVector(gym.vector.VectorWrapper):
    """A Gymnasium vector without terminal observations."""

    def step(self, actions):
        *result, infos = self.env.step(actions)
        return *result, {name: value for name, value in infos.items() if "final" not in name}


class Time:
    """A bonus of the time that each transition reaches."""

    def score(self, transitions):
        now, before = transitions.next_latents[:, 1], transitions.latents[:, 1]
        assert (now == before + 1).all()
        return now

    def update(self, transitions):
        pass


def clocks():
    return [functools.partial(Clock, i) for i in range(N)]


LOSSY = {
    "Dummy": lambda: Lossy(DummyVecEnv(clocks())),
    "GymnasiumVecEnv": lambda: GymnasiumVecEnv(LossyVector(vector(clocks()))),
    "Sync": lambda: LossyVector(vector(clocks())),
}


@pytest.mark.parametrize("name", LOSSY)
def test_a_bonus_without_terminal_observations_leaves_ends_out(name):
    env = lrl.wrap(LOSSY[name](), FakeEncoder(), novelty=Time())
    with pytest.warns(UserWarning, match="the last step of each episode gets no novelty bonus"):
        results = play(env, 12)
    for _, _, *ends, infos in results:
        done = np.any(ends, axis=0)
        rows = infos if isinstance(infos, list | tuple) else None
        bonus = infos["intrinsic_reward"] if rows is None else [r["intrinsic_reward"] for r in rows]
        assert ((np.asarray(bonus) == 0) == done).all()
    assert any(np.any(result[2]) for result in results)


@pytest.mark.parametrize("name", ["Dummy", "GymnasiumVecEnv"])
def test_episodic_counts_go_on_without_terminal_observations(name):
    venv = VecEpisodicCount(lrl.wrap(LOSSY[name](), FakeEncoder()), 1.0)
    for observations, _, dones, _ in play(venv, 12):
        assert (observations[dones, -1] == 1).all()


class Pair(Clock):
    def __init__(self):
        super().__init__()
        self.action_space = spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(0, 1, (2,))})


@pytest.mark.parametrize("make", [Pair, lambda: SyncVectorEnv([Pair])])
def test_a_bonus_for_actions_of_several_arrays_is_refused(make):
    with pytest.raises(ValueError, match=r"takes actions of one array, not Dict\(.*Transform"):
        lrl.wrap(make(), FakeEncoder(), novelty=Time())
    assert lrl.wrap(make(), FakeEncoder()).action_space is not None


class Dying(Clock):
    """A clock whose second environment ends its process or raises at time 2."""

    def __init__(self, ident, fail):
        super().__init__(ident)
        self.fail = fail

    def step(self, action):
        if (self.time, self.ident) == (2, 1):
            self.fail()
        return super().step(action)


def test_a_worker_of_sb3_that_dies_in_a_reset_is_named():
    venv = lrl.wrap(HOSTS["Subproc"]([DyingInReset] * N), FakeEncoder())
    with pytest.raises(WorkerError, match="environment 0 is lost: its process ended with exit cod"):
        venv.reset()
    venv.close()


class DyingInReset(Clock):
    def reset(self, **_):
        os._exit(1)


def test_a_dead_worker_of_sb3_is_named_and_closed():
    makers = [functools.partial(Dying, i, lambda: os._exit(5)) for i in range(N)]
    venv = lrl.wrap(HOSTS["Subproc"](makers), FakeEncoder())
    with pytest.raises(WorkerError, match="environment 1 is lost: its process ended with exit cod"):
        play(venv)
    with pytest.raises(WorkerError, match="environment 1 is lost"):
        venv.reset()
    venv.close()
    assert not any(process.is_alive() for process in venv.unwrapped.processes)


def test_a_dead_worker_of_gymnasium_does_not_stop_close(monkeypatch):
    monkeypatch.setattr(gymnasium_vecenv, "CLOSE_TIMEOUT", 0.1)
    makers = [functools.partial(Dying, i, lambda: os._exit(5)) for i in range(N)]
    venv = GymnasiumVecEnv(AsyncVectorEnv(makers))
    with pytest.raises(EOFError):
        play(venv)
    with pytest.warns(UserWarning, match="Calling `close` while waiting"):
        venv.close()
    assert not any(process.is_alive() for process in venv.envs.processes)
