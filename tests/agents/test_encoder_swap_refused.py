"""Swaps of encoders that need no translation, and those that are refused."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

import latentrl as lrl
from agents.encoder_swap import swap_encoder
from latentrl.wrappers.episodic_count import VecEpisodicCount
from tests.agents.swap_cases import (
    DIM,
    REACH,
    Blind,
    Drift,
    Linear,
    N,
    find,
    image_model,
    make_dqn,
    make_ppo,
    observing,
)
from tests.helpers import Clock, FakeEncoder

# Where nothing has to be translated.


@pytest.mark.parametrize("make", [make_dqn, make_ppo])
def test_before_learning_there_is_nothing_to_translate(make):
    model = make(observing(Blind(1), normalised=False))
    swap_encoder(model, Linear(2))
    assert model._last_obs is None
    model.learn(8 * N)
    host = find(model)
    assert np.array_equal(model._last_obs, Linear(2).encode(host.transform.last_frames))


def test_single_latents_of_an_agent_without_buffer_need_no_decoder():
    model = make_ppo(observing(Blind(1))).learn(8 * N)
    swap_encoder(model, Blind(2))
    assert model.get_vec_normalize_env().old_obs == pytest.approx(
        Blind(2).encode(find(model).transform.last_frames)
    )


# What is refused.


def refused(model, encoder, error, message):
    """Check that a swap fails with a message, and changes nothing."""
    host = find(model)
    before, seen = host.transform.encoder, model._last_obs.copy()
    buffer = getattr(model, "replay_buffer", None)
    kept = None if buffer is None else buffer.observations.copy()
    with pytest.raises(error, match=message):
        swap_encoder(model, encoder)
    assert host.transform.encoder is before
    assert np.array_equal(model._last_obs, seen)
    assert kept is None or np.array_equal(buffer.observations, kept)


@pytest.mark.parametrize("make", [make_dqn, make_ppo])
def test_an_encoder_that_does_not_fit(make):
    model = make(observing(Linear(1))).learn(8 * N)
    longer, other = Linear(2), Linear(2)
    longer.latent_space = spaces.Box(-1, 1, (DIM + 1,), np.float32)
    other.observation_space = spaces.Box(0, 255, (DIM, DIM, 3), np.uint8)
    message = r"observes latents of \(4,\) float32, those of the new encoder are \(5,\) float32"
    refused(model, longer, ValueError, message)
    refused(
        model,
        other,
        ValueError,
        r"takes observations of \(4, 4, 3\) uint8, the environment gives \(4,\) float32",
    )
    refused(
        model,
        object(),
        TypeError,
        r"an encoder has latent_space and encode\(observations\); object lacks one",
    )


def test_latents_of_the_same_size_on_another_grid():
    spatial = lrl.beta_vae((32, 32, 3), 256, backbone={"name": "spatial"})
    vector = lrl.beta_vae((32, 32, 3), 256)
    model = make_ppo(observing(vector, make=REACH)).learn(8 * N)
    message = "observes latents that are vectors, those of the new encoder are on a grid of 8 x 8"
    refused(model, spatial, ValueError, message)


def test_an_encoder_without_a_decoder():
    message = "have to be translated, and its encoder, {}, has no decoder; use one that has"
    refused(
        make_dqn(observing(Blind(1))).learn(8 * N), Linear(2), ValueError, message.format("Blind")
    )
    refused(
        make_ppo(observing(Blind(1), 2)).learn(8 * N),
        Linear(2),
        ValueError,
        message.format("Blind"),
    )
    fake = make_dqn(observing(FakeEncoder(), make=Clock)).learn(8 * N)
    refused(fake, FakeEncoder(), ValueError, message.format("FakeEncoder"))
    model = make_dqn(observing(lrl.random((32, 32, 3), DIM), make=REACH)).learn(8 * N)
    refused(model, image_model(0), ValueError, message.format("Autoencoder"))


def test_models_with_frames_of_different_sizes():
    old, new = image_model(0, lrl.Preprocessing(size=(16, 16))), image_model(1)
    model = make_dqn(observing(old, make=REACH)).learn(8 * N)
    message = (
        r"decodes to \(16, 16, 3\), the new one takes \(32, 32, 3\) uint8; give two autoencoders"
    )
    refused(model, new, ValueError, message)
    swap_encoder(
        make_dqn(observing(image_model(0), make=REACH)).learn(8 * N), old
    )  # which takes whole frames


def test_an_agent_without_an_encoder():
    model = make_ppo(VecNormalize(DummyVecEnv([Drift])))
    with pytest.raises(ValueError, match=r"has no encoder to swap: make it with latentrl\.wrap"):
        swap_encoder(model, Linear(1))
    with pytest.raises(ValueError, match="has no encoder to swap"):
        swap_encoder(make_ppo(DummyVecEnv([Drift])), Linear(1))


def test_latents_in_a_dict():
    venv = lrl.wrap(DummyVecEnv([functools.partial(Clock, keyed=True)]), FakeEncoder(), key="image")
    model = PPO("MultiInputPolicy", venv, device="cpu")
    with pytest.raises(
        ValueError, match="observes a Dict with latents under 'image'; only latents alone can be"
    ):
        swap_encoder(model, FakeEncoder())


@pytest.mark.parametrize(
    ("wrap", "kinds"),
    [
        (lambda venv: VecFrameStack(VecNormalize(venv), 2), "VecFrameStack, VecNormalize"),
        (lambda venv: VecFrameStack(VecFrameStack(venv, 2), 2), "VecFrameStack, VecFrameStack"),
        (lambda venv: VecNormalize(VecNormalize(venv)), "VecNormalize, VecNormalize"),
        (lambda venv: VecEpisodicCount(VecNormalize(venv)), "VecEpisodicCount, VecNormalize"),
    ],
)
def test_wrappers_in_another_order(wrap, kinds):
    model = make_ppo(wrap(lrl.wrap(DummyVecEnv([Drift]), Linear(1))))
    with pytest.raises(
        ValueError, match=rf"here, from the outermost, there are {kinds}: make VecNormalize\("
    ):
        swap_encoder(model, Linear(2))
