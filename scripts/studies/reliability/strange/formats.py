"""Environments with strange dtypes, ranges and shapes of observations, and of rewards."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.types import Array
from scripts.studies.reliability.strange.episodes import LATE
from scripts.studies.reliability.strange.kinds import CHECKED, SIDE, Ordinary, kind
from scripts.studies.reliability.strange.observations import (
    IMAGE,
    DictObservations,
    terminal_observations_are_kept,
)

OTHER_AXES = "expected images"


@kind()
class SignedUnit(Ordinary):
    """Float images in -1..1."""

    observation_space = spaces.Box(-1, 1, IMAGE, np.float32)

    def observe(self, image: Array) -> Any:
        return (image / 127.5 - 1).astype(np.float32)


@kind(collected=terminal_observations_are_kept)
class LongIntegers(Ordinary):
    """int64 images in an int64 space of 0..255."""

    observation_space = spaces.Box(0, 255, IMAGE, np.int64)

    def observe(self, image: Array) -> Any:
        return image.astype(np.int64)


@kind()
class SignedBytes(Ordinary):
    """int8 images in -128..127."""

    observation_space = spaces.Box(-128, 127, IMAGE, np.int8)

    def observe(self, image: Array) -> Any:
        return (image.astype(np.int16) - 128).astype(np.int8)


@kind()
class HalfFloats(Ordinary):
    """float16 images in 0..1."""

    observation_space = spaces.Box(0, 1, IMAGE, np.float16)

    def observe(self, image: Array) -> Any:
        return (image / 255).astype(np.float16)


@kind(refused="bool", works=True)
class Bools(Ordinary):
    """Images of True and False."""

    observation_space = spaces.Box(0, 1, IMAGE, np.bool_)

    def observe(self, image: Array) -> Any:
        return image == 255


@kind(refused="Box|MultiBinary")
class BinaryObservations(Ordinary):
    """A MultiBinary image."""

    observation_space = spaces.MultiBinary((SIDE, SIDE))

    def observe(self, image: Array) -> Any:
        return (image[..., 0] == 255).astype(np.int8)


@kind(refused="bool", works=True, warns="only 0 and 1|range|use|scale")
class BoolsDeclaredBytes(Ordinary):
    """True and False in a uint8 space."""

    def observe(self, image: Array) -> Any:
        return image == 255


@kind(warns="bounds|range|scale|finite")
class UnboundedImages(Ordinary):
    """Float images without bounds."""

    observation_space = spaces.Box(-np.inf, np.inf, IMAGE, np.float32)

    def observe(self, image: Array) -> Any:
        return image.astype(np.float32) * 3


@kind(refused="no values")
class EmptyVector(Ordinary):
    """Vectors without values."""

    observation_space = spaces.Box(-1, 1, (0,), np.float32)

    def observe(self, image: Array) -> Any:
        return np.empty(0, np.float32)


@kind(refused=OTHER_AXES)
class OneNumber(Ordinary):
    """A Box of shape ()."""

    observation_space = spaces.Box(0, 255, (), np.float32)

    def observe(self, image: Array) -> Any:
        return np.float32(self.time)


@kind(refused=OTHER_AXES)
class FourAxes(Ordinary):
    """Images with four axes."""

    observation_space = spaces.Box(0, 255, (2, *IMAGE), np.uint8)

    def observe(self, image: Array) -> Any:
        return np.stack([image, image])


@kind(key="image", collected=terminal_observations_are_kept)
class DictWithKey(DictObservations):
    """A Dict of an image and a vector, of which the image is encoded."""


@kind("speed", works=True, key="image", hosts=CHECKED)
class DictWithout(Ordinary):
    """A Dict of which the environment returns one key only."""

    observation_space = DictObservations.observation_space

    def observe(self, image: Array) -> Any:
        return {"image": image}


@kind(refused="reward.*inf")
class InfiniteFirst(Ordinary):
    """The reward of the first step is infinite."""

    def reward(self) -> Any:
        return float("inf") if self.steps == 1 else 1.0


@kind(refused="reward.*(inf|e[+]?300)")
class HugeReward(Ordinary):
    """The reward is 1e300, which is infinite as float32, from the 20th step on."""

    def reward(self) -> Any:
        return 1e300 if self.steps >= LATE else 1.0


@kind()
class RewardWithoutAxes(Ordinary):
    """The reward is an array of shape ()."""

    def reward(self) -> Any:
        return np.array(1.0, np.float32)


@kind(refused="returned|info", hosts=CHECKED)
class NoInfo(Ordinary):
    """The infos are None."""

    def info(self) -> Any:
        return None


@kind(hosts=CHECKED, collected=terminal_observations_are_kept)
class ArrayEnds(Ordinary):
    """Ends as arrays of one value."""

    def ends(self) -> tuple[Any, Any]:
        terminated, truncated = super().ends()
        return np.array([terminated]), np.array([truncated])
