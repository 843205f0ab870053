"""What the three hosts share: which observation is encoded, and a whole step in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.training.checkpoint import check_observation_space, load_shared
from latentrl.types import Array, Encoder


class LatentTransform:
    """Encodes batched observations, plain or one key of a Dict."""

    def __init__(
        self, encoder: Encoder | str | Path, space: spaces.Space[Any], key: str | None
    ) -> None:
        """Load the encoder where ``encoder`` is a path, and check that it fits ``space``."""
        self.encoder = load_shared(encoder) if isinstance(encoder, str | Path) else encoder
        if not isinstance(self.encoder, Encoder):
            raise TypeError(
                f"an encoder has latent_space and encode(observations); {type(self.encoder).__name__} lacks one"
            )
        self.key = key
        self.last_frames: Array = np.empty(0)
        """The frames of the newest batch, ``(B, *observation_shape)``."""
        self.last_codes: Array = np.empty(0)
        """Their codes, ``(B, latent_dim)``."""
        self._finals: tuple[Array, Array] = (np.empty(0), np.empty(0))
        check_observation_space(self.encoder, self._encoded_space(space))
        self.space = self._replace(space, self.encoder.latent_space)

    @property
    def recorded(self) -> Any:
        """What stands for the encoder in an environment's spec: its path, where it has one."""
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
                f"observations are a Dict of {', '.join(space.spaces)}; set key to the one to encode, not {self.key!r}"
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

    def single(self, observation: Any) -> Any:
        """Encode one observation without a batch dimension."""
        self.last_frames = self._frames(observation)[None]
        self.last_codes = self.encoder.encode(self.last_frames)
        return self._replace(observation, self.last_codes[0])

    def batch(self, observations: Any, finals: Sequence[Any] = ()) -> tuple[Any, list[Any]]:
        """Encode batched ``observations`` and, in the same pass, single ``finals``."""
        frames = self._frames(observations)
        extra = [self._frames(final)[None] for final in finals]
        every = np.concatenate([frames, *extra]) if extra else frames
        codes, count = self.encoder.encode(every), len(frames)
        self.last_frames, self.last_codes = frames, codes[:count]
        self._finals = every[count:], codes[count:]
        replaced = [self._replace(final, codes[count + i]) for i, final in enumerate(finals)]
        return self._replace(observations, codes[:count]), replaced

    def reached(self, ended: Array) -> tuple[Array, Array]:
        """Return frames and codes of the newest batch, with the final ones in the rows
        ``ended``.
        """
        if not len(ended):
            return self.last_frames, self.last_codes
        frames, codes = self.last_frames.copy(), self.last_codes.copy()
        frames[ended], codes[ended] = self._finals
        return frames, codes
