"""The mean of clipped actions, against samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.checkpoint import build
from agents.clipped_actions import ClippedGaussian
from tests.agents.small import CONTINUOUS, REACH, make_venv, small_config


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
