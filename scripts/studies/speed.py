"""Rates of encoding, of training, and of stepping environments with and without an encoder."""

from __future__ import annotations

import functools
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.algorithms.base import unchanged
from agents.bonuses import make_novelty
from agents.checkpoint import build
from agents.config import AgentConfig
from agents.pretrain import PretrainConfig, build_model
from agents.pretrain_config import completed
from agents.train import describe_agent
from agents.train_config import TrainConfig
from agents.venv import build_monitored, build_venv
from envs import Environment, make_env, make_vector
from envs.minigrid.views import PIXEL_SPACE
from latentrl import FitConfig, Preprocessing, beta_vae, fit, wrap
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.utils.device import pick_device
from latentrl.utils.registry import Registry

Rows = list[tuple[str, float]]
"""What was measured, and its value in the unit of the benchmark."""

BENCHMARKS: Registry[Rows] = Registry("benchmark")
UNITS = {
    "explorer": "kB or ms",
    "devices": "frames/s, PPO in timesteps/s",
    "memory": "timesteps/s",
}
"""Units of benchmarks whose rows are not frames per second alone."""

WORLD_MODELS = {"name": "conv", "channels": (32, 64, 128, 256)}
"""The network of Ha & Schmidhuber 2018 (arXiv:1803.10122)."""
SPACE, RESIZED = (96, 96, 3), Preprocessing(size=(64, 64))
ATARI = (210, 160, 3)
BATCH = 128
REACH, ROOMS = Environment("PixelReach-v0"), Environment("KeyRooms-v0")
DOOR_KEY = "MiniGrid-DoorKey-8x8-v0"


def _median_rate(work: Callable[[], Any], count: int, repeats: int) -> float:
    work()  # the first call allocates and tunes
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        rates.append(count / (time.perf_counter() - start))
    return statistics.median(rates)


def _models() -> Iterator[tuple[str, Autoencoder]]:
    for name, backbone in (("default network", None), ("World Models' channels", WORLD_MODELS)):
        yield name, beta_vae(SPACE, backbone=backbone, preprocessing=RESIZED).to(pick_device())


def _frames(count: int, shape: tuple[int, ...] = SPACE) -> Array:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def _backends(drawn: bool = False) -> list[str]:
    installed = ["envpool"] if importlib.util.find_spec("envpool") else []
    return [*(["drawn"] if drawn else []), *installed, "gymnasium"]


@BENCHMARKS.register("fit")
def fit_rate(repeats: int) -> Rows:
    """Frames per second of ``fit``, validation included."""
    frames, rows = _frames(16 * BATCH), []
    for name, model in _models():
        for precision in ("float32", "bfloat16"):
            config = FitConfig(epochs=1, batch_size=BATCH, precision=precision)
            work = functools.partial(fit, model, frames, config, progress=False)
            rows.append((f"{name}, {precision}", _median_rate(work, len(frames), repeats)))
    return rows


