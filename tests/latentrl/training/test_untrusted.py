"""Models and runs from strangers: every edit of their files is an error of one line, and cheap."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.training import checkpoint
from latentrl.training.optimizer_state import load_optimizer_tensors, optimizer_tensors
from latentrl.training.resume import RESUME_FILE, read_progress
from latentrl.utils.io import read_tensors, write_tensors
from tests.latentrl.training.helpers import InterruptAt, make_vae, run
from tests.mutations import edit_bytes, edit_json, edit_tensors, is_one_line, refusal

MLP = {"name": "mlp", "hidden": (4,)}
CONV = {"name": "conv", "channels": (2,), "hidden": 4}
MODELS: dict[str, Callable[[], lrl.Autoencoder]] = {
    "vae": lambda: lrl.vae((6,), 2, backbone=MLP, likelihood="diagonal_gaussian"),
    "factor_vae": lambda: lrl.factor_vae((6,), 2, backbone=MLP),
    "inpainting_ae": lambda: lrl.inpainting_ae((8, 8, 3), 2, backbone=CONV),
    "dae_beta_vae": lambda: lrl.dae_beta_vae((8, 8, 3), 2, backbone=CONV),
    "qlae": lambda: lrl.qlae((6,), 2, values=3, backbone=MLP),
    "psd_ae": lambda: lrl.psd_ae((6,), 4),
    "recurrent": lambda: lrl.ae(
        lrl.as_frames(np.zeros((1, 5, 3), np.float32)).space,
        2,
        backbone={"name": "recurrent", "hidden": 3},
    ),
}
EDITS = 30
"""Edits of each model."""


@pytest.fixture(autouse=True)
def unflushed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # thousands of small files


def edit(file: Path, note: str, rng: np.random.Generator) -> None:
    """Edit a file as a stranger does, with right checksums, or as a failing disk does."""
    tensors, notes = read_tensors(file, note)
    match rng.integers(4):
        case 0:
            edit_bytes(file, rng)
        case 1:
            write_tensors(file, edit_tensors(tensors, rng), {note: notes})
        case _:
            write_tensors(file, tensors, {note: edit_json(edit_json(notes, rng), rng)})


@pytest.mark.parametrize("name", MODELS)
def test_every_edit_of_a_model_is_refused_or_harmless(name: str, tmp_path: Path) -> None:
    file = lrl.save(MODELS[name](), tmp_path) / "model.safetensors"
    whole = file.read_bytes()
    for seed in range(EDITS):
        file.write_bytes(whole)
        edit(file, "latentrl", np.random.default_rng([seed, *name.encode()]))
        assert is_one_line(refusal(lambda: lrl.load(tmp_path, "cpu")))


def nest_features(description: dict[str, Any], depth: int) -> dict[str, Any]:
    features: dict[str, Any] = {"name": "pixels"}
    for _ in range(depth):
        features = {"name": "features", "model": {**description, "reconstruction": features}}
    return {**description, "reconstruction": features}


@pytest.mark.parametrize(
    "changes",
    [
        {"latent_dim": 2**20, "losses": [{"name": "sparsity"}]},
        {"latent_dim": 10**12},
        {"backbone": {"name": "mlp", "hidden": [2**20] * 100}},
        {"backbone": {"name": "mlp", "hidden": [4] * 1_000_000}},
        {"backbone": {"name": "mlp", "hidden": [10**30]}},
        {"backbone": {"name": "recurrent", "layers": 10**9}},
        {"backbone": {"name": "patches", "size": 0}},
        {"space": {"shape": [2**40], "dtype": "float32", "bounds": None}},
        {"space": {"shape": [2**12, 2**12], "dtype": "float64", "bounds": None}},
        {"losses": [{"name": "density_ratio", "hidden": [2**20] * 50}]},
        {"losses": [{"name": "kl"}] * 100_000},
        {"preprocessing": {"crop": [0, 0, 0, 0], "size": [10**9, 10**9], "greyscale": False}},
    ],
)
def test_a_small_file_of_a_huge_model_takes_no_memory(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    file = lrl.save(MODELS["vae"](), tmp_path) / "model.safetensors"
    tensors, notes = read_tensors(file, "latentrl")
    notes["config"] |= changes
    write_tensors(file, tensors, {"latentrl": notes})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"model.safetensors "):
        lrl.load(tmp_path, "cpu")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 2**19, "KiB"


def test_models_inside_one_another_have_a_limit(tmp_path: Path) -> None:
    file = lrl.save(MODELS["inpainting_ae"](), tmp_path) / "model.safetensors"
    tensors, notes = read_tensors(file, "latentrl")
    for depth in (1, 20, 40):
        changed = {**notes, "config": nest_features(notes["config"], depth)}
        write_tensors(file, tensors, {"latentrl": changed})
        with pytest.raises(ValueError, match=r"compares 'features'|nests values more than 64 deep"):
            lrl.load(tmp_path, "cpu")


def test_loading_draws_what_it_always_drew(tmp_path: Path) -> None:
    lrl.save(MODELS["vae"](), tmp_path)
    torch.manual_seed(0)
    lrl.vae((6,), 2, backbone=MLP, likelihood="diagonal_gaussian")
    expected = torch.rand(3)
    torch.manual_seed(0)
    lrl.load(tmp_path, "cpu")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(
    value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MODELS["vae"]()
    lrl.save(model, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with torch.no_grad():
        next(model.encoder.parameters())[0] = value
    with pytest.raises(
        FloatingPointError,
        match=r"'encoder.1.0.weight' has values that are not finite: this model is not saved to ",
    ):
        lrl.save(model, tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    with monkeypatch.context() as careless:
        careless.setattr(checkpoint, "name_not_finite", lambda _: None)
        lrl.save(model, tmp_path)
    with pytest.raises(
        ValueError, match=r"cannot be used: 'encoder.1.0.weight' has values that are not finite"
    ):
        lrl.load(tmp_path, "cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("latent_mean"), "lacks the tensor 'latent_mean': another version or prog"),
        (lambda t: t.update(x=torch.ones(1)), "has a tensor of no use, 'x': another version or"),
        (
            lambda t: t.update(latent_mean=torch.ones(3)),
            r"holds 'latent_mean' as \(3,\) float32, its config needs \(2,\) float32",
        ),
        (
            lambda t: t.update(latent_mean=torch.ones(2, dtype=torch.int64)),
            r"holds 'latent_mean' as \(2,\) int64, its config needs \(2,\) float32",
        ),
    ],
)
def test_tensors_of_another_model_are_named(change: Any, message: str, tmp_path: Path) -> None:
    file = lrl.save(MODELS["vae"](), tmp_path) / "model.safetensors"
    tensors, notes = read_tensors(file, "latentrl")
    change(tensors)
    write_tensors(file, tensors, {"latentrl": notes})
    with pytest.raises(ValueError, match=rf"model.safetensors {message}"):
        lrl.load(tmp_path, "cpu")


def test_weights_of_half_precision_load(tmp_path: Path) -> None:
    file = lrl.save(MODELS["vae"](), tmp_path) / "model.safetensors"
    tensors, notes = read_tensors(file, "latentrl")
    half = {name: t.bfloat16() if t.is_floating_point() else t for name, t in tensors.items()}
    write_tensors(file, half, {"latentrl": notes})
    assert lrl.load(tmp_path, "cpu").latent_mean.dtype == torch.float32


@pytest.fixture
def interrupted(vectors: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a fit that Ctrl-C stopped in the middle of its second epoch."""
    with monkeypatch.context() as patched:
        stop = InterruptAt(20)
        patched.setattr(lrl.Autoencoder, "losses", lambda self, *args: stop(self, *args))
        with pytest.raises(KeyboardInterrupt):
            run(make_vae(), vectors, path=tmp_path)
    return tmp_path / RESUME_FILE


