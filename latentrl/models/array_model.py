"""Arrays in the environment's units in, arrays out: how a trained model is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from latentrl.data.columns import check_columns, column_names
from latentrl.models.arrays import check_latents, check_observations, map_chunks, require_array
from latentrl.models.channels import warn_of_values_beyond
from latentrl.models.config import AutoencoderConfig
from latentrl.models.heads import Head
from latentrl.models.likelihoods import Likelihood
from latentrl.models.losses import Reconstruction
from latentrl.models.vectors import Preprocessor
from latentrl.types import Array

TensorMap = Callable[[Tensor], Tensor]


class ArrayModel(nn.Module):
    """The methods of ``Autoencoder`` that take and return arrays."""

    config: AutoencoderConfig
    """Everything that defines the model but its weights."""
    observation_space: spaces.Box
    """Space of one observation."""
    preprocess: Preprocessor
    """The map from observations to scaled network inputs."""
    encoder: nn.Module
    """The network before the head."""
    head: Head
    """The map from the encoder's outputs to the posterior."""
    decoder: nn.Module | None
    """The network after the latent; None in a ``random`` model."""
    likelihood: Likelihood
    """The map from the decoder's outputs to a distribution."""
    reconstruction: Reconstruction
    """What the reconstruction error is measured in."""
    latent_mean: Tensor
    """Mean of each latent over held-out frames, ``(latent_dim,)``."""

    metadata: dict[str, Any]
    """Origin of the training data, in JSON."""

    @property
    def columns(self) -> list[str] | None:
        """Names of the columns of the table that the model was trained on; None of arrays."""
        columns: list[str] | None = self.metadata.get("data", {}).get("columns")
        return columns

    @property
    def latent_dim(self) -> int:
        """Size of the latent."""
        return self.config.latent_dim

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.latent_mean.device

    @property
    def has_pixel_likelihood(self) -> bool:
        """Whether the reconstruction is the likelihood of the observation's own values."""
        return self.reconstruction.has_pixel_likelihood

    def encode(self, observations: Array) -> Array:
        """Return the deterministic latents, the posterior means.

        Args:
            observations: ``(B, *observation_space.shape)`` or one observation without ``B``.

        Returns:
            float32 ``(B, latent_dim)`` or ``(latent_dim,)``.

        Raises:
            ValueError: shape, dtype or values do not belong to the observation space.
        """
        return self._map_observations(self._encode, observations)

    def decode(self, latents: Array) -> Array:
        """Return the decoder's mean for latents ``(B, latent_dim)`` or ``(latent_dim,)``.

        Returns:
            Arrays of ``preprocess.output_space``: the environment's units and dtype, cropped and
            resized as the network's inputs are.

        Raises:
            TypeError: the model has no decoder.
            ValueError: the last dimension is not ``latent_dim``, or a value is not finite.
        """
        self.require_decoder()
        return self._map(self._decode, check_latents(latents, self.latent_dim), (self.latent_dim,))

    def reconstruct(self, observations: Array) -> Array:
        """Return ``decode(encode(observations))`` in one pass; same arguments and errors.

        Images have the size of ``output_space``, to which preprocessing resizes and crops them.
        """
        self.require_decoder()
        checked = self.check_observations(observations)
        warn_of_values_beyond(checked, self.preprocess.own_range)
        return self._map_checked(lambda x: self._decode(self._encode(x)), checked)

    def pixel_nll(self, observations: Array) -> Array:
        """Return -log p(x | encode(x)) of every value, in nats of the scaled observation.

        Returns:
            float32 ``(B, *output_space.shape)`` or without ``B``: high where the model did not
            expect a value.

        Raises:
            TypeError: the model has no decoder, or no likelihood of pixels.
            ValueError: shape, dtype or values do not belong to the observation space.
        """
        self.require_decoder()
        if not self.has_pixel_likelihood:
            raise TypeError(
                f"a {self.config.model!r} model measures its reconstruction in "
                f"{self.config.reconstruction['name']!r} and has no likelihood of single values"
            )
        return self._map_observations(self._pixel_nll, observations)

    def preprocessed(self, observations: Array) -> Array:
        """Return the network's inputs, cropped and resized, in the environment's units."""
        return self._map_observations(lambda x: self._restore(self.preprocess(x)), observations)

    def check_observations(self, observations: Array, first: int = 0) -> Array:
        """Return observations, one or ``(B, ...)``, as an array that the model takes.

        They are of the observation space, or cropped and resized as ``collect`` stores them.

        Args:
            observations: the array.
            first: row of the first one in what the user gave, for error messages.

        Raises:
            TypeError: they are a path or Frames.
            ValueError: shape, dtype or values do not belong to the observation space, or the
                columns of a data frame are not those of the training.
        """
        array = require_array(observations)
        check_columns(column_names(observations), self.columns)
        stored = self.preprocess.stored_space
        if stored is not None and array.shape[-len(stored.shape) :] == stored.shape:
            return check_observations(array, stored, first)
        return check_observations(array, self.observation_space, first)

    def require_decoder(self) -> nn.Module:
        """Return the decoder.

        Raises:
            TypeError: the model has none.
        """
        if self.decoder is None:
            raise TypeError(
                f"a {self.config.model!r} model has no decoder; train 'pca', 'ae' or 'beta_vae' "
                "to decode"
            )
        return self.decoder

    def _encode(self, observations: Tensor) -> Tensor:
        return self.head(self.encoder(self.preprocess(observations))).mean.float()

    def _decode(self, latents: Tensor) -> Tensor:
        return self._restore(self.likelihood.mean(self.require_decoder()(latents)).float())

    def _pixel_nll(self, observations: Tensor) -> Tensor:
        x = self.preprocess(observations)
        nll = -self.likelihood.log_prob(self(x)[2].float(), x)
        if nll.ndim < 4:
            return nll
        return nll.permute(0, 2, 3, 1).reshape(-1, *self.preprocess.output_shape)

    def _restore(self, x: Tensor) -> Tensor:
        dtype = torch.from_numpy(np.empty(0, self.observation_space.dtype)).dtype
        return self.preprocess.inverse(x).to(dtype)

    def _map_observations(self, function: TensorMap, observations: Array) -> Array:
        return self._map_checked(function, self.check_observations(observations))

    def _map_checked(self, function: TensorMap, checked: Array) -> Array:
        return self._map(function, checked, checked.shape[-len(self.observation_space.shape) :])

    @torch.inference_mode()
    def _map(self, function: TensorMap, array: Array, shape: tuple[int, ...]) -> Array:
        if self.training:  # ``eval`` visits every module, at each step of an agent
            self.eval()
        return map_chunks(function, array, shape, self.device)
