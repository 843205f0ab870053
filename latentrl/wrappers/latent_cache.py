"""Latents of frames that come again, as in grid worlds and on still screens."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from torch import Tensor, nn

from latentrl.data.distinct import digest
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array, Encoder
from latentrl.wrappers.latent_check import checked_latents

WINDOW = 4_096
"""Frames after which the cache looks at how many of them it had."""
LEAST = 0.5
"""Fraction of them below which it ends. On one core a digest takes 0.07 of the time of an encoding
at 84 x 84 pixels, and 0.38 at 240 x 240."""
MOST_BYTES, ENTRY = 2**26, 300
"""Size at which the cache starts anew, and bytes of an entry beside its latent."""


class LatentCache:
    """Encodes frames, those that were encoded before from memory.

    It serves images and this library's models on the CPU: their weights say when they change, and
    equal frames have equal latents. Other encoders encode every frame, as all do for good once too
    few frames repeat.
    """

    def __init__(self) -> None:
        """Begin without latents."""
        self.active = True
        """Whether frames are looked up."""
        self._latents: dict[bytes, Array] = {}
        self._encoder: Encoder | None = None
        self._version: tuple[tuple[int, int], ...] = ()
        self._seen = self._found = 0

    def encode(self, encoder: Encoder, frames: Array) -> Array:
        """Return what ``checked_latents`` returns, up to rounding by the size of batches."""
        if not (self.active and frames.ndim > 2 and _on_cpu(encoder)):
            return checked_latents(encoder, frames)
        self._follow(encoder)
        keys = [digest(frame) for frame in frames]
        new = {key: i for i, key in enumerate(keys) if key not in self._latents}
        if new:
            encoded = checked_latents(encoder, frames[[*new.values()]])
            self._latents.update(zip(new, encoded, strict=True))
        latents = np.stack([self._latents[key] for key in keys])
        self._judge(len(keys), len(keys) - len(new), latents[0].nbytes)
        return latents

    def _follow(self, encoder: Any) -> None:
        """Drop the latents of another encoder, or of other weights."""
        # A tensor that another one replaces, as ``vector_to_parameters`` does, has another address.
        version = tuple((tensor._version, tensor.data_ptr()) for tensor in _tensors(encoder))
        if encoder is not self._encoder or version != self._version:
            self._encoder, self._version = encoder, version
            self._latents.clear()

    def _judge(self, seen: int, found: int, size: int) -> None:
        self._seen, self._found = self._seen + seen, self._found + found
        if self._seen >= WINDOW:
            self.active = self._found >= LEAST * self._seen
            self._seen = self._found = 0
        if not self.active or len(self._latents) * (size + ENTRY) > MOST_BYTES:
            self._latents.clear()


def _tensors(module: nn.Module) -> itertools.chain[Tensor]:
    return itertools.chain(module.parameters(), module.buffers())


def _on_cpu(encoder: Encoder) -> bool:
    return isinstance(encoder, Autoencoder) and all(
        tensor.device.type == "cpu" for tensor in _tensors(encoder)
    )
