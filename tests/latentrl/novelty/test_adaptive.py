"""The bonus that counts tokens, and measures distances where they do not return."""

from __future__ import annotations

import numpy as np
import pytest

from latentrl.novelty import Adaptive, TemporalDistance, TokenCounts, adaptive
from latentrl.types import LatentLayout
from tests.helpers import same
from tests.latentrl.novelty.cases import on_disk, reaching, reset

LAYOUT = LatentLayout((1, 3), 1)


@pytest.fixture(autouse=True)
def early(monkeypatch):
    """100 tokens decide."""
    monkeypatch.setattr(adaptive, "CHECKED", 100)


def tokens(rng, known):
    """Draw latents whose last values return, ``known`` of three."""
    values = 100 * rng.standard_normal((1, 3))
    values[:, 3 - known :] = rng.integers(4, size=known)
    return values


def play(bonus, known, steps=80):
    """Return the scores of steps to the same states, an episode for every four."""
    rng, scores = np.random.default_rng(0), []
    for step in range(steps):
        if step % 4 == 0:
            reset(bonus, np.zeros((1, 3)))
        scores.append(float(bonus.step(reaching(tokens(rng, known)))[0]))
    return scores


@pytest.mark.parametrize("known", [1, 3])
def test_counts_stay_where_tokens_return(known):
    bonus = Adaptive(LAYOUT)
    assert play(bonus, known) == play(TokenCounts(LAYOUT), known)
    assert not bonus.switched
    assert bonus.name == "adaptive (token_counts)"
    assert bonus.metrics()["switched"] == 0


def test_distances_follow_where_none_returns():
    bonus, counts = Adaptive(LAYOUT), TokenCounts(LAYOUT)
    scores, expected = play(bonus, 0), play(counts, 0)
    first = next(i for i, pair in enumerate(zip(scores, expected, strict=True)) if len({*pair}) > 1)
    assert first == 34, "after 34 steps of 3 tokens"
    assert bonus.switched
    assert bonus.name == "adaptive (temporal_distance)"
    assert bonus.metrics()["switched"] == 1
    assert np.median(scores[first:]) > 100 * np.max(expected[first:])


@pytest.mark.parametrize("steps", [20, 40], ids=["before the switch", "after it"])
def test_a_restored_bonus_continues(steps, tmp_path):
    bonus = Adaptive(LAYOUT, seed=1)
    play(bonus, 0, steps)
    restored = Adaptive(LAYOUT, seed=1)
    restored.load_state_dict(on_disk(bonus.state_dict(), tmp_path))
    assert restored.switched == bonus.switched == (steps == 40)
    for each in (bonus, restored):
        reset(each, np.zeros((1, 3)))
    later = [
        [float(each.step(reaching(tokens(np.random.default_rng(i), 0)))[0]) for i in range(60)]
        for each in (bonus, restored)
    ]
    assert same(*map(np.array, later))


def test_distances_are_those_of_a_bonus_that_begins_there():
    bonus, distance = Adaptive(LAYOUT, seed=4), TemporalDistance(seed=4)
    play(bonus, 0, 34)
    assert bonus.switched
    assert play(bonus, 0, 20) == play(distance, 0, 20)
