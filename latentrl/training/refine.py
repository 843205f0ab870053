"""Further training of an encoder on other frames, with latents that stay near the old ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from latentrl.data.frames import Frames
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.config import AutoencoderConfig, Spec
from latentrl.models.losses import Batch, Loss
from latentrl.training.config import FitConfig
from latentrl.training.trainer import Trainer

ANCHOR = 10.0
"""Weight of the distance to the old latents, in nats per squared standard deviation."""
LEAST_STD = 0.01
"""Least standard deviation in which distances are measured, for dimensions that are constant."""


class Anchor(Loss):
    """weight * |(z - z_old) / std_old|^2, the distance to the latents of a frozen encoder.

    Standard deviations make dimensions of all scales count alike.
    """

    def __init__(self, old: Autoencoder, weight: float) -> None:
        """Keep latents near those of ``old``, which has the same preprocessing and is fitted."""
        self.old = old.eval()
        self.weight = weight
        self.scale = old.latent_std.clamp_min(LEAST_STD)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted squared distance."""
        with torch.no_grad():
            target = self.old.head(self.old.encoder(batch.x)).mean
        distance = (batch.posterior.mean - target).float() / self.scale
        return self.weight * distance.square().sum(1).mean()


def check_refinable(model: Autoencoder) -> None:
    """Raise ``ValueError`` where ``model`` is not trained by gradient steps."""
    if model.config.training != "gradient":
        raise ValueError(
            f"a {model.config.model!r} encoder is not trained by gradient steps and cannot be "
            "refined; pretrain another model, such as beta_vae"
        )


def refined(
    model: Autoencoder,
    training: Frames,
    validation: Frames,
    config: FitConfig,
    *,
    anchor: float = ANCHOR,
    corruptions: Sequence[Spec] = (),
    progress: bool = False,
) -> Autoencoder:
    """Return a copy of ``model`` that was trained further, with latents near those of ``model``.

    The preprocessing and its statistics stay.

    Args:
        model: a fitted model, which stays as it is.
        training: frames of the model's observations.
        validation: frames that choose the best weights.
        config: hyperparameters of the training.
        anchor: weight of the distance to the latents of ``model``, in nats per squared standard
            deviation.
        corruptions: corruptions of the inputs, beside the model's own. The latents that are kept
            are those of the clean observations.
        progress: whether to show a progress bar.

    Raises:
        ValueError: the model is not trained by gradient steps, or a corruption does not suit it.
        FloatingPointError: the loss is no longer finite.
    """
    check_refinable(model)
    own = (*model.config.corruptions, *corruptions)
    learner = _copy(model, dataclasses.replace(model.config, corruptions=own))
    # The term needs the old encoder, and so has no place in a config that is saved.
    learner.loss_terms.append(Anchor(model, anchor))
    losses = (*model.config.losses, {"name": "anchor"})
    learner.config = dataclasses.replace(learner.config, losses=losses)
    Trainer(learner, training, validation, config, None, ()).train(resume=False, show=progress)
    return _copy(learner, model.config).eval()


def _copy(model: Autoencoder, config: AutoencoderConfig) -> Autoencoder:
    result = Autoencoder(config)  # a copy of frozen weights would stay frozen
    result.load_state_dict(model.state_dict())
    result.metadata = dict(model.metadata)
    return result.to(model.device)
