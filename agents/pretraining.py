"""Frames of an environment, then an encoder trained on them: the first half of the main job."""

from __future__ import annotations

import dataclasses
import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces

from agents.runs import env_folder, new_run, newest_run
from envs import Environment, EnvSettings, make_env, make_vector, settings_for
from latentrl import FitConfig, Frames, History, Preprocessing, as_frames, collect, fit
from latentrl.autoencoder import Autoencoder
from latentrl.board import FitBoard, sample_for_pictures
from latentrl.checkpoint import pick_device
from latentrl.files import read_json, write_atomically, write_json
from latentrl.models import MODELS, make
from latentrl.pictures import png, reconstructions, telling, traversal, traversal_gif
from latentrl.preprocessing import is_image
from latentrl.resume import RESUME_FILE
from latentrl.wrappers.sb3 import CLOSE_TIMEOUT

ENVS_TO_COLLECT = 16


@dataclass(frozen=True)
class PretrainConfig:
    """Collect frames of an environment and pretrain an encoder on them."""

    env: str = ""
    """Gymnasium id, or module:Class of a custom environment; without one, what --data came from, or CarRacing-v2."""
    model: str = "beta_vae"
    """One of the names in latentrl.models: vae, beta_vae, ae, denoising_ae, pca, random."""
    frames: int = 20_000
    """Frames to collect, one per decision."""
    epochs: int = 8
    """Passes over the frames."""
    steps: int | None = None
    """Gradient steps; replaces epochs."""
    batch_size: int = 128
    """Frames per gradient step."""
    learning_rate: float = 1e-3
    """Step size at the start."""
    latent_dim: int = 32
    """Size of the code."""
    beta: float | None = None
    """Weight of the KL divergence of a beta_vae, in nats against nats; the model's own default."""
    size: int | None = None
    """Side in pixels of the square image that the network sees; the environment's own default."""
    crop: tuple[int, int, int, int] | None = None
    """Pixels to cut from the top, bottom, left and right; the environment's own default."""
    from_render: bool = False
    """Learn from rendered images, for environments whose observations are none."""
    key: str | None = None
    """Which observation of a Dict space to encode."""
    frame_skip: int | None = None
    """Environment frames for each decision; the environment's own default."""
    backend: str = "auto"
    """auto, envpool or gymnasium."""
    data: Path | None = None
    """Frames to use instead of collecting: a store, .npy, .npz, or a folder of images."""
    out: Path | None = None
    """Folder for the model; runs/vae/ENV/MODEL-N where not given."""
    seed: int = 0
    """Seed of environments, weights and training."""
    device: str = "auto"
    """auto is the GPU where there is one."""
    resume: bool = False
    """Continue the interrupted run in --out, or the newest one of this environment."""


@dataclass(frozen=True)
class Pretrained:
    """What a pretraining made."""

    model: Autoencoder
    """The encoder."""
    path: Path
    """Its folder."""
    history: History
    """How training went."""
    frames: Frames
    """What it was trained on."""
    pictures: list[Path]
    """Pictures of what it learned."""
    collect_seconds: float
    """Wall time spent on frames."""
    fit_seconds: float
    """Wall time spent on training."""


def pretrain(config: PretrainConfig) -> Pretrained:
    """Run the whole of it; an interrupted call is continued by ``resume=True``.

    Raises:
        ValueError: settings contradict each other or the environment.
        FileNotFoundError: there is nothing to resume, or no data where ``data`` says.
    """
    config = _with_env(config)
    path = _resumed(config) if config.resume else config.out or new_run("vae", config.env, config.model)
    if config.resume:
        config = dataclasses.replace(_read_config(path), resume=True, device=config.device)
    _check(config, path)
    write_json(path / "pretraining.json", _as_json(config))
    start = time.perf_counter()
    frames = as_frames(config.data) if config.data else collect_frames(config)
    collected = time.perf_counter()
    model = build_model(config, frames.space, from_environment=_environment_of(frames) is not None)
    history = _fit(model, frames, config, path)
    fitted = time.perf_counter()
    pictures = write_pictures(model, frames, path, config.seed)
    return Pretrained(model, path, history, frames, pictures, collected - start, fitted - collected)


def _check(config: PretrainConfig, path: Path) -> None:
    MODELS[config.model]  # an unknown name is an error before anything is collected
    if config.beta is not None and config.model != "beta_vae":
        raise ValueError(f"beta is for model 'beta_vae', not {config.model!r}")
    if not config.resume and (path / "pretraining.json").exists():
        raise ValueError(f"{path} already holds a run: add --resume to continue it, or choose another --out")
    if config.frames < 2:
        raise ValueError(f"frames must be at least 2, got {config.frames}")
    pick_device(config.device)
    fit_config(config)
    if config.data is None:
        build_model(config, _probe(config), from_environment=True)


def _probe(config: PretrainConfig) -> spaces.Box:
    env = make_env(describe(config))
    env.close()
    space = env.observation_space
    if not isinstance(space, spaces.Box):
        remedy = "--key to choose one" if isinstance(space, spaces.Dict) else "--from-render to learn from pictures"
        raise ValueError(f"{config.env} has observations {space}; add {remedy}")
    if len(space.shape) == 1 and space.shape[0] < config.latent_dim:
        raise ValueError(
            f"{config.env} has vectors of {space.shape[0]} values, fewer than latent_dim={config.latent_dim}; "
            "add --from-render to learn from pictures, or a smaller --latent-dim"
        )
    return space


