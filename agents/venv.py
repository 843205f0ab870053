"""The environments as an agent sees them: monitored, encoded, with visits, stacked, normalised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from stable_baselines3.common.vec_env import (
    VecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)

from agents.config import AgentConfig
from envs import Environment, make_vector
from latentrl import wrap
from latentrl.models.preprocessing import Preprocessing, make_preprocessor
from latentrl.types import Array, Encoder, LatentLayout, Novelty
from latentrl.wrappers.episodic_count import VecEpisodicCount
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from latentrl.wrappers.sb3 import LatentVecEnv


class PixelEncoder:
    """Crops, resizes and greys images without encoding them, for agents that learn from pixels."""

    def __init__(self, space: spaces.Box, preprocessing: Preprocessing) -> None:
        """Prepare for images of ``space``; errors as in ``make_preprocessor``."""
        self.observation_space = space
        self.preprocess = make_preprocessor(space, preprocessing)
        channels, height, width = self.preprocess.shape
        self.latent_space = spaces.Box(0, 255, (height, width, channels), np.uint8)

    def encode(self, observations: Array) -> Array:
        """Return ``(B, h, w, C)`` uint8 images."""
        x = self.preprocess(torch.from_numpy(observations)).permute(0, 2, 3, 1)
        images: Array = (x * 255).round().to(torch.uint8).numpy()
        return images


def build_monitored(
    environment: Environment,
    *,
    n_envs: int,
    seed: int,
    backend: str = "auto",
    episode_seeds: Sequence[Sequence[int]] = (),
    render_mode: str | None = None,
) -> VecMonitor:
    """Make the bare environments for SB3, with returns that are the task's own in
    ``info["episode"]``.

    Args:
        environment: which.
        n_envs: how many step together.
        seed: environment i takes ``seed + i``.
        backend: "auto", "envpool" or "gymnasium".
        episode_seeds: for each environment the seeds of its episodes, in order.
        render_mode: for videos.
    """
    envs = make_vector(
        environment,
        n_envs,
        backend=backend,
        seed=seed,
        episode_seeds=episode_seeds,
        render_mode=render_mode,
    )
    venv = GymnasiumVecEnv(envs)
    venv.seed(seed)
    return VecMonitor(venv)


def build_venv(
    config: AgentConfig,
    encoder: Encoder | None,
    venv: VecEnv,
    training: bool = True,
    novelty: Novelty | None = None,
) -> VecNormalize:
    """Show ``venv`` as the agent sees it: encoded, with visits, stacked, normalised.

    Codes are normalised, unless the settings say ``normalise_codes=False``; images are not. While
    ``training``, rewards are too and the statistics learn.

    Args:
        config: the agent.
        encoder: what turns frames into codes; None for an agent that learns from pixels.
        venv: what ``build_monitored`` made.
        training: False for evaluation.
        novelty: whose bonus is added to the rewards; for an agent that sees codes.
    """
    seen: VecEnv = wrap(
        venv, _pixel_encoder(venv, config.pixels) if encoder is None else encoder, novelty=novelty
    )
    if config.visits:
        seen = VecEpisodicCount(seen, token_width(encoder))
    if config.stack > 1:
        seen = VecFrameStack(seen, config.stack)
    if config.pixels is not None:
        seen = VecTransposeImage(
            seen
        )  # below VecNormalize, whose original observations DQN's buffer keeps
    return VecNormalize(
        seen,
        training=training,
        norm_obs=config.latent and config.settings.get("normalise_codes", True),
        norm_reward=training,
        gamma=config.settings["gamma"],
    )


def token_width(encoder: Encoder | None) -> float:
    """Return the step to which latents are rounded to recognise equal ones."""
    return 1.0 if encoder is None else LatentLayout.of(encoder).token_width


def _pixel_encoder(venv: VecEnv, preprocessing: Preprocessing | None) -> PixelEncoder:
    if preprocessing is None or not isinstance(venv.observation_space, spaces.Box):
        raise ValueError(
            f"learning from pixels needs image observations, got {venv.observation_space}"
        )
    return PixelEncoder(venv.observation_space, preprocessing)


def frames_seen(venv: Any) -> Array:
    """Return the newest frames ``(n_envs, H, W, C)`` that went through the encoder of
    ``build_venv``.
    """
    while not isinstance(venv, LatentVecEnv):
        venv = venv.venv
    return venv.transform.last_frames


def gymnasium_of(venv: Any) -> VectorEnv[Any, Any, Any]:
    """Return the Gymnasium vector at the bottom of ``build_venv``."""
    while not isinstance(venv, GymnasiumVecEnv):
        venv = venv.venv
    return venv.envs
