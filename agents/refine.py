"""Refine the encoder of a learning agent on the frames that the agent visits."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from agents.config import AgentConfig
from agents.encoder_swap import latent_host
from agents.quality import LEAST_FRAMES
from agents.visited import VisitedFrames, pretraining_frames
from latentrl import FitConfig, Frames
from latentrl.data.joined import joined
from latentrl.models.autoencoder import Autoencoder
from latentrl.share.card import QUALITY, card_invariance
from latentrl.training.health import health
from latentrl.training.invariance import INVARIANCE, r2
from latentrl.training.quality import quality
from latentrl.training.refine import LEAST_STD, check_refinable, refined
from latentrl.types import Array

CAPACITY = 10_000
"""Most frames of the agent, and most frames of the pretraining, that a refinement trains on."""
STEPS, BATCH_SIZE = 500, 32
"""Gradient steps of a refinement, and frames of each."""
LEARNING_RATE = 3e-4
LEAST_RECORDED = 0.1
"""Least fraction of the frames with which a run that is resumed late is refined."""
HELD_OUT = 0.1
"""Fraction of the episodes, of the agent's and of the pretraining's, that are held out."""


@dataclass(frozen=True)
class Refinement:
    """Result of one refinement; metrics are of held-out frames."""

    encoder: Autoencoder
    """The refined encoder."""
    frames: tuple[int, int]
    """Number of the agent's frames, and of those of the pretraining."""
    before: float
    """Reconstruction loss of the agent's frames before, in nats per frame."""
    after: float
    """The same after the refinement."""
    moved: float
    """Median distance of a frame's latent from its old latent, in standard deviations."""
    seconds: float
    """Wall time."""

    def __str__(self) -> str:
        """Describe the refinement in one line."""
        visited, pretrained = self.frames
        return (
            f"encoder refined on {visited:,} frames of the agent and {pretrained:,} of the "
            f"pretraining, {STEPS} gradient steps in {self.seconds:.0f} s: reconstruction of the "
            f"agent's frames {self.before:.1f} -> {self.after:.1f} nats, latents moved by "
            f"{self.moved:.2f} standard deviations"
        )


def check_refine_at(refine_at: Sequence[int], encoder: Autoencoder, agent: AgentConfig) -> None:
    """Check, before a run starts, that its encoder can be refined at these timesteps.

    Raises:
        ValueError: the encoder is not trained by gradient steps, or the training ends before.
    """
    if not refine_at:
        return
    check_refinable(encoder)
    total = agent.hyperparameters["timesteps"]
    if refine_at[-1] >= total:
        raise ValueError(
            f"refine_at must lie before the end of the training at {total:,} timesteps, got "
            f"{refine_at[-1]:,}"
        )


def refine(
    encoder: Autoencoder, visited: Frames, pretrained: Frames | None, seed: int = 0
) -> Refinement:
    """Train a copy of ``encoder`` further, on frames of an agent and of the pretraining.

    Args:
        encoder: the agent's encoder, which stays as it is.
        visited: the agent's frames.
        pretrained: frames of the pretraining, where they are still there.
        seed: seed of the split and of the order of the frames.

    Raises:
        ValueError: fewer than two of the agent's frames differ.
        FloatingPointError: the loss is no longer finite.
    """
    start = time.perf_counter()
    visited = visited.distinct()
    training, own = visited.split(HELD_OUT, seed)
    validation = own
    if pretrained is not None:
        parts = pretrained.split(HELD_OUT, seed)
        training, validation = joined(training, parts[0]), joined(validation, parts[1])
    config = FitConfig(steps=STEPS, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE, seed=seed)
    invariance = card_invariance(encoder)
    kept = [] if invariance is None else invariance.corruptions
    result = refined(encoder, training, validation, config, corruptions=kept)
    if invariance is not None:
        after = r2(result, result, validation, kept)  # its own clean latents are the right ones now
        result.metadata[INVARIANCE] = dataclasses.asdict(
            dataclasses.replace(invariance, after=after)
        )
    if result.metadata.pop(QUALITY, None) is not None and len(own) >= LEAST_FRAMES:
        result.metadata[QUALITY] = dataclasses.asdict(quality(result, own))
    return Refinement(
        result,
        (len(visited), 0 if pretrained is None else len(pretrained)),
        health(encoder, own).reconstruction,
        health(result, own).reconstruction,
        float(np.median(distances(encoder, result, validation))),
        time.perf_counter() - start,
    )


