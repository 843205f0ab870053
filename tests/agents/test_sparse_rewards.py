"""The bonus that a training adds by itself, where the first episodes have the same return."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from stable_baselines3.common.running_mean_std import RunningMeanStd

from agents import sparse_rewards
from agents.bonuses import DEFAULT_NOVELTY, make_novelty
from agents.checkpoint import read_agent
from agents.episode import saved_novelty
from agents.parts import has_part, read_part
from agents.sparse_rewards import FIRST_TIMESTEPS, SparseRewards
from agents.train import TrainConfig, train
from agents.venv import add_novelty
from scripts.studies.agent_runs import logged_rows
from tests.agents.small import make_venv, small_config, tiny_train

MESSAGE = "so that the novelty bonus token_counts is added to the rewards; --novelty None trains"


def found(returns, timesteps=FIRST_TIMESTEPS, before=0):
    """What the check says of a training with episodes of these returns."""
    said = []
    check = SparseRewards(said.append)
    check.model = SimpleNamespace(num_timesteps=before)
    check.num_timesteps = before
    check._on_training_start()
    for number in returns:
        check.locals = {"infos": [{"episode": {"r": number}}, {}]}
        assert check._on_step()
    for check.num_timesteps in (timesteps, timesteps + 1):
        check._on_rollout_end()
    return said


@pytest.mark.parametrize(
    ("returns", "sentence"),
    [
        ([0] * 8, "8 of the first 8 episodes have the return 0"),
        ([-200] * 40, "40 of the first 40 episodes have the return -200"),
        ([0.4, *[0] * 9], "9 of the first 10 episodes have the return 0"),
    ],
)
def test_equal_returns_are_found_once(returns, sentence):
    assert found(returns) == [sentence]


@pytest.mark.parametrize(
    "case",
    [
        ([0.4, 0.5, *[0] * 17],),
        (list(range(30)),),
        ([0] * 7,),
        ([0] * 8, FIRST_TIMESTEPS - 2),
        ([0] * 100, 2 * FIRST_TIMESTEPS, FIRST_TIMESTEPS),
    ],
    ids=["two of 19 differ", "all differ", "few episodes", "too early", "resumed"],
)
def test_nothing_is_found(case):
    assert found(*case) == []


@pytest.fixture
def sparse(monkeypatch):
    """Every training counts as sparse after its first rollout."""
    monkeypatch.setattr(sparse_rewards, "FIRST_TIMESTEPS", 64)
    monkeypatch.setattr(sparse_rewards, "LEAST", 1)
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


@pytest.mark.parametrize(
    "flags", [{"novelty": None}, {"latent": False}, {}], ids=["None", "pixels", "dense"]
)
def test_others_get_none(flags, encoder, request, capsys):
    if flags:
        request.getfixturevalue("sparse")
    run = tiny_train(encoder, **flags).path
    assert "novelty bonus token_counts is added" not in capsys.readouterr().out
    assert not has_part(run / "last", read_agent(run / "last")[2], "novelty")


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
