"""Studies of damaged images, beside OpenCV's own filters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import cv2
import numpy as np
import torch

from latentrl import FitConfig, denoising_ae, fit, inpaint, inpainting_ae
from latentrl.types import Array
from latentrl.viz.images import grid, to_rgb
from scripts.studies.autoencoders.data import car_racing, digits, mnist, psnr, some
from scripts.studies.core import STUDIES, Row, Study

SIGMA = 0.5
MEDIANS = (3, 5)
STRENGTHS = (30, 60, 90, 120, 160, 200)
WINDOWS = ((3, 7), (5, 11), (7, 21))
"""Template and search window of non-local means."""
SHOWN = 10


@STUDIES.register("denoising")
def denoising() -> Study:
    """Digits with normal noise of standard deviation 0.5, clipped and stored as uint8.

    Each filter has the setting that is best on these very images.
    """
    rows, pictures = [], {}
    for name, (images, _), steps in (
        ("digits 8x8", digits(), 6000),
        ("MNIST 28x28", mnist(), 3000),
    ):
        training, clean = np.split(images, [len(images) * 4 // 5])
        noise = 255 * SIGMA * np.random.default_rng(1).standard_normal(clean.shape)
        noisy = np.clip(clean + noise, 0, 255).round().astype(np.uint8)
        restored = _denoiser(training, steps)(noisy)
        filtered = {
            "median": _best(clean, _medians(noisy)),
            "non-local means": _best(clean, _non_local_means(noisy)),
        }
        others = {
            "noisy": psnr(noisy, clean),
            **{key: psnr(value, clean) for key, value in filtered.items()},
        }
        rows += _denoising_rows(name, psnr(restored, clean), others)
        shown = [clean, noisy, *filtered.values(), restored]
        caption = f"{name}: clean, noisy, median, non-local means, ours"
        pictures[caption] = grid([[to_rgb(image) for image in some(part, SHOWN)] for part in shown])
    return Study(rows, pictures=pictures)


def _denoiser(training: Array, steps: int) -> Callable[[Array], Array]:
    torch.manual_seed(0)
    backbone = {"name": "mlp", "hidden": (512, 512)}
    model = denoising_ae(training.shape[1:], 32, std=SIGMA, clip=True, backbone=backbone)
    fit(model, training, FitConfig(steps=steps))
    return model.reconstruct


def _denoising_rows(name: str, ours: float, others: dict[str, float]) -> list[Row]:
    best = max(others["median"], others["non-local means"])
    gain = ours - others["noisy"]
    return [
        Row(f"{name}: PSNR, dB", ours, others, "above both filters", ours > best),
        Row(f"{name}: gain over the noisy image, dB", gain, goal="at least 6", reached=gain >= 6),
    ]


def _best(clean: Array, candidates: Iterable[Array]) -> Array:
    return max(candidates, key=lambda images: psnr(images, clean))


def _medians(noisy: Array) -> Iterable[Array]:
    for side in MEDIANS:
        yield _each(noisy, functools.partial(cv2.medianBlur, ksize=side))


def _non_local_means(noisy: Array) -> Iterable[Array]:
    for strength in STRENGTHS:
        for template, search in WINDOWS:
            settings = {"h": strength, "templateWindowSize": template, "searchWindowSize": search}
            yield _each(noisy, functools.partial(cv2.fastNlMeansDenoising, **settings))


def _each(images: Array, function: Callable[[Array], Array]) -> Array:
    return np.stack([function(np.ascontiguousarray(image.squeeze(-1))) for image in images])[
        ..., None
    ]


@STUDIES.register("inpainting")
def inpainting() -> Study:
    """Frames of CarRacing from unseen episodes with one box cut out, its sides 20 to 50 % of the
    frame's.
    """
    training, held_out = car_racing()
    clean = some(held_out, 200)
    holes = _holes(clean, np.random.default_rng(0))
    torch.manual_seed(0)
    model = inpainting_ae(clean.shape[1:], 64)
    fit(model, training, FitConfig(steps=1500, batch_size=64))
    filled = inpaint(model, clean, holes)
    others = {
        "Telea": _opencv(clean, holes, cv2.INPAINT_TELEA),
        "Navier-Stokes": _opencv(clean, holes, cv2.INPAINT_NS),
    }
    figures = {name: psnr(images, clean, holes) for name, images in others.items()}
    ours, damaged = psnr(filled, clean, holes), clean * ~holes[..., None]
    parts = [clean, damaged, *others.values(), filled]
    picture = grid([[to_rgb(image) for image in some(part, 8)] for part in parts])
    row = Row(
        "PSNR inside the holes, dB", ours, figures, "above both", ours > max(figures.values())
    )
    return Study([row], pictures={"Frame, hole, Telea, Navier-Stokes, ours": picture})


def _holes(images: Array, rng: np.random.Generator) -> Array:
    count, height, width = images.shape[:3]
    size = np.array([height, width])
    sides = (rng.uniform(0.2, 0.5, (count, 2)) * size).round()
    first = np.floor(rng.random((count, 2)) * (size - sides + 1))
    rows, columns = (
        (np.arange(size[i]) >= first[:, i, None])
        & (np.arange(size[i]) < (first + sides)[:, i, None])
        for i in (0, 1)
    )
    holes: Array = rows[:, :, None] & columns[:, None]
    return holes


def _opencv(images: Array, holes: Array, method: int) -> Array:
    masks = holes.astype(np.uint8) * 255
    return np.stack(
        [cv2.inpaint(image, mask, 3, method) for image, mask in zip(images, masks, strict=True)]
    )
