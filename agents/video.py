"""Videos of an agent in its environment, with the reconstructions of its latents beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from agents.algorithms import find_algorithm
from agents.episode import Moment, episode, player
from agents.evaluate import TEST_SEED, Checkpoint, policy_of
from agents.venv import gymnasium_of, newest_frames, observed_images
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.types import Array
from latentrl.viz.captions import caption, side_by_side, titles
from latentrl.viz.images import model_images
from latentrl.viz.video import check_video, write_video

FRAME_LIMIT = 5_000
"""Largest number of timesteps in a video."""
FRAMES_PER_SECOND = 50
"""Frame rate of environments whose metadata has none."""


@dataclass(frozen=True)
class Layout:
    """Sizes of a video in pixels."""

    least: int
    """Least height of the panels: smaller frames are enlarged a whole number of times."""
    most: int
    """Greatest height of the panels."""
    text: int
    """Height of the letters."""

    @property
    def column(self) -> int:
        """Width that a number and its name need."""
        return 6 * self.text

    def height(self, image: Array) -> int:
        """Return the height at which a rendered frame is drawn."""
        side: int = image.shape[0]
        return min(side * max(1, -(-self.least // side)), self.most)


PANELS = "environment", "reconstruction"
GAP = 4
"""Pixels between two panels."""
LAYOUTS = {".mp4": Layout(least=256, most=480, text=18), ".gif": Layout(160, 160, 12)}


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
    decoder; below are the timestep, the extrinsic return so far, the value that the agent
    estimates, and the novelty bonus, of an agent that was trained with one. The last frame stays
    for a second. Arguments are those of ``evaluate_agent``.

    Raises:
        ValueError: the file cannot be written, or the environment renders nothing.
        ImportError: an .mp4 needs the extra ``video``.
    """
    check_video(video)
    with player(
        run,
        checkpoint,
        env,
        device=device,
        max_episode_steps=max_episode_steps,
        trust=trust,
        seed=seed,
        episode_seeds=[[seed]],
        render_mode="rgb_array",
    ) as agent:
        rate = gymnasium_of(agent.venv).metadata.get("render_fps") or FRAMES_PER_SECOND
        fps = max(1, round(rate / agent.config.environment.frame_skip))
        moments = episode(
            agent.venv,
            agent.model,
            find_algorithm(agent.config.algo),
            deterministic=policy_of(run, deterministic) == "deterministic",
            has_bonus=agent.has_bonus,
            limit=FRAME_LIMIT,
        )
        drawn = _drawn(moments, agent.venv, agent.encoder, LAYOUTS[video.suffix], fps)
        write_video(video, drawn, fps)
    return video


def _drawn(
    moments: Iterable[Moment],
    venv: VecEnv,
    encoder: Autoencoder | None,
    layout: Layout,
    fps: int,
) -> Iterator[Array]:
    """Yield the frames of the video; the last panels stay for a second with the final numbers."""
    panels: list[Array] = []
    for moment in moments:
        panels = panels if moment.ended else _panels(venv, encoder, layout)
        for _ in range(fps if moment.ended else 1):
            yield _frame(panels, moment, layout)


def _panels(venv: VecEnv, encoder: Autoencoder | None, layout: Layout) -> list[Array]:
    """Return the rendered frame and, where there is one, the reconstruction, of equal height.

    Where the environment renders nothing, the observation stands for the frame.
    """
    image = venv.get_images()[0]
    images = [observed_images(venv)[0] if image is None else np.asarray(image)]
    if encoder is not None and encoder.decoder is not None and is_image(encoder.observation_space):
        images.append(model_images(encoder, encoder.reconstruct(newest_frames(venv)))[0])
    height = layout.height(images[0])
    return [_scaled(each, height / each.shape[0]) for each in images]


def _scaled(image: Array, scale: float) -> Array:
    method = cv2.INTER_NEAREST if scale >= 1 else cv2.INTER_AREA
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    return np.asarray(cv2.resize(image, size, interpolation=method))


def _frame(panels: list[Array], moment: Moment, layout: Layout) -> Array:
    text = numbers(moment)
    row = side_by_side(panels, GAP, least=layout.column * len(text))
    starts = np.cumsum([0, *(panel.shape[1] + GAP for panel in panels[:-1])]).tolist()
    above = titles(list(zip(PANELS, starts, strict=False)), row.shape[1], layout.text)
    return np.concatenate([above, row, caption(text, row.shape[1], layout.text)])


def numbers(moment: Moment) -> dict[str, str]:
    """Return the text below the panels, by name."""
    value = {}
    if moment.value is not None:
        value = {"value": "" if np.isnan(moment.value) else f"{moment.value:.3g}"}
    bonus = {} if moment.bonus is None else {"novelty bonus": f"{moment.bonus:.2g}"}
    return {
        "timestep": f"{moment.timestep:,}",
        "return": f"{moment.total:.4g}",
        **value,
        **bonus,
    }
