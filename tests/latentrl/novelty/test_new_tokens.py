"""The warning where no token ever returns; the tokens themselves are in the tests of bonuses."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from latentrl.novelty import TokenCounts, new_tokens
from latentrl.types import LatentLayout
from tests.latentrl.novelty.cases import reaching, reset


@pytest.mark.parametrize(("known", "warned"), [(0, 1), (1, 0)])
def test_it_warns_once_where_nothing_returns_at_any_position(monkeypatch, known, warned):
    monkeypatch.setattr(new_tokens, "CHECKED", 100)
    bonus, rng = TokenCounts(LatentLayout((1, 3), 1), by_position=True), np.random.default_rng(0)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(80):
            reset(bonus, np.zeros((1, 3)))
            noise = 100 * rng.standard_normal((1, 3))
            noise[:, :known] = 1.0
            bonus.step(reaching(noise))
    assert len(found) == warned
    if warned:
        assert "at every position of the latent at least 90% of the tokens" in str(found[0].message)
        assert "use 'temporal_distance' or 'elliptical'" in str(found[0].message)
