"""The novelty map: which states, discs, colours and frames it contains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from latentrl.viz.images import TILE, colormap
from latentrl.viz.novelty_map import (
    BRIGHTEST,
    CELLS,
    COLUMNS,
    FRAMES,
    PAD,
    ROWS,
    TILE_ROW,
    Discs,
    RecentStates,
    novelty_map,
    novelty_map_figure,
)


def coloured(count: int, side: int = 8) -> Any:
    """Frames of one colour each, ``(count, side, side, 3)``; their red channel is the index."""
    frames = np.full((count, side, side, 3), 90, np.uint8)
    frames[..., 0] = np.arange(count)[:, None, None]
    return frames


def on_a_line(count: int) -> Any:
    """Latents along a line, each a disc of its own."""
    return np.stack([np.arange(count), np.zeros(count)], 1).astype(np.float32)


def tiles(image: Any, height: int = TILE) -> Any:
    """Return the three rows of frames in a map, ``(3, COLUMNS, height, TILE, 3)``."""
    tops = [PAD + row * TILE_ROW + 22 for row in range(3)]
    lefts = [FRAMES + k * (TILE + PAD) for k in range(COLUMNS)]
    return np.array(
        [[image[top : top + height, left : left + TILE] for left in lefts] for top in tops]
    )


def indices(image: Any) -> list[list[int]]:
    """Return the indices of the ``coloured`` frames in each row of a map."""
    middles = tiles(image)[:, :, TILE // 2, TILE // 2].astype(int)
    return [[red for red, _, blue in row if blue == 90] for row in middles.tolist()]


def scatter(*arguments: Any) -> Any:
    """Return the collection of discs of a map."""
    (collection,) = novelty_map_figure(*arguments).axes[0].collections
    return collection


# The ring buffer.


@pytest.mark.parametrize("batch", [1, 3, 7, 20])
def test_ring_buffer_holds_the_newest_states(batch: int) -> None:
    states, added = RecentStates(7), []
    for step in range(12):
        numbers = np.arange(step * batch, (step + 1) * batch)
        added += numbers.tolist()
        frames = coloured(batch) + numbers.astype(np.uint8)[:, None, None, None]
        states.add(frames, numbers[:, None], numbers / 2)
        frames, latents, bonuses = states.newest()
        assert sorted(latents[:, 0].tolist()) == added[-7:]
        assert (2 * bonuses).tolist() == latents[:, 0].tolist()
        assert frames.dtype == np.uint8
        assert np.array_equal(frames[:, 0, 0, 1], (90 + latents[:, 0]) % 256)
    assert states.count == sum(min(batch, 7) for _ in range(12))


def test_empty_ring_buffer() -> None:
    assert [len(array) for array in RecentStates(3).newest()] == [0, 0, 0]
    with pytest.raises(ValueError, match="holds at least 1, got size=0"):
        RecentStates(0)


# The plane.


def test_discs_group_the_states_of_a_cell() -> None:
    plane = np.array([[0.0, 0.0], [0.5 / CELLS, 0.0], [1.0, 1.0], [1.0, 0.0]])
    discs = Discs.of(plane, np.array([1.0, 3.0, 5.0, 7.0]))
    assert discs.counts.tolist() == [2, 1, 1]
    assert discs.of_state.tolist() == [0, 0, 2, 1]
    assert discs.bonuses.tolist() == [2, 7, 5]
    assert discs.centres[0] == pytest.approx([0.25 / CELLS, 0])
    assert discs.radii[0] - discs.radii[1] == pytest.approx(1.3), "twice the states"


def test_disc_has_the_colour_of_its_mean_bonus_and_grows_with_its_states() -> None:
    latents = np.array([[0, 0]] * 40 + [[30, 1]] * 2 + [[10, 0]], np.float32)
    bonuses = np.array([0.0] * 20 + [2.0] * 20 + [5.0, 7.0] + [0.0])
    discs = scatter(coloured(43), latents, bonuses)
    means = np.array([0.0, 1.0, 6.0])  # the highest bonus is drawn last, on top
    colours = colormap(means, 0.0, float(np.quantile(means, BRIGHTEST))) / 255
    assert discs.get_facecolors()[:, :3] == pytest.approx(colours)
    diameters = np.sqrt(discs.get_sizes())
    expected = 4 + 1.3 * np.log2([1, 40, 2])
    assert diameters / diameters[0] == pytest.approx(expected / expected[0])
    assert np.asarray(discs.get_offsets())[:, 0] == pytest.approx([1 / 3, 0, 1], abs=0.01)


def test_first_component_is_horizontal_and_second_vertical() -> None:
    latents = np.array([[0, 0], [4, 0], [0, 1], [4, 1]], np.float32)
    offsets = np.asarray(scatter(coloured(4), latents, np.arange(4.0)).get_offsets())
    assert offsets == pytest.approx(np.array([[0, 0], [1, 0], [0, 1], [1, 1]]), abs=1e-6)


def test_labels() -> None:
    figure = novelty_map_figure(coloured(20), on_a_line(20), np.arange(20.0) / 2)
    plane, bar, frames = figure.axes
    assert plane.get_title(loc="left") == "20 states, larger discs hold more"
    assert plane.get_xlabel() == "principal component 1 (100% of the variance)"
    assert plane.get_ylabel() == "principal component 2 (0%)"
    ends = [label.get_text() for label in bar.get_xticklabels()]
    assert ends == ["0", "mean bonus", f"≥ {np.quantile(np.arange(20) / 2, BRIGHTEST):.3g}"]
    texts = [text.get_text() for text in frames.texts]
    assert [text for text in texts if text in ROWS] == list(ROWS)
    assert texts[1:3] == ["9.5", "9"], "each frame has its bonus"


def test_a_colour_bar_that_is_not_clipped_ends_at_the_highest_bonus() -> None:
    bar = novelty_map_figure(coloured(6), on_a_line(6), np.repeat([2.0, 7.0], 3)).axes[1]
    assert [label.get_text() for label in bar.get_xticklabels()] == ["2", "mean bonus", "7"]


# The frames.


def test_frames_of_the_highest_median_and_lowest_bonuses() -> None:
    bonuses = np.random.default_rng(0).permutation(np.arange(21)).astype(float)
    order = np.argsort(bonuses)
    rows = indices(novelty_map(coloured(21), on_a_line(21), bonuses))
    assert rows[0] == order[::-1][:COLUMNS].tolist()
    assert set(rows[1]) <= set(order[7:15].tolist())
    assert bonuses[rows[1][0]] in (10, 11)
    assert rows[2] == order[:COLUMNS].tolist()


def test_median_is_that_of_the_bonuses_above_the_lowest() -> None:
    bonuses = np.zeros(200)
    bonuses[[3, 99, 198]] = 1.0, 2.0, 9.0
    rows = indices(novelty_map(coloured(200), on_a_line(200), bonuses))
    assert rows[0][:3] == [198, 99, 3]
    assert rows[1][0] == 99


def test_frames_of_a_row_come_from_different_discs_and_from_large_ones_first() -> None:
    latents = on_a_line(3)[[0, 0, 0, 2, 1, 1]]
    bonuses = np.array([5.0, 4.0, 1.0, 0.0, 4.5, 0.0])
    assert indices(novelty_map(coloured(6), latents, bonuses)) == [[0, 4, 3], [1, 4, 3], [5, 3, 2]]


@pytest.mark.parametrize(
    "shape", [(10, 8, 8), (10, 8, 8, 1), (10, 30, 20, 3), (10, 210, 160, 3), (10, 16, 64, 9)]
)
def test_frames_of_every_shape(shape: tuple[int, ...]) -> None:
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = novelty_map(frames, on_a_line(10), np.arange(10.0))
    height = round(TILE * min(1, shape[1] / shape[2]))
    assert image.dtype == np.uint8
    assert image.shape[1:] == (FRAMES + COLUMNS * (TILE + PAD) + PAD, 3)
    assert tiles(image, height).std(axis=(2, 3, 4)).min() > 20


def test_frames_with_other_bounds() -> None:
    frames, latents, bonuses = coloured(6), on_a_line(6), np.arange(6.0)
    scaled = novelty_map(frames / np.float32(255) - 1, latents, bonuses, low=-1, high=0)
    assert np.array_equal(scaled, novelty_map(frames, latents, bonuses))


@pytest.mark.parametrize("count", [1, 2, 30])
@pytest.mark.parametrize("bonus", [0.0, 3.0])
def test_equal_states_and_equal_bonuses(count: int, bonus: float) -> None:
    latents = np.full((count, 4), 2.0, np.float32)
    arguments = coloured(count), latents, np.full(count, bonus)
    assert indices(novelty_map(*arguments)) == [[0]] * 3
    discs = scatter(*arguments)
    assert np.asarray(discs.get_offsets()) == pytest.approx(np.array([[0.5, 0.5]]))
    assert discs.get_facecolors()[0, :3] == pytest.approx(colormap(np.zeros(1))[0] / 255)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            ((5, 8), (5, 3), (5,)),
            r"takes images \(N, H, W, C\), latents .* got frames \(5, 8\), latents \(5, 3\)",
        ),
        (((5, 8, 8, 3), (5,), (5,)), r"got frames \(5, 8, 8, 3\), latents \(5,\) and bonuses"),
        (((5, 8, 8, 3), (5, 3), (5, 1)), r"bonuses \(N,\), got .* bonuses \(5, 1\)"),
        (((5, 8, 8, 3), (4, 3), (5,)), "one frame, latent and bonus for each of 1 or more states"),
        (((0, 8, 8, 3), (0, 3), (0,)), r"each of 1 or more states, got frames \(0, 8, 8, 3\)"),
    ],
)
def test_invalid_arguments(shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        novelty_map(*(np.zeros(shape, np.uint8) for shape in shapes))
