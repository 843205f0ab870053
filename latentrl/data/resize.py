"""What ``collect`` needs to store images cropped and resized."""

from __future__ import annotations

from typing import Any, Protocol

from gymnasium import spaces

from latentrl.types import Array


class FrameResize(Protocol):
    """Crop and resize of frames before they are stored."""

    space: spaces.Box
    """Space of one stored frame."""

    def __call__(self, observations: Array) -> Array:
        """Return observations ``(B, ...)`` as they are stored."""

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest keeps of it."""


class StorePreprocessing(Protocol):
    """What ``latentrl.Preprocessing`` has."""

    def stored(self, space: spaces.Box) -> FrameResize | None:
        """Return how observations of ``space`` are stored; None for as they are."""
