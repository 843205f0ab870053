"""Reconstruction measured in the latents of another, frozen model (DARLA)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.config import AutoencoderConfig
from latentrl.models.likelihoods import GaussianLikelihood, Likelihood
from latentrl.models.losses.reconstruction import RECONSTRUCTIONS, Reconstruction

SMALLEST_STD = 1e-3
"""Lower bound of a feature's standard deviation: a constant feature would weigh without bound."""


@RECONSTRUCTIONS.register("features")
class Features(Reconstruction):
    """The likelihood of the standardised latents of a frozen model: the perceptual loss of DARLA.

    Higgins et al. 2017 (arXiv:1707.08475): J(decoded) against J(x), J being the encoder of a
    denoising autoencoder.
    """

    has_pixel_likelihood = False

    def __init__(self, model: Mapping[str, Any]) -> None:
        """Build the frozen model with fresh weights; ``complete`` loads trained ones.

        Args:
            model: its ``AutoencoderConfig`` as JSON.
        """
        super().__init__()
        self.model = Autoencoder(AutoencoderConfig.from_json(model)).requires_grad_(False)

    def check(self, likelihood: Likelihood, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` where likelihood or shape differ from what the features need."""
        if not isinstance(likelihood, GaussianLikelihood):
            raise ValueError(
                "features are measured by likelihood 'gaussian', with one sigma for all"
            )
        own = self.model.preprocess.shape
        if own != shape:
            raise ValueError(
                f"the features model takes inputs of shape {own}, this model inputs of shape "
                f"{shape}: give both the same space and preprocessing"
            )

    def nll(self, likelihood: Likelihood, outputs: Tensor, x: Tensor) -> Tensor:
        """Return -log p of each feature of ``x`` in nats, ``(B, features)``."""
        return -likelihood.log_prob(self._features(likelihood.mean(outputs)), self._features(x))

    def prerequisite(self) -> Autoencoder | None:
        """Return a trainable copy of the features model, unless it is fitted."""
        if self.model.fitted:
            return None
        # A copy, as an interrupted first stage must leave this model frozen and unfitted. Built
        # from the config: what has a fixed value, such as sigma, stays without gradient.
        trainable = Autoencoder(self.model.config)
        trainable.load_state_dict(self.model.state_dict())
        return trainable

    def complete(self, prerequisite: Autoencoder) -> None:
        """Copy the weights and statistics of a fitted model.

        Raises:
            ValueError: it has not been fitted, or is of another config.
        """
        if not prerequisite.fitted:
            raise ValueError("features must be a fitted model: fit it first, or leave features out")
        if self.model.config != prerequisite.config:
            raise ValueError("features must be of the config that the model was built with")
        self.model.load_state_dict(prerequisite.state_dict())

    def _features(self, x: Tensor) -> Tensor:
        latents = self.model.head(self.model.encoder(x)).mean.float()
        return (latents - self.model.latent_mean) / self.model.latent_std.clamp(min=SMALLEST_STD)
