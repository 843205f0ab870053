"""The elliptical bonus against inverses of the accumulated matrix."""

from __future__ import annotations

import numpy as np
import pytest

from latentrl.novelty import Elliptical
from tests.latentrl.novelty.cases import B, reaching, reset


@pytest.mark.parametrize("scale", [1, 100])
def test_it_is_the_inverse_of_the_accumulated_matrix(scale):
    rng = np.random.default_rng(0)
    bonus, sums = Elliptical(ridge=0.1), np.tile(0.1 * np.eye(5), (B, 1, 1))
    common = (scale * rng.standard_normal((B, 5))).astype(np.float32)
    reset(bonus, common)
    for step in range(300):
        latents = common if step % 2 else (scale * rng.standard_normal((B, 5))).astype(np.float32)
        wide = latents.astype(np.float64)
        expected = np.einsum("bi,bij,bj->b", wide, np.linalg.inv(sums), wide)
        assert bonus.step(reaching(latents)) == pytest.approx(expected, rel=1e-4)
        sums += wide[:, :, None] * wide[:, None]
        if step % 50 == 49:
            env_id = step // 50
            reset(bonus, latents[env_id : env_id + 1], [env_id])
            sums[env_id] = 0.1 * np.eye(5)


def test_without_a_reset_the_matrix_is_the_ridge():
    latents = np.full((2, 3), 2.0, np.float32)
    assert Elliptical(ridge=0.5).score(reaching(latents)) == pytest.approx([24, 24])


def test_the_ridge_must_be_positive():
    with pytest.raises(ValueError, match=r"ridge must be positive, got 0\.0"):
        Elliptical(0.0)
