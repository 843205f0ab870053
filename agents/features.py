"""A features extractor for latents that are laid out as a grid of cells."""

from __future__ import annotations

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from latentrl.types import LatentLayout


class CellFeatures(BaseFeaturesExtractor):
    """Features of every cell of a latent grid, by one network whose weights all cells share.

    What a cell means, such as a key, is then learned once and not once for each position.
    Observations are ``stack`` latents, each with or without its episodic count:
    ``(B, stack * (channels * cells))`` or ``(B, stack * (channels * cells + 1))``. Counts pass
    through unchanged.
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        layout: LatentLayout,
        stack: int = 1,
        width: int = 8,
        rectified: bool = True,
    ) -> None:
        """Make the network for the cells.

        Args:
            observation_space: the agent's observations.
            layout: the latents' grid of cells and channels.
            stack: latents in one observation.
            width: features per cell.
            rectified: whether the features end with a ReLU. Without one, no feature starts with
                zero gradient for some kind of cell.
        """
        per_latent = observation_space.shape[0] // stack
        counts = per_latent - layout.latent_dim
        super().__init__(observation_space, stack * (layout.cells * width + counts))
        self.layout = layout
        self.stack = stack
        last = [nn.ReLU()] if rectified else []
        self.network = nn.Sequential(
            nn.Linear(layout.channels, 2 * width), nn.ReLU(), nn.Linear(2 * width, width), *last
        )

    def forward(self, observations: Tensor) -> Tensor:
        """Return the features of all cells, then the counts, ``(B, features_dim)``."""
        layout = self.layout
        stacked = observations.reshape(len(observations), self.stack, -1)
        latents, counts = stacked.tensor_split([layout.latent_dim], 2)
        # Channels come first in a latent: (B, stack, channels, cells), as a convolution leaves it.
        cells = latents.reshape(*stacked.shape[:2], layout.channels, layout.cells).transpose(2, 3)
        features = self.network(cells)  # (B, stack, cells, width)
        return torch.cat([features.flatten(1), counts.flatten(1)], 1)
