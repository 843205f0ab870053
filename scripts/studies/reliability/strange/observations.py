"""Environments with strange observations."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.types import Array
from scripts.studies.reliability.strange.kinds import CHECKED, SIDE, Ordinary, kind

IMAGE = (SIDE, SIDE, 3)
OTHER_DTYPE = r"(returned|expected) \w+ observations|Cannot cast"
OTHER_SHAPE = r"shape"
OUTSIDE = r"space declares|bounds|these go from"


def terminal_observations_are_kept(frames: Any) -> bool:
    """Whether each observation has the time in its first pixel, terminal ones included."""
    stamps = frames[np.arange(len(frames))].reshape(len(frames), -1)[:, 0]
    return bool((stamps == frames.times).all()) and bool((stamps == Ordinary.length).any())


kind(collected=terminal_observations_are_kept)(Ordinary)


@kind(refused=OUTSIDE)
class BytesDeclaredUnit(Ordinary):
    """Values 0..255 in a space of 0..1."""

    observation_space = spaces.Box(0, 1, IMAGE, np.float32)

    def observe(self, image: Array) -> Any:
        return image.astype(np.float32)


@kind(refused=OTHER_DTYPE, warns="only 0 and 1")
class FloatsDeclaredBytes(Ordinary):
    """Floats 0..1 in a uint8 space."""

    def observe(self, image: Array) -> Any:
        return (image / 255).astype(np.float32)


@kind(refused=f"{OTHER_DTYPE}|{OUTSIDE}", works=True)
class PythonIntegers(Ordinary):
    """int64 values 0..255 in a uint8 space."""

    def observe(self, image: Array) -> Any:
        return image.astype(np.int64)


@kind(refused=f"{OTHER_DTYPE}|{OUTSIDE}", hosts=CHECKED)
class IntegersTooLarge(Ordinary):
    """int64 values up to 510 in a uint8 space."""

    def observe(self, image: Array) -> Any:
        return 2 * image.astype(np.int64)


@kind(warns="clip")
class RoundedAbove(Ordinary):
    """Floats up to 1.000001 in a space of 0..1."""

    observation_space = spaces.Box(0, 1, IMAGE, np.float32)

    def observe(self, image: Array) -> Any:
        return (image * np.float32(1.000001 / 255)).astype(np.float32)


@kind(refused=OUTSIDE)
class OutsideLate(Ordinary):
    """Floats up to 2 in a space of 0..1 from the tenth step on."""

    observation_space = spaces.Box(0, 1, IMAGE, np.float32)

    def observe(self, image: Array) -> Any:
        return (image / 255 * (1 if self.steps < 10 else 2)).astype(np.float32)


@kind(refused="NaN|infinity")
class NanPixels(Ordinary):
    """NaN in images from the third step on."""

    observation_space = spaces.Box(0, 1, IMAGE, np.float32)

    def observe(self, image: Array) -> Any:
        return np.where(image < 255, 0, np.nan if self.steps > 2 else 1).astype(np.float32)


class Vector(Ordinary):
    """Vectors of three unbounded values."""

    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)

    def observe(self, image: Array) -> Any:
        return np.array([self.time, *self.np_random.normal(size=2)], np.float32)


kind(collected=terminal_observations_are_kept)(Vector)


@kind(refused="NaN|infinity")
class InfiniteVector(Vector):
    """Infinity in a vector from the third step on."""

    def observe(self, image: Array) -> Any:
        return super().observe(image) + (np.inf if self.steps > 2 else 0)


@kind()
class Float64(Vector):
    """float64 values in a float64 space."""

    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float64)

    def observe(self, image: Array) -> Any:
        return super().observe(image).astype(np.float64)


@kind()
class Float64DeclaredFloat32(Vector):
    """float64 values in a float32 space."""

    def observe(self, image: Array) -> Any:
        return super().observe(image).astype(np.float64)


@kind(refused=OTHER_SHAPE)
class ChangingShape(Ordinary):
    """Larger images from the third step on."""

    def observe(self, image: Array) -> Any:
        return image if self.steps < 3 else np.tile(image, (2, 2, 1))


@kind(refused=OTHER_DTYPE, works=True)
class Lists(Ordinary):
    """Nested lists in place of arrays."""

    def observe(self, image: Array) -> Any:
        return image.tolist()


@kind(collected=terminal_observations_are_kept)
class ReadOnly(Ordinary):
    """Arrays that cannot be written."""

    def observe(self, image: Array) -> Any:
        image.setflags(write=False)
        return image


@kind()
class NotContiguous(Ordinary):
    """Mirrored views of arrays."""

    def observe(self, image: Array) -> Any:
        return image[::-1, ::-1]


@kind(collected=terminal_observations_are_kept)
class OneArray(Ordinary):
    """All observations are drawn into one array."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self.canvas = np.zeros(IMAGE, np.uint8)

    def observe(self, image: Array) -> Any:
        self.canvas[:] = image
        return self.canvas


