"""Latents of frames that repeat are encoded once, and are those of the encoder's weights."""

from __future__ import annotations

import copy

import gymnasium as gym
import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.wrappers import latent_cache
from latentrl.wrappers.latent_cache import LatentCache
from tests.helpers import FakeEncoder, same


@pytest.fixture
def counted(monkeypatch):
    """A small encoder, and the sizes of the batches that it encodes."""
    model = lrl.random((16, 16, 3), latent_dim=4)
    sizes = []
    encode = model.encode

    def counting(frames):
        sizes.append(len(frames))
        return encode(frames)

    monkeypatch.setattr(model, "encode", counting)
    return model, sizes


def frames_of(*numbers):
    return np.stack([np.full((16, 16, 3), number, np.uint8) for number in numbers])


def test_each_frame_is_encoded_once(counted):
    model, sizes = counted
    reference = copy.deepcopy(model)
    del reference.encode
    cache = LatentCache()
    rng = np.random.default_rng(0)
    for _ in range(50):
        frames = frames_of(*rng.integers(9, size=5))
        latents = cache.encode(model, frames)
        assert latents.dtype == np.float32
        np.testing.assert_allclose(latents, reference.encode(frames), atol=1e-5)
        latents[:] = 0  # what is returned is the caller's
    assert sum(sizes) == 9


def test_other_weights_and_other_encoders_have_other_latents(counted):
    model, _ = counted
    cache, frames = LatentCache(), frames_of(1, 2)
    first = cache.encode(model, frames)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.5)
    second = cache.encode(model, frames)
    assert not np.allclose(first, second)
    np.testing.assert_allclose(second, model.encode(frames), atol=1e-5)
    zeros = torch.zeros(sum(weight.numel() for weight in model.parameters()))
    torch.nn.utils.vector_to_parameters(zeros, model.parameters())
    np.testing.assert_allclose(cache.encode(model, frames), model.encode(frames), atol=1e-5)
    other = lrl.beta_vae((16, 16, 3), latent_dim=4)
    np.testing.assert_allclose(cache.encode(other, frames), other.encode(frames), atol=1e-5)


def test_it_ends_where_frames_do_not_repeat(counted, monkeypatch):
    monkeypatch.setattr(latent_cache, "WINDOW", 8)
    model, sizes = counted
    cache = LatentCache()
    for numbers in ([1, 2, 1, 2], [3, 1, 1, 2], [5, 6, 7, 8], [9, 10, 11, 12]):
        assert cache.active
        cache.encode(model, frames_of(*numbers))
    assert not cache.active
    cache.encode(model, frames_of(1, 1))
    assert sizes == [2, 1, 4, 4, 2]


def test_it_starts_anew_when_it_is_full(counted, monkeypatch):
    monkeypatch.setattr(latent_cache, "MOST_BYTES", 3 * (4 * 4 + latent_cache.ENTRY))
    model, sizes = counted
    cache = LatentCache()
    for numbers in ([1, 2, 3], [1, 2, 3], [3, 4], [4]):
        cache.encode(model, frames_of(*numbers))
    assert sizes == [3, 1, 1]


class Drifting(torch.nn.Module):
    """A user's model with a state that no weight shows."""

    latent_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    steps = 0

    def encode(self, frames):
        self.steps += 1
        return np.full((len(frames), 1), self.steps, np.float32)


def test_models_of_users_encode_every_frame():
    model, cache = Drifting(), LatentCache()
    latents = [cache.encode(model, frames_of(1, 1)) for _ in range(2)]
    np.testing.assert_array_equal(latents, [[[1], [1]], [[2], [2]]])


def test_encoders_of_other_kinds_and_vectors_are_not_cached():
    fake, cache = FakeEncoder(), LatentCache()
    for _ in range(2):
        cache.encode(fake, frames_of(1, 1))
    assert fake.batches == [2, 2]
    vectors = np.ones((3, 6), np.float32)
    model = lrl.random((6,), latent_dim=2)
    assert same(cache.encode(model, vectors), model.encode(vectors))
    assert not cache._latents
