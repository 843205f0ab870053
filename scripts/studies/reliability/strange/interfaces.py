"""Environments with strange actions, constructors, signatures and return values."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.types import Array
from scripts.studies.reliability.strange.kinds import (
    CHECKED,
    HOSTS,
    IN_PROCESS,
    OURS,
    Ordinary,
    kind,
)

ACTIONS = "[aA]ction"
OLD = "gym before 0.26"


class Strict(Ordinary):
    """An environment that refuses actions outside its space."""

    def step(self, action: Any) -> Any:
        if action not in self.action_space:
            raise RuntimeError("this is outside the space")
        return super().step(action)


@kind(refused=ACTIONS, works=True)
class TupleActions(Strict):
    """A Tuple of actions."""

    action_space = spaces.Tuple((spaces.Discrete(2), spaces.Box(-1, 1, (2,), np.float32)))


@kind(refused=ACTIONS, works=True)
class DictActions(Strict):
    """A Dict of actions."""

    action_space = spaces.Dict(turn=spaces.Discrete(3), gas=spaces.Box(0, 1, (1,), np.float32))


@kind(refused=ACTIONS, works=True)
class BinaryActions(Strict):
    """MultiBinary actions, which DQN does not take."""

    action_space = spaces.MultiBinary(3)


@kind(refused=ACTIONS, works=True)
class ManyActions(Strict):
    """MultiDiscrete actions, which DQN does not take."""

    action_space = spaces.MultiDiscrete([2, 3])


@kind(refused=ACTIONS, works=True)
class ContinuousActions(Strict):
    """Box actions, which DQN does not take."""

    action_space = spaces.Box(-1, 1, (2,), np.float32)


# SB3 passes 0, 1 and 2 on to its own vectors.
@kind(hosts=tuple(host for host in HOSTS if host not in ("env", "dummy", "subproc")))
class NegativeStart(Strict):
    """Discrete actions -1, 0 and 1."""

    action_space = spaces.Discrete(3, start=-1)


@kind(refused="no bounds|finite|[aA]ction")
class UnboundedActions(Ordinary):
    """Box actions without bounds."""

    action_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)


@kind(refused=OLD, hosts=CHECKED)
class FourValues(Ordinary):
    """step returns four values, as in Gym before 0.26."""

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated or truncated, info


@kind(refused=OLD, hosts=CHECKED)
class OldReset(Ordinary):
    """reset returns the observation alone, as in Gym before 0.26."""

    def reset(self, **options: Any) -> Any:
        return super().reset(**options)[0]


@kind(refused="seed", hosts=CHECKED)
class NoSeed(Ordinary):
    """reset takes no seed."""

    def reset(self) -> Any:  # type: ignore[override]
        return super().reset()


@kind(refused=OLD, hosts=CHECKED)
class SixValues(Ordinary):
    """step returns six values."""

    def step(self, action: Any) -> Any:
        return (*super().step(action), "more")


@kind(refused="returned", works=True, hosts=CHECKED)
class ReturnsLists(Ordinary):
    """reset and step return lists in place of tuples."""

    def reset(self, **options: Any) -> Any:
        return [*super().reset(**options)]

    def step(self, action: Any) -> Any:
        return [*super().step(action)]


@kind(refused=OLD, hosts=CHECKED)
class ReturnsNothing(Ordinary):
    """step returns None."""

    def step(self, action: Any) -> Any:
        super().step(action)


# The vectors of Gymnasium and SB3 refuse it before anything else can.
@kind(refused=r"gymnasium\.Env", hosts=("env", *OURS))
class NoEnv:
    """A class with reset and step that is no gymnasium.Env."""

    observation_space = Ordinary.observation_space
    action_space = Ordinary.action_space

    def reset(self, **options: Any) -> Any:
        return np.zeros((16, 16, 3), np.uint8), {}

    def step(self, action: Any) -> Any:
        return np.zeros((16, 16, 3), np.uint8), 0.0, False, False, {}


@kind(refused="space|None")
class NoSpaces(Ordinary):
    """The spaces are None until the first reset."""

    observation_space: Any = None
    action_space: Any = None

    def reset(self, **options: Any) -> Any:
        self.observation_space = Ordinary.observation_space
        self.action_space = Ordinary.action_space
        return super().reset(**options)


@kind(works=True, refused="metadata|render")
class WrongMetadata(Ordinary):
    """metadata without render modes, and with text for numbers."""

    metadata = {"render_fps": "many", "render.modes": None}


# SB3 loses the message where its worker ends before it answers.
@kind(refused="no engine", own_error=True, hosts=tuple(host for host in HOSTS if host != "subproc"))
class RaisesAtStart(Ordinary):
    """The constructor raises."""

    def __init__(self) -> None:
        raise RuntimeError("no engine")


@kind(refused="no level", own_error=True)
class RaisesInReset(Ordinary):
    """The third reset raises."""

    def observe(self, image: Array) -> Any:
        if self.episode == 2:
            raise RuntimeError("no level")
        return image


@kind(refused="no fuel", own_error=True)
class RaisesLate(Ordinary):
    """The 15th step raises."""

    def reward(self) -> Any:
        if self.steps == 15:
            raise KeyError("no fuel")
        return 1.0


# The logger of Gymnasium's own workers formats the message.
@kind(
    refused="100% of %s and %d",
    own_error=True,
    hosts=tuple(host for host in HOSTS if host != "async"),
)
class PercentInMessage(Ordinary):
    """The 15th step raises an error with percent signs in its message."""

    def reward(self) -> Any:
        if self.steps == 15:
            raise RuntimeError("100% of %s and %d")
        return 1.0


@kind(refused="out", own_error=True, hosts=IN_PROCESS)
class Exits(Ordinary):
    """The 15th step calls sys.exit."""

    def reward(self) -> Any:
        if self.steps == 15:
            raise SystemExit("out of levels")
        return 1.0
