"""Observations to network inputs and back: against Pillow, indexing and the luma formula."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from PIL import Image

from latentrl.models.preprocessing import Preprocessing, is_image, make_preprocessor
from latentrl.types import space_from_json, space_to_json


def box(*shape: int, low: float = 0, high: float = 255, dtype: Any = np.uint8) -> spaces.Box:
    return spaces.Box(low, high, shape, dtype)


def noise(*shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def run(space: spaces.Box, images: Any, **options: Any) -> Any:
    return make_preprocessor(space, Preprocessing(**options))(torch.from_numpy(images)).numpy()


def test_scales_to_the_unit_interval_channels_first() -> None:
    images = noise(2, 17, 20, 3)
    x = run(box(17, 20, 3), images)
    np.testing.assert_allclose(x, images.transpose(0, 3, 1, 2) / 255, rtol=1e-6)


def test_other_bounds_scale_too() -> None:
    images = np.random.default_rng(0).uniform(-3, 5, (2, 16, 16, 2)).astype(np.float32)
    x = run(box(16, 16, 2, low=-3, high=5, dtype=np.float32), images)
    np.testing.assert_allclose(x, (images.transpose(0, 3, 1, 2) + 3) / 8, atol=1e-6)


def test_crop_is_exact() -> None:
    images = noise(2, 40, 50, 3)
    x = run(box(40, 50, 3), images, crop=(3, 5, 7, 11))
    np.testing.assert_allclose(x, images[:, 3:35, 7:39].transpose(0, 3, 1, 2) / 255, rtol=1e-6)


@pytest.mark.parametrize("size", [(16, 24), (33, 47), (100, 130)])
def test_resize_equals_pillow(size: tuple[int, int]) -> None:
    image = noise(96, 128, 3)
    x = run(box(96, 128, 3), image[None], size=size)[0].transpose(1, 2, 0)
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
    assert np.abs(x * 255 - expected).max() <= 1.01  # both round to whole numbers


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (60, 40), (90, 120), (30, 120)])
def test_uint8_and_float_resize_agree_to_one_grey_level(size: tuple[int, int]) -> None:
    images = noise(4, 60, 80, 3)
    as_uint8 = run(box(60, 80, 3), images, size=size) * 255
    as_float = run(box(60, 80, 3), images.astype(np.float32), size=size) * 255  # CUDA's path
    difference = np.abs(as_uint8 - as_float).round()
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01
    np.testing.assert_allclose(as_float, as_float.round(), atol=1e-4)


def test_images_of_floats_are_resized_without_rounding() -> None:
    images = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    x = run(box(32, 32, 3, high=1, dtype=np.float32), images, size=(16, 16))
    assert len(np.unique(x)) > 1000


def test_greyscale_is_the_luma() -> None:
    images = noise(2, 16, 16, 3)
    expected = images @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(
        run(box(16, 16, 3), images, greyscale=True)[:, 0], expected, atol=1e-6
    )


@pytest.mark.parametrize("shape", [(16, 16), (8, 8, 3), (17, 31, 1), (16, 20, 3), (20, 16, 12)])
def test_inverse_restores_images(shape: tuple[int, ...]) -> None:
    images = noise(3, *shape)
    preprocess = make_preprocessor(box(*shape), Preprocessing())
    restored = preprocess.inverse(preprocess(torch.from_numpy(images)))
    np.testing.assert_array_equal(restored.numpy(), images)
    assert preprocess.output_space == box(*shape)


def test_output_space_is_what_inverse_returns() -> None:
    config = Preprocessing(crop=(2, 2, 0, 0), size=(24, 16), greyscale=True)
    preprocess = make_preprocessor(box(40, 40, 3), config)
    restored = preprocess.inverse(preprocess(torch.from_numpy(noise(2, 40, 40, 3)))).numpy()
    assert preprocess.shape == (1, 24, 16)
    assert restored.shape[1:] == preprocess.output_space.shape == (24, 16, 1)


def test_inverse_stays_in_the_range() -> None:
    restored = make_preprocessor(box(16, 16, 1), Preprocessing()).inverse(
        torch.tensor([[-1.0, 2.0]]).view(2, 1, 1, 1)
    )
    assert restored.flatten().tolist() == [0, 255]


def test_vectors_are_standardised_and_restored(vectors: Any) -> None:
    preprocess = make_preprocessor(
        box(8, low=-np.inf, high=np.inf, dtype=np.float32), Preprocessing()
    )
    preprocess.fit(vectors)
    x = preprocess(torch.from_numpy(vectors))
    np.testing.assert_allclose(x.numpy(), (vectors - vectors.mean(0)) / vectors.std(0), atol=1e-4)
    np.testing.assert_allclose(preprocess.inverse(x).numpy(), vectors, atol=1e-4)


def test_steps_of_a_sequence_share_their_statistics() -> None:
    sequences = np.random.default_rng(0).normal([1, -50], [0.1, 30], (40, 7, 2)).astype(np.float32)
    preprocess = make_preprocessor(
        box(7, 2, low=-np.inf, high=np.inf, dtype=np.float32), Preprocessing()
    )
    preprocess.fit(sequences)
    x = preprocess(torch.from_numpy(sequences))
    rows = sequences.reshape(-1, 2)
    assert x.shape == (40, *preprocess.shape) == (40, 7, 2)
    np.testing.assert_allclose(x.numpy(), (sequences - rows.mean(0)) / rows.std(0), atol=1e-4)
    np.testing.assert_allclose(preprocess.inverse(x).numpy(), sequences, atol=1e-4)


def test_two_axes_of_bytes_are_an_image_and_of_floats_a_sequence() -> None:
    assert make_preprocessor(box(20, 16), Preprocessing()).shape == (1, 20, 16)
    unbounded = box(20, 16, low=-np.inf, high=np.inf, dtype=np.float32)
    assert make_preprocessor(unbounded, Preprocessing()).shape == (20, 16)


def vectors_in(dtype: Any, *columns: Any) -> tuple[Any, Any]:
    """Return vectors of these columns and the preprocessor that was fitted to them."""
    vectors = np.stack(columns, axis=1).astype(dtype)
    space = box(len(columns), low=-np.inf, high=np.inf, dtype=dtype)
    preprocess = make_preprocessor(space, Preprocessing())
    preprocess.fit(vectors)
    return vectors, preprocess


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e-3, 1e12])
def test_every_unit_is_standardised(scale: float) -> None:
    steps = np.random.default_rng(0).normal(size=500)
    vectors, preprocess = vectors_in(np.float32, steps, steps * scale)
    x = preprocess(torch.from_numpy(vectors))
    np.testing.assert_allclose(x[:, 1], x[:, 0], atol=1e-5)
    np.testing.assert_allclose(preprocess.inverse(x).numpy(), vectors, rtol=1e-5, atol=scale * 1e-6)


@pytest.mark.parametrize("offset", [-5.0, 1.7e9, 1e12])
def test_a_large_offset_keeps_its_variation_in_float64(offset: float) -> None:
    seconds = np.random.default_rng(0).normal(size=500)
    vectors, preprocess = vectors_in(np.float64, seconds + offset, seconds)
    x = preprocess(torch.from_numpy(vectors))
    assert x.dtype == torch.float32
    np.testing.assert_allclose(x[:, 0], x[:, 1], atol=3e-4)
    np.testing.assert_allclose(preprocess.inverse(x).numpy(), vectors, atol=3e-4)


@pytest.mark.parametrize(
    ("value", "moved"), [(5.0, 5.06), (-4e-10, -4.1e-10), (0.0, 0.5), (3e8, 3.1e8)]
)
def test_a_constant_value_that_moves_gets_a_large_score_with_a_limit(
    value: float, moved: float
) -> None:
    steps = np.random.default_rng(0).normal(size=500)
    vectors, preprocess = vectors_in(np.float64, steps, np.full(500, value))
    np.testing.assert_allclose(preprocess(torch.from_numpy(vectors))[:, 1], 0, atol=1e-6)
    scores = preprocess(torch.tensor([[0.0, moved], [99.0, 1e30]], dtype=torch.float64))
    assert abs(scores[0, 1]) == 10
    assert scores[1, 1] == 10
    assert scores[1, 0] > 90, "the others have no limit"
    restored = preprocess.inverse(torch.zeros(1, 2))
    np.testing.assert_allclose(restored[0, 1], value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_of_rounding_is_constant(dtype: Any) -> None:
    rounded = np.where(np.arange(500) % 2, dtype(0.3), np.nextafter(dtype(0.3), dtype(1)))
    _, preprocess = vectors_in(dtype, np.arange(500), rounded)
    assert preprocess.constant.tolist() == [False, True]


@pytest.mark.parametrize(
    ("count", "extreme", "warned"),
    [(1, -1e7, True), (30, -1e7, True), (1, 50.0, False), (30, 50.0, False), (100, -1e7, False)],
    ids=["no reading", "2% of no readings", "an outlier", "2% of outliers", "7%, a mode"],
)
def test_numbers_that_hide_all_others_are_a_warning(
    count: int, extreme: float, warned: bool
) -> None:
    rows = np.random.default_rng(0).normal(size=(1_500, 3)).astype(np.float32)
    rows[7 : 7 + count, 2] = extreme
    message = r"value 2 of the observations has -1e\+07 among others, so that 95% of them differ by"
    with pytest.warns(match=message) if warned else contextlib.nullcontext():
        make_preprocessor(spaces.Box(-np.inf, np.inf, (3,)), Preprocessing()).fit(rows)


def test_a_rare_flag_is_no_extreme_number() -> None:
    rows = np.zeros((1_000, 2), np.float32)
    rows[:, 0] = np.arange(1_000)
    for flagged in (1, 4, 6):
        rows[:, 1] = 1e-9 * rows[:, 0] / 1_000
        rows[:flagged, 1] = 1
        make_preprocessor(spaces.Box(-np.inf, np.inf, (2,)), Preprocessing()).fit(rows)


def test_vectors_that_are_all_constant_have_a_scale() -> None:
    _, preprocess = vectors_in(np.float32, np.zeros(5), np.zeros(5))
    assert preprocess.std.tolist() == [1e-3, 1e-3]


def test_integers_are_rounded_and_clipped() -> None:
    preprocess = make_preprocessor(box(4), Preprocessing())
    assert preprocess.inverse(torch.tensor([[-7.0, 1.6, 254.7, 300.0]])).tolist() == [
        [0, 2, 255, 255]
    ]


def per_value(*highs: float, steps: int) -> spaces.Box:
    top = np.tile(np.array(highs, np.float32), (steps, 1))
    return spaces.Box(-top, top, dtype=np.float32)


@pytest.mark.parametrize(
    ("space", "image"),
    [
        (box(32, 32, dtype=np.float32), True),
        (box(8, 40, low=-1, high=1, dtype=np.float32), True),
        (box(480, 640, high=65535, dtype=np.uint16), True),
        (box(4, 4), True),  # of bytes in every size, for a message about the size
        (box(32, 32, 3, low=-np.inf, high=np.inf, dtype=np.float32), True),
        (box(32, 32, low=-np.inf, high=np.inf, dtype=np.float32), False),
        (box(32, 32, high=np.inf, dtype=np.float32), False),
        (box(4, 32, low=-1, high=1, dtype=np.float32), False),
        (box(32, 7, low=-1, high=1, dtype=np.float32), False),
        (per_value(*range(1, 10), steps=32), False),
        (box(32), False),
        (box(4, 3, 32, 32), False),
    ],
)
def test_two_axes_with_one_finite_range_are_an_image(space: spaces.Box, image: bool) -> None:
    assert is_image(space) is image
    assert is_image(space_from_json(space_to_json(space))) is image, "for a model, too"


@pytest.mark.parametrize(
    "shape", [(3, 8, 8), (1, 32, 32), (4, 84, 84), (12, 84, 84), (7, 9, 20), (30, 64, 64)]
)
def test_channels_first_images_are_recognised(shape: tuple[int, ...]) -> None:
    for size in (None, (64, 64)):
        with pytest.raises(ValueError, match=r"look channels-first; latentrl takes \(H, W, C\)"):
            make_preprocessor(box(*shape), Preprocessing(size=size))


@pytest.mark.parametrize("shape", [(84, 84, 257), (5, 20, 3), (2, 2, 2), (300, 300, 300)])
def test_other_shapes_do_not_look_channels_first(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pixels a side|images have 1 to 256 channels"):
        make_preprocessor(box(*shape), Preprocessing())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"crop": (1, 2, 3)},
            r"crop is \(top, bottom, left, right\) in pixels, none negative; got \(1, 2, 3\)",
        ),
        ({"crop": (0, -1, 0, 0)}, "none negative"),
        ({"size": (64,)}, r"size is \(height, width\) in pixels; got \(64,\)"),
        ({"size": (64, 0)}, r"size is \(height, width\) in pixels"),
    ],
)
def test_config_is_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(**options)


@pytest.mark.parametrize(
    ("space", "options", "message"),
    [
        (
            box(4, 5, 6, 7),
            {},
            r"images \(H, W, C\), sequences \(T, D\) or vectors \(D,\), got .* of \(4, 5, 6, 7\)",
        ),
        (
            box(8),
            {"size": (64, 64)},
            "crop, size and greyscale are for images; these observations are vectors or seq",
        ),
        (
            box(9, 3, dtype=np.float32),
            {"greyscale": True},
            "these observations are vectors or sequences",
        ),
        (box(20, 20, 3), {"crop": (10, 10, 0, 0)}, "leaves nothing of a 20x20 image"),
        (
            box(7, 20, 3),
            {},
            r"8 to 256 pixels a side, not 7x20; set preprocessing=Preprocessing\(size=\(64, 64\)\)",
        ),
        (box(300, 300, 3), {}, "8 to 256 pixels a side, not 300x300"),
        (box(3, 64, 64), {}, r"\(3, 64, 64\) look channels-first; latentrl takes \(H, W, C\)"),
        (box(64, 64, 257), {}, r"images have 1 to 256 channels, got shape \(64, 64, 257\)"),
        (
            box(64, 64, 1),
            {"greyscale": True},
            "greyscale needs 3 colour channels, these images have 1",
        ),
        (box(64, 64, 3, low=5, high=5), {}, "images need a range .* low=5, high=5; give the Box"),
    ],
)
def test_unfit_spaces_are_refused(space: spaces.Box, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_preprocessor(space, Preprocessing(**options))
