"""Reconstruction error of an autoencoder that is trained online: low for familiar states."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.novelty.base import BONUSES, Bonus, prefixed, substate
from latentrl.novelty.composite import Product
from latentrl.novelty.counts import FirstVisits
from latentrl.novelty.frame_buffer import FrameBuffer
from latentrl.training.optimizer_state import (
    gradient_step,
    load_optimizer_tensors,
    optimizer_tensors,
)
from latentrl.types import Array, Encoder, LatentLayout, Transitions

SCHEDULES_DONE = 1 << 62
"""Gradient step at which every schedule of a loss term has ended: the model is pretrained."""
RECENT, FAMILIAR = 2_000, 0.1
"""Number of newest scores, and their quantile that is the baseline of familiar states."""
GRADIENT_CLIP = 1000.0
NATS_PER_BYTE = 8 * math.log(2)


@dataclass(frozen=True)
class OnlineTraining:
    """Hyperparameters of the online training of the live model, named as in SB3."""

    buffer_size: int = 10_000
    """Frames in the ring buffer of the newest, and as many in the reservoir of all."""
    learning_starts: int = 1_000
    """Frames before the first gradient step."""
    train_freq: int = 256
    """Frames from one training to the next."""
    gradient_steps: int = 4
    """Gradient steps of each training."""
    batch_size: int = 64
    """Frames of a gradient step, half from the ring buffer and half from the reservoir."""
    learning_rate: float = 3e-4
    """Adam learning rate."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for values out of range, by the field's name."""
        for name in ("buffer_size", "train_freq", "gradient_steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.learning_starts < 0 or not self.learning_rate > 0:
            raise ValueError(
                "online training needs learning_starts >= 0 and a positive learning_rate, got "
                f"learning_starts={self.learning_starts}, learning_rate={self.learning_rate}"
            )


def png_nats(images: Array) -> Array:
    """Return the sizes of uint8 ``images (B, H, W, C)`` as PNG files, in nats, float32 ``(B,)``."""
    sizes = [len(cv2.imencode(".png", image)[1]) for image in images]
    return np.array(sizes, np.float32) * NATS_PER_BYTE


def _trainable_copy(model: Autoencoder) -> Autoencoder:
    """Copy ``model``, with those weights trainable that ``fit`` trains.

    All weights of the agent's model are frozen. A new model of the same config shows which of them
    are fixed in training too, such as a fixed sigma.
    """
    live = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        built = Autoencoder(model.config)
    for weight, fresh in zip(live.parameters(), built.parameters(), strict=True):
        weight.requires_grad_(fresh.requires_grad)
    return live


class ReconstructionNovelty(Bonus):
    """-log p(x given z) of a state under a live copy of the model, in nats above a baseline.

    The agent's encoder stays frozen. The copy continues to train, so that the bonus of a state
    decreases with its visits; the error of a frozen model never decreases. It trains on frames
    without their predecessors: the loss "change" is 0 there, as in the bonus. A decoder with a
    variance for each value gives a low bonus to noise in a region of the image; an image that is
    all noise still has a high one.
    """

    def __init__(
        self,
        model: Autoencoder,
        online: OnlineTraining = OnlineTraining(),
        floor: float | None = None,
        latent_kl: float = 0.0,
        complexity: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Copy ``model``, which is not changed.

        Args:
            model: a pretrained model with a decoder.
            online: hyperparameters of the training of the copy.
            floor: baseline in nats that is subtracted, results below 0 being 0; None takes the 0.1
                quantile of the newest scores, the nll of familiar states.
            latent_kl: weight of the posterior's KL divergence beside the nll.
            complexity: weight of the size of the image as a PNG, in nats, which is subtracted: an
                image that is hard to compress is not therefore novel (Serra et al. 2020,
                arXiv:1909.11480).
            seed: of the frame buffer and the training noise.

        Raises:
            ValueError: the model has no decoder or its likelihood is of features, ``latent_kl``
                needs a Gaussian posterior, or ``complexity`` needs 8-bit images.
        """
        _check(model, latent_kl, complexity)
        self.live = _trainable_copy(model)
        self.online, self.floor = online, floor
        self.latent_kl, self.complexity = latent_kl, complexity
        self.buffer = FrameBuffer(online.buffer_size, seed)
        self.generator = torch.Generator(model.device).manual_seed(seed)
        weights = [weight for weight in self.live.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.Adam(weights, online.learning_rate, fused=True)
        self.gradient_steps = 0
        self.baseline_nll = 0.0
        """Quantile ``FAMILIAR`` of the newest scores, in nats."""
        self._nll = 0.0
        self._recent: Array = np.zeros(0, np.float32)

    def score(self, transitions: Transitions) -> Array:
        """Return the nats above the baseline, float32 ``(B,)``."""
        return self._above_floor(self._nats(transitions.next_observations))

    def update(self, transitions: Transitions) -> None:
        """Add the frames to the buffer, update the baseline, and train when it is due."""
        self.step(transitions)

    def step(self, transitions: Transitions) -> Array:
        """Score, then update, from one upload and one pass of each frame."""
        nats = self._nats(transitions.next_observations)
        scores = self._above_floor(nats)
        self._nll = float(nats.mean())
        self._set_recent(np.concatenate([self._recent, nats])[-RECENT:])
        self._add(transitions.next_observations)
        return scores

    def _add(self, frames: Array) -> None:
        period = self.online.train_freq
        before = self.buffer.added // period
        self.buffer.add(frames)
        due = self.buffer.added // period > before
        if due and self.buffer.added >= self.online.learning_starts:
            self.train()

    @torch.inference_mode()
    def _nats(self, observations: Array) -> Array:
        """Return nll, KL divergence and complexity with their weights, float32 ``(B,)``."""
        frames = torch.from_numpy(np.require(observations, requirements=["C", "W"]))
        x = self.live.preprocess(frames.to(self.live.device))
        posterior, _, outputs = self.live.eval()(x)
        nats = -self.live.likelihood.log_prob(outputs.float(), x).flatten(1).sum(1)
        if self.latent_kl:
            nats = nats + self.latent_kl * posterior.kl().sum(1)
        total: Array = nats.float().cpu().numpy()
        return total - self.complexity * png_nats(observations) if self.complexity else total

    def _above_floor(self, nats: Array) -> Array:
        floor = self.baseline_nll if self.floor is None else self.floor
        bonus: Array = np.maximum(nats - floor, 0)
        return bonus

    def _set_recent(self, nats: Array) -> None:
        self._recent = nats
        self.baseline_nll = float(np.quantile(nats, FAMILIAR)) if len(nats) else 0.0

    def train(self) -> None:
        """Take ``online.gradient_steps`` steps on frames of the buffer."""
        for _ in range(self.online.gradient_steps):
            frames = torch.from_numpy(self.buffer.sample(self.online.batch_size))
            x = self.live.train().preprocess(frames.to(self.live.device))
            noise = self.live.sample_noise(x, self.generator)
            terms, _ = self.live.losses(x, *noise, SCHEDULES_DONE)
            gradient_step(torch.stack(list(terms.values())).sum(), self.optimizer, GRADIENT_CLIP)
            self.gradient_steps += 1

    def state_dict(self) -> dict[str, Tensor]:
        """Return live weights, the optimizer's moments, the buffer and the newest scores."""
        weights = {name: tensor.clone() for name, tensor in self.live.state_dict().items()}
        return {
            **prefixed("live.", weights),
            **prefixed("buffer.", self.buffer.state_dict()),
            **optimizer_tensors(self.optimizer),
            "gradient_steps": torch.tensor(self.gradient_steps),
            "recent": torch.from_numpy(self._recent.copy()),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state_dict`` returned; the noise starts from a new seed."""
        self.live.load_state_dict(substate("live.", state))
        self.buffer.load_state_dict(substate("buffer.", state))
        load_optimizer_tensors(self.optimizer, state)
        self.gradient_steps = int(state["gradient_steps"])
        self.generator.manual_seed(self.buffer.seed + self.gradient_steps)
        self._set_recent(state["recent"].numpy().copy())

    def metrics(self) -> dict[str, float]:
        """Return the mean nll of the newest step and the baseline, in nats."""
        return {"nll": self._nll, "baseline_nll": self.baseline_nll}


def _check(model: Autoencoder, latent_kl: float, complexity: float) -> None:
    name, space = model.config.model, model.observation_space
    if model.decoder is None:
        raise ValueError(f"a {name!r} model has no decoder, and so no reconstruction error")
    if not model.has_pixel_likelihood:
        raise ValueError(f"a {name!r} model has a likelihood of features, and none of pixels")
    if complexity and not (is_image(space) and space.dtype == np.uint8):
        raise ValueError("complexity is the PNG size of uint8 images; set it to 0")
    if latent_kl and not model.variational:
        raise ValueError("latent_kl needs a model with a Gaussian posterior, such as 'beta_vae'")


@BONUSES.register("reconstruction")
def reconstruction(encoder: Encoder, seed: int) -> Product:
    """Nll of a live copy of the encoder, for first visits in an episode."""
    if not isinstance(encoder, Autoencoder):
        raise ValueError(
            f"novelty 'reconstruction' needs a latentrl.Autoencoder, got {type(encoder).__name__}; "
            "use 'counts'"
        )
    visits = FirstVisits(width=LatentLayout.of(encoder).token_width)
    return Product([ReconstructionNovelty(encoder, seed=seed), visits])
