"""Agents on disk: the contract of resuming over all algorithms, and files that are refused."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.logger import configure
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.save_util import recursive_getattr
from stable_baselines3.common.vec_env import VecNormalize

import latentrl as lrl
from agents.algorithms import ALGORITHMS, find_algorithm
from agents.checkpoint import COUNTERS, WEIGHTS, build, read_agent, restore, save_agent
from agents.config import AgentConfig
from agents.evaluate import agent_folder
from envs import Environment
from latentrl.utils.io import write_tensors
from tests.agents.small import CASES, CONTINUOUS, REACH, make_venv, small_config, trained
from tests.helpers import same

OFF_POLICY = [case for case in CASES if issubclass(find_algorithm(case[0]).cls, OffPolicyAlgorithm)]


def test_every_algorithm_is_a_case_below():
    assert {algo for algo, _ in CASES} == set(ALGORITHMS)
    kinds = (OnPolicyAlgorithm, OffPolicyAlgorithm)
    assert all(issubclass(find_algorithm(algo).cls, kinds) for algo in ALGORITHMS)


def saved_and_restored(algo, environment, timesteps, encoder, folder):
    config = small_config(algo, environment)
    model, venv = trained(config, encoder, timesteps)
    save_agent(folder, config, model, venv, replay=True)
    assert read_agent(folder)[0] == config
    other_venv = make_venv(config, encoder, seed=50)
    other = build(config, other_venv, seed=60)
    assert not same(other.policy.state_dict(), model.policy.state_dict())
    restore(folder, other, other_venv)
    return model, venv, other, other_venv


@pytest.mark.parametrize(("algo", "environment"), CASES)
@pytest.mark.parametrize("timesteps", [64, 200])  # the replay buffer holds 80 transitions
def test_restore_brings_the_whole_state_back(algo, environment, timesteps, encoder, tmp_path):
    model, venv, other, other_venv = saved_and_restored(
        algo, environment, timesteps, encoder, tmp_path
    )
    assert same(model.policy.state_dict(), other.policy.state_dict())
    check_optimizers_and_variables(model, other)
    for name in (*COUNTERS.values(), *find_algorithm(algo).extra_state):
        assert getattr(other, name) == getattr(model, name), name
    assert model._n_updates > 0
    for name in ("obs_rms", "ret_rms"):
        before, after = vars(getattr(venv, name)), vars(getattr(other_venv, name))
        assert all(same(np.asarray(before[key]), np.asarray(after[key])) for key in before)
        assert before["count"] > timesteps / 2
    if isinstance(model, OffPolicyAlgorithm):
        check_replay_buffer(model.replay_buffer, other.replay_buffer, timesteps > 80)


def check_optimizers_and_variables(model, other):
    states, variables = model._get_torch_save_params()
    for name in states:
        before, after = (recursive_getattr(each, name) for each in (model, other))
        if isinstance(before, torch.optim.Optimizer):
            before, after = before.state_dict()["state"], after.state_dict()["state"]
            assert before.keys() == after.keys() != set()
            assert all(same(before[index], after[index]) for index in before)
    for name in variables:
        assert same(getattr(model, name).detach(), getattr(other, name).detach())


def check_replay_buffer(old, new, full):
    assert (old.pos, old.full) == (new.pos, new.full)
    assert old.full == full
    filled = old.buffer_size if old.full else old.pos
    for name in ("observations", "next_observations", "actions", "rewards", "dones"):
        assert same(getattr(old, name)[:filled], getattr(new, name)[:filled])
    newest = np.arange(filled) == (old.pos - 1) % filled
    assert same(old.timeouts[:filled][~newest], new.timeouts[:filled][~newest])


@pytest.mark.parametrize(("algo", "environment"), CASES)
def test_training_continues_the_same_from_an_equal_state(algo, environment, encoder, tmp_path):
    model, _, other, _ = saved_and_restored(algo, environment, 64, encoder, tmp_path)
    other.set_logger(configure(None, []))
    other._current_progress_remaining = model._current_progress_remaining
    if not isinstance(model, OffPolicyAlgorithm):  # a rollout is collected anew, so give it here
        other.rollout_buffer = copy.deepcopy(model.rollout_buffer)
    before = copy.deepcopy(model.policy.state_dict())
    for each in (model, other):
        np.random.seed(3)  # noqa: NPY002 - what SB3's buffers draw from
        torch.manual_seed(3)
        if isinstance(each, OffPolicyAlgorithm):
            each.train(gradient_steps=5, batch_size=8)
        else:
            each.train()
    assert same(model.policy.state_dict(), other.policy.state_dict())
    assert not same(model.policy.state_dict(), before)
    check_optimizers_and_variables(model, other)


def test_the_entropy_coefficient_of_sac_is_restored_and_stays_its_optimizers(encoder, tmp_path):
    model, _, other, _ = saved_and_restored("sac", CONTINUOUS, 64, encoder, tmp_path)
    assert model.log_ent_coef.item() != 0
    assert other.log_ent_coef.item() == model.log_ent_coef.item()
    assert other.ent_coef_optimizer.param_groups[0]["params"][0] is other.log_ent_coef


def test_a_fixed_entropy_coefficient_is_restored(encoder, tmp_path):
    config = small_config("sac", CONTINUOUS, ent_coef=0.3)
    model, venv = trained(config, encoder, 40)
    save_agent(tmp_path, config, model, venv)
    other = build(config, make_venv(config, encoder))
    other.ent_coef_tensor.zero_()
    restore(tmp_path, other, other.get_vec_normalize_env())
    assert other.ent_coef_tensor.item() == pytest.approx(0.3)


@pytest.mark.parametrize("algo", ["dqn", "qrdqn"])
def test_the_first_step_of_a_resumed_run_explores(algo, encoder, tmp_path):
    model, _, other, _ = saved_and_restored(algo, REACH, 64, encoder, tmp_path)
    assert other.exploration_rate == model.exploration_rate > 0
    assert other._n_calls == model._n_calls == 32


@pytest.mark.parametrize("algo", ["dqn", "qrdqn"])
def test_an_n_step_return_ends_where_a_run_was_interrupted(algo, encoder, tmp_path):
    config = small_config(algo, n_steps=5)
    model, venv = trained(config, encoder, 30)
    save_agent(tmp_path, config, model, venv, replay=True)
    other = build(config, make_venv(config, encoder))
    restore(tmp_path, other, other.get_vec_normalize_env())
    buffer, cut = other.replay_buffer, model.replay_buffer.pos - 1
    assert not model.replay_buffer.dones[cut].any()
    zeros = np.zeros_like(buffer.observations[0])
    for _ in range(5):
        buffer.add(zeros, zeros, np.zeros((2, 1)), np.ones(2), np.zeros(2), [{}, {}])
    for _ in range(5):  # the buffer draws an environment
        sample = buffer._get_samples(np.array([cut]))
        assert sample.rewards.item() in buffer.rewards[cut]
        assert sample.next_observations.numpy()[0] in buffer.next_observations[cut]
        assert sample.dones.item() == 0


@pytest.mark.parametrize(("algo", "environment"), OFF_POLICY)
def test_a_checkpoint_without_replay_buffer(algo, environment, encoder, tmp_path):
    config = small_config(algo, environment)
    model, venv = trained(config, encoder, 40)
    save_agent(tmp_path, config, model, venv)
    assert [file.name for file in tmp_path.iterdir()] == [WEIGHTS]
    other = build(config, make_venv(config, encoder))
    restore(tmp_path, other, other.get_vec_normalize_env())
    assert other.replay_buffer.pos == 0


def test_a_buffer_that_shares_observations_between_steps(encoder, tmp_path):
    shared = {"handle_timeout_termination": False}
    config = small_config("dqn", optimize_memory_usage=True, replay_buffer_kwargs=shared)
    model, venv = trained(config, encoder, 40)
    save_agent(tmp_path, config, model, venv, replay=True)
    other = build(config, make_venv(config, encoder))
    restore(tmp_path, other, other.get_vec_normalize_env())
    old, new = model.replay_buffer, other.replay_buffer
    newest = np.array([old.pos - 1])
    for i in range(2):  # the newest next observation is one row after the newest transition
        old_samples, new_samples = (b.observations[newest + 1, i] for b in (old, new))
        assert same(old_samples, new_samples)
        assert old_samples.any()


@pytest.mark.parametrize(("algo", "environment"), CASES)
def test_agents_on_pixels_are_saved_and_restored(algo, environment, tmp_path):
    pixels = lrl.Preprocessing(size=(36, 36), greyscale=True)
    changes = {"policy_kwargs": {"net_arch": [8]}, "batch_size": 8, "gradient_steps": 1}
    changes = {k: v for k, v in changes.items() if k in find_algorithm(algo).parameters()}
    config = small_config(algo, environment, pixels=pixels, **changes)
    model, venv = trained(config, None, 24 if algo == "sac" else 64)
    assert isinstance(venv, VecNormalize)
    assert not venv.norm_obs
    assert model.observation_space == spaces.Box(0, 255, (2, 36, 36), np.uint8)
    save_agent(tmp_path, config, model, venv, replay=True)
    other_venv = make_venv(config, None, training=False)
    other = build(config, other_venv, seed=9)
    restore(tmp_path, other, other_venv)
    images = other_venv.reset()
    actions = [each.predict(images, deterministic=True)[0] for each in (model, other)]
    assert same(*actions)
    assert same(model.policy.state_dict(), other.policy.state_dict())


# Files that are refused


@pytest.fixture
def saved_agent(encoder, tmp_path):
    config = small_config()
    venv = make_venv(config, encoder)
    save_agent(tmp_path / "agent", config, build(config, venv), venv)
    return tmp_path / "agent"


def test_no_agent(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no agent at .*nowhere: it has no agent\.safetensors"
    ):
        read_agent(tmp_path / "nowhere")
    with pytest.raises(
        FileNotFoundError, match=r"no agent at .*nowhere: expected .*best/agent\.safetensors"
    ):
        agent_folder(tmp_path / "nowhere")


def test_damaged_agents(saved_agent):
    file = saved_agent / WEIGHTS
    data = bytearray(file.read_bytes())
    data[-10] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged: its contents do not match their checksum"):
        read_agent(saved_agent)
    file.write_bytes(data[:-100])
    with pytest.raises(ValueError, match="is damaged: "):
        read_agent(saved_agent)


def test_files_of_something_else(saved_agent, encoder):
    lrl.save(encoder, saved_agent).joinpath("model.safetensors").rename(saved_agent / WEIGHTS)
    with pytest.raises(ValueError, match="was not written by latentrl: its header has no 'agent'"):
        read_agent(saved_agent)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (1, "was written by latentrl 0.2 or older: train it again"),
        (99, "has agent format 99, this version reads up to 3: update latentrl"),
    ],
)
def test_other_formats(number, message, saved_agent):
    write_tensors(saved_agent / WEIGHTS, {"x": torch.zeros(1)}, {"agent": {"format": number}})
    with pytest.raises(ValueError, match=message):
        read_agent(saved_agent)


def test_which_agent_of_a_run_is_best(saved_agent):
    run = saved_agent.parent
    saved_agent.rename(run / "last")
    assert agent_folder(run) == run / "last"
    (run / "last").rename(run / "best")
    assert agent_folder(run) == run / "best"


@pytest.mark.parametrize(
    "pixels", [None, lrl.Preprocessing((0, 12, 0, 0), (64, 64), True), lrl.Preprocessing()]
)
@pytest.mark.parametrize(("algo", "environment"), CASES)
def test_agent_configs_convert_to_json_and_back(algo, environment, pixels):
    hyperparameters = small_config(algo, environment).hyperparameters
    car = Environment("CarRacing-v2", frame_skip=4, discrete=True, render_size=48)
    config = AgentConfig(car, algo, 3, hyperparameters, pixels, pixels is None)
    assert AgentConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert config.latent == (pixels is None)
