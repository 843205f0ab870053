"""What is timed: training, encoding, and stepping environments with and without an encoder."""

from __future__ import annotations

import functools
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from agents.bonuses import make_novelty
from agents.checkpoint import build
from agents.config import AgentConfig
from agents.pretrain import PretrainConfig, build_model
from agents.pretrain_config import completed
from agents.train import TrainConfig, describe_agent
from agents.venv import build_monitored, build_venv
from envs import Environment, make_vector
from envs.minigrid.views import PIXEL_SPACE
from latentrl import FitConfig, Preprocessing, beta_vae, fit, wrap
from latentrl.models.autoencoder import Autoencoder
from latentrl.utils.device import pick_device
from latentrl.utils.registry import Registry

Rows = list[tuple[str, float]]

BENCHMARKS: Registry[Rows] = Registry("benchmark")

WORLD_MODELS = {"name": "conv", "channels": (32, 64, 128, 256)}
SPACE, CROPPED = (96, 96, 3), Preprocessing(crop=(0, 12, 0, 0), size=(64, 64))
BATCH = 128
DOOR_KEY = "MiniGrid-DoorKey-8x8-v0"
"""Of the benchmark of sparse rewards."""


def _median_rate(work: Callable[[], Any], count: int, repeats: int) -> float:
    work()
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        rates.append(count / (time.perf_counter() - start))
    return statistics.median(rates)


def _models() -> Iterator[tuple[str, Autoencoder]]:
    for name, backbone in (("default network", None), ("World Models' channels", WORLD_MODELS)):
        yield name, beta_vae(SPACE, backbone=backbone, preprocessing=CROPPED).to(pick_device())


def _frames(count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (count, *SPACE), dtype=np.uint8)


@BENCHMARKS.register("fit")
def fit_rate(repeats: int) -> Rows:
    """Frames a second that ``fit`` trains on, validation included."""
    frames = _frames(16 * BATCH)
    rows = []
    for name, model in _models():
        for precision in ("float32", "bfloat16"):
            config = FitConfig(epochs=1, batch_size=BATCH, precision=precision)

            def work(model: Autoencoder = model, config: FitConfig = config) -> None:
                fit(model, frames, config, progress=False)

            rows.append((f"{name}, {precision}", _median_rate(work, len(frames), repeats)))
    return rows


@BENCHMARKS.register("encode")
def encode_rate(repeats: int) -> Rows:
    """Frames a second from environment arrays to codes, copies and resizing included."""
    rows = []
    for name, model in _models():
        for batch in (1, 16, 256):
            frames = _frames(batch)
            calls = max(1, 512 // batch)

            def work(model: Autoencoder = model, frames: Any = frames, calls: int = calls) -> None:
                for _ in range(calls):
                    model.encode(frames)

            rows.append((f"{name}, batches of {batch}", _median_rate(work, calls * batch, repeats)))
    return rows


@BENCHMARKS.register("step")
def step_rate(repeats: int) -> Rows:
    """Environment frames a second of 16 CarRacing environments with frame skip 4."""
    rows = []
    for backend in (
        ("envpool", "gymnasium") if importlib.util.find_spec("envpool") else ("gymnasium",)
    ):
        for latent in (False, True):
            envs = make_vector(Environment("CarRacing-v2", frame_skip=4), 16, backend=backend)
            if latent:
                envs = wrap(envs, beta_vae(SPACE, preprocessing=CROPPED).to(pick_device()))
            envs.reset(seed=0)
            actions = np.tile(np.array([0, 0.2, 0], np.float32), (16, 1))
            rows.append(
                (f"{backend}{', encoded' if latent else ''}", _stepping(envs, actions, repeats))
            )
            envs.close()
    return rows


def _stepping(envs: Any, actions: Any, repeats: int, steps: int = 8, skip: int = 4) -> float:
    def work() -> None:
        for _ in range(steps):
            envs.step(actions)

    return _median_rate(work, steps * envs.num_envs * skip, repeats)


@BENCHMARKS.register("sparse")
def sparse_rate(repeats: int) -> Rows:
    """Environment frames a second of MiniGrid: frames alone, codes with visits, the bonus too, PPO
    and all.
    """
    pretraining = completed(PretrainConfig(DOOR_KEY), None)
    encoder = build_model(pretraining, PIXEL_SPACE, from_environment=True).to(pick_device())
    agent, rows = describe_agent(TrainConfig(DOOR_KEY), encoder), []
    for backend in (
        ("envpool", "gymnasium") if importlib.util.find_spec("envpool") else ("gymnasium",)
    ):
        for what, seen, paid in (
            ("frames", False, False),
            ("codes", True, False),
            ("codes and bonus", True, True),
        ):
            venv = _sparse_venv(agent, encoder, backend, seen, paid)
            venv.reset()
            rate = _stepping(venv, np.zeros(venv.num_envs, int), repeats, steps=64, skip=1)
            rows.append((f"{backend}, {what}", rate))
            venv.close()
        venv = _sparse_venv(agent, encoder, backend)
        model, rollouts = build(agent, venv), 2 * venv.num_envs * agent.settings["n_steps"]
        learn = functools.partial(model.learn, rollouts, reset_num_timesteps=False)
        rows.append((f"{backend}, codes and bonus, PPO", _median_rate(learn, rollouts, repeats)))
        venv.close()
    return rows


def _sparse_venv(
    agent: AgentConfig, encoder: Autoencoder, backend: str, seen: bool = True, paid: bool = True
) -> Any:
    n_envs, gamma = agent.settings["n_envs"], agent.settings["gamma"]
    venv = build_monitored(agent.environment, n_envs=n_envs, seed=0, backend=backend)
    name = "token_counts"
    novelty = make_novelty(name, None, encoder, venv.action_space, gamma, 0) if paid else None
    return build_venv(agent, encoder, venv, novelty=novelty) if seen else venv
