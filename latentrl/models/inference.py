"""Inference: latents found by optimisation during training, from the encoder's guess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from latentrl.utils.registry import Registry

Energy = Callable[[Tensor], Tensor]
LARGEST_CURVATURE = 1e12
"""Backtracking stops here: a step of 1e-12 is below the resolution of float32."""


class Inference(Protocol):
    """Refines the encoder's latents of a batch during training."""

    def __call__(self, reconstruction: Energy, guess: Tensor) -> Tensor:
        """Return refined latents ``(B, latent_dim)``, without gradient.

        Args:
            reconstruction: maps latents to -log p(x | latent) in nats, ``(B,)``.
            guess: the encoder's latents ``(B, latent_dim)``.
        """


INFERENCES: Registry[Inference] = Registry("inference")


@INFERENCES.register("fista")
@dataclass(frozen=True)
class Fista:
    """FISTA for min over h of -log p(x | h) + sparsity |h|_1 + prediction |h - guess|^2.

    With backtracking, each observation at a step length of its own (Beck & Teboulle 2009, SIAM J.
    Imaging Sciences 2); the energy is that of Kavukcuoglu et al. 2008 (arXiv:1010.3467).
    """

    sparsity: float = 1.0
    """Weight of the L1 norm."""
    prediction: float = 1.0
    """Weight of the squared distance from the guess."""
    steps: int = 10
    """Proximal steps."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for an invalid value."""
        if self.sparsity < 0 or self.prediction < 0 or self.steps < 1:
            raise ValueError(
                "fista needs sparsity >= 0, prediction >= 0 and steps >= 1, got "
                f"sparsity={self.sparsity}, prediction={self.prediction}, steps={self.steps}"
            )

    def __call__(self, reconstruction: Energy, guess: Tensor) -> Tensor:
        """Return the latents after ``steps`` steps from ``guess``."""
        guess = guess.detach().float()

        def smooth(h: Tensor) -> Tensor:
            return reconstruction(h) + self.prediction * (h - guess).square().sum(1)

        # In bfloat16 the descent test compares energies that differ by less than one rounding.
        with torch.autocast(guess.device.type, enabled=False):
            return self._descend(smooth, guess)

    def _descend(self, smooth: Energy, guess: Tensor) -> Tensor:
        h = ahead = guess
        curvature = torch.ones_like(guess[:, :1])  # (B, 1), L_k of the paper
        momentum = 1.0
        for _ in range(self.steps):
            before = h
            h, curvature = self._step(smooth, ahead, curvature)
            following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2  # equation 4.2
            ahead = h + (momentum - 1) / following * (h - before)  # equation 4.3
            momentum = following
        return h

    def _step(self, smooth: Energy, h: Tensor, curvature: Tensor) -> tuple[Tensor, Tensor]:
        value, slope = _value_and_slope(smooth, h)
        while True:
            moved = _shrink(h - slope / curvature, self.sparsity / curvature)
            step = moved - h
            # The step is short enough where the quadratic of this curvature bounds the energy.
            bound = value + (slope * step).sum(1) + 0.5 * curvature[:, 0] * step.square().sum(1)
            too_long = _exceeds(smooth, moved, bound, value)[:, None]
            too_long = too_long & (curvature < LARGEST_CURVATURE)
            if not too_long.any():
                return moved, curvature
            curvature = torch.where(too_long, 2 * curvature, curvature)


@torch.no_grad()
def _exceeds(smooth: Energy, h: Tensor, bound: Tensor, value: Tensor) -> Tensor:
    # Near the optimum both sides are equal up to rounding, which must not halve the step for ever.
    rounding = 1e-5 * (1 + value.abs())
    return smooth(h) > bound + rounding


def _value_and_slope(smooth: Energy, h: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        h = h.detach().requires_grad_()
        value = smooth(h)
        (slope,) = torch.autograd.grad(value.sum(), h)
    return value.detach(), slope


def _shrink(h: Tensor, threshold: Tensor) -> Tensor:
    """Return the proximal map of the L1 norm, soft thresholding."""
    return h.sign() * (h.abs() - threshold).clamp(min=0)
