"""The one model class: preprocessing, corruption, backbone, head, likelihood and losses
together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Generator, Tensor, nn

from latentrl.models.backbones.conv import BACKBONES, Shape, default_backbone, hold_unit_columns
from latentrl.models.config import AutoencoderConfig
from latentrl.models.corruptions import CORRUPTIONS
from latentrl.models.heads import HEADS, GaussianPosterior, Posterior
from latentrl.models.inference import INFERENCES
from latentrl.models.likelihoods import LIKELIHOODS, GaussianLikelihood, channel_axis
from latentrl.models.losses import LOSSES, Batch
from latentrl.models.losses.kl import KL
from latentrl.models.preprocessing import make_preprocessor
from latentrl.types import Array, LatentLayout, describe_space, space_from_json

CHUNK = 512
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


class Autoencoder(nn.Module):
    """An encoder of observations into codes, with a decoder back.

    ``encode``, ``decode`` and ``reconstruct`` take and return arrays in the environment's units;
    ``forward`` and ``losses`` work on scaled tensors, for training.
    """

    latent_mean: Tensor
    latent_std: Tensor
    latent_quantiles: Tensor
    latent_kl: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        """Build the networks with fresh weights.

        Raises:
            ValueError: a part is unknown, or the parts do not fit the observations.
        """
        super().__init__()
        self.config = config
        self.metadata: dict[str, Any] = {}
        self.source: str | None = None
        self.observation_space = space_from_json(dict(config.space))
        limit = np.finfo(np.float32).max  # Gymnasium's checker warns of infinite bounds
        self.latent_space = spaces.Box(-limit, limit, (config.latent_dim,), np.float32)
        self.preprocess = make_preprocessor(self.observation_space, config.preprocessing)
        self.head = HEADS.build(config.head)
        self.likelihood = LIKELIHOODS.build(config.likelihood)
        self.corruptions = [CORRUPTIONS.build(spec) for spec in config.corruptions]
        self.inference = None if config.inference is None else INFERENCES.build(config.inference)
        self._build_networks(self.preprocess.shape)
        self.features = None if config.features is None else _frozen(config.features)
        self.loss_terms = [
            LOSSES.build(spec, latent_dim=config.latent_dim) for spec in config.losses
        ]
        self.learned_losses = nn.ModuleList(
            part for part in self.loss_terms if isinstance(part, nn.Module)
        )
        self._check_parts()
        self._register_statistics(config.latent_dim)

    def _build_networks(self, shape: Shape) -> None:
        config = self.config
        backbone = BACKBONES.build(config.backbone or default_backbone(shape))
        self.encoder = backbone.encoder(shape, config.latent_dim * self.head.outputs_per_latent)
        self.decoder = None
        if config.training != "none":
            self.decoder = backbone.decoder(
                config.latent_dim, _widened(shape, self.likelihood.outputs_per_value)
            )
            backbone.tie(self.encoder, self.decoder)
            if self.head.unit_columns:
                hold_unit_columns(self.decoder)

    def _check_parts(self) -> None:
        shape, size = self.preprocess.shape, math.prod(self.preprocess.shape)
        for penalty in self.loss_terms:
            if not issubclass(self.head.posterior, penalty.needs):
                raise ValueError(
                    f"loss {penalty.name!r} needs {penalty.needs.kind}, not head {self.config.head['name']!r}"
                )
        names = [penalty.name for penalty in self.loss_terms]
        if len(set(names)) < len(names):
            raise ValueError(
                f"two losses have one name among {', '.join(names)}: each can be given once"
            )
        if self.likelihood.images_only and len(shape) != 3:
            raise ValueError(
                "likelihood 'bernoulli' needs values in [0, 1]; for vectors and sequences use 'gaussian'"
            )
        if any(part.colour_only for part in self.corruptions) and (
            len(shape) != 3 or shape[0] != 3
        ):
            raise ValueError(
                f"corruption 'greyscale' needs images of 3 colour channels, not inputs of shape {shape}"
            )
        if self.features is not None and not isinstance(self.likelihood, GaussianLikelihood):
            raise ValueError(
                "features are measured by likelihood 'gaussian', with one sigma for all"
            )
        if self.features is not None and self.features.preprocess.shape != shape:
            raise ValueError(
                f"features take inputs of shape {self.features.preprocess.shape}, these are of shape {shape}: "
                "give both models the same space and preprocessing"
            )
        if self.latent_dim > size and not any(
            penalty.allows_overcomplete for penalty in self.loss_terms
        ):
            raise ValueError(
                f"latent_dim={self.latent_dim} is larger than the observation, which has {size} values: "
                "use a smaller one, or a model whose penalty allows it, such as 'sparse_ae'"
            )

    def _register_statistics(self, latent_dim: int) -> None:
        self.register_buffer("latent_mean", torch.zeros(latent_dim))
        self.register_buffer("latent_std", torch.ones(latent_dim))
        self.register_buffer("latent_quantiles", torch.zeros(len(QUANTILES), latent_dim))
        self.register_buffer("latent_kl", torch.zeros(latent_dim))

    def take_features(self, features: Autoencoder) -> None:
        """Copy the weights and statistics of a fitted ``features`` model, of the same config.

        Raises:
            ValueError: this model has no features, or ``features`` has not been fitted.
        """
        if self.features is None or not features.fitted:
            raise ValueError(
                "features must be a fitted model, for a model that measures its reconstruction in them"
            )
        if self.features.config != features.config:
            raise ValueError("features must be of the config that the model was built with")
        self.features.load_state_dict(features.state_dict())

    @property
    def latent_dim(self) -> int:
        """Size of the code."""
        return self.config.latent_dim

    @property
    def latent_layout(self) -> LatentLayout:
        """Whether latents are vectors or grids of cells."""
        shape = self.preprocess.shape
        backbone = BACKBONES.build(self.config.backbone or default_backbone(shape))
        grid = backbone.grid(shape)
        cells = 1 if grid is None else math.prod(grid)
        return LatentLayout(grid, self.latent_dim // cells)

    @property
    def variational(self) -> bool:
        """Whether codes are distributions near N(0, I), so that new ones can be drawn."""
        return issubclass(self.head.posterior, GaussianPosterior)

    @property
    def beta_norm(self) -> float | None:
        """The KL term's weight for a value and a dimension, beta M / N (Higgins et al. 2017); None
        without one.
        """
        betas = [penalty.beta for penalty in self.loss_terms if isinstance(penalty, KL)]
        return betas[0] * self.latent_dim / math.prod(self.preprocess.shape) if betas else None

    @property
    def fitted(self) -> bool:
        """Whether the statistics of the codes are those of data."""
        return bool(self.latent_quantiles.any())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.latent_mean.device

    def check_fitted(self) -> None:
        """Raise ``ValueError`` where the model has not been fitted: its statistics are then those
        of no data.
        """
        if not self.fitted:
            raise ValueError("this model has not been fitted: fit it, or load one that was")

    # For training: scaled tensors.

    def forward(self, x: Tensor, noise: Tensor | None = None) -> tuple[Posterior, Tensor, Tensor]:
        """Encode and decode scaled observations.

        Args:
            x: ``(B, *preprocess.shape)``.
            noise: standard normal ``(B, latent_dim)`` that samples the code; None decodes its mean.

        Returns:
            The code, the ``(B, latent_dim)`` that was decoded, and the decoder's raw outputs.
        """
        code = self.head(self.encoder(x))
        z = code.mean if noise is None else code.sample(noise)
        return code, z, self._decoder()(z)

    def sample_noise(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return the corrupted input and the randomness of one training step on ``x``.

        Returns: The input, and standard normal ``(2, B, latent_dim)``: the code's noise, and some
            for losses.
        """
        noise = torch.randn(2, len(x), self.latent_dim, device=x.device, generator=generator)
        return self.corrupt(x, generator), noise

    def corrupt(self, x: Tensor, generator: Generator) -> Tensor:
        """Return ``x`` after the model's corruptions, if it has any."""
        for corrupt in self.corruptions:
            x = corrupt(x, generator)
        return x

    def losses(
        self, x: Tensor, inputs: Tensor, noise: Tensor | None, step: int
    ) -> tuple[dict[str, Tensor], Batch]:
        """Return the named terms whose sum is the loss, in nats per observation.

        Args:
            x: clean scaled observations ``(B, *preprocess.shape)``: the target.
            inputs: what the encoder sees, ``x`` or a corrupted copy.
            noise: standard normal ``(2, B, latent_dim)`` from ``draw``; None decodes the encoder's
                mean.
            step: gradient steps done, for losses with a schedule.

        Returns:
            The terms, the reconstruction first, and the batch that they were computed from.
        """
        code = self.head(self.encoder(inputs))
        z = code.mean if noise is None else self._training_code(code, x, noise[0])
        outputs = self._decoder()(z).float()
        spare = _fixed_noise(z) if noise is None else noise[1]
        nll = self._nll(outputs, x)
        batch = Batch(x, inputs, code, z, outputs, nll, self.encoder, self.head, spare, step)
        terms = {"reconstruction": nll.flatten(1).sum(1).mean()}
        return {**terms, **{penalty.name: penalty(batch) for penalty in self.loss_terms}}, batch

    def _training_code(self, code: Posterior, x: Tensor, noise: Tensor) -> Tensor:
        z = code.sample(noise)
        if self.inference is None:
            return z
        return self.inference(
            lambda h: self._nll(self._decoder()(h).float(), x).flatten(1).sum(1), z
        )

    def _nll(self, outputs: Tensor, x: Tensor) -> Tensor:
        if self.features is None:
            return -self.likelihood.log_prob(outputs, x)
        return -self.likelihood.log_prob(
            _features(self.features, self.likelihood.mean(outputs)), _features(self.features, x)
        )

    # For use: arrays in the environment's units.

    def encode(self, observations: Array) -> Array:
        """Return the deterministic codes, the posterior means.

        Args:
            observations: ``(B, *observation_space.shape)`` or one observation without ``B``.

        Returns:
            float32 ``(B, latent_dim)`` or ``(latent_dim,)``.

        Raises:
            ValueError: shape, dtype or values do not belong to the observation space.
        """
        return self._map(
            self._code_mean, self.check_observations(observations), self.observation_space.shape
        )

    def decode(self, latents: Array) -> Array:
        """Return the decoder's mean for codes ``(B, latent_dim)`` or ``(latent_dim,)``.

        Returns:
            Arrays of ``preprocess.output_space``: the environment's units and dtype, at the
            size that the network sees.

        Raises:
            TypeError: the model has no decoder.
            ValueError: the last dimension is not ``latent_dim``, or a value is not finite.
        """
        self._decoder()
        return self._map(self._decode, self._check_latents(latents), (self.latent_dim,))

    def reconstruct(self, observations: Array) -> Array:
        """Return ``decode(encode(observations))`` in one pass; same arguments and errors."""
        self._decoder()
        checked = self.check_observations(observations)
        return self._map(
            lambda x: self._decode(self._code_mean(x)), checked, self.observation_space.shape
        )

    def pixel_nll(self, observations: Array) -> Array:
        """Return -log p(x | encode(x)) of every value, in nats of the scaled observation.

        Returns: float32 ``(B, *output_space.shape)`` or without ``B``: high where the model did not
            expect a value.

        Raises:
            TypeError: the model has no decoder, or measures its reconstruction in features.
            ValueError: shape, dtype or values do not belong to the observation space.
        """
        self._decoder()
        if self.features is not None:
            raise TypeError(
                f"a {self.config.model!r} model measures features, and knows no likelihood of values"
            )
        return self._map(
            self._pixel_nll, self.check_observations(observations), self.observation_space.shape
        )

    def preprocessed(self, observations: Array) -> Array:
        """Return the observations as the network sees them: cropped and resized, in the
        environment's units.
        """
        checked = self.check_observations(observations)
        return self._map(
            lambda x: self._restore(self.preprocess(x)), checked, self.observation_space.shape
        )

    def _code_mean(self, observations: Tensor) -> Tensor:
        mean: Tensor = self.head(self.encoder(self.preprocess(observations))).mean
        return mean.float()

    def _decode(self, latents: Tensor) -> Tensor:
        return self._restore(self.likelihood.mean(self._decoder()(latents)).float())

    def _pixel_nll(self, observations: Tensor) -> Tensor:
        x = self.preprocess(observations)
        nll = -self.likelihood.log_prob(self(x)[2].float(), x)
        return (
            nll.permute(0, 2, 3, 1).reshape(-1, *self.preprocess.output_space.shape)
            if nll.ndim == 4
            else nll
        )

    def _restore(self, x: Tensor) -> Tensor:
        dtype = torch.from_numpy(np.empty(0, self.preprocess.output_space.dtype)).dtype
        return self.preprocess.inverse(x).to(dtype)

    def _decoder(self) -> nn.Module:
        if self.decoder is None:
            raise TypeError(
                f"a {self.config.model!r} model has no decoder; train 'pca', 'ae' or 'beta_vae' to decode"
            )
        return self.decoder

    @torch.inference_mode()
    def _map(
        self, function: Callable[[Tensor], Tensor], array: Array, shape: tuple[int, ...]
    ) -> Array:
        single = array.shape == shape
        self.eval()
        parts = [
            function(chunk).cpu().numpy()
            for chunk in self._chunks(array[None] if single else array)
        ]
        return parts[0][0] if single else np.concatenate(parts)

    def _chunks(self, array: Array) -> Iterator[Tensor]:
        for start in range(0, max(len(array), 1), CHUNK):
            chunk = np.require(array[start : start + CHUNK], requirements=["C", "W"])
            yield torch.from_numpy(chunk).to(self.device, non_blocking=True)

    def check_observations(self, observations: Array) -> Array:
        """Return observations, one or ``(B, ...)``, as an array that the model takes.

        Raises:
            ValueError: shape, dtype or values do not belong to the observation space.
        """
        space, array = self.observation_space, np.asarray(observations)
        if array.shape[-len(space.shape) :] != space.shape or array.ndim - len(space.shape) not in (
            0,
            1,
        ):
            raise ValueError(
                f"expected observations of shape (B, {', '.join(map(str, space.shape))}), got {array.shape}"
            )
        if np.issubdtype(space.dtype, np.integer):
            if array.dtype != space.dtype:
                raise ValueError(
                    f"expected {np.dtype(space.dtype).name} observations, got {array.dtype.name}; "
                    f"convert them to the units of {describe_space(space)} first"
                )
            return array
        array = _finite(array, "observations")
        if len(self.preprocess.shape) == 3 and array.size and not _within(array, space):
            raise ValueError(
                f"images of {describe_space(space)} lie in [{space.low.min():g}, {space.high.max():g}], "
                f"these go from {array.min():g} to {array.max():g}"
            )
        return array

    def _check_latents(self, latents: Array) -> Array:
        array = np.asarray(latents)
        if array.ndim not in (1, 2) or array.shape[-1] != self.latent_dim:
            raise ValueError(f"expected codes of shape (B, {self.latent_dim}), got {array.shape}")
        return _finite(array, "codes")


def _within(array: Array, space: spaces.Box) -> bool:
    return bool(array.min() >= space.low.min() and array.max() <= space.high.max())


def _finite(array: Array, what: str) -> Array:
    if array.dtype.kind not in "fiub":
        raise ValueError(f"expected numbers, got {what} of dtype {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{what} contain NaN or infinity")
    return array.astype(np.float32, copy=False)


def _frozen(config: Mapping[str, Any]) -> Autoencoder:
    model = Autoencoder(AutoencoderConfig.from_json(config))
    return model.requires_grad_(False)


def _features(model: Autoencoder, x: Tensor) -> Tensor:
    code: Tensor = model.head(model.encoder(x)).mean
    return (code.float() - model.latent_mean) / model.latent_std.clamp(min=1e-3)


def _widened(shape: Shape, factor: int) -> Shape:
    axis = channel_axis(len(shape) + 1) - 1
    return tuple(size * factor if i == axis else size for i, size in enumerate(shape))


def _fixed_noise(z: Tensor) -> Tensor:
    generator = Generator(z.device).manual_seed(0)
    return torch.randn(z.shape, device=z.device, generator=generator)
