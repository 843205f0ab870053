"""A function of observations, computed in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import Observations, batches, is_single
from latentrl.types import Array


def batched(
    model: Autoencoder, function: Callable[[Array], Array], observations: Observations
) -> Array:
    """Apply ``function`` to checked batches of ``observations`` and join the results.

    Args:
        model: the model whose observation space the observations must belong to.
        function: from ``(B, *observation_shape)`` to ``(B, ...)``.
        observations: an array, with or without ``B``, Frames or a path.

    Returns:
        ``(B, ...)``, or without ``B`` for one observation.

    Raises:
        ValueError: shape, dtype or values do not belong to the observation space.
    """
    results = np.concatenate([function(batch) for batch in batches(model, observations)])
    return results[0] if is_single(model, observations) else results
