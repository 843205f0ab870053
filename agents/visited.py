"""Frames to refine an encoder on: those an agent has just visited, and those of pretraining."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from agents.room import store_name
from agents.runs import env_folder
from envs import Environment
from latentrl import Frames
from latentrl.data.frames import evenly_spaced
from latentrl.data.resize import FrameResize
from latentrl.data.store import has_store
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.models.stored import StoredSize
from latentrl.types import Array
from latentrl.utils.decoding import decode


class VisitedFrames:
    """The newest frames of all environments, in order, at the size that the encoder takes."""

    def __init__(self, steps: int, encoder: Autoencoder) -> None:
        """Keep the frames of ``steps`` steps that ``encoder`` encodes."""
        self.space: spaces.Box = encoder.observation_space
        self.resize = stored_size(encoder)
        self._frames: deque[Array] = deque(maxlen=steps)
        self._episodes: deque[Array] = deque(maxlen=steps)

    def add(self, frames: Array, dones: Array) -> None:
        """Add what a step returned.

        Args:
            frames: newest observations of all environments, ``(n_envs, *observation_shape)``.
            dones: where they are the first ones of an episode, bool ``(n_envs,)``.
        """
        episodes = self._episodes[-1].copy() if self._episodes else np.arange(len(dones))
        episodes[dones] = episodes.max() + 1 + np.arange(dones.sum())
        # A copy, because environments may write the next observations into the same array.
        self._frames.append(frames.copy() if self.resize is None else self.resize(frames))
        self._episodes.append(episodes)

    @property
    def fraction(self) -> float:
        """Fraction of the ``steps`` whose frames are there."""
        return len(self._frames) / (self._frames.maxlen or 1)

    def frames(self) -> Frames:
        """Return the frames; those of one episode follow one another."""
        space = self.space if self.resize is None else self.resize.space
        return Frames(space, [np.concatenate(self._frames)], np.concatenate(self._episodes))


def stored_size(encoder: Autoencoder) -> FrameResize | None:
    """Return how frames are stored at the size that ``encoder`` takes; None for as they are."""
    space = encoder.observation_space
    return encoder.config.preprocessing.stored(space) if is_image(space) else None


def pretraining_frames(encoder: Autoencoder, count: int) -> Frames | None:
    """Return up to ``count`` distinct frames of those that ``encoder`` was pretrained on.

    None where they are not in ``runs/frames``, or were stored at another size.

    Raises:
        ValueError: the encoder's data card or the frame store is damaged.
    """
    data = encoder.metadata.get("data", {})
    described = {**data.get("environment", {})}
    described.pop("stored", None)
    if "id" not in described:
        return None  # data of the user's own
    environment = decode(Environment, described, "the environment of the encoder's data")
    shards = decode(Sequence[Mapping[str, Any]], data.get("shards", []), "the encoder's frames")
    seed = decode(int, shards[0].get("call_seed", 0) if shards else 0, "the seed of its frames")
    resize = stored_size(encoder)
    assert resize is None or isinstance(resize, StoredSize)
    path = env_folder("frames", environment.id) / store_name(environment, seed, resize)
    if not has_store(path):
        return None
    frames = Frames.open(path).distinct()
    return frames.subset(evenly_spaced(len(frames), count))
