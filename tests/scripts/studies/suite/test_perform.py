from __future__ import annotations

import csv
import functools
import json

import numpy as np
import pytest

from agents.pretrain import PretrainConfig
from agents.pretrain_choice import WARM_FRAMES
from agents.train_config import TrainConfig
from latentrl import load
from scripts.studies.suite import perform, tasks
from scripts.studies.suite.compare import OwnRun
from scripts.studies.suite.tasks import LATENTS, RANDOM_ACTIONS, RANDOM_ENCODER, Run
from tests.agents.small import CHANGES, as_words

REACH = "PixelReach-v0"


@pytest.fixture
def tiny(results, monkeypatch):
    """Small encoders and agents, in folders of the test."""
    monkeypatch.chdir(results)
    monkeypatch.setattr(tasks, "FOLDER", results / "studies")
    pretraining = functools.partial(PretrainConfig, frames=64, steps=3, latent_dim=4)
    monkeypatch.setattr(perform, "PretrainConfig", pretraining)
    words = as_words(CHANGES["ppo"])
    training = functools.partial(TrainConfig, n_envs=2, hyperparams=words)
    monkeypatch.setattr(perform, "TrainConfig", training)
    monkeypatch.setattr(perform, "EPISODES", 2)
    monkeypatch.setattr(perform, "TRIAL", 0.1)
    return results


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the .* collapsed")  # after so few steps
def test_a_random_encoder_has_the_network_of_the_pretrained_one(tiny):
    for arm in (LATENTS, RANDOM_ENCODER):
        perform.perform(Run(REACH, arm, 0), 1 / 60)
    trained, random = (
        load(Run(REACH, arm, 0).folder / "encoder", "cpu") for arm in (LATENTS, RANDOM_ENCODER)
    )
    assert random.config == trained.config
    one, other = (
        max(model.parameters(), key=lambda weight: weight.numel()) for model in (trained, random)
    )
    assert not one.equal(other)
    record, other = (
        json.loads(Run(REACH, arm, 0).result.read_text()) for arm in (LATENTS, RANDOM_ENCODER)
    )
    assert record["pretraining"]["frames"] >= 64  # of which as many are distinct
    assert other["pretraining"]["frames"] == 0
    assert other["training_minutes"] == record["minutes"] == 1 / 60
    assert len(record["deterministic"]["returns"]) == 2
    assert record["novelty"] is False, "so short a training gives no verdict"
    with Run(REACH, LATENTS, 0).result.with_suffix(".csv").open() as lines:
        rows = [[float(x) for x in row.values()] for row in csv.DictReader(lines)]
    assert rows == sorted(rows, key=lambda row: row[0])
    assert rows[0][0] >= 64  # the frames of the pretraining count
    assert not (Run(REACH, LATENTS, 0).folder / "runs").exists(), "frames are removed"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the .* collapsed")  # after so few steps
def test_an_ablation_has_the_encoder_of_latents_and_counts_its_pretraining(tiny):
    latents, without = Run(REACH, LATENTS, 0), Run(REACH, "no_stack", 0)
    for run in (latents, without):
        perform.perform(run, 1 / 60)
    record, other = (json.loads(run.result.read_text()) for run in (latents, without))
    assert other["pretraining"] == record["pretraining"]
    flags = json.loads((without.folder / "agent" / "training.json").read_text())
    assert (flags["stack"], flags["vae"]) == (1, str(latents.folder / "encoder"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the .* collapsed")  # after so few steps
def test_a_comparison_has_folders_of_its_own_and_imports_plugins(tiny, monkeypatch):
    (tiny / "reach_of_mine.py").write_text(
        "import gymnasium as gym\n"
        "import envs\n"
        "gym.register('ReachOfMine-v0', lambda: gym.make('PixelReach-v0').unwrapped)\n"
    )
    monkeypatch.syspath_prepend(str(tiny))
    latents, plain = (
        OwnRun("ReachOfMine-v0", arm, 0, tiny / "mine") for arm in (LATENTS, "latents+none")
    )
    for run in (latents, plain):
        perform.perform(run, 1 / 60, ["reach_of_mine"])
    flags = json.loads((plain.folder / "agent" / "training.json").read_text())
    assert (flags["novelty"], flags["vae"]) == (None, str(latents.folder / "encoder"))
    assert json.loads((tiny / "mine" / "latents+none-0.json").read_text())["run"] == {
        "env": "ReachOfMine-v0",
        "arm": "latents+none",
        "seed": 0,
    }


def test_random_actions(tiny):
    perform.perform(Run(REACH, RANDOM_ACTIONS, 0), 8.0)
    record = json.loads(Run(REACH, RANDOM_ACTIONS, 0).result.read_text())
    returns = record["stochastic"]["returns"]
    assert record["stochastic"]["mean"] == np.mean(returns)
    assert all(-1.0 <= value <= 1.0 for value in returns)


def test_a_random_encoder_needs_the_pretrained_one(tiny):
    with pytest.raises(SystemExit):
        perform.perform(Run(REACH, RANDOM_ENCODER, 1), 1 / 60)
    log = (Run(REACH, RANDOM_ENCODER, 1).folder / "log.txt").read_text()
    assert "run the arm latents of seed 1" in log
    assert not Run(REACH, RANDOM_ENCODER, 1).result.exists()


@pytest.mark.parametrize(("rate", "frames"), [(1_000, WARM_FRAMES), (50, 1_200), (0.1, 64)])
def test_slow_simulators_collect_for_a_tenth_of_the_clock(results, monkeypatch, rate, frames):
    def pretrain(config):
        raise ValueError(f"{config.frames} frames")

    monkeypatch.setattr(perform, "pretrain", pretrain)
    monkeypatch.setattr(perform, "_steps_per_second", lambda env_id: rate)
    with pytest.raises(ValueError, match=f"^{frames} frames"):
        perform._pretrain(Run(REACH, LATENTS, 0), results, minutes=8.0)
