"""Linear probe of latents of MiniGrid's views: which objects a linear classifier can read."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.pretrain import PretrainConfig, build_model, collect_frames
from agents.pretrain_config import completed, fit_config
from envs.minigrid.vector import draw_views
from latentrl import fit
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.viz.images import grid, to_rgb
from scripts.studies.core import Row, Study, Table
from scripts.studies.representation.views import (
    ENV,
    KINDS,
    LABELS,
    cell_errors,
    labels,
    random_views,
)

DEFAULT, CONV, PIXEL = "default", "conv", "pixels"
CONV_FLAGS: Mapping[str, Any] = {
    "latent_dim": 64,
    "beta": 0.5,
    "steps": 1_500,
    "batch_size": 128,
    "learning_rate": 1e-3,
}
CONV_BACKBONE, PATCHES_BACKBONE = "backbone={name: conv}", "backbone={name: patches}"
ENCODERS: Mapping[str, PretrainConfig] = {
    DEFAULT: PretrainConfig(ENV),
    "default without top-k": PretrainConfig(ENV, option=("topk_weight=0.0",)),
    CONV: PretrainConfig(ENV, option=(CONV_BACKBONE, "topk_weight=0.0"), **CONV_FLAGS),
    "conv with top-k": PretrainConfig(ENV, option=(CONV_BACKBONE, "topk_weight=4.0"), **CONV_FLAGS),
    "random patches": PretrainConfig(
        ENV, model="random", latent_dim=196, option=(PATCHES_BACKBONE,)
    ),
    "random conv": PretrainConfig(ENV, model="random", latent_dim=64),
}
"""Encoders by name, trained on the same frames of random actions."""
INVERSE_PENALTIES, FOLDS = (1.0, 1e2, 1e4, 1e6), 3
"""scikit-learn's C, and the folds of the training levels that choose among them."""
RANK = 400
"""Components of PCA: at least as many as these views span, 49 cells drawn in at most 9 ways."""
GOAL = 0.95
SHOWN = 2
"""Views in the image for each of ``LABELS``."""


def study() -> Study:
    """Objects in view, read from latents of MiniGrid-DoorKey-8x8-v0 by logistic regression.

    The encoders are trained on 20,000 frames of random actions. The classifier is trained and
    tested on different levels, with agent, key and door in random states, so that no label is rare.
    A key in hand does not count as a key.
    """
    return compare(ENCODERS, 600, 10)


def compare(encoders: Mapping[str, PretrainConfig], levels: int, states: int) -> Study:
    """Return the study of these encoders, ``DEFAULT`` and ``CONV`` among them.

    Args:
        encoders: pretraining of each encoder.
        levels: number of levels; every second one trains the classifier, the others test it.
        states: views of each level.
    """
    views = random_views(levels, states)
    frames, truth = draw_views(views.symbols), labels(views.symbols)
    models = {name: pretrain(config) for name, config in encoders.items()}
    latents = {name: model.encode(frames) for name, model in models.items()}
    latents[PIXEL] = frames.reshape(len(frames), -1)
    accuracies = {name: balanced_accuracies(z, truth, views.levels) for name, z in latents.items()}
    decoders = {name: model for name, model in models.items() if model.decoder is not None}
    images = {name: model.reconstruct(frames) for name, model in decoders.items()}
    caption = f"View, reconstructions by {DEFAULT} and {CONV}: {SHOWN} with {', '.join(LABELS)}"
    return Study(
        _rows(accuracies),
        [*_accuracy_tables(accuracies, truth), _error_table(views.symbols, frames, images)],
        {caption: _sheet(truth, frames, images[DEFAULT], images[CONV])},
    )


def pretrain(config: PretrainConfig) -> Autoencoder:
    """Return the encoder of this pretraining, without its files."""
    config = completed(config, None)
    frames = collect_frames(config)
    model = build_model(config, frames.observation_space, from_environment=True)
    fit(model, frames.distinct(), fit_config(config), progress=False)
    return model


def training_half(levels: Array) -> Array:
    """Return the mask of the training views, bool ``(N,)``: those of every second level."""
    # Views of a level are alike, so that a split of views would leak the test levels.
    chosen: Array = levels % 2 == 0
    return chosen


