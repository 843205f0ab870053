"""The mean of clipped actions, against samples."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import DiagGaussianDistribution

from agents.checkpoint import build
from agents.clipped_actions import ClippedGaussian, remove_units
from envs import Environment
from tests.agents.small import CONTINUOUS, REACH, make_venv, small_config
from tests.helpers import continuous_reach


@pytest.mark.parametrize("mean", [-1.3, -0.1, 0.4, 1.0, 2.5])
@pytest.mark.parametrize("deviation", [0.05, 0.3, 1.0])
def test_the_deterministic_action_is_the_mean_of_clipped_samples(mean, deviation):
    space = spaces.Box(np.float32([-1, 0, 0, -np.inf]), np.float32([1, 1, np.inf, np.inf]))
    clipped = ClippedGaussian(space).proba_distribution(
        torch.full((1, 4), mean), torch.full((4,), np.log(deviation))
    )
    generator = np.random.default_rng(0)
    samples = generator.normal(mean, deviation, (200_000, 4))
    expected = np.clip(samples, space.low, space.high).mean(0)
    found = clipped.get_actions(deterministic=True)[0]
    assert torch.allclose(found, torch.tensor(expected).float(), atol=5e-3 * deviation + 1e-6)
    assert found[3] == pytest.approx(mean, abs=1e-6), "no side is finite"


def test_actions_may_have_any_shape():
    low = np.float32([[-1, 0], [0, 0]])
    clipped = ClippedGaussian(spaces.Box(low, np.ones((2, 2), np.float32)))
    clipped.proba_distribution(torch.full((3, 4), -5.0), torch.full((4,), -4.0))
    assert torch.equal(clipped.mode(), torch.tensor(low).reshape(1, 4).expand(3, 4))


def test_a_policy_far_inside_is_as_in_sb3():
    clipped = ClippedGaussian(spaces.Box(-1, 1, (2,)))
    clipped.proba_distribution(torch.tensor([[0.25, -0.5]]), torch.full((2,), -4.0))
    assert torch.allclose(clipped.mode(), torch.tensor([[0.25, -0.5]]))


@pytest.mark.parametrize(
    ("low", "high", "centre", "unit"),
    [
        (0, 10, 5, 5),
        (-2, 2, 0, 2),
        (-100, 300, 100, 200),
        (0, 0.1, 0.05, 0.05),
        (5, 6, 5.5, 0.5),
        (-1, 1, 0, 1),
        (0, 1, 0, 1),
        (-1, 0, 0, 1),
        (-0.5, 1, 0, 1),
        (3, 3, 0, 1),
        (0, np.inf, 0, 1),
        (-3e38, 3e38, 0, 1),
        (-3e6, 3e6, 0, 1),
    ],
)
def test_outputs_are_in_units_of_the_range(low, high, centre, unit):
    mean, log_std = torch.tensor([[0.25], [-0.5]]), torch.tensor([-3.0])
    scaled = ClippedGaussian(spaces.Box(low, high, (1,))).proba_distribution(mean, log_std)
    plain = DiagGaussianDistribution(1).proba_distribution(mean, log_std)
    expected = centre + unit * plain.distribution.mean
    assert torch.allclose(scaled.distribution.mean, expected)
    assert torch.allclose(scaled.distribution.stddev, unit * plain.distribution.stddev)
    # Densities of the same actions differ by the change of the variable alone.
    actions = torch.tensor([[0.3], [0.7]])
    shifted = scaled.log_prob(centre + unit * actions) + np.log(unit)
    assert torch.allclose(shifted, plain.log_prob(actions), atol=1e-4)


def prices():
    env = continuous_reach()
    env.action_space = spaces.Box(np.float32([0, 40]), np.float32([10, 60]))
    step = env.step
    env.step = lambda action: step((action - [5, 50]) / [5, 10])
    return env


@pytest.mark.parametrize("scaled", [True, False])
def test_a_new_agent_explores_the_whole_range(scaled, encoder):
    kwargs = {"net_arch": [8], "log_std_init": -1.5}
    config = small_config("ppo", Environment(f"{__name__}:prices"), policy_kwargs=kwargs)
    venv = make_venv(config, encoder)
    model = build(dataclasses.replace(config, scaled_actions=scaled), venv)
    observations = np.repeat(venv.reset()[:1], 2_000, 0)
    actions, _ = model.predict(observations)
    low, high = np.quantile(actions, [0.02, 0.98], axis=0)
    assert ((low > [2, 44]) & (high < [8, 56]) & (high - low > [3, 6])).all() == scaled
    before, _ = model.predict(observations[:1], deterministic=True)
    remove_units(model)
    model.policy.action_dist = DiagGaussianDistribution(2)
    after, _ = model.predict(observations[:1], deterministic=True)
    if scaled:
        assert np.allclose(before, after, atol=1e-3)


def test_an_agent_acts_by_the_mean_of_its_actions(encoder):
    changes = {"policy_kwargs": {"net_arch": [8], "log_std_init": 0.5}}
    config = small_config("ppo", CONTINUOUS, **changes)
    venv = make_venv(config, encoder)
    model = build(config, venv)
    observations = np.repeat(venv.reset()[:1], 20_000, 0)
    samples, _ = model.predict(observations)
    action, _ = model.predict(observations[:1], deterministic=True)
    assert np.abs(samples).max() <= 1
    assert action[0] == pytest.approx(samples.mean(0), abs=0.02)


def test_other_policies_keep_their_distribution(encoder):
    for algo, environment, changes in (
        ("sac", CONTINUOUS, {}),
        ("ppo", REACH, {}),
        ("ppo", CONTINUOUS, {"use_sde": True}),
    ):
        config = small_config(algo, environment, **changes)
        policy = build(config, make_venv(config, encoder)).policy
        holder = getattr(policy, "actor", None) or policy
        assert not isinstance(holder.action_dist, ClippedGaussian)
