"""Numbers of an episode: the return, the value in units of the rewards, the saved bonus."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

import agents.episode
from agents.algorithms import find_algorithm
from agents.checkpoint import build, read_agent, restore
from agents.episode import episode, saved_novelty
from agents.evaluate import evaluate_agent
from agents.play import actor
from agents.venv import build_monitored, build_venv
from agents.video import record_video
from tests.agents.small import REACH, save_run, store_validation, tiny_train

SEED = 1_000_000
SPEC = find_algorithm("ppo")


def prepare(run, encoder, novelty=None):
    config = read_agent(run / "best")[0]
    base = build_monitored(REACH, n_envs=1, seed=0, backend="gymnasium", episode_seeds=[[SEED] * 9])
    venv = build_venv(config, encoder, base, training=False, novelty=novelty)
    model = build(config, venv)
    restore(run / "best", model, venv, replay=False)
    return venv, model


def moments_of(venv, model, has_bonus=False):
    options = {"deterministic": True, "has_bonus": has_bonus, "limit": 1_000}
    return list(episode(venv, model, SPEC, **options))


def test_the_last_moment_has_the_return_of_an_evaluation(encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    moments = moments_of(*prepare(run, encoder))
    expected = evaluate_agent(run, 1, seed=SEED, deterministic=True, progress=False)
    assert moments[-1].total == pytest.approx(expected.returns[0])
    assert [moment.timestep for moment in moments] == list(range(expected.lengths[0] + 1))
    assert [moment.ended for moment in moments] == [False] * (len(moments) - 1) + [True]
    assert {moment.bonus for moment in moments} == {None}


def test_values_are_in_units_of_the_rewards(encoder, tmp_path):
    venv, model = prepare(save_run(tmp_path / "run", encoder), encoder)
    venv.ret_rms.var = np.array(9.0)
    moments = moments_of(venv, model)
    assert moments[0].value == pytest.approx(3 * SPEC.value(model, venv.reset())[0], rel=1e-4)
    assert np.isnan(moments[-1].value)
    other = dataclasses.replace(SPEC, value=None)
    options = {"deterministic": True, "has_bonus": False, "limit": 1_000}
    assert {moment.value for moment in episode(venv, model, other, **options)} == {None}


def test_the_bonus_goes_on_where_training_ended(encoder):
    run = tiny_train(encoder, novelty="elliptical", timesteps=64, eval_episodes=1).path
    config, _, _ = read_agent(run / "best")
    space = build_monitored(REACH, n_envs=1, seed=0, backend="gymnasium").action_space
    novelty = saved_novelty(run, config, encoder, space)
    assert novelty.count == 64
    novelty.warmup = 0
    moments = moments_of(*prepare(run, encoder, novelty), has_bonus=True)
    assert novelty.count == 64 + len(moments) - 1
    assert moments[0].bonus == 0
    assert max(moment.bonus for moment in moments) > 0
    plain = moments_of(*prepare(run, encoder))
    assert [moment.total for moment in moments] == [moment.total for moment in plain]
    # Runs without a bonus, of another encoder, or of agents alone have none.
    assert saved_novelty(run, config.refined(100), encoder, space) is None
    assert saved_novelty(run, config, None, space) is None
    shutil.rmtree(run / "last")
    assert saved_novelty(run, config, encoder, space) is None


@pytest.mark.parametrize(("flag", "deterministic"), [(None, False), (True, True), (False, False)])
def test_a_video_has_the_better_policy_in_validation(
    flag, deterministic, encoder, tmp_path, monkeypatch
):
    run = save_run(tmp_path / "run", encoder)
    store_validation(run, returns=[1.0], lengths=[2], policy="stochastic")
    chosen = []
    monkeypatch.setattr(
        agents.episode, "actor", lambda *arguments: chosen.append(arguments[1]) or actor(*arguments)
    )
    record_video(run, tmp_path / "drive.gif", deterministic=flag)
    assert chosen == [deterministic]
