"""Features extractors for latents that are laid out as a grid of cells."""

from __future__ import annotations

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from latentrl.types import LatentLayout


class GridFeatures(BaseFeaturesExtractor):
    """Features of a latent grid by two convolutions, which use what lies beside what.

    All cells share the weights of the convolutions. Observations are ``stack`` latents, each with
    or without its episodic count, as for ``CellFeatures``. Counts pass through unchanged.
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        layout: LatentLayout,
        stack: int = 1,
        width: int = 32,
    ) -> None:
        """Make the convolutions; arguments as for ``CellFeatures``.

        Args:
            observation_space: the agent's observations.
            layout: the latents' grid of cells and channels.
            stack: latents in one observation.
            width: channels of each convolution.
        """
        assert layout.grid is not None
        rows, columns = ((side + 1) // 2 for side in layout.grid)
        counts = observation_space.shape[0] // stack - layout.latent_dim
        super().__init__(observation_space, width * rows * columns + stack * counts)
        self.layout, self.grid, self.stack = layout, layout.grid, stack
        self.network = nn.Sequential(
            nn.Conv2d(stack * layout.channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )

    def forward(self, observations: Tensor) -> Tensor:
        """Return the features of the grid, then the counts, ``(B, features_dim)``."""
        latents, counts = split_counts(observations, self.layout, self.stack)
        grid = latents.reshape(len(latents), -1, *self.grid)
        return torch.cat([self.network(grid), counts.flatten(1)], 1)


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
        latents, counts = split_counts(observations, layout, self.stack)
        # Channels come first in a latent: (B, stack, channels, cells), as a convolution leaves it.
        cells = latents.reshape(*latents.shape[:2], layout.channels, layout.cells).transpose(2, 3)
        features = self.network(cells)  # (B, stack, cells, width)
        return torch.cat([features.flatten(1), counts.flatten(1)], 1)


def split_counts(observations: Tensor, layout: LatentLayout, stack: int) -> tuple[Tensor, Tensor]:
    """Return the latents ``(B, stack, latent_dim)`` and counts ``(B, stack, 0 or 1)``."""
    stacked = observations.reshape(len(observations), stack, -1)
    latents, counts = stacked.tensor_split([layout.latent_dim], 2)
    return latents, counts


FEATURES: dict[str, type[GridFeatures] | type[CellFeatures]] = {
    "grid_features": GridFeatures,
    "cell_features": CellFeatures,
}
"""Features extractors of latent grids by their names in ``policy_kwargs``."""
