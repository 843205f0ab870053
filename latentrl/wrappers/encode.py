"""One encoder pass over all frames of a step, for the three kinds of wrappers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.data.contract import FinalCheck, ObservationCheck
from latentrl.training.checkpoint import check_observation_space, load_shared
from latentrl.types import Array, Encoder
from latentrl.utils.processes import is_worker, use_one_thread
from latentrl.wrappers.latent_cache import LatentCache
from latentrl.wrappers.latent_check import check_encoder, checked_latents, warn_if_unfitted
from latentrl.wrappers.range_check import RangeCheck

WHERE = "the environment"
"""Subject of messages about observations."""
NONE_ENDED = np.empty(0, int)
"""Indices of no environment."""


class LatentTransform:
    """Encodes batched observations, plain ones or one key of a Dict."""

    def __init__(
        self, encoder: Encoder | str | Path, space: spaces.Space[Any], key: str | None
    ) -> None:
        """Load ``encoder`` if it is a path, and check that it takes observations of ``space``."""
        self.encoder = load_shared(encoder) if isinstance(encoder, str | Path) else encoder
        check_encoder(self.encoder)
        self.key = key
        self.last_frames: Array = np.empty(0)
        """Encoded observations of the newest batch, ``(B, *observation_shape)``."""
        self.last_latents: Array = np.empty(0)
        """Latents of ``last_frames``, ``(B, latent_dim)``."""
        self._finals: tuple[Array, Array] = (np.empty(0), np.empty(0))
        self._cache = LatentCache()
        self._check_range = RangeCheck(self.encoder)
        encoded = self._encoded_space(space)
        check_observation_space(self.encoder, encoded)
        warn_if_unfitted(self.encoder, stacklevel=4)
        self._check = ObservationCheck(encoded, WHERE) if isinstance(encoded, spaces.Box) else None
        self._check_finals = FinalCheck(WHERE)
        if is_worker():
            use_one_thread()
        self.space = self._replace(space, self.encoder.latent_space)

    @property
    def recorded(self) -> Any:
        """The encoder as an environment's spec records it: its path, if it was loaded."""
        return getattr(self.encoder, "source", None) or self.encoder

    def _encoded_space(self, space: spaces.Space[Any]) -> spaces.Space[Any]:
        if not isinstance(space, spaces.Dict):
            if self.key is not None:
                raise ValueError(
                    f"key={self.key!r} is for Dict observations, these are {type(space).__name__}"
                )
            return space
        if self.key not in space.spaces:
            raise ValueError(
                f"observations are a Dict of {', '.join(space.spaces)}; "
                f"set key to the one to encode, not {self.key!r}"
            )
        return space[self.key]

    def _replace(self, observation: Any, value: Any) -> Any:
        if self.key is None:
            return value
        if isinstance(observation, spaces.Dict):
            return spaces.Dict({**observation.spaces, self.key: value})
        return {**observation, self.key: value}

    def _frames(self, observations: Any) -> Array:
        return np.asarray(observations if self.key is None else observations[self.key])

    def _checked(self, frames: Array) -> Array:
        checked = frames if self._check is None else self._check(frames)
        self._check_range(checked)
        return checked

    def _encode(self, encode: Callable[[Encoder, Array], Array], frames: Array) -> Array:
        try:
            return encode(self.encoder, frames)
        except ValueError:
            if self._check is not None:
                self._check.compare(frames)  # the environment's fault, in words about it
            raise

    def single(self, observation: Any) -> Any:
        """Encode one observation, without a batch dimension."""
        self.last_frames = self._checked(self._frames(observation)[None])
        self.last_latents = self._encode(checked_latents, self.last_frames)
        return self._replace(observation, self.last_latents[0])

    def batch(
        self, observations: Any, finals: Sequence[Any] = (), ended: Array = NONE_ENDED
    ) -> tuple[Any, list[Any]]:
        """Encode observations and terminal ones in one pass.

        Args:
            observations: batched ones of all environments.
            finals: single terminal ones.
            ended: environments of ``finals``.

        Raises:
            ValueError: observations do not belong to their space, or the encoder returned latents
                of another shape, NaN or infinity.
        """
        frames = self._frames(observations)
        count = len(frames)
        extra = [self._frames(final)[None] for final in finals]
        all_frames = self._checked(np.concatenate([frames, *extra]) if extra else frames)
        frames = all_frames[:count]
        self._check_finals(self.last_frames[ended], all_frames[count:], frames[ended])
        latents = self._encode(self._cache.encode, all_frames)
        self.last_frames, self.last_latents = frames, latents[:count]
        self._finals = all_frames[count:], latents[count:]
        replaced = [self._replace(final, latents[count + i]) for i, final in enumerate(finals)]
        return self._replace(observations, latents[:count]), replaced

    def reached(self, ended: Array) -> tuple[Array, Array]:
        """Return frames that the newest step reached, and a copy of their latents.

        They are those of the newest batch, with the terminal ones in the rows ``ended``, where the
        batch has the first observation of the next episode.
        """
        if not len(ended):
            return self.last_frames, self.last_latents.copy()
        frames, latents = self.last_frames.copy(), self.last_latents.copy()
        frames[ended], latents[ended] = self._finals
        return frames, latents

    def encode_again(self) -> Array:
        """Return the latents of ``last_frames`` under an encoder that was exchanged."""
        self.last_latents = checked_latents(self.encoder, self.last_frames)
        return self.last_latents
