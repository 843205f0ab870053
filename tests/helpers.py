"""What several test files share: a small environment, a fake encoder, and a reader of event
files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from envs.pixel_reach import PixelReach

ROOT = Path(__file__).resolve().parents[1]


class Clock(gym.Env[Any, Any]):
    """Every pixel says which episode of which environment this is, the step in it, and the seed's
    noise.

    Episode k of environment ``ident`` lasts ``3 + ident + k`` steps; even ones terminate, odd ones
    are truncated."""

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(
        self, ident: int = 0, keyed: bool = False, side: int = 4, render_mode: str | None = None
    ) -> None:
        self.ident, self.keyed, self.side, self.render_mode = ident, keyed, side, render_mode
        image = spaces.Box(0, 255, (side, side, 3), np.uint8)
        self.observation_space = (
            spaces.Dict({"image": image, "speed": spaces.Box(0, 99, (1,), np.float32)})
            if keyed
            else image
        )
        self.action_space = spaces.Discrete(2)
        self.episode, self.time, self.noise = -1, 0, 0

    @property
    def length(self) -> int:
        return 3 + self.ident + self.episode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode, self.time = self.episode + 1, 0
        self.noise = int(self.np_random.integers(256))
        return self._observe(), {"episode_number": self.episode}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        ended = self.time >= self.length
        terminated, truncated = ended and self.episode % 2 == 0, ended and self.episode % 2 == 1
        return (
            self._observe(),
            self.time + 0.5 * float(action),
            terminated,
            truncated,
            {"time": self.time},
        )

    def render(self) -> Any:
        return self._image()

    def _image(self) -> Any:
        image = np.empty((self.side, self.side, 3), np.uint8)
        image[:] = (10 * self.ident + self.episode, self.time, self.noise)
        return image

    def _observe(self) -> Any:
        image = self._image()
        return {"image": image, "speed": np.array([self.time], np.float32)} if self.keyed else image

    def double(self, value: int) -> int:
        return 2 * value + self.ident


class FakeEncoder:
    """The least that a user's own encoder can be; it keeps the sizes of the batches it was
    given."""

    def __init__(self) -> None:
        self.latent_space = spaces.Box(0, 1000, (3,), np.float32)
        self.batches: list[int] = []

    def encode(self, observations: Any) -> Any:
        self.batches.append(len(observations))
        return observations.mean(axis=(1, 2), dtype=np.float32)


def read_events(folder: Path) -> EventAccumulator:
    """Read every TensorBoard event in a folder."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    return events


def same(a: Any, b: Any) -> bool:
    """Compare nested observations or infos: same keys, values and dtypes."""
    if isinstance(a, dict):
        return (
            isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
        )
    if a is None or b is None:
        return a is b
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype == object:
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a.dtype == b.dtype and np.array_equal(a, b)


class Dark(Clock):
    """A clock that renders nothing."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(side=16, render_mode=render_mode)

    def render(self) -> Any:
        return None


def continuous_reach(**options: Any) -> gym.Env[Any, Any]:
    """PixelReach with continuous actions, for ``module:function`` names."""
    return gym.wrappers.TimeLimit(PixelReach(continuous=True, **options), 20)


def reach_in_tens(**options: Any) -> gym.Env[Any, Any]:
    """``continuous_reach`` with actions from 0 to 10."""
    return gym.wrappers.RescaleAction(continuous_reach(**options), np.float32(0), np.float32(10))
