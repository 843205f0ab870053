from __future__ import annotations

import functools
import json

import pytest

from agents.pretrain import PretrainConfig, build_model
from agents.pretrain_config import completed
from agents.train_config import TrainConfig
from latentrl import load
from latentrl.types import as_space
from scripts.studies.agent_runs import Record
from scripts.studies.carracing import arms, perform
from scripts.studies.carracing.arms import ARMS, RECIPE, SHORT, Arm, Run, runs
from tests.agents.small import CHANGES, as_words


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Small encoders and agents, in folders of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(arms, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(arms, "FOLDER", tmp_path / "studies")
    monkeypatch.setitem(ARMS, RECIPE, Arm("tiny", timesteps=64))
    pretraining = functools.partial(PretrainConfig, frames=64, steps=3)
    monkeypatch.setattr(perform, "PretrainConfig", pretraining)
    words = as_words(CHANGES["ppo"])
    training = functools.partial(TrainConfig, n_envs=2, hyperparams=words, max_episode_steps=20)
    monkeypatch.setattr(perform, "TrainConfig", training)
    monkeypatch.setattr(perform, "TRACKS", 1)
    monkeypatch.setattr(perform, "MINUTES", 0.1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the .* collapsed", "ignore:the encoder may miss")
@pytest.mark.filterwarnings("ignore:a validation of")
@pytest.mark.parametrize("arm", [RECIPE, SHORT, "pixels", "random encoder"])
def test_a_run_from_an_empty_folder(tiny, arm):
    run = Run(arm, 0)
    perform.perform(run)
    record = Record.read(run.result)
    assert [len(record.data["evaluation"][name]) for name in ("returns", "stochastic")] == [1, 1]
    assert record.data["timesteps"] >= 64
    assert (record.data["pretraining"]["frames"] >= 64) == (arm in (RECIPE, SHORT))
    assert len(record.curve["return"]) > 0
    flags = json.loads((run.folder / "agent" / "training.json").read_text())
    assert flags["latent"] == (arm != "pixels")
    if arm == "random encoder":
        trained, random = (load(run.folder / name, "cpu") for name in ("encoder", "random"))
        assert random.config == trained.config


@pytest.mark.parametrize("arm", [name for name, arm in ARMS.items() if arm.pretraining])
def test_the_encoder_of_every_arm_can_be_built(arm):
    config = completed(PretrainConfig(**{"env": arms.ENV, **ARMS[arm].pretraining}), None)
    model = build_model(config, as_space((96, 96, 3)), from_environment=True)
    assert model.preprocess.shape == (3, 64, 64)
    assert (model.latent_layout.grid == (8, 8)) == ("weights" in arm or "beta" in arm)


def test_runs_of_all_arms():
    found = list(runs())
    assert len(found) == 3 * len(ARMS)
    assert found[0] == Run(RECIPE, 0)
    assert len({run.name for run in found}) == len(found)
    assert list(runs(["pixels"], 2)) == [Run("pixels", 0), Run("pixels", 1)]
    with pytest.raises(ValueError, match="unknown arm 'pixel'; known: recipe, short recipe"):
        list(runs(["pixel"]))
    with pytest.raises(ValueError, match="seeds must be at least 1, got 0"):
        list(runs(seeds=0))
