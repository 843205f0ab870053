"""What the studies of agents share: the random encoder, which has to be a fair control."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces

import latentrl as lrl
from agents.describe import describe_agent
from agents.train_config import TrainConfig
from scripts.studies.agent_runs import TIMESTEPS, logged_rows, save_untrained
from tests.latentrl.training.ball import ball_frames


class _Still(gym.Env[Any, Any]):
    def __init__(self, space: spaces.Box) -> None:
        self.observation_space, self.action_space = space, spaces.Discrete(2)


def test_a_random_encoder_has_fresh_weights_the_mean_image_and_standardised_latents(tmp_path):
    frames = ball_frames(200).frames
    model = lrl.beta_vae(frames.observation_space, **lrl.choose(frames).arguments)
    config = lrl.FitConfig(steps=60, batch_size=16, learning_rate=3e-3)
    lrl.fit(model, frames, config, path=tmp_path / "trained", progress=False)
    found = lrl.load(save_untrained(tmp_path / "trained", tmp_path / "random", seed=1), "cpu")
    assert not found.fitted
    assert found.config == model.config
    weights = [dict(each.encoder.named_parameters()) for each in (found, model.cpu())]
    assert not any(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    torch.testing.assert_close(found.encoder[0].offset, model.encoder[0].offset)
    # Without standardising, a policy would see next to nothing.
    assert found.encode(frames[:]).std(0).max() < 0.1 * model.encode(frames[:]).std(0).max()
    flags = describe_agent(TrainConfig("PixelReach-v0"), found).hyperparameters
    assert flags["normalize_latents"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lrl.wrap(_Still(frames.observation_space), found)
    again = lrl.load(save_untrained(tmp_path / "trained", tmp_path / "again", seed=1), "cpu")
    np.testing.assert_array_equal(again.encode(frames[:4]), found.encode(frames[:4]))


def test_an_encoder_with_general_purpose_weights_has_them_as_they_are(tmp_path):
    source, expected = (
        lrl.beta_vae((64, 64, 3), 256, backbone={"name": "spatial"}) for _ in range(2)
    )
    lrl.save(source, tmp_path / "source")
    lrl.warm_start(expected)
    out = save_untrained(tmp_path / "source", tmp_path / "general", seed=0, general=True)
    found = lrl.load(out, "cpu")
    assert not found.fitted
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lrl.wrap(_Still(found.observation_space), out)
    for one, other in zip(found.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_repeated_rows_of_a_resumed_run_are_dropped(tmp_path: Path) -> None:
    head = f"{TIMESTEPS},rollout/ep_rew_mean\n"
    first = head + "100,0.1\n,0.3\n200,0.2\n300,0.9\n"
    (tmp_path / "progress-000000000.csv").write_text(first)
    (tmp_path / "progress-000000200.csv").write_text(head + "300,0.4\n")
    rows = [tuple(row.values()) for row in logged_rows(tmp_path)]
    assert rows == [("100", "0.1"), ("200", "0.2"), ("300", "0.4")]
