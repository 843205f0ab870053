"""Videos of an agent in its environment, with the reconstructions of its latents beside it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from agents.evaluate import (
    TEST_SEED,
    Checkpoint,
    agent_folder,
    config_in,
    load_encoder,
    load_for_evaluation,
    policy_of,
)
from agents.play import Act, actor
from agents.venv import build_monitored, build_venv, gymnasium_of, newest_frames
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.types import Array
from latentrl.utils.io import write_bytes
from latentrl.viz.images import gif, model_images

GIF_WIDTH = 400
"""Largest width of a GIF in pixels."""
FRAME_LIMIT = 5_000
"""Largest number of frames of a video, which are held in memory."""
FRAMES_PER_SECOND = 50
"""Frame rate of environments whose metadata has none."""


def record_video(
    run: Path,
    video: Path,
    seed: int = TEST_SEED,
    device: str = "auto",
    checkpoint: Checkpoint = "best",
    env: str | None = None,
    *,
    deterministic: bool | None = None,
    max_episode_steps: int | None = None,
    trust: bool = False,
) -> Path:
    """Write an .mp4 or .gif of one episode on Gymnasium, one frame per timestep.

    Beside each frame stands the reconstruction of the agent's latent, where the encoder has a
    decoder. Arguments are those of ``evaluate_agent``.

    Raises:
        ValueError: the file cannot be written, or the environment renders nothing.
    """
    folder = agent_folder(run, checkpoint)
    config, _ = config_in(folder, env, max_episode_steps=max_episode_steps, trust=trust)
    base = build_monitored(
        config.environment,
        n_envs=1,
        seed=seed,
        backend="gymnasium",
        episode_seeds=[[seed]],
        render_mode="rgb_array",
    )
    encoder = load_encoder(run, config, device)
    venv = build_venv(config, encoder, base, training=False)
    try:
        policy = policy_of(run, deterministic)
        act = actor(load_for_evaluation(config, venv, folder), policy == "deterministic")
        frames = _record(venv, act, encoder)
        rate = gymnasium_of(venv).metadata.get("render_fps", FRAMES_PER_SECOND)
    finally:
        venv.close()
    return write_video(video, frames, max(1, rate // config.environment.frame_skip))


def _record(venv: VecEnv, act: Act, encoder: Autoencoder | None) -> list[Array]:
    frames: list[Array] = []
    observations: Any = venv.reset()
    while len(frames) < FRAME_LIMIT:
        frames.append(_frame(venv, encoder))
        observations, _, dones, _ = venv.step(act(observations))
        if dones[0]:
            return frames
    warnings.warn(
        f"the episode has not ended in {FRAME_LIMIT:,} timesteps: the video has the first ones",
        UserWarning,
        stacklevel=3,
    )
    return frames


def _frame(venv: VecEnv, encoder: Autoencoder | None) -> Array:
    image = venv.get_images()[0]
    if image is None:
        raise ValueError("this environment renders no rgb_array, so there is nothing to record")
    if encoder is None or encoder.decoder is None or not is_image(encoder.observation_space):
        return np.asarray(image)
    decoded = model_images(encoder, encoder.reconstruct(newest_frames(venv)))[0]
    height = image.shape[0]
    decoded = cv2.resize(decoded, (height, height), interpolation=cv2.INTER_NEAREST)
    return np.concatenate([image, decoded], axis=1)


def write_video(path: Path, frames: list[Array], fps: int) -> Path:
    """Write RGB frames as an .mp4 or, scaled down, as a .gif.

    Raises:
        ValueError: OpenCV has no codec for the file's name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":
        scale = min(1.0, GIF_WIDTH / frames[0].shape[1])
        write_bytes(path, gif([_scaled(frame, scale) for frame in frames], fps))
        return path
    height, width, _ = frames[0].shape
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    if not writer.isOpened():
        raise ValueError(f"cannot write a video to {path}; the name must end in .mp4 or .gif")
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def _scaled(frame: Array, scale: float) -> Array:
    return np.asarray(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
