"""Reconstruction error of a model that keeps learning: high where it has rarely been."""

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
from latentrl.novelty.base import NOVELTIES, Bonus, below
from latentrl.novelty.frame_buffer import Memory
from latentrl.training.optimizer_state import load_optimizer_tensors, optimizer_tensors
from latentrl.types import Array

SCHEDULES_DONE = 1 << 62
"""Gradient steps after which every schedule of a penalty is at its end: the model was trained
before."""
RECENT, FAMILIAR = 2_000, 0.1
"""How many of the newest scores say what is usual, and which quantile of them a familiar state is
taken to have."""
NATS_PER_BYTE = 8 * math.log(2)


@dataclass(frozen=True)
class Learning:
    """How the live model keeps learning."""

    memory: int = 10_000
    """Frames in the ring of the newest, and as many in the reservoir of all."""
    learning_starts: int = 1_000
    """Frames to see before the first step."""
    train_freq: int = 256
    """Frames between trainings."""
    gradient_steps: int = 4
    """Steps of each training."""
    batch_size: int = 64
    """Frames of a step, half newest and half remembered."""
    learning_rate: float = 3e-4
    """Adam's step size."""

    def __post_init__(self) -> None:
        """Refuse values without a meaning, by the field's name."""
        for name in ("memory", "train_freq", "gradient_steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.learning_starts < 0 or not self.learning_rate > 0:
            raise ValueError(
                "learning needs learning_starts >= 0 and a positive learning_rate, got "
                f"learning_starts={self.learning_starts}, learning_rate={self.learning_rate}"
            )


def png_nats(images: Array) -> Array:
    """Return the sizes of uint8 ``images (B, H, W, C)`` as PNG files, in nats, float32 ``(B,)``."""
    sizes = [len(cv2.imencode(".png", image)[1]) for image in images]
    return np.array(sizes, np.float32) * NATS_PER_BYTE


def _trainable_copy(model: Autoencoder) -> Autoencoder:
    """Copy a model, to train what ``fit`` would: a fixed sigma and a frozen model of features stay
    as they are.
    """
    live = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        built = Autoencoder(model.config)
    for weight, fresh in zip(live.parameters(), built.parameters(), strict=True):
        weight.requires_grad_(fresh.requires_grad)
    return live


@NOVELTIES.register("reconstruction")
class ReconstructionNovelty(Bonus):
    """-log p of a state under a live copy of the model, in nats, less what any model would need.

    The agent keeps the frozen model's codes; the live copy learns on, so that the bonus of a place
    falls with its visits. A frozen model's error would never fall. A decoder with a variance for
    every value pays less for noise in a part of the picture; a picture that is all noise is still
    paid for.
    """

    def __init__(
        self,
        model: Autoencoder,
        learning: Learning = Learning(),
        floor: float | None = None,
        latent_kl: float = 0.0,
        complexity: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Copy ``model``, which stays as it is.

        Args:
            model: a pretrained model with a decoder.
            learning: how the copy keeps learning.
            floor: nats below which a state is not new; None takes the lowest tenth of the newest
                scores, what familiar states need. The part above the floor is the bonus.
            latent_kl: weight of the posterior's KL divergence beside the reconstruction.
            complexity: weight of the image's size as a PNG, in nats, which is taken off: what is
                hard to draw is not therefore new (Serra et al. 2020, arXiv:1909.11480).
            seed: of memory and noise.

        Raises:
            ValueError: the model has no decoder or measures features, ``latent_kl`` needs a
                Gaussian code, or ``complexity`` 8-bit images.
        """
        if model.decoder is None:
            raise ValueError(
                f"a {model.config.model!r} model has no decoder, and so no reconstruction error"
            )
        if not model.has_pixel_likelihood:
            raise ValueError(
                f"a {model.config.model!r} model measures features, and knows no likelihood of pixels"
            )
        space = model.observation_space
        if complexity and not (is_image(space) and space.dtype == np.uint8):
            raise ValueError("complexity is that of images of uint8, as PNG files")
        if latent_kl and not model.variational:
            raise ValueError("latent_kl needs a model with a Gaussian code, such as 'beta_vae'")
        self.live = _trainable_copy(model)
        self.learning, self.floor, self.latent_kl, self.complexity = (
            learning,
            floor,
            latent_kl,
            complexity,
        )
        self.memory = Memory(learning.memory, seed)
        self.generator = torch.Generator(model.device).manual_seed(seed)
        weights = [weight for weight in self.live.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.Adam(weights, learning.learning_rate, fused=True)
        self.steps, self.usual = 0, 0.0
        self._raw: Array = np.zeros(0, np.float32)
        self._recent: Array = np.zeros(0, np.float32)

    @torch.inference_mode()
    def score(self, observations: Array, latents: Array) -> Array:
        """Return the nats above the floor."""
        frames = torch.from_numpy(np.require(observations, requirements=["C", "W"]))
        x = self.live.preprocess(frames.to(self.live.device))
        code, _, outputs = self.live.eval()(x)
        nats = -self.live.likelihood.log_prob(outputs.float(), x).flatten(1).sum(1)
        if self.latent_kl:
            nats = nats + self.latent_kl * code.kl().sum(1)
        self._raw = nats.float().cpu().numpy()
        if self.complexity:
            self._raw = self._raw - self.complexity * png_nats(observations)
        floor = self.usual if self.floor is None else self.floor
        bonus: Array = np.maximum(self._raw - floor, 0)
        return bonus

    def update(self, observations: Array, latents: Array) -> None:
        """Remember the frames; train when it is time."""
        before = self.memory.seen
        self.memory.add(observations)
        if len(self._raw):
            self._recent = np.concatenate([self._recent, self._raw])[-RECENT:]
            self.usual = float(np.quantile(self._recent, FAMILIAR))
        period, seen = self.learning.train_freq, self.memory.seen
        if seen >= self.learning.learning_starts and seen // period > before // period:
            self.train()

    def train(self) -> None:
        """Take ``gradient_steps`` steps on remembered frames."""
        for _ in range(self.learning.gradient_steps):
            frames = torch.from_numpy(self.memory.sample(self.learning.batch_size)).to(
                self.live.device
            )
            x = self.live.train().preprocess(frames)
            terms, _ = self.live.losses(
                x, *self.live.sample_noise(x, self.generator), SCHEDULES_DONE
            )
            self.optimizer.zero_grad(set_to_none=True)
            torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.live.parameters(), 1000.0)
            self.optimizer.step()
            self.steps += 1

    def state_dict(self) -> dict[str, Tensor]:
        """Return the live weights, the optimizer's moments, the remembered frames and the newest
        scores.
        """
        weights = {
            f"live.{name}": tensor.clone() for name, tensor in self.live.state_dict().items()
        }
        remembered = {f"memory.{name}": tensor for name, tensor in self.memory.state_dict().items()}
        own = {"steps": torch.tensor(self.steps), "recent": torch.from_numpy(self._recent.copy())}
        return {**weights, **optimizer_tensors(self.optimizer), **remembered, **own}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take what ``state`` returned."""
        self.live.load_state_dict(below("live.", state))
        self.memory.load_state_dict(below("memory.", state))
        load_optimizer_tensors(self.optimizer, state)
        self.steps, self._recent = int(state["steps"]), state["recent"].numpy().copy()
        self.generator.manual_seed(self.memory.seed + self.steps)
        self.usual = float(np.quantile(self._recent, FAMILIAR)) if len(self._recent) else 0.0

    def metrics(self) -> dict[str, float]:
        """Return the newest mean error and the usual one, in nats."""
        return {
            "nats": float(self._raw.mean()) if len(self._raw) else 0.0,
            "usual_nats": self.usual,
        }
