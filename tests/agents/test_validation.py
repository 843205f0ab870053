"""Validation chooses the best checkpoint, always on the same episodes."""

from __future__ import annotations

import numpy as np
import pytest

import agents.validation
from agents.checkpoint import WEIGHTS, read_agent
from agents.evaluate import Evaluation, play
from agents.train import train
from agents.train_config import TrainConfig
from agents.validation import best_result
from agents.venv import newest_frames
from tests.agents.small import tiny_train
from tests.helpers import same


def scored(monkeypatch, *means):
    """Let the validations of a run have these means."""
    scores = iter(means)
    monkeypatch.setattr(
        agents.validation, "play", lambda *_: Evaluation([next(scores)] * 2, [1, 1])
    )


def timesteps_of(folder):
    return read_agent(folder)[2]["timesteps"]


def test_every_validation_plays_the_same_episodes(monkeypatch, encoder):
    first_frames = []

    def record(venv, act, episodes):
        frames = []

        def recorded(observations):
            frames.append(newest_frames(venv).copy())
            return act(observations)

        result = play(venv, recorded, episodes)
        first_frames.append(frames[0])
        return result

    monkeypatch.setattr(agents.validation, "play", record)
    result = tiny_train(encoder)
    assert len(first_frames) == 3
    assert all(same(first_frames[0], frames) for frames in first_frames[1:])
    assert len(result.best.returns) == 3


def test_the_best_checkpoint_is_kept(monkeypatch, encoder):
    scored(monkeypatch, 1.0, 5.0, 2.0)
    result = tiny_train(encoder)
    assert result.best.mean == 5
    assert timesteps_of(result.path / "best") == 128
    assert timesteps_of(result.path / "last") == 192
    assert best_result(result.path) == result.best


@pytest.mark.parametrize("algo", ["dqn", "qrdqn"])
def test_only_the_last_checkpoint_has_the_replay_buffer(algo, encoder):
    result = tiny_train(encoder, algo=algo, timesteps=64)
    names = {
        name: [file.name for file in (result.path / name).iterdir()] for name in ("best", "last")
    }
    assert sorted(name.partition("-")[0] for name in names["last"]) == [WEIGHTS, "replay"]
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

    def record(venv, act, episodes):
        assert not venv.training
        assert not venv.norm_reward
        seen.append(np.array(venv.obs_rms.mean))
        return play(venv, act, episodes)

    monkeypatch.setattr(agents.validation, "play", record)
    result = tiny_train(encoder, novelty="counts")
    tensors = read_agent(result.path / "last")[1]
    assert same(seen[-1], tensors["normalize.latents.mean"].numpy())
    possible = {round(1 - 0.05 * (n - 1), 4) for n in range(1, 21)} | {-1.0}
    assert {round(value, 4) for value in result.best.returns} <= possible
