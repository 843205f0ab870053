"""Validation chooses the best checkpoint, always on the same episodes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

import agents.validation
from agents.algorithms import find_algorithm
from agents.checkpoint import WEIGHTS, build, read_agent
from agents.play import Evaluation, actor, play
from agents.train import train
from agents.train_config import TrainConfig
from agents.validation import POLICIES, ValidationCallback, best_result, own_random_numbers
from agents.venv import newest_frames
from envs.pixel_reach import PixelReach
from tests.agents.small import (
    CHANGES,
    CONTINUOUS,
    as_words,
    make_venv,
    save_run,
    small_config,
    store_validation,
    tiny_train,
)
from tests.helpers import same

HALF = 2
"""Episodes of each policy, of the three of ``tiny_train``."""


def scored(monkeypatch, *scores):
    """Let the policies have these means: one for both, or a pair for each validation."""
    pairs = iter([score if isinstance(score, tuple) else (score, score) for score in scores])
    means = {}

    def play_scored(venv, act, episodes, policy, **_):
        if policy == "deterministic" and episodes == HALF:
            means.update(zip(POLICIES, next(pairs), strict=True))
        return Evaluation([means[policy]] * episodes, [1] * episodes, policy)

    monkeypatch.setattr(agents.validation, "play", play_scored)


def timesteps_of(folder):
    return read_agent(folder)[2]["timesteps"]


def test_every_validation_plays_the_same_episodes(monkeypatch, encoder):
    first_frames = []

    def record(venv, act, *arguments, **options):
        frames = []

        def recorded(observations, starts):
            frames.append(newest_frames(venv).copy())
            return act(observations, starts)

        result = play(venv, recorded, *arguments, **options)
        first_frames.append(frames[0])
        return result

    monkeypatch.setattr(agents.validation, "play", record)
    result = tiny_train(encoder)
    assert len(first_frames) == 9, "both policies and the rest, three times"
    deterministic, stochastic, rest = (first_frames[i::3] for i in range(3))
    assert all(same(deterministic[0], frames) for frames in deterministic + stochastic)
    assert all(same(rest[0], frames) for frames in rest)
    assert not same(rest[0][0], deterministic[0][0])
    assert len(result.best.returns) == 3


def test_the_best_checkpoint_is_kept(monkeypatch, encoder):
    scored(monkeypatch, 1.0, 5.0, 2.0)
    result = tiny_train(encoder)
    assert result.best.mean == 5
    assert timesteps_of(result.path / "best") == 128
    assert timesteps_of(result.path / "last") == 192
    assert best_result(result.path) == result.best


@pytest.mark.parametrize(
    ("scores", "best", "policy"),
    [
        ([(1, 0), (2, 5), (4, 3)], (128, 5), "stochastic"),
        ([(-300, -158), (-200, -190), (-150, -170)], (192, -150), "deterministic"),
        ([(2, 2), (1, 1), (0, 0)], (64, 2), "deterministic"),
    ],
)
def test_the_better_policy_counts(scores, best, policy, monkeypatch, encoder):
    scored(monkeypatch, *scores)
    result = tiny_train(encoder)
    assert (timesteps_of(result.path / "best"), result.best.mean) == best
    assert result.best.policy == best_result(result.path).policy == policy
    assert len(result.best.returns) == 3
    (file,) = result.path.glob("progress-*.csv")
    rows = [row for row in csv.DictReader(file.read_text().splitlines()) if row["eval/mean_return"]]
    for row, pair in zip(rows, scores, strict=True):
        names = ("eval/mean_return_deterministic", "eval/mean_return_stochastic")
        assert tuple(float(row[name]) for name in names) == pair
        assert float(row["eval/mean_return"]) == max(pair)


def test_the_success_rate_of_a_validation_is_logged(monkeypatch, encoder):
    step = PixelReach.step

    def says_success(env, action):
        observation, reward, terminated, truncated, info = step(env, action)
        return observation, reward, terminated, truncated, {**info, "is_success": terminated}

    monkeypatch.setattr(PixelReach, "step", says_success)
    result = tiny_train(encoder)
    (file,) = result.path.glob("progress-*.csv")
    rates = [row["eval/success_rate"] for row in csv.DictReader(file.read_text().splitlines())]
    reached = sum(length < 20 for length in result.last.lengths)
    assert result.last.successes == reached
    assert float(next(filter(None, reversed(rates)))) == reached / len(result.last.lengths)


def test_samples_of_a_validation_have_the_final_exploration(monkeypatch, encoder):
    results = []

    def record(*arguments, **options):
        results.append(play(*arguments, **options))
        return results[-1]

    monkeypatch.setattr(agents.validation, "play", record)
    greedy = as_words({**CHANGES["dqn"], "exploration_final_eps": 0.0, "exploration_fraction": 1.0})
    tiny_train(encoder, algo="dqn", hyperparams=greedy)
    deterministic, stochastic = results[:2]  # after a third of the training
    assert stochastic.policy == "stochastic"
    assert stochastic.returns == deterministic.returns


@pytest.mark.parametrize("algo", ["ppo", "sac"])
def test_gsde_noise_of_training_stays(algo, encoder):
    config = small_config(algo, CONTINUOUS, use_sde=True)
    venv = make_venv(config, encoder)
    model = build(config, venv)
    policy = model.policy.actor if algo == "sac" else model.policy
    policy.reset_noise(venv.num_envs)
    before, state = policy.action_dist.exploration_matrices, torch.get_rng_state()
    with own_random_numbers(model) as player:
        actor(player, deterministic=False)(np.repeat(venv.reset(), 3, axis=0), np.ones(6, bool))
        assert len(policy.action_dist.exploration_matrices) == 6
    assert torch.equal(policy.action_dist.exploration_matrices, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("episodes", [1, 2])
def test_few_episodes(episodes, encoder):
    assert len(tiny_train(encoder, timesteps=64, eval_episodes=episodes).best.returns) == episodes


@pytest.mark.parametrize(
    ("total", "cut", "comparable"),
    [(6_000, 1, True), (6_000, 0, True), (9_000, 0, True), (9_000, 1, False)],
)
def test_episodes_cut_by_another_budget_are_not_compared(total, cut, comparable, encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    store_validation(run, returns=[1.0], lengths=[7], cut=cut, budget=3_000)
    validation = ValidationCallback(20_000, 4, total, find_algorithm("ppo"), None, None)
    validation.restore(run, 123)
    assert (validation.best is not None) == comparable


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_validation_leaves_training_as_it_is(algo, encoder):
    weights = []
    for every in (64, 10_000):
        result = tiny_train(encoder, algo=algo, eval_every=every, out=Path(f"{algo}-{every}"))
        weights.append(read_agent(result.path / "last")[1])
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("algo", ["dqn", "qrdqn"])
def test_only_the_last_checkpoint_has_replay_buffer_and_bonus(algo, encoder):
    result = tiny_train(encoder, algo=algo, timesteps=64)
    names = {
        name: [file.name for file in (result.path / name).iterdir()] for name in ("best", "last")
    }
    assert sorted(name.partition("-")[0] for name in names["last"]) == [
        WEIGHTS,
        "novelty",
        "replay",
    ]
    assert names["best"] == [WEIGHTS]


def test_of_equal_means_the_newest_is_best(monkeypatch, encoder):
    scored(monkeypatch, 0.0, 0.0, 0.0)
    assert timesteps_of(tiny_train(encoder).path / "best") == 192


def test_a_resumed_run_compares_with_the_best_before(monkeypatch, encoder):
    scored(monkeypatch, 5.0, 1.0, 2.0, 3.0, 4.0)
    first = tiny_train(encoder)
    again = train(TrainConfig(env="PixelReach-v0", timesteps=320, resume=True))
    assert again.path == first.path
    assert again.timesteps == 320
    assert again.best.mean == 5
    assert timesteps_of(again.path / "best") == 64


def test_validation_has_the_statistics_of_training_and_extrinsic_rewards(monkeypatch, encoder):
    seen = []

    def record(venv, *arguments, **options):
        assert not venv.training
        assert not venv.norm_reward
        seen.append(np.array(venv.obs_rms.mean))
        return play(venv, *arguments, **options)

    monkeypatch.setattr(agents.validation, "play", record)
    result = tiny_train(encoder, novelty="counts")
    tensors = read_agent(result.path / "last")[1]
    assert same(seen[-1], tensors["normalize.latents.mean"].numpy())
    possible = {round(1 - 0.05 * (n - 1), 4) for n in range(1, 21)} | {-1.0}
    assert {round(value, 4) for value in result.best.returns} <= possible