def distances(old: Autoencoder, new: Autoencoder, frames: Frames) -> Array:
    """Return how far the latent of each frame moved, ``(N,)``.

    It is the root mean square over the dimensions, in standard deviations of the old latents.
    """
    std = old.latent_std.clamp_min(LEAST_STD).cpu().numpy()
    moved = [(new.encode(batch) - old.encode(batch)) / std for batch in frames.batches()]
    distance: Array = np.sqrt(np.square(np.concatenate(moved)).mean(1))
    return distance


class RefineEncoder(BaseCallback):
    """Refines the agent's encoder at given timesteps, between two rollouts.

    It records the agent's newest frames before, at most ``CAPACITY``. A run that is resumed after
    its recording started records anew, and is refined later. The longer a refinement is overdue,
    the fewer frames suffice, down to ``LEAST_RECORDED``: otherwise a run that is killed again and
    again would never be refined.
    """

    def __init__(
        self,
        at: Sequence[int],
        seed: int,
        adopt: Callable[[Autoencoder, int], None],
        refined_at: int = 0,
    ) -> None:
        """Refine at the timesteps ``at``, in increasing order.

        Args:
            at: timesteps of all environments together.
            seed: seed of the training.
            adopt: gives the agent the refined encoder, for the timestep of ``at``.
            refined_at: newest timestep of ``at`` whose refinement is done already.
        """
        super().__init__()
        self.at, self.seed, self.adopt = at, seed, adopt
        self.refined_at = refined_at
        self._visited: VisitedFrames | None = None
        self._anew = False
        """Whether frames that were recorded before this run was resumed are missing."""

    def _next(self) -> int | None:
        return next((timestep for timestep in self.at if timestep > self.refined_at), None)

    def _on_step(self) -> bool:
        timestep = self._next()
        if timestep is None:
            return True
        size = self._size(timestep)
        if self.num_timesteps > timestep - size:
            transform = latent_host(self.model).transform
            if self._visited is None:
                steps = max(1, size // self.training_env.num_envs)
                self._visited = VisitedFrames(steps, _autoencoder(self.model))
            self._visited.add(transform.last_frames, self.locals["dones"])
        return True

    def _size(self, timestep: int) -> int:
        """Return the timesteps before ``timestep`` whose frames are recorded."""
        return min(CAPACITY, timestep - self.refined_at)

    def _on_training_start(self) -> None:
        done, timestep = self.model.num_timesteps, self._next()
        self._anew = bool(done and timestep and done > timestep - self._size(timestep))
        if self._anew:
            tqdm.write(
                f"frames to refine the encoder at {timestep:,} timesteps are recorded anew from "
                f"{done:,} on: it is refined when there are enough"
            )

    def _on_rollout_start(self) -> None:
        timestep, visited = self._next(), self._visited
        if timestep is None or visited is None or self.num_timesteps < timestep:
            return
        overdue = (self.num_timesteps - timestep) / self._size(timestep)
        if visited.fraction >= max(LEAST_RECORDED, 1 - overdue):
            self._refine(visited.frames(), timestep)
            self.refined_at, self._visited, self._anew = timestep, None, False

    def _on_training_end(self) -> None:
        timestep = self._next()
        if timestep is not None:
            reason = (
                f"a resumed run records the agent's frames anew, and the training ended at "
                f"{self.num_timesteps:,} with too few frames since the resumption"
                if self._anew
                else "refinements take place between two rollouts, and the training ended at "
                f"{self.num_timesteps:,} before the next one"
            )
            warnings.warn(
                f"the encoder is not refined at {timestep:,} timesteps: {reason}; train longer, or "
                "choose an earlier --refine-at",
                UserWarning,
                stacklevel=2,
            )

    def _refine(self, visited: Frames, timestep: int) -> None:
        if len(visited.distinct()) < 2:
            warnings.warn(
                f"the encoder is not refined at {timestep:,} timesteps: the agent's frames are all "
                "equal",
                UserWarning,
                stacklevel=2,
            )
            return
        encoder = _autoencoder(self.model)
        result = refine(encoder, visited, pretraining_frames(encoder, CAPACITY), self.seed)
        self.adopt(result.encoder, timestep)
        tqdm.write(f"{self.num_timesteps:,} timesteps: {result}")
        for name in ("before", "after", "moved"):
            self.logger.record(f"refine/{name}", getattr(result, name))


def _autoencoder(model: BaseAlgorithm) -> Autoencoder:
    encoder = latent_host(model).transform.encoder
    assert isinstance(encoder, Autoencoder)
    return encoder
