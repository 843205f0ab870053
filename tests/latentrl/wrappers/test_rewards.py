"""Rewards and infos with a bonus: fresh arrays, monitors below, SB3's buffers, checkers."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

import envs  # noqa: F401 - registers PixelReach-v0
import latentrl as lrl
from latentrl.novelty import HashCounts
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from tests.helpers import Clock, FakeEncoder
from tests.latentrl.wrappers.cases import NEXT_STEP, PRICES, SEED, STEPS, N, Recorder, makers


def test_rewards_of_sb3_are_fresh_arrays():
    dummy = DummyVecEnv(makers())
    venv = lrl.wrap(dummy, FakeEncoder(), novelty=Recorder())
    venv.reset()
    for time in range(1, 3):
        latents, rewards, _, infos = venv.step(np.zeros(N, int))
        assert rewards.dtype == np.float32
        rewards += 100  # as PPO adds the value of the terminal state of a truncated episode
        assert dummy.buf_rews.tolist() == [time] * N
        assert [info["extrinsic_reward"] for info in infos] == [time] * N
        assert [info["intrinsic_reward"] for info in infos] == pytest.approx(latents @ PRICES)


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
    again = vector.step(np.zeros(N, int))[-1]
    assert (again["intrinsic_reward"] < 50).all()


def test_without_a_bonus_the_infos_have_no_rewards():
    env, vector = lrl.wrap(Clock(), FakeEncoder()), lrl.wrap(SyncVectorEnv(makers()), FakeEncoder())
    venv = lrl.wrap(DummyVecEnv(makers()), FakeEncoder())
    env.reset()
    vector.reset()
    venv.reset()
    infos = [env.step(0)[-1], vector.step(np.zeros(N, int))[-1], venv.step(np.zeros(N, int))[-1][0]]
    assert not any("extrinsic_reward" in info or "intrinsic_reward" in info for info in infos)


def extrinsic_returns(count):
    """Return the extrinsic return of an episode of each length, with actions of 1."""
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
def test_a_monitor_below_logs_the_extrinsic_return(host):
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
        episode["r"] == pytest.approx(extrinsic_returns(20)[episode["l"]]) for episode in episodes
    )


def test_statistics_below_a_single_environment_are_extrinsic():
    env = lrl.wrap(RecordEpisodeStatistics(Clock()), FakeEncoder(), novelty=Recorder())
    env.reset()
    infos = [env.step(1)[-1] for _ in range(3)]
    assert infos[-1]["episode"]["r"] == extrinsic_returns(1)[3]


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
    """Keeps both rewards of each step."""

    def __init__(self):
        super().__init__()
        self.extrinsic, self.intrinsic = [], []

    def _on_step(self):
        self.extrinsic.append([info["extrinsic_reward"] for info in self.locals["infos"]])
        self.intrinsic.append([info["intrinsic_reward"] for info in self.locals["infos"]])
        return True

    def total(self):
        return np.array(self.extrinsic) + np.array(self.intrinsic)


def learning_env(normalised):
    venv = lrl.wrap(VecMonitor(DummyVecEnv(makers())), FakeEncoder(), novelty=Recorder())
    return VecNormalize(venv, norm_obs=False) if normalised else venv


def monitored(agent):
    """Return the extrinsic returns of the episodes in the agent's curves."""
    return {round(episode["r"], 1) for episode in agent.ep_info_buffer}


def possible_returns():
    """Return the extrinsic returns of episodes of 3 to 12 steps under any actions."""
    return {n * (n + 1) / 2 + 0.5 * k for n in range(3, 13) for k in range(n + 1)}


