"""Episodes without an end are cut, with a warning, wherever episodes are played."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.vec_env import VecMonitor

import agents.evaluate
import agents.video
from agents.checkpoint import read_agent
from agents.evaluate import evaluate_agent
from agents.play import play
from agents.train import TrainConfig, describe_agent
from agents.video import record_video
from envs import Environment
from envs.pixel_reach import PixelReach
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from tests.agents.small import save_run, tiny_train
from tests.helpers import Clock

WARNING = r"an episode has not ended in \d+ timesteps: it counts as it is"
ENDLESS = "tests.agents.test_endless:Endless"


class Endless(PixelReach):
    """Never ends an episode."""

    def step(self, action):
        observation, reward, _, _, info = super().step(action)
        return observation, reward, False, False, info


class EndlessClock(Clock):
    """A clock whose third environment never ends an episode; each step there gives 1."""

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        if self.ident == 2:
            return observation, 1.0, False, False, info
        return observation, reward, terminated, truncated, info


def clocks(n):
    return VecMonitor(
        GymnasiumVecEnv(SyncVectorEnv([lambda i=i: EndlessClock(i) for i in range(n)]))
    )


def test_an_error_says_what_was_played_before(capsys):
    actions = iter([np.zeros(2, int)] * 3)
    with pytest.raises(StopIteration):
        play(clocks(2), lambda *_: next(actions), episodes=5)
    words = "1 of 5 episodes had ended, the short ones first, with a mean return of 6\n"
    assert words in capsys.readouterr().err


def test_an_episode_without_an_end_is_cut_and_its_environment_plays_no_more():
    with pytest.warns(UserWarning, match=WARNING):
        result = play(clocks(3), lambda *_: np.zeros(3, int), episodes=9, limit=12)
    # Episode k of clock i has 3 + i + k steps, in the order of the seeds.
    assert result.lengths == [3, 4, 12, 4, 5, 5, 6]
    assert result.returns[2] == 12


def test_an_environment_that_has_played_its_episodes_is_not_cut():
    result = play(clocks(2), lambda *_: np.zeros(2, int), episodes=5, limit=6)
    assert result.lengths == [3, 4, 4, 5, 5]


@pytest.fixture
def short_limits(monkeypatch):
    monkeypatch.setattr(agents.evaluate, "EPISODE_LIMIT", 15)
    monkeypatch.setattr(agents.evaluate, "ENVS_IN_PROCESS", 2)
    monkeypatch.setattr(agents.video, "FRAME_LIMIT", 15)
    monkeypatch.setattr("os.cpu_count", lambda: 1)


def test_evaluation_and_video_of_an_endless_episode(short_limits, encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder, Environment(ENDLESS))
    with pytest.warns(UserWarning, match=WARNING):
        assert evaluate_agent(run, 3, trust=True, progress=False).lengths == [15]
    with pytest.warns(UserWarning, match="has not ended in 15 timesteps: the video has the first"):
        record_video(run, tmp_path / "video.gif", trust=True)
    limited = evaluate_agent(run, 3, trust=True, max_episode_steps=7, progress=False)
    assert limited.lengths == [7, 7, 7]


def test_a_budget_cuts_the_first_episode_of_each_environment():
    # Environment 2 never ends an episode: what the others end after their first one is left out,
    # because it is short.
    result = play(clocks(3), lambda *_: np.zeros(3, int), episodes=9, budget=3 * 12)
    assert result.lengths == [3, 4, 12]
    assert result.returns == [6, 10, 12]
    assert result.cut == 1


@pytest.mark.parametrize(
    ("budget", "lengths", "cut"),
    [(2, [1, 1], 2), (6, [3, 3], 1), (8, [3, 4], 0), (17, [3, 4], 0), (18, [3, 4, 4, 5], 0)],
)
def test_whole_rounds_within_a_budget_count(budget, lengths, cut):
    # Episode k of clock i has 3 + i + k steps; a timestep of both clocks counts as 2.
    result = play(clocks(2), lambda *_: np.zeros(2, int), episodes=8, budget=budget)
    assert (result.lengths, result.cut) == (lengths, cut)


def test_a_budget_that_suffices_changes_nothing():
    results = [
        play(clocks(2), lambda *_: np.zeros(2, int), episodes=5, budget=budget)
        for budget in (None, 1_000)
    ]
    assert results[0] == results[1]


def test_validation_of_endless_episodes_takes_its_budget_and_no_more(encoder, monkeypatch):
    monkeypatch.setattr(TimeLimit, "step", lambda env, action: env.env.step(action))
    step, taken = PixelReach.step, []

    def endless(env, action):
        observation, reward, *_ = step(env, action)
        taken.append(reward)
        return observation, reward, False, False, {}

    monkeypatch.setattr(PixelReach, "step", endless)
    message = r"a validation of 1,000 timesteps is too short for its episodes: .* \(--timesteps, "
    with pytest.warns(UserWarning, match=message):
        result = tiny_train(encoder, timesteps=64, eval_episodes=4)
    # Two environments, and a third of the budget for each of three parts.
    assert result.best.lengths == [166] * 4
    assert (result.best.cut, result.best.budget) == (4, 1_000)
    assert len(taken) == 64 + 3 * 2 * 166


def test_a_run_that_the_clock_ends_has_a_validation_of_its_own_length(encoder):
    seconds = itertools.count()
    flags = {"timesteps": 10**6, "eval_every": 10**5, "minutes": 1.0}
    assert tiny_train(encoder, lambda: float(next(seconds)), **flags).best.budget == 1_000


def test_the_limit_of_training_is_that_of_validation_and_evaluation(encoder):
    result = tiny_train(encoder, timesteps=64, eval_episodes=3, max_episode_steps=4)
    assert max(result.best.lengths) <= 4
    assert read_agent(result.path / "last")[0].environment.max_episode_steps == 4
    assert max(evaluate_agent(result.path, 3, progress=False).lengths) <= 4
    longer = evaluate_agent(result.path, 3, max_episode_steps=50, progress=False)
    assert max(longer.lengths) <= 20, "the environment's own limit"


def test_the_limit_of_the_flags(encoder, monkeypatch):
    flags = TrainConfig("PixelReach-v0", max_episode_steps=9)
    assert describe_agent(flags, encoder).environment.max_episode_steps == 9
    pretrained = {"environment": {"max_episode_steps": 7}}
    monkeypatch.setitem(encoder.metadata, "data", pretrained)
    assert describe_agent(flags, encoder).environment.max_episode_steps == 9
    flags = TrainConfig("PixelReach-v0")
    assert describe_agent(flags, encoder).environment.max_episode_steps == 7
