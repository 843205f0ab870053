"""The one model class: preprocessing, corruption, body, head, likelihood and penalties together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
from gymnasium import spaces
from torch import Generator, Tensor, nn

from latentrl.corruption import CORRUPTIONS
from latentrl.heads import HEADS, Code
from latentrl.likelihoods import LIKELIHOODS
from latentrl.networks import BODIES, default_body
from latentrl.penalties import PENALTIES, Batch
from latentrl.preprocessing import Preprocessing, make_preprocessor
from latentrl.types import Array, describe_space, space_from_json

CHUNK = 512
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

Spec = Mapping[str, Any]
Training = Literal["gradient", "pca", "none"]
TRAINING = get_args(Training)
REQUIRED = {"model", "space", "latent_dim", "head", "preprocessing"}


@dataclass(frozen=True)
class AutoencoderConfig:
    """Everything that defines a model but its weights; goes to JSON and back."""

    model: str
    """Name of the function in ``latentrl.models`` that made this config."""
    space: Spec
    """Observation space, as ``space_to_json`` describes it."""
    latent_dim: int
    """Size of the code."""
    head: Spec
    """Spec of the head."""
    likelihood: Spec = field(default_factory=lambda: {"name": "gaussian", "sigma": 0.1})
    """Spec of the decoder's distribution."""
    body: Spec | None = None
    """Spec of the networks; None chooses from the observation's shape."""
    preprocessing: Preprocessing = Preprocessing()
    """Crop, size and greyscale of images."""
    corruption: Sequence[Spec] = ()
    """Specs of the corruptions of training inputs, applied in order."""
    penalties: Sequence[Spec] = ()
    """Specs of the terms beside the reconstruction."""
    training: Training = "gradient"
    """How ``fit`` finds the weights; "none" keeps the random encoder and has no decoder."""

    def __post_init__(self) -> None:
        """Check what does not need the observation's shape."""
        if self.training not in TRAINING:
            raise ValueError(f"unknown training {self.training!r}; known: {', '.join(TRAINING)}")
        if self.latent_dim < 1:
            raise ValueError(f"latent_dim is a number of values, at least 1; got {self.latent_dim}")

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, dicts and numbers."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AutoencoderConfig:
        """Rebuild the config that ``to_json`` described.

        Raises:
            ValueError: a field is missing or unknown.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ValueError(f"unknown model setting {unknown[0]!r}; known: {', '.join(sorted(known))}")
        missing = sorted(REQUIRED - set(data))
        if missing:
            raise ValueError(f"the model settings lack {missing[0]!r}")
        pre = data["preprocessing"]
        size = None if pre["size"] is None else tuple(pre["size"])
        preprocessing = Preprocessing(tuple(pre["crop"]), size, pre["greyscale"])
        return cls(**{**data, "preprocessing": preprocessing})


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
        shape = self.preprocess.shape
        if config.latent_dim > math.prod(shape):
            raise ValueError(
                f"latent_dim={config.latent_dim} exceeds the {math.prod(shape)} values of an input of shape {shape}"
            )
        self.head = HEADS.build(config.head)
        self.likelihood = LIKELIHOODS.build(config.likelihood)
        self.corruption = [CORRUPTIONS.build(spec) for spec in config.corruption]
        self.penalties = [PENALTIES.build(spec) for spec in config.penalties]
        self._check_parts()
        body = BODIES.build(config.body or default_body(shape))
        self.encoder = body.encoder(shape, config.latent_dim * self.head.outputs_per_latent)
        self.decoder = None if config.training == "none" else body.decoder(config.latent_dim, shape)
        self._register_statistics(config.latent_dim)

    def _check_parts(self) -> None:
        for penalty in self.penalties:
            if penalty.needs_distribution and not self.head.stochastic:
                raise ValueError(f"penalty {penalty.name!r} needs a head with a distribution, such as 'gaussian'")
        if self.likelihood.images_only and len(self.preprocess.shape) == 1:
            raise ValueError("likelihood 'bernoulli' needs values in [0, 1]; for vectors use 'gaussian'")

    def _register_statistics(self, latent_dim: int) -> None:
        self.register_buffer("latent_mean", torch.zeros(latent_dim))
        self.register_buffer("latent_std", torch.ones(latent_dim))
        self.register_buffer("latent_quantiles", torch.zeros(len(QUANTILES), latent_dim))
        self.register_buffer("latent_kl", torch.zeros(latent_dim))

    @property
    def latent_dim(self) -> int:
        """Size of the code."""
        return self.config.latent_dim

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.latent_mean.device

    # For training: scaled tensors.

    def forward(self, x: Tensor, noise: Tensor | None = None) -> tuple[Code, Tensor, Tensor]:
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

    def draw(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return the corrupted input and the code's noise for one training step on ``x``."""
        noise = torch.randn(len(x), self.latent_dim, device=x.device, generator=generator)
        for corrupt in self.corruption:
            x = corrupt(x, generator)
        return x, noise

    def losses(self, x: Tensor, inputs: Tensor, noise: Tensor | None, step: int) -> tuple[dict[str, Tensor], Batch]:
        """Return the named terms whose sum is the loss, in nats per observation.

        Args:
            x: clean scaled observations ``(B, *preprocess.shape)``: the target.
            inputs: what the encoder sees, ``x`` or a corrupted copy.
            noise: standard normal ``(B, latent_dim)``; None decodes the mean.
            step: gradient steps done, for penalties with a schedule.

        Returns:
            The terms, the reconstruction first, and the batch that they were computed from.
        """
        code, z, outputs = self(inputs, noise)
        batch = Batch(x, code, z, outputs.float(), step)
        terms = {"reconstruction": -self.likelihood.log_prob(batch.outputs, x).mean()}
        return {**terms, **{penalty.name: penalty(batch) for penalty in self.penalties}}, batch

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
        return self._map(self._code_mean, self._check_observations(observations), self.observation_space.shape)

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
        checked = self._check_observations(observations)
        return self._map(lambda x: self._decode(self._code_mean(x)), checked, self.observation_space.shape)

    def preview(self, observations: Array) -> Array:
        """Return the observations as the network sees them: cropped and resized, in the environment's units."""
        checked = self._check_observations(observations)
        return self._map(lambda x: self._restore(self.preprocess(x)), checked, self.observation_space.shape)

    def _code_mean(self, observations: Tensor) -> Tensor:
        mean: Tensor = self.head(self.encoder(self.preprocess(observations))).mean
        return mean.float()

    def _decode(self, latents: Tensor) -> Tensor:
        return self._restore(self.likelihood.mean(self._decoder()(latents)).float())

    def _restore(self, x: Tensor) -> Tensor:
        dtype = torch.from_numpy(np.empty(0, self.preprocess.output_space.dtype)).dtype
        return self.preprocess.inverse(x).to(dtype)

    def _decoder(self) -> nn.Module:
        if self.decoder is None:
            raise TypeError(f"a {self.config.model!r} model has no decoder; train 'pca', 'ae' or 'beta_vae' to decode")
        return self.decoder

    @torch.inference_mode()
    def _map(self, function: Callable[[Tensor], Tensor], array: Array, shape: tuple[int, ...]) -> Array:
        single = array.shape == shape
        self.eval()
        parts = [function(chunk).cpu().numpy() for chunk in self._chunks(array[None] if single else array)]
        return parts[0][0] if single else np.concatenate(parts)

    def _chunks(self, array: Array) -> Iterator[Tensor]:
        for start in range(0, max(len(array), 1), CHUNK):
            chunk = np.require(array[start : start + CHUNK], requirements=["C", "W"])
            yield torch.from_numpy(chunk).to(self.device, non_blocking=True)

    def _check_observations(self, observations: Array) -> Array:
        space, array = self.observation_space, np.asarray(observations)
        if array.shape[-len(space.shape) :] != space.shape or array.ndim - len(space.shape) not in (0, 1):
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
        return _finite(array, "observations")

    def _check_latents(self, latents: Array) -> Array:
        array = np.asarray(latents)
        if array.ndim not in (1, 2) or array.shape[-1] != self.latent_dim:
            raise ValueError(f"expected codes of shape (B, {self.latent_dim}), got {array.shape}")
        return _finite(array, "codes")


def _finite(array: Array, what: str) -> Array:
    if not np.isfinite(array).all():
        raise ValueError(f"{what} contain NaN or infinity")
    return array.astype(np.float32, copy=False)
