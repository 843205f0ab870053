"""Train a VAE of pythae on the network of latentrl's ``mlp`` backbone, and measure its ELBO.

It runs in an environment of its own, which ``make reference`` creates and which has no latentrl.

The data file has float32 arrays ``train``, ``validation`` and ``test`` of shape ``(N, D)`` in
[0, 1]. pythae's trainer keeps the epoch with the least validation loss. The ELBO, in nats per
image, is the mean over ``test`` of ``-(reconstruction + kl)``, whatever the model was trained on:

- reconstruction: binary cross-entropy, summed over the values of an image, at ``z ~ q(z|x)``; the
  mean of 10 samples with noise ``torch.randn(N, latent_dim)`` from one generator of seed 0;
- kl: KL(q(z|x) || N(0, I)) in closed form.

Seeds alone move the ELBO by more than 1 %. ``--noise latentrl`` removes that difference: the order
of the images and the noise are then those of ``fit`` with the same seed, and so are the initial
weights where ``torch.manual_seed(seed)`` comes right before the model is made.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["TQDM_DISABLE"] = "1"  # read at the import of tqdm, which pythae imports

import numpy as np
import torch
from pythae.data.datasets import BaseDataset, collate_dataset_output
from pythae.models import (
    VAE,
    BetaTCVAE,
    BetaTCVAEConfig,
    BetaVAE,
    BetaVAEConfig,
    FactorVAE,
    FactorVAEConfig,
    VAEConfig,
)
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import (
    AdversarialTrainer,
    AdversarialTrainerConfig,
    BaseTrainer,
    BaseTrainerConfig,
)
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

HIDDEN = 256
SAMPLES = 10
LEARNING_RATE, DISCRIMINATOR_LEARNING_RATE = 1e-3, 1e-4
MODELS = {
    "vae": (VAE, VAEConfig, None),
    "beta_vae": (BetaVAE, BetaVAEConfig, "beta"),
    "beta_tc_vae": (BetaTCVAE, BetaTCVAEConfig, "beta"),
    "factor_vae": (FactorVAE, FactorVAEConfig, "gamma"),
}
"""Class, config and the name of the weight that ``--weight`` sets."""


class Encoder(BaseEncoder):
    """Two hidden layers, then means and log variances."""

    def __init__(self, inputs: int, latent_dim: int) -> None:
        super().__init__()
        self.layers = _dense(inputs, 2 * latent_dim)

    def forward(self, x: Tensor) -> ModelOutput:
        """Return pythae's ``embedding`` and ``log_covariance``, each ``(B, latent_dim)``."""
        mean, log_variance = self.layers(x).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    """The mirror image of the encoder."""

    def __init__(self, latent_dim: int, outputs: int) -> None:
        super().__init__()
        self.layers = _dense(latent_dim, outputs)

    def forward(self, z: Tensor) -> ModelOutput:
        """Return the probabilities, which pythae's ``bce`` takes."""
        return ModelOutput(reconstruction=self.layers(z).sigmoid())


def _dense(inputs: int, outputs: int) -> nn.Sequential:
    sizes = (inputs, HIDDEN, HIDDEN, outputs)
    layers = [
        layer for pair in itertools.pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())
    ]
    return nn.Sequential(*layers[:-1])


class CosineSchedule(TrainingCallback):
    """Cosine decay of the learning rate to a hundredth, after every gradient step.

    pythae's own schedules change it once an epoch.
    """

    def __init__(self, trainer: BaseTrainer, steps: int) -> None:
        self.trainer, self.steps = trainer, steps

    def on_train_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Find the optimizers, which pythae creates just before this call."""
        optimizers = [
            value
            for value in vars(self.trainer).values()
            if isinstance(value, torch.optim.Optimizer)
        ]
        self.schedulers = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, self._scale) for optimizer in optimizers
        ]

    def on_train_step_end(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Set the learning rate of the next step."""
        for scheduler in self.schedulers:
            scheduler.step()

    def _scale(self, step: int) -> float:
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / self.steps))