@kind()
class FlatFloats(Ordinary):
    """Float images without a channel axis."""

    observation_space = spaces.Box(0, 1, (SIDE, SIDE), np.float32)

    def observe(self, image: Array) -> Any:
        return (image[..., 0] / 255).astype(np.float32)


@kind()
class ColourAndDepth(Ordinary):
    """Colours 0..255 and depth 0..10 in one image."""

    high = np.broadcast_to(np.array([255, 255, 255, 10], np.float32), (SIDE, SIDE, 4))
    observation_space = spaces.Box(np.zeros_like(high), high, dtype=np.float32)

    def observe(self, image: Array) -> Any:
        depth = np.full((SIDE, SIDE, 1), self.time, np.float32)
        return np.concatenate([image.astype(np.float32), depth], -1)


@kind(refused="channel", works=True)
class ChannelsFirst(Ordinary):
    """Images (C, H, W)."""

    observation_space = spaces.Box(0, 255, (3, SIDE, SIDE), np.uint8)

    def observe(self, image: Array) -> Any:
        return np.ascontiguousarray(image.transpose(2, 0, 1))


@kind(warns="range|use|scale")
class SliverOfDepth(Ordinary):
    """16-bit depth that uses 1000..2500 of 0..65535."""

    observation_space = spaces.Box(0, 65_535, (SIDE, SIDE, 1), np.uint16)

    def observe(self, image: Array) -> Any:
        return (1_000 + image[..., :1].astype(np.uint16) * 5 + self.time).astype(np.uint16)


@kind(warns="only 0 and 1|range|use|scale")
class Masks(Ordinary):
    """Masks of 0 and 1 in a space of 0..255."""

    observation_space = spaces.Box(0, 255, (SIDE, SIDE, 1), np.uint8)

    def observe(self, image: Array) -> Any:
        return (image[..., :1] == 255).astype(np.uint8)


@kind(refused="identical", refused_by=("collect",))
class Constant(Ordinary):
    """The same frame at every step."""

    def observe(self, image: Array) -> Any:
        return np.full_like(image, 7)


@kind(refused="key")
class DictObservations(Ordinary):
    """A Dict of an image and a vector."""

    observation_space = spaces.Dict(
        image=Ordinary.observation_space, speed=spaces.Box(-1, 1, (2,), np.float32)
    )

    def observe(self, image: Array) -> Any:
        return {"image": image, "speed": np.zeros(2, np.float32)}


@kind(refused="Box|Tuple")
class TupleObservations(Ordinary):
    """A Tuple of an image and a vector."""

    observation_space = spaces.Tuple(
        (Ordinary.observation_space, spaces.Box(-1, 1, (2,), np.float32))
    )

    def observe(self, image: Array) -> Any:
        return image, np.zeros(2, np.float32)


@kind(refused="Box|Discrete")
class NumberObservations(Ordinary):
    """A Discrete number as the observation."""

    observation_space = spaces.Discrete(9)

    def observe(self, image: Array) -> Any:
        return self.time


@kind(refused="Box|Text|vector")
class TextObservations(Ordinary):
    """A text as the observation."""

    observation_space = spaces.Text(8)

    def observe(self, image: Array) -> Any:
        return "state"
