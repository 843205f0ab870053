"""The one model class: preprocessing, corruptions, backbone, head, likelihood and losses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Generator, Tensor, nn

from latentrl.models import checks
from latentrl.models.array_model import ArrayModel
from latentrl.models.backbones import BACKBONES, Backbone, Shape, default_backbone
from latentrl.models.backbones.base import Offset, hold_unit_columns
from latentrl.models.config import AutoencoderConfig
from latentrl.models.corruptions import CORRUPTIONS, corrupt
from latentrl.models.heads import HEADS, GaussianPosterior, Posterior
from latentrl.models.inference import INFERENCES
from latentrl.models.likelihoods import LIKELIHOODS, channel_axis
from latentrl.models.losses import LOSSES, RECONSTRUCTIONS, Batch
from latentrl.models.losses.base import check_term
from latentrl.models.losses.kl import KL
from latentrl.models.preprocessing import make_preprocessor
from latentrl.types import LatentLayout, space_from_json

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Levels of ``Autoencoder.latent_quantiles``."""


class Autoencoder(ArrayModel):
    """An encoder of observations into latents, and a decoder of latents into observations.

    ``encode``, ``decode`` and ``reconstruct`` take and return arrays in the environment's units;
    ``forward`` and ``losses`` work on scaled tensors, for training.
    """

    latent_std: Tensor
    """Standard deviation of each latent over held-out frames, ``(latent_dim,)``."""
    latent_quantiles: Tensor
    """Quantiles of each latent at the levels ``QUANTILES``, ``(7, latent_dim)``."""
    latent_kl: Tensor
    """Mean KL divergence of each dimension in nats, ``(latent_dim,)``."""

    def __init__(self, config: AutoencoderConfig) -> None:
        """Build the networks with fresh weights.

        Raises:
            ValueError: a component is unknown, or the components do not fit the observations.
        """
        super().__init__()
        self.config = config
        self.metadata: dict[str, Any] = {}
        self.source: str | None = None
        self.observation_space = space_from_json(dict(config.space))
        limit = np.finfo(np.float32).max  # Gymnasium's checker warns of infinite bounds
        self.latent_space = spaces.Box(-limit, limit, (config.latent_dim,), np.float32)
        self.preprocess = make_preprocessor(self.observation_space, config.preprocessing)
        self.head = HEADS.build(config.head, channels=self._channels())
        self.likelihood = LIKELIHOODS.build(config.likelihood)
        self.corruptions = [CORRUPTIONS.build(spec) for spec in config.corruptions]
        self.inference = None if config.inference is None else INFERENCES.build(config.inference)
        self._build_networks(self.preprocess.shape)
        self.reconstruction = RECONSTRUCTIONS.build(config.reconstruction)
        self.loss_terms = [
            LOSSES.build(spec, latent_dim=config.latent_dim) for spec in config.losses
        ]
        # A list is no submodule; this one holds the weights of terms that have some.
        self.learned_losses = nn.ModuleList(
            loss for loss in self.loss_terms if isinstance(loss, nn.Module)
        )
        self._check(self.preprocess.shape)
        self._register_statistics(config.latent_dim)

    def _build_networks(self, shape: Shape) -> None:
        backbone, latent_dim = self._backbone(), self.config.latent_dim
        self.encoder = backbone.encoder(shape, latent_dim * self.head.outputs_per_latent)
        self.decoder = None
        if self.config.training != "none":
            outputs = _widened(shape, self.likelihood.outputs_per_value)
            self.decoder = backbone.decoder(latent_dim, outputs)
            backbone.tie(self.encoder, self.decoder)
            if self.head.unit_columns:
                hold_unit_columns(self.decoder)

    def _backbone(self) -> Backbone:
        return BACKBONES.build(self.config.backbone or default_backbone(self.preprocess.shape))

    def _check(self, shape: Shape) -> None:
        checks.check_losses(self.config, self.loss_terms, self.head)
        if not self.has_pixel_likelihood:
            checks.check_no_pixels(self.config, self.loss_terms)
        checks.check_likelihood(self.config, self.likelihood, shape)
        checks.check_corruptions(self.config, self.corruptions, shape)
        checks.check_size(self.latent_dim, self.loss_terms, shape)
        self.reconstruction.check(self.likelihood, shape)

    def _register_statistics(self, latent_dim: int) -> None:
        self.register_buffer("latent_mean", torch.zeros(latent_dim))
        self.register_buffer("latent_std", torch.ones(latent_dim))
        self.register_buffer("latent_quantiles", torch.zeros(len(QUANTILES), latent_dim))
        self.register_buffer("latent_kl", torch.zeros(latent_dim))

    @property
    def latent_layout(self) -> LatentLayout:
        """Whether latents are vectors or grids of cells, continuous or quantised."""
        return LatentLayout(self._grid(), self._channels(), self.head.level_width)

    def _grid(self) -> tuple[int, int] | None:
        # Images alone have one. A backbone refuses a shape where it builds networks, which comes
        # later than the head.
        shape = self.preprocess.shape
        return self._backbone().grid(shape) if len(shape) == 3 else None

    def _channels(self) -> int:
        cells = math.prod(self._grid() or ())
        return self.latent_dim // max(1, cells)

    @property
    def variational(self) -> bool:
        """Whether the posterior is a distribution near N(0, I), from which latents are sampled."""
        return issubclass(self.head.posterior, GaussianPosterior)

    @property
    def needs_previous(self) -> bool:
        """Whether a term of the loss uses the observation one step earlier."""
        return any(loss.needs_previous for loss in self.loss_terms)

    @property
    def is_centred(self) -> bool:
        """Whether the networks work on the difference from a mean observation."""
        return any(isinstance(module, Offset) for module in self.encoder.modules())

    @torch.no_grad()
    def centre(self, mean: Tensor) -> None:
        """Set the mean observation from which centred networks take the difference.

        Args:
            mean: mean of scaled observations, ``(*preprocess.shape)``.
        """
        _set_offset(self.encoder, -mean)
        if self.decoder is not None:
            _set_offset(self.decoder, self.likelihood.outputs_for(mean[None])[0])

    @property
    def beta_norm(self) -> float | None:
        """The KL term's weight per value and dimension, beta M / N; None without a KL term."""
        # Higgins et al. 2017, section 4.2: what makes betas of different sizes comparable.
        betas = [loss.beta for loss in self.loss_terms if isinstance(loss, KL)]
        return betas[0] * self.latent_dim / math.prod(self.preprocess.shape) if betas else None

    @property
    def fitted(self) -> bool:
        """Whether the statistics of the latents are those of data."""
        return bool(self.latent_quantiles.any())

    def check_fitted(self) -> None:
        """Raise ``ValueError`` where the model has not been fitted and has no statistics."""
        if not self.fitted:
            raise ValueError("this model has not been fitted: fit it, or load one that was")

    def forward(self, x: Tensor, noise: Tensor | None = None) -> tuple[Posterior, Tensor, Tensor]:
        """Encode and decode scaled observations.

        Args:
            x: ``(B, *preprocess.shape)``.
            noise: standard normal ``(B, latent_dim)`` to sample the latent; None decodes the mean.

        Returns:
            The posterior, the decoded latents ``(B, latent_dim)``, and the decoder's raw outputs.
        """
        posterior = self.head(self.encoder(x))
        z = posterior.mean if noise is None else posterior.sample(noise)
        return posterior, z, self.require_decoder()(z)

    def sample_noise(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor | None, Tensor]:
        """Draw all randomness of one training step on ``x``, in the order that ``losses`` takes.

        Returns:
            The corrupted inputs, the mask of what corruptions removed, and standard normal noise
            ``(2, B, latent_dim)``: that of the latents, and some for loss terms.
        """
        noise = torch.randn(2, len(x), self.latent_dim, device=x.device, generator=generator)
        inputs, mask = self.corrupt(x, generator)
        return inputs, mask, noise

    def corrupt(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor | None]:
        """Apply the model's corruptions to scaled observations ``(B, *preprocess.shape)``.

        Returns:
            The corrupted copy, and the mask of the removed values, bool that broadcasts to ``x``;
            None where none was removed.
        """
        return corrupt(self.corruptions, x, generator)

    def losses(
        self,
        x: Tensor,
        inputs: Tensor,
        mask: Tensor | None,
        noise: Tensor | None,
        step: int,
        previous: Tensor | None = None,
    ) -> tuple[dict[str, Tensor], Batch]:
        """Return the named terms whose sum is the loss, in nats per observation.

        Args:
            x: clean scaled observations ``(B, *preprocess.shape)``: the target.
            inputs: the encoder's inputs, ``x`` or a corrupted copy.
            mask: where corruptions removed a value, bool that broadcasts to ``x``; None for
                nowhere.
            noise: standard normal ``(2, B, latent_dim)`` from ``sample_noise``; None decodes the
                encoder's mean.
            step: gradient steps done, for terms with a schedule.
            previous: the scaled observations one step earlier ``(B, *preprocess.shape)``; None
                where no term needs them.

        Returns:
            The terms, the reconstruction first, and the batch that they were computed from.

        Raises:
            TypeError: a term is no tensor.
            ValueError: a term is no scalar.
        """
        posterior = self.head(self.encoder(inputs))
        z = posterior.mean if noise is None else self._training_latents(posterior, x, noise[0])
        outputs = self.require_decoder()(z).float()
        extra = _fixed_noise(z) if noise is None else noise[1]
        nll = self.reconstruction.nll(self.likelihood, outputs, x)
        given = (x, inputs, mask, posterior, z, outputs, nll, self.encoder, self.head)
        batch = Batch(*given, extra, step, previous, self.latent_layout.cells)
        terms = {"reconstruction": nll.flatten(1).sum(1).mean()}
        for spec, loss in zip(self.config.losses, self.loss_terms, strict=True):
            terms[spec["name"]] = check_term(spec["name"], loss(batch))
        return terms, batch

    def _training_latents(self, posterior: Posterior, x: Tensor, noise: Tensor) -> Tensor:
        z = posterior.sample(noise)
        return z if self.inference is None else self.inference(lambda h: self._energy(h, x), z)

    def _energy(self, h: Tensor, x: Tensor) -> Tensor:
        outputs = self.require_decoder()(h).float()
        return self.reconstruction.nll(self.likelihood, outputs, x).flatten(1).sum(1)


def _widened(shape: Shape, factor: int) -> Shape:
    axis = channel_axis(len(shape) + 1) - 1
    return tuple(size * factor if i == axis else size for i, size in enumerate(shape))


def _set_offset(network: nn.Module, value: Tensor) -> None:
    for module in network.modules():
        if isinstance(module, Offset):
            module.offset.copy_(value)


def _fixed_noise(z: Tensor) -> Tensor:
    # Terms that are estimated by sampling are comparable between epochs.
    generator = Generator(z.device).manual_seed(0)
    return torch.randn(z.shape, device=z.device, generator=generator)
