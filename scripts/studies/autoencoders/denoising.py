"""PSNR of denoised digits, compared with OpenCV's filters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import cv2
import numpy as np
import torch

from latentrl import FitConfig, denoising_ae, fit
from latentrl.types import Array
from scripts.studies.autoencoders.data import digits, mnist, psnr, sheet
from scripts.studies.core import Row, Study

SIGMA = 0.5
MEDIANS = (3, 5)
"""Side of the window of the median filter."""
STRENGTHS = (30, 60, 90, 120, 160, 200)
WINDOWS = ((3, 7), (5, 11), (7, 21))
"""Template and search window of non-local means."""
COLUMNS = 10
GAIN = 6.0
"""PSNR in dB that the model is to gain over the noisy image."""


def study() -> Study:
    """Denoising of digits, compared with the filters of OpenCV.

    The noise is normal with standard deviation 0.5, clipped and rounded to uint8. The parameters of
    each filter are those that are best on the test images themselves.
    """
    rows, images = [], {}
    for name, (data, _), steps in (("digits 8x8", digits(), 6000), ("MNIST 28x28", mnist(), 3000)):
        training, clean = np.split(data, [len(data) * 4 // 5])
        noise = 255 * SIGMA * np.random.default_rng(1).standard_normal(clean.shape)
        noisy = np.clip(clean + noise, 0, 255).round().astype(np.uint8)
        # Choosing by the clean images favours the filters, so that the comparison is conservative.
        filtered = {
            "median": _best(clean, _medians(noisy)),
            "non-local means": _best(clean, _non_local_means(noisy)),
        }
        restored = _denoiser(training, steps)(noisy)
        baselines = {key: psnr(value, clean) for key, value in {"noisy": noisy, **filtered}.items()}
        rows += _rows(name, psnr(restored, clean), baselines)
        caption = f"{name}: clean, noisy, median, non-local means, latentrl"
        images[caption] = sheet([clean, noisy, *filtered.values(), restored], COLUMNS)
    return Study(rows, images=images)


def _denoiser(training: Array, steps: int) -> Callable[[Array], Array]:
    torch.manual_seed(0)
    backbone = {"name": "mlp", "hidden": (512, 512)}
    model = denoising_ae(training.shape[1:], 32, std=SIGMA, clip=True, backbone=backbone)
    fit(model, training, FitConfig(steps=steps))
    return model.reconstruct


def _rows(name: str, value: float, baselines: dict[str, float]) -> list[Row]:
    best = max(baselines["median"], baselines["non-local means"])
    gain = value - baselines["noisy"]
    return [
        Row(f"{name}: PSNR, dB", value, baselines, "above both filters", value > best),
        Row(
            f"{name}: gain over the noisy image, dB",
            gain,
            goal=f"at least {GAIN:g}",
            reached=gain >= GAIN,
        ),
    ]


def _best(clean: Array, candidates: Iterable[Array]) -> Array:
    return max(candidates, key=lambda images: psnr(images, clean))


def _medians(noisy: Array) -> Iterable[Array]:
    for side in MEDIANS:
        yield _each(noisy, functools.partial(cv2.medianBlur, ksize=side))


def _non_local_means(noisy: Array) -> Iterable[Array]:
    for strength in STRENGTHS:
        for template, search in WINDOWS:
            options = {"h": strength, "templateWindowSize": template, "searchWindowSize": search}
            yield _each(noisy, functools.partial(cv2.fastNlMeansDenoising, **options))


def _each(images: Array, function: Callable[[Array], Array]) -> Array:
    # OpenCV's filters take one image without a channel axis.
    filtered = [function(np.ascontiguousarray(image.squeeze(-1))) for image in images]
    return np.stack(filtered)[..., None]
