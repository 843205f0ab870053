"""The written page: its size, what it holds, and the mistakes that it refuses."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from PIL import Image

import latentrl as lrl
from latentrl.data.frames import as_frames
from latentrl.latents.generate import shown_dimensions
from latentrl.latents.known_factors import score_latents
from latentrl.viz import explore
from latentrl.viz.explorer import Episode, document, networks
from latentrl.viz.explorer.encoding import to_json, to_sheet
from latentrl.viz.explorer.latents import principal_axes, thumbnails
from latentrl.viz.explorer.strip import episode_strip, longest_episode
from latentrl.viz.images import model_images, representative_index
from tests.latentrl.viz.explorer.conftest import Page, drawn, page_of, varied


def array_of(item: Any) -> Any:
    """Read an array of the page's JSON."""
    data = np.frombuffer(base64.b64decode(item["base64"]), item["dtype"])
    return data.reshape(item["shape"])


def tiles_of(sheet: Any) -> Any:
    """Read the tiles of a sheet, ``(count, height, width, 3)``."""
    data = base64.b64decode(sheet["uri"].partition("base64,")[2])
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    height, width, columns = sheet["height"], sheet["width"], sheet["columns"]
    corners = [divmod(i, columns) for i in range(sheet["count"])]
    return np.stack(
        [pixels[r * height : (r + 1) * height, c * width : (c + 1) * width] for r, c in corners]
    )


def test_the_page_is_one_file_that_asks_for_nothing(vector_page: Page) -> None:
    text = vector_page.path.read_text(encoding="utf-8")
    assert vector_page.path.stat().st_size < document.MAX_BYTES
    assert "http" not in text.replace("http-equiv", "")
    assert "default-src 'none'" in text
    assert not re.search(r"<(link|script|img|iframe)[^>]+(href|src)=\"(?!data:)", text)
    assert "{{" not in text.split("<script>")[0]


def test_sliders_are_sorted_by_kl_and_span_the_quantiles_of_the_data(vector_page: Page) -> None:
    model, sliders = vector_page.model, vector_page.json()["dimensions"]
    latents = model.encode(vector_page.images)
    information = [slider["amount"] for slider in sliders]
    assert information == sorted(information, reverse=True)
    assert sorted(slider["index"] for slider in sliders) == list(range(model.latent_dim))
    for slider in sliders:
        values = latents[:, slider["index"]]
        expected = [*np.quantile(values, [0.01, 0.99]), values.mean()]
        found = [slider["low"], slider["high"], slider["mean"]]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert slider["place"] is None


def test_dimensions_of_a_grid_have_a_row_a_column_and_a_channel(grid_page: Page) -> None:
    content = grid_page.json()
    rows, columns = content["grid"]
    for slider in content["dimensions"]:
        row, column, channel = slider["place"]
        assert slider["index"] == channel * rows * columns + row * columns + column


def test_dimensions_of_a_grid_are_sorted_by_the_change_of_the_frame(grid_page: Page) -> None:
    content, model = grid_page.json(), grid_page.model
    assert content["measure"] == "change"
    start = array_of(content["start"]).astype(np.float32)
    changes = []
    for slider in content["dimensions"]:
        ends = np.stack([start, start])
        ends[:, slider["index"]] = slider["low"], slider["high"]
        first, last = model.decode(ends).astype(float)
        changes.append(np.abs(last - first).mean())
    amounts = [slider["amount"] for slider in content["dimensions"]]
    assert amounts == sorted(amounts, reverse=True)
    assert len(set(amounts)) > 9
    np.testing.assert_allclose(amounts, changes, atol=0.1)


def test_a_fitted_grid_has_the_order_of_its_traversals(tmp_path: Path) -> None:
    images = drawn()
    torch.manual_seed(0)
    model = lrl.ae(images.shape[1:], latent_dim=64, backbone={"name": "spatial"})
    lrl.fit(model, images, lrl.FitConfig(steps=5, batch_size=16, device="cpu"), progress=False)
    sliders = page_of(model, images, tmp_path).json()["dimensions"]
    low, high = np.quantile(model.encode(images), [0.01, 0.99], axis=0)
    model.latent_quantiles[[0, -1]] = torch.tensor(np.stack([low, high]), dtype=torch.float32)
    start = images[representative_index(model, images)]
    shown = shown_dimensions(model, start, 8)
    assert [slider["index"] for slider in sliders[:8]] == shown


@pytest.mark.parametrize(
    ("shape", "crop", "ratio"),
    [((24, 36), (0, 0, 0, 0), 1.5), ((40, 20), (4, 4, 0, 0), 0.625), ((20, 20), (0, 0, 0, 0), 1)],
)
def test_frames_have_the_aspect_ratio_of_the_cropped_ones(
    shape: Any, crop: Any, ratio: float, tmp_path: Path
) -> None:
    images = np.random.default_rng(3).integers(0, 256, (12, *shape, 3), np.uint8)
    preprocessing = lrl.Preprocessing(crop, (16, 16))
    model = varied(images, latent_dim=3, preprocessing=preprocessing)
    page = page_of(model, images, tmp_path)
    image = page.json()["image"]
    assert (image["width"], image["height"], image["ratio"]) == (16, 16, ratio)
    width, height = model_images(model, model.decode(model.encode(images[:1]))).shape[2:0:-1]
    assert width / height == pytest.approx(ratio, abs=0.05)
    text = page.path.read_text(encoding="utf-8")
    assert "setProperty('--ratio', content.image.ratio)" in text
    assert "#thumbnail, .frames canvas { aspect-ratio: var(--ratio); }" in text


