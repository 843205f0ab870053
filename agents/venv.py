"""An agent's environments: monitored, encoded, with episodic counts, stacked and normalized."""

from __future__ import annotations

import functools
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

from agents.config import AgentConfig, PixelRange
from agents.shaping import AddShaping
from envs import Environment, make_vector
from latentrl import wrap
from latentrl.models.preprocessing import ImagePreprocessor, Preprocessing, is_image
from latentrl.types import Array, Encoder, LatentLayout, Novelty
from latentrl.utils.workers import in_worker
from latentrl.viz.images import to_rgb
from latentrl.wrappers.episodic_count import VecEpisodicCount
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from latentrl.wrappers.sb3 import LatentVecEnv


def probe(environment: Environment, backend: str) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
    """Spaces of one observation and of one action.

    A vector of one environment has them, too, where a simulator has no single environments. It is
    made where it leaves no graphics context to the workers of a later vector.
    """
    found: tuple[spaces.Space[Any], spaces.Space[Any]] = in_worker(
        functools.partial(_spaces, environment, backend)
    )
    return found


def _spaces(environment: Environment, backend: str) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
    envs = make_vector(environment, 1, backend=backend)
    envs.close()
    return envs.single_observation_space, envs.single_action_space


class PixelEncoder:
    """Crops, resizes and greys images without encoding them, for agents that learn from pixels."""

    def __init__(
        self, space: spaces.Box, preprocessing: Preprocessing, used: PixelRange | None = None
    ) -> None:
        """Prepare for images of ``space``; errors as in ``ImagePreprocessor``.

        Args:
            space: space of the images.
            preprocessing: crop, size and greyscale.
            used: lowest and highest value of each channel, which become 0 and 255; None takes those
                of ``space``.
        """
        self.observation_space = space
        self.preprocess = ImagePreprocessor(space, preprocessing)
        if used is not None:
            self.preprocess.set_range(*map(np.asarray, used))
        channels, height, width = self.preprocess.shape
        self.latent_space = spaces.Box(0, 255, (height, width, channels), np.uint8)

    def encode(self, observations: Array) -> Array:
        """Return ``(B, h, w, C)`` uint8 images."""
        x = self.preprocess(torch.from_numpy(observations)).permute(0, 2, 3, 1)
        images: Array = (x.clamp_(0, 1) * 255).round().to(torch.uint8).numpy()
        return images


def build_monitored(
    environment: Environment,
    *,
    n_envs: int,
    seed: int,
    backend: str = "auto",
    episode_seeds: Sequence[Sequence[int]] = (),
    render_mode: str | None = None,
    shaped: bool = False,
) -> VecEnv:
    """Make the bare environments for SB3, with extrinsic returns in ``info["episode"]``.

    Args:
        environment: the environment.
        n_envs: environments that step together.
        seed: environment i has ``seed + i``.
        backend: "auto", "drawn", "envpool" or "gymnasium".
        episode_seeds: for each environment the seeds of its episodes, in order.
        render_mode: for videos.
        shaped: whether the family's shaping is added to the rewards, after the returns are taken.
    """
    envs = make_vector(
        environment,
        n_envs,
        backend=backend,
        seed=seed,
        episode_seeds=episode_seeds,
        render_mode=render_mode,
        shaped=shaped,
    )
    venv = GymnasiumVecEnv(envs)
    venv.seed(seed)
    monitored = VecMonitor(venv)
    return AddShaping(monitored) if shaped else monitored


def build_venv(
    config: AgentConfig,
    encoder: Encoder | None,
    venv: VecEnv,
    training: bool = True,
    novelty: Novelty | None = None,
) -> VecNormalize:
    """Wrap ``venv`` as the agent needs it: encoded, with episodic counts, stacked, normalized.

    Latents are normalized, unless the agent's hyperparameters have ``normalize_latents=False``, the
    default for the vector of a trained VAE; images are not. While ``training``, rewards are
    normalized too and the statistics are updated.

    Args:
        config: the agent.
        encoder: encodes frames to latents; None for an agent that learns from pixels.
        venv: what ``build_monitored`` made.
        training: False for evaluation.
        novelty: bonus that is added to the rewards of an agent that observes latents.
    """
    wrapped: VecEnv = wrap(
        venv, _pixel_encoder(venv, config) if encoder is None else encoder, novelty=novelty
    )
    if config.episodic_count:
        wrapped = VecEpisodicCount(wrapped, token_width(encoder))
    if config.stack > 1:
        wrapped = VecFrameStack(wrapped, config.stack)
    if config.pixels is not None:
        # Below VecNormalize, because a replay buffer stores VecNormalize's original observations.
        wrapped = VecTransposeImage(wrapped)
    return VecNormalize(
        wrapped,
        training=training,
        norm_obs=config.latent and config.hyperparameters.get("normalize_latents", True),
        norm_reward=training,
        # Rewards are divided by the standard deviation of the discounted return, so that the
        # discount has to be the algorithm's.
        gamma=config.hyperparameters["gamma"],
    )


def remove_novelty(venv: VecEnv) -> None:
    """Leave the rewards of ``build_venv`` without a bonus from the next step on."""
    _find(LatentVecEnv, venv).intrinsic = None


def token_width(encoder: Encoder | None) -> float:
    """Step to which latents are rounded so that equal ones are recognised."""
    return 1.0 if encoder is None else LatentLayout.of(encoder).token_width


def images_of(space: spaces.Space[Any]) -> spaces.Box:
    """Return ``space``.

    Raises:
        ValueError: it is not of images.
    """
    if not isinstance(space, spaces.Box) or not is_image(space):
        raise ValueError(
            f"learning from pixels needs image observations, got {space}; add "
            "--from-render to learn from rendered images, or --key for one key of a Dict"
        )
    return space


def _pixel_encoder(venv: VecEnv, config: AgentConfig) -> PixelEncoder:
    if config.pixels is None:
        raise ValueError("the agent observes latents: give its encoder")
    return PixelEncoder(images_of(venv.observation_space), config.pixels, config.pixel_range)


def layout_of(venv: VecEnv) -> LatentLayout:
    """Layout of the latents that come out of ``build_venv``."""
    return LatentLayout.of(_find(LatentVecEnv, venv).transform.encoder)


def newest_frames(venv: VecEnv) -> Array:
    """Newest frames that the encoder of ``build_venv`` encoded, ``(n_envs, H, W, C)``."""
    frames: Array = _find(LatentVecEnv, venv).transform.last_frames
    return frames


def observed_images(venv: VecEnv) -> Array:
    """Return ``newest_frames`` as uint8 RGB, ``(n_envs, H, W, 3)``.

    Raises:
        ValueError: observations are no images.
    """
    preprocess = _find(LatentVecEnv, venv).transform.encoder.preprocess
    if not isinstance(preprocess, ImagePreprocessor):
        raise ValueError(
            "this environment renders no rgb_array, and its observations are no images, so there "
            "is nothing to record: give it the render mode rgb_array, or leave the video out"
        )
    return to_rgb(newest_frames(venv), preprocess.low.cpu().numpy(), preprocess.high.cpu().numpy())


def gymnasium_of(venv: VecEnv) -> VectorEnv[Any, Any, Any]:
    """Gymnasium vector environment inside ``build_venv``."""
    envs: VectorEnv[Any, Any, Any] = _find(GymnasiumVecEnv, venv).envs
    return envs


def _find(kind: Any, venv: Any) -> Any:
    """Return the first wrapper of ``kind``, from the outside; ``build_venv`` puts each in."""
    while not isinstance(venv, kind):
        venv = venv.venv
    return venv
