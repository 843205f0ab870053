"""Counts against dictionaries and sets."""

from __future__ import annotations

import collections

import numpy as np
import pytest

from latentrl.novelty import FirstVisits, HashCounts
from tests.latentrl.novelty.cases import B, reaching, reset


def test_counts_are_those_of_a_dictionary():
    rng = np.random.default_rng(0)
    bonus, counts = HashCounts(), collections.Counter()
    for _ in range(200):
        latents = rng.integers(-2, 3, (8, 3))
        expected = [1 / np.sqrt(counts[tuple(latent)] + 1) for latent in latents]
        assert bonus.step(reaching(latents)) == pytest.approx(expected)
        counts.update(map(tuple, latents))
    assert bonus.metrics() == {"distinct_latents": len(counts)}
    assert sorted(bonus.state_dict()["counts"].tolist()) == sorted(counts.values())


def test_the_bonus_falls_as_one_over_the_root_of_the_visits():
    bonus = HashCounts("sign")
    scores = [bonus.step(reaching(np.ones((1, 8))))[0] for _ in range(1000)]
    assert scores == pytest.approx(1 / np.sqrt(np.arange(1, 1001)))


@pytest.mark.parametrize("kind", ["first", "episodic"])
def test_first_visits_are_those_of_a_set_for_each_episode(kind):
    rng, counts, ends = np.random.default_rng(1), collections.Counter(), 0
    bonus = FirstVisits() if kind == "first" else HashCounts(episodic=True)
    first = rng.integers(0, 4, (B, 2))
    reset(bonus, first)
    visited = [{tuple(latent)} for latent in first]
    for _ in range(200):
        latents = [tuple(latent) for latent in rng.integers(0, 4, (B, 2))]
        new = [latent not in own for own, latent in zip(visited, latents, strict=True)]
        lifelong = [1 / np.sqrt(counts[latent] + 1) for latent in latents]
        expected = new if kind == "first" else np.array(lifelong) * new
        assert bonus.step(reaching(latents)) == pytest.approx(np.array(expected, float))
        counts.update(latents)
        for own, latent in zip(visited, latents, strict=True):
            own.add(latent)
        ended = np.flatnonzero(rng.random(B) < 0.1)
        started = rng.integers(0, 4, (len(ended), 2))
        reset(bonus, started, ended)
        for i, latent in zip(ended, started, strict=True):
            visited[i], ends = {tuple(latent)}, ends + 1
    assert ends > 50