def restore(file: Path) -> torch.optim.Optimizer:
    model = make_vae()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    recipe = read_tensors(file, "progress")[1].get("recipe", {})
    read_progress(file.parent, recipe, model, optimizer)
    return optimizer


def test_every_edit_of_an_interrupted_fit_is_refused_or_harmless(interrupted: Path) -> None:
    whole = interrupted.read_bytes()
    for seed in range(EDITS):
        interrupted.write_bytes(whole)
        edit(interrupted, "progress", np.random.default_rng(seed))
        assert is_one_line(refusal(lambda: restore(interrupted)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("optimizer.0.exp_avg"), "the optimizer lacks 'optimizer.0.exp_avg'"),
        (lambda t: t.update({"optimizer.99.step": torch.ones(())}), "has a useless 'optimizer.99"),
        (lambda t: t.update({"optimizer.x": torch.ones(())}), "has a useless 'optimizer.x'"),
        (
            lambda t: t.update({"optimizer.0.exp_avg": torch.ones(3)}),
            r"has 'optimizer.0.exp_avg' of shape \(3,\) and type torch.float32, its parameter has",
        ),
        (lambda t: t.pop("best.latent_mean"), "lacks the tensor 'latent_mean'"),
        (lambda t: t["model.latent_mean"].fill_(np.nan), "'latent_mean' has values that are not"),
        (lambda t: t.update({"sums.loss": torch.ones(2)}), "its running sums are none"),
    ],
)
def test_the_part_of_a_fit_that_is_damaged_is_named(
    change: Any, message: str, interrupted: Path
) -> None:
    tensors, notes = read_tensors(interrupted, "progress")
    change(tensors)
    write_tensors(interrupted, tensors, {"progress": notes})
    with pytest.raises(ValueError, match=message):
        restore(interrupted)


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.RMSprop, torch.optim.SGD])
def test_states_of_every_optimizer_are_restored(kind: Any) -> None:
    layers = [torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)]
    options = {"momentum": 0.5} if kind is not torch.optim.AdamW else {}
    first, second = (kind(layer.parameters(), lr=0.1, **options) for layer in layers)
    layers[0](torch.ones(2)).sum().backward()
    first.step()
    saved = optimizer_tensors(first)
    load_optimizer_tensors(second, saved)
    assert saved
    assert saved.keys() == optimizer_tensors(second).keys()
    assert all(torch.equal(saved[name], value) for name, value in optimizer_tensors(second).items())
