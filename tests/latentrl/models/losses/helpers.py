"""Batches, posteriors and small models that the tests of the losses share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.config import AutoencoderConfig
from latentrl.models.heads import HEADS, GaussianPosterior, Posterior
from latentrl.models.losses import LOSSES, Batch, Loss
from latentrl.types import as_space, space_to_json

X = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
MASK = torch.rand(16, 8, generator=torch.Generator().manual_seed(2)) <= 0.3
INPUTS = X * ~MASK
NOISE = torch.randn(2, 16, 3, generator=torch.Generator().manual_seed(1))
SPACE = space_to_json(as_space((8,)))
MLP = {"name": "mlp", "hidden": (16,)}
LATENT_DIM = {"latent_dim": 3}


def make_model(
    *losses: Mapping[str, Any], head: str | Mapping[str, Any] = "gaussian", **fields: Any
) -> Autoencoder:
    torch.manual_seed(0)
    head = {"name": head} if isinstance(head, str) else head
    fields = {"backbone": MLP, **fields}
    return Autoencoder(AutoencoderConfig("test", SPACE, 3, head, losses=losses, **fields))


def terms_and_gradient(model: Autoencoder) -> tuple[dict[str, Tensor], Tensor]:
    terms, _ = model.losses(X, INPUTS, MASK, NOISE, step=0, previous=INPUTS)
    torch.stack(list(terms.values())).sum().backward()
    trained = [p for name, p in model.named_parameters() if name.startswith(("encoder.", "head."))]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    return terms, torch.cat([gradient.flatten() for gradient in gradients])


def batch_of(posterior: Posterior, **changes: Any) -> Batch:
    batch = Batch(
        x=X,
        inputs=INPUTS,
        mask=MASK,
        posterior=posterior,
        z=posterior.mean,
        outputs=X,
        nll=torch.ones(16, 8),
        encoder=nn.Identity(),
        head=HEADS.build({"name": "point"}),
        extra_noise=NOISE[1],
        step=0,
    )
    return dataclasses.replace(batch, **changes)


def random_posterior(rows: int = 16) -> tuple[GaussianPosterior, Tensor]:
    """Return a posterior and its KL divergence by torch.distributions, ``(rows, 3)``."""
    posterior = GaussianPosterior(torch.randn(rows, 3), torch.randn(rows, 3))
    normal = Normal(posterior.mean, (posterior.log_variance / 2).exp())
    return posterior, kl_divergence(normal, Normal(0.0, 1.0))


def build(name: str, **options: Any) -> Loss:
    return LOSSES.build({"name": name, **options}, **LATENT_DIM)
