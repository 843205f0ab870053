"""Evaluation: which episodes are played, by which policy, and what is reported."""

from __future__ import annotations

import itertools
import json
import os

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from stable_baselines3.common.vec_env import VecMonitor

import agents.evaluate
import latentrl as lrl
from agents.checkpoint import WEIGHTS, build, read_agent, save_agent
from agents.evaluate import (
    TEST_SEED,
    evaluate_agent,
    evaluate_random,
    load_for_evaluation,
    make_test_envs,
    policy_of,
)
from agents.play import Evaluation, actor, play
from agents.train_config import TRAINING_SEEDS
from agents.validation import VALIDATION_SEED
from agents.venv import build_venv, newest_frames
from envs import Environment, make_env
from envs.pixel_reach import PixelReach
from latentrl.utils.io import write_tensors
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from tests.agents.small import (
    CONTINUOUS,
    REACH,
    make_venv,
    save_run,
    small_config,
    store_validation,
)
from tests.helpers import Clock, same


def clocks(n):
    return VecMonitor(GymnasiumVecEnv(SyncVectorEnv([lambda i=i: Clock(i) for i in range(n)])))


@pytest.mark.parametrize(
    ("n", "lengths"), [(2, [3, 4, 4, 5, 5]), (3, [3, 4, 5, 4, 5]), (1, [3, 4, 5, 6, 7])]
)
def test_every_environment_plays_as_many_episodes_in_the_order_of_their_seeds(n, lengths):
    # Episode k of clock i has 3 + i + k steps: by time alone, the first clock would play most.
    result = play(clocks(n), lambda *_: np.zeros(n, int), episodes=5)
    assert result.lengths == lengths
    assert result.returns == [n * (n + 1) / 2 for n in lengths]


class Odd(gym.Wrapper):
    """Calls episodes of an odd length a success, except those of clocks that say nothing."""

    def step(self, action):
        *result, info = self.env.step(action)
        clock = self.env.unwrapped
        return *result, {**info, "is_success": bool(clock.time % 2)}


@pytest.mark.parametrize(
    ("silent", "options", "successes"),
    [((), {}, 3), ((1,), {}, None), ((), {"budget": 10}, 1), ((), {"limit": 2}, None)],
)
@pytest.mark.filterwarnings("ignore:an episode has not ended")
def test_successes_are_those_that_the_environment_names(silent, options, successes):
    makers = [lambda i=i: Clock(i) if i in silent else Odd(Clock(i)) for i in range(2)]
    venv = VecMonitor(GymnasiumVecEnv(SyncVectorEnv(makers)))
    result = play(venv, lambda *_: np.zeros(2, int), episodes=5, **options)
    assert result.successes == successes
    ended = [length for length in result.lengths if length > 2]
    if successes is not None:
        assert successes == sum(length % 2 for length in ended)


def test_successes_of_two_evaluations_add_up_if_both_are_known():
    known, unknown = Evaluation([1.0], [5], successes=1), Evaluation([1.0], [5])
    assert (known + known).successes == 2
    assert (known + unknown).successes is None


def test_an_evaluation_in_words():
    result = Evaluation([1.0, 3.0], [10, 20])
    assert (result.mean, result.std) == (2.0, 1.0)
    assert (result.minimum, result.p10, result.median) == (1.0, 1.2, 2.0)
    assert str(result) == (
        "2 +- 1 over 2 episodes of the deterministic policy "
        "(minimum 1, p10 1.2, median 2, maximum 3)"
    )
    assert str(Evaluation([1.0, 3.0], [10, 20], successes=1)).endswith("3; 1 of 2 successful)")
    both = result + Evaluation([8.0], [5], cut=1)
    assert (both.returns, both.lengths, both.cut) == ([1.0, 3.0, 8.0], [10, 20, 5], 1)
    assert str(both).endswith("maximum 8; 1 cut)")


def test_seeds_of_training_validation_and_test_are_apart():
    assert TRAINING_SEEDS < VALIDATION_SEED < TEST_SEED


