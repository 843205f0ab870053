"""FISTA against scikit-learn's sparse coding, the optimality condition and the energy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import sparse_encode
from torch import Tensor, nn
from torch.nn import functional as F

import latentrl as lrl
from latentrl.models.backbones import dense
from latentrl.models.inference import INFERENCES

SIGMA, ATOMS = 0.3, 20
GENERATOR = torch.Generator().manual_seed(0)
DICTIONARY = F.normalize(torch.randn(8, ATOMS, generator=GENERATOR), dim=0)
X = torch.randn(32, 8, generator=GENERATOR)
GUESS = torch.randn(32, ATOMS, generator=GENERATOR)


def linear(h: Tensor) -> Tensor:
    """Return -log p(x | h) of a linear decoder, up to a constant."""
    return 0.5 / SIGMA**2 * (X - h @ DICTIONARY.T).square().sum(1)


def infer(
    reconstruction: Callable[[Tensor], Tensor] = linear, guess: Tensor = GUESS, **options: Any
) -> Tensor:
    return INFERENCES.build({"name": "fista", **options})(reconstruction, guess)


def energy(h: Tensor, sparsity: float, prediction: float) -> Tensor:
    return linear(h) + sparsity * h.abs().sum(1) + prediction * (h - GUESS).square().sum(1)


@pytest.mark.parametrize("sparsity", [1.0, 3.0, 30.0])
def test_equals_scikit_learn(sparsity: float) -> None:
    latents = infer(sparsity=sparsity, prediction=0.0, steps=1500)
    # theirs is 0.5 |x - Dh|^2 + alpha |h|_1
    expected = sparse_encode(
        X.double().numpy(),
        DICTIONARY.T.double().numpy(),
        algorithm="lasso_lars",
        alpha=sparsity * SIGMA**2,
    )
    np.testing.assert_allclose(latents.numpy(), expected, atol=1e-3)
    assert 0 < (expected != 0).mean() < 1
    assert ((latents.numpy() != 0) == (expected != 0)).mean() > 0.99


@pytest.mark.parametrize(
    ("sparsity", "prediction"), [(3.0, 0.0), (3.0, 1.0), (30.0, 10.0), (0.0, 1.0)]
)
def test_ends_at_the_optimality_condition(sparsity: float, prediction: float) -> None:
    latents = infer(sparsity=sparsity, prediction=prediction, steps=500)
    slope = -(X - latents @ DICTIONARY.T) @ DICTIONARY / SIGMA**2 + 2 * prediction * (
        latents - GUESS
    )
    active = latents != 0
    assert (slope + sparsity * latents.sign())[
        active
    ].abs().max() < 2e-3  # slopes of the guess are about 30
    assert (slope[~active].abs() <= sparsity + 2e-3).all()


def ista(steps: int, sparsity: float, prediction: float) -> Tensor:
    """Return the latents of proximal gradient descent without momentum, at the exact step."""
    curvature = torch.linalg.eigvalsh(DICTIONARY.T @ DICTIONARY)[-1] / SIGMA**2 + 2 * prediction
    h = GUESS
    for _ in range(steps):
        slope = -(X - h @ DICTIONARY.T) @ DICTIONARY / SIGMA**2 + 2 * prediction * (h - GUESS)
        moved = h - slope / curvature
        h = moved.sign() * (moved.abs() - sparsity / curvature).clamp(min=0)
    return h


def test_momentum_is_faster_than_descent_without_it() -> None:
    options = {"sparsity": 3.0, "prediction": 0.1}
    best = energy(ista(3000, **options), *options.values()).mean()
    fast = energy(infer(**options, steps=30), *options.values()).mean() - best
    slow = energy(ista(30, **options), *options.values()).mean() - best
    assert fast < 0.5 * slow
    assert abs(energy(infer(**options, steps=500), *options.values()).mean() - best) < 1e-3


def test_the_first_step_lowers_the_energy() -> None:
    options = {"sparsity": 3.0, "prediction": 0.5}
    before = energy(GUESS, *options.values())
    assert (energy(infer(**options, steps=1), *options.values()) < before).all()
    after = energy(infer(**options, steps=40), *options.values())
    assert after.mean() < 0.2 * before.mean()


def test_deep_decoders_are_accepted() -> None:
    torch.manual_seed(0)
    decoder = dense((ATOMS, 32, 8), nn.Tanh())

    def reconstruction(h: Tensor) -> Tensor:
        return 0.5 / SIGMA**2 * (X - decoder(h)).square().sum(1)

    def total(h: Tensor) -> Tensor:
        return (reconstruction(h) + h.abs().sum(1) + (h - GUESS).square().sum(1)).detach()

    latents = infer(reconstruction, steps=30)
    assert (total(latents) < total(GUESS)).all()
    assert total(latents).mean() < 0.8 * total(GUESS).mean()
    assert not latents.requires_grad
    assert all(weight.grad is None for weight in decoder.parameters())


def test_each_observation_is_solved_on_its_own() -> None:
    scale = torch.logspace(0, 4, 32)  # from easy to ill-conditioned
    together = infer(lambda h: scale * linear(h), steps=20)
    alone = infer(
        lambda h: scale[5] * 0.5 / SIGMA**2 * (X[5:6] - h @ DICTIONARY.T).square().sum(1),
        GUESS[5:6],
        steps=20,
    )
    torch.testing.assert_close(together[5:6], alone, rtol=1e-3, atol=1e-3)


def test_a_flat_likelihood_leaves_the_guess_or_shrinks_it() -> None:
    flat = lambda h: 0 * h.sum(1)  # noqa: E731
    torch.testing.assert_close(infer(flat, sparsity=0.0, steps=5), GUESS)
    shrunk = infer(
        flat, sparsity=1.0, prediction=0.5, steps=50
    )  # |h| + 0.5 (h - guess)^2 has a closed form
    torch.testing.assert_close(
        shrunk, GUESS.sign() * (GUESS.abs() - 1).clamp(min=0), atol=1e-4, rtol=0
    )


def test_autocast_has_no_effect() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        half = infer(steps=20)
    assert torch.equal(half, infer(steps=20))


def test_training_delatents_the_inferred_latent() -> None:
    torch.manual_seed(0)
    likelihood = {"name": "gaussian", "sigma": SIGMA}
    model = lrl.psd_ae((8,), ATOMS, sparsity=3.0, prediction=0.0, steps=500, likelihood=likelihood)
    noise = model.sample_noise(X, torch.Generator().manual_seed(0))
    terms, batch = model.losses(X, *noise, 0)
    linear_layer = model.decoder[0]
    centred = (X - linear_layer.bias).detach().double().numpy()
    atoms = linear_layer.columns.detach().double().numpy().T
    expected = sparse_encode(centred, atoms, algorithm="lasso_lars", alpha=3.0 * SIGMA**2)
    np.testing.assert_allclose(batch.z.numpy(), expected, atol=5e-3)
    assert float(terms["sparsity"]) == pytest.approx(3 * np.abs(expected).sum(1).mean(), rel=1e-3)
    torch.testing.assert_close(batch.outputs, model.decoder(batch.z))
    guessed, _ = model.losses(X, X, None, None, 0)  # outside of training the guess is decoded
    assert sum(terms.values()) < sum(guessed.values())


@pytest.mark.parametrize("wrong", [{"sparsity": -1.0}, {"prediction": -1.0}, {"steps": 0}])
def test_values_are_checked(wrong: dict[str, Any]) -> None:
    name, value = next(iter(wrong.items()))
    message = rf"fista needs sparsity >= 0, prediction >= 0 and steps >= 1, got .*{name}={value}"
    with pytest.raises(ValueError, match=message):
        INFERENCES.build({"name": "fista", **wrong})
    with pytest.raises(ValueError, match=message):
        lrl.psd_ae((8,), 4, **{"sparsity": 1.0, **wrong})
