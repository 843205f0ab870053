"""The temporal contrast of latents, beside a computation by hand, and what it teaches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from latentrl.data.frames import Frames
from latentrl.models.batches import previous_of
from latentrl.models.losses.temporal_contrast import LEAST_LENGTH, TINY, TemporalContrast
from tests.latentrl.models.losses.helpers import X, batch_of, random_posterior


def test_is_the_cross_entropy_of_the_previous_row_by_hand() -> None:
    posterior, _ = random_posterior()  # 16 rows of 3 values
    before = torch.randn(16, 3)
    x = torch.randn(16, 3)
    x[:4] = before[:4]
    batch = batch_of(posterior, x=x, previous=before, cells=3)
    both = torch.cat([posterior.mean, before]).double()
    scaled = (both - both.mean()) / (both.std(correction=0) + TINY)  # one value per cell
    scaled = scaled / scaled.abs().clamp(min=LEAST_LENGTH)  # mostly 1 or -1
    expected = 0.0
    for cell in range(3):
        now, earlier = scaled[:16, cell].tolist(), scaled[16:, cell].tolist()
        for row in range(4, 16):  # the rows that differ from their previous one
            logits = [now[row] * other / 0.5 for other in earlier]
            expected += math.log(sum(map(math.exp, logits))) - logits[row]
    measured = TemporalContrast(weight=2.0, temperature=0.5)(batch)
    assert float(measured) == pytest.approx(2 * expected / 16, rel=1e-4)


def test_is_least_where_steps_are_alike_and_rows_are_not() -> None:
    posterior, _ = random_posterior()
    loss = TemporalContrast(weight=1.0)
    x = torch.zeros(16, 3)
    same = float(loss(batch_of(posterior, x=x, previous=posterior.mean)))
    other = float(loss(batch_of(posterior, x=x, previous=posterior.mean.roll(1, 0))))
    assert same < math.log(16) < other


def test_is_zero_without_an_order_where_nothing_moves_and_for_one_row() -> None:
    posterior, _ = random_posterior()
    assert TemporalContrast()(batch_of(posterior)) == 0
    still = X[:, :3]
    assert TemporalContrast()(batch_of(posterior, x=still, previous=still)) == 0
    one, _ = random_posterior(1)
    assert TemporalContrast()(batch_of(one, x=X[:1, 3:6], previous=X[:1, :3])) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": -1.0}, "weight cannot be negative, got -1"),
        ({"temperature": 0.0}, "temperature must be above 0, got 0"),
    ],
)
def test_values_are_checked(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TemporalContrast(**arguments)


def drifting_dot(episodes: int, seed: int) -> Frames:
    """Return frames of a dot that drifts from anywhere over static noise, in short episodes."""
    rng = np.random.default_rng(seed)
    background = np.random.default_rng(9).integers(0, 120, (32, 32, 1)).astype(np.uint8)
    images = np.broadcast_to(background, (episodes * 8, 32, 32, 1)).copy()
    for episode in range(episodes):
        start, velocity = rng.integers(8, 22, 2), rng.integers(-1, 2, 2)
        for step in range(8):
            row, column = start + step * velocity
            images[8 * episode + step, row : row + 2, column : column + 2] = 255
    space = spaces.Box(0, 255, (32, 32, 1), np.uint8)
    return Frames(space, [images], np.repeat(np.arange(episodes), 8))


@pytest.mark.filterwarnings("ignore:the latents have collapsed")
def test_training_finds_what_steps_have_in_common() -> None:
    training, test = drifting_dot(40, seed=0), drifting_dot(8, seed=1)
    config = lrl.FitConfig(steps=40, batch_size=16, learning_rate=2e-3)
    contrasts = []
    for weight in (1e-6, 30.0):
        torch.manual_seed(0)
        model = lrl.beta_vae(
            training.observation_space,
            256,
            beta=0.1,
            likelihood={"name": "gaussian", "sigma": 0.1},
            backbone={"name": "spatial", "channels": (8, 16)},
            contrast_weight=weight,
        )
        lrl.fit(model, training, config, progress=False)
        rows = np.random.default_rng(0).permutation(len(test))[:32]
        x = model.preprocess(torch.from_numpy(test[rows]))
        previous = previous_of(model, test, rows)
        batch = model.losses(x, x, None, None, 0, previous)[1]
        contrasts.append(float(TemporalContrast(1.0)(batch).detach()))
    without, trained = contrasts
    assert trained < 0.95 * without


@pytest.mark.parametrize("name", ["contrast_weight", "change_weight"])
def test_observations_without_an_order_are_named(name: str) -> None:
    frames = drifting_dot(3, seed=0)
    model = lrl.beta_vae(frames.observation_space, 4, **{name: 1.0})
    config = lrl.FitConfig(steps=0)
    lrl.fit(model, frames, config, progress=False)
    term = {"contrast_weight": "temporal_contrast", "change_weight": "change"}[name]
    with pytest.warns(UserWarning, match=f"loss without effect: {term}. .* have no order; give"):
        lrl.fit(model, frames[:], config, progress=False)
