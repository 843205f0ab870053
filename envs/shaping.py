"""Shaped rewards and early ends of episodes, for training alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper

from latentrl.types import Array


class Shaping(VectorWrapper):
    """Judges each timestep, and ends an episode that has been lost for some time.

    Rewards stay what they are: the judgement is in ``infos["shaping"]``, ``(B,)``, and the agent's
    training adds it to them, so that logged returns are extrinsic. The autoreset mode must be
    SAME_STEP. A subclass gives ``judge``.
    """

    patience: int
    """Successive frames that an episode may be lost before it ends."""
    ending: float
    """What the end of a lost episode adds to the reward."""

    def __init__(self, envs: VectorEnv[Any, Any, Any], frame_skip: int) -> None:
        """Judge the timesteps of ``envs``, of ``frame_skip`` frames each."""
        super().__init__(envs)
        self.frame_skip = frame_skip
        self._lost = np.zeros(self.num_envs, int)
        """Successive timesteps in which each environment was lost."""
        self._start(np.ones(self.num_envs, bool))

    @abstractmethod
    def judge(self, observations: Array, actions: Array) -> tuple[Array, Array]:
        """Return what each timestep adds to the reward of one frame, and whether it is lost.

        Args:
            observations: those after the timestep, ``(B, *shape)``.
            actions: those of the timestep, ``(B, *action_shape)``.
        """

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Reset the environments, all of them or those of ``options["reset_mask"]``."""
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        self._start(mask)
        return self.env.reset(seed=seed, options=options)

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Step, judge, and end what has been lost for too long."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        ended = terminated | truncated
        judged, lost = self.judge(observations, np.asarray(actions))
        # An environment that ended shows the first observation of its next episode.
        shaping = np.where(ended, 0.0, self.frame_skip * judged)
        self._lost = np.where(lost & ~ended, self._lost + 1, 0)
        over = self._lost * self.frame_skip >= self.patience
        self._start(ended)
        if over.any():
            shaping[over] += self.ending
            infos = _with_finals(infos, observations, over)
            observations, _ = self.reset(options={"reset_mask": over})
            terminated = terminated | over
        infos = {**infos, "shaping": shaping, "_shaping": np.ones(self.num_envs, bool)}
        return observations, rewards, terminated, truncated, infos

    def _start(self, started: Array) -> None:
        """Reset what a subclass keeps of the episodes of these environments."""
        self._lost[started] = 0


def _with_finals(infos: dict[str, Any], observations: Array, over: Array) -> dict[str, Any]:
    final = infos.get("final_obs", np.full(len(over), None, object)).copy()
    for i in np.flatnonzero(over):
        final[i] = observations[i].copy()
    return {**infos, "final_obs": final, "_final_obs": infos.get("_final_obs", False) | over}
