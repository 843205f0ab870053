"""A study of what survives the encoder: whether codes of MiniGrid's views tell of keys, doors and
the goal.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.pretrain import PretrainConfig, build_model, collect_frames
from agents.pretrain_config import completed, fit_config
from envs import Environment, make_env
from envs.minigrid.vector import draw_views
from envs.minigrid.views import AGENT_COLUMN, AGENT_ROW, PIXELS, VIEW
from latentrl import fit
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.viz.images import grid, to_rgb
from scripts.studies.core import STUDIES, Row, Study, Table

ENV = "MiniGrid-DoorKey-8x8-v0"
KINDS = ("floor", "wall", "key", "key in hand", "shut door", "open door", "goal")
ASKED = KINDS[2:]
"""Of what a classifier is to tell whether it is in view."""
DEFAULT, CONV, PIXEL = "default", "conv", "pixels"
CONV_FLAGS: Mapping[str, Any] = {
    "latent_dim": 64,
    "beta": 0.5,
    "steps": 1_500,
    "batch_size": 128,
    "learning_rate": 1e-3,
}
ENCODERS: Mapping[str, PretrainConfig] = {
    DEFAULT: PretrainConfig(ENV),
    "without hardest": PretrainConfig(ENV, option=("topk_weight=0.0",)),
    CONV: PretrainConfig(ENV, option=("backbone={name: conv}", "topk_weight=0.0"), **CONV_FLAGS),
    "conv, hardest": PretrainConfig(
        ENV, option=("backbone={name: conv}", "topk_weight=4.0"), **CONV_FLAGS
    ),
    "random patches": PretrainConfig(
        ENV, model="random", latent_dim=196, option=("backbone={name: patches}",)
    ),
    "random conv": PretrainConfig(ENV, model="random", latent_dim=64),
}
"""What is compared, all on the same frames of random actions."""
FIRST_LEVEL = 10_000
"""Seed of the first level of the probe, far from those that encoders learn from."""
SHARE_CARRYING = 0.3
DOORS = ((True, False), (True, False), (False, False), (False, True))
"""Whether the door is open and whether it is locked, each as probable: open as often as shut."""
STRENGTHS, FOLDS = (1.0, 1e2, 1e4, 1e6), 3
"""Inverse weights of the classifier's penalty on its own, of which ``FOLDS`` folds of the training
levels choose."""
RANK = 400
"""No fewer dimensions than these views span: 49 cells, each drawn in at most 9 ways."""
LEAST = 0.95
SHOWN = 2
"""Views in the picture for each of what is asked."""


@dataclass(frozen=True)
class Views:
    """Symbolic views and where they come from."""

    symbols: Array
    """Object, colour and state of the cell at column and row of the view, uint8 ``(N, 7, 7,
    3)``."""
    levels: Array
    """Number of the level of each, int ``(N,)``."""


@STUDIES.register("probe")
def probe() -> Study:
    """What logistic regression reads from codes of MiniGrid-DoorKey-8x8-v0, in levels that it was
    not trained on.

    Encoders have seen 20,000 frames of random actions. The classifier sees agent, key and door of
    fresh levels in random states, so that nothing that it is asked for is rare; a key in hand
    counts as no key.
    """
    return compared(ENCODERS, 600, 10)


def compared(encoders: Mapping[str, PretrainConfig], levels: int, states: int) -> Study:
    """Return the study of these encoders, those called ``DEFAULT`` and ``CONV`` among them.

    Args:
        encoders: how to make each.
        levels: of the probe; every second trains the classifier, the others test it.
        states: views of each level.
    """
    views = scattered(levels, states)
    frames, truth = draw_views(views.symbols), labels(views.symbols)
    models = {name: encoder(config) for name, config in encoders.items()}
    codes = {
        **{name: model.encode(frames) for name, model in models.items()},
        PIXEL: frames.reshape(len(frames), -1),
    }
    read = {name: accuracies(code, truth, views.levels) for name, code in codes.items()}
    drawn = {
        name: model.reconstruct(frames)
        for name, model in models.items()
        if model.decoder is not None
    }
    caption = f"View, reconstructions by {DEFAULT} and {CONV}: {SHOWN} each with {', '.join(ASKED)}"
    return Study(
        _rows(read),
        [*_accuracy_tables(read, truth), _error_table(views.symbols, frames, drawn)],
        {caption: _picture(truth, frames, drawn[DEFAULT], drawn[CONV])},
    )


def encoder(config: PretrainConfig) -> Autoencoder:
    """Return what ``pretrain`` makes of these settings, without its files."""
    config = completed(config, None)
    frames = collect_frames(config)
    model = build_model(config, frames.space, from_environment=True)
    fit(model, frames.distinct(), fit_config(config), progress=False)
    return model


def scattered(levels: int, states: int) -> Views:
    """Return views of ``states`` random states of each of so many fresh levels; not all can be
    reached by playing.
    """
    env: Any = make_env(Environment(ENV)).unwrapped
    rng, symbols = np.random.default_rng(0), []
    for level in range(levels):
        env.reset(seed=FIRST_LEVEL + level)
        for _ in range(states):
            _scatter(env, rng)
            symbols.append(env.gen_obs()["image"])
    env.close()
    return Views(np.stack(symbols), np.repeat(np.arange(levels), states))


def _scatter(env: Any, rng: np.random.Generator) -> None:
    """Change where the agent is, how the door is, and whether the key is in hand or lies where the
    level has it.
    """
    if env.carrying is not None:
        env.grid.set(*env.carrying.init_pos, env.carrying)
    things = {thing.type: thing for thing in env.grid.grid if thing is not None}
    env.carrying = things["key"] if rng.random() < SHARE_CARRYING else None
    if env.carrying is not None:
        env.grid.set(*env.carrying.init_pos, None)
    things["door"].is_open, things["door"].is_locked = DOORS[rng.integers(len(DOORS))]
    free = [i for i, thing in enumerate(env.grid.grid) if thing is None]
    row, column = divmod(int(rng.choice(free)), env.width)
    env.agent_pos, env.agent_dir = (column, row), int(rng.integers(4))


def tiles(symbols: Array) -> dict[str, Array]:
    """Return where each of ``KINDS`` is, bool ``(N, 7, 7)`` at column and row, in symbols as of
    ``Views``.
    """
    from minigrid.core.constants import OBJECT_TO_IDX, STATE_TO_IDX

    things = {name: symbols[..., 0] == number for name, number in OBJECT_TO_IDX.items()}
    is_open, here = symbols[..., 2] == STATE_TO_IDX["open"], np.zeros((VIEW, VIEW), bool)
    here[AGENT_COLUMN, AGENT_ROW] = True
    found = [
        things["empty"] & ~here,
        things["wall"],
        things["key"] & ~here,
        things["key"] & here,
        things["door"] & ~is_open,
        things["door"] & is_open,
        things["goal"],
    ]
    return dict(zip(KINDS, found, strict=True))


def labels(symbols: Array) -> Array:
    """Return whether each of ``ASKED`` is in view, bool ``(N, len(ASKED))``."""
    where = tiles(symbols)
    return np.stack([where[name].any((1, 2)) for name in ASKED], 1)


def training_half(levels: Array) -> Array:
    """Return which views are for training, ``(N,)``: all of every second level, for views of a
    level are alike.
    """
    chosen: Array = levels % 2 == 0
    return chosen


def accuracies(codes: Array, truth: Array, levels: Array) -> Array:
    """Return the balanced accuracies of logistic regression on standardised codes, in levels for
    testing.

    Args:
        codes: ``(N, D)``.
        truth: bool ``(N, labels)``.
        levels: number of each row's level, ``(N,)``.

    Returns: ``(2, labels)``: with scikit-learn's own penalty, and with that of ``STRENGTHS`` which
        does best on training levels left out.
    """
    training = training_half(levels)
    known, asked = _prepared(codes[training], codes[~training])
    selection, metrics = (
        importlib.import_module(f"sklearn.{part}") for part in ("model_selection", "metrics")
    )
    plain = importlib.import_module("sklearn.linear_model").LogisticRegression(
        class_weight="balanced", max_iter=5_000
    )
    folds = selection.GroupKFold(FOLDS)
    search = selection.GridSearchCV(plain, {"C": STRENGTHS}, scoring="balanced_accuracy", cv=folds)
    found = []
    for column in truth.T:
        told, right = column[training], column[~training]
        fitted = plain.fit(known, told), search.fit(known, told, groups=levels[training])
        found.append(
            [
                metrics.balanced_accuracy_score(right, classifier.predict(asked))
                for classifier in fitted
            ]
        )
    return np.stack(found, 1)


def _prepared(known: Array, asked: Array) -> tuple[Array, Array]:
    """Standardise, and rotate: the penalty is blind to that, and pixels of few tiles then fill few
    dimensions.
    """
    scaler = importlib.import_module("sklearn.preprocessing").StandardScaler().fit(known)
    known, asked = scaler.transform(known), scaler.transform(asked)
    pca = (
        importlib.import_module("sklearn.decomposition")
        .PCA(min(RANK, *known.shape), random_state=0)
        .fit(known)
    )
    return pca.transform(known), pca.transform(asked)


def tile_errors(symbols: Array, frames: Array, drawn: Array) -> list[float]:
    """Return the mean absolute error of ``drawn``, in grey levels, on the cells of each of
    ``KINDS``.

    Args:
        symbols: as of ``Views``.
        frames: what they look like, uint8 ``(N, 56, 56, 3)``.
        drawn: what is held against them, likewise.
    """
    errors = (
        np.abs(frames.astype(np.int16) - drawn)
        .reshape(-1, VIEW, PIXELS, VIEW, PIXELS, 3)
        .mean((2, 4, 5))
    )
    return [float(errors[where.transpose(0, 2, 1)].mean()) for where in tiles(symbols).values()]


def _rows(read: Mapping[str, Array]) -> list[Row]:
    rows = []
    for i, name in enumerate(ASKED):
        figures = {code: float(found[1, i]) for code, found in read.items()}
        ours = figures.pop(DEFAULT)
        rows.append(
            Row(f"{name}: balanced accuracy", ours, figures, f"at least {LEAST}", ours >= LEAST)
        )
    return rows


def _accuracy_tables(read: Mapping[str, Array], truth: Array) -> list[Table]:
    shares = ["share of views", *(f"{share:.3f}" for share in truth.mean(0))]
    captions = (
        "with scikit-learn's own penalty, C = 1",
        "with the penalty that does best on training levels left out",
    )
    tables = []
    for which, caption in enumerate(captions):
        rows = [[name, *(f"{value:.3f}" for value in found[which])] for name, found in read.items()]
        caption = (
            f"Balanced accuracy over {len(truth):,} views, half of them for training, {caption}"
        )
        tables.append(Table(caption, ["code", *ASKED], [*rows, shares]))
    return tables[::-1]


def _error_table(symbols: Array, frames: Array, drawn: Mapping[str, Array]) -> Table:
    nothing = draw_views(np.broadcast_to((1, 0, 0), symbols.shape))
    errors = {
        name: tile_errors(symbols, frames, images)
        for name, images in {**drawn, "bare floor": nothing}.items()
    }
    rows = [[name, *(f"{error:.1f}" for error in found)] for name, found in errors.items()]
    return Table(
        "Mean absolute error of the reconstruction of a cell, 0 to 255", ["model", *KINDS], rows
    )


def _picture(truth: Array, *rows: Array) -> Array:
    chosen = np.concatenate([np.flatnonzero(column)[:SHOWN] for column in truth.T])
    return grid([[to_rgb(image) for image in images[chosen]] for images in rows])
