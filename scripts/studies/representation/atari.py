"""Positions of balls and paddles, read from latents of Atari games by ridge regression."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

import latentrl as lrl
from agents.pretrain import PretrainConfig, collect_frames
from agents.pretrain_choice import LEARNING_RATE, WARM_FRAMES, WARM_STEPS
from agents.pretrain_config import IMAGE_BATCH_SIZE
from envs.ale.factors import ADDRESSES
from latentrl import Frames
from latentrl.models.autoencoder import Autoencoder
from latentrl.training.probe import training_rows
from latentrl.types import Array
from scripts.studies.core import Row, Study, Table

DEFAULT, CONTRAST, GENERAL, RANDOM, PCA = (
    *("default", "default with contrast", "general-purpose weights", "random encoder", "PCA"),
)
CONTRAST_WEIGHT = 30.0
LABELS = (100, 300, 1_000)
"""Labelled frames of a probe."""
DRAWS = 5
"""Draws of the labelled frames, over which R2 is averaged."""
PENALTIES = np.logspace(-2, 5, 15)
"""Quadratic penalties of ridge regression to choose from."""
SEED, PROBE_SEED = 0, 1
"""Of the frames that encoders are trained on, and of those that are probed."""


def study() -> Study:
    """Positions in games, read from the latent of one frame by ridge regression of few labels.

    Encoders are trained on 4,000 distinct frames of random actions in Pong and in Breakout, and
    probed on as many others. The positions are those of the game's memory (AtariARI, Anand et al.
    2019, arXiv:1906.08226). The random encoder and that with general-purpose weights have the
    network and the mean image of the default; PCA has as many values, of the same images.
    """
    return compare(tuple(ADDRESSES), WARM_FRAMES, WARM_STEPS)


def compare(games: Sequence[str], frames: int, steps: int) -> Study:
    """Return the study of these games.

    Args:
        games: Gymnasium ids with known factors.
        frames: distinct frames for the encoders, and for the probe.
        steps: gradient steps of a trained encoder.
    """
    rows: list[Row] = []
    tables: list[Table] = []
    for game in games:
        training, probed = (_collect(game, frames, seed) for seed in (SEED, PROBE_SEED))
        models = dict(encoders(training, steps))
        scores = {name: few_label_scores(m.encode(probed[:]), probed) for name, m in models.items()}
        rows += _rows(game, scores)
        tables += _score_tables(game, scores, list(probed.factors))
        tables.append(_quality(game, models, probed))
    return Study(rows, tables)


def encoders(frames: Frames, steps: int) -> Iterator[tuple[str, Autoencoder]]:
    """Yield the encoders by name, fitted on ``frames``."""
    space, chosen = frames.observation_space, lrl.choose(frames).arguments
    for name in (DEFAULT, CONTRAST, GENERAL, RANDOM):
        torch.manual_seed(SEED)
        changes = {"contrast_weight": CONTRAST_WEIGHT} if name == CONTRAST else {}
        model = lrl.beta_vae(space, **{**chosen, **changes})
        if name != RANDOM:
            lrl.warm_start(model)
        yield name, _fitted(model, frames, steps if name in (DEFAULT, CONTRAST) else 0)
    same = {name: chosen[name] for name in ("latent_dim", "preprocessing") if name in chosen}
    yield PCA, _fitted(lrl.models.pca(space, **same), frames, steps)


def _fitted(model: Autoencoder, frames: Frames, steps: int) -> Autoencoder:
    config = lrl.FitConfig(steps=steps, batch_size=IMAGE_BATCH_SIZE, learning_rate=LEARNING_RATE)
    lrl.fit(model, frames, config, progress=False)
    return model


def _collect(game: str, count: int, seed: int) -> Frames:
    # Gymnasium's games alone have the emulator's memory.
    config = PretrainConfig(game, frames=count, seed=seed, backend="gymnasium")
    return collect_frames(config).distinct()


def few_label_scores(latents: Array, frames: Frames) -> Array:
    """Return the test R2 of each factor from few labelled frames, ``(len(LABELS), F)``.

    Every second episode has the labelled frames, which are drawn at random, and the others test.
    Latents are scaled as a whole: a principal component of little variance would otherwise weigh as
    much as the first one.

    Args:
        latents: those of ``frames``, ``(N, latent_dim)``.
        frames: frames with known factors.
    """
    factors = np.stack(list(frames.factors.values()), 1)
    known, training = np.isfinite(factors).all(1), training_rows(frames.episodes)
    labelled, test = np.flatnonzero(known & training), np.flatnonzero(known & ~training)
    scaled = (latents - latents.mean(0)) / latents.std(0).mean()
    metrics, rng, scores = importlib.import_module("sklearn.metrics"), np.random.default_rng(0), []
    for count in LABELS:
        draws = []
        for _ in range(DRAWS):
            rows = rng.choice(labelled, count, replace=False)
            predicted = _ridge().fit(scaled[rows], factors[rows]).predict(scaled[test])
            draws.append(metrics.r2_score(factors[test], predicted, multioutput="raw_values"))
        scores.append(np.mean(draws, 0))
    return np.array(scores)


def _ridge() -> Any:
    """Return ridge regression whose penalty leave-one-out chooses for each factor."""
    linear = importlib.import_module("sklearn.linear_model")
    return linear.RidgeCV(PENALTIES, alpha_per_target=True)


def _rows(game: str, scores: Mapping[str, Array]) -> Iterator[Row]:
    for i, count in enumerate(LABELS):
        found = {name: float(table[i].mean()) for name, table in scores.items()}
        value = found.pop(DEFAULT)
        reached = value > max(found[RANDOM], found[PCA])
        metric = f"{game}, {count:,} labels: mean R2"
        yield Row(metric, value, found, f"above {RANDOM} and {PCA}", reached)


def _score_tables(
    game: str, scores: Mapping[str, Array], factors: Sequence[str]
) -> Iterator[Table]:
    for i, count in enumerate(LABELS):
        rows = [[name, *(f"{value:.2f}" for value in table[i])] for name, table in scores.items()]
        yield Table(f"{game}: R2 with {count:,} labels", ["latents", *factors], rows)


def _quality(game: str, models: Mapping[str, Autoencoder], probed: Frames) -> Table:
    rows = []
    for name in (DEFAULT, CONTRAST, GENERAL):
        found = lrl.quality(models[name], probed)
        values = (found.explained, found.changing, found.lost_detail)
        rows.append([name, *("" if value is None else f"{value:.2f}" for value in values)])
    columns = ["latents", "explained", "changing", "lost detail"]
    return Table(f"{game}: check of the reconstructions", columns, rows)
