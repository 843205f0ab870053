"""Studies of the family as a whole: beside a reference implementation, and what a step costs."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from latentrl import FitConfig, as_frames, fit
from latentrl.models import MODELS, make
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from scripts.studies.autoencoders.data import mnist
from scripts.studies.core import STUDIES, Row, Study, Table

REFERENCE = Path(".venv-pythae/bin/python")
SCRIPT = Path(__file__).resolve().parent / "pythae_reference.py"
ROUNDS = 25
Times = dict[str, list[float]]
"""Seconds of each model's step, round by round: ratios are taken within a round, on a machine that
others use."""
EPOCHS, LATENTS, SEEDS, SAMPLES = 60, 10, range(3), 10
PAIRS = {
    "vae": ("vae", {}, ["--draws", "latentrl"]),
    "beta_vae": ("beta_vae", {"beta": 4.0}, ["--draws", "latentrl", "--weight", "4"]),
    "beta_tcvae": ("beta_tc_vae", {"beta": 4.0}, ["--weight", "4"]),
    "factor_vae": ("factor_vae", {"gamma": 4.0}, ["--weight", "4"]),
}
"""Ours: pythae's name, our options, its flags. Where noise and order of images can be shared, they
are."""


@STUDIES.register("elbo")
def elbo() -> Study:
    """ELBO per held-out image beside pythae: one network, 60 epochs of 4,000 digits of MNIST, mean
    of three seeds.
    """
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
        rows.append(
            Row(
                f"{name}: ELBO, nats",
                ours,
                {"pythae": reference},
                "no more than 1 % below",
                reached,
            )
        )
    return Study(
        rows, [Table("ELBO by seed: latentrl / pythae", ["model", *map(str, SEEDS)], table)]
    )


def _images(seed: int) -> tuple[Array, Array, Array, Array]:
    images, _ = mnist()
    fitted, test = images[:4400], images[4400:]
    training, validation = as_frames(fitted).split(400 / 4400, seed)
    return fitted, training[:], validation[:], test


def _config(seed: int) -> FitConfig:
    return FitConfig(
        epochs=EPOCHS, validation=400 / 4400, precision="float32", gradient_clip=None, seed=seed
    )


def _ours(name: str, options: dict[str, float], seed: int) -> float:
    fitted, _, _, test = _images(seed)
    torch.manual_seed(seed)
    backbone = {"name": "mlp"}
    model = make(
        name,
        fitted.shape[1:],
        latent_dim=LATENTS,
        likelihood="bernoulli",
        backbone=backbone,
        **options,
    )
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
        command = [
            REFERENCE.absolute(),
            SCRIPT,
            "--data",
            data,
            "--out",
            out,
            "--model",
            name,
            *flags,
        ]
        settings = {
            "latent-dim": LATENTS,
            "epochs": EPOCHS,
            "batch-size": 128,
            "learning-rate": 1e-3,
            "seed": seed,
        }
        words = [word for key, value in settings.items() for word in (f"--{key}", value)]
        subprocess.run([*map(str, [*command, *words])], check=True, stdout=subprocess.DEVNULL)
        return float(json.loads(out.read_text())["elbo"])


def _flat(images: Array) -> Array:
    return images.reshape(len(images), -1).astype(np.float32) / 255


@STUDIES.register("cost")
def cost() -> Study:
    """One training step on 64 images of 64x64x3 in float32, beside its arithmetic: products and
    values written.
    """
    trained = [name for name in MODELS if make(name, (64, 64, 3)).config.training == "gradient"]
    steps = {name: _step(name) for name in trained}
    work = {name: _work(step) for name, step in steps.items()}
    times = _interleaved(steps)
    ratios = {name: _ratios(times, work, name) for name in trained}
    excess = {
        name: time / max(products, values) for name, (time, products, values) in ratios.items()
    }
    worst = max(excess, key=excess.__getitem__)
    what = f"time over vae's, divided by the greater of its two kinds of arithmetic over vae's: the worst, {worst}"
    row = Row(what, excess[worst], goal="at most 1.25", reached=excess[worst] <= 1.25)
    table = [
        [
            name,
            f"{1000 * statistics.median(times[name]):.0f}",
            *(f"{ratio:.2f}" for ratio in ratios[name]),
        ]
        for name in trained
    ]
    columns = ["model", "ms", "time / vae", "products / vae", "values written / vae"]
    return Study([row], [Table("A step", columns, table)])


def _ratios(
    times: Times, work: dict[str, tuple[int, int]], name: str
) -> tuple[float, float, float]:
    (products, values), (vae_products, vae_values) = work[name], work["vae"]
    slower = statistics.median(
        mine / vae for mine, vae in zip(times[name], times["vae"], strict=True)
    )
    return slower, products / vae_products, values / vae_values


def _step(name: str) -> Callable[[], None]:
    torch.manual_seed(0)
    model = make(name, (64, 64, 3)).train()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, fused=True)
    x = torch.rand(64, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        terms, _ = model.losses(x, *model.sample_noise(x, generator), 0)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


class _Everything(contextlib.nullcontext[None]):
    """Counts for no module in particular: the tracker of modules cannot follow a penalty's own
    gradient.
    """

    parents = frozenset({"Global"})
    is_bw = False


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the values that operations write: what a step costs where memory is the limit."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.values += sum(
                part.numel() for part in tree_leaves(result) if isinstance(part, torch.Tensor)
            )
        return result


def _work(step: Callable[[], None]) -> tuple[int, int]:
    """Return the floating-point operations in products and convolutions, and the values written."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _Everything()  # type: ignore[assignment]
    with counter:
        step()
    with _Traffic() as traffic:
        step()
    return int(counter.get_total_flops()), traffic.values


def _interleaved(steps: dict[str, Callable[[], None]]) -> Times:
    durations: Times = {name: [] for name in steps}
    for number in range(ROUNDS + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if number:
                durations[name].append(time.perf_counter() - start)
    return durations
