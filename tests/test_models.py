"""Every model builds for every kind of observation, and survives disk and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.autoencoder import AutoencoderConfig
from latentrl.models import MODELS, make

SHAPES: list[tuple[int, ...]] = [(16, 16, 1), (17, 31, 3), (64, 96, 12), (20, 20), (8,)]


def observations(shape: tuple[int, ...], count: int = 3) -> Any:
    rng = np.random.default_rng(0)
    if len(shape) == 1:
        return rng.standard_normal((count, *shape)).astype(np.float32)
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", list(MODELS))
def test_builds_and_runs(name: str, shape: tuple[int, ...]) -> None:
    model = make(name, shape, latent_dim=5)
    x = observations(shape)
    codes = model.encode(x)
    assert codes.shape == (3, 5)
    assert np.isfinite(codes).all()
    assert len({code.tobytes() for code in codes}) == 3  # different observations, different codes
    if model.decoder is not None:
        restored = model.reconstruct(x)
        assert restored.shape == x.shape
        assert restored.dtype == x.dtype


@pytest.mark.parametrize("name", list(MODELS))
def test_largest_images(name: str) -> None:
    assert make(name, (256, 256, 3)).encode(observations((256, 256, 3), 1)).shape == (1, 32)


@pytest.mark.parametrize("shape", [(17, 31, 3), (8,)], ids=str)
@pytest.mark.parametrize("name", list(MODELS))
def test_disk_keeps_every_bit(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    model = make(name, shape, latent_dim=5)
    loaded = lrl.load(lrl.save(model, tmp_path / "model"), device="cpu")
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), model.state_dict().values(), strict=True)
    )
    np.testing.assert_array_equal(loaded.encode(observations(shape)), model.encode(observations(shape)))


@pytest.mark.parametrize("name", list(MODELS))
def test_config_survives_json(name: str) -> None:
    config = make(name, (17, 31, 3), latent_dim=5).config
    again = AutoencoderConfig.from_json(json.loads(json.dumps(config.to_json())))
    assert json.dumps(again.to_json()) == json.dumps(config.to_json())
    assert lrl.Autoencoder(again).config.model == name


@pytest.mark.parametrize("name", list(MODELS))
def test_one_fit_trains_every_model(name: str, vectors: Any) -> None:
    torch.manual_seed(0)
    model = make(name, (8,), latent_dim=2)
    before = model.encode(vectors[:50])
    history = lrl.fit(model, vectors, lrl.FitConfig(epochs=2, batch_size=64, device="cpu"), progress=False)
    assert model.latent_std.min() > 0
    assert not np.array_equal(model.encode(vectors[:50]), before)  # a frozen model gets the data's scale
    if model.config.training == "gradient":
        assert history.epochs[1]["validation/loss"] < history.epochs[0]["validation/loss"]


def test_beta_and_capacity_choose_the_penalty() -> None:
    assert lrl.beta_vae((8,), 3, beta=2.0).config.penalties == [{"name": "kl", "beta": 2.0}]
    penalty = {"name": "capacity", "gamma": 5.0, "capacity": 9.0, "steps": 7}
    assert lrl.beta_vae((8,), 3, capacity=9.0, gamma=5.0, capacity_steps=7).config.penalties == [penalty]


def test_parts_are_given_by_name_or_spec(small_body: dict[str, Any]) -> None:
    model = lrl.vae((16, 16, 3), 3, likelihood="bernoulli", body=small_body)
    assert model.config.likelihood == {"name": "bernoulli"}
    model = lrl.vae((16, 16, 3), 3, likelihood={"name": "gaussian", "sigma": 0.5})
    assert float(model.likelihood.log_sigma.exp()) == pytest.approx(0.5)


def test_corruption_takes_its_parameters() -> None:
    assert lrl.denoising_ae((8,), 3, std=0.5).config.corruption == [{"name": "gaussian_noise", "std": 0.5}]
    assert make("denoising_ae", (8,), latent_dim=3, std=0.5).config.corruption[0]["std"] == 0.5
    with pytest.raises(ValueError, match="corruption 'gaussian_noise' has no 'share'; it takes: std"):
        lrl.denoising_ae((8,), 3, share=0.5)
    with pytest.raises(ValueError, match="unknown corruption 'fog'; known: "):
        lrl.denoising_ae((8,), 3, corruption="fog")
    with pytest.raises(ValueError, match="'std' goes into the specs in corruption, not beside them"):
        lrl.denoising_ae((8,), 3, corruption=[{"name": "gaussian_noise"}], std=0.5)


def test_make_keeps_defaults_and_names_mistakes() -> None:
    assert make("vae", (64, 64, 3), latent_dim=None).latent_dim == 32
    with pytest.raises(ValueError, match="unknown model 'gan'; known: ae, "):
        make("gan", (8,))
    with pytest.raises(ValueError, match="model 'vae' has no 'beta'; it takes: latent_dim, "):
        make("vae", (8,), beta=2.0)
