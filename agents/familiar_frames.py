"""Whether an encoder keeps what an agent sees as it keeps the frames of its pretraining."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from agents.play import Act
from agents.quality import GUIDE, LEAST_FRAMES
from agents.venv import newest_frames
from latentrl import Frames
from latentrl.models.autoencoder import Autoencoder
from latentrl.share.card import card_invariance, card_quality
from latentrl.training.quality import Quality, quality
from latentrl.types import Array

EVERY = 20
"""Steps of all environments between two samples at first, so that neighbours differ."""
MOST = 256
"""Frames of all samples together beyond which every other sample is dropped."""
ALIKE_DB = 1.0
"""Loss of PSNR in dB up to which frames are reconstructed as well as those of the pretraining."""
FURTHER = "A new run with --refine-at N trains the encoder further, on frames of the agent"
"""Remedy where the agent gets to places that the pretraining did not have."""
ANEW = "Pretrain on frames of this environment, and train an agent on the new latents"
"""Remedy where the encoder was pretrained on frames of another environment."""


class FrameSample:
    """An actor that keeps frames on which it acts, evenly spaced from the first to the newest."""

    def __init__(self, act: Act, venv: VecEnv) -> None:
        """Act as ``act`` in ``venv``, which has an encoder."""
        self._act, self._venv = act, venv
        self._steps, self._every = itertools.count(), EVERY
        self._samples: list[Array] = []

    def __call__(self, observations: Any, starts: Array) -> Array:
        """Return the actions of ``act``."""
        if next(self._steps) % self._every == 0:
            self._samples.append(newest_frames(self._venv).copy())
            if sum(map(len, self._samples)) > MOST:
                self._samples = self._samples[::2]
                self._every *= 2
        return self._act(observations, starts)

    @property
    def frames(self) -> Array:
        """The frames so far, ``(N, H, W, C)``; ``(0,)`` before the first action."""
        return np.concatenate(self._samples) if self._samples else np.empty(0)


def warn_if_unfamiliar(encoder: Autoencoder, frames: Array, env_id: str) -> None:
    """Warn if an encoder loses more of these frames than of those of its pretraining.

    Args:
        encoder: any encoder. One without metrics in its data card, or with bad ones, of which
            ``warn_if_poor`` warns, gives no warning. Nor does one that is invariant to a
            corruption, such as a shift of the hue: it reconstructs frames without the shift.
        frames: images, ``(N, H, W, C)``.
        env_id: id of the environment that shows them.

    Warns:
        UserWarning: the check of the pretraining fails on ``frames``, and did not fail there.
    """
    known = card_quality(encoder)
    if known is None or known.problems() or len(frames) < LEAST_FRAMES:
        return
    invariance = card_invariance(encoder)
    if invariance is not None and invariance.reached:
        return
    # Each is an episode of its own: what changes between frames far apart is not motion.
    sample = Frames(encoder.observation_space, [frames], np.arange(len(frames)))
    problems = _judged(quality(encoder, sample, used=known.used_dimensions), known).problems()
    if problems:
        pretrained = encoder.metadata.get("data", {}).get("environment", {})
        refinable = encoder.config.training == "gradient" and pretrained.get("id") == env_id
        remedy = FURTHER if refinable else ANEW
        warnings.warn(
            f"the encoder was not pretrained on frames like these: {'; '.join(problems)}. "
            f"{remedy}; {GUIDE} explains the check",
            UserWarning,
            stacklevel=3,
        )


def _judged(found: Quality, known: Quality) -> Quality:
    """Return ``found`` without what only shows that frames vary less than those of before."""
    if found.psnr < known.psnr - ALIKE_DB:
        return found
    return replace(found, explained=known.explained)