def balanced_accuracies(latents: Array, truth: Array, levels: Array) -> Array:
    """Return the balanced test accuracies of logistic regression on standardised latents.

    Args:
        latents: ``(N, D)``.
        truth: bool ``(N, labels)``.
        levels: number of each row's level, ``(N,)``.

    Returns:
        ``(2, labels)``: with scikit-learn's default penalty, and with the one of
        ``INVERSE_PENALTIES`` that does best on held-out training levels.
    """
    training = training_half(levels)
    x, x_test = _standardised(latents[training], latents[~training])
    score = importlib.import_module("sklearn.metrics").balanced_accuracy_score
    accuracies = []
    for column in truth.T:
        fitted = [
            model.fit(x, column[training], **groups)
            for model, groups in _classifiers(levels[training])
        ]
        accuracies.append([score(column[~training], model.predict(x_test)) for model in fitted])
    return np.stack(accuracies, 1)


def _classifiers(levels: Array) -> list[tuple[Any, dict[str, Array]]]:
    selection = importlib.import_module("sklearn.model_selection")
    plain = importlib.import_module("sklearn.linear_model").LogisticRegression(
        class_weight="balanced", max_iter=5_000
    )
    search = selection.GridSearchCV(
        plain,
        {"C": INVERSE_PENALTIES},
        scoring="balanced_accuracy",
        cv=selection.GroupKFold(FOLDS),  # folds of levels, as the test levels are held out
    )
    return [(plain, {}), (search, {"groups": levels})]


def _standardised(training: Array, test: Array) -> tuple[Array, Array]:
    """Standardise, and rotate by PCA: pixels of few tiles span few dimensions."""
    scaler = importlib.import_module("sklearn.preprocessing").StandardScaler().fit(training)
    training, test = scaler.transform(training), scaler.transform(test)
    # A quadratic penalty is invariant under rotation: PCA changes the run time alone.
    rank = min(RANK, *training.shape)
    pca = importlib.import_module("sklearn.decomposition").PCA(rank, random_state=0).fit(training)
    return pca.transform(training), pca.transform(test)


def _rows(accuracies: Mapping[str, Array]) -> list[Row]:
    rows = []
    for i, label in enumerate(LABELS):
        baselines = {name: float(found[1, i]) for name, found in accuracies.items()}
        value = baselines.pop(DEFAULT)
        metric, goal = f"{label}: balanced accuracy", f"at least {GOAL}"
        rows.append(Row(metric, value, baselines, goal, value >= GOAL))
    return rows


def _accuracy_tables(accuracies: Mapping[str, Array], truth: Array) -> list[Table]:
    fractions = ["fraction of views", *(f"{fraction:.3f}" for fraction in truth.mean(0))]
    columns = ["latents", *LABELS]
    head = f"Balanced accuracy over {len(truth):,} views, half of them for training, with"
    captions = (
        f"{head} scikit-learn's default penalty, C = 1",
        f"{head} the penalty that is best on held-out training levels",
    )
    tables = []
    for which, caption in enumerate(captions):
        rows = [[name, *(f"{x:.3f}" for x in found[which])] for name, found in accuracies.items()]
        tables.append(Table(caption, columns, [*rows, fractions]))
    return tables[::-1]


def _error_table(symbols: Array, frames: Array, images: Mapping[str, Array]) -> Table:
    floor = draw_views(np.broadcast_to((1, 0, 0), symbols.shape))
    errors = {
        name: cell_errors(symbols, frames, drawn)
        for name, drawn in {**images, "bare floor": floor}.items()
    }
    rows = [[name, *(f"{error:.1f}" for error in found)] for name, found in errors.items()]
    caption = "Mean absolute error of the reconstruction of a cell, 0 to 255"
    return Table(caption, ["model", *KINDS], rows)


def _sheet(truth: Array, *rows: Array) -> Array:
    chosen = np.concatenate([np.flatnonzero(column)[:SHOWN] for column in truth.T])
    return grid([to_rgb(images[chosen]) for images in rows])