def test_quantised_latents_move_by_levels_and_others_sort_by_variance(tmp_path: Path) -> None:
    images = drawn()
    page = page_of(varied(images, lrl.fsq_ae, latent_dim=4), images, tmp_path).json()
    assert page["measure"] == "variance"
    assert page["dimensions"][0]["step"] == pytest.approx(2 / 11)
    variances = array_of(page["map"]["latents"]).astype(float).var(0)
    for slider in page["dimensions"]:
        assert slider["amount"] == pytest.approx(variances[slider["index"]], rel=0.01)


def test_the_map_has_latents_their_plane_and_factors(vector_page: Page) -> None:
    data, images = vector_page.json()["map"], vector_page.images
    latents = vector_page.model.encode(images)
    np.testing.assert_allclose(array_of(data["latents"]), latents, atol=2e-3, rtol=2e-3)
    assert data["index"] == list(range(len(images)))
    assert data["factors"] == {"shade": images.max((1, 2, 3)).astype(float).tolist()}
    assert np.array_equal(tiles_of(data["thumbnails"]), images)


def test_factors_of_the_frames_have_a_probe_and_gaps(factor_page: Page) -> None:
    data, images = factor_page.json()["map"], factor_page.images
    assert list(data["factors"]) == ["red", "brightness"], "a constant is no factor"
    red = data["factors"]["red"]
    assert red[:10] == [None] * 10
    assert red[10:] == images[10:, ..., 0].max((1, 2)).tolist()
    factors = {name: np.array(values, float) for name, values in data["factors"].items()}
    scores = score_latents(factor_page.model.encode(images), factors, np.arange(120))
    assert scores is not None
    assert data["probe"] == pytest.approx(scores.probe, abs=1e-3)
    assert data["scores"] == pytest.approx(scores.disentanglement, abs=1e-3)


def test_a_typical_latent_is_at_the_median_distance(vector_page: Page) -> None:
    latents = array_of(vector_page.json()["map"]["latents"]).astype(float)
    start = array_of(vector_page.json()["start"]).astype(float)
    distance = lambda z: (((z - latents.mean(0)) / latents.std(0)) ** 2).sum(-1)  # noqa: E731
    assert distance(start) == pytest.approx(np.median(distance(latents)), rel=0.1)


def test_principal_axes_are_eigenvectors_of_the_covariance() -> None:
    latents = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32) * [1, 5, 3]
    axes = principal_axes(latents)
    covariance = np.cov(latents.T)
    for axis, variance in zip(axes, np.linalg.eigvalsh(covariance)[::-1], strict=False):
        np.testing.assert_allclose(covariance @ axis, variance * axis, rtol=1e-3)
    assert np.array_equal(principal_axes(latents[:, :1])[1], [0])


def test_the_strip_is_the_longest_episode_with_its_records() -> None:
    images = drawn(9)
    frames = as_frames(images)
    frames._episodes = np.array([0, 0, 1, 1, 1, 1, 2, 2, 2])
    assert np.array_equal(longest_episode(frames).observations, images[2:6])
    assert np.array_equal(longest_episode(as_frames(images)).observations, images)


def test_an_agents_values_stand_beside_the_frames(vector_page: Page) -> None:
    images = vector_page.images[:3]
    actions = np.array([[0, 1], [2, 3], [4, 5]])
    episode = Episode(images, value=np.array([1.0, np.nan, 2.0]), action=actions)
    strip = episode_strip(vector_page.model, episode)
    assert strip["series"] == [
        {"name": "value", "unit": "expected discounted return", "values": [1.0, None, 2.0]},
        {"name": "action 0", "unit": "", "values": [0.0, 2.0, 4.0]},
        {"name": "action 1", "unit": "", "values": [1.0, 3.0, 5.0]},
    ]
    assert np.array_equal(tiles_of(strip["frames"]), images)
    assert np.array_equal(strip["latents"], vector_page.model.encode(images))


def test_fewer_frames_are_shown_where_all_would_be_too_large(
    vector_page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "DATA_BYTES", 5_000)
    page = page_of(vector_page.model, vector_page.images, tmp_path).json()
    assert page["map"]["thumbnails"]["count"] < len(vector_page.images)
    assert page["strip"]["frames"]["count"] < len(vector_page.images)
    assert len(to_json({key: page[key] for key in ("map", "strip")})) <= 5_000


