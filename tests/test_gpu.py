"""The GPU agrees with the CPU, and checkpoints change devices; run with make test-gpu."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import latentrl as lrl
from agents.checkpoint import build
from agents.pretrain import PretrainConfig, pretrain
from envs import Environment, make_vector
from latentrl.models import MODELS, make
from latentrl.models.autoencoder import Autoencoder
from tests.agents.small import CASES, make_venv, small_config, tiny_train
from tests.latentrl.training.helpers import InterruptAt

GPU = "cuda"


@pytest.fixture(autouse=True)
def needs_cuda() -> None:
    if not torch.cuda.is_available():
        pytest.exit("no CUDA GPU is visible", returncode=1)


pytestmark = [
    pytest.mark.gpu,
    # Trainings are too short to learn.
    pytest.mark.filterwarnings("ignore:the (latents have collapsed|encoder may miss something)"),
    # From torch, where autograd's thread is the first to multiply matrices.
    pytest.mark.filterwarnings("ignore:Attempting to run cuBLAS, but there was no current CUDA"),
]
MODEL = pytest.mark.parametrize("name", list(MODELS))
SHAPES = pytest.mark.parametrize("shape", [(33, 40, 3), (8,)], ids=str)
SHORT = lrl.FitConfig(steps=20, batch_size=32, device=GPU)


def observations(shape: tuple[int, ...], count: int = 64) -> Any:
    rng = np.random.default_rng(0)
    if len(shape) == 3:
        return rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    return rng.standard_normal((count, *shape)).astype(np.float32)


def twins(name: str, shape: tuple[int, ...]) -> tuple[Autoencoder, Autoencoder]:
    """One model with the same weights on both devices."""
    models = []
    for device in ("cpu", GPU):
        torch.manual_seed(0)
        models.append(make(name, shape, latent_dim=5).to(device).eval())
    return models[0], models[1]


def assert_close(one: Any, other: Any) -> None:
    """Within a hundredth of the typical size: one grey level of a resized image, or rounding."""
    scale = max(float(np.abs(one).mean()), 1e-3)
    assert float(np.abs(one.astype(float) - other.astype(float)).mean()) < 0.01 * scale


@SHAPES
@MODEL
def test_models_agree_with_the_cpu(name: str, shape: tuple[int, ...]) -> None:
    x, (cpu, gpu) = observations(shape), twins(name, shape)
    assert_close(cpu.encode(x), gpu.encode(x))
    if cpu.decoder is not None:
        assert_close(cpu.reconstruct(x), gpu.reconstruct(x))


@SHAPES
@MODEL
def test_models_are_trained_on_the_gpu_and_used_on_the_cpu(
    name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    x, model = observations(shape), twins(name, shape)[1]
    history = lrl.fit(model, x, SHORT, path=tmp_path, progress=False)
    assert model.fitted
    assert model.device.type == GPU
    assert all(np.isfinite(row["validation/loss"]) for row in history.epochs)
    assert_close(lrl.load(tmp_path, "cpu").encode(x), model.encode(x))


def test_training_continues_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, model = observations((33, 40, 3)), lrl.beta_vae((33, 40, 3), 5)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt = InterruptAt(10)
        patched.setattr(Autoencoder, "losses", lambda *arguments: interrupt(*arguments))
        lrl.fit(model, x, SHORT, path=tmp_path, progress=False)
    assert next(model.parameters()).device.type == GPU
    config = dataclasses.replace(SHORT, device="cpu")
    model = lrl.beta_vae((33, 40, 3), 5)
    history = lrl.fit(model, x, config, path=tmp_path, progress=False, resume=True)
    assert history.epochs[-1]["step"] == SHORT.steps
    assert model.device.type == "cpu"


@pytest.mark.filterwarnings("ignore:`torch.jit.script")  # from torch itself
def test_compiled_training() -> None:
    x, model = observations((33, 40, 3)), lrl.beta_vae((33, 40, 3), 5)
    config = lrl.FitConfig(steps=20, batch_size=32, device=GPU, compile=True)
    history = lrl.fit(model, x, config, progress=False)
    assert np.isfinite(history.epochs[-1]["validation/loss"])


def test_uses_of_a_model() -> None:
    x, (cpu, gpu) = observations((33, 40, 3)), twins("vae", (33, 40, 3))
    for model in (cpu, gpu):
        lrl.fit(model, x, lrl.FitConfig(steps=1, device="cpu", precision="float32"), progress=False)
    gpu.to(GPU)
    holes = np.zeros((33, 40), bool)
    holes[8:16, 8:16] = True
    for use in (
        lambda model: lrl.sample(model, 4),
        lambda model: lrl.interpolate(model, x[0], x[1]),
        lambda model: lrl.traverse(model, x[0], 3),
        lambda model: lrl.inpaint(model, x[:4], holes),
        lambda model: lrl.AnomalyDetector(model, false_alarm_rate=0.1).fit(x).score(x[:4]),
        lambda model: np.array([lrl.quality(model, lrl.as_frames(x)).psnr]),
    ):
        assert_close(np.asarray(use(cpu)), np.asarray(use(gpu)))


def test_agents_observe_the_same_latents() -> None:
    seen = []
    for model in twins("beta_vae", (32, 32, 3)):
        envs = lrl.wrap(make_vector(Environment("PixelReach-v0"), 3), model)
        seen.append([envs.reset(seed=0)[0]])
        seen[-1] += [envs.step(np.full(3, step % 4))[0] for step in range(5)]
        envs.close()
    assert_close(np.stack(seen[0]), np.stack(seen[1]))


@pytest.mark.parametrize(("algo", "environment"), CASES)
def test_agents_learn_from_latents_of_the_gpu(algo: str, environment: Environment) -> None:
    encoder = twins("beta_vae", (32, 32, 3))[1]
    config = small_config(algo, environment)
    venv = make_venv(config, encoder)
    agent = build(config, venv, seed=1).learn(64)
    assert agent.device.type == "cpu"
    assert agent.num_timesteps >= 64
    venv.close()


@pytest.mark.parametrize("latent", [True, False])
def test_train_agent_is_resumed_on_the_cpu(
    latent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    encoder = twins("beta_vae", (32, 32, 3))[1]
    run = tiny_train(encoder, latent=latent, device=GPU, out=tmp_path / "agent")
    assert run.timesteps == 192
    again = tiny_train(
        encoder, latent=latent, device="cpu", out=run.path, resume=True, timesteps=256
    )
    assert again.timesteps == 256


def test_pretraining_chooses_an_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = pretrain(
        PretrainConfig(
            "PixelReach-v0", untuned=True, frames=400, steps=20, device=GPU, out=tmp_path / "vae"
        )
    )
    assert result.model.device.type == GPU
    assert "quality" in lrl.load(tmp_path / "vae", "cpu").metadata
