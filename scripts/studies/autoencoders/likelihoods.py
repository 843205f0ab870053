"""Calibration of three Gaussian decoders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from latentrl import FitConfig, fit, vae
from latentrl.data.frames import evenly_spaced
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from scripts.studies.autoencoders.data import car_racing, digits
from scripts.studies.core import Row, Study

PER_VALUE = "sigma per value"
FIXED = "fixed sigma 0.1"
LIKELIHOODS: dict[str, Any] = {
    PER_VALUE: "diagonal_gaussian",
    FIXED: "gaussian",
    "one learned sigma": {"name": "gaussian", "learned": True},
}
INSIDE = (0.93, 0.97)
"""Fraction within two standard deviations that is calibrated: 0.954 of a normal distribution."""


def study() -> Study:
    """Calibration of Gaussian decoders on held-out images.

    A VAE predicts a standard deviation for each value of an image, has one learned sigma, or a
    fixed sigma of 0.1. Log-likelihoods are those of the decoded posterior mean.
    """
    rows = []
    for name, training, held_out, backbone, steps in _data():
        results = {}
        for decoder, likelihood in LIKELIHOODS.items():
            torch.manual_seed(0)
            model = vae(training.shape[1:], 16, likelihood=likelihood, backbone=backbone)
            fit(model, training, FitConfig(steps=steps))
            results[decoder] = _log_likelihood_and_coverage(model, held_out)
        rows += _rows(name, results)
    return Study(rows)


def _data() -> Iterable[tuple[str, Array, Array, Any, int]]:
    images, _ = digits()
    yield "digits 8x8", images[:1400], images[1400:], {"name": "mlp"}, 1500
    training, held_out = car_racing()
    yield "CarRacing", training, held_out[evenly_spaced(len(held_out), 500)], None, 1000


@torch.no_grad()
def _log_likelihood_and_coverage(model: Autoencoder, images: Array) -> tuple[float, float]:
    x = model.preprocess(torch.from_numpy(images).to(model.device))
    outputs = model(x)[2].float()
    log_prob = model.likelihood.log_prob(outputs, x).flatten(1).sum(1).mean()
    errors = (model.likelihood.mean(outputs) - x).abs()
    inside = errors <= 2 * model.likelihood.std(outputs)
    return float(log_prob), float(inside.float().mean())


def _rows(name: str, results: dict[str, tuple[float, float]]) -> list[Row]:
    log_probs = {decoder: log_prob for decoder, (log_prob, _) in results.items()}
    inside = {decoder: fraction for decoder, (_, fraction) in results.items()}
    log_prob, fraction = log_probs.pop(PER_VALUE), inside.pop(PER_VALUE)
    better = log_prob > log_probs[FIXED]
    low, high = INSIDE
    metric, goal = f"{name}: fraction of values within 2 sigma", f"{low} to {high}"
    return [
        Row(f"{name}: log-likelihood, nats", log_prob, log_probs, f"above {FIXED}", better),
        Row(metric, fraction, inside, goal, low <= fraction <= high),
    ]
