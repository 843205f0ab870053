"""Frames in other colours, decoded from the latents of two encoders."""

from __future__ import annotations

import numpy as np

from latentrl import load
from latentrl.types import Array
from latentrl.utils.io import write_bytes
from latentrl.viz.figures import figure_png
from latentrl.viz.sheets import Labels, image_sheet
from scripts.studies.carracing import colours
from scripts.studies.carracing.arms import SHORT, Run
from scripts.studies.carracing.transfer import COLOURS
from scripts.studies.core import DOCS

IMAGE = DOCS / "images" / "carracing" / "colours.png"
ARMS = (SHORT, "hue invariance")
FUNCTIONS = {"default colours": "default_colours", **COLOURS}
SEED, STEPS = 3, 80
"""Track of the frames, and env frames after which they are taken."""


def draw_decoded() -> None:
    """Write the image, where the encoders of the first seed are here."""
    folders = {arm: Run(arm, 0).folder / "encoder" for arm in ARMS}
    if not all(folder.is_dir() for folder in folders.values()):
        return
    frames = np.stack([_frame(name) for name in FUNCTIONS.values()])
    encoders = {arm: load(folder, "cpu") for arm, folder in folders.items()}
    rows = [encoders[SHORT].preprocessed(frames)]
    rows += [encoder.reconstruct(frames) for encoder in encoders.values()]
    names = ["frame", *(f"decoded, {arm}" for arm in ARMS)]
    write_bytes(IMAGE, figure_png(image_sheet(rows, Labels(rows=names, columns=list(FUNCTIONS)))))


def _frame(function: str) -> Array:
    env = getattr(colours, function)()
    env.reset(seed=SEED)
    for _ in range(STEPS):
        frame: Array = env.step(np.array([0, 0.4, 0], np.float32))[0]
    env.close()
    return frame