def test_random_actions_on_the_test_episodes(monkeypatch):
    monkeypatch.setattr(agents.evaluate, "ENVS_IN_PROCESS", 2)
    result = evaluate_random(REACH, 5, seed=77, progress=False)
    expected = []
    sampler = make_env(REACH).action_space
    for i in range(2):
        sampler.seed(77 + i)
        for k in range(i, 5, 2):
            env = make_env(REACH)
            env.reset(seed=77 + k)
            total, done = 0.0, False
            while not done:
                _, reward, terminated, truncated, _ = env.step(sampler.sample())
                total, done = total + reward, terminated or truncated
            expected.append((k, total))
    assert result.returns == pytest.approx([total for _, total in sorted(expected)], abs=1e-5)


def test_a_saved_agent_plays_the_same_episodes_on_any_number_of_cores(
    encoder, tmp_path, monkeypatch
):
    run = save_run(tmp_path / "run", encoder)
    results = []
    for cores in (1, 3):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        results.append(evaluate_agent(run, 7, progress=False))
    assert results[0] == results[1]
    report = json.loads((run / "evaluation-gymnasium-7.json").read_text())
    assert report["returns"] == results[1].returns
    statistics = ("mean", "std", "minimum", "p10", "median")
    assert all(report[name] == getattr(results[1], name) for name in statistics)
    conditions = (report["backend"], report["seed"], report["timesteps"], report["policy"])
    assert conditions == ("gymnasium", TEST_SEED, 123, "deterministic")


