"""The heat map of a bonus: what is drawn where, in which colour, and which frames stand beside
it."""

from __future__ import annotations

import numpy as np
import pytest

from latentrl.viz.images import TILE, heat
from latentrl.viz.novelty_map import (
    CELL,
    COLUMNS,
    HOT,
    LINE,
    PAD,
    PLANE,
    RecentStates,
    novelty_map,
    principal_plane,
)

SHEET = PAD + PLANE + PAD
"""Where the frames begin, in pixels from the left."""


def panel(picture):
    return picture[PAD + LINE : PAD + LINE + PLANE, PAD : PAD + PLANE]


def tiles(picture, height=TILE):
    """Cut the three rows of frames out, ``(3, columns, height, TILE, 3)``."""
    columns = (picture.shape[1] - SHEET) // (TILE + PAD)
    rows = [PAD + LINE + row * (height + 2 * LINE) for row in range(3)]
    lefts = [SHEET + k * (TILE + PAD) for k in range(columns)]
    return np.array(
        [[picture[top : top + height, left : left + TILE] for left in lefts] for top in rows]
    )


def coloured(count, side=8):
    """Draw a frame of one colour each, ``(count, side, side, 3)``, whose red is its number."""
    frames = np.full((count, side, side, 3), 90, np.uint8)
    frames[..., 0] = np.arange(count)[:, None, None]
    return frames


