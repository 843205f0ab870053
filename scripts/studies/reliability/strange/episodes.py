"""Environments with strange rewards, infos and ends of episodes."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from scripts.studies.reliability.strange.kinds import CHECKED, HOSTS, LIMIT, Ordinary, kind
from scripts.studies.reliability.strange.observations import terminal_observations_are_kept

LATE = 20
"""Step since the start of the environment from which rewards are strange."""
NO_NUMBER = "reward"
VECTORS = tuple(host for host in HOSTS if host not in ("env", "scripts"))


@kind(refused="reward.*nan")
class NanReward(Ordinary):
    """The reward is NaN from the 20th step on."""

    def reward(self) -> Any:
        return float("nan") if self.steps >= LATE else 1.0


@kind(refused="reward.*-inf")
class InfiniteReward(Ordinary):
    """The reward is minus infinity from the 20th step on."""

    def reward(self) -> Any:
        return np.float64(-np.inf) if self.steps >= LATE else 1.0


@kind(refused=NO_NUMBER, hosts=CHECKED)
class NoReward(Ordinary):
    """The reward is None."""

    def reward(self) -> Any:
        return None


@kind(refused=NO_NUMBER, hosts=CHECKED)
class TextReward(Ordinary):
    """The reward is a text."""

    def reward(self) -> Any:
        return "good"


@kind(refused=NO_NUMBER, works=True, hosts=CHECKED)
class RewardArray(Ordinary):
    """The reward is an array of one value."""

    def reward(self) -> Any:
        return np.array([1.0])


@kind()
class IntegerReward(Ordinary):
    """The reward is an int, then a bool, then a float32."""

    def reward(self) -> Any:
        return (1, True, np.float32(0.5))[self.steps % 3]


@kind()
class DictInfos(Ordinary):
    """Infos with dicts, arrays and None inside."""

    def info(self) -> dict[str, Any]:
        return {
            "pose": {"at": np.ones(2), "name": "a"},
            "map": np.zeros((2, 2)),
            "none": None,
        }


@kind()
class ChangingInfos(Ordinary):
    """Infos whose keys and types change with every step."""

    def info(self) -> dict[str, Any]:
        return {f"key{self.steps % 3}": (1, "a", {"b": 2})[self.steps % 3]}


@kind()
class OneInfo(Ordinary):
    """One info dict for ever, to which wrappers add."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self.infos: dict[str, Any] = {}

    def info(self) -> dict[str, Any]:
        return self.infos


@kind(learned=lambda agent: len(agent.ep_info_buffer) > 0)
def Recorded() -> gym.Env[Any, Any]:
    """RecordEpisodeStatistics around each environment."""
    return gym.wrappers.RecordEpisodeStatistics(Ordinary())


@kind(learned=lambda agent: len(agent.ep_info_buffer) > 0)
def Monitored() -> gym.Env[Any, Any]:
    """SB3's Monitor around each environment."""
    return Monitor(Ordinary())


class _Silent(VecEnvWrapper):
    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = self.venv.step_wait()
        for info in infos:
            info.pop("terminal_observation", None)
        return observations, rewards, dones, infos


class _SilentVector(VectorWrapper[Any, Any, Any, Any, Any]):
    def step(self, actions: Any) -> Any:
        *result, infos = self.env.step(actions)
        return *result, {name: value for name, value in infos.items() if "final_obs" not in name}


def silent(vector: Any) -> Any:
    """Remove terminal observations from the infos of a vector environment."""
    if isinstance(vector, VecEnv):
        return _Silent(vector)
    return _SilentVector(vector) if isinstance(vector, VectorEnv) else vector


@kind(refused="terminal_observation|final_obs", works=True, hosts=VECTORS, vector=silent)
def NoTerminalObservation() -> gym.Env[Any, Any]:
    """The vector environment returns no terminal observations."""
    return Ordinary()


@kind(collected=lambda frames: frames.times.max() == 1, length=1)
class OneStep(Ordinary):
    """Episodes of one step."""

    length = 1


@kind(length=LIMIT)
class Endless(Ordinary):
    """Episodes that never end."""

    length = 10**9


@kind()
class BothEnds(Ordinary):
    """Episodes that are terminated and truncated at once."""

    def ends(self) -> tuple[Any, Any]:
        over = self.time >= self.length
        return over, over


@kind(collected=terminal_observations_are_kept)
class IntegerEnds(Ordinary):
    """Ends as 0 and 1."""

    def ends(self) -> tuple[Any, Any]:
        terminated, truncated = super().ends()
        return int(terminated), int(truncated)


@kind(collected=terminal_observations_are_kept)
class NumpyEnds(Ordinary):
    """Ends as numpy.bool."""

    def ends(self) -> tuple[Any, Any]:
        terminated, truncated = super().ends()
        return np.bool_(terminated), np.bool_(truncated)