def test_returns_outlive_a_report_that_cannot_be_written(encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    expected = evaluate_agent(run, 3, progress=False)
    report = run / "evaluation-gymnasium-3.json"
    report.unlink()
    report.mkdir()  # no file can take its place, whoever runs this test
    message = "this evaluation has no report: .*evaluation-gymnasium-3.json cannot be written"
    with pytest.warns(UserWarning, match=message):
        assert evaluate_agent(run, 3, progress=False) == expected


def test_evaluations_that_differ_have_files_of_their_own(encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    options = [{}, {"seed": 9}, {"max_episode_steps": 4}, {"seed": 9, "max_episode_steps": 4}]
    results = [evaluate_agent(run, 3, progress=False, **option) for option in options]
    for words, option, result in zip(
        ["", "-seed9", "-steps4", "-seed9-steps4"], options, results, strict=True
    ):
        report = json.loads((run / f"evaluation-gymnasium-3{words}.json").read_text())
        assert report["lengths"] == result.lengths
        assert report["seed"] == option.get("seed", TEST_SEED)
        assert report["max_episode_steps"] == option.get("max_episode_steps")


def test_random_actions_beside_an_agent(encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    result = evaluate_agent(run, 5, seed=77, random=True, progress=False)
    assert result == evaluate_random(REACH, 5, seed=77, progress=False)
    assert str(result).split(" (")[0].endswith("over 5 episodes of the random policy")
    report = json.loads((run / "evaluation-gymnasium-5-random-seed77.json").read_text())
    assert (report["policy"], report["returns"]) == ("random", result.returns)


@pytest.mark.parametrize("better", ["deterministic", "stochastic"])
def test_the_better_policy_in_validation_is_evaluated(better, encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    store_validation(run, returns=[1.0], lengths=[2], policy=better)
    assert evaluate_agent(run, 2, progress=False).policy == better
    assert policy_of(run, deterministic=True) == "deterministic"
    assert policy_of(run, deterministic=False) == "stochastic"


def test_a_validation_of_an_older_version_was_deterministic(encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    assert policy_of(run) == "deterministic", "without a validation"
    store_validation(run, returns=[1.0], lengths=[2])
    assert policy_of(run) == "deterministic"


def test_checkpoint_and_environment_can_be_chosen(encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    (run / "best").rename(run / "last")
    other = "envs.pixel_reach:PixelReach"
    result = evaluate_agent(
        run, 2, checkpoint="last", env=other, deterministic=False, progress=False
    )
    name = "evaluation-gymnasium-2-stochastic-last-envs.pixel_reach.PixelReach.json"
    report = json.loads((run / name).read_text())
    assert report["returns"] == result.returns
    conditions = (report["env"], report["checkpoint"], report["policy"])
    assert conditions == (other, "last", "stochastic")


@pytest.mark.parametrize("algo", ["dqn", "qrdqn"])
def test_stochastic_evaluation_has_the_final_exploration_of_training(algo, tmp_path):
    encoder = lrl.random((64, 64, 3), latent_dim=4)
    rates = []
    for rate in (0.0, 1.0):
        rooms = Environment("KeyRooms-v0")
        config = small_config(algo, rooms, exploration_final_eps=rate)
        venv = build_venv(config, encoder, make_test_envs(rooms, 8, "gymnasium", 0), training=False)
        folder = tmp_path / str(rate)
        save_agent(folder, config, build(config, venv), venv)
        model = load_for_evaluation(config, venv, folder)
        observations = venv.reset(), np.ones(8, bool)
        greedy = actor(model, deterministic=True)(*observations)
        act = actor(model, deterministic=False)
        rates.append(np.mean([(act(*observations) != greedy).mean() for _ in range(20)]))
        venv.close()
    assert rates[0] == 0
    assert rates[1] > 0.5


@pytest.mark.parametrize(("algo", "every"), [("ppo", 4), ("sac", 2)])
def test_state_dependent_noise_is_drawn_anew_as_often_as_in_training(algo, every, encoder):
    config = small_config(algo, CONTINUOUS, use_sde=True, sde_sample_freq=every)
    venv = make_venv(config, encoder)
    act = actor(build(config, venv), deterministic=False)
    observations = venv.reset(), np.ones(2, bool)
    actions = [act(*observations) for _ in range(2 * every)]
    changed = [not same(a, b) for a, b in itertools.pairwise(actions)]
    assert changed == [step == every - 1 for step in range(2 * every - 1)]


def test_the_seeds_of_test_episodes_are_divided_among_environments(monkeypatch):
    monkeypatch.setattr(agents.evaluate, "ENVS_IN_PROCESS", 2)
    venv = make_test_envs(REACH, 5, "gymnasium", 100)
    assert [list(env.seeds) for env in venv.unwrapped.envs.envs] == [[100, 102, 104], [101, 103]]


def test_envpool_evaluation_starts_with_its_own_seed(tmp_path, monkeypatch):
    pytest.importorskip("envpool")
    from envs.envpool import EnvPoolVectorEnv

    encoder = lrl.random((96, 96, 3), latent_dim=4, preprocessing=lrl.Preprocessing(size=(16, 16)))
    run = save_run(tmp_path / "run", encoder, Environment("CarRacing-v2", frame_skip=4))
    first = []

    def one_reset(venv, *_, **__):
        venv.reset()
        first.append(newest_frames(venv))
        return Evaluation([0.0], [1])

    monkeypatch.setattr(agents.evaluate, "play", one_reset)
    evaluate_agent(run, 2, backend="envpool", seed=4321)
    reference = EnvPoolVectorEnv("CarRacing-v2", 2, seed=4321)
    assert same(first[0], reference.reset()[0])
    reference.close()


class Diagonal(PixelReach):
    """Takes six actions."""

    def __init__(self, render_mode=None):
        super().__init__(render_mode=render_mode)
        self.action_space = spaces.Discrete(6)


class Small(Clock):
    """Has smaller images than the agents of these tests observe."""

    def __init__(self, render_mode=None):
        super().__init__(side=16, render_mode=render_mode)
        self.action_space = spaces.Discrete(4)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("Diagonal", r"takes actions of Discrete\(4\), .*Diagonal has Discrete\(6\): it needs"),
        ("Small", r"takes observations of \(32, 32, 3\) uint8, .* gives \(16, 16, 3\) uint8"),
    ],
)
def test_an_environment_with_other_spaces_is_refused(env, message, encoder, tmp_path, monkeypatch):
    run = save_run(tmp_path / "run", encoder)
    monkeypatch.setattr(agents.evaluate, "play", None)
    with pytest.raises(ValueError, match=message):
        evaluate_agent(run, 2, env=f"tests.agents.test_evaluate:{env}")


def test_an_agent_without_a_record_of_its_actions_is_compared_by_its_weights(encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    _, tensors, notes = read_agent(run / "best")
    del notes["action_space"]
    write_tensors(run / "best" / WEIGHTS, tensors, {"agent": notes})
    with pytest.raises(ValueError, match=r"action_net.bias. as \(4,\) .* needs \(6,\)"):
        evaluate_agent(run, 2, env="tests.agents.test_evaluate:Diagonal")


def test_no_episodes(encoder, tmp_path):
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        evaluate_agent(save_run(tmp_path / "run", encoder), 0)