def shown(picture):
    """Return the numbers of the frames in each row."""
    middles = tiles(picture)[:, :, TILE // 2, TILE // 2].astype(int)
    return [[red for red, _, blue in row if blue == 90] for row in middles.tolist()]


def apart(count):
    """Return codes that lie along a line, each a disc of its own."""
    return np.stack([np.arange(count), np.zeros(count)], 1).astype(np.float32)


# The ring.


@pytest.mark.parametrize("batch", [1, 3, 7, 20])
def test_a_ring_holds_the_newest_of_a_list(batch):
    ring, every = RecentStates(7), []
    for step in range(12):
        numbers = np.arange(step * batch, (step + 1) * batch)
        every += numbers.tolist()
        ring.add(
            coloured(batch) + numbers.astype(np.uint8)[:, None, None, None],
            numbers[:, None],
            numbers / 2,
        )
        frames, codes, bonuses = ring.newest()
        assert sorted(codes[:, 0].tolist()) == every[-7:]
        assert (2 * bonuses).tolist() == codes[:, 0].tolist()
        assert frames.dtype == np.uint8
        assert np.array_equal(frames[:, 0, 0, 1], (90 + codes[:, 0]) % 256)
    assert ring.seen == sum(min(batch, 7) for _ in range(12))


def test_an_empty_ring():
    assert [len(array) for array in RecentStates(3).newest()] == [0, 0, 0]
    with pytest.raises(ValueError, match="a ring of visits holds at least 1 state, got 0"):
        RecentStates(0)


# The plane.


def test_the_plane_is_that_of_the_singular_vectors(vectors):
    plane, shares = principal_plane(vectors)
    centred = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    assert np.abs(plane) == pytest.approx(np.abs(left[:, :2] * values[:2]), abs=1e-6)
    assert shares == pytest.approx((values**2 / (values**2).sum())[:2])


def test_the_signs_of_the_plane_do_not_depend_on_the_order(vectors):
    plane, _ = principal_plane(vectors)
    assert principal_plane(vectors[::-1])[0][::-1] == pytest.approx(plane, abs=1e-6)


@pytest.mark.parametrize(
    "codes", [np.arange(5.0)[:, None], np.ones((5, 3)), np.ones((1, 4)), np.zeros((5, 1))]
)
def test_codes_of_less_than_two_directions(codes):
    plane, shares = principal_plane(codes)
    assert plane.shape == (len(codes), 2)
    assert np.abs(plane[:, 0]) == pytest.approx(np.abs(codes[:, 0] - codes[:, 0].mean()))
    assert plane[:, 1] == pytest.approx(0)
    assert shares.tolist() == ([1, 0] if codes.shape == (5, 1) and codes.any() else [0, 0])


def place(share):
    """Return where in the panel, in pixels, a state lies at this share of an axis."""
    return round(2 * CELL + share * (PLANE - 4 * CELL))


def test_a_disc_has_the_colour_of_its_mean_bonus_and_grows_with_its_states():
    codes = np.array([[0, 0]] * 40 + [[3, 1]] * 2 + [[1, 0]], np.float32)
    codes[:, 0] *= 10  # the first component
    bonuses = np.array([0.0] * 20 + [2.0] * 20 + [5.0, 7.0] + [0.0])
    shown_ = panel(novelty_map(coloured(43), codes, bonuses))
    left, right = shown_[:, : PLANE // 6], shown_[:, -PLANE // 6 :]
    low, high = 0.0, float(np.quantile([1.0, 6.0, 0.0], HOT))
    for part, mean, states in ((left, 1.0, 40), (right, 6.0, 2)):
        colour = heat(np.array([mean]), low, high)[0]
        pixels = (part == colour).all(-1).sum()
        radius = 3 + 1.3 * np.log2(states)
        assert pixels == pytest.approx(np.pi * (radius - 1) ** 2, rel=0.3)  # less the rim
    rows, columns = np.nonzero((right == heat(np.array([6.0]), low, high)[0]).all(-1))
    assert columns.mean() + PLANE - PLANE // 6 == pytest.approx(place(1.0), abs=1)
    assert rows.mean() in (pytest.approx(place(0.0), abs=1), pytest.approx(place(1.0), abs=1))


def test_the_first_component_goes_to_the_right_and_the_second_up():
    codes = np.array([[0, 0], [4, 0], [0, 1], [4, 1]], np.float32)
    for k, (x, y) in enumerate([(0, 1), (1, 1), (0, 0), (1, 0)]):
        picture = panel(novelty_map(coloured(4), codes, np.eye(4)[k]))
        assert picture[place(y), place(x)].tolist() == heat(np.ones(1), 0, 1)[0].tolist()


@pytest.mark.parametrize("hot", [0, 1])
def test_the_hottest_of_two_discs_is_on_top(hot):
    codes = np.array([0.0] * 64 + [0.05] * 64 + [1.0])[:, None]
    bonuses = np.array([hot == 0] * 64 + [hot == 1] * 64 + [False], float)
    picture = panel(novelty_map(coloured(129), codes, bonuses))
    assert picture[PLANE // 2, place(0.025)].tolist() == heat(np.ones(1), 0, 1)[0].tolist()


# The frames.


def test_frames_of_the_highest_the_middle_and_the_lowest_bonuses():
    bonuses = np.random.default_rng(0).permutation(np.arange(21)).astype(float)
    order = np.argsort(bonuses)
    rows = shown(novelty_map(coloured(21), apart(21), bonuses))
    assert rows[0] == order[::-1][:COLUMNS].tolist()
    assert set(rows[1]) <= set(order[7:15].tolist())
    assert bonuses[rows[1][0]] in (10, 11)
    assert rows[2] == order[:COLUMNS].tolist()


def test_where_most_earn_nothing_the_middle_is_that_of_those_who_do():
    bonuses = np.zeros(200)
    bonuses[[3, 99, 198]] = 1.0, 2.0, 9.0
    rows = shown(novelty_map(coloured(200), apart(200), bonuses))
    assert rows[0][:3] == [198, 99, 3]
    assert rows[1][0] == 99


def test_no_two_frames_of_a_row_are_of_one_disc_and_crowds_come_first():
    codes = apart(3)[[0, 0, 0, 2, 1, 1]]
    rows = shown(novelty_map(coloured(6), codes, np.array([5.0, 4.0, 1.0, 0.0, 4.5, 0.0])))
    assert rows == [[0, 4, 3], [1, 4, 3], [5, 3, 2]]


@pytest.mark.parametrize(
    "shape", [(10, 8, 8), (10, 8, 8, 1), (10, 30, 20, 3), (10, 210, 160, 3), (10, 16, 64, 9)]
)
def test_images_of_every_shape(shape):
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    picture = novelty_map(frames, apart(10), np.arange(10.0))
    height = round(TILE * min(1, shape[1] / shape[2]))
    assert picture.dtype == np.uint8
    assert picture.shape[1:] == (SHEET + COLUMNS * (TILE + PAD) + PAD, 3)
    assert tiles(picture, height).std(axis=(2, 3, 4)).min() > 20


def test_values_between_other_bounds():
    frames = coloured(6)
    scaled = novelty_map(frames / np.float32(255) - 1, apart(6), np.arange(6.0), low=-1, high=0)
    assert np.array_equal(scaled, novelty_map(frames, apart(6), np.arange(6.0)))


@pytest.mark.parametrize("count", [1, 2, 30])
@pytest.mark.parametrize("bonus", [0.0, 3.0])
def test_equal_states_and_equal_bonuses(count, bonus):
    codes = np.full((count, 4), 2.0, np.float32)
    picture = novelty_map(coloured(count), codes, np.full(count, bonus))
    assert shown(picture) == [[0]] * 3
    middle = panel(picture)[
        PLANE // 2 - CELL : PLANE // 2 + CELL, PLANE // 2 - CELL : PLANE // 2 + CELL
    ]
    assert (middle == heat(np.zeros(1))[0]).all(-1).any()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            ((5, 8), (5, 3), (5,)),
            r"takes images \(N, H, W, C\), codes .* got frames \(5, 8\), codes \(5, 3\)",
        ),
        (((5, 8, 8, 3), (5,), (5,)), r"got frames \(5, 8, 8, 3\), codes \(5,\) and bonuses \(5,\)"),
        (((5, 8, 8, 3), (5, 3), (5, 1)), r"bonuses \(N,\), got .* bonuses \(5, 1\)"),
        (((5, 8, 8, 3), (4, 3), (5,)), "one frame, code and bonus for each of 1 or more states"),
        (((0, 8, 8, 3), (0, 3), (0,)), r"each of 1 or more states, got frames \(0, 8, 8, 3\)"),
    ],
)
def test_what_is_no_heat_map(shapes, message):
    with pytest.raises(ValueError, match=message):
        novelty_map(*(np.zeros(shape, np.uint8) for shape in shapes))