@pytest.mark.parametrize("normalised", [False, True])
def test_rewards_and_advantages_of_ppo_include_the_bonus(normalised):
    venv, kept = learning_env(normalised), Rewards()
    agent = PPO(
        "MlpPolicy", venv, n_steps=8, batch_size=8, n_epochs=1, gamma=0.0, seed=0, device="cpu"
    )
    agent.learn(8 * N, callback=kept)
    buffer, rewards = agent.rollout_buffer, kept.total()
    assert (np.array(kept.intrinsic) > 0).all()
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
    venv, kept = learning_env(normalised), Rewards()
    agent = DQN("MlpPolicy", venv, learning_starts=1000, buffer_size=20 * N, seed=0, device="cpu")
    agent.learn(20 * N, callback=kept)
    buffer, rewards = agent.replay_buffer, kept.total()
    assert buffer.rewards == pytest.approx(rewards)
    scale = np.sqrt(venv.ret_rms.var + 1e-8) if normalised else 1.0
    replayed = buffer.sample(500, env=agent._vec_normalize_env).rewards.numpy()
    assert np.abs(replayed - rewards.reshape(1, -1) / scale).min(1).max() < 1e-4
    assert len(np.unique(replayed)) > 30
    assert monitored(agent) <= possible_returns()


# What is refused.


class NoUpdate:
    def score(self, transitions):
        return np.zeros(len(transitions))


ANY_HOST = pytest.mark.parametrize(
    "host",
    [Clock, lambda: SyncVectorEnv(makers()), lambda: DummyVecEnv(makers())],
    ids=["Env", "VectorEnv", "VecEnv"],
)


@ANY_HOST
@pytest.mark.parametrize(
    "thing", [object(), 3, "counts", NoUpdate()], ids=lambda thing: type(thing).__name__
)
def test_what_is_no_bonus_is_refused(host, thing):
    message = rf"score\(transitions\) and update\(transitions\); {type(thing).__name__} lacks one"
    with pytest.raises(TypeError, match=message):
        lrl.wrap(host(), FakeEncoder(), novelty=thing)


@ANY_HOST
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (lambda count: np.full(count, np.nan), r"Bad\.score returned NaN or infinity"),
        (
            lambda count: np.ones((count, 1)),
            r"Bad\.score must return \d bonuses, got shape \(\d, 1\)",
        ),
        (lambda count: 1.0, r"Bad\.score must return \d bonuses, got shape \(\)"),
    ],
)
def test_wrong_scores_are_refused_by_the_name_of_the_class(host, scores, message):
    class Bad(NoUpdate):
        def score(self, transitions):
            return scores(len(transitions))

        def update(self, transitions):
            pass

    env = lrl.wrap(host(), FakeEncoder(), novelty=Bad())
    env.reset()
    with pytest.raises(ValueError, match=message):
        env.step(0 if isinstance(env, gym.Env) else np.zeros(N, int))


@pytest.fixture
def saved_encoder(tmp_path):
    return str(lrl.save(lrl.pca((32, 32, 3), latent_dim=4), tmp_path / "encoder"))


class Constant(NoUpdate):
    """A bonus that is equal for equal states, as the checkers demand of an environment."""

    def score(self, transitions):
        return transitions.next_observations.mean(axis=(1, 2, 3))

    def update(self, transitions):
        pass


class Misspelt(Constant):
    def on_reset(self, env_ids, observations, latents):
        pass


@ANY_HOST
def test_a_misspelt_method_is_refused(host):
    with pytest.raises(TypeError, match=r"Misspelt\.on_reset is no .* did you mean 'reset'\?"):
        lrl.wrap(host(), FakeEncoder(), novelty=Misspelt())


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
def test_gymnasiums_checker_passes(saved_encoder):
    novelty = Constant()
    env = lrl.wrap(
        gym.make("PixelReach-v0", render_mode="rgb_array"), saved_encoder, novelty=novelty
    )
    check_env(env)
    assert env.spec.additional_wrappers[-1].kwargs["novelty"] is novelty


def test_sb3s_checker_passes(saved_encoder):
    check_env_for_sb3(lrl.wrap(gym.make("PixelReach-v0"), saved_encoder, novelty=Constant()))
    check_env_for_sb3(lrl.wrap(Clock(keyed=True), FakeEncoder(), key="image", novelty=HashCounts()))
