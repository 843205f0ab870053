"""Decoder and encoder of the page, or images in place of a decoder that does not fit."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import ImagePreprocessor
from latentrl.types import Array
from latentrl.viz.explorer.encoding import to_json
from latentrl.viz.explorer.layers import UnsupportedLayer, decoder_layers, encoder_layers
from latentrl.viz.explorer.sprites import reconstructions, traversals
from latentrl.viz.images import network_images, to_rgb

TOLERANCE = 1
"""Grey levels that rounding to float16 may change a decoded image by; else float32 is kept."""
CHECKED = 32
"""Latents on which that is measured."""


class TooLarge(Exception):
    """A network does not fit into the page; the message says its size."""


def networks(model: Autoencoder, document: dict[str, Any], room: int) -> dict[str, Any]:
    """Describe decoder and encoder, or traversals and reconstructions in place of the decoder.

    Args:
        model: a model of images.
        document: the rest of the page's document.
        room: bytes that the page has left.

    Returns:
        Items of the document: JSON texts in ``decoder`` and ``encoder`` or None, ``input``,
        ``traversals`` and ``notes`` on what is missing.
    """
    latents = document["map"]["latents"]
    try:
        decoder = _fitting(decoder_layers(model), room, _half_suffices(model, latents))
    except (UnsupportedLayer, TooLarge) as reason:
        return _images_only(model, document, str(reason))
    found: dict[str, Any] = {"decoder": decoder, "traversals": None}
    try:
        source = input_format(model)
        encoder = _fitting(encoder_layers(model), room - len(decoder), True)
    except (UnsupportedLayer, TooLarge) as reason:
        note = f"Images of your own cannot be encoded in this page: {reason}."
        return {**found, "encoder": None, "input": None, "notes": [note]}
    return {**found, "encoder": encoder, "input": source, "notes": []}


def _images_only(model: Autoencoder, document: dict[str, Any], reason: str) -> dict[str, Any]:
    note = (
        f"The decoder does not run in this page: {reason}. Each slider shows images that were "
        "decoded before, with all other dimensions at those of one frame."
    )
    return {
        "decoder": None,
        "encoder": None,
        "input": None,
        "traversals": traversals(model, document["start"], document["dimensions"]),
        "reconstructions": reconstructions(model, document["strip"]["latents"]),
        "notes": [note],
    }


def _fitting(layers: list[dict[str, Any]], room: int, half: bool) -> str:
    text = to_json(layers, half)
    if len(text) > room:
        raise TooLarge(
            f"its weights take {len(text) / 1e6:.1f} MB, and {max(room, 0) / 1e6:.1f} MB are left"
        )
    return text


def _half_suffices(model: Autoencoder, latents: Array) -> bool:
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for weights in rounded.parameters():  # buffers, such as the range of pixels, may be larger
            weights.copy_(weights.half().to(weights.dtype))
    half = latents[:CHECKED].astype(np.float16).astype(np.float32)
    if not np.isfinite(half).all():
        return False
    exact, other = (network_images(m, m.decode(half)).astype(int) for m in (model, rounded))
    return bool(np.abs(exact - other).max() <= TOLERANCE)


def image_format(model: Autoencoder) -> dict[str, Any]:
    """Size and aspect ratio of a decoded image, and how its channels become red, green and blue."""
    space = model.preprocess.output_space
    height, width, channels = (*space.shape, 1)[:3]
    picks = to_rgb(np.arange(channels, dtype=np.uint8).reshape(1, 1, 1, channels))[0, 0, 0]
    # Integers are rounded before they are drawn, which shows where a range has few levels.
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    levels = (high - low).reshape(height, width, channels)[0, 0, picks]
    preprocess = model.preprocess
    assert isinstance(preprocess, ImagePreprocessor)
    tall, wide = preprocess.cropped
    integral = np.issubdtype(space.dtype, np.integer)
    return {
        "height": height,
        "width": width,
        "ratio": wide / tall,
        "picks": picks.tolist(),
        "levels": levels.tolist() if integral else [0, 0, 0],
    }


def input_format(model: Autoencoder) -> dict[str, Any]:
    """How an image file becomes an input of the encoder: crop, channels and their range.

    Raises:
        UnsupportedLayer: observations have neither one nor three channels.
    """
    preprocess = model.preprocess
    assert isinstance(preprocess, ImagePreprocessor)
    height, width, channels = (*model.observation_space.shape, 1)[:3]
    if channels not in (1, 3):
        raise UnsupportedLayer(f"observations have {channels} channels")
    top, bottom, left, right = preprocess.config.crop
    # Files have 8 bits; those of float observations are scaled from black to white.
    is_bytes = model.observation_space.dtype == np.uint8
    return {
        "crop": [top / height, bottom / height, left / width, right / width],
        "channels": channels,
        "grey": preprocess.config.greyscale,
        "low": preprocess.low.tolist() if is_bytes else [0.0] * channels,
        "high": preprocess.high.tolist() if is_bytes else [255.0] * channels,
    }
