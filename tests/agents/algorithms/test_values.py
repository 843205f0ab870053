"""Values that algorithms estimate, against their networks one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.algorithms import find_algorithm
from agents.checkpoint import build
from tests.agents.small import CASES, make_venv, small_config


def q_of_action(model, observations, actions):
    """The estimates of each network for given actions, ``(networks, B)``."""
    policy, tensors = model.policy, torch.as_tensor(observations)
    if hasattr(policy, "critic"):
        bounds = policy.scale_action(actions)
        return torch.stack([q[:, 0] for q in policy.critic(tensors, torch.as_tensor(bounds))])
    quantiles = getattr(policy, "quantile_net", None)
    q = policy.q_net(tensors) if quantiles is None else quantiles(tensors).mean(1)
    return q.gather(1, torch.as_tensor(actions)[:, None]).T


@pytest.mark.parametrize(
    ("algo", "environment"), [case for case in CASES if find_algorithm(case[0]).value is not None]
)
def test_values_are_those_of_the_action_that_the_policy_takes(algo, environment, encoder):
    config = small_config(algo, environment)
    venv = make_venv(config, encoder)
    model, observations = build(config, venv, seed=1), venv.reset()
    values = find_algorithm(algo).value(model, observations)
    assert values.shape == (2,)
    with torch.no_grad():
        if hasattr(model.policy, "value_net"):
            tensors = torch.as_tensor(observations)
            features = model.policy.mlp_extractor.forward_critic(
                model.policy.extract_features(tensors)
            )
            expected = model.policy.value_net(features)[:, 0]
        else:
            actions = model.predict(observations, deterministic=True)[0]
            expected = q_of_action(model, observations, actions).amin(0)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    venv.close()
