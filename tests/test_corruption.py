"""Corruptions damage the input, by the stated amount, from the given generator alone."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from latentrl.autoencoder import Autoencoder
from latentrl.corruption import CORRUPTIONS
from latentrl.models import denoising_ae

SHAPES = [(3, 40, 40), (500,)]


def corrupt(name: str, x: Tensor, seed: int = 0, **options: float) -> Tensor:
    return CORRUPTIONS.build({"name": name, **options})(x, Generator().manual_seed(seed))


def observations(*shape: int) -> Tensor:
    return 0.25 + 0.5 * torch.rand(4, *shape, generator=Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_deterministic_under_a_seed(name: str, shape: tuple[int, ...]) -> None:
    x = observations(*shape)
    torch.manual_seed(1)
    first = corrupt(name, x)
    torch.manual_seed(2)
    assert torch.equal(first, corrupt(name, x))
    assert first.shape == x.shape
    assert first.dtype == x.dtype


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_returns_a_damaged_copy(name: str, shape: tuple[int, ...]) -> None:
    x = observations(*shape)
    kept = x.clone()
    damaged = corrupt(name, x)
    assert torch.equal(x, kept)
    assert all(not torch.equal(a, b) for a, b in zip(damaged, x, strict=True))


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_the_target_stays_clean(name: str) -> None:
    torch.manual_seed(0)
    model: Autoencoder = denoising_ae((16, 16, 3), 4, corruption=name, body={"name": "linear"})
    x = observations(3, 16, 16)
    inputs, _ = model.draw(x, Generator().manual_seed(0))
    terms, batch = model.losses(x, inputs, None, 0)
    assert torch.equal(batch.x, x)
    _, _, outputs = model(inputs)
    torch.testing.assert_close(terms["reconstruction"], -model.likelihood.log_prob(outputs, x).mean())


def test_gaussian_noise_has_the_spread() -> None:
    x = observations(3, 40, 40)
    added = corrupt("gaussian_noise", x, std=0.3) - x
    assert abs(float(added.std()) - 0.3) < 0.01
    assert abs(float(added.mean())) < 0.01


def test_salt_and_pepper_share() -> None:
    damaged = corrupt("salt_and_pepper", observations(3, 40, 40), share=0.3)
    assert abs(float((damaged == 0).float().mean()) - 0.15) < 0.02
    assert abs(float((damaged == 1).float().mean()) - 0.15) < 0.02


def test_masking_hides_whole_pixels() -> None:
    x = observations(3, 40, 40)
    damaged = corrupt("masking", x, share=0.4)
    hidden = damaged == 0
    assert (hidden.all(1) == hidden.any(1)).all()
    assert abs(float(hidden.float().mean()) - 0.4) < 0.03
    assert torch.equal(damaged[~hidden], x[~hidden])


def test_corruptions_compose_in_order() -> None:
    specs = [{"name": "gaussian_noise", "std": 0.1}, {"name": "masking", "share": 0.5}]
    inputs, _ = denoising_ae((16, 16, 3), 4, corruption=specs).draw(observations(3, 16, 16), Generator().manual_seed(0))
    assert 0.4 < float((inputs == 0).float().mean()) < 0.6  # in the other order noise would cover the holes
