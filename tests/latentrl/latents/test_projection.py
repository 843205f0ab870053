"""The principal plane against the singular value decomposition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from latentrl.latents.projection import principal_plane


def test_plane_equals_that_of_the_singular_vectors(vectors: Any) -> None:
    plane, fractions = principal_plane(vectors)
    centred = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    assert np.abs(plane) == pytest.approx(np.abs(left[:, :2] * values[:2]), abs=1e-6)
    assert fractions == pytest.approx((values**2 / (values**2).sum())[:2])


def test_signs_do_not_depend_on_the_order_of_the_latents(vectors: Any) -> None:
    plane, _ = principal_plane(vectors)
    assert principal_plane(vectors[::-1])[0][::-1] == pytest.approx(plane, abs=1e-6)


@pytest.mark.parametrize(
    "latents", [np.arange(5.0)[:, None], np.ones((5, 3)), np.ones((1, 4)), np.zeros((5, 1))]
)
def test_missing_components_are_zero(latents: Any) -> None:
    plane, fractions = principal_plane(latents)
    assert plane.shape == (len(latents), 2)
    assert np.abs(plane[:, 0]) == pytest.approx(np.abs(latents[:, 0] - latents[:, 0].mean()))
    assert plane[:, 1] == pytest.approx(0)
    varied = latents.shape == (5, 1) and latents.any()
    assert fractions.tolist() == ([1, 0] if varied else [0, 0])
