"""Every host shows a novelty each state that was reached, once, and adds its bonus to the
reward."""

from __future__ import annotations

import functools
import itertools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

import envs  # noqa: F401 - registers PixelReach-v0
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
from latentrl.wrappers.sb3 import GymnasiumVecEnv, LatentVecEnv
from tests.helpers import Clock, FakeEncoder

N, STEPS, SEED = 3, 24, 7
PRICES = np.array([0.5, 0.25, 0.01], np.float32)
NEXT_STEP, SAME_STEP, DISABLED = (
    AutoresetMode.NEXT_STEP,
    AutoresetMode.SAME_STEP,
    AutoresetMode.DISABLED,
)


class Recorder:
    """The least that a user's own novelty can be: its bonus is a price for each value of the
    code."""

    def __init__(self):
        self.scored, self.learned = [], []

    def score(self, observations, latents):
        assert np.array_equal(observations.mean(axis=(1, 2), dtype=np.float32), latents)
        self.scored.append(latents.copy())
        return latents @ PRICES

    def update(self, observations, latents):
        assert np.array_equal(latents, self.scored[-1])
        self.learned.append(latents.copy())


class OneInfo(Clock):
    """Returns one and the same dict at every step, as some environments do."""

    def __init__(self, ident=0):
        super().__init__(ident)
        self.info = {}

    def reset(self, **kwargs):
        return super().reset(**kwargs)[0], self.info

    def step(self, action):
        return (*super().step(action)[:4], self.info)


def test_an_info_that_outlives_its_step_says_nothing():
    novelty = Recorder()
    venv = lrl.wrap(DummyVecEnv([OneInfo, lambda: OneInfo(1)]), FakeEncoder(), novelty=novelty)
    venv.reset()
    for _ in range(12):
        codes, _, dones, _ = venv.step(np.zeros(2, int))
        assert np.array_equal(novelty.learned[-1][~dones], codes[~dones])


