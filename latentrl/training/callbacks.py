"""Hooks of the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from latentrl.data.frames import Frames
from latentrl.models.autoencoder import Autoencoder
from latentrl.training.health import Health


class FitCallback(Protocol):
    """Hook of ``fit``, for example to log its metrics."""

    def on_epoch_end(
        self, model: Autoencoder, validation: Frames, row: Mapping[str, float], health: Health
    ) -> None:
        """Run after each validation, at the end of an epoch, once the best model is saved.

        Args:
            model: the model in training, with the latent statistics of this epoch.
            validation: the held-out frames.
            row: the row of the history.
            health: metrics of ``model`` on ``validation``.
        """
