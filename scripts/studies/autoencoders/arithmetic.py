"""Effect of latent attribute directions on decoded sprites."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import latentrl as lrl
from envs.sprites import FACTORS, SHAPES, measure_sprites, render_sprites, sprites
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.viz.images import grid, to_rgb
from scripts.studies.core import Row, Study, Table

ELLIPSE = SHAPES.index("ellipse")
STRENGTHS = (-1.0, -0.5, 0.0, 0.5, 1.0)
MEASURES = ("area", "angle", "x", "y")
ATTRIBUTES = {"larger": 1, "rotated": 2, "to the right": 3, "down": 4}
"""Columns of the factors that the directions are to change, in the order of ``MEASURES``."""
SELECTIVITY = 4
"""Least ratio of the intended change to the largest of the others."""
CAPTION = (
    "One ellipse with -1, -1/2, 0, 1/2 and 1 times a direction: larger, rotated, to the right, down"
)
Changes = dict[str, dict[str, float]]
"""Change of each of ``MEASURES``, in standard deviations, by attribute."""


def study() -> Study:
    """Attribute directions in the latents of sprites.

    Each direction is added to the latents of ellipses, and the moments of the decoded ellipses give
    their area, angle and position.
    """
    images, factors = sprites(20_000, 32, seed=0)
    torch.manual_seed(0)
    model = lrl.vae(images.shape[1:], 10, likelihood="bernoulli")
    lrl.fit(model, images, lrl.FitConfig(steps=4000))
    chosen = factors[:, 0] == ELLIPSE
    base = _central_ellipses()
    changes, rows = {}, []
    for name, column in ATTRIBUTES.items():
        positive, negative = _extremes(images[chosen], factors[chosen], column)
        step = lrl.direction(model, positive, negative)
        changes[name] = measured_changes(model, base, step)
        row = [lrl.arithmetic(model, base[4], step, strength) for strength in STRENGTHS]
        rows.append(to_rgb(np.stack(row)))
    return Study(_rows(changes), [_table(changes)], {CAPTION: grid(rows)})


def _central_ellipses() -> Array:
    """Return 200 ellipses with factors of the middle third, which leaves room on each side."""
    rng = np.random.default_rng(1)
    columns = [rng.integers(size // 3, size - size // 3, 200) for size in FACTORS.values()]
    factors = np.stack(columns, 1)
    factors[:, 0] = ELLIPSE
    return render_sprites(factors, 32)


def _extremes(images: Array, factors: Array, column: int) -> tuple[Array, Array]:
    values = factors[:, column]
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    return images[values >= high], images[values <= low]


def measured_changes(model: Autoencoder, images: Array, step: Array) -> dict[str, float]:
    """Return the median change of each of ``MEASURES`` from -1/2 to 1/2 times ``step``.

    Its unit is the standard deviation of the measure over the ellipses of the data.
    """
    before, after = (
        measure_sprites(lrl.arithmetic(model, images, step, strength), 25)
        for strength in (-0.5, 0.5)
    )
    changes: dict[str, Any] = {name: after[name] - before[name] for name in MEASURES}
    # An ellipse turned by 180 degrees is the same ellipse: take the shorter way round.
    changes["angle"] = (changes["angle"] + 90) % 180 - 90
    std = _standard_deviations()
    return {name: float(np.nanmedian(change) / std[name]) for name, change in changes.items()}


def _standard_deviations() -> dict[str, float]:
    images, factors = sprites(5_000, 32, seed=2)
    measured = measure_sprites(images[factors[:, 0] == ELLIPSE])
    return {name: float(np.nanstd(measured[name])) for name in MEASURES}


def _rows(changes: Changes) -> list[Row]:
    pairs = zip(changes.items(), MEASURES, strict=True)
    return [_row(name, measured, intended) for (name, measured), intended in pairs]


def _row(name: str, changes: dict[str, float], intended: str) -> Row:
    others = {measure: change for measure, change in changes.items() if measure != intended}
    reached = changes[intended] > SELECTIVITY * max(map(abs, others.values()))
    goal = f"over {SELECTIVITY} times the others"
    return Row(f"{name}: change of {intended}", changes[intended], others, goal, reached)


def _table(changes: Changes) -> Table:
    rows = [
        [name, *(f"{measured[measure]:+.2f}" for measure in MEASURES)]
        for name, measured in changes.items()
    ]
    caption = (
        "Median change from -1/2 to 1/2 times the direction, in standard deviations of the factor "
        "in the data"
    )
    return Table(caption, ["direction", *MEASURES], rows)
