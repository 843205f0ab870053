"""FitConfig: how to train, the same for every model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Schedule = Literal["cosine", "constant"]
Precision = Literal["auto", "bfloat16", "float32"]
SCHEDULES, PRECISIONS = get_args(Schedule), get_args(Precision)


@dataclass(frozen=True)
class FitConfig:
    """Hyperparameters of ``fit``."""

    epochs: int = 10
    """Passes over the training frames."""
    steps: int | None = None
    """Gradient steps; replaces ``epochs``."""
    batch_size: int = 128
    """Frames per gradient step."""
    learning_rate: float = 1e-3
    """Adam learning rate of the first step."""
    schedule: Schedule = "cosine"
    """Learning rate schedule: "cosine" down to a hundredth, or "constant"."""
    gradient_clip: float | None = 1000.0
    """Largest norm of the gradient, of a loss in nats per frame; None does not clip."""
    validation: float = 0.1
    """Fraction of the episodes held out for validation."""
    patience: int | None = None
    """Epochs without a better validation loss before an early stop; None never stops early."""
    precision: Precision = "auto"
    """Precision of the forward pass; "auto" is bfloat16 where the processor supports it."""
    compile: bool = False
    """Whether to use ``torch.compile``; needs a C++ compiler; worth it for long runs."""
    seed: int = 0
    """Seed of the split, the order of the frames and the noise."""
    device: str = "auto"
    """Device such as "cpu" or "cuda:0"; "auto" is the GPU where there is one."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for an invalid value."""
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("steps", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1 or None, got {value}")
        if not self.learning_rate > 0:  # also refuses NaN
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise ValueError(f"gradient_clip must be positive or None, got {self.gradient_clip}")
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"unknown {name} {getattr(self, name)!r}; known: {', '.join(known)}"
                )
