"""FitConfig: how to train, the same for every model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, get_args

from latentrl.data.checks import check_validation

Schedule = Literal["cosine", "constant"]
Precision = Literal["auto", "bfloat16", "float32"]
SCHEDULES, PRECISIONS = get_args(Schedule), get_args(Precision)
EPOCHS = 8
LEAST_STEPS = 1_500
"""Least number of gradient steps, unless epochs or steps are given: few frames need many epochs."""
VALIDATION_INTERVAL, LEAST_VALIDATIONS = 50, 20
"""Steps between two validations, if these are enough; an epoch is the least."""


@dataclass(frozen=True)
class FitConfig:
    """Hyperparameters of ``fit``."""

    epochs: int | None = None
    """Passes over the training frames; None is 8, or as many as make 1,500 gradient steps."""
    steps: int | None = None
    """Gradient steps; replaces ``epochs``. With 0 the weights stay as they are, and ``fit``
    measures the statistics of the latents, and those of preprocessing at the first time."""
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
    """Validations without a better loss before an early stop; None never stops early."""
    precision: Precision = "auto"
    """Precision of the forward pass; "auto" is bfloat16 where the processor supports it."""
    compile: bool = False
    """Whether to use ``torch.compile``; needs a C++ compiler; worth it for long runs."""
    seed: int = 0
    """Seed of the split, the order of the frames and the noise. The weights of a new model have
    PyTorch's: call ``torch.manual_seed`` before it is built."""
    device: str = "auto"
    """Device such as "cpu" or "cuda:0"; "auto" is the GPU where there is one."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for an invalid value."""
        self._check_counts(("batch_size", 1), ("seed", 0))
        given = (("epochs", 1), ("steps", 0), ("patience", 1))
        self._check_counts(*(pair for pair in given if getattr(self, pair[0]) is not None))
        if not self.learning_rate > 0:  # also refuses NaN
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        check_validation(self.validation)
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise ValueError(f"gradient_clip must be positive or None, got {self.gradient_clip}")
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"unknown {name} {getattr(self, name)!r}; known: {', '.join(known)}"
                )

    def _check_counts(self, *least: tuple[str, int]) -> None:
        for name, lowest in least:
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < lowest:
                raise ValueError(
                    f"{name} must be a whole number of at least {lowest}, got {value!r}"
                )

    def steps_per_epoch(self, frames: int) -> int:
        """Return the gradient steps of one pass over this number of training frames."""
        return math.ceil(frames / self.batch_size)

    def total_steps(self, frames: int) -> int:
        """Return the gradient steps of a whole training, which an early stop cuts short."""
        per_epoch = self.steps_per_epoch(frames)
        if self.steps is not None:
            return self.steps
        return (self.epochs or max(EPOCHS, math.ceil(LEAST_STEPS / per_epoch))) * per_epoch

    def validation_interval(self, frames: int) -> int:
        """Return the gradient steps between two validations, a multiple of an epoch's."""
        per_epoch = self.steps_per_epoch(frames)
        wanted = min(VALIDATION_INTERVAL, self.total_steps(frames) // LEAST_VALIDATIONS)
        return max(1, math.ceil(wanted / per_epoch)) * per_epoch