def test_a_decoder_that_is_too_large_leaves_images_of_traversals(
    vector_page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "MAX_BYTES", 120_000)
    page = page_of(vector_page.model, vector_page.images, tmp_path)
    content, model = page.json(), vector_page.model
    assert page.json("decoder") is page.json("encoder") is None
    assert "its weights take" in content["notes"][0]
    tiles = tiles_of(content["traversals"]["sheet"])
    slider = content["dimensions"][1]
    latent = array_of(content["start"]).astype(np.float32)
    latent[slider["index"]] = slider["high"]
    last = tiles[2 * content["traversals"]["positions"] - 1].astype(int)
    assert np.abs(last - model_images(model, model.decode(latent[None]))[0]).max() <= 1
    restored = model_images(model, model.reconstruct(vector_page.images)).astype(int)
    assert np.abs(tiles_of(content["reconstructions"]) - restored).max() <= 1


def test_an_encoder_that_is_too_large_is_left_out(
    vector_page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = vector_page.path.stat().st_size - len(str(vector_page.json("encoder")))
    monkeypatch.setattr(document, "MAX_BYTES", without + 10_000)
    page = page_of(vector_page.model, vector_page.images, tmp_path)
    assert page.json("decoder")
    assert page.json("encoder") is None
    assert "cannot be encoded in this page" in page.json()["notes"][0]


def test_weights_stay_float32_where_float16_would_change_the_image(
    vector_page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kinds(page: Page) -> set[str]:
        return {layer["weight"]["dtype"] for layer in page.json("decoder") if "weight" in layer}

    assert kinds(vector_page) == {"float16"}
    monkeypatch.setattr(networks, "TOLERANCE", -1)
    assert kinds(page_of(vector_page.model, vector_page.images, tmp_path)) == {"float32"}


def test_a_range_beyond_float16_keeps_weights_small(tmp_path: Path) -> None:
    images = drawn().astype(np.uint16) * 257
    space = spaces.Box(0, 65_535, images.shape[1:], np.uint16)
    model = varied(images, lambda shape, **options: lrl.vae(space, **options), latent_dim=3)
    layers = page_of(model, images, tmp_path).json("decoder")
    assert {layer["weight"]["dtype"] for layer in layers if "weight" in layer} == {"float16"}


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_images_of_any_number_of_channels(channels: int, tmp_path: Path) -> None:
    images = drawn(channels=channels)
    page = page_of(varied(images, latent_dim=3), images, tmp_path)
    content = page.json()
    assert (content["input"] is None) == (channels > 1)
    assert content["image"]["picks"] == ([0, 0, 0] if channels < 3 else [0, 1, 2])
    assert content["image"]["levels"] == [255.0] * 3


def test_a_title_cannot_end_its_element(vector_page: Page, tmp_path: Path) -> None:
    frames = as_frames(vector_page.images)
    frames.metadata["environment"] = {"id": "</title><script>"}
    text = explore(vector_page.model, frames, tmp_path / "a.html").read_text(encoding="utf-8")
    assert "</title><script>" not in text


def test_a_sheet_is_exact_until_it_is_too_large() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3), np.uint8)
    assert np.array_equal(tiles_of(to_sheet(noise, 10_000)), noise)
    fine, coarse = to_sheet(noise, 100), to_sheet(noise, 100, (90, 30))
    assert fine["uri"].startswith("data:image/jpeg")
    assert len(coarse["uri"]) < len(fine["uri"])
    assert np.abs(tiles_of(fine).astype(int) - noise).mean() < 10
    assert thumbnails(np.zeros((2, 100, 50, 3), np.uint8)).shape == (2, 48, 24, 3)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"shade": np.zeros(3)}, r"'shade' must have one number for each of the 48 frames"),
        ({"shade": np.full(48, np.nan)}, "'shade' is NaN or infinite in all frames: drop it"),
        ({"shade": np.array(["a"] * 48)}, "must have one number"),
    ],
)
def test_factors_have_one_number_per_frame(
    vector_page: Page, factors: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        page_of(vector_page.model, vector_page.images, tmp_path, factors=factors)
    assert not list(tmp_path.iterdir())


def test_mistakes_are_refused(vector_page: Page, tmp_path: Path) -> None:
    file, images = tmp_path / "a.html", vector_page.images
    with pytest.raises(TypeError, match="has no decoder"):
        explore(lrl.random((16, 16, 3)), images, file)
    with pytest.raises(ValueError, match=r"for models of images; .* \(5,\) float32"):
        explore(lrl.vae((5,), latent_dim=2), np.zeros((9, 5), np.float32), file)
    with pytest.raises(ValueError, match=r"takes observations of \(16, 16, 3\) uint8, these"):
        explore(vector_page.model, drawn(side=12), file)
    with pytest.raises(ValueError, match=r"the episode have shape \(12, 12, 3\)"):
        explore(vector_page.model, images, file, episode=Episode(drawn(side=12)))
    with pytest.raises(ValueError, match="at least one frame"):
        explore(vector_page.model, as_frames(images).subset(np.array([], int)), file)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        explore(vector_page.model, tmp_path / "nowhere", file)
    assert not file.exists()


def test_an_episode_has_as_many_values_as_observations() -> None:
    with pytest.raises(ValueError, match="5 observations needs as many of 'bonus', got 4"):
        Episode(drawn(5), bonus=np.zeros(4))
    with pytest.raises(ValueError, match="at least one observation"):
        Episode(drawn(5)[:0])
