"""The parts of a code that are new in an episode, beside a count by sets and dictionaries."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import latentrl as lrl
from latentrl.novelty import TokenCounts
from latentrl.types import LatentLayout

B, PARTS, SIZE = 4, 6, 2
NONE = np.zeros((B, 1), np.uint8)


def views(rng: np.random.Generator) -> np.ndarray:
    """Draw codes of a few kinds of tiles, laid out as the backbone 'patches' lays them out: ``(B,
    SIZE * PARTS)``."""
    tiles = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 1], [0, 2], [3, 3]], np.float32)
    return (
        tiles[rng.integers(len(tiles), size=(B, PARTS)) * rng.integers(2, size=(B, PARTS))]
        .transpose(0, 2, 1)
        .reshape(B, -1)
    )


def pieces(row: np.ndarray, alike: bool) -> list[tuple]:
    found = [tuple(part) for part in row.reshape(SIZE, PARTS).T]
    return found if alike else [(place, *part) for place, part in enumerate(found)]


def first_places(row: np.ndarray, alike: bool, known: set) -> dict:
    """Return the new pieces, each with the first place where it is."""
    found = pieces(row, alike)
    return {part: found.index(part) for part in found if part not in known}


@pytest.mark.parametrize("alike", [True, False])
def test_it_pays_what_sets_and_counters_say(alike):
    bonus, rng = TokenCounts(PARTS, alike=alike, width=0.5), np.random.default_rng(0)
    seen, episodes, paid = [set() for _ in range(B)], Counter(), 0.0
    events, unseen = np.zeros(PARTS), np.zeros(PARTS)
    first = views(rng)
    bonus.begin(NONE, first, np.ones(B, bool))
    seen = [set(pieces(row, alike)) for row in first]
    for _ in range(300):
        codes = views(rng)
        new = [first_places(row, alike, known) for row, known in zip(codes, seen, strict=True)]
        factor = (1 - unseen / (events + 1)) ** 2
        expected = [
            sum(factor[at] / np.sqrt(episodes[part] + 1) for part, at in parts.items())
            for parts in new
        ]
        np.testing.assert_allclose(bonus.score(NONE, codes), expected, rtol=1e-5)
        bonus.update(NONE, codes)
        for known, parts in zip(seen, new, strict=True):
            known |= set(parts)
            for part, at in parts.items():
                events[at] += 1
                unseen[at] += episodes[part] == 0
        for parts in new:
            episodes.update(list(parts))
        paid += sum(expected)
        ended = rng.random(B) < 0.2
        starts = views(rng)
        bonus.begin(NONE, starts, ended)
        for row in np.flatnonzero(ended):
            seen[row] = set(pieces(starts[row], alike))
    assert paid > 10
    assert bonus.metrics() == {
        "distinct_parts": len(episodes),
        "unseen_share": unseen.sum() / events.sum(),
    }


@pytest.mark.parametrize("alike", [True, False])
def test_what_never_comes_back_earns_nothing(alike):
    bonus, start, rng = (
        TokenCounts(2, alike=alike),
        np.zeros((1, 4), np.float32),
        np.random.default_rng(0),
    )
    for _ in range(300):
        bonus.begin(NONE, start, np.ones(1, bool))
        bonus.update(NONE, np.array([[rng.normal(), 0, rng.normal(), 0]], np.float32))
    bonus.begin(NONE, start, np.ones(1, bool))
    noise, thing = np.array([[7, 0, 7, 0]], np.float32), np.array([[0, 1, 0, 1]], np.float32)
    assert bonus.score(NONE, noise) < 1e-4
    assert bonus.score(NONE, thing) == 1, (
        "nothing was ever new at this place, and so it is not noise"
    )


def test_dimensions_are_parts_where_there_are_no_others():
    bonus = TokenCounts(width=0.5)
    codes = np.zeros((1, 3), np.float32)
    bonus.begin(NONE, codes, np.ones(1, bool))
    assert bonus.score(NONE, codes) == 0
    codes[0, 1] = 1.0
    assert bonus.score(NONE, codes) == 1
    codes[0, 2] = 1.0  # the same value means something else in another dimension
    assert bonus.score(NONE, codes) == 2


def test_chosen_rows_keep_their_own_episodes():
    bonus, codes = TokenCounts(PARTS), views(np.random.default_rng(1))
    bonus.begin(NONE, np.zeros_like(codes), np.ones(B, bool))
    bonus.select(np.array([2]))
    bonus.update(NONE, codes[2:3])
    bonus.select(np.arange(B))
    again = bonus.score(NONE, np.repeat(codes[2:3], B, axis=0))
    assert again[2] == 0
    assert (again[[0, 1, 3]] > 0).all()


def test_the_codes_of_patches_fall_into_its_parts():
    model = lrl.beta_vae((24, 16, 3), latent_dim=4 * 6, backbone={"name": "patches"})
    assert model.latent_layout == LatentLayout((3, 2), 4)
    assert lrl.beta_vae((24, 16, 3), latent_dim=4).patches is None
    frames = np.zeros((1, 24, 16, 3), np.uint8)
    bonus = TokenCounts(model.patches, width=1e-3)
    bonus.begin(frames, model.encode(frames), np.ones(1, bool))
    frames[:, 8:16, 8:] = 255
    assert bonus.score(frames, model.encode(frames)) == 1
    frames[:, :8, :8] = 255  # the same tile at another place
    assert bonus.score(frames, model.encode(frames)) == 1


def test_impossible_parts_are_refused():
    with pytest.raises(ValueError, match="a code has at least 1 part, got parts=0"):
        TokenCounts(0)
    with pytest.raises(ValueError, match="positive width, got bits=32, width=0"):
        TokenCounts(width=0)
    with pytest.raises(
        ValueError, match="codes of 12 values do not fall into 5 parts: set parts to a divisor"
    ):
        TokenCounts(5).score(NONE, np.zeros((B, 12), np.float32))
