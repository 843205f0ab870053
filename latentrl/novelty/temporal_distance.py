"""Episodic novelty by a learned temporal distance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentrl.models.backbones import dense
from latentrl.novelty.base import BONUSES, grown
from latentrl.novelty.prediction import PredictionBonus, RunningNormalizer
from latentrl.novelty.trajectories import Trajectories
from latentrl.training.optimizer_state import gradient_step
from latentrl.types import Array, Transitions

HIDDEN = 128
MEMORY = 1_000
"""Newest states of an episode that a new one is compared with."""
TINY = 1e-12
"""Smallest squared length, whose root has a finite gradient."""


class TemporalDistance(PredictionBonus):
    """Least temporal distance from the states of the episode to the next state: ETD.

    Jiang et al. 2025, arXiv:2501.15418. The distance is a quasimetric (Liu et al. 2023,
    arXiv:2208.08133), trained by contrasting a state's later states with those of others: how many
    steps lie between two states counts, and not how different they look.
    """

    def __init__(
        self,
        features: int = 32,
        discount: float = 0.99,
        window: int = 256,
        interval: int = 64,
        gradient_steps: int = 8,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> None:
        """Measure distances between features of the states.

        Args:
            features: number of features of the symmetric and of the asymmetric part.
            discount: a pair is a state and one that follows it after k steps, with the probability
                ``(1 - discount) * discount ** (k - 1)``.
            window: newest states of each environment that pairs are drawn from.
            interval: steps between two trainings; in between all distances are of one network.
            gradient_steps: gradient steps of a training.
            batch_size: pairs of a gradient step.
            learning_rate: Adam learning rate.
            seed: of the networks and of the draws.

        Raises:
            ValueError: a value is out of range.
        """
        super().__init__("latents", learning_rate, seed)
        least_one = (features, interval, gradient_steps)
        if min(least_one) < 1 or min(window, batch_size) < 2 or not 0 <= discount < 1:
            raise ValueError(
                "TemporalDistance needs features, interval and gradient_steps >= 1, window and "
                f"batch_size >= 2, and a discount in [0, 1), got features={features}, "
                f"interval={interval}, gradient_steps={gradient_steps}, window={window}, "
                f"batch_size={batch_size}, discount={discount}"
            )
        self.features, self.interval = features, interval
        self.gradient_steps, self.batch_size = gradient_steps, batch_size
        self.trajectories = Trajectories(window, discount)
        self._clear()

    def _clear(self) -> None:
        """Empty the memories of all episodes."""
        self._visited = np.zeros((0, MEMORY, 0), np.float32)
        """Latents of each environment's episode, ``(num_envs, MEMORY, latent_dim)``."""
        self._points = torch.zeros(0, MEMORY, 2 * self.features)
        """Their features."""
        self._lengths = np.zeros(0, int)
        """States of each episode, of which the newest ``MEMORY`` are kept."""

    def build(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        """Return normaliser, features, and the potential of a later state."""
        return {
            "normalizer": RunningNormalizer(shape),
            "features": dense((*shape, HIDDEN, 2 * self.features)),
            "potential": dense((2 * self.features, HIDDEN, 1)),
        }

    def reset(self, env_ids: Array, observations: Array, latents: Array) -> None:
        """Start new episodes, whose memories hold the first state."""
        x = self.inputs(observations, latents)
        self._lengths = grown(self._lengths, env_ids)
        self._lengths[env_ids] = 0
        self.trajectories.start(env_ids)
        self._store(env_ids, x, self._embed(x))

    def score(self, transitions: Transitions) -> Array:
        """Return the least distance to each next state, float32 ``(B,)``."""
        return self._novelty(transitions, self._embed(self._next(transitions)))

    def update(self, transitions: Transitions) -> None:
        """Store the next states, and train the distance every ``interval`` steps."""
        x = self._next(transitions)
        self._learn(transitions, x, self._embed(x))

    def step(self, transitions: Transitions) -> Array:
        """Score, then update; each state passes through the networks once."""
        x = self._next(transitions)
        points = self._embed(x)
        scores = self._novelty(transitions, points)
        self._learn(transitions, x, points)
        return scores

    def _next(self, transitions: Transitions) -> Tensor:
        return self.inputs(transitions.next_observations, transitions.next_latents)

    @torch.no_grad()
    def _embed(self, x: Tensor) -> Tensor:
        """Return the features ``(B, 2 * features)`` of latents ``(B, latent_dim)``."""
        networks = self.networks(x)
        points: Tensor = networks["features"](networks["normalizer"](x))
        return points

    def _novelty(self, transitions: Transitions, points: Tensor) -> Array:
        lengths = grown(self._lengths, transitions.env_ids)[transitions.env_ids]
        filled = np.minimum(lengths, MEMORY)
        distances = torch.empty(len(points))
        known, new = np.flatnonzero(filled), np.flatnonzero(filled == 0)
        if len(known):
            longest = int(filled.max())
            memory = self._points[transitions.env_ids[known], :longest]
            to_next = distance(memory, points[known, None])
            empty = torch.arange(longest) >= torch.from_numpy(filled[known])[:, None]
            distances[known] = to_next.masked_fill(empty, torch.inf).amin(1)
        if len(new):
            # Without a memory, as after a state was loaded, the state before the step is all of it.
            before = self.inputs(transitions.observations[new], transitions.latents[new])
            distances[new] = distance(self._embed(before), points[new])
        return distances.numpy()

    def _learn(self, transitions: Transitions, x: Tensor, points: Tensor) -> None:
        self._store(transitions.env_ids, x, points)
        if self.trajectories.steps % self.interval == 0:
            self._train(x)

    def _store(self, env_ids: Array, x: Tensor, points: Tensor) -> None:
        """Append states to the memories of their episodes, and to the trajectories."""
        values = x.numpy()
        self._lengths = grown(self._lengths, env_ids)
        missing = len(self._lengths) - len(self._points)
        if missing or self._visited.shape[2] != values.shape[1]:
            shape = (len(self._lengths), MEMORY, values.shape[1])
            visited = np.zeros(shape, np.float32)
            if self._visited.size:
                visited[: len(self._visited)] = self._visited
            self._visited = visited
            self._points = F.pad(self._points, (0, 0, 0, 0, 0, missing))
        places = self._lengths[env_ids] % MEMORY
        self._visited[env_ids, places] = values
        self._points[env_ids, places] = points
        self._lengths[env_ids] += 1
        self.trajectories.add(env_ids, values)

    def _train(self, x: Tensor) -> None:
        networks = self.networks(x)
        newest = self.trajectories.newest(self.interval)
        self.normalize_by(networks, torch.from_numpy(newest))
        for _ in range(self.gradient_steps):
            pairs = self.trajectories.pairs(self.batch_size, self.generator)
            if pairs is None:
                return
            first, later = map(torch.from_numpy, pairs)
            loss = self._loss(networks, first, later)
            self.error = float(loss.detach())
            gradient_step(loss, self.optimizer)
        self._embed_again()

    def _loss(self, networks: nn.ModuleDict, first: Tensor, later: Tensor) -> Tensor:
        """Return the InfoNCE loss of pairs, over later and over earlier states, in nats."""
        x, y = (networks["features"](networks["normalizer"](side)) for side in (first, later))
        energies = networks["potential"](y).T - distance(x[:, None], y)
        target = torch.arange(len(x))
        return F.cross_entropy(energies, target) + F.cross_entropy(energies.T, target)

    def _embed_again(self) -> None:
        """Compute the features of all memories by the network that has been trained."""
        for env, length in enumerate(np.minimum(self._lengths, MEMORY)):
            self._points[env, :length] = self._embed(torch.from_numpy(self._visited[env, :length]))

    def state_dict(self) -> dict[str, Tensor]:
        """Return networks, optimizer and generator, and the trajectories; no episode's memory."""
        return {**super().state_dict(), **self.trajectories.state_dict()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state_dict`` returned; episodes start anew."""
        super().load_state_dict(self.trajectories.loaded_from(state))
        self._clear()

    def metrics(self) -> dict[str, float]:
        """Return the contrastive loss of the newest gradient step, in nats."""
        return {"contrastive_loss": self.error}


def distance(x: Tensor, y: Tensor) -> Tensor:
    """Return the quasimetric from ``x`` to ``y``, ``(..., 2 * features)`` each.

    A Euclidean distance, which is symmetric, and the largest amount by which a feature falls (Liu
    et al. 2023, arXiv:2208.08133): 0 from a point to itself, and the triangle inequality holds.
    """
    symmetric, asymmetric = (x - y).chunk(2, -1)
    length = symmetric.square().sum(-1).clamp_min(TINY).sqrt()
    return length + asymmetric.relu().amax(-1)


@BONUSES.register("temporal_distance")
def temporal_distance(seed: int) -> TemporalDistance:
    """Least learned temporal distance from the states of the episode: ETD."""
    return TemporalDistance(seed=seed)