class FitCallback(Recorder):
    """One with every hook, which keeps what it hears and in which order."""

    def __init__(self):
        super().__init__()
        self.heard, self.begun, self.rows = [], [], np.arange(N)

    def score(self, observations, latents):
        assert len(latents) == len(self.rows)
        assert np.array_equal(latents[:, 0] // 10, self.rows)
        self.heard.append("score")
        return super().score(observations, latents)

    def update(self, observations, latents):
        self.heard.append("update")
        super().update(observations, latents)

    def act(self, actions):
        self.heard.append("act")
        self.actions = actions.copy()

    def begin(self, observations, latents, rows):
        assert rows.dtype == bool
        assert rows.shape == (len(latents),)
        assert rows.any()
        assert np.array_equal(observations.mean(axis=(1, 2), dtype=np.float32), latents)
        self.heard.append("begin")
        self.begun.append(latents[rows])

    def select(self, rows):
        self.heard.append("select")
        self.rows = rows.copy()


def makers(count=N, first=0, outer=lambda env: env):
    return [functools.partial(lambda i: outer(Clock(i)), i) for i in range(first, first + count)]


def lived(count=N, first=0):
    """Play the bare clocks: for each, the codes where episodes begin, the codes reached and the
    task's rewards."""
    lives = []
    for i in range(first, first + count):
        env, begun, reached, rewards = Clock(i), [], [], []
        frame = env.reset(seed=SEED + i - first)[0]
        begun.append(frame.mean(axis=(0, 1)))
        for step in range(STEPS):
            frame, reward, terminated, truncated, _ = env.step((step + i - first) % 2)
            reached.append(frame.mean(axis=(0, 1)))
            rewards.append(reward)
            if terminated or truncated:
                begun.append(env.reset()[0].mean(axis=(0, 1)))
        lives.append(
            (np.array(begun, np.float32), np.array(reached, np.float32), np.array(rewards))
        )
    return lives


def play_vector(vector, mode):
    """Return reward, task_reward and novelty_bonus of each environment's steps; resets are checked
    and left out."""
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


def play_sb3(venv):
    venv.seed(SEED)
    venv.reset()
    logs = []
    for step in range(STEPS):
        _, rewards, _, infos = venv.step(np.array([(step + i) % 2 for i in range(N)]))
        assert rewards.dtype == np.float32
        logs.append(
            [
                [r, info["extrinsic_reward"], info["intrinsic_reward"]]
                for r, info in zip(rewards, infos, strict=True)
            ]
        )
    return list(np.array(logs).transpose(1, 0, 2))


def vector_host(mode, vector=SyncVectorEnv):
    def play(novelty, encoder):
        host = lrl.wrap(vector(makers(), autoreset_mode=mode), encoder, novelty=novelty)
        try:
            return play_vector(host, mode)
        finally:
            host.close()

    return pytest.param(play, id=f"{vector.__name__}-{mode.name}")


def sb3_host(adapt, name):
    return pytest.param(
        lambda novelty, encoder: play_sb3(lrl.wrap(adapt(), encoder, novelty=novelty)), id=name
    )


def adapted(mode):
    return GymnasiumVecEnv(SyncVectorEnv(makers(), autoreset_mode=mode))


def wrapped_first(mode):
    def play(novelty, encoder):
        vector = lrl.wrap(SyncVectorEnv(makers(), autoreset_mode=mode), encoder, novelty=novelty)
        return play_sb3(GymnasiumVecEnv(vector))

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
    codes = np.concatenate(batches)
    return [codes[codes[:, 0] // 10 == i] for i in range(N)]


# What is shown.


@pytest.mark.parametrize("novelty", [Recorder, FitCallback])
@pytest.mark.parametrize("play", HOSTS)
def test_every_state_that_is_reached_is_scored_once_and_paid(play, novelty):
    novelty = novelty()
    assert isinstance(novelty, Novelty)
    logs = play(novelty, FakeEncoder())
    ends = 0
    for log, scored, learned, (begun, reached, rewards) in zip(
        logs, by_environment(novelty.scored), by_environment(novelty.learned), lived(), strict=True
    ):
        assert np.array_equal(
            scored[:STEPS], reached
        )  # the last of an episode, never the first of the next
        assert np.array_equal(scored, learned)
        assert (scored[:, 1] > 0).all()
        bonus = reached @ PRICES
        assert log[:, 1] == pytest.approx(rewards)
        assert log[:, 2] == pytest.approx(bonus)
        assert np.array_equal(
            log[:, 0].astype(np.float32), (log[:, 1] + log[:, 2]).astype(np.float32)
        )
        ends += len(begun) - 1
    assert ends >= 3 * N


@pytest.mark.parametrize("play", HOSTS)
def test_a_novelty_hears_where_episodes_begin(play):
    novelty = FitCallback()
    play(novelty, FakeEncoder())
    for heard, (begun, *_) in zip(by_environment(novelty.begun), lived(), strict=True):
        assert np.array_equal(heard[: len(begun)], begun[: len(heard)])
        assert len(heard) >= len(begun) - 1


@pytest.mark.parametrize("play", HOSTS)
def test_one_pass_of_the_encoder_for_each_step_and_reset(play, monkeypatch):
    calls = []
    for host, name in itertools.product(
        (LatentVectorObservation, LatentVecEnv), ("reset", "step", "step_wait")
    ):
        if name in vars(host):
            method = getattr(host, name)
            monkeypatch.setattr(
                host,
                name,
                lambda *args, name=name, method=method, **kw: (
                    calls.append(name) or method(*args, **kw)
                ),
            )
    novelty, encoder = Recorder(), FakeEncoder()
    play(novelty, encoder)
    assert len(encoder.batches) == len(calls)
    assert len(novelty.scored) == len(calls) - calls.count("reset")


def test_hooks_come_in_the_order_of_a_step():
    novelty = FitCallback()
    vector = lrl.wrap(
        SyncVectorEnv(makers(), autoreset_mode=NEXT_STEP), FakeEncoder(), novelty=novelty
    )
    vector.reset(seed=SEED)
    assert novelty.heard == ["begin"]
    step = ["act", "score", "update"]
    for _ in range(3):
        novelty.heard.clear()
        vector.step(np.ones(N, int))
        assert novelty.heard == step
        assert novelty.actions.tolist() == [1] * N
    novelty.heard.clear()
    vector.step(np.ones(N, int))  # environment 0 ended, and only resets
    assert novelty.heard == ["act", "select", "score", "update", "select", "begin"]
    assert novelty.begun[-1][:, :2].tolist() == [[1, 0]]
    assert novelty.rows.tolist() == [0, 1, 2]
    assert len(novelty.scored[-1]) == 2


def test_reset_steps_of_all_environments_at_once_show_nothing():
    novelty = FitCallback()
    same = [functools.partial(Clock, 0) for _ in range(2)]
    vector = lrl.wrap(
        SyncVectorEnv(same, autoreset_mode=NEXT_STEP), FakeEncoder(), novelty=Recorder()
    )
    vector.reset(seed=SEED)
    paid = [vector.step(np.ones(2, int))[1].tolist() for _ in range(5)]
    assert paid[3] == [0, 0]
    assert min(map(min, paid[:3] + paid[4:])) > 1
    assert novelty.scored == []


def test_a_partial_reset_leaves_the_others_to_their_own():
    """Both have ended; one is reset by hand, so that the next step is the other's reset."""
    same = [functools.partial(Clock, 0) for _ in range(2)]
    vector = lrl.wrap(
        SyncVectorEnv(same, autoreset_mode=NEXT_STEP), FakeEncoder(), novelty=Recorder()
    )
    vector.reset(seed=SEED)
    for _ in range(3):
        vector.step(np.ones(2, int))
    vector.reset(options={"reset_mask": np.array([True, False])})
    _, rewards, *_, infos = vector.step(np.ones(2, int))
    assert (infos["intrinsic_reward"] > 0).tolist() == [True, False]
    assert (rewards > 0).tolist() == [True, False]


def test_a_single_environment_shows_the_same_as_a_row_of_a_vector():
    for i, (begun, reached, rewards) in enumerate(lived()):
        novelty, encoder = FitCallback(), FakeEncoder()
        novelty.rows = np.array([i])
        env = lrl.wrap(Clock(i), encoder, novelty=novelty)
        env.reset(seed=SEED + i)
        for step in range(STEPS):
            code, reward, terminated, truncated, info = env.step((step + i) % 2)
            assert isinstance(reward, float)
            assert info["extrinsic_reward"] == rewards[step]
            assert info["intrinsic_reward"] == pytest.approx(code @ PRICES)
            assert reward == info["extrinsic_reward"] + info["intrinsic_reward"]
            assert info["time"] == code[1]
            if terminated or truncated:
                env.reset()
        assert np.array_equal(np.concatenate(novelty.scored), reached)
        assert np.array_equal(np.concatenate(novelty.learned), reached)
        assert np.array_equal(np.concatenate(novelty.begun), begun)
        assert encoder.batches == [1] * (len(begun) + STEPS)


def test_one_key_of_a_dict_is_what_a_novelty_sees():
    novelty = Recorder()
    env = lrl.wrap(Clock(keyed=True), FakeEncoder(), key="image", novelty=novelty)
    vector = SyncVectorEnv([functools.partial(Clock, 0, keyed=True)] * 2, autoreset_mode=SAME_STEP)
    venv = lrl.wrap(GymnasiumVecEnv(vector), FakeEncoder(), key="image", novelty=novelty)
    env.reset(seed=0)
    venv.reset()
    for _ in range(3):
        env.step(0)
        venv.step(np.zeros(2, int))
    assert [batch[:, :2].tolist() for batch in novelty.scored] == [
        [[0, t]] * n for t in (1, 2, 3) for n in (1, 2)
    ]


class HalfTime(FakeEncoder):
    """Codes that come back, in an episode and in the next: pairs of steps look the same."""

    def __init__(self):
        super().__init__()
        self.latent_space = gym.spaces.Box(-99, 99, (2,), np.float32)

    def encode(self, observations):
        half = super().encode(observations)[:, 1] // 2
        return np.stack([half, 3 - half], 1)


BONUSES = {
    "counts-once": lambda: Product([HashCounts(), FirstVisits()]),
    "icm-elliptical": lambda: Sum([ICM(2), Elliptical()], [1.0, 0.1]),
    "rnd": lambda: NormalizedBonus(RND(share=1.0), warmup=5),
}


@pytest.mark.parametrize("bonus", BONUSES.values(), ids=BONUSES)
@pytest.mark.parametrize("mode", AutoresetMode)
def test_hosts_pay_the_same_of_a_bonus_that_learns(mode, bonus):
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
        if ended.any() and mode == DISABLED:
            vector.reset(options={"reset_mask": ended})
        if ended.any() and mode == NEXT_STEP:
            assert vector.step(np.array([action]))[-1]["intrinsic_reward"] == 0
        return infos["intrinsic_reward"][0]

    one = makers(1)
    env = lrl.wrap(Clock(), HalfTime(), novelty=bonus())
    vector = lrl.wrap(SyncVectorEnv(one, autoreset_mode=mode), HalfTime(), novelty=bonus())
    venv = lrl.wrap(
        GymnasiumVecEnv(SyncVectorEnv(one, autoreset_mode=mode)), HalfTime(), novelty=bonus()
    )
    venv.seed(SEED)
    wanted = steps(env, lambda host: host.reset(seed=SEED), step_env)
    assert len(set(wanted)) > 2
    assert steps(vector, lambda host: host.reset(seed=SEED), step_vector) == pytest.approx(
        wanted, rel=1e-4
    )
    paid = steps(
        venv,
        lambda host: host.reset(),
        lambda host, a: host.step(np.array([a]))[3][0]["intrinsic_reward"],
    )
    assert paid == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("play", HOSTS)
def test_every_row_has_an_episode_of_its_own(play):
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


# What comes back.


def test_rewards_of_sb3_are_fresh_arrays():
    dummy = DummyVecEnv(makers())
    venv = lrl.wrap(dummy, FakeEncoder(), novelty=Recorder())
    venv.reset()
    for time in range(1, 3):
        _, rewards, _, infos = venv.step(np.zeros(N, int))
        bonus = venv.payment.bonus.copy()
        assert rewards.dtype == np.float32
        rewards += 100  # as PPO adds the value of a truncated episode's last state
        assert dummy.buf_rews.tolist() == [time] * N
        assert [info["extrinsic_reward"] for info in infos] == [time] * N
        assert [info["intrinsic_reward"] for info in infos] == pytest.approx(bonus)
        assert np.array_equal(venv.payment.bonus, bonus)


def test_rewards_and_infos_of_a_vector_are_fresh_arrays():
    inner, kept = SyncVectorEnv(makers()), []
    step = inner.step
    inner.step = lambda actions: kept.append(step(actions)) or kept[-1]
    vector = lrl.wrap(inner, FakeEncoder(), novelty=Recorder())
    vector.reset(seed=SEED)
    _, rewards, *_, infos = vector.step(np.zeros(N, int))
    rewards += 100
    infos["extrinsic_reward"] += 100
    infos["intrinsic_reward"] += 100
    assert kept[-1][1].tolist() == [1] * N
    assert (vector.payment.bonus < 50).all()


def test_without_a_novelty_nothing_is_added():
    env, vector = lrl.wrap(Clock(), FakeEncoder()), lrl.wrap(SyncVectorEnv(makers()), FakeEncoder())
    venv = lrl.wrap(DummyVecEnv(makers()), FakeEncoder())
    env.reset()
    vector.reset()
    venv.reset()
    infos = [env.step(0)[-1], vector.step(np.zeros(N, int))[-1], venv.step(np.zeros(N, int))[-1][0]]
    assert not any("extrinsic_reward" in info or "intrinsic_reward" in info for info in infos)


def task_returns(count):
    """Return what an episode of each length pays, with actions of 1."""
    return {n: sum(t + 0.5 for t in range(1, n + 1)) for n in range(3, 3 + count)}


@pytest.mark.parametrize(
    "host",
    [
        lambda: VecMonitor(DummyVecEnv(makers())),
        lambda: DummyVecEnv(makers(outer=Monitor)),
        lambda: VecMonitor(GymnasiumVecEnv(SyncVectorEnv(makers(), autoreset_mode=NEXT_STEP))),
    ],
    ids=["VecMonitor", "Monitor", "VecMonitor-GymnasiumVecEnv"],
)
def test_a_monitor_below_logs_the_tasks_own_return(host):
    venv = lrl.wrap(host(), FakeEncoder(), novelty=Recorder())
    venv.reset()
    episodes = [
        info["episode"]
        for _ in range(STEPS)
        for info in venv.step(np.ones(N, int))[3]
        if "episode" in info
    ]
    assert len(episodes) >= 3 * N
    assert all(
        episode["r"] == pytest.approx(task_returns(20)[episode["l"]]) for episode in episodes
    )


def test_statistics_below_a_single_environment_are_the_tasks_own():
    env = lrl.wrap(RecordEpisodeStatistics(Clock()), FakeEncoder(), novelty=Recorder())
    env.reset()
    infos = [env.step(1)[-1] for _ in range(3)]
    assert infos[-1]["episode"]["r"] == task_returns(1)[3]


def test_a_normalised_reward_includes_the_bonus():
    venv = VecNormalize(
        lrl.wrap(DummyVecEnv(makers()), FakeEncoder(), novelty=Recorder()),
        norm_obs=False,
        gamma=0.9,
    )
    plain = lrl.wrap(DummyVecEnv(makers()), FakeEncoder(), novelty=Recorder())
    for each in (venv, plain):
        each.seed(SEED)
        each.reset()
    returns, mean, variance, count = np.zeros(N), 0.0, 1.0, 1e-4
    for step in range(STEPS):
        actions = np.full(N, step % 2)
        (_, normalised, dones, _), (_, rewards, *_) = venv.step(actions), plain.step(actions)
        returns = 0.9 * returns + rewards
        share, delta = N / (count + N), returns.mean() - mean
        variance = (1 - share) * variance + share * returns.var() + share * (1 - share) * delta**2
        mean, count = mean + share * delta, count + N
        assert normalised == pytest.approx(
            np.clip(rewards / np.sqrt(variance + 1e-8), -10, 10), rel=1e-3
        )
        assert venv.get_original_reward() == pytest.approx(rewards)
        returns[dones] = 0


class Rewards(BaseCallback):
    """Keeps what the infos say of each step."""

    def __init__(self):
        super().__init__()
        self.task, self.bonus = [], []

    def _on_step(self):
        self.task.append([info["extrinsic_reward"] for info in self.locals["infos"]])
        self.bonus.append([info["intrinsic_reward"] for info in self.locals["infos"]])
        return True


def learning_env(normalised):
    venv = lrl.wrap(VecMonitor(DummyVecEnv(makers())), FakeEncoder(), novelty=Recorder())
    return VecNormalize(venv, norm_obs=False) if normalised else venv


def monitored(agent):
    """Return the task's own returns of the episodes that the agent's curves show."""
    return {round(episode["r"], 1) for episode in agent.ep_info_buffer}


def possible_returns():
    """Return what episodes of 3 to 12 steps can pay by whatever actions."""
    return {n * (n + 1) / 2 + 0.5 * k for n in range(3, 13) for k in range(n + 1)}


@pytest.mark.parametrize("normalised", [False, True])
def test_rewards_and_advantages_of_ppo_include_the_bonus(normalised):
    venv, heard = learning_env(normalised), Rewards()
    agent = PPO(
        "MlpPolicy", venv, n_steps=8, batch_size=8, n_epochs=1, gamma=0.0, seed=0, device="cpu"
    )
    agent.learn(8 * N, callback=heard)
    buffer, rewards = agent.rollout_buffer, np.array(heard.task) + np.array(heard.bonus)
    assert (np.array(heard.bonus) > 0).all()
    returns = buffer.returns.reshape(N, 8).T if buffer.generator_ready else buffer.returns
    if normalised:
        assert buffer.rewards[-1] == pytest.approx(
            rewards[-1] / np.sqrt(venv.ret_rms.var + 1e-8), rel=1e-3
        )
        assert returns == pytest.approx(buffer.rewards, abs=1e-5)
    else:
        assert buffer.rewards == pytest.approx(rewards)
        assert returns == pytest.approx(rewards)
    assert monitored(agent) <= possible_returns()


@pytest.mark.parametrize("normalised", [False, True])
def test_rewards_replayed_by_dqn_include_the_bonus(normalised):
    venv, heard = learning_env(normalised), Rewards()
    agent = DQN("MlpPolicy", venv, learning_starts=1000, buffer_size=20 * N, seed=0, device="cpu")
    agent.learn(20 * N, callback=heard)
    buffer, rewards = agent.replay_buffer, np.array(heard.task) + np.array(heard.bonus)
    assert buffer.rewards == pytest.approx(rewards)
    scale = np.sqrt(venv.ret_rms.var + 1e-8) if normalised else 1.0
    replayed = buffer.sample(500, env=agent._vec_normalize_env).rewards.numpy()
    assert np.abs(replayed - rewards.reshape(1, -1) / scale).min(1).max() < 1e-4
    assert len(np.unique(replayed)) > 30
    assert monitored(agent) <= possible_returns()


# What is refused.


class NoUpdate:
    def score(self, observations, latents):
        return np.zeros(len(latents))


ANY_HOST = pytest.mark.parametrize(
    "host",
    [Clock, lambda: SyncVectorEnv(makers()), lambda: DummyVecEnv(makers())],
    ids=["Env", "VectorEnv", "VecEnv"],
)


@ANY_HOST
@pytest.mark.parametrize(
    "thing", [object(), 3, "counts", NoUpdate()], ids=lambda thing: type(thing).__name__
)
def test_not_a_novelty(host, thing):
    message = rf"score\(observations, latents\) and update\(observations, latents\); {type(thing).__name__} lacks one"
    with pytest.raises(TypeError, match=message):
        lrl.wrap(host(), FakeEncoder(), novelty=thing)


@ANY_HOST
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda count: np.full(count, np.nan), r"Bad\.score returned NaN or infinity"),
        (
            lambda count: np.ones((count, 1)),
            r"Bad\.score must return \d bonuses, got shape \(\d, 1\)",
        ),
        (lambda count: 1.0, r"Bad\.score must return \d bonuses, got shape \(\)"),
    ],
)
def test_a_wrong_bonus_is_named(host, answer, message):
    class Bad(NoUpdate):
        def score(self, observations, latents):
            return answer(len(latents))

        def update(self, observations, latents):
            raise AssertionError

    env = lrl.wrap(host(), FakeEncoder(), novelty=Bad())
    env.reset()
    with pytest.raises(ValueError, match=message):
        env.step(0 if isinstance(env, gym.Env) else np.zeros(N, int))


@pytest.fixture
def saved_encoder(tmp_path):
    return str(lrl.save(lrl.pca((32, 32, 3), latent_dim=4), tmp_path / "encoder"))


class Constant(NoUpdate):
    """A novelty that is the same for equal states, as the checkers demand of an environment."""

    def score(self, observations, latents):
        return observations.mean(axis=(1, 2, 3))

    def update(self, observations, latents):
        pass


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
def test_gymnasium_checker_is_content(saved_encoder):
    env = lrl.wrap(
        gym.make("PixelReach-v0", render_mode="rgb_array"), saved_encoder, novelty=Constant()
    )
    check_env(env)
    assert env.spec.additional_wrappers[-1].kwargs["novelty"] is env.payment.novelty


def test_sb3_checker_is_content(saved_encoder):
    check_env_for_sb3(lrl.wrap(gym.make("PixelReach-v0"), saved_encoder, novelty=Constant()))
    check_env_for_sb3(lrl.wrap(Clock(keyed=True), FakeEncoder(), key="image", novelty=HashCounts()))
