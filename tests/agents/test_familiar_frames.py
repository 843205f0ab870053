"""Evaluations and trainings warn of frames that are unlike those of the pretraining."""

from __future__ import annotations

import dataclasses
import json
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import latentrl as lrl
from agents import familiar_frames
from agents.evaluate import evaluate_agent
from agents.familiar_frames import FrameSample, warn_if_unfamiliar
from agents.quality import check_quality
from latentrl.training.quality import Quality
from tests.agents.small import tiny_train

UNFAMILIAR = "the encoder was not pretrained on frames like these: "


def images(rng, count=200):
    """Horizontal ramps of any brightness and slope."""
    ramp = np.linspace(-1, 1, 16)[None, None, :, None]
    level, slope = rng.uniform(100, 150, (count, 1, 1, 1)), rng.uniform(-90, 90, (count, 1, 1, 1))
    return np.broadcast_to(level + slope * ramp, (count, 16, 16, 3)).astype(np.uint8)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def known(tmp_path, rng):
    """An encoder of ramps, and its check."""
    model = lrl.pca((16, 16, 3), latent_dim=3)
    history = lrl.fit(model, images(rng), progress=False)
    assert not check_quality(model, history, tmp_path / "vae").problems()
    return model


def warned(model, frames):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_unfamiliar(model, frames, "Ramps-v0")
    return [str(warning.message) for warning in caught]


def test_only_other_frames_give_a_warning(known, rng):
    assert warned(known, images(rng)) == []
    turned = images(rng).swapaxes(1, 2)
    (message,) = warned(known, turned)
    assert message.startswith(UNFAMILIAR)
    assert "Pretrain on frames of this environment" in message
    assert warned(known, turned[:9]) == [], "they are too few"


@pytest.mark.parametrize(
    ("env_id", "training", "remedy"),
    [
        ("Ramps-v0", "gradient", familiar_frames.FURTHER),
        ("Ramps-v0", "pca", familiar_frames.ANEW),
        ("Stairs-v0", "gradient", familiar_frames.ANEW),
    ],
)
def test_the_remedy_is_one_that_the_encoder_can_have(known, env_id, training, remedy, rng):
    known.metadata["data"] = {"environment": {"id": env_id}}
    known.config = dataclasses.replace(known.config, training=training)
    (message,) = warned(known, images(rng).swapaxes(1, 2))
    assert f"{remedy}; docs/guide/will_it_work.md" in message


def test_frames_that_vary_little_are_no_others(known, rng):
    alike = images(rng, 1).repeat(20, axis=0).astype(int) + rng.integers(0, 2, (20, 1, 1, 1))
    assert warned(known, alike.astype(np.uint8)) == []


def test_an_invariant_encoder_gives_none(known, rng):
    card = {"corruptions": [{"name": "hue_shift"}], "before": 0.0}
    known.metadata["invariance"] = {**card, "after": 0.9}
    assert warned(known, images(rng).swapaxes(1, 2)) == []
    known.metadata["invariance"] = {**card, "after": 0.5}
    assert warned(known, images(rng).swapaxes(1, 2)) != []


def test_a_bad_encoder_and_one_without_a_check_give_none(known, rng):
    turned = images(rng).swapaxes(1, 2)
    bad = {**known.metadata["quality"], "lost_detail": 0.9}
    known.metadata["quality"] = bad
    assert warned(known, turned) == []
    del known.metadata["quality"]
    assert warned(known, turned) == []


def test_a_sample_keeps_some_frames_and_changes_no_action(monkeypatch):
    shown = iter(range(1_000))
    monkeypatch.setattr(familiar_frames, "MOST", 6)
    monkeypatch.setattr(
        familiar_frames, "newest_frames", lambda _: np.full((2, 4, 4, 3), next(shown))
    )
    sample = FrameSample(lambda step, starts: step + starts, SimpleNamespace())
    assert [sample(step, 1) for step in range(61)] == list(range(1, 62))
    assert sample.frames[:, 0, 0, 0].tolist() == [0, 0, 2, 2], "those of steps 0 and 40"
    for step in range(20):
        sample(step, 1)
    assert sample.frames[:, 0, 0, 0].tolist() == [0, 0, 2, 2, 4, 4], "that of step 80 follows"


@pytest.fixture
def unfamiliar(monkeypatch):
    """Any frames count as unfamiliar to any encoder."""
    good = Quality(0.9, 0.9, 30.0, 10.0, 6, 6, 0.1)
    monkeypatch.setattr(familiar_frames, "card_quality", lambda _: good)
    poor = Quality(0.1, None, 10.0, 10.0, 6, 6, 0.1)
    monkeypatch.setattr(familiar_frames, "quality", lambda *_, **__: poor)
    monkeypatch.setattr(familiar_frames, "LEAST_FRAMES", 1)


def test_training_and_evaluation_warn(unfamiliar, rng):
    encoder = lrl.ae((32, 32, 3), 6, backbone={"name": "mlp", "hidden": (8,)})
    observations = rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    lrl.fit(encoder, observations, lrl.FitConfig(steps=0), progress=False)
    encoder.metadata["data"] = {"environment": {"id": "PixelReach-v0"}}
    with pytest.warns(UserWarning, match=f"{UNFAMILIAR}.*{familiar_frames.FURTHER}"):
        run = tiny_train(encoder).path
    with pytest.warns(UserWarning, match=f"{UNFAMILIAR}.*{familiar_frames.FURTHER}"):
        evaluate_agent(run, 2, progress=False)
    (file,) = run.glob("evaluation-gymnasium-2*.json")  # of the better mode of the policy
    assert json.loads(file.read_text())["returns"]


def test_agents_on_pixels_have_no_encoder_to_judge(encoder, unfamiliar):
    run = tiny_train(encoder, latent=False, novelty=None).path
    evaluate_agent(run, 2, progress=False)
