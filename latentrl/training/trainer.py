"""One call of ``fit``."""

from latentrl.training.fit import _Trainer as Trainer

__all__ = ["Trainer"]
