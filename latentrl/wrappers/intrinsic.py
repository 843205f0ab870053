"""Intrinsic rewards of a novelty bonus, from one ``Transitions`` per step of the environments."""

from __future__ import annotations

import warnings
import weakref
from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.novelty.base import as_bonus, checked
from latentrl.types import Array, Novelty, Transitions
from latentrl.wrappers.encode import LatentTransform

_USERS: weakref.WeakValueDictionary[int, IntrinsicRewards] = weakref.WeakValueDictionary()
"""By the ``id`` of each bonus, what has used it last."""


class IntrinsicRewards:
    """Steps a bonus once per step, with the environments that stepped.

    It keeps the previous observations and latents, so that hosts pass on only what is new.
    """

    def __init__(self, novelty: Novelty, num_envs: int, action_space: spaces.Space[Any]) -> None:
        """Use ``novelty`` for ``num_envs`` environments with actions of ``action_space``.

        Raises:
            TypeError: it lacks ``score`` or ``update``, or a method of it is misspelt.
            ValueError: an action is more than one array.
        """
        if action_space.shape is None:
            raise ValueError(
                f"a novelty bonus takes actions of one array, not {action_space}: map them with "
                "gymnasium.wrappers.TransformAction before wrap"
            )
        self.bonus, self.num_envs = as_bonus(novelty), num_envs
        self._given = novelty
        self.transitions: Transitions | None = None
        """The newest step, None before the first."""
        self._observations: Array = np.empty(0)
        self._latents: Array = np.empty(0)
        self._warned = self._used = False

    def reset(self, transform: LatentTransform, started: Array) -> None:
        """Start episodes.

        Args:
            transform: it has just encoded the first observations.
            started: environments whose episode starts, bool ``(num_envs,)``.
        """
        self.store(transform)
        self.start(started)

    def start(self, started: Array) -> None:
        """Start episodes at the observations of the newest step, as autoreset does."""
        env_ids = np.flatnonzero(started)
        if len(env_ids):
            self.bonus.reset(env_ids, self._observations[env_ids], self._latents[env_ids])

    def step(
        self,
        transform: LatentTransform,
        actions: Array,
        terminated: Array,
        truncated: Array,
        ended: Array,
        stepped: Array | None = None,
    ) -> Array:
        """Return the intrinsic rewards of a step, float32 ``(num_envs,)``, and update the bonus.

        Args:
            transform: it has just encoded the step.
            actions: of the step, ``(num_envs, *action_shape)``.
            terminated: bool ``(num_envs,)``.
            truncated: bool ``(num_envs,)``.
            ended: indices of the environments with a terminal observation beside the batch.
            stepped: bool ``(num_envs,)``, False where the step was a reset (NEXT_STEP) or lost its
                terminal observation, whose reward is 0; None where all environments stepped.
        """
        frames, latents = transform.reached(ended)
        transitions = Transitions(
            np.arange(self.num_envs),
            *(self._observations, self._latents),
            *(actions, frames, latents, terminated, truncated),
        )
        if stepped is not None and not stepped.all():
            transitions = transitions[stepped]
        self.transitions = transitions
        self._check_user()
        rewards = np.zeros(self.num_envs, np.float32)
        if len(transitions):
            scores = self.bonus.step(transitions)
            rewards[transitions.env_ids] = checked(self.bonus, scores, len(transitions))
        self.store(transform)
        return rewards

    def _check_user(self) -> None:
        """Warn where another wrapped environment has used the bonus since the step before."""
        user = _USERS.get(id(self._given))
        if user is self:
            return
        if self._used and user is not None:
            warnings.warn(
                f"two wrapped environments use one {self.bonus.name}, which mixes their episodes: "
                "make a new bonus for each, and evaluate in an environment without a bonus",
                UserWarning,
                stacklevel=5,
            )
        _USERS[id(self._given)] = self
        self._used = True

    def lost(self, done: Array, ended: Array) -> Array:
        """Return where an episode is done without a terminal observation, bool ``(num_envs,)``.

        Args:
            done: bool ``(num_envs,)``.
            ended: indices of the environments with a terminal observation.
        """
        lost: Array = done.copy()
        lost[ended] = False
        if lost.any() and not self._warned:
            self._warned = True
            warnings.warn(
                "the vector environment returns no terminal observation where an episode ends: "
                "the last step of each episode gets no novelty bonus",
                UserWarning,
                stacklevel=4,
            )
        return lost

    def store(self, transform: LatentTransform) -> None:
        """Store the newest observations and latents as those before the next step."""
        # Copies: environments may write the next observations into the same buffer.
        self._observations = transform.last_frames.copy()
        self._latents = transform.last_latents.copy()
