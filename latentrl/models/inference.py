"""Inference: codes found by optimisation, from the encoder's guess, while training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from latentrl.utils.registry import Registry

Energy = Callable[[Tensor], Tensor]
LARGEST_CURVATURE = 1e12


class Inference(Protocol):
    """Improves a guess of the codes of a batch."""

    def __call__(self, reconstruction: Energy, guess: Tensor) -> Tensor:
        """Return better codes ``(B, latent_dim)``, as constants.

        Args:
            reconstruction: maps codes to -log p(x | code) in nats, ``(B,)``.
            guess: the encoder's answer ``(B, latent_dim)``.
        """


INFERENCES: Registry[Inference] = Registry("inference")


@INFERENCES.register("fista")
@dataclass(frozen=True)
class Fista:
    """min over h of -log p(x | h) + sparsity * |h|_1 + prediction * |h - guess|^2, by proximal
    gradient.

    FISTA with backtracking, each observation at a step size of its own (Beck & Teboulle 2009, SIAM
    J. Imaging Sciences 2); the energy is that of Kavukcuoglu et al. 2008 (arXiv:1010.3467).
    """

    sparsity: float = 1.0
    """Weight of the L1 norm."""
    prediction: float = 1.0
    """Weight of the squared distance from the guess."""
    steps: int = 10
    """Proximal steps."""
    accelerated: bool = True
    """Nesterov's momentum; without it this is ISTA."""

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        if self.sparsity < 0 or self.prediction < 0 or self.steps < 1:
            raise ValueError(
                "fista needs sparsity >= 0, prediction >= 0 and steps >= 1, got "
                f"sparsity={self.sparsity}, prediction={self.prediction}, steps={self.steps}"
            )

    def __call__(self, reconstruction: Energy, guess: Tensor) -> Tensor:
        """Return the codes after ``steps`` steps from ``guess``."""
        guess = guess.detach().float()

        def smooth(h: Tensor) -> Tensor:
            return reconstruction(h) + self.prediction * (h - guess).square().sum(1)

        with torch.autocast(guess.device.type, enabled=False):
            return self._descend(smooth, guess)

    def _descend(self, smooth: Energy, guess: Tensor) -> Tensor:
        h = ahead = guess
        curvature, momentum = torch.ones_like(guess[:, :1]), 1.0
        for _ in range(self.steps):
            before = h
            h, curvature = self._step(smooth, ahead, curvature)
            following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2 if self.accelerated else 1.0
            ahead = h + (momentum - 1) / following * (h - before)
            momentum = following
        return h

    def _step(self, smooth: Energy, h: Tensor, curvature: Tensor) -> tuple[Tensor, Tensor]:
        value, slope = _value_and_slope(smooth, h)
        while True:
            moved = _shrink(h - slope / curvature, self.sparsity / curvature)
            too_long = self._overshoots(smooth, h, moved, value, slope, curvature)
            if not too_long.any():
                return moved, curvature
            curvature = torch.where(too_long, 2 * curvature, curvature)

    def _overshoots(
        self,
        smooth: Energy,
        h: Tensor,
        moved: Tensor,
        value: Tensor,
        slope: Tensor,
        curvature: Tensor,
    ) -> Tensor:
        step = moved - h
        bound = value + (slope * step).sum(1) + 0.5 * curvature[:, 0] * step.square().sum(1)
        rounding = 1e-5 * (1 + value.abs())
        with torch.no_grad():
            over = smooth(moved) > bound + rounding
        return (over & (curvature[:, 0] < LARGEST_CURVATURE))[:, None]


def _value_and_slope(smooth: Energy, h: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        h = h.detach().requires_grad_()
        value = smooth(h)
        (slope,) = torch.autograd.grad(value.sum(), h)
    return value.detach(), slope


def _shrink(h: Tensor, threshold: Tensor) -> Tensor:
    return h.sign() * (h.abs() - threshold).clamp(min=0)
