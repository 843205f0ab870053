"""The values that images use, for agents that learn from pixels without a pretrained encoder."""

from __future__ import annotations

import copy
import functools

import numpy as np
from gymnasium import spaces

from agents.config import PixelRange
from envs import Environment, make_vector
from latentrl import Preprocessing
from latentrl.models.preprocessing import ImagePreprocessor
from latentrl.types import Array
from latentrl.utils.workers import in_worker

TIMESTEPS = 256
"""Timesteps of random actions whose images are compared with the declared range."""


def used_range(
    environment: Environment, backend: str, space: spaces.Box, preprocessing: Preprocessing
) -> PixelRange | None:
    """Return lowest and highest value of each channel, where they differ from the declared ones.

    The rule is that of encoders, ``ImagePreprocessor.fit``.

    Warns:
        UserWarning: a channel is scaled by the range that the images use.
    """
    preprocess = ImagePreprocessor(space, preprocessing)
    preprocess.fit(in_worker(functools.partial(_extremes, environment, backend)))
    used = np.stack([preprocess.low, preprocess.high])
    if np.array_equal(used, np.asarray(preprocess.declared, np.float32)):
        return None
    low, high = used.tolist()
    return tuple(low), tuple(high)


def _extremes(environment: Environment, backend: str) -> Array:
    """Return two images of one pixel: the lowest and the highest value of each channel."""
    envs = make_vector(environment, 1, backend=backend)
    try:
        actions = copy.deepcopy(envs.action_space)
        actions.seed(0)
        images = envs.reset(seed=0)[0]
        low, high = (bound((1, 2), keepdims=True) for bound in (images.min, images.max))
        for _ in range(TIMESTEPS):
            images = envs.step(actions.sample())[0]
            low = np.minimum(low, images.min((1, 2), keepdims=True))
            high = np.maximum(high, images.max((1, 2), keepdims=True))
    finally:
        envs.close()
    return np.concatenate([low, high])
