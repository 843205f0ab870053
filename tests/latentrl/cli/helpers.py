"""Data, and readers of result files, shared by the tests of the verbs."""

from __future__ import annotations

import csv
import json

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

import latentrl as lrl

BACKBONE = {"name": "mlp", "hidden": (48,)}
FIT = lrl.FitConfig(steps=400, batch_size=32, precision="float32", device="cpu")
COUNT = 300
DIGITS = load_digits()
IMAGES = (DIGITS.images[:COUNT] * 255 / 16).round().astype(np.uint8)
LABELS = DIGITS.target[:COUNT]


def fit_and_save(build, data, path, **options):
    torch.manual_seed(0)
    model = build(lrl.as_frames(data).space, **options)
    lrl.fit(model, data, FIT, progress=False)
    return lrl.save(model, path)


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def read_image(path):
    """Return the pixels of an image file, uint8 RGB."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def frames_of(path):
    """Return the number of frames of a GIF."""
    with Image.open(path) as movie:
        return movie.n_frames


def tiles_in(path, images):
    """Return whether the sheet at ``path`` contains each grey image (8, 8), enlarged 12 times."""
    sheet = read_image(path)[..., 0]
    return [_contains(sheet, image) for image in images]


def _contains(sheet, image):
    height, width = sheet.shape[0] - 96 + 1, sheet.shape[1] - 96 + 1
    found = np.ones((height, width), bool)  # by the left top corner of the tile
    for (i, j), value in np.ndenumerate(image):
        top, left = 12 * i + 6, 12 * j + 6
        found &= sheet[top : top + height, left : left + width] == value
    return found.any()


def psnr(a, b, where=None):
    error = np.square((a.astype(float) - b.astype(float)) / 255)
    return -10 * np.log10(error.mean() if where is None else error[where].mean())
