"""E3B: the distance of a latent from those of its episode, in the metric of their covariance."""

from __future__ import annotations

import numpy as np

from latentrl.novelty.base import BONUSES, Bonus, grown
from latentrl.types import Array, Transitions


@BONUSES.register("elliptical")
class Elliptical(Bonus):
    """phi' C^-1 phi, C = ridge I + sum of phi phi' over the episode.

    Henaff et al. 2022, arXiv:2210.05805; phi is the next latent. A resumed run starts with empty
    episodes.
    """

    def __init__(self, ridge: float = 0.1) -> None:
        """Set the ``ridge`` lambda; with a larger one, directions of small variance count less.

        Raises:
            ValueError: ``ridge`` is not positive.
        """
        if not ridge > 0:
            raise ValueError(f"ridge must be positive, got {ridge}")
        self.ridge = ridge
        self.inverse = np.zeros((0, 0, 0))
        """C^-1 of each environment, float64 ``(num_envs, latent_dim, latent_dim)``."""

    def reset(self, env_ids: Array, observations: Array, latents: Array) -> None:
        """Set C^-1 of these environments to I / ridge."""
        self._fit_size(env_ids, latents)
        self.inverse[env_ids] = np.eye(latents.shape[1]) / self.ridge

    def score(self, transitions: Transitions) -> Array:
        """Return phi' C^-1 phi of each next latent, float32 ``(B,)``."""
        return self._project(transitions)[1].astype(np.float32)

    def update(self, transitions: Transitions) -> None:
        """Add the next latents to C of their episodes."""
        self.step(transitions)

    def step(self, transitions: Transitions) -> Array:
        """Score, then update by the same product C^-1 phi."""
        product, scores = self._project(transitions)
        # Sherman-Morrison, C being symmetric:
        #   (C + phi phi')^-1 = C^-1 - (C^-1 phi)(C^-1 phi)' / (1 + phi' C^-1 phi).
        # In float32 the subtraction makes C^-1 indefinite for large latents, hence float64.
        scaled = product / (1 + scores)[:, None]
        self.inverse[transitions.env_ids] -= product[:, :, None] * scaled[:, None]
        return scores.astype(np.float32)

    def _project(self, transitions: Transitions) -> tuple[Array, Array]:
        """Return C^-1 phi ``(B, latent_dim)`` and phi' C^-1 phi ``(B,)``, both float64."""
        env_ids, phi = transitions.env_ids, transitions.next_latents
        self._fit_size(env_ids, phi)
        product = np.einsum("bij,bj->bi", self.inverse[env_ids], phi)
        scores: Array = (product * phi).sum(1)
        return product, scores

    def _fit_size(self, env_ids: Array, latents: Array) -> None:
        size = latents.shape[1]
        if not len(self.inverse):
            self.inverse = np.zeros((0, size, size))
        self.inverse = grown(self.inverse, env_ids, np.eye(size) / self.ridge)
