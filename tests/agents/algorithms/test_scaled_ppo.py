"""Advantages in units of their standard deviation over many rollouts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger

from agents.algorithms.scaled_ppo import MEMORY, ScaledPPO
from tests.helpers import Clock, same

SIZES = {"n_steps": 16, "batch_size": 16, "n_epochs": 2, "seed": 0, "device": "cpu"}


def built(cls, **changes):
    return cls("MlpPolicy", Clock(0), **{**SIZES, **changes})


def learn(cls, **changes):
    return built(cls, **changes).learn(64).policy.state_dict()


@pytest.fixture
def model():
    model = built(ScaledPPO)
    model.set_logger(Logger(None, []))
    return model


def scaled(model, advantages):
    model.rollout_buffer.advantages = np.array(advantages, np.float32)
    model._scale_advantages()
    return model.rollout_buffer.advantages


def test_a_first_rollout_is_scaled_by_itself(model, rng=np.random.default_rng(0)):
    advantages = 3 + 0.01 * rng.normal(size=(16, 4))
    expected = (advantages - advantages.mean()) / advantages.std()
    np.testing.assert_allclose(scaled(model, advantages), expected, atol=1e-3)


def test_rollouts_without_a_goal_stay_small(model, rng=np.random.default_rng(0)):
    goal, bonus = rng.normal(size=(16, 4)), 0.01 * rng.normal(size=(16, 4))
    stds = [scaled(model, each).std() for each in (bonus, goal, bonus)]
    # The definition: weights MEMORY^k of rollouts k before, normalised to a sum of 1.
    weights = MEMORY ** np.arange(2, -1, -1.0)
    variances = np.array([bonus.var(), goal.var(), bonus.var()])
    std = np.sqrt(weights @ variances / weights.sum())
    assert stds[0] == pytest.approx(1, rel=1e-4)
    assert stds[2] == pytest.approx(bonus.std() / std, rel=1e-4)
    assert stds[2] < 0.05 < 1 < stds[1]


def test_equal_advantages_become_zero(model):
    assert scaled(model, np.full((16, 1), 0.3)).tolist() == [[0.0]] * 16


def test_without_scaling_it_is_ppo():
    plain, own = (learn(cls, normalize_advantage=False) for cls in (PPO, ScaledPPO))
    assert same(plain, own)
    assert not same(learn(PPO), learn(ScaledPPO))


def test_an_error_in_an_update_leaves_the_scaling_on(model, monkeypatch):
    monkeypatch.setattr(PPO, "train", lambda _: torch.zeros(1).item() / 0)
    with pytest.raises(ZeroDivisionError):
        model.train()
    assert model.normalize_advantage
