"""Learning the general-purpose weights: the loss against a direct computation, and the file."""

from __future__ import annotations

import numpy as np
import torch

import latentrl as lrl
from latentrl.models.warm_start import NOTE, networks_of
from latentrl.training.choice import BETA, BUSY_CHANNELS, CHANNELS, TOPK_WEIGHT
from latentrl.utils.io import read_tensors
from scripts.studies.encoders import learn
from scripts.studies.encoders.learn import CELLS, loss, random_batches, write_weights
from scripts.studies.encoders.scenes import SIDE


def small_batch(monkeypatch):
    monkeypatch.setattr(learn, "POOL", 3)
    monkeypatch.setattr(learn, "BATCH", 2)
    return next(random_batches(np.random.default_rng(0)))


def test_the_loss_is_that_of_the_first_channels(monkeypatch):
    x, before, means = batch = small_batch(monkeypatch)
    model = lrl.beta_vae((SIDE, SIDE, 3), BUSY_CHANNELS * CELLS, backbone={"name": "spatial"})
    torch.manual_seed(1)
    found = loss(model, batch, CHANNELS)
    torch.manual_seed(1)
    posterior = model.head(model.encoder(x))
    z = posterior.sample(torch.randn_like(posterior.mean))
    z[:, CHANNELS * CELLS :] = 0
    error = (model.decoder(z) - x).square() / (2 * 0.1**2) + np.log(0.1 * np.sqrt(2 * np.pi))
    expected = 0.0
    for i in range(len(x)):
        moved = ((x[i] - before[i]).abs() > 0.02).any(0)
        weight = 1 / max(float(moved.float().mean()), 0.01)
        worst = error[i].flatten().sort(descending=True).values[: round(0.02 * x[0].numel())]
        kl = posterior.kl()[i, : CHANNELS * CELLS].sum()
        expected += error[i].sum() + weight * error[i][:, moved].sum()
        expected += TOPK_WEIGHT * worst.sum() + BETA * kl
    torch.testing.assert_close(found, expected / len(x), rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(model.encoder[0].offset, -means)


def test_weights_are_written_for_later_models(monkeypatch, tmp_path):
    small_batch(monkeypatch)
    file = write_weights(2, tmp_path / "weights.safetensors")
    weights, command = read_tensors(file, NOTE)
    model = lrl.beta_vae((SIDE, SIDE, 3), BUSY_CHANNELS * CELLS, backbone={"name": "spatial"})
    assert weights.keys() == networks_of(model).keys()
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert command == learn.COMMAND
