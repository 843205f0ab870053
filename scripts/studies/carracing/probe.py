"""What the encoders hold of the car: a linear probe of what agents observe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from agents.visits import visit
from envs import defaults_for
from latentrl import Frames, load
from latentrl.latents.known_factors import RIDGES
from latentrl.training.probe import linear_probe
from latentrl.types import Array
from latentrl.utils.io import read_json, write_json
from scripts.studies.carracing.arms import ARMS, ENV, RECIPE, RESULTS, Run

TIMESTEPS = 5_000
FILE = RESULTS / "probe.json"


def probe_encoders() -> bool:
    """Probe the encoders of the first seed on frames that the recipe's agent visits.

    The stack of latents is what an agent observes. Encoders that have been probed, or that are not
    here, are left out.

    Returns:
        Whether the recipe has an agent, without which there are no frames.
    """
    agent = Run(RECIPE, 0)
    scores = read_json(FILE) if FILE.exists() else {}
    missing = [arm for arm in _pretrained() if arm not in scores]
    if not agent.result.exists() or not (agent.folder / "agent").is_dir():
        return False
    if missing:
        frames = visit(agent.folder / "agent", "cpu", timesteps=TIMESTEPS).frames
        for arm in missing:
            latents = load(_encoder(arm), "cpu").encode(frames[:])
            scores[arm] = probe(latents, frames)
        write_json(FILE, scores)
    return True


def _pretrained() -> Iterator[str]:
    """Yield the arms whose run of the first seed is finished, and its encoder here."""
    for arm in ARMS:
        if Run(arm, 0).result.exists() and _encoder(arm).is_dir():
            yield arm


def _encoder(arm: str) -> Path:
    return Run(arm, 0).folder / ("random" if ARMS[arm].random else "encoder")


def probe(latents: Array, frames: Frames) -> dict[str, float]:
    """Return the R2 of each factor that is known of all ``frames``, from stacked ``latents``."""
    stacked = stack(latents, frames.episodes, defaults_for(ENV).stack)
    factors = np.stack(list(frames.factors.values()), 1)
    rows = np.isfinite(factors).all(1)
    scores = linear_probe(stacked[rows], factors[rows], frames.episodes[rows], RIDGES)
    return dict(zip(frames.factors, map(float, scores), strict=True))


def stack(latents: Array, episodes: Array, size: int) -> Array:
    """Return each latent behind those of the ``size - 1`` timesteps before it, the newest last.

    The first latents of an episode stand behind zeros, as SB3 stacks them.

    Args:
        latents: ``(N, latent_dim)`` in the order of time.
        episodes: number of the episode of each, ``(N,)``.
        size: latents in one observation.

    Returns:
        ``(N, size * latent_dim)``.
    """
    parts = []
    for back in reversed(range(size)):
        part = np.roll(latents, back, 0)
        part[(np.roll(episodes, back) != episodes) | (np.arange(len(latents)) < back)] = 0
        parts.append(part)
    return np.concatenate(parts, 1)