def _with_env(config: PretrainConfig) -> PretrainConfig:
    if config.env:
        return config
    env = "CarRacing-v2"
    if config.data is not None:
        env = _environment_of(as_frames(config.data)) or config.data.stem
    return dataclasses.replace(config, env=env)


def _environment_of(frames: Frames) -> str | None:
    name: str | None = frames.metadata.get("environment", {}).get("id")
    return name


def describe(config: PretrainConfig) -> Environment:
    """Return the environment that the flags and its own defaults describe."""
    settings = settings_for(config.env)
    return Environment(
        config.env,
        frame_skip=config.frame_skip or settings.frame_skip,
        render_size=(config.size or settings.size or 64) if config.from_render else None,
        key=config.key,
    )


def collect_frames(config: PretrainConfig) -> Frames:
    """Collect frames into a store that other runs with the same settings share."""
    environment = describe(config)
    name = f"skip{environment.frame_skip}-seed{config.seed}"
    if environment.render_size:
        name += f"-render{environment.render_size}"
    if environment.key:
        name += f"-{environment.key}"
    path = env_folder("frames", config.env) / name
    envs = make_vector(environment, ENVS_TO_COLLECT, backend=config.backend, seed=config.seed)
    try:
        return collect(envs, config.frames, path, policy=settings_for(config.env).policy, seed=config.seed)
    finally:
        envs.close(timeout=CLOSE_TIMEOUT)


def build_model(config: PretrainConfig, space: spaces.Box, from_environment: bool) -> Autoencoder:
    """Build the model for observations of ``space``, with weights that depend on the seed alone.

    Frames that come ``from_environment`` take the crop and the size that suit it.
    """
    torch.manual_seed(config.seed)
    options: dict[str, Any] = {"latent_dim": config.latent_dim}
    if config.beta is not None:
        options["beta"] = config.beta
    if is_image(space):
        settings = settings_for(config.env) if from_environment else EnvSettings(size=None)
        options["preprocessing"] = _preprocessing(config, settings)
    elif config.size or config.crop:
        raise ValueError(f"size and crop are for images; the observations of {config.env} have shape {space.shape}")
    return make(config.model, space, **options)


def _preprocessing(config: PretrainConfig, settings: EnvSettings) -> Preprocessing:
    if config.from_render:
        return Preprocessing(config.crop or (0, 0, 0, 0))
    side = config.size or settings.size
    return Preprocessing(config.crop or settings.crop, (side, side) if side else None)


def fit_config(config: PretrainConfig) -> FitConfig:
    """Return the part of the settings that is about training."""
    return FitConfig(
        epochs=config.epochs,
        steps=config.steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        seed=config.seed,
        device=config.device,
    )


def _fit(model: Autoencoder, frames: Frames, config: PretrainConfig, path: Path) -> History:
    resume = config.resume and (path / RESUME_FILE).exists()
    with FitBoard(path, _as_json(config)) as board:
        return fit(model, frames, fit_config(config), path=path, resume=resume, listeners=[board])


def write_pictures(model: Autoencoder, frames: Frames, path: Path, seed: int) -> list[Path]:
    """Write reconstructions and traversals of held-out frames beside the model, and return the files."""
    if model.decoder is None or not is_image(model.observation_space):
        return []
    shown = sample_for_pictures(frames.split(seed=seed)[1])
    start = telling(model, shown)
    pictures = {
        "reconstructions.png": png(reconstructions(model, shown)),
        "traversals.png": png(traversal(model, start)),
        "traversals.gif": traversal_gif(model, start),
    }
    for name, data in pictures.items():
        write_atomically(path / name, functools.partial(_write, data))
    return [path / name for name in pictures]


def _write(data: bytes, file: Path) -> None:
    file.write_bytes(data)


def _resumed(config: PretrainConfig) -> Path:
    path = config.out or newest_run("vae", config.env, "pretraining.json", f"{config.model}-*")
    if path is None or not (path / "pretraining.json").exists():
        raise FileNotFoundError(
            f"nothing to resume for {config.env}: no run in {path or env_folder('vae', config.env)}"
        )
    return path


def _read_config(path: Path) -> PretrainConfig:
    saved = read_json(path / "pretraining.json")
    paths = {name: Path(saved[name]) for name in ("data", "out") if saved[name]}
    crop = None if saved["crop"] is None else tuple(saved["crop"])
    return PretrainConfig(**{**saved, **paths, "crop": crop})


def _as_json(config: PretrainConfig) -> dict[str, Any]:
    values = dataclasses.asdict(config)
    return {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}


def newest_encoder(env_id: str) -> Path:
    """Return the newest encoder pretrained for an environment.

    Raises:
        FileNotFoundError: there is none; the message has the command that makes one.
    """
    path = newest_run("vae", env_id, "model.safetensors")
    if path is None:
        raise FileNotFoundError(
            f"no pretrained encoder for {env_id} in {env_folder('vae', env_id)}; make one with\n"
            f"  python scripts/pretrain_vae.py --env {env_id}"
        )
    return path
