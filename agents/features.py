"""What an agent's network does first with codes that fall into patches."""

from __future__ import annotations

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn


class PatchFeatures(BaseFeaturesExtractor):
    """One small network for every patch: what a key is has to be learned once, and not at each
    place anew.

    Observations are ``stack`` codes, each with or without its visits: ``(B, stack * (latent_dim +
    1))``, laid out as those of the backbone 'patches' are. Visits go by as they are.
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        patches: int,
        stack: int = 1,
        width: int = 8,
        rectified: bool = True,
    ) -> None:
        """Share one network among all patches.

        Args:
            observation_space: of what the agent sees.
            patches: how many each code has.
            stack: codes that it sees at once.
            width: features of a patch.
            rectified: whether negative features are cut off. A network may begin with none that is
                positive for some object, which then teaches it nothing.
        """
        seen = observation_space.shape[0] // stack
        size = seen // patches
        super().__init__(observation_space, stack * (patches * width + seen - patches * size))
        self.patches, self.stack, self.size = patches, stack, size
        last = [nn.ReLU()] if rectified else []
        self.network = nn.Sequential(
            nn.Linear(size, 2 * width), nn.ReLU(), nn.Linear(2 * width, width), *last
        )

    def forward(self, observations: Tensor) -> Tensor:
        """Return the features ``(B, features_dim)`` of all patches, and what is beside them."""
        codes = observations.reshape(len(observations), self.stack, -1)
        patches, beside = codes.tensor_split([self.patches * self.size], 2)
        features = self.network(
            patches.reshape(*codes.shape[:2], self.size, self.patches).transpose(2, 3)
        )
        return torch.cat([features.flatten(1), beside.flatten(1)], 1)
