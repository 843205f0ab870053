"""The strip of an episode: its frames, latents and other values over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latentrl.data.frames import Frames
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.viz.explorer.encoding import to_sheet
from latentrl.viz.explorer.latents import posteriors, rgb_frames

STEPS = 200
"""Most frames of a strip."""
FRAME_BYTES = 700_000
LABELS = {
    "value": ("value", "expected discounted return"),
    "bonus": ("novelty bonus", "intrinsic reward"),
    "action": ("action", ""),
    "reward": ("reward", "extrinsic"),
}
"""Name and unit of each series on the page."""


@dataclass(frozen=True)
class Episode:
    """Consecutive observations of one episode, and what an agent computed for them."""

    observations: Array
    """Observations ``(T, *observation_shape)``."""
    value: Array | None = None
    """Value function of each observation, ``(T,)``."""
    bonus: Array | None = None
    """Novelty bonus of each observation, ``(T,)``."""
    action: Array | None = None
    """Action taken at each observation, ``(T,)`` or ``(T, A)``."""
    reward: Array | None = None
    """Reward that followed each observation, ``(T,)``."""
    caption: str = ""
    """What the episode is, such as who played it."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where there is no observation or an array has another length."""
        if not len(self.observations):
            raise ValueError("an episode has at least one observation, this one has none")
        for name, values in self.series().items():
            if len(values) != len(self.observations):
                raise ValueError(
                    f"an episode of {len(self.observations)} observations needs as many of "
                    f"{name!r}, got {len(values)}"
                )

    def series(self) -> dict[str, Array]:
        """Return the given arrays by name."""
        given = {name: getattr(self, name) for name in LABELS}
        return {name: np.asarray(values) for name, values in given.items() if values is not None}

    def first(self, steps: int) -> Episode:
        """Return the first ``steps`` observations."""
        cut: dict[str, Any] = {name: values[:steps] for name, values in self.series().items()}
        return Episode(self.observations[:steps], **cut, caption=self.caption)


def longest_episode(frames: Frames) -> Episode:
    """Return up to ``STEPS`` first observations of the longest episode among ``frames``.

    Bare observations, each an episode of its own, are taken in their order.
    """
    numbers, counts = np.unique(frames.episodes, return_counts=True)
    rows = np.arange(len(frames))
    if counts.max() > 1:
        rows = np.flatnonzero(frames.episodes == numbers[counts.argmax()])
        rows = rows[np.argsort(frames.times[rows], kind="stable")]
    chosen = frames.subset(rows[:STEPS])
    return Episode(chosen[:], **_records(chosen))


def _records(frames: Frames) -> dict[str, Any]:
    try:
        steps = frames.steps
    except ValueError:  # bare observations
        return {}
    return {"action": steps["action"], "reward": steps["reward"]}


def episode_strip(model: Autoencoder, episode: Episode) -> dict[str, Any]:
    """Describe an episode: frames, latents and series of one value per step."""
    frames = rgb_frames(model, episode.observations)
    return {
        "frames": to_sheet(frames, FRAME_BYTES),
        "caption": episode.caption,
        "latents": posteriors(model, episode.observations)[0],
        "series": [line for item in episode.series().items() for line in _lines(*item)],
    }


def _lines(name: str, values: Array) -> list[dict[str, Any]]:
    columns = values.reshape(len(values), -1).T.astype(float)
    label, unit = LABELS[name]
    names = [label] if len(columns) == 1 else [f"{label} {i}" for i in range(len(columns))]
    # JSON has no NaN; the page leaves a gap in the line.
    cells = np.where(np.isfinite(columns), columns, np.nan).tolist()
    return [
        {"name": name, "unit": unit, "values": [None if cell != cell else cell for cell in row]}
        for name, row in zip(names, cells, strict=True)
    ]
