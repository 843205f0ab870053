"""Frames of an environment, then an encoder trained on them: the first half of the main job."""

from __future__ import annotations

import dataclasses
import functools
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from gymnasium import spaces

from agents.pretrain_config import (
    PretrainConfig,
    as_json,
    completed,
    environment_of,
    fit_config,
    model_options,
    read_config,
    run_name,
)
from agents.runs import env_folder, new_run, newest_run
from envs import Environment, EnvSettings, make_env, make_vector, settings_for
from latentrl import Frames, History, Preprocessing, as_frames, collect, fit
from latentrl.data.frames import check_learnable
from latentrl.models import MODELS, make
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.training.resume import has_progress
from latentrl.utils.device import pick_device
from latentrl.utils.io import write_atomically, write_json
from latentrl.viz.images import png, reconstructions, representative_index, traversal, traversal_gif
from latentrl.viz.tensorboard import TensorBoardCallback, sample_for_pictures
from latentrl.wrappers.sb3 import CLOSE_TIMEOUT

__all__ = [
    "PretrainConfig",
    "Pretrained",
    "build_model",
    "collect_frames",
    "describe",
    "newest_encoder",
    "pretrain",
]

ENVS_TO_COLLECT = 16


@dataclass(frozen=True)
class Pretrained:
    """What a pretraining made."""

    config: PretrainConfig
    """Its settings, the defaults filled in."""
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
        ValueError: settings contradict each other, the environment or the data.
        FileNotFoundError: there is nothing to resume, or no data where ``data`` says.
    """
    config, path, data = _planned(config)
    _check(config, path, data)
    write_json(path / "pretraining.json", as_json(config))
    start = time.perf_counter()
    frames = data or collect_frames(config)
    collected = time.perf_counter()
    model = build_model(config, frames.space, from_environment=_from_environment(data))
    history = _fit(model, frames, config, path)
    fitted = time.perf_counter()
    pictures = write_pictures(model, frames, path, config.seed)
    return Pretrained(
        config, model, path, history, frames, pictures, collected - start, fitted - collected
    )


def _planned(config: PretrainConfig) -> tuple[PretrainConfig, Path, Frames | None]:
    MODELS[config.model]  # an unknown name is an error before anything is read or collected
    path = _resumed(config) if config.resume else config.out
    if config.resume and path:
        config = dataclasses.replace(read_config(path), resume=True, device=config.device)
    data = as_frames(config.data) if config.data else None
    config = completed(config, data)
    return config, path or new_run("vae", config.env, config.model), data


def _from_environment(data: Frames | None) -> bool:
    return data is None or environment_of(data) is not None


def _check(config: PretrainConfig, path: Path, data: Frames | None) -> None:
    model_options(config)
    if not config.resume and (path / "pretraining.json").exists():
        raise ValueError(
            f"{path} already holds a run: add --resume to continue it, or choose another --out"
        )
    if config.frames < 2:
        raise ValueError(f"frames must be at least 2, got {config.frames}")
    pick_device(config.device)
    fit_config(config)
    build_model(
        config,
        _probe(config) if data is None else data.space,
        from_environment=_from_environment(data),
    )
    if data is not None:
        data.split(seed=config.seed)
        check_learnable(data)


def _probe(config: PretrainConfig) -> spaces.Box:
    env = make_env(describe(config))
    env.close()
    space = env.observation_space
    if not isinstance(space, spaces.Box):
        remedy = (
            "--key to choose one"
            if isinstance(space, spaces.Dict)
            else "--from-render to learn from pictures"
        )
        raise ValueError(f"{config.env} has observations {space}; add {remedy}")
    assert config.latent_dim is not None
    if len(space.shape) == 1 and space.shape[0] < config.latent_dim:
        raise ValueError(
            f"{config.env} has vectors of {space.shape[0]} values, fewer than latent_dim={config.latent_dim}; "
            "add --from-render to learn from pictures, or a smaller --latent-dim"
        )
    return space


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
        return collect(
            envs, config.frames, path, policy=settings_for(config.env).policy, seed=config.seed
        )
    finally:
        envs.close(timeout=CLOSE_TIMEOUT)


def build_model(config: PretrainConfig, space: spaces.Box, from_environment: bool) -> Autoencoder:
    """Build the model for observations of ``space``, with weights that depend on the seed alone.

    Frames that come ``from_environment`` take the crop and the size that suit it.
    """
    torch.manual_seed(config.seed)
    options = model_options(config)
    if is_image(space):
        settings = settings_for(config.env) if from_environment else EnvSettings(size=None)
        options["preprocessing"] = _preprocessing(config, settings)
    elif config.size or config.crop:
        raise ValueError(
            f"size and crop are for images; the observations of {config.env} have shape {space.shape}"
        )
    try:
        return make(config.model, space, **options)
    except TypeError as error:  # a value inside an option, such as a list's
        raise ValueError(
            f"{config.model} cannot be built with {' '.join(config.option)}: {error}"
        ) from error


def _preprocessing(config: PretrainConfig, settings: EnvSettings) -> Preprocessing:
    if config.from_render:
        return Preprocessing(config.crop or (0, 0, 0, 0))
    side = config.size or settings.size
    return Preprocessing(config.crop or settings.crop, (side, side) if side else None)


def _fit(model: Autoencoder, frames: Frames, config: PretrainConfig, path: Path) -> History:
    check_learnable(frames)
    if environment_of(frames):
        frames = (
            frames.distinct()
        )  # so that what is seen often, an empty room, does not drown what is rare
    with TensorBoardCallback(path, as_json(config)) as board:
        return fit(
            model,
            frames,
            fit_config(config),
            path=path,
            resume=config.resume and has_progress(path),
            callbacks=[board],
        )


def write_pictures(model: Autoencoder, frames: Frames, path: Path, seed: int) -> list[Path]:
    """Write reconstructions and traversals of held-out frames beside the model, and return the
    files.
    """
    if model.decoder is None or not is_image(model.observation_space):
        return []
    shown = sample_for_pictures(frames.split(seed=seed)[1])
    start = shown[representative_index(model, shown)]
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
    name = run_name(config, as_frames(config.data) if config.data else None)
    path = config.out or newest_run("vae", name, "pretraining.json", f"{config.model}-*")
    if path is None or not (path / "pretraining.json").exists():
        raise FileNotFoundError(
            f"nothing to resume for {name}: no run in {path or env_folder('vae', name)}"
        )
    return path


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
