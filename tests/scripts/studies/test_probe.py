"""The probe of codes: truth against hand-made views, and classifiers of which the answer is
known."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scripts.studies.representation.probe as probe
from agents.pretrain import PretrainConfig
from envs.minigrid.vector import draw_views
from scripts.studies.representation.probe import (
    ASKED,
    CONV,
    DEFAULT,
    ENV,
    KINDS,
    accuracies,
    compared,
    labels,
    scattered,
    tile_errors,
    tiles,
    training_half,
)

UNSEEN, EMPTY, WALL, GOAL, KEY = (0, 0, 0), (1, 0, 0), (2, 5, 0), (8, 1, 0), (5, 4, 0)
OPEN, CLOSED, LOCKED = (4, 4, 0), (4, 4, 1), (4, 4, 2)
HAND, ABOVE, CORNER = (3, 6), (3, 5), (0, 6)


def view(things: Any) -> Any:
    """Return one symbolic view of bare floor with these things at their columns and rows."""
    symbols = np.full((1, 7, 7, 3), EMPTY, np.uint8)
    for place, thing in things.items():
        symbols[(0, *place)] = thing
    return symbols


@pytest.mark.parametrize(
    ("things", "expected"),
    [
        ({}, set()),
        ({ABOVE: WALL, CORNER: UNSEEN}, set()),
        ({ABOVE: KEY}, {"key"}),
        ({CORNER: KEY}, {"key"}),
        ({HAND: KEY}, {"key in hand"}),
        ({ABOVE: CLOSED}, {"shut door"}),
        ({ABOVE: LOCKED}, {"shut door"}),
        ({ABOVE: OPEN}, {"open door"}),
        ({CORNER: GOAL}, {"goal"}),
        ({HAND: KEY, ABOVE: OPEN, CORNER: GOAL}, {"key in hand", "open door", "goal"}),
    ],
)
def test_truth_of_hand_made_views(things: Any, expected: set[str]) -> None:
    assert {
        name for name, holds in zip(ASKED, labels(view(things))[0], strict=True) if holds
    } == expected


def test_every_cell_is_of_one_kind_where_it_is() -> None:
    where = tiles(view({HAND: KEY, ABOVE: LOCKED, CORNER: WALL, (1, 2): UNSEEN}))
    assert [where[name].sum() for name in KINDS] == [45, 1, 0, 1, 1, 0, 0]
    assert where["shut door"][(0, *ABOVE)]


def test_scattered_views_show_what_is_asked_and_differ() -> None:
    views = scattered(40, 5)
    assert len(np.unique(views.symbols, axis=0)) > 150
    assert (labels(views.symbols).mean(0) > 0.1).all()
    in_hand = (views.symbols[:, 3, 6] == KEY).all(1)
    assert not labels(views.symbols)[in_hand, ASKED.index("key")].any()  # there is one key
    assert np.array_equal(np.bincount(views.levels), np.full(40, 5))


def test_a_code_with_the_label_is_read_and_noise_is_not() -> None:
    rng, levels = np.random.default_rng(0), np.repeat(np.arange(100), 10)
    truth = rng.random((1000, 2)) < (0.5, 0.2)
    noise = rng.standard_normal((1000, 3))
    told = accuracies(np.concatenate([noise, 3 - 2 * truth], 1), truth, levels)
    np.testing.assert_array_equal(told, np.ones((2, 2)))
    np.testing.assert_allclose(accuracies(noise, truth, levels), 0.5, atol=0.1)


def test_what_holds_for_known_levels_alone_is_not_read() -> None:
    rng, levels = np.random.default_rng(0), np.repeat(np.arange(80), 10)
    truth = (rng.random(80) < 0.5)[levels][:, None]
    codes = np.eye(80)[levels] + 0.01 * rng.standard_normal((800, 80))
    frame_by_frame = accuracies(codes, truth, rng.permutation(800))
    np.testing.assert_array_equal(frame_by_frame, np.ones((2, 1)))
    np.testing.assert_allclose(accuracies(codes, truth, levels), 0.5, atol=0.15)


def test_small_directions_are_read_with_the_penalty_that_is_chosen() -> None:
    rng, levels = np.random.default_rng(0), np.repeat(np.arange(100), 10)
    truth, large = rng.random((1000, 1)) < 0.5, rng.standard_normal((1000, 1))
    plain, chosen = accuracies(
        np.concatenate([large, large + 0.005 * (2 * truth - 1)], 1), truth, levels
    )
    assert plain < 0.8
    assert chosen > 0.99


def test_no_level_is_on_both_sides() -> None:
    levels = np.repeat(np.arange(7), 3)
    training = training_half(levels)
    assert set(levels[training]) | set(levels[~training]) == set(range(7))
    assert not set(levels[training]) & set(levels[~training])


def test_errors_are_those_of_the_cells_of_a_kind() -> None:
    symbols = view(
        {HAND: KEY, ABOVE: KEY, (0, 1): WALL, (1, 0): OPEN, (2, 0): CLOSED, (4, 0): GOAL}
    )
    frames = draw_views(symbols)
    drawn = frames.copy()
    drawn[:, 8:16, :8] -= 10  # the wall's rows and columns of pixels
    drawn[:, 40:48, 24:28] = 255 - frames[:, 40:48, 24:28]  # the key's left half
    of_key = np.abs(frames[0, 40:48, 24:32].astype(float) - drawn[0, 40:48, 24:32]).mean()
    errors = dict(zip(KINDS, tile_errors(symbols, frames, drawn), strict=True))
    assert errors == {**dict.fromkeys(KINDS, 0), "wall": 10, "key": pytest.approx(of_key)}


@pytest.mark.filterwarnings("ignore:the latents have collapsed")  # too short to learn
def test_the_study_of_short_trainings_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(probe, "STRENGTHS", (1.0,))
    default = PretrainConfig(ENV, frames=200, steps=2, device="cpu")
    conv = dataclasses.replace(default, latent_dim=8, option=("backbone={name: conv}",))
    blind = dataclasses.replace(default, model="random", latent_dim=8)
    study = compared({DEFAULT: default, CONV: conv, "random": blind}, 20, 10)
    assert [row.reached for row in study.rows] == [row.ours >= 0.95 for row in study.rows]
    *read, errors = study.tables
    for table in read:
        assert [row[0] for row in table.rows] == [
            DEFAULT,
            CONV,
            "random",
            "pixels",
            "share of views",
        ]
    assert [row[0] for row in errors.rows] == [DEFAULT, CONV, "bare floor"]
    assert errors.rows[-1][1] == "0.0"
    (picture,) = study.pictures.values()
    assert picture.shape[2] == 3
