"""Disentanglement by quantised latents, on sprites with known factors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import latentrl as lrl
from envs.sprites import sprites
from latentrl.models import make
from scripts.studies.core import Row, Study, Table

SIZE, LATENT_DIM, STEPS = 16, 10, 3000
SEEDS = (0, 1, 2)
SHARED: Mapping[str, Any] = {
    "latent_dim": LATENT_DIM,
    "likelihood": "bernoulli",
    "backbone": {"name": "mlp", "hidden": (128, 128)},
}
MODELS: dict[str, Mapping[str, Any]] = {
    "beta_vae": {"beta": 1.0},
    "fsq_ae": {},
    # The weights of the paper, whose likelihood is the same.
    "qlae": {"quantise": 0.01, "commit": 0.01},
}
METRICS = [
    {"name": "infomec", "points": 1500},
    {"name": "dci", "train": 600, "test": 300},
]
COLUMNS = {
    "infom": "InfoM",
    "infoe": "InfoE",
    "infoc": "InfoC",
    "dci_disentanglement": "DCI D",
    "dci_completeness": "DCI C",
    "dci_informativeness": "DCI I",
    "psnr": "PSNR, dB",
}
Scores = dict[str, list[dict[str, float]]]
"""Scores of each model, one entry per seed."""


def study() -> Study:
    """Disentanglement of quantised latents, compared with beta-VAE.

    Ten latents of sprites of 16 x 16 pixels with five factors, 3,000 gradient steps of a network of
    two hidden layers. Scores are of 1,500 held-out images, over three seeds.
    """
    scores = {
        name: [_scores(name, options, seed) for seed in SEEDS] for name, options in MODELS.items()
    }
    return Study(_rows(scores), [_table(scores)])


def _scores(name: str, options: Mapping[str, Any], seed: int) -> dict[str, float]:
    images, _ = sprites(6_000, SIZE, seed=seed)
    held_out, factors = sprites(1_500, SIZE, seed=100 + seed)
    torch.manual_seed(seed)
    model = make(name, images.shape[1:], **SHARED, **options)
    lrl.fit(model, images, lrl.FitConfig(steps=STEPS, batch_size=64, seed=seed), progress=False)
    found = lrl.disentanglement_scores(model.encode(held_out), factors, seed, METRICS)
    return found | {"psnr": lrl.health(model, lrl.as_frames(held_out)).psnr}


def _rows(scores: Scores) -> list[Row]:
    means = {name: _mean(each, "infom") for name, each in scores.items()}
    value, base = means.pop("qlae"), means["beta_vae"]
    return [Row("InfoM of qlae", value, means, "above beta_vae", value > base)]


def _table(scores: Scores) -> Table:
    rows = [
        [name, *(f"{_mean(each, key):.2f} ± {_std(each, key):.2f}" for key in COLUMNS)]
        for name, each in scores.items()
    ]
    return Table("Mean and standard deviation over the seeds", ["model", *COLUMNS.values()], rows)


def _mean(scores: list[dict[str, float]], key: str) -> float:
    return float(np.mean([each[key] for each in scores]))


def _std(scores: list[dict[str, float]], key: str) -> float:
    return float(np.std([each[key] for each in scores]))
