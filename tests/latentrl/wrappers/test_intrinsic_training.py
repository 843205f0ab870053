"""``intrinsic.training = False``: an evaluation in the same environment leaves the bonus alone."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import latentrl as lrl
from tests.helpers import FakeEncoder
from tests.latentrl.wrappers.cases import Witness, makers, step_sb3, step_vector

SAME_STEP = AutoresetMode.SAME_STEP


def counting(venv: Any, bonus: Any) -> Any:
    return lrl.wrap(venv, FakeEncoder(), novelty=bonus)


def tensors(bonus: Any) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in bonus.state_dict().items()}


@pytest.mark.parametrize("mode", [*AutoresetMode, None])
def test_an_evaluation_calls_no_method_of_the_bonus(mode: AutoresetMode | None) -> None:
    bonus = Witness()
    bare = DummyVecEnv(makers()) if mode is None else SyncVectorEnv(makers(), autoreset_mode=mode)
    host = counting(bare, bonus)
    host.intrinsic.training = False
    logs = step_sb3(host) if mode is None else step_vector(host, mode)
    assert bonus.scored == bonus.updated == bonus.started == []
    for log in logs:
        assert np.array_equal(log[:, 0], log[:, 1])
        assert not log[:, 2].any()


def test_of_a_single_environment_rewards_are_extrinsic() -> None:
    bonus = Witness(range(1))
    env = counting(makers()[0](), bonus)
    env.intrinsic.training = False
    env.reset(seed=4)
    _, reward, *_, info = env.step(1)
    assert reward == info["extrinsic_reward"] == 1.5
    assert info["intrinsic_reward"] == 0
    assert isinstance(env, gym.Wrapper)
    assert bonus.scored == bonus.started == []


def test_the_training_continues_with_new_episodes_of_the_bonus() -> None:
    bonus = Witness()
    venv = counting(DummyVecEnv(makers()), bonus)
    venv.reset()
    actions = np.zeros(3, int)
    venv.step(actions)
    venv.intrinsic.training = False
    venv.step(actions)
    venv.intrinsic.training = True
    # ``Witness`` checks that each transition follows on a reset or on the step before.
    venv.step(actions)
    assert len(bonus.updated) == 2
    assert [latents[:, 1].tolist() for latents in bonus.started] == [[0, 0, 0], [2, 2, 2], [0]]


def test_a_policy_is_evaluated_in_the_environment_that_it_learns_in() -> None:
    bonus = lrl.NormalizedBonus(lrl.HashCounts(width=0.5), warmup=0)
    venv = VecNormalize(counting(DummyVecEnv(makers()), bonus), norm_reward=False)
    agent = PPO("MlpPolicy", venv, n_steps=8, batch_size=8, n_epochs=1, device="cpu").learn(48)
    before = tensors(bonus)
    assert bonus.metrics()["distinct_latents"] > 1
    venv.training = venv.intrinsic.training = False
    evaluate_policy(agent, venv, 4, warn=False)
    assert tensors(bonus) == before
    venv.training = venv.intrinsic.training = True
    agent.learn(24)
    assert tensors(bonus) != before


def test_environments_may_share_a_bonus_where_only_one_trains() -> None:
    bonus = Witness()
    learning, evaluating = (counting(DummyVecEnv(makers()), bonus) for _ in range(2))
    evaluating.intrinsic.training = False
    for venv in (learning, evaluating):
        venv.reset()
    for _ in range(3):
        learning.step(np.zeros(3, int))
        evaluating.step(np.ones(3, int))
    assert len(bonus.updated) == 3