@BENCHMARKS.register("encode")
def encode_rate(repeats: int) -> Rows:
    """Frames per second from environment arrays to latents, copies and resizing included."""
    rows = []
    for name, model in _models():
        for batch in (1, 16, 256):
            calls = max(1, 512 // batch)
            work = functools.partial(_encode, model, _frames(batch), calls)
            rows.append((f"{name}, batches of {batch}", _median_rate(work, calls * batch, repeats)))
    return rows


def _encode(model: Autoencoder, frames: Array, calls: int) -> None:
    for _ in range(calls):
        model.encode(frames)


@BENCHMARKS.register("devices")
def device_rates(repeats: int) -> Rows:
    """Rates of each device: the network of the chosen encoder, and PPO on PixelReach."""
    names = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    return [(f"{name}, {row}", rate) for name in names for row, rate in _rates_on(name, repeats)]


def _rates_on(device: str, repeats: int) -> Iterator[tuple[str, float]]:
    encoder, frames = _grid_encoder(ATARI).to(device), _frames(16 * BATCH, ATARI)
    for batch in (16, BATCH):
        part = frames[: 16 * batch]
        config = FitConfig(epochs=1, batch_size=batch, device=device)
        work = functools.partial(fit, encoder, part, config, progress=False)
        yield f"fit, batches of {batch}", _median_rate(work, len(part), repeats)
    for batch in (8, 256):
        work = functools.partial(_encode, encoder, frames[:batch], 512 // batch)
        yield f"encode, batches of {batch}", _median_rate(work, 512, repeats)
    small = _grid_encoder(make_env(REACH).observation_space.shape).to(device)
    for name, model in {"latents": small, "pixels": None}.items():
        agent = describe_agent(TrainConfig(REACH.id, latent=model is not None), model)
        n_envs = agent.hyperparameters["n_envs"]
        venv = build_venv(agent, model, build_monitored(REACH, n_envs=n_envs, seed=0))
        yield f"PPO on {name}", _training_rate(agent, venv, repeats, device)
        venv.close()


def _grid_encoder(shape: tuple[int, ...]) -> Autoencoder:
    return beta_vae(shape, 256, preprocessing=Preprocessing(size=(64, 64)), backbone="spatial")


@BENCHMARKS.register("step")
def step_rate(repeats: int) -> Rows:
    """Env frames per second of 16 CarRacing environments with frame skip 4."""
    rows = []
    for backend in _backends(drawn=True):
        for latent in (False, True):
            envs = make_vector(Environment("CarRacing-v2", frame_skip=4), 16, backend=backend)
            if latent:
                envs = wrap(envs, beta_vae(SPACE, preprocessing=RESIZED).to(pick_device()))
            envs.reset(seed=0)
            actions = np.tile(np.array([0, 0.2, 0], np.float32), (16, 1))
            name = f"{backend}{', encoded' if latent else ''}"
            rows.append((name, _stepping(envs, actions, repeats, steps=8, frame_skip=4)))
            envs.close()
    return rows


def _stepping(envs: Any, actions: Array, repeats: int, steps: int, frame_skip: int) -> float:
    def work() -> None:
        for _ in range(steps):
            envs.step(actions)

    return _median_rate(work, steps * envs.num_envs * frame_skip, repeats)


@BENCHMARKS.register("sparse")
def sparse_rate(repeats: int) -> Rows:
    """Env frames per second of MiniGrid: frames, latents, with the bonus, and PPO's training."""
    pretraining = completed(PretrainConfig(DOOR_KEY), None)
    encoder = build_model(pretraining, PIXEL_SPACE, from_environment=True).to(pick_device())
    agent = describe_agent(TrainConfig(DOOR_KEY), encoder)
    kinds = {
        "frames": _Venv(agent),
        "latents": _Venv(agent, encoder),
        "latents and bonus": _Venv(agent, encoder, bonus=True),
    }
    rows = []
    for backend in _backends():
        for name, kind in kinds.items():
            venv = kind.make(backend)
            venv.reset()
            actions = np.zeros(venv.num_envs, int)
            rate = _stepping(venv, actions, repeats, steps=64, frame_skip=1)
            rows.append((f"{backend}, {name}", rate))
            venv.close()
        venv = kinds["latents and bonus"].make(backend)
        rows.append((f"{backend}, latents and bonus, PPO", _training_rate(agent, venv, repeats)))
        venv.close()
    return rows


@BENCHMARKS.register("memory")
def memory_rate(repeats: int) -> Rows:
    """Timesteps per second of PPO on latents of KeyRooms, without and with an LSTM."""
    encoder = _grid_encoder(make_env(ROOMS).observation_space.shape)
    rows = []
    for name, algo, prepare in (
        ("without memory", "ppo", unchanged),
        ("with an LSTM", "recurrent_ppo", unchanged),
        ("with an LSTM, timestep by timestep", "recurrent_ppo", _timestep_by_timestep),
    ):
        agent = describe_agent(TrainConfig(ROOMS.id, algo=algo, untuned=True), encoder)
        venv = _Venv(agent, encoder).make("gymnasium")
        rows.append((f"PPO {name}", _training_rate(agent, venv, repeats, prepare=prepare)))
        venv.close()
    return rows


def _timestep_by_timestep(model: BaseAlgorithm) -> None:
    del model.policy._process_sequence  # leaves that of sb3-contrib


@BENCHMARKS.register("busy")
def busy_rate(repeats: int) -> Rows:
    """Rates of training and collecting alone, and beside a process that is always busy."""
    model = next(_models())[1]
    frames, config = _frames(4 * BATCH), FitConfig(epochs=1, batch_size=BATCH)
    agent = describe_agent(TrainConfig("CarRacing-v2"), model)
    venv = _Venv(agent, model).make("auto")
    works = {
        "fit": functools.partial(
            _median_rate,
            functools.partial(fit, model, frames, config, progress=False),
            len(frames),
            repeats,
        ),
        "PPO on latents of CarRacing": functools.partial(_training_rate, agent, venv, repeats),
    }
    rows = [(f"{name}, alone", work()) for name, work in works.items()]
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        rows += [(f"{name}, beside a busy process", work()) for name, work in works.items()]
    finally:
        neighbour.kill()
        neighbour.wait()
        venv.close()
    return rows


@dataclass(frozen=True)
class _Venv:
    """The vector environment of an agent, without or with encoder and bonus."""

    agent: AgentConfig
    encoder: Autoencoder | None = None
    bonus: bool = False

    def make(self, backend: str) -> Any:
        n_envs, gamma = (self.agent.hyperparameters[name] for name in ("n_envs", "gamma"))
        venv = build_monitored(self.agent.environment, n_envs=n_envs, seed=0, backend=backend)
        if self.encoder is None:
            return venv
        novelty = None
        if self.bonus:
            actions = venv.action_space
            novelty = make_novelty("token_counts", None, self.encoder, actions, gamma, 0)
        return build_venv(self.agent, self.encoder, venv, novelty=novelty)


def _training_rate(
    agent: AgentConfig,
    venv: Any,
    repeats: int,
    device: str = "auto",
    prepare: Callable[[BaseAlgorithm], None] = unchanged,
) -> float:
    model = build(agent, venv, device=device)
    prepare(model)
    # Two rollouts and their updates.
    timesteps = 2 * venv.num_envs * agent.hyperparameters["n_steps"]
    learn = functools.partial(model.learn, timesteps, reset_num_timesteps=False)
    return _median_rate(learn, timesteps, repeats)
