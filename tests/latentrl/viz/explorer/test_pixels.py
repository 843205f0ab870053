"""Pixels of the page, in Node: decoded images, and image files as inputs of the encoder."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from latentrl.models.preprocessing import ImagePreprocessor, Preprocessing
from latentrl.viz.explorer import networks
from latentrl.viz.explorer.encoding import to_json
from latentrl.viz.explorer.layers import UnsupportedLayer
from latentrl.viz.images import colormap, model_images
from tests.latentrl.viz.explorer.test_engine import NODE, needs_node

FOLDER = Path(networks.__file__).parent
DRIVER = """
const { call, given } = withTensors(JSON.parse(require('fs').readFileSync(0, 'utf8')));
const pixels = ({ data }, height, width) => ({ data, height, width });
const calls = {
  toPixels: ({ x, image }) => toPixels(x, image),
  scaledInput: ({ rgba, source }) => scaledInput(pixels(rgba, ...rgba.shape), source),
  differenceOf: ({ a, b, inferno }) =>
    differenceOf({ data: a.data, width: a.shape[1], height: a.shape[0] }, b, inferno),
  cropOf: ({ size, crop, image }) => ({ data: cropOf(size, crop, image) }),
};
console.log(JSON.stringify([...calls[call](given).data]));
"""
STUBS = """
class ImageData {
  constructor(width, height) {
    Object.assign(this, { width, height, data: new Uint8ClampedArray(4 * width * height) });
  }
}
"""


def run_page(call: str, **given: Any) -> Any:
    """Numbers that a function of the page returns."""
    assert NODE is not None
    sources = [(FOLDER / f"{name}.js").read_text("utf-8") for name in ("engine", "data", "upload")]
    script = "\n".join([STUBS, *sources, DRIVER])
    text = to_json({"call": call, "given": given}, half=False)
    done = subprocess.run([NODE, "-e", script], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout))


def rgba_of(images: Any) -> Any:
    """8-bit images ``(H, W, C)`` of one or three channels with an alpha channel."""
    rgb = np.broadcast_to(images, (*images.shape[:2], 3))
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], -1)


SPACES = {
    "colour": spaces.Box(0, 255, (8, 9, 3), np.uint8),
    "grey": spaces.Box(0, 255, (8, 9), np.uint8),
    "few levels": spaces.Box(10, 20, (8, 9, 1), np.uint8),
    "floats": spaces.Box(-1, 1, (8, 9, 3), np.float32),
    "stacked": spaces.Box(0, 255, (8, 9, 6), np.uint8),
}


@needs_node
@pytest.mark.parametrize("name", SPACES)
def test_decoded_images_are_drawn_as_in_python(name: str) -> None:
    model = lrl.vae(SPACES[name], latent_dim=2)
    x = 1.4 * torch.rand((1, *model.preprocess.shape), generator=torch.Generator()) - 0.2
    expected = model_images(model, model._restore(x).numpy())[0]
    found = run_page("toPixels", x=x[0].numpy(), image=networks.image_format(model))
    found = found.reshape(8, 9, 4)
    # A half is rounded to even in Python and up in the page.
    assert np.abs(found[..., :3] - expected).max() <= 1
    assert (found[..., 3] == 255).all()


@needs_node
@pytest.mark.parametrize(
    ("name", "greyscale"),
    [("colour", False), ("colour", True), ("grey", False), ("few levels", False)],
)
def test_an_image_file_is_scaled_as_an_observation(name: str, greyscale: bool) -> None:
    space = SPACES[name]
    model = lrl.vae(space, latent_dim=2, preprocessing=Preprocessing(greyscale=greyscale))
    image = space.sample()
    expected = model.preprocess(torch.from_numpy(image[None]))[0].numpy()
    rgba = rgba_of(image.reshape(8, 9, -1))
    found = run_page("scaledInput", rgba=rgba, source=networks.input_format(model))
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-6)


@needs_node
def test_black_and_white_of_a_file_are_the_ends_of_float_observations() -> None:
    model = lrl.vae(SPACES["floats"], latent_dim=2)
    image = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    found = run_page("scaledInput", rgba=rgba_of(image), source=networks.input_format(model))
    assert found.tolist() == [0, 1] * 3


def test_files_have_one_or_three_channels() -> None:
    model = lrl.vae(SPACES["stacked"], latent_dim=2)
    with pytest.raises(UnsupportedLayer, match="observations have 6 channels"):
        networks.input_format(model)


@needs_node
def test_a_file_of_any_size_is_cropped_in_proportion() -> None:
    space = spaces.Box(0, 255, (20, 40, 3), np.uint8)
    model = lrl.vae(space, latent_dim=2, preprocessing=Preprocessing((2, 4, 0, 8), (16, 16)))
    assert isinstance(model.preprocess, ImagePreprocessor)
    crop, image = networks.input_format(model)["crop"], networks.image_format(model)
    rectangle = run_page("cropOf", size={"width": 80, "height": 40}, crop=crop, image=image)
    np.testing.assert_allclose(rectangle, [0, 4, 64, 28])
    done = run_page("cropOf", size={"width": 16, "height": 16}, crop=crop, image=image)
    assert done.tolist() == [0, 0, 16, 16], "cropped and resized before"


@needs_node
def test_differences_have_the_colours_of_python() -> None:
    a, b = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    inferno = colormap(np.arange(256), 0, 255)
    found = run_page("differenceOf", a=rgba_of(a), b=rgba_of(b), inferno=inferno)
    differences = np.abs(a.astype(int) - b).max(-1)
    expected = inferno[np.minimum(255, 2 * differences)]
    assert np.array_equal(found.reshape(4, 5, 4)[..., :3], expected)
