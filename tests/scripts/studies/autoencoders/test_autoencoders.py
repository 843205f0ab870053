"""Helpers of the studies of the autoencoders, against brute force and hand-made data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from scripts.studies.autoencoders import elbo, step_cost
from scripts.studies.autoencoders.arithmetic import measured_changes
from scripts.studies.autoencoders.data import flat, psnr, sheet
from scripts.studies.autoencoders.hashing import nearest
from scripts.studies.autoencoders.inpainting import random_holes
from scripts.studies.autoencoders.step_cost import Cost


def test_psnr_over_all_values_and_under_a_mask() -> None:
    clean = np.zeros((1, 4, 4, 1), np.uint8)
    images = clean.copy()
    images[0, 0, 0] = 255
    assert psnr(images, clean) == pytest.approx(10 * np.log10(16))
    mask = np.zeros((1, 4, 4), bool)
    mask[0, 0, :2] = True
    assert psnr(images, clean, mask) == pytest.approx(10 * np.log10(2))


def test_flat_images_are_vectors_up_to_one() -> None:
    images = np.full((2, 4, 3, 1), 255, np.uint8)
    np.testing.assert_array_equal(flat(images), np.ones((2, 12)))


def test_sheet_has_a_row_for_each_array() -> None:
    images = np.zeros((30, 8, 8, 1), np.uint8)
    image = sheet([images, images, images], 5)
    assert image.shape[2] == 3
    assert image.shape[1] > image.shape[0]


def test_holes_are_single_rectangles_of_the_stated_sizes() -> None:
    holes = random_holes(np.zeros((50, 40, 30, 3), np.uint8), np.random.default_rng(0))
    for hole in holes:
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns)
        assert 8 <= len(rows) <= 20
        assert 6 <= len(columns) <= 15


def test_nearest_equals_brute_force() -> None:
    rng = np.random.default_rng(0)
    index, queries = rng.random((40, 16)) > 0.5, rng.random((3, 16)) > 0.5
    for query, found in zip(queries, nearest(index, queries), strict=True):
        distances = [(query != row).sum() for row in index]
        assert sorted(distances)[:10] == [distances[i] for i in found]


class Shifted:
    """A model whose single latent moves the image by two pixels to the left or right."""

    latent_dim = 1

    def encode(self, images: Any) -> Any:
        self.images = images
        return np.zeros((len(images), 1), np.float32)

    def decode(self, latents: Any) -> Any:
        return np.roll(self.images, 2 if latents[0, 0] > 0 else -2, axis=2)


def test_changes_are_in_standard_deviations_of_the_measure() -> None:
    images = np.zeros((4, 32, 32, 1), np.uint8)
    images[:, 12:20, 14:18] = 255
    changes = measured_changes(Shifted(), images, np.ones(1))  # type: ignore[arg-type]
    assert changes["x"] > 0.5
    assert changes["area"] == changes["y"] == changes["angle"] == 0


def test_excess_is_relative_to_the_limiting_resource() -> None:
    assert Cost(time=2.0, flops=2.0, traffic=1.0).excess == 1.0
    assert Cost(time=3.0, flops=1.0, traffic=2.0).excess == 1.5


def test_work_counts_products_and_written_values() -> None:
    a, b = torch.ones(4, 8), torch.ones(8, 2)
    flops, values = step_cost._work(lambda: (a @ b).view(-1))  # type: ignore[arg-type, return-value]
    assert flops == 2 * 4 * 8 * 2
    assert values == 4 * 2  # the view writes nothing


def test_elbo_without_pythae_names_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(elbo, "REFERENCE", tmp_path / "python")
    with pytest.raises(FileNotFoundError, match="create it with\n  make reference"):
        elbo.study()
