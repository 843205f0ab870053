"""Base class of prediction errors as bonuses: inputs, networks built lazily, and their state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from latentrl.novelty.base import Bonus, check_state, describe, prefixed, substate
from latentrl.training.optimizer_state import load_optimizer_tensors, optimizer_tensors
from latentrl.types import Array

CLIP = 5.0
"""Normalised inputs are clipped to -5..5, as in the code of both papers."""
NETWORKS, GENERATOR = "networks.", "generator"


class RunningNormalizer(nn.Module):
    """Standardises each value by its running mean and variance."""

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Start with mean 0 and variance 1 for values of ``shape``."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))
        # float64: in float32 the count stops to grow at 2^24 values.
        self.register_buffer("count", torch.tensor(1e-4, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x (B, *shape)`` standardised and clipped."""
        return ((x - self.mean) / (self.variance + 1e-8).sqrt()).clamp(-CLIP, CLIP)

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Add the batch ``x (B, *shape)`` to the statistics."""
        # Chan et al. 1983 with f = n / (m + n): the variance of the union is the weighted mean of
        # both variances plus f (1 - f) delta^2.
        mean = x.mean(0)
        variance = x.var(0, correction=0)
        total = self.count + len(x)
        delta = mean - self.mean
        f = (len(x) / total).to(x.dtype)
        self.variance += f * (variance - self.variance) + f * (1 - f) * delta.square()
        self.mean += f * delta
        self.count.copy_(total)


class PredictionBonus(Bonus):
    """Base class of bonuses that are prediction errors of networks, on latents or pixels.

    The networks are built from the seed at the first batch, whose shape they need. Until the first
    update the seed alone determines them, and ``state_dict`` is empty.
    """

    def __init__(self, of: Literal["latents", "pixels"], learning_rate: float, seed: int) -> None:
        """Set up the inputs and the optimizer.

        Args:
            of: "latents", or "pixels" of image observations.
            learning_rate: Adam learning rate.
            seed: of the networks and of the draws.

        Raises:
            ValueError: ``of`` is unknown, or the learning rate is not positive.
        """
        if of not in ("latents", "pixels"):
            raise ValueError(f"unknown inputs {of!r}; known: latents, pixels")
        if not learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {learning_rate}")
        self.of, self.learning_rate, self.seed = of, learning_rate, seed
        self.generator = torch.Generator()
        self.optimizer: torch.optim.Optimizer
        self.error = 0.0
        """Mean prediction error of the newest update."""
        self._networks: nn.ModuleDict | None = None
        self._updated = False
        self._loaded: dict[str, Tensor] = {}

    @abstractmethod
    def build(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        """Return the named networks for inputs of ``shape``, without the batch dimension."""

    def inputs(self, observations: Array, latents: Array) -> Tensor:
        """Return what the networks take: latents, or pixels in 0..1 with channels first.

        Raises:
            ValueError: ``of`` is "pixels" and observations are not images.
        """
        if self.of == "latents":
            return torch.from_numpy(np.require(latents, np.float32, ["C", "W"]))
        grey = observations.ndim == 3 and observations.dtype == np.uint8
        frames = observations[..., None] if grey else observations
        if frames.ndim != 4:
            raise ValueError(
                f"of='pixels' needs images (B, H, W, C), got shape {observations.shape}; "
                "use of='latents'"
            )
        pixels = torch.from_numpy(np.require(frames, requirements=["C", "W"]))
        return pixels.permute(0, 3, 1, 2).float() / 255

    def networks(self, x: Tensor) -> nn.ModuleDict:
        """Return the networks for inputs like ``x (B, *shape)``."""
        if self._networks is None:
            with torch.random.fork_rng(devices=[]):  # leaves the global generator as it is
                torch.manual_seed(self.seed)
                self._networks = nn.ModuleDict(self.build(tuple(x.shape[1:])))
            weights = [weight for weight in self._networks.parameters() if weight.requires_grad]
            self.optimizer = torch.optim.Adam(weights, self.learning_rate)
            self.generator.manual_seed(self.seed)
            self._restore(self._networks)
        return self._networks

    def normalize_by(self, networks: nn.ModuleDict, x: Tensor) -> None:
        """Add ``x`` to the statistics, which ends an update."""
        normalizer = networks["normalizer"]
        assert isinstance(normalizer, RunningNormalizer)
        normalizer.update(x)
        self._updated = True

    def _restore(self, networks: nn.ModuleDict) -> None:
        if self._loaded:
            weights = substate(NETWORKS, self._loaded)
            shapes = {name: value.shape for name, value in networks.state_dict().items()}
            if shapes != {name: value.shape for name, value in weights.items()}:
                raise ValueError(
                    f"{self.name} expected {describe(networks.state_dict())}, got "
                    f"{describe(weights)}: the state is that of other latents or another bonus"
                )
            networks.load_state_dict(weights)
            load_optimizer_tensors(self.optimizer, self._loaded)
            self.generator.set_state(self._loaded[GENERATOR])

    def state_dict(self) -> dict[str, Tensor]:
        """Return the networks, the optimizer's moments and the state of the generator."""
        if self._networks is None or not self._updated:
            return dict(self._loaded)
        weights = {name: weight.clone() for name, weight in self._networks.state_dict().items()}
        return {
            **prefixed(NETWORKS, weights),
            **optimizer_tensors(self.optimizer),
            GENERATOR: self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state_dict`` returned, once the networks are built again.

        Raises:
            ValueError: it is the state of another kind of bonus.
        """
        if state and not substate(NETWORKS, state):
            raise ValueError(f"{self.name} expected {NETWORKS}*, got {describe(state)}")
        if state:
            check_state(self.name, state, GENERATOR)
        self._loaded = {name: value.clone() for name, value in state.items()}
        self._networks, self._updated = None, False

    def metrics(self) -> dict[str, float]:
        """Return the mean prediction error of the newest update."""
        return {"prediction_error": self.error}
