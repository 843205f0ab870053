"""Checks of what an environment returns: observations against their space, and finite rewards."""

from __future__ import annotations

import warnings

import numpy as np
from gymnasium import spaces

from latentrl.data.bounds import (
    TOLERANCE,
    clip,
    describe_outside,
    fraction_outside,
    holds_all_values,
)
from latentrl.types import Array, as_space, describe_space

FIRST, EVERY = 8, 64
"""The range is compared on the first ``FIRST`` calls, and then on each ``EVERY``-th."""
LARGEST_REWARD = float(np.finfo(np.float32).max)
"""Largest reward that is finite as float32, in which frame stores and agents keep rewards."""


class ObservationCheck:
    """Compares batches of observations with their space, cheaply enough for every step.

    Shape and kind of dtype are compared on every call, values on the first calls and then
    regularly. Images have to lie within the bounds of their channels; the bounds of vectors are not
    compared, because models standardise vectors by the data.
    """

    def __init__(self, space: spaces.Box, where: str) -> None:
        """Compare with ``space``.

        Args:
            space: space of one observation.
            where: subject of the messages, such as ``"the environment Pong-v5"``.

        Raises:
            ValueError: the space holds no values.
        """
        self.space, self.where = as_space(space), where
        self._free = holds_all_values(space)
        self._is_image = len(space.shape) >= 2
        self._binary, self._both_values = self._is_image, False
        self._calls, self._warned = 0, False

    def __call__(self, observations: Array) -> Array:
        """Return the observations ``(B, *shape)`` to use: those given, cast or clipped if needed.

        Raises:
            ValueError: shape, dtype or values do not belong to the space.
        """
        array = np.asarray(observations)
        if array.shape[1:] != self.space.shape:
            raise ValueError(
                f"{self.where} returned an observation of shape {array.shape[1:]}, its space "
                f"declares {describe_space(self.space)}: declare the shape that it returns"
            )
        if array.dtype != self.space.dtype:
            array = self._cast(array)
        sampled = self._calls < FIRST or self._calls % EVERY == 0
        if self._calls < FIRST:
            self._watch_for_a_cast(array)
        self._calls += 1
        return self.compare(array) if sampled else array

    def compare(self, observations: Array) -> Array:
        """Compare all values ``(B, *shape)``; returns and raises as the call does."""
        if not observations.size or (self._free and observations.dtype == self.space.dtype):
            return observations
        if not np.isfinite([observations.min(), observations.max()]).all():
            raise ValueError(
                f"{self.where} returned an observation with NaN or infinity: repair what computes "
                "it, or replace such values, for example by numpy.nan_to_num"
            )
        return self._within(observations) if self._is_image else observations

    def _cast(self, array: Array) -> Array:
        declared = np.dtype(self.space.dtype)
        numbers = "fiub" if declared.kind == "f" else "iub"
        if array.dtype.kind not in numbers:
            raise ValueError(
                f"{self.where} returned {array.dtype} observations, its space declares "
                f"{describe_space(self.space)}, and a cast would change them: declare the dtype "
                f"that it returns, or return {declared}"
            )
        # Integers are compared before the cast: 256 would become 0.
        return array if declared.kind == "f" else self.compare(array).astype(declared)

    def _within(self, images: Array) -> Array:
        outside = fraction_outside(images, self.space).max()
        if outside == 0:
            return images
        problem = f"{self.where} returned values that {describe_outside(images, self.space)}"
        if outside > TOLERANCE:
            raise ValueError(
                f"{problem}: declare the range that it returns, or scale the observations"
            )
        self._warn(f"{problem}: they are clipped")
        return clip(images, self.space)

    def _watch_for_a_cast(self, array: Array) -> None:
        """Warn where floats in 0..1 seem to have been cast to integers before they came here.

        All of the first calls have to hold only 0 and 1, and one image both of them: a single dark
        frame shows nothing.
        """
        high = self.space.high.max()
        if not (self._binary and np.dtype(self.space.dtype).kind in "iu" and high > 1):
            return
        self._binary = bool(array.min(initial=0) >= 0 and array.max(initial=0) <= 1)
        axes = tuple(range(1, array.ndim))
        self._both_values |= bool((array.max(axes, initial=0) > array.min(axes, initial=1)).any())
        if self._binary and self._both_values and self._calls == FIRST - 1:
            self._warn(
                f"{self.where} returned only 0 and 1, its space declares up to "
                f"{high:g}: if it draws floats in 0..1, a vector environment has cast "
                "them; declare Box(0, 1, shape, numpy.float32)"
            )

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(message, UserWarning, stacklevel=4)


class FinalCheck:
    """Warns where the last observation of each episode is the first one of the next.

    An environment that draws into one array overwrites its last observation when a vector
    environment resets it in the same step. Equal ones in the first ``ENDS`` episodes show it where
    episodes start differently. Where all start alike, an episode may return to its start, and it
    takes ``MANY_ENDS``. One that equals the observation before its step shows nothing.
    """

    ENDS, MANY_ENDS = 3, 32

    def __init__(self, where: str) -> None:
        """Use ``where`` as the subject of the warning."""
        self.where = where
        self._ends: int | None = 0
        self._first: Array | None = None
        self._varied = False

    def __call__(self, before: Array, finals: Array, firsts: Array) -> None:
        """Compare observations at the ends of episodes with those around, all ``(B, *shape)``.

        Args:
            before: observations before the last step of each episode.
            finals: observations after it.
            firsts: first observations of the episodes that follow.
        """
        if self._ends is None or not len(finals):
            return
        if any(
            not np.array_equal(final, first) or np.array_equal(final, last)
            for last, final, first in zip(before, finals, firsts, strict=True)
        ):
            self._ends = None
            return
        self._ends += len(finals)
        self._first = firsts[0].copy() if self._first is None else self._first
        self._varied |= any(not np.array_equal(first, self._first) for first in firsts)
        if self._ends >= (self.ENDS if self._varied else self.MANY_ENDS):
            self._ends = None
            warnings.warn(
                f"{self.where} returned the same observation at the end of each episode and at the "
                "start of the next: if it draws into one array, return a copy of it from step",
                UserWarning,
                stacklevel=3,
            )


def check_rewards(rewards: Array, where: str, first: int = 0) -> None:
    """Check the rewards ``(n_envs,)`` of one step.

    Args:
        rewards: rewards of all environments, or of one.
        where: which step, such as ``"at step 12"``.
        first: number of the first environment.

    Raises:
        ValueError: a reward is NaN, infinite, as float32 at least, or no number; the message has
            the number of its environment.
    """
    try:
        # NaN compares as False.
        finite = np.asarray(np.abs(rewards) <= LARGEST_REWARD)
    except TypeError as error:
        raise ValueError(
            f"a reward is a number, environment {first} returned {rewards}: return one"
        ) from error
    if not finite.all():
        bad = int(np.argmin(finite))
        raise ValueError(
            f"environment {first + bad} returned the reward {np.asarray(rewards).flat[bad]} "
            f"{where}: nothing can be learned from it; repair the reward where it is computed"
        )
