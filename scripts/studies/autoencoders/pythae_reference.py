"""Train a VAE with pythae on the network of latentrl's ``mlp`` backbone, as a reference for the
ELBO.

Environment (reference)::

    python3 -m venv .venv-pythae
    .venv-pythae/bin/pip install torch==2.13.0 numpy scipy cloudpickle pydantic tqdm
    .venv-pythae/bin/pip install --no-deps pythae==0.1.2
    .venv-pythae/bin/python scripts/reference_pythae.py --data digits.npz --out vae.json

The file has float32 arrays ``train`` and ``test`` of shape ``(N, D)`` in [0, 1]. With a third one,
``validation``, pythae's trainer keeps the epoch that is best there; without it, the last.

The ELBO, in nats per image, is the mean over ``test`` of ``-(reconstruction + kl)``, whatever the
model was trained on:

- reconstruction: binary cross-entropy, summed over the values of an image, at ``z ~ q(z|x)``; the
  mean of 10 samples with noise ``torch.randn(N, latent_dim)`` each from one generator of seed 0;
- kl: KL(q(z|x) || N(0, I)) in closed form.

Seeds alone move the ELBO by more than 1 %. For a comparison without that noise give ``--draws
latentrl``: the order of the images and the noise are then those of ``fit`` with the same seed, and
so are the first weights where ``torch.manual_seed(seed)`` comes right before the model is made.
Take ``train`` and ``validation`` from the same ``Frames.split`` and train in float32, without
clipping.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is imported, which pythae does

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
        """Return what pythae calls ``embedding`` and ``log_covariance``, each ``(B,
        latent_dim)``.
        """
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
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, outputs),
    )


class CosineSchedule(TrainingCallback):
    """Moves the step size down to a hundredth, after every step; pythae's own schedules move once
    an epoch.
    """

    def __init__(self, trainer: BaseTrainer, steps: int) -> None:
        self.trainer, self.steps = trainer, steps

    def on_train_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Take hold of the optimizers, which pythae makes just before this."""
        optimizers = [
            value
            for value in vars(self.trainer).values()
            if isinstance(value, torch.optim.Optimizer)
        ]
        self.schedulers = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, self._scale) for optimizer in optimizers
        ]

    def on_train_step_end(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Set the step size of the next step."""
        for scheduler in self.schedulers:
            scheduler.step()

    def _scale(self, step: int) -> float:
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / self.steps))


class LatentrlBatches:
    """Positions of the images of each step of an epoch, as ``fit`` of latentrl draws them."""

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
    """Return a sampler of codes with the noise of ``fit`` of latentrl; validation decodes the
    mean.
    """
    generator, steps = torch.Generator(), itertools.count()

    def sample(mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        if not model.training:
            return mean, torch.zeros_like(mean)
        step_seed = np.random.SeedSequence([seed, next(steps)]).generate_state(1, np.uint64)[0] >> 1
        noise = torch.randn(2, *mean.shape, generator=generator.manual_seed(int(step_seed)))[0]
        return mean + std * noise, noise

    return sample


def main() -> None:
    """Train, evaluate, write the result and print it."""
    args = _arguments()
    logging.disable(logging.INFO)
    data = _load(args.data)
    torch.manual_seed(args.seed)
    model = _build(args, data["train"].shape[1])
    steps = args.epochs * math.ceil(len(data["train"]) / args.batch_size)
    start = time.perf_counter()
    model = _train(args, model, data, steps)
    seconds = time.perf_counter() - start
    settings = {
        name: getattr(args, name)
        for name in ("model", "epochs", "batch_size", "learning_rate", "schedule", "draws")
    }
    result = {**settings, "seed": args.seed, "config": model.model_config.to_dict()}
    result |= {"steps": steps, "seconds": round(seconds, 2), **evaluate(model, data["test"])}
    result["versions"] = {name: version(name) for name in ("pythae", "torch", "numpy")}
    result["versions"]["python"] = platform.python_version()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"{args.model} of pythae, {steps} steps in {seconds:.0f} s: ELBO {result['elbo']:.3f} nats per image "
        f"(reconstruction {result['reconstruction']:.3f}, KL {result['kl']:.3f})"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train a VAE with pythae and measure its ELBO.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        required=True,
        help="npz file with float32 arrays train and test, (N, D) in [0, 1]",
    )
    add("--out", type=Path, required=True, help="JSON file for the result")
    add("--model", choices=MODELS, default="vae", help="which of pythae's models")
    add(
        "--weight",
        type=float,
        default=4.0,
        help="beta of beta_vae and beta_tc_vae, gamma of factor_vae",
    )
    add(
        "--sampling",
        choices=("mss", "mws"),
        default="mss",
        help="how beta_tc_vae estimates the total correlation",
    )
    add("--latent-dim", type=int, default=10, help="size of the code")
    add("--epochs", type=int, default=60, help="passes over the training images")
    add(
        "--batch-size",
        type=int,
        default=128,
        help="images per step; factor_vae reconstructs half of them",
    )
    add("--learning-rate", type=float, default=1e-3, help="Adam's step size at the start")
    add(
        "--discriminator-learning-rate",
        type=float,
        default=1e-4,
        help="the same for the discriminator of factor_vae",
    )
    add(
        "--schedule",
        choices=("cosine", "constant"),
        default="cosine",
        help="of the step size, as in latentrl",
    )
    add(
        "--seed",
        type=int,
        default=0,
        help="seed of the weights, the order of the images and the noise",
    )
    add(
        "--draws",
        choices=("pythae", "latentrl"),
        default="pythae",
        help="whose order of the images and noise to use",
    )
    args = parser.parse_args()
    if args.model == "factor_vae" and args.draws == "latentrl":
        parser.error(
            "factor_vae of pythae shuffles and halves every batch; it has no --draws latentrl"
        )
    return args


def _load(path: Path) -> dict[str, Tensor]:
    with np.load(path) as file:
        names = ["train", "test", *(["validation"] if "validation" in file else [])]
        arrays = {name: file[name] for name in names}
    for name, array in arrays.items():
        if (
            array.ndim != 2
            or array.dtype != np.float32
            or not (array.min() >= 0 and array.max() <= 1)
        ):
            raise ValueError(
                f"{name} in {path} is not a float32 array of shape (N, D) with values in [0, 1]"
            )
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _build(args: argparse.Namespace, inputs: int) -> VAE:
    make_model, make_config, weight = MODELS[args.model]
    options = {} if weight is None else {weight: args.weight}
    if args.model == "beta_tc_vae":
        options["use_mss"] = args.sampling == "mss"
    config = make_config(
        input_dim=(inputs,), latent_dim=args.latent_dim, reconstruction_loss="bce", **options
    )
    return make_model(
        config, encoder=Encoder(inputs, args.latent_dim), decoder=Decoder(args.latent_dim, inputs)
    )


def _train(args: argparse.Namespace, model: VAE, data: dict[str, Tensor], steps: int) -> VAE:
    adversarial = args.model == "factor_vae"
    rates = {"learning_rate": args.learning_rate}
    if adversarial:
        rates["autoencoder_learning_rate"] = args.learning_rate
        rates["discriminator_learning_rate"] = args.discriminator_learning_rate
    with tempfile.TemporaryDirectory() as folder:
        config = (AdversarialTrainerConfig if adversarial else BaseTrainerConfig)(
            output_dir=folder,
            num_epochs=args.epochs,
            per_device_train_batch_size=args.batch_size,
            per_device_eval_batch_size=args.batch_size,
            seed=args.seed,
            no_cuda=True,
            **rates,
        )
        training, validation = _dataset(data["train"]), _dataset(data.get("validation"))
        trainer = (AdversarialTrainer if adversarial else BaseTrainer)(
            model, training, validation, config
        )
        trainer.callbacks = [CosineSchedule(trainer, steps)] if args.schedule == "cosine" else None
        if args.draws == "latentrl":
            batches = LatentrlBatches(len(training), args.batch_size, args.seed)
            trainer.train_loader = DataLoader(
                training, batch_sampler=batches, collate_fn=collate_dataset_output
            )
            model._sample_gauss = latentrl_sampler(model, args.seed)
        trainer.train()
    return model if validation is None else trainer._best_model


def _dataset(images: Tensor | None) -> BaseDataset | None:
    return None if images is None else BaseDataset(images, torch.zeros(len(images)))


@torch.inference_mode()
def evaluate(model: VAE, images: Tensor) -> dict[str, float]:
    """Return the ELBO of ``images`` and its two terms, as the top of this file says."""
    model.eval()
    code = model.encoder(images)
    mean, log_variance = code.embedding, code.log_covariance
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean().item()
    generator = torch.Generator().manual_seed(0)
    reconstruction = 0.0
    for _ in range(SAMPLES):
        z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator)
        logits = model.decoder.layers(z)
        reconstruction += F.binary_cross_entropy_with_logits(
            logits, images, reduction="sum"
        ).item() / len(images)
    reconstruction /= SAMPLES
    return {"elbo": -(reconstruction + kl), "reconstruction": reconstruction, "kl": kl}


if __name__ == "__main__":
    main()
