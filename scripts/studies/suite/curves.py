"""Plots of learning curves, one panel per environment."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from latentrl.utils.io import write_bytes
from latentrl.viz.curves import curve, panels
from latentrl.viz.figures import BASELINE, CYCLE, Axes, figure_png, style
from scripts.studies.agent_runs import Axis
from scripts.studies.report import markdown_image
from scripts.studies.suite.records import random_return
from scripts.studies.suite.tables import Found
from scripts.studies.suite.tasks import LATENTS, PIXELS, RANDOM_ACTIONS, RANDOM_ENCODER

FIXED = {LATENTS: CYCLE[0], PIXELS: CYCLE[1], RANDOM_ENCODER: BASELINE}
"""Colours of the arms that nearly every plot has; others take the next ones."""
AXES: Sequence[tuple[Axis, str, int]] = (
    ("seconds", "minutes, pretraining included", 60),
    ("env_frames", "thousand env frames, those of the pretraining included", 1_000),
)
"""Axes with their labels, and what one unit of a label is."""
ALONE = (6.4, 3.6)
"""Inches of a plot with one panel, under a legend of four columns."""
PLACES = 200
"""Places of a curve."""


def curve_images(
    found: Mapping[str, Found], arms: Sequence[str], folder: Path, page: Path
) -> Iterator[str]:
    """Write a plot for each axis to ``folder``, and yield the lines of ``page`` that show them."""
    for axis, label, unit in AXES:
        file = folder / f"{axis}.png"
        _plot(found, arms, (axis, label, unit), file)
        yield markdown_image(f"Training return against {label}", file, page)
    yield "*Return of the last training episodes, mean and range over runs.*\n"


def _plot(
    found: Mapping[str, Found], arms: Sequence[str], along: tuple[Axis, str, int], file: Path
) -> None:
    axis, label, unit = along
    with style():
        figure, axes = panels(len(found), 4, label, "training return")
        if len(found) == 1:
            figure.set_size_inches(ALONE)
        for panel, (env, results) in zip(axes, found.items(), strict=True):
            _panel(panel, results, arms, axis, unit)
            panel.set_title(env)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    write_bytes(file, figure_png(figure))


def _panel(panel: Axes, found: Found, arms: Sequence[str], axis: Axis, unit: int) -> None:
    if found[RANDOM_ACTIONS]:
        before = random_return(found)
        panel.axhline(before, color="black", linewidth=0.6, linestyle=":", label="random actions")
    others = itertools.cycle(colour for colour in CYCLE if colour not in FIXED.values())
    colours = {arm: FIXED[arm] if arm in FIXED else next(others) for arm in arms}
    for arm, colour in colours.items():
        ends = [record.reached(axis) for record in found[arm] if record.reached(axis)]
        if not ends:
            continue
        places = np.linspace(0, min(ends), PLACES)
        returns = np.stack([r.return_at(axis, places, np.nan) for r in found[arm]])
        shown = np.isfinite(returns).all(0)  # once every run has finished an episode
        x, y = places[shown] / unit, returns[:, shown]
        curve(panel, x, y.mean(0), y.min(0), y.max(0), colour, arm.replace("_", " "))
