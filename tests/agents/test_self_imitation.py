"""An on-policy agent that repeats its past episodes where they were better than expected."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from agents.algorithms import ALGORITHMS, find_algorithm
from agents.checkpoint import read_agent
from agents.good_episodes import REPLAYS
from agents.parts import has_part, read_part
from agents.runs import env_folder
from agents.self_imitation import (
    BATCH_SIZE,
    BATCHES,
    VALUE_WEIGHT,
    WEIGHT,
    SelfImitation,
    imitation_loss,
    keeps_episodes,
)
from agents.train import train
from agents.train_config import FLAGS_FILE, TrainConfig
from latentrl.utils.io import write_json
from tests.agents.small import tiny_train
from tests.helpers import Clock, same


class Numbers(Clock):
    """Clock, observed as its time, with a reward only at the end of every third episode."""

    def __init__(self, actions=None, goal=5.0):
        super().__init__(1)
        self.observation_space = spaces.Box(-1, 99, (1,), np.float32)
        self.action_space = actions or spaces.Discrete(2)
        self.goal = goal

    def _observe(self):
        return np.array([self.time], np.float32)

    def step(self, action):
        observation, _, terminated, truncated, info = super().step(0)
        ended = terminated or truncated
        return (
            observation,
            self.goal * (ended and self.episode % 3 == 2),
            terminated,
            truncated,
            info,
        )


def small(cls=PPO, actions=None, n_envs=2):
    venv = VecMonitor(DummyVecEnv([lambda: Numbers(actions)] * n_envs))
    kwargs = {"batch_size": 16} if cls is PPO else {}
    return cls("MlpPolicy", venv, n_steps=16, seed=0, device="cpu", gamma=0.5, **kwargs)


def learned(cls=PPO, actions=None, timesteps=256, n_envs=2):
    model = small(cls, actions, n_envs)
    imitation = SelfImitation(model, seed=0)
    return model.learn(timesteps, callback=imitation), imitation


ACTIONS = [
    *(spaces.Discrete(3), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2)),
    *(spaces.Box(-1, 1, shape, np.float32) for shape in ((2,), (2, 2), (3, 1), (1, 3), (1, 1), ())),
]


@pytest.mark.parametrize("actions", ACTIONS, ids=str)
def test_every_kind_of_actions(actions, monkeypatch):
    model, imitation = learned(actions=actions)
    assert len(imitation.episodes)
    assert not same(
        model.policy.state_dict(), small(actions=actions).learn(256).policy.state_dict()
    )
    assert same(model.policy.state_dict(), learned(actions=actions)[0].policy.state_dict())
    with monkeypatch.context() as patch:
        evaluate, given = model.policy.evaluate_actions, []
        record = lambda *pair: given.append(pair[1]) or evaluate(*pair)  # noqa: E731
        patch.setattr(model.policy, "evaluate_actions", record)
        model.train()
        imitation.on_rollout_start()
    assert len({batch.shape[1:] for batch in given}) == 1, "as SB3 flattens them"


def test_another_algorithm_that_learns_from_rollouts():
    assert len(learned(A2C)[1].episodes)


def test_only_episodes_better_than_usual_are_kept():
    part, _ = learned(n_envs=1, timesteps=256)[1].episodes.part()
    times, rewards = part["observations"][:, 0].numpy(), part["rewards"].numpy()
    episodes = np.split(np.arange(len(times)), np.flatnonzero(times == 0)[1:])
    # Episode k lasts 4 + k timesteps, every third one has the reward, and even ones terminate.
    assert [len(rows) for rows in episodes] == [6, 9, 12, 15, 18, 21]
    for rows in episodes:
        np.testing.assert_array_equal(times[rows], np.arange(len(rows)))
        assert rewards[rows].tolist() == [*[0.0] * (len(rows) - 1), 5.0]
        assert part["ends"][rows].tolist() == [*[False] * (len(rows) - 1), True]
        assert bool(part["values_after"][rows[-1]]) == (len(rows) % 2 == 1), "of the truncated"


def test_a_truncated_episode_has_the_value_of_what_follows():
    model = small(n_envs=1)
    imitation = SelfImitation(model, 0)
    imitation.init_callback(model)
    model._last_obs = np.zeros((1, 1), np.float32)
    terminal = np.array([3.0], np.float32)
    value = float(model.policy.predict_values(torch.tensor([[3.0]])).detach())
    for number, truncated in enumerate([False, True, False]):
        info = {
            "episode": {"r": float(number)},
            "TimeLimit.truncated": truncated,
            "terminal_observation": terminal,
        }
        imitation.update_locals(
            {"infos": [info], "rewards": [2.0], "actions": np.array([1]), "dones": [True]}
        )
        imitation.on_step()
    part, _ = imitation.episodes.part()
    assert part["rewards"].tolist() == [2, 2]
    assert part["values_after"].tolist() == pytest.approx([value, 0])


def test_rewards_without_the_bonus():
    model = small(n_envs=1)
    imitation = SelfImitation(model, 0)
    imitation.init_callback(model)
    model._last_obs = np.zeros((1, 1), np.float32)
    for total in (0.0, 1.0):
        info = {"episode": {"r": total}, "extrinsic_reward": 3.0}
        imitation.update_locals(
            {"infos": [info], "rewards": [9.0], "actions": np.array([1]), "dones": [True]}
        )
        imitation.on_step()
    assert imitation.episodes.part()[0]["rewards"].tolist() == [3.0]


def ready(returns, action=1):
    """A model that has kept timesteps of one action with these returns."""
    model = small()
    model.set_logger(Logger(None, []))
    imitation = SelfImitation(model, 0)
    imitation.init_callback(model)
    for number in returns:  # each one an episode of its own
        observation = np.ones((1, 1), np.float32)
        imitation.episodes.add(observation, np.array([action]), np.array([number]), 0.0)
    imitation.episodes.budget = 8 * BATCH_SIZE
    return model, imitation


def log_prob(model, action=1):
    distribution = model.policy.get_distribution(torch.ones(1, 1))
    return float(distribution.log_prob(torch.tensor([action])).detach())


@pytest.mark.parametrize("action", [0, 1])
def test_actions_with_high_returns_become_likely(action):
    model, imitation = ready([5.0] * 8, action)
    before = log_prob(model, action)
    imitation.on_rollout_start()
    assert log_prob(model, action) > before


class Rare(Numbers):
    """The fiftieth of the reward, as a bonus makes it beside a rare goal."""

    def __init__(self):
        super().__init__(goal=0.1)


def test_returns_are_in_the_units_of_the_values():
    """Values predict normalised rewards: in raw ones no return of a small reward exceeds them."""
    venv = VecNormalize(VecMonitor(DummyVecEnv([Rare] * 2)), gamma=0.5)
    model = PPO("MlpPolicy", venv, n_steps=16, batch_size=16, seed=0, device="cpu", gamma=0.5)
    imitation = SelfImitation(model, 0)
    model.learn(256, callback=imitation)
    unit = float(np.sqrt(venv.ret_rms.var + venv.epsilon))
    assert imitation._unit == pytest.approx(unit)
    returns = imitation.episodes.returns(imitation._normalized, imitation._unit, 0.5)
    arrays, rows = imitation.episodes.arrays, imitation.episodes.rows
    terminated = rows[arrays["ends"][rows] & (arrays["values_after"][rows] == 0)]
    assert len(terminated)
    assert returns[terminated] == pytest.approx(min(10, 0.1 / unit), rel=1e-5)
    assert 0.1 / unit > 1


def test_nothing_is_learned_from_returns_below_the_values():
    model, imitation = ready([-5.0] * 8)
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    imitation.on_rollout_start()
    assert same(before, model.policy.state_dict())


def test_the_loss_is_that_of_the_paper():
    log_probs = torch.tensor([-0.5, -2.0], requires_grad=True)
    advantages = torch.tensor([3.0, 1.0], requires_grad=True)
    loss = imitation_loss(log_probs, advantages)
    assert loss.item() == pytest.approx(WEIGHT * ((1.5 + 2) / 2 + VALUE_WEIGHT * (9 + 1) / 2 / 2))
    loss.backward()
    np.testing.assert_allclose(log_probs.grad, [-WEIGHT * 3 / 2, -WEIGHT / 2], rtol=1e-6)
    np.testing.assert_allclose(advantages.grad, np.array([3, 1]) * WEIGHT * VALUE_WEIGHT / 2)


def ended(imitation, number, timesteps):
    """End an episode of a return in the first environment."""
    imitation._open.clear()
    for _ in range(timesteps):
        zeros = np.zeros((2, 1), np.float32)
        imitation._open.add(zeros, np.zeros(2, int), np.full(2, number, np.float32))
    imitation._end(0, {"episode": {"r": number}})


def steps_after(imitation, monkeypatch, rollouts):
    """Gradient steps between the next rollouts."""
    batches = []
    monkeypatch.setattr(imitation, "_learn", lambda returns: batches.append(1) or 0.0)
    counts = []
    for _ in range(rollouts):
        imitation.on_rollout_start()
        counts.append(len(batches) - sum(counts))
    return counts


def test_each_timestep_is_replayed_a_limited_number_of_times(monkeypatch):
    _, imitation = ready([])
    imitation.episodes.budget = 0
    ended(imitation, 0.0, 9)
    ended(imitation, 1.0, 200)
    assert len(imitation.episodes) == 200
    full, rest = divmod(REPLAYS * 200 // BATCH_SIZE, BATCHES)
    counts = steps_after(imitation, monkeypatch, full + 4)
    assert counts == [0, *[BATCHES] * full, rest, 0, 0]


def test_a_rollout_with_a_good_episode_needs_none(monkeypatch):
    _, imitation = ready([])
    ended(imitation, 0.0, 9)
    counts = []
    for number in (1.0, 0.0, 2.0, 0.0):
        ended(imitation, number, 200)
        counts += steps_after(imitation, monkeypatch, 1)
    assert counts == [0, BATCHES, 0, BATCHES]


def test_cleared():
    _, imitation = ready([5.0] * 8)
    assert len(imitation.episodes) == 8
    imitation.clear()
    assert len(imitation.episodes) == 0


@pytest.mark.parametrize(
    "algo", [a for a in ALGORITHMS if issubclass(find_algorithm(a).cls, OffPolicyAlgorithm)]
)
def test_algorithms_with_a_replay_buffer_need_none(algo):
    with pytest.raises(ValueError, match=f"from rollouts; {algo} has a replay buffer of past"):
        keeps_episodes(TrainConfig(algo=algo, self_imitation=True))
    assert not keeps_episodes(TrainConfig(algo=algo))


@pytest.mark.parametrize(
    ("flags", "keeps"),
    [
        ({}, True),
        ({"self_imitation": False}, False),
        *(({"novelty": name}, False) for name in (None, "token_counts")),
        ({"latent": False}, False),
        ({"novelty": None, "self_imitation": True}, True),
    ],
    ids=str,
)
def test_the_verdict_on_the_rewards_needs_the_episodes_of_before(flags, keeps):
    assert keeps_episodes(TrainConfig(**flags)) == keeps


def test_kept_episodes_wait_for_the_decision():
    model, imitation = ready([5.0] * 8)
    imitation._learns = False
    before = log_prob(model)
    imitation.on_rollout_start()
    assert log_prob(model) == before
    imitation.decide(True)
    imitation.on_rollout_start()
    assert log_prob(model) > before


def test_nothing_is_kept_after_a_decision_against_it():
    model = small()
    imitation = SelfImitation(model, 0, learns=False)
    imitation.init_callback(model)
    imitation.decide(False)
    model.learn(256, callback=imitation)
    assert not len(imitation.episodes)


def kept(run):
    """Timesteps of good episodes in the last checkpoint; None where it holds none."""
    last = run / "last"
    notes = read_agent(last)[2]
    if not has_part(last, notes, "good_episodes"):
        return None
    return read_part(last, notes, "good_episodes")[0]["rewards"].tolist()


def recent(run):
    """Returns in the last checkpoint that the next ones are compared with."""
    last = run / "last"
    return read_part(last, read_agent(last)[2], "good_episodes")[1]["recent"]


def test_a_resumed_training_has_the_episodes_of_before(encoder, capsys):
    run = tiny_train(encoder, timesteps=512, novelty="rnd", self_imitation=True).path
    assert "self-imitation" in capsys.readouterr().out
    before = kept(run)
    assert before
    returns = recent(run)
    assert len(returns) > 9
    train(TrainConfig("PixelReach-v0", timesteps=512, novelty="rnd", resume=True))
    assert recent(run) == returns
    train(TrainConfig("PixelReach-v0", timesteps=1024, novelty="rnd", resume=True))
    assert kept(run)[: len(before)] == before
    assert read_part(run / "last", read_agent(run / "last")[2], "good_episodes")[1]["budget"] > 0
    assert len(kept(run)) > len(before)


def test_a_run_of_before_continues_without(encoder):
    run = tiny_train(encoder, timesteps=64, novelty="rnd").path
    flags = json.loads((run / FLAGS_FILE).read_text())
    del flags["self_imitation"]
    write_json(run / FLAGS_FILE, flags)
    train(TrainConfig("PixelReach-v0", timesteps=512, novelty="rnd", resume=True))
    assert kept(run) is None


def test_agents_on_pixels(encoder):
    flags = {"latent": False, "novelty": None, "self_imitation": True}
    assert kept(tiny_train(encoder, timesteps=512, **flags).path)


def test_a_flag_that_the_algorithm_cannot_follow(encoder):
    with pytest.raises(ValueError, match="remove --self-imitation"):
        tiny_train(encoder, algo="dqn", self_imitation=True)
    assert not (env_folder("agents", "PixelReach-v0")).exists()
