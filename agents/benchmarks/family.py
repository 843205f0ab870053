"""Studies of the family as a whole: beside a reference implementation, and what a step costs."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from agents.benchmarks.data import mnist
from agents.benchmarks.study import STUDIES, Row, Study, Table
from latentrl import FitConfig, as_frames, fit
from latentrl.autoencoder import Autoencoder
from latentrl.models import MODELS, make
from latentrl.types import Array

REFERENCE = Path(".venv-pythae/bin/python")
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "reference_pythae.py"
EPOCHS, LATENTS, SEEDS, SAMPLES = 60, 10, range(3), 10
PAIRS = {
    "vae": ("vae", {}, ["--draws", "latentrl"]),
    "beta_vae": ("beta_vae", {"beta": 4.0}, ["--draws", "latentrl", "--weight", "4"]),
    "beta_tcvae": ("beta_tc_vae", {"beta": 4.0}, ["--weight", "4"]),
    "factor_vae": ("factor_vae", {"gamma": 4.0}, ["--weight", "4"]),
}
"""Ours: pythae's name, our options, its flags. Where noise and order of images can be shared, they are."""


@STUDIES.register("elbo")
def elbo() -> Study:
    """ELBO per held-out image beside pythae: one network, 60 epochs of 4,000 digits of MNIST, mean of three seeds."""
    if not REFERENCE.exists():
        raise FileNotFoundError(
            "pythae has an environment of its own, which is missing; make it with\n  make reference"
        )
    rows, table = [], []
    for name, (theirs, options, flags) in PAIRS.items():
        figures = [(_ours(name, options, seed), _reference(theirs, flags, seed)) for seed in SEEDS]
        table.append([name, *(f"{a:.1f} / {b:.1f}" for a, b in figures)])
        ours, reference = (statistics.mean(values) for values in zip(*figures, strict=True))
        reached = ours >= reference - 0.01 * abs(reference)
        rows.append(Row(f"{name}: ELBO, nats", ours, {"pythae": reference}, "no more than 1 % below", reached))
    return Study(rows, [Table("ELBO by seed: latentrl / pythae", ["model", *map(str, SEEDS)], table)])


def _images(seed: int) -> tuple[Array, Array, Array, Array]:
    images, _ = mnist()
    fitted, test = images[:4400], images[4400:]
    training, validation = as_frames(fitted).split(400 / 4400, seed)
    return fitted, training[:], validation[:], test


def _config(seed: int) -> FitConfig:
    return FitConfig(epochs=EPOCHS, validation=400 / 4400, precision="float32", gradient_clip=None, seed=seed)


def _ours(name: str, options: dict[str, float], seed: int) -> float:
    fitted, _, _, test = _images(seed)
    torch.manual_seed(seed)
    body = {"name": "mlp"}
    model = make(name, fitted.shape[1:], latent_dim=LATENTS, likelihood="bernoulli", body=body, **options)
    fit(model, fitted, _config(seed))
    return _bound(model, test)


@torch.no_grad()
def _bound(model: Autoencoder, images: Array) -> float:
    x = model.preprocess(torch.from_numpy(images).to(model.device))
    generator, total = torch.Generator().manual_seed(0), 0.0
    for _ in range(SAMPLES):
        noise = torch.randn(len(x), model.latent_dim, generator=generator).to(x.device)
        code, _, outputs = model(x, noise)
        total += float(model.likelihood.log_prob(outputs, x).flatten(1).sum(1).mean())
    return total / SAMPLES - float(code.kl().sum(1).mean())


def _reference(name: str, flags: list[str], seed: int) -> float:
    _, training, validation, test = _images(seed)
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "data.npz", Path(folder) / "out.json"
        np.savez(data, train=_flat(training), validation=_flat(validation), test=_flat(test))
        command = [REFERENCE.absolute(), SCRIPT, "--data", data, "--out", out, "--model", name, *flags]
        settings = {"latent-dim": LATENTS, "epochs": EPOCHS, "batch-size": 128, "learning-rate": 1e-3, "seed": seed}
        words = [word for key, value in settings.items() for word in (f"--{key}", value)]
        subprocess.run([*map(str, [*command, *words])], check=True, stdout=subprocess.DEVNULL)
        return float(json.loads(out.read_text())["elbo"])


def _flat(images: Array) -> Array:
    return images.reshape(len(images), -1).astype(np.float32) / 255


@STUDIES.register("cost")
def cost() -> Study:
    """One training step on 64 images of 64x64x3 in float32, beside the products and convolutions that it does."""
    trained = [name for name in MODELS if make(name, (64, 64, 3)).config.training == "gradient"]
    steps = {name: _step(name) for name in trained}
    flops = {name: _flops(step) for name, step in steps.items()}
    times = _interleaved(steps, rounds=7)
    table = [[name, *_costs(times[name], flops[name], times["vae"], flops["vae"])] for name in trained]
    excess = {name: times[name] / times["vae"] / (flops[name] / flops["vae"]) for name in trained}
    worst = max(excess, key=excess.__getitem__)
    row = Row(
        f"time over vae's, divided by arithmetic over vae's: the worst, {worst}",
        excess[worst],
        goal="at most 1.25",
        reached=excess[worst] <= 1.25,
    )
    return Study([row], [Table("A step", ["model", "ms", "GFLOP", "time / vae", "arithmetic / vae"], table)])


def _costs(duration: float, flops: int, vae_duration: float, vae_flops: int) -> list[str]:
    ratios = f"{duration / vae_duration:.2f}", f"{flops / vae_flops:.2f}"
    return [f"{1000 * duration:.0f}", f"{flops / 1e9:.2f}", *ratios]


def _step(name: str) -> Callable[[], None]:
    torch.manual_seed(0)
    model = make(name, (64, 64, 3)).train()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, fused=True)
    x = torch.rand(64, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        inputs, noise = model.draw(x, generator)
        terms, _ = model.losses(x, inputs, noise, 0)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _flops(step: Callable[[], None]) -> int:
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def _interleaved(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    durations: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if number:
                durations[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in durations.items()}
