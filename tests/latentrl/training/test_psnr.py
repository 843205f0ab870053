"""Peak signal-to-noise ratio against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from latentrl.training.health import psnr


def test_psnr_is_the_ratio_of_squared_peak_to_error_in_decibels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16)).astype(float)
    error = float(np.square(images[0] - images[1]).mean())
    expected = 20 * np.log10(255 / np.sqrt(error))
    assert psnr(error, peak=255) == pytest.approx(expected)
    assert psnr(error / 255**2) == pytest.approx(expected)
    assert psnr(0.01) == pytest.approx(20)


def test_psnr_of_equal_images_is_120_db() -> None:
    assert psnr(0) == psnr(0, peak=255) == pytest.approx(120)
