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
    ``wrap(...).intrinsic`` is one where there is a bonus, and ``training = False`` turns it off for
    an evaluation in the same environment.
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
        self._training = True

    @property
    def training(self) -> bool:
        """Whether the bonus learns and is rewarded, as ``VecNormalize.training`` for statistics.

        False leaves the bonus as it is, and rewards are extrinsic. True after that starts new
        episodes of the bonus, because it has not had the steps in between.
        """
        return self._training

    @training.setter
    def training(self, training: bool) -> None:
        resumed = training and not self._training and len(self._latents)
        self._training = training
        if resumed:
            self.start(np.ones(self.num_envs, bool))

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
        if len(env_ids) and self._training:
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

        Without ``training`` they are 0, and the bonus has no update.

        Args:
            transform: it has just encoded the step.
            actions: of the step, ``(num_envs, *action_shape)``.
            terminated: bool ``(num_envs,)``.
            truncated: bool ``(num_envs,)``.
            ended: indices of the environments with a terminal observation beside the batch.
            stepped: bool ``(num_envs,)``, False where the step was a reset (NEXT_STEP) or lost its
                terminal observation, whose reward is 0; None where all environments stepped.
        """
        rewards = np.zeros(self.num_envs, np.float32)
        if not self._training:
            self.store(transform)
            return rewards
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
                "make a new bonus for each, and evaluate in an environment without a bonus, or "
                "with env.intrinsic.training = False",
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
