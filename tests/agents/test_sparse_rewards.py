"""The bonus of the default, which a training removes where rewards are not sparse."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from agents import sparse_rewards
from agents.bonuses import DEFAULT_WEIGHT
from agents.checkpoint import read_agent
from agents.episode import saved_novelty
from agents.parts import has_part, read_part
from agents.sparse_rewards import TIMESTEPS, SparseRewards
from agents.train import TrainConfig, train
from latentrl.novelty.adaptive import Adaptive
from scripts.studies.agent_runs import logged_rows
from tests.agents.small import CHANGES, as_words, make_venv, tiny_train

KEPT = "so the novelty bonus adaptive (token_counts) stays"
IMITATES = ", and the agent imitates its good episodes; a new run with --novelty None has neither"
NO_MORE = "; a new run with --novelty None has none"
REMOVED = "so the novelty bonus adaptive (token_counts) is removed"


COSTLY = "episodes are truncated, or as long as any, at a cost of"


def judged(returns, timesteps=TIMESTEPS, before=0, truncated=False, lengths=None):
    """The verdicts on a training with episodes of these returns, by default of varying lengths."""
    lengths = range(100, 100 + len(returns)) if lengths is None else lengths
    verdicts = []
    check = SparseRewards(lambda *verdict: verdicts.append(verdict))
    check.model = SimpleNamespace(num_timesteps=before)
    check.num_timesteps = before
    check._on_training_start()
    for number, length in zip(returns, lengths, strict=True):
        info = {"episode": {"r": number, "l": length}, "TimeLimit.truncated": truncated}
        check.locals = {"infos": [info, {}], "dones": [True, False]}
        assert check._on_step()
    for check.num_timesteps in (before + timesteps, before + timesteps + 1):
        check._on_rollout_end()
    return verdicts


@pytest.mark.parametrize("before", [0, 3 * TIMESTEPS], ids=["new", "resumed"])
@pytest.mark.parametrize(
    ("returns", "verdict"),
    [
        ([0] * 8, (True, "8 of 8 episodes have the return 0")),
        ([0.4, 0.5, *[0] * 3] * 4, (True, "12 of 20 episodes have the return 0")),
        ([0, 1] * 20, (False, "20 of 40 episodes have the return 0")),
        (
            [-200] * 40,
            (False, "0 of 40 episodes have the return 0"),
        ),
    ],
)
def test_the_verdict_is_given_once(returns, verdict, before):
    assert judged(returns, before=before) == [verdict]


@pytest.mark.parametrize(
    ("returns", "truncated", "lengths", "verdict"),
    [
        ([-200] * 40, True, [200] * 40, (True, f"40 of 40 {COSTLY} 1 per timestep")),
        (
            [*range(1, 21), *[-7] * 12],
            True,
            [70] * 32,
            (False, "0 of 32 episodes have the return 0"),
        ),
        ([*[-200] * 9, *[0] * 7], True, [200] * 16, (True, f"9 of 16 {COSTLY} 1 per")),
        ([-0.3 * n for n in range(50, 90)], True, range(50, 90), (True, f"40 of 40 {COSTLY} 0.3")),
        ([-200] * 40, False, [200] * 40, (True, f"40 of 40 {COSTLY} 1 per")),
        (
            [*[-200] * 30, *[-150] * 10],
            False,
            [*[200] * 30, *[150] * 10],
            (True, f"30 of 40 {COSTLY}"),
        ),
        ([0] * 40, True, [9] * 40, (True, "40 of 40 episodes have the return 0")),
        ([200] * 40, True, [200] * 40, (False, "0 of 40 episodes have the return 0")),
        ([-1] * 40, False, range(9, 49), (False, "0 of 40 episodes have the return 0")),
        ([*range(-200, -160)], True, [200] * 40, (False, "0 of 40 episodes have the return 0")),
        ([*range(-205, -195)], True, [999] * 10, (True, f"10 of 10 {COSTLY} 0.201 per timestep")),
    ],
)
def test_one_cost_per_timestep_until_the_time_limit_says_nothing(
    returns, truncated, lengths, verdict
):
    ((sparse, found),) = judged(returns, truncated=truncated, lengths=lengths)
    assert sparse == verdict[0]
    assert found.startswith(verdict[1])


def test_sums_of_float32_have_one_cost():
    lengths = [100, 777, 2_500, 5_000]
    returns = [float(np.cumsum(np.full(n, -0.1, np.float32))[-1]) for n in lengths]
    ((sparse, found),) = judged(returns * 2, truncated=True, lengths=lengths * 2)
    assert sparse
    assert found == f"8 of 8 {COSTLY} 0.1 per timestep"


@pytest.mark.parametrize(
    "case",
    [([0] * 7,), ([0] * 8, TIMESTEPS - 2), ([0] * 100, TIMESTEPS - 2, 2 * TIMESTEPS)],
    ids=["few episodes", "few timesteps", "few since the resume"],
)
def test_the_verdict_waits(case):
    assert judged(*case) == []


def test_a_training_that_ends_before_the_verdict_says_so(encoder, capsys):
    tiny_train(encoder, timesteps=64)
    words = "shows after 20,000 timesteps and 8 episodes, of which it had 64 and "
    assert words in capsys.readouterr().out
    tiny_train(encoder, timesteps=64, novelty=None)
    assert words not in capsys.readouterr().out


def test_the_verdict_is_final():
    """Later episodes, of an agent that forgot, do not count."""
    verdicts = []
    check = SparseRewards(lambda *verdict: verdicts.append(verdict))
    for returns in ([1] * 20, [0] * 1_000):
        infos = [{"episode": {"r": number, "l": 9}} for number in returns]
        check.locals = {"infos": infos, "dones": [True] * len(infos)}
        check.num_timesteps += TIMESTEPS
        assert check._on_step()
        check._on_rollout_end()
    assert verdicts == [(False, "0 of 20 episodes have the return 0")]


@pytest.fixture
def early(monkeypatch):
    """The verdict comes within a tiny training."""
    monkeypatch.setattr(sparse_rewards, "TIMESTEPS", 64)
    monkeypatch.setattr(sparse_rewards, "LEAST", 1)


@pytest.fixture
def dense(early, monkeypatch):
    """No training counts as sparse."""
    monkeypatch.setattr(sparse_rewards, "MOST", 1.0)


@pytest.fixture
def sparse(early, monkeypatch):
    """Every training counts as sparse."""
    monkeypatch.setattr(sparse_rewards, "MOST", -1.0)


def scored(run):
    """Transitions that the bonus of the last checkpoint has scored; None without a bonus."""
    last = run / "last"
    notes = read_agent(last)[2]
    return (
        read_part(last, notes, "novelty")[1]["count"] if has_part(last, notes, "novelty") else None
    )


def flag(run, name="novelty"):
    return json.loads((run / "training.json").read_text())[name]


def keeps_episodes(run):
    return has_part(run / "last", read_agent(run / "last")[2], "good_episodes")


def test_truncations_of_real_episodes_count(encoder, early, monkeypatch, capsys):
    monkeypatch.setattr(sparse_rewards, "MOST", 0.0)
    monkeypatch.setattr(sparse_rewards, "TIMESTEPS", 192)
    tiny_train(encoder)
    assert f"{COSTLY} 0.05 per timestep, {KEPT}" in capsys.readouterr().out


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_the_bonus_stays_where_rewards_are_sparse(algo, encoder, sparse, capsys):
    run = tiny_train(encoder, algo=algo).path
    assert run.name == f"{algo}-latent-1"
    assert KEPT in capsys.readouterr().out
    assert (flag(run), scored(run)) == ("adaptive", 192)
    train(TrainConfig("PixelReach-v0", algo=algo, timesteps=256, resume=True))
    assert KEPT not in capsys.readouterr().out, "it is not judged again"
    assert scored(run) == 256
    agent = read_agent(run / "last")[0]
    space = make_venv(agent, encoder).action_space
    assert saved_novelty(run, agent, encoder, space).count == 256


@pytest.mark.parametrize(
    ("given", "algo", "switched", "imitates"),
    [
        (None, "ppo", False, True),
        (None, "ppo", True, False),
        (None, "dqn", False, False),
        (False, "ppo", False, False),
        (True, "ppo", True, True),
    ],
)
def test_agents_with_counts_that_return_imitate_themselves(
    given, algo, switched, imitates, encoder, sparse, monkeypatch, capsys
):
    monkeypatch.setattr(Adaptive, "recurs", not switched)
    run = tiny_train(encoder, algo=algo, self_imitation=given).path
    by_default = imitates and given is None
    assert KEPT + (IMITATES if by_default else NO_MORE) in capsys.readouterr().out
    assert flag(run, "self_imitation") == imitates
    assert keeps_episodes(run) == imitates
    train(TrainConfig("PixelReach-v0", algo=algo, timesteps=256, resume=True))
    assert keeps_episodes(run) == imitates


def test_agents_without_the_bonus_do_not(encoder, dense):
    run = tiny_train(encoder).path
    assert flag(run, "self_imitation") is False
    assert not keeps_episodes(run)


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
@pytest.mark.parametrize("weight", [None, 0.5])
def test_it_is_removed_elsewhere(weight, algo, encoder, dense, capsys):
    run = tiny_train(encoder, algo=algo, novelty_weight=weight).path
    assert REMOVED in capsys.readouterr().out
    assert (flag(run), scored(run)) == (None, None)
    rows = [row for row in logged_rows(run) if row["time/total_timesteps"]]
    curve = [row["novelty/weight"] for row in rows]
    assert curve[0] == str(weight or DEFAULT_WEIGHT)
    assert curve[-1] == "", "the curves end with the bonus"
    flags = {"algo": algo, "novelty_weight": weight, "resume": True}
    train(TrainConfig("PixelReach-v0", timesteps=256, **flags))
    assert REMOVED not in capsys.readouterr().out
    assert (flag(run), scored(run)) == (None, None)


def test_a_run_that_is_resumed_before_the_verdict_is_judged(encoder, dense, monkeypatch, capsys):
    monkeypatch.setattr(sparse_rewards, "TIMESTEPS", 256)
    run = tiny_train(encoder).path
    assert (flag(run), scored(run)) == ("auto", 192)
    assert flag(run, "self_imitation") is None
    assert keeps_episodes(run), "for a verdict that comes later"
    train(TrainConfig("PixelReach-v0", timesteps=512, resume=True))
    assert REMOVED in capsys.readouterr().out
    assert (flag(run), scored(run)) == (None, None)


def test_a_kill_between_flags_and_checkpoint_resumes_without_the_bonus(encoder):
    run = tiny_train(encoder).path
    flags = json.loads((run / "training.json").read_text())
    (run / "training.json").write_text(json.dumps({**flags, "novelty": None}))
    assert scored(run) == 192
    train(TrainConfig("PixelReach-v0", timesteps=256, resume=True))
    assert scored(run) is None


@pytest.mark.parametrize("flags", [{"novelty": None}, {"latent": False}], ids=str)
def test_some_agents_have_none_from_the_start(flags, encoder, sparse, capsys):
    run = tiny_train(encoder, **flags).path
    assert "novelty bonus" not in capsys.readouterr().out
    assert scored(run) is None


def test_returns_without_a_discount_have_no_bonus_by_default(encoder, capsys):
    words = as_words({**CHANGES["ppo"], "gamma": 1.0})
    run = tiny_train(encoder, hyperparams=words).path
    assert "novelty bonus" not in capsys.readouterr().out
    assert (flag(run), scored(run)) == (None, None)
    agent = read_agent(run / "last")[0]
    assert saved_novelty(run, agent, encoder, make_venv(agent, encoder).action_space) is None
    with pytest.raises(ValueError, match=r"NormalizedBonus needs weight >= 0, 0 <= gamma < 1"):
        tiny_train(encoder, hyperparams=words, novelty="token_counts")


def test_a_run_with_a_bonus_by_name_is_not_judged(encoder, early, capsys):
    run = tiny_train(encoder, novelty="token_counts").path
    assert "have the return 0" not in capsys.readouterr().out
    assert scored(run) == 192
