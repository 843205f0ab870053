"""Timesteps that an agent plays for the explorer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import agents.episode
import agents.visits
import latentrl as lrl
from agents.bonuses import make_novelty
from agents.checkpoint import build, save_agent
from agents.explore import explore_model
from agents.visits import visit
from envs.pixel_reach import FACTORS
from latentrl import Preprocessing
from tests.agents.small import make_venv, save_run, small_config, tiny_train
from tests.agents.test_explore import document_of


def test_an_agent_plays_its_episodes(encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    visits = visit(run, timesteps=50)
    frames, episode = visits.frames, visits.episode
    assert len(frames) == 50
    assert set(episode.series()) == {"value", "action", "reward"}, "this run had no bonus"
    lengths = np.bincount(frames.episodes)
    assert lengths[0] < lengths.max() <= 20, "the longest episode is not the first"
    longest = np.flatnonzero(frames.episodes == lengths.argmax())
    np.testing.assert_array_equal(episode.observations, frames[longest])
    assert len(episode.value) == len(episode.action) == len(longest)
    np.testing.assert_allclose(episode.reward[:-1], -0.05, rtol=1e-6)
    assert episode.reward[-1] in (1.0, np.float32(-0.05))
    known = np.stack([frames.factors[name] for name in FACTORS], 1)
    starts = np.append(0, 1 + np.flatnonzero(np.diff(frames.episodes)))
    assert np.isnan(known[starts]).all()
    # The red square is where the factors place it.
    for i in np.setdiff1d(np.arange(50), starts):
        row, column = known[i, :2].astype(int) * 8
        assert frames[i][row, column].tolist() == [230, 60, 50]
    assert episode.caption == "ppo on PixelReach-v0, deterministic policy"


def without_warmup(*arguments):
    novelty = make_novelty(*arguments)
    novelty.warmup = 0
    return novelty


def test_the_bonus_belongs_to_the_observation_that_a_step_reaches(monkeypatch):
    torch.manual_seed(0)
    model = lrl.random((32, 32, 3), latent_dim=6)
    with torch.no_grad():  # so that different frames are in different cells of the counts
        [*model.encoder.parameters()][-2].mul_(1_000)
    run = tiny_train(model, novelty="counts", novelty_weight=0.5).path
    monkeypatch.setattr(agents.visits, "policy_of", lambda _: "stochastic")
    monkeypatch.setattr(agents.episode, "make_novelty", without_warmup)
    episode = visit(run, timesteps=30).episode
    frames = [frame.tobytes() for frame in episode.observations]
    repeated = [frame in frames[:i] for i, frame in enumerate(frames)]
    assert np.isnan(episode.bonus[0])
    # This bonus is for the first visit of an episode alone.
    assert ((episode.bonus[1:] == 0) == repeated[1:]).all()
    assert not all(repeated[1:])
    assert episode.reward[0] in (1.0, np.float32(-0.05)), "without the bonus"


def test_the_page_of_an_agent(tmp_path):
    torch.manual_seed(0)
    model = lrl.vae((32, 32, 3), latent_dim=4)
    run = save_run(tmp_path / "run", model)
    page = document_of(explore_model(None, agent=run))
    assert page["strip"]["caption"] == "ppo on PixelReach-v0, deterministic policy"
    assert [line["name"] for line in page["strip"]["series"]] == ["value", "action", "reward"]
    assert list(page["map"]["factors"]) == list(FACTORS)
    assert page["map"]["probe"]


def test_what_the_page_of_an_agent_needs(tmp_path):
    with pytest.raises(ValueError, match="of a model or of an agent: add --model or --agent"):
        explore_model(None)
    with pytest.raises(ValueError, match="in which an agent plays: add --agent"):
        explore_model(tmp_path / "vae", env="X-v0")
    with pytest.raises(FileNotFoundError, match="no agent at"):
        explore_model(None, agent=tmp_path / "nothing")
    config = small_config(pixels=Preprocessing(size=(36, 36)))
    venv = make_venv(config, None)
    save_agent(tmp_path / "run" / "best", config, build(config, venv), venv)
    venv.close()
    with pytest.raises(ValueError, match="learns from pixels: add --model with an encoder"):
        explore_model(None, agent=tmp_path / "run")