class LatentrlBatches:
    """Positions of the images of each batch of an epoch, as ``fit`` of latentrl samples them."""

    def __init__(self, images: int, batch_size: int, seed: int) -> None:
        self.images, self.batch_size, self.seed = images, batch_size, seed
        self.epochs = itertools.count()

    def __len__(self) -> int:
        return math.ceil(self.images / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng([self.seed, next(self.epochs)]).permutation(self.images)
        for start in range(0, self.images, self.batch_size):
            yield np.sort(order[start : start + self.batch_size]).tolist()


def latentrl_sampler(model: VAE, seed: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return a sampler of latents with the noise of ``fit``; validation decodes the mean."""
    generator, steps = torch.Generator(), itertools.count()

    def sample(mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        if not model.training:
            return mean, torch.zeros_like(mean)
        # ``fit`` seeds each step on its own, and shifts by one bit because seeds are signed there.
        step_seed = np.random.SeedSequence([seed, next(steps)]).generate_state(1, np.uint64)[0] >> 1
        # It draws noise for two samples, of which these losses use the first.
        noise = torch.randn(2, *mean.shape, generator=generator.manual_seed(int(step_seed)))[0]
        return mean + std * noise, noise

    return sample


def main() -> None:
    """Train, evaluate and write the result."""
    args = _arguments()
    logging.disable(logging.INFO)
    with np.load(args.data) as file:
        data = {name: torch.from_numpy(file[name]) for name in ("train", "validation", "test")}
    torch.manual_seed(args.seed)
    model = _train(args, _build(args, data["train"].shape[1]), data)
    args.out.write_text(json.dumps(evaluate(model, data["test"])) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a VAE of pythae and measure its ELBO.")
    add = parser.add_argument
    add("--data", type=Path, required=True, help="npz file of train, validation and test")
    add("--out", type=Path, required=True, help="JSON file of the result")
    add("--model", choices=MODELS, required=True, help="model of pythae")
    add("--weight", type=float, default=4.0, help="beta, or gamma of factor_vae")
    add("--latent-dim", type=int, required=True, help="size of the latent")
    add("--epochs", type=int, required=True, help="passes over the training images")
    add("--batch-size", type=int, required=True, help="images per gradient step")
    add("--seed", type=int, required=True, help="seed of weights, order of images and noise")
    add("--noise", choices=("pythae", "latentrl"), default="pythae", help="order and noise")
    args = parser.parse_args()
    if args.model == "factor_vae" and args.noise == "latentrl":
        parser.error("factor_vae of pythae shuffles and halves every batch: leave --noise out")
    return args


def _build(args: argparse.Namespace, inputs: int) -> VAE:
    make_model, make_config, weight = MODELS[args.model]
    options = {} if weight is None else {weight: args.weight}
    if args.model == "beta_tc_vae":
        options["use_mss"] = True  # the stratified estimator, which latentrl's loss uses
    config = make_config(
        input_dim=(inputs,), latent_dim=args.latent_dim, reconstruction_loss="bce", **options
    )
    encoder, decoder = Encoder(inputs, args.latent_dim), Decoder(args.latent_dim, inputs)
    return make_model(config, encoder=encoder, decoder=decoder)


def _train(args: argparse.Namespace, model: VAE, data: dict[str, Tensor]) -> VAE:
    training, validation = (_dataset(data[name]) for name in ("train", "validation"))
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(args, model, training, validation, folder)
        steps = args.epochs * math.ceil(len(training) / args.batch_size)
        trainer.callbacks = [CosineSchedule(trainer, steps)]
        if args.noise == "latentrl":
            batches = LatentrlBatches(len(training), args.batch_size, args.seed)
            trainer.train_loader = DataLoader(
                training, batch_sampler=batches, collate_fn=collate_dataset_output
            )
            model._sample_gauss = latentrl_sampler(model, args.seed)
        trainer.train()
    return trainer._best_model


def _trainer(
    args: argparse.Namespace,
    model: VAE,
    training: BaseDataset,
    validation: BaseDataset,
    folder: str,
) -> BaseTrainer:
    make_trainer, make_config = BaseTrainer, BaseTrainerConfig
    rates = {"learning_rate": LEARNING_RATE}
    if args.model == "factor_vae":
        make_trainer, make_config = AdversarialTrainer, AdversarialTrainerConfig
        rates["autoencoder_learning_rate"] = LEARNING_RATE
        rates["discriminator_learning_rate"] = DISCRIMINATOR_LEARNING_RATE
    config = make_config(
        output_dir=folder,
        num_epochs=args.epochs,
        per_device_train_batch_size=args.batch_size,
        per_device_eval_batch_size=args.batch_size,
        seed=args.seed,
        no_cuda=True,
        **rates,
    )
    return make_trainer(model, training, validation, config)


def _dataset(images: Tensor) -> BaseDataset:
    return BaseDataset(images, torch.zeros(len(images)))


@torch.inference_mode()
def evaluate(model: VAE, images: Tensor) -> dict[str, float]:
    """Return the ELBO of ``images`` and its two terms, as the top of this file defines them."""
    model.eval()
    posterior = model.encoder(images)
    mean, log_variance = posterior.embedding, posterior.log_covariance
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean().item()
    generator, total = torch.Generator().manual_seed(0), 0.0
    for _ in range(SAMPLES):
        z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator)
        logits = model.decoder.layers(z)
        total += F.binary_cross_entropy_with_logits(logits, images, reduction="sum").item()
    reconstruction = total / SAMPLES / len(images)
    return {"elbo": -(reconstruction + kl), "reconstruction": reconstruction, "kl": kl}


if __name__ == "__main__":
    main()
