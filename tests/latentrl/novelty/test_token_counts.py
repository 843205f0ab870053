"""The tokens that are new in an episode, against sets and dictionaries."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import pytest
from gymnasium import spaces

import latentrl as lrl
from latentrl.novelty import TokenCounts, make_bonus
from latentrl.novelty import token_counts as module
from latentrl.types import LatentLayout
from tests.latentrl.novelty.cases import reaching, reset, tiny_model, transitions

B, CELLS, CHANNELS = 4, 6, 2
LAYOUT = LatentLayout((2, 3), CHANNELS)
PAIR = LatentLayout((1, 2), 2)


def latents(rng: np.random.Generator) -> np.ndarray:
    """Draw grid latents ``(B, CHANNELS * CELLS)`` made of a few kinds of cells."""
    kinds = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 1], [0, 2], [3, 3]], np.float32)
    chosen = rng.integers(len(kinds), size=(B, CELLS)) * rng.integers(2, size=(B, CELLS))
    return kinds[chosen].transpose(0, 2, 1).reshape(B, -1)


def tokens(row: np.ndarray, by_position: bool) -> list[tuple]:
    cells = [tuple(cell) for cell in row.reshape(CHANNELS, CELLS).T]
    return [(place, *cell) for place, cell in enumerate(cells)] if by_position else cells


def first_positions(row: np.ndarray, by_position: bool, known: set) -> dict:
    """Return the new tokens, each with the first position where it is."""
    found = tokens(row, by_position)
    return {token: found.index(token) for token in found if token not in known}


@pytest.mark.parametrize("by_position", [True, False])
def test_the_bonus_is_that_of_sets_and_counters(by_position):
    bonus, rng = TokenCounts(LAYOUT, by_position, width=0.5), np.random.default_rng(0)
    episodes, total = Counter(), 0.0
    events, unknown = np.zeros(CELLS), np.zeros(CELLS)
    first = latents(rng)
    reset(bonus, first)
    known = [set(tokens(row, by_position)) for row in first]
    for _ in range(300):
        batch = latents(rng)
        pairs = zip(batch, known, strict=True)
        new = [first_positions(row, by_position, own) for row, own in pairs]
        factor = (1 - unknown / (events + 1)) ** 2
        expected = [
            sum(factor[at] / np.sqrt(episodes[token] + 1) for token, at in found.items())
            for found in new
        ]
        np.testing.assert_allclose(bonus.step(reaching(batch)), expected, rtol=1e-5)
        for own, found in zip(known, new, strict=True):
            own |= set(found)
            for token, at in found.items():
                events[at] += 1
                unknown[at] += episodes[token] == 0
        for found in new:
            episodes.update(list(found))
        total += sum(expected)
        ended = np.flatnonzero(rng.random(B) < 0.2)
        starts = latents(rng)
        reset(bonus, starts[ended], ended)
        for env_id in ended:
            known[env_id] = set(tokens(starts[env_id], by_position))
    assert total > 10
    assert bonus.metrics() == {
        "distinct_tokens": len(episodes),
        "unknown_fraction": unknown.sum() / events.sum(),
    }


@pytest.mark.parametrize("by_position", [True, False])
def test_noise_earns_nothing(by_position):
    bonus, rng = TokenCounts(PAIR, by_position), np.random.default_rng(0)
    for _ in range(300):
        reset(bonus, np.zeros((1, 4)))
        bonus.step(reaching([[rng.normal(), 0, rng.normal(), 0]]))
    reset(bonus, np.zeros((1, 4)))
    assert bonus.score(reaching([[7, 0, 7, 0]])) < 1e-4
    # Nothing was ever new at the second position, and so it shows no noise.
    assert bonus.score(reaching([[0, 1, 0, 1]])) == 1


def test_dimensions_are_the_tokens_of_a_plain_vector():
    bonus = TokenCounts(LatentLayout(None, 3), width=0.5)
    reset(bonus, np.zeros((1, 3)))
    assert bonus.score(reaching([[0, 0, 0]])) == 0
    assert bonus.score(reaching([[0, 1, 0]])) == 1
    assert bonus.score(reaching([[0, 1, 1]])) == 2, "in another dimension it is another token"


def test_each_environment_has_an_episode_of_its_own():
    bonus, batch = TokenCounts(LAYOUT), latents(np.random.default_rng(1))
    reset(bonus, np.zeros_like(batch))
    bonus.update(reaching(batch[2:3], env_ids=np.array([2])))
    again = bonus.score(reaching(np.repeat(batch[2:3], B, axis=0)))
    assert again[2] == 0
    assert (again[[0, 1, 3]] > 0).all()


@pytest.mark.parametrize(("name", "elsewhere"), [("token_counts", 1), ("position_token_counts", 2)])
def test_cells_of_a_spatial_model_are_tokens(name, elsewhere):
    model = lrl.beta_vae((24, 16, 3), latent_dim=4 * 6, backbone={"name": "patches"})
    bonus = make_bonus(name, model)
    tokens = bonus.tokens
    assert (tokens.layout, tokens.hash.width) == (LatentLayout((3, 2), 4), 0.01)
    bonus = TokenCounts(tokens.layout, tokens.by_position, width=1e-3)
    frames = np.zeros((1, 24, 16, 3), np.uint8)
    reset(bonus, model.encode(frames))
    frames[:, 8:16, 8:] = 255
    assert bonus.score(reaching(model.encode(frames))) == 1
    frames[:, :8, :8] = 255  # the same image region at another position
    assert bonus.score(reaching(model.encode(frames))) == elsewhere


def test_the_sum_is_of_tokens_and_a_hundredth_of_counts():
    model = lrl.beta_vae((24, 16, 3), latent_dim=4 * 6, backbone={"name": "patches"})
    names = "token_counts", "counts", "token_counts+counts"
    each = [make_bonus(name, model, spaces.Discrete(2), 3) for name in names]
    rng = np.random.default_rng(0)
    for step in range(4):
        batch = reaching(rng.integers(0, 2, (5, 24)))
        first, second, both = (bonus.step(batch) for bonus in each)
        np.testing.assert_allclose(both, first + 0.01 * second, rtol=1e-5)
        assert both.any(), step


def test_a_layout_of_other_latents_is_refused():
    message = r"a layout of 12 values, got latents \(6, 4\): pass LatentLayout\.of\(encoder\)"
    for call in (TokenCounts(LAYOUT).score, TokenCounts(LAYOUT).update):
        with pytest.raises(ValueError, match=message):
            call(transitions(0))
    assert make_bonus("token_counts", tiny_model()).score(transitions(0)).shape == (6,)
    with pytest.raises(ValueError, match="positive width, got bits=32, width=0"):
        TokenCounts(LAYOUT, width=0)


@pytest.mark.parametrize(("known", "warned"), [(0, 1), (1, 0)])
def test_it_warns_once_where_nothing_returns_at_any_position(monkeypatch, known, warned):
    monkeypatch.setattr(module, "CHECKED", 100)
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
        assert "use 'reconstruction', 'elliptical' or 'temporal_distance'" in str(found[0].message)
