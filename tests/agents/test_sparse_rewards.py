"""The bonus that a training adds by itself, where the first episodes have the same return."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from stable_baselines3.common.running_mean_std import RunningMeanStd

import agents.train
from agents import sparse_rewards
from agents.bonuses import DEFAULT_NOVELTY, make_novelty
from agents.checkpoint import build, read_agent
from agents.episode import saved_novelty
from agents.model_state import load_model_tensors as load
from agents.parts import has_part, read_part
from agents.sparse_rewards import TIMESTEPS, SparseRewards
from agents.train import TrainConfig, train
from agents.venv import add_novelty
from scripts.studies.agent_runs import logged_rows
from tests.agents.small import make_venv, small_config, tiny_train

MESSAGE = "so the novelty bonus token_counts is added to the rewards and the agent starts anew"


def found(returns, timesteps=TIMESTEPS, before=0):
    """What the check says of a training with episodes of these returns."""
    said = []
    check = SparseRewards(said.append)
    check.model = SimpleNamespace(num_timesteps=before)
    check.num_timesteps = before
    check._on_training_start()
    for number in returns:
        check.locals = {"infos": [{"episode": {"r": number}}, {}]}
        assert check._on_step()
    for check.num_timesteps in (before + timesteps, before + timesteps + 1):
        check._on_rollout_end()
    return said


@pytest.mark.parametrize("before", [0, 3 * TIMESTEPS], ids=["new", "resumed"])
@pytest.mark.parametrize(
    ("returns", "sentence"),
    [
        ([0] * 8, "8 of 8 episodes have the return 0"),
        ([0.4, *[0] * 9], "9 of 10 episodes have the return 0"),
    ],
)
def test_sparse_rewards_are_found_once(returns, sentence, before):
    assert found(returns, before=before) == [sentence]


@pytest.mark.parametrize(
    "case",
    [
        ([0.4, 0.5, *[0] * 17],),
        ([-200] * 40,),
        ([0] * 7,),
        ([0] * 8, TIMESTEPS - 2),
        ([0] * 100, TIMESTEPS - 2, 2 * TIMESTEPS),
    ],
    ids=["two of 19 differ", "a price per step", "few episodes", "too early", "just resumed"],
)
def test_nothing_is_found(case):
    assert found(*case) == []


def test_the_verdict_is_final():
    """Later episodes, of an agent that forgot, do not count."""
    said = []
    check = SparseRewards(said.append)
    for returns in ([1] * 20, [0] * 1_000):
        check.locals = {"infos": [{"episode": {"r": number}} for number in returns]}
        check.num_timesteps += TIMESTEPS
        assert check._on_step()
        check._on_rollout_end()
    assert said == []


@pytest.fixture
def early(monkeypatch):
    """The verdict follows the first rollout with an episode."""
    monkeypatch.setattr(sparse_rewards, "TIMESTEPS", 64)
    monkeypatch.setattr(sparse_rewards, "LEAST", 1)


@pytest.fixture
def sparse(early, monkeypatch):
    """Every training counts as sparse."""
    monkeypatch.setattr(sparse_rewards, "MOST_OTHERS", 1.0)


def scored(run):
    """Transitions that the bonus of the last checkpoint has scored."""
    return read_part(run / "last", read_agent(run / "last")[2], "novelty")[1]["count"]


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_a_bonus_is_added_saved_and_resumed(algo, encoder, sparse, capsys):
    run = tiny_train(encoder, algo=algo).path
    assert run.name == f"{algo}-latent-1"
    assert MESSAGE in capsys.readouterr().out
    assert 0 < scored(run) <= 128, "it starts after the first episodes"
    before = scored(run)
    train(TrainConfig("PixelReach-v0", algo=algo, timesteps=256, resume=True))
    assert scored(run) == before + 64
    assert MESSAGE not in capsys.readouterr().out
    agent = read_agent(run / "last")[0]
    space = make_venv(agent, encoder).action_space
    assert saved_novelty(run, agent, encoder, space).count == scored(run)


def test_its_curves_start_with_it(encoder, sparse):
    run = tiny_train(encoder).path
    rollouts = [row for row in logged_rows(run) if row["rollout/ep_rew_mean"]]
    assert [bool(row["novelty/intrinsic_reward"]) for row in rollouts] == [False, True, True]


@pytest.mark.parametrize("flags", [{"novelty": None}, {"latent": False}], ids=str)
def test_some_agents_get_none(flags, encoder, sparse, capsys):
    run = tiny_train(encoder, **flags).path
    assert "is added" not in capsys.readouterr().out
    assert not has_part(run / "last", read_agent(run / "last")[2], "novelty")


def test_varying_returns_get_none(encoder, early, capsys):
    run = tiny_train(encoder).path
    assert "is added" not in capsys.readouterr().out
    assert "novelty/intrinsic_reward" not in logged_rows(run)[0]


def test_the_default_may_be_named_when_a_run_is_resumed(encoder, sparse):
    run = tiny_train(encoder).path
    flags = {"timesteps": 256, "out": run, "resume": True}
    with pytest.raises(ValueError, match="has novelty=token_counts, the call has novelty=counts"):
        train(TrainConfig("PixelReach-v0", novelty="counts", **flags))
    before = scored(run)
    train(TrainConfig("PixelReach-v0", novelty="token_counts", **flags))
    assert scored(run) == before + 64


def test_a_weight_may_be_given(encoder, sparse):
    run = tiny_train(encoder, novelty_weight=0.5).path
    rows = [row for row in logged_rows(run) if row["novelty/weight"]]
    assert {float(row["novelty/weight"]) for row in rows} == {0.5}


def test_rewards_have_a_new_scale(encoder):
    venv = make_venv(small_config(), encoder)
    venv.reset()
    for _ in range(5):
        venv.step(np.zeros(2, int))
    novelty = make_novelty(DEFAULT_NOVELTY, None, encoder, venv.action_space, 0.99, 0)
    add_novelty(venv, novelty)
    assert venv.ret_rms.count == RunningMeanStd(shape=()).count
    _, _, _, infos = venv.step(np.zeros(2, int))
    assert novelty.count == 2
    assert {"intrinsic_reward", "extrinsic_reward"} <= infos[0].keys()


def test_the_agent_starts_anew(encoder, sparse, monkeypatch):
    """What the noise of rewards that are all 0 has made of it is forgotten."""
    models, weights = [], []

    def take(*_):
        state = models[0].policy.state_dict().values()
        weights.append(torch.cat([value.flatten() for value in state]))

    def build_and_take(*arguments):
        models.append(build(*arguments))
        take()
        return models[0]

    monkeypatch.setattr(sparse_rewards, "TIMESTEPS", 128)  # the first 64 are learned from
    monkeypatch.setattr(agents.train, "build", build_and_take)
    monkeypatch.setattr(agents.train, "load_model_tensors", lambda *state: take() or load(*state))
    monkeypatch.setattr(agents.train, "tqdm", SimpleNamespace(write=take))
    tiny_train(encoder)
    initial, before, after = weights
    assert not torch.equal(initial, before)
    assert torch.equal(initial, after)
