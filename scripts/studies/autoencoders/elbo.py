"""ELBO of the VAE family, compared with that of pythae."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch

from latentrl import FitConfig, as_frames, fit
from latentrl.models import make
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from scripts.studies.autoencoders.data import flat, mnist
from scripts.studies.core import Row, Study, Table

REFERENCE = Path(".venv-pythae/bin/python")
SCRIPT = Path(__file__).resolve().parent / "pythae_reference.py"
EPOCHS, LATENTS, SEEDS, SAMPLES = 60, 10, range(3), 10
BATCH = 128
FITTED, VALIDATION = 4_400, 400 / 4_400
PAIRS = {
    "vae": ("vae", {}, ["--noise", "latentrl"]),
    "beta_vae": ("beta_vae", {"beta": 4.0}, ["--noise", "latentrl", "--weight", "4"]),
    "beta_tcvae": ("beta_tc_vae", {"beta": 4.0}, ["--weight", "4"]),
    "factor_vae": ("factor_vae", {"gamma": 4.0}, ["--weight", "4"]),
}
"""By latentrl's name: pythae's name, options of latentrl, flags of the reference script.

Models that draw one sample per image train on the same noise and the same order of images.
"""


def study() -> Study:
    """ELBO of held-out digits, compared with pythae.

    Both libraries train the same network on 4,000 digits of MNIST for 60 epochs; the ELBO is the
    mean over three seeds.
    """
    if not REFERENCE.exists():
        raise FileNotFoundError(
            "pythae needs a virtual environment of its own; create it with\n  make reference"
        )
    rows, table = [], []
    for name, (reference, options, flags) in PAIRS.items():
        pairs = [(_latentrl(name, options, s), _pythae(reference, flags, s)) for s in SEEDS]
        table.append([name, *(f"{a:.1f} / {b:.1f}" for a, b in pairs)])
        rows.append(_row(name, *map(statistics.mean, zip(*pairs, strict=True))))
    columns = ["model", *(f"seed {seed}" for seed in SEEDS)]
    return Study(rows, [Table("ELBO by seed, latentrl / pythae", columns, table)])


def _row(name: str, value: float, reference: float) -> Row:
    reached = value >= reference - 0.01 * abs(reference)
    baselines = {"pythae": reference}
    return Row(f"{name}: ELBO, nats", value, baselines, "at most 1 % below", reached)


def _latentrl(name: str, options: dict[str, float], seed: int) -> float:
    images, _ = mnist()
    torch.manual_seed(seed)
    model = make(
        name,
        images.shape[1:],
        latent_dim=LATENTS,
        likelihood="bernoulli",
        backbone={"name": "mlp"},
        **options,
    )
    fit(model, images[:FITTED], _config(seed))
    return _elbo(model, images[FITTED:])


def _config(seed: int) -> FitConfig:
    return FitConfig(
        epochs=EPOCHS, validation=VALIDATION, precision="float32", gradient_clip=None, seed=seed
    )


@torch.no_grad()
def _elbo(model: Autoencoder, images: Array) -> float:
    """Return E_q[log p(x | z)] - KL(q(z | x) || p(z)) per image, by 10 samples of z."""
    x = model.preprocess(torch.from_numpy(images).to(model.device))
    generator, log_prob = torch.Generator().manual_seed(0), 0.0
    for _ in range(SAMPLES):
        noise = torch.randn(len(x), model.latent_dim, generator=generator).to(x.device)
        posterior, _, outputs = model(x, noise)
        log_prob += float(model.likelihood.log_prob(outputs, x).flatten(1).sum(1).mean())
    # Losses of the family weigh the KL term differently; the bound itself has weight 1.
    return log_prob / SAMPLES - float(posterior.kl().sum(1).mean())


def _pythae(name: str, flags: list[str], seed: int) -> float:
    images, _ = mnist()
    # The split of ``fit`` with the same seed, so that both libraries train on the same images.
    training, validation = as_frames(images[:FITTED]).split(VALIDATION, seed)
    train, held_out, test = map(_vectors, (training[:], validation[:], images[FITTED:]))
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "data.npz", Path(folder) / "out.json"
        np.savez(data, train=train, validation=held_out, test=test)
        options = {
            "data": data,
            "out": out,
            "model": name,
            "latent-dim": LATENTS,
            "epochs": EPOCHS,
            "batch-size": BATCH,
            "seed": seed,
        }
        words = [str(word) for key, value in options.items() for word in (f"--{key}", value)]
        command = [str(REFERENCE.absolute()), str(SCRIPT), *words, *flags]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return float(json.loads(out.read_text())["elbo"])


def _vectors(images: Array) -> Array:
    return flat(images).astype(np.float32)
