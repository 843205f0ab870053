"""The model class: arrays in, arrays out, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from latentrl.autoencoder import CHUNK, AutoencoderConfig
from latentrl.types import Encoder, as_space, space_to_json

CONFIG = AutoencoderConfig("test", space_to_json(as_space((8,))), 3, head={"name": "point"})


def test_config_survives_json() -> None:
    config = dataclasses.replace(CONFIG, preprocessing=lrl.Preprocessing((1, 2, 3, 4), (32, 48), True))
    assert AutoencoderConfig.from_json(json.loads(json.dumps(config.to_json()))).preprocessing == config.preprocessing
    assert AutoencoderConfig.from_json(CONFIG.to_json()) == CONFIG


def test_config_names_unknown_settings() -> None:
    with pytest.raises(ValueError, match="unknown model setting 'colour'; known: body, corruption, head"):
        AutoencoderConfig.from_json({**CONFIG.to_json(), "colour": 1})
    with pytest.raises(ValueError, match="unknown training 'magic'; known: gradient, pca, none"):
        AutoencoderConfig.from_json({**CONFIG.to_json(), "training": "magic"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent_dim": 0}, "latent_dim is a number of values, at least 1; got 0"),
        ({"latent_dim": 9}, r"latent_dim=9 exceeds the 8 values of an input of shape \(8,\)"),
        ({"head": {"name": "gausian"}}, "unknown head 'gausian'; known: "),
        ({"body": {"name": "conv"}}, "body 'conv' is for images"),
        ({"penalties": [{"name": "kl"}]}, "penalty 'kl' needs a head with a distribution, such as 'gaussian'"),
        ({"likelihood": {"name": "bernoulli"}}, r"'bernoulli' needs values in \[0, 1\]; for vectors use 'gaussian'"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrl.Autoencoder(dataclasses.replace(CONFIG, **changes))


def test_is_an_encoder(fitted: lrl.Autoencoder, images: Any) -> None:
    assert isinstance(fitted, Encoder)
    assert fitted.latent_space.contains(fitted.encode(images[0]))


def test_one_observation_equals_a_batch_of_one(fitted: lrl.Autoencoder, images: Any) -> None:
    np.testing.assert_array_equal(fitted.encode(images[0]), fitted.encode(images[:1])[0])
    np.testing.assert_array_equal(fitted.reconstruct(images[0]), fitted.reconstruct(images[:1])[0])
    np.testing.assert_array_equal(fitted.preview(images[0]), images[0])


def test_long_batches_equal_their_parts(vectors: Any) -> None:
    model = lrl.vae((8,), 3)
    many = np.concatenate([vectors, vectors])[: CHUNK + 5]
    np.testing.assert_allclose(model.encode(many)[CHUNK:], model.encode(many[CHUNK:]), atol=1e-6)


@pytest.mark.parametrize("size", [None, (16, 16)])
def test_empty_batch_gives_an_empty_batch(size: tuple[int, int] | None) -> None:
    model = lrl.ae((20, 20, 3), 4, preprocessing=lrl.Preprocessing(size=size))
    empty = np.empty((0, 20, 20, 3), np.uint8)
    assert model.encode(empty).shape == (0, 4)
    assert model.reconstruct(empty).shape == (0, *(size or (20, 20)), 3)


def test_reconstruct_is_decode_of_encode(fitted: lrl.Autoencoder, images: Any) -> None:
    codes = fitted.encode(images)
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(fitted.reconstruct(images), fitted.decode(codes))


def test_arrays_keep_the_units_and_dtype(images: Any) -> None:
    for space, batch in [
        (spaces.Box(0, 255, (32, 32, 3), np.uint8), images[:4]),
        (spaces.Box(0, 1, (32, 32, 3), np.float64), images[:4] / 255),
        (spaces.Box(0, 255, (128,), np.uint8), images[:4, 0, :, 0].repeat(4, axis=1)),
    ]:
        restored = lrl.ae(space, 4).reconstruct(batch)
        assert restored.dtype == space.dtype
        assert restored.min() >= space.low.min()
        assert restored.max() <= space.high.max()


def test_read_only_and_strided_arrays_will_do(fitted: lrl.Autoencoder, images: Any) -> None:
    frozen = images[:4].copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(fitted.encode(frozen), fitted.encode(images[:4]))
    np.testing.assert_array_equal(fitted.encode(images[3::-1]), fitted.encode(images[:4])[::-1])


def test_the_code_is_the_posterior_mean(fitted: lrl.Autoencoder, images: Any) -> None:
    x = fitted.preprocess(torch.from_numpy(images[:8]))
    with torch.no_grad():
        code, z, _ = fitted(x, torch.ones(8, fitted.latent_dim))
    np.testing.assert_allclose(fitted.encode(images[:8]), code.mean.numpy(), atol=1e-5)
    assert not torch.allclose(z, code.mean)


@pytest.mark.parametrize(
    ("observations", "message"),
    [
        (np.zeros((2, 32, 32, 1), np.uint8), r"expected observations of shape \(B, 32, 32, 3\), got \(2, 32, 32, 1\)"),
        (np.zeros((1, 2, 32, 32, 3), np.uint8), r"got \(1, 2, 32, 32, 3\)"),
        (np.zeros((2, 32, 32, 3), np.float32), r"expected uint8 observations, got float32; .*\(32, 32, 3\) uint8"),
    ],
)
def test_wrong_observations_are_refused(fitted: lrl.Autoencoder, observations: Any, message: str) -> None:
    for use in (fitted.encode, fitted.reconstruct, fitted.preview):
        with pytest.raises(ValueError, match=message):
            use(observations)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    model = lrl.ae((8,), 3)
    with pytest.raises(ValueError, match="observations contain NaN or infinity"):
        model.encode(np.full((2, 8), value))
    with pytest.raises(ValueError, match="codes contain NaN or infinity"):
        model.decode(np.full((2, 3), value))


def test_wrong_codes_are_refused(fitted: lrl.Autoencoder) -> None:
    with pytest.raises(ValueError, match=r"expected codes of shape \(B, 6\), got \(2, 5\)"):
        fitted.decode(np.zeros((2, 5)))


def test_without_a_decoder_nothing_is_decoded(images: Any) -> None:
    model = lrl.random((32, 32, 3), 4)
    for use, arrays in [(model.decode, np.zeros((1, 4))), (model.reconstruct, images[:1])]:
        with pytest.raises(TypeError, match="a 'random' model has no decoder; train 'pca', 'ae' or 'beta_vae'"):
            use(arrays)
