"""Kinds of strange environments: an ordinary one, and how each other kind differs from it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from latentrl.types import Array

SIDE = 16
LIMIT = 20
"""Timesteps of the longest episode of an evaluation."""
IN_PROCESS = ("env", "sync", "sync_same_step", "sync_disabled", "dummy")
OURS = ("workers", "scripts")
CHECKED = (*IN_PROCESS, *OURS)
"""Hosts that return what the environment returned; the workers of others have unpacked it."""
IN_WORKERS = (*OURS, "async", "subproc")
HOSTS = (*IN_PROCESS, *IN_WORKERS)
"""An environment alone, Gymnasium's vectors by autoreset mode, SB3's, and those that ``in_workers``
and the scripts make."""
MAIN = "RELIABILITY_MAIN_PROCESS"
"""Environment variable with the number of the process that is no worker."""


def in_worker() -> bool:
    """Whether this process is a worker of the one that runs the job."""
    own = str(os.getpid())
    return os.environ.get(MAIN, own) != own


class Ordinary(gym.Env[Any, Any]):
    """A square that moves at random; every second episode of 6 steps is truncated.

    The first pixel holds the step in the episode and the number of the episode.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}
    observation_space: spaces.Space[Any] = spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
    action_space: spaces.Space[Any] = spaces.Discrete(2)
    length = 6

    def __init__(self, render_mode: str | None = None) -> None:
        """Start before the first episode."""
        self.render_mode = render_mode
        self.steps, self.episode, self.time = 0, -1, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        self.episode, self.time = self.episode + 1, 0
        return self.observe(self.image()), self.info()

    def step(self, action: Any) -> Any:
        """Move the square."""
        self.steps, self.time = self.steps + 1, self.time + 1
        image = self.image()
        return self.observe(image), self.reward(), *self.ends(), self.info()

    def image(self) -> Array:
        """Draw the square, ``(16, 16, 3)`` uint8."""
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        top, left = self.np_random.integers(0, SIDE - 5, 2)
        image[top : top + 5, left : left + 5] = 255
        image[0, 0] = self.time, self.episode % 256, 0
        return image

    def render(self) -> Any:
        """Return the image of a square."""
        return self.image()

    def observe(self, image: Array) -> Any:
        """Return the observation."""
        return image

    def reward(self) -> Any:
        """Return the reward of a step."""
        return 1.0

    def ends(self) -> tuple[Any, Any]:
        """Return whether the step terminates and whether it truncates the episode."""
        over = self.time >= self.length
        return over and self.episode % 2 == 0, over and self.episode % 2 == 1

    def info(self) -> dict[str, Any]:
        """Return the info of a reset or a step."""
        return {}


@dataclass(frozen=True)
class Kind:
    """A strange environment and the outcome that is right."""

    name: str
    """Name of the class or function that makes it."""
    make: Callable[[], gym.Env[Any, Any]]
    """Maker of one environment, a name of its module."""
    refused: str
    """Pattern of the error message that is right; empty where none is."""
    refused_by: tuple[str, ...]
    """Stages of a job in which it is refused."""
    works: bool
    """Whether it is right that the job is done without an error."""
    warns: str
    """Pattern of the warning that has to come where frames are collected and nothing is refused."""
    own_error: bool
    """Whether the error may be the environment's own, of any type."""
    hosts: tuple[str, ...]
    """Hosts that it is for."""
    collected: Callable[[Any], bool] | None
    """Whether the collected frames are right; None does not look at them."""
    learned: Callable[[Any], bool] | None
    """Whether the trained agent is right; None does not look at it."""
    vector: Callable[[Any], Any] | None
    """Wrapper of the vector environment; None leaves it."""
    key: str | None
    """Key of the observations of a Dict."""
    length: int
    """Timesteps of each episode of the trained agent."""

    @property
    def path(self) -> str:
        """Name of the environment, ``module:Class``."""
        return f"{self.make.__module__}:{self.name}"

    @property
    def summary(self) -> str:
        """What is strange about it."""
        return (self.make.__doc__ or "").partition("\n")[0].rstrip(".")


KINDS: dict[str, Kind] = {}
"""All kinds by name."""
Maker = TypeVar("Maker", bound=Callable[[], gym.Env[Any, Any]])


def kind(
    refused: str = "",
    *,
    refused_by: tuple[str, ...] = ("collect", "agent"),
    works: bool | None = None,
    warns: str = "",
    own_error: bool = False,
    hosts: tuple[str, ...] = HOSTS,
    collected: Callable[[Any], bool] | None = None,
    learned: Callable[[Any], bool] | None = None,
    vector: Callable[[Any], Any] | None = None,
    key: str | None = None,
    length: int = Ordinary.length,
) -> Callable[[Maker], Maker]:
    """Return a decorator that adds a class, or a function, to ``KINDS``; arguments as in ``Kind``.

    What is not refused works. What is refused may work, too, if ``works`` says so.
    """

    def add(make: Maker) -> Maker:
        name = make.__name__
        done = not refused if works is None else works
        wrong = (refused, refused_by, done)
        checks = (hosts, collected, learned, vector, key, length)
        KINDS[name] = Kind(name, make, *wrong, warns, own_error, *checks)
        return make

    return add
