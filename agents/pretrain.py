"""Pretraining: collect frames of an environment and train an encoder on them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import operator
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces

from agents.algorithms import check_new_actions
from agents.pretrain_choice import default_frames, starts_warm, with_choice, with_size
from agents.pretrain_config import (
    FLAGS_FILE,
    IMAGE_BATCH_SIZE,
    PretrainConfig,
    as_json,
    completed,
    environment_of,
    fit_config,
    is_open,
    model_options,
    read_data,
    resumed_config,
    run_name,
)
from agents.pretrain_images import write_images
from agents.quality import CHECKED, IMAGE, check_quality
from agents.room import check_room, store_name
from agents.runs import (
    LOCK_FILE,
    env_folder,
    locked,
    make_run,
    new_run,
    newest_run,
    python_script,
)
from agents.taken_frames import FRAMES_FILE, as_before
from agents.venv import probe
from envs import EnvDefaults, Environment, defaults_for, make_vector
from latentrl import Frames, History, Preprocessing, collect, fit, save
from latentrl.cli.options import default_latent_dim, parse_specs
from latentrl.cli.plugins import shell_line
from latentrl.cli.run import USER_ERRORS
from latentrl.models import MODELS, make
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.models.stored import check_stored, stored_preprocessing
from latentrl.models.warm_start import can_warm_start, warm_start
from latentrl.training.checkpoint import WEIGHTS
from latentrl.training.invariance import CONFIG as INVARIANCE_CONFIG
from latentrl.training.invariance import check_corruptible, invariant
from latentrl.training.quality import Quality
from latentrl.training.resume import has_progress
from latentrl.training.vector_quality import VectorQuality
from latentrl.utils.device import pick_device
from latentrl.utils.io import read_json, write_json
from latentrl.viz.tensorboard import TensorBoardCallback
from latentrl.wrappers.gymnasium_vecenv import CLOSE_TIMEOUT

__all__ = [
    "PretrainConfig",
    "Pretrained",
    "build_model",
    "can_train_agent",
    "collect_frames",
    "describe",
    "newest_encoder",
    "pretrain",
]

ENVS_TO_COLLECT = 16
MOST = 2
"""Observations that are collected at most for each distinct one that is asked for."""


@dataclass(frozen=True)
class Pretrained:
    """Result of a pretraining run."""

    config: PretrainConfig
    """Flags, with the defaults filled in."""
    model: Autoencoder
    """The encoder."""
    path: Path
    """Folder of the run."""
    history: History
    """Losses of each epoch, and the split into training and validation frames."""
    frames: Frames
    """All frames, before equal ones are removed and the rest is split."""
    images: list[Path]
    """Files of reconstructions, traversals and lost details, and the explorer."""
    collect_seconds: float
    """Wall time of the collection."""
    fit_seconds: float
    """Wall time of the training."""
    quality: Quality | VectorQuality | None
    """What the latents keep of held-out frames; None without a decoder, or of few frames."""


def pretrain(config: PretrainConfig) -> Pretrained:
    """Collect or open frames, fit the encoder and write its folder; ``resume=True`` continues.

    Raises:
        ValueError: flags contradict each other, the environment or the data.
        FileNotFoundError: there is nothing to resume, or no data at ``data``.
    """
    config, path, data = _planned(config)
    config = _checked(config, path, data)
    if config.resume:
        print(f"resumes the run in {path}", file=sys.stderr)
    if config.out is None and not config.resume:
        path = make_run("vae", config.env, config.model)  # of two at once each makes its own
    with locked(path):
        with _removed_if_nothing_was_trained(path):
            write_json(path / FLAGS_FILE, as_json(config))
            start = time.perf_counter()
            config, frames = _with_frames(config, path) if data is None else (config, data)
            collected = time.perf_counter()
            space = frames.observation_space
            config = with_encoder(config, frames)
            write_json(path / FLAGS_FILE, as_json(config))
            model = build_model(config, space, from_environment=_from_environment(data))
            model.metadata[CHECKED] = False
            model, history = _fit(model, frames, config, path)
        fitted = time.perf_counter()
        images = write_images(model, history.validation, path)
        quality = check_quality(model, history, path)
        images += [path / IMAGE] if (path / IMAGE).is_file() else []
    return Pretrained(
        config, model, path, history, frames, images, collected - start, fitted - collected, quality
    )


def _planned(config: PretrainConfig) -> tuple[PretrainConfig, Path, Frames | None]:
    MODELS[config.model]  # an unknown name is an error before anything is read or collected
    path = _path_to_resume(config) if config.resume else config.out
    if config.resume and path:
        config = resumed_config(config, path)
    data = read_data(config)
    config = _stored_as(completed(config, data), data)
    return config, path or new_run("vae", config.env, config.model), data


def _with_frames(config: PretrainConfig, path: Path) -> tuple[PretrainConfig, Frames]:
    frames = collect_frames(config)
    preprocessing = _preprocessing(config, defaults_for(config.env))
    larger = with_size(config, frames, preprocessing)
    if larger != config:
        config, frames = larger, collect_frames(larger)
    return config, as_before(frames, path, config.resume)


def _stored_as(config: PretrainConfig, data: Frames | None) -> PretrainConfig:
    """Fill in crop and size of frames that are stored cropped and resized."""
    if data is None or config.size or config.crop or environment_of(data) is None:
        return config
    stored = stored_preprocessing(data)
    if stored.size is None or stored.size[0] != stored.size[1]:
        return config
    return dataclasses.replace(config, size=stored.size[0], crop=stored.crop)


def with_encoder(config: PretrainConfig, frames: Frames) -> PretrainConfig:
    """Choose the encoder of an environment's images where no flag does, and their batch size."""
    from_environment = environment_of(frames) is not None and len(frames) > 0
    if not from_environment or not is_image(frames.observation_space):
        return config
    config = dataclasses.replace(config, batch_size=config.batch_size or IMAGE_BATCH_SIZE)
    if not is_open(config):
        return config
    # As in training, where frames that repeat count once.
    return with_choice(config, frames.distinct(), _preprocessing(config, defaults_for(config.env)))


def _from_environment(data: Frames | None) -> bool:
    return data is None or environment_of(data) is not None


def _checked(config: PretrainConfig, path: Path, data: Frames | None) -> PretrainConfig:
    """Return the flags with the number of frames, or raise errors in them before minutes pass."""
    model_options(config)
    if not config.resume and (path / FLAGS_FILE).exists():
        raise ValueError(
            f"{path} already holds a run: add --resume to continue it, or choose another --out"
        )
    if not config.resume and (path / WEIGHTS).exists():
        raise ValueError(f"{path} already holds a model: choose another --out")
    if config.frames is not None and data is not None and not config.resume:
        raise ValueError(
            "frames is the number of frames to collect, and data are given: remove --frames, or "
            "select rows of the data"
        )
    if config.frames is not None and config.frames < 2:
        raise ValueError(f"frames must be at least 2, got {config.frames}")
    pick_device(config.device)
    fit_config(config)
    space = _observation_space(config) if data is None else data.observation_space
    if data is None and len(space.shape) == 1 and config.key is None:
        _suggest_images(config, space)
    config = _with_latent_dim(config, space)
    model = build_model(config, space, from_environment=_from_environment(data))
    if config.invariant_to is not None:
        check_corruptible(model, parse_specs(config.invariant_to))
    if data is not None and len(data):
        check_stored(data, model)
    if config.steps == 0 and model.config.training == "gradient":
        _check_general_weights(config, space, model)
    return dataclasses.replace(config, frames=_count(config, space))


def _check_general_weights(config: PretrainConfig, space: spaces.Box, model: Autoencoder) -> None:
    preprocessing = _preprocessing(config, defaults_for(config.env))
    given = not config.from_scratch and can_warm_start(model)
    if not given and not starts_warm(config, space, preprocessing):
        channels = model.preprocess.shape[0]
        if is_image(space) and channels not in (1, 3):
            raise ValueError(
                "steps 0 keeps the general-purpose weights, and they are for images of 1 or 3 "
                f"channels, not of {channels}: train the encoder"
            )
        raise ValueError(
            "steps 0 keeps the general-purpose weights, and there are none for this encoder: train "
            "it, or let it be chosen from images of an environment: --untuned --size 64, without "
            "--model, --latent-dim, --beta, --option and --from-scratch"
        )


@contextlib.contextmanager
def _removed_if_nothing_was_trained(path: Path) -> Iterator[None]:
    """Remove a new run's folder if the frames are refused before the first gradient step."""
    existed = any(file.name != LOCK_FILE for file in path.iterdir())
    resumed = (path / FLAGS_FILE).exists()
    try:
        yield
    except ValueError:
        if not resumed and not has_progress(path):
            for name in (FLAGS_FILE, FRAMES_FILE):
                (path / name).unlink(missing_ok=True)
            if not existed:
                shutil.rmtree(path, ignore_errors=True)
        raise


def _observation_space(config: PretrainConfig) -> spaces.Box:
    observations, actions = probe(describe(config), config.backend)
    try:
        check_new_actions(actions, config.env)
    except ValueError as error:
        warnings.warn(f"train_agent.py will refuse this: {error}", UserWarning, stacklevel=2)
    space = _box(config, observations)
    if len(space.shape) == 1 and space.shape[0] < (config.latent_dim or 1):
        raise ValueError(
            f"{config.env} has vectors of {space.shape[0]} values, fewer than "
            f"latent_dim={config.latent_dim}; add --from-render to learn from rendered images, or "
            "a smaller --latent-dim"
        )
    return space


def _suggest_images(config: PretrainConfig, space: spaces.Box) -> None:
    print(
        f"{config.env} has vectors of {space.shape[0]} values; add --from-render to learn from "
        "rendered images",
        file=sys.stderr,
    )


def _with_latent_dim(config: PretrainConfig, space: spaces.Box) -> PretrainConfig:
    """Fill in as many latents as values of a short vector; those of images are chosen elsewhere."""
    if len(space.shape) != 1 or config.latent_dim is not None:
        return config
    # An agent needs all of a state, of which fewer latents would lose some.
    latent_dim = min(default_latent_dim(config.model), space.shape[0])
    return dataclasses.replace(config, latent_dim=latent_dim)


def _box(config: PretrainConfig, space: spaces.Space[Any]) -> spaces.Box:
    if not isinstance(space, spaces.Box):
        remedy = (
            "--key to choose one"
            if isinstance(space, spaces.Dict)
            else "--from-render to learn from rendered images"
        )
        raise ValueError(f"{config.env} has observations {space}; add {remedy}")
    return space


def describe(config: PretrainConfig) -> Environment:
    """Return the environment that the flags and its own defaults describe."""
    defaults = defaults_for(config.env)
    return Environment(
        config.env,
        frame_skip=config.frame_skip or defaults.frame_skip,
        render_size=(config.size or defaults.size or 64) if config.from_render else None,
        key=config.key,
        max_episode_steps=config.max_episode_steps,
    )


def can_train_agent(env_id: str, config: PretrainConfig) -> bool:
    """Whether an environment can be made as ``config`` says, and an agent can learn its actions.

    A module that the data of ``config`` alone name, ``module:Env``, is not imported to find out.
    """
    if config.data is not None and ":" in env_id:
        return True
    environment = describe(dataclasses.replace(config, env=env_id))
    try:
        check_new_actions(probe(environment, config.backend)[1], env_id)
    except (*USER_ERRORS, ImportError):
        return False
    return True


def collect_frames(config: PretrainConfig) -> Frames:
    """Collect frames into a store that other runs with the same flags share.

    Raises:
        ValueError: the store there has frames of another environment, the disk has no room, or all
            frames are equal.
    """
    environment = describe(config)
    envs = make_vector(environment, ENVS_TO_COLLECT, backend=config.backend, seed=config.seed)
    try:
        space = _box(config, envs.single_observation_space)
        count = _count(config, space)
        stored = _stored_preprocessing(config, space)
        resize = None if stored is None else stored.stored(space)
        path = env_folder("frames", config.env) / store_name(environment, config.seed, resize)
        check_room(path, MOST * count, space if resize is None else resize.space)
        frames = collect(
            envs,
            count,
            path,
            most=MOST * count,
            policy=defaults_for(config.env).policy,
            seed=config.seed,
            preprocessing=stored,
        )
        _check_moving(frames, config.env)
        return frames
    finally:
        envs.close(timeout=CLOSE_TIMEOUT)


def _check_moving(frames: Frames, env_id: str) -> None:
    first = frames[0]
    if all((batch == first).all() for batch in frames.batches()):
        raise ValueError(
            f"all {len(frames):,} frames of {env_id} are equal: an episode may begin with a still "
            "screen, or actions change nothing that is observed; collect more with --frames"
        )


def _count(config: PretrainConfig, space: spaces.Box) -> int:
    preprocessing = _preprocessing(config, defaults_for(config.env))
    return config.frames or default_frames(config, space, preprocessing)


def _stored_preprocessing(config: PretrainConfig, space: spaces.Box) -> Preprocessing | None:
    if config.store_original or not is_image(space):
        return None
    return _preprocessing(config, defaults_for(config.env))


def build_model(config: PretrainConfig, space: spaces.Box, from_environment: bool) -> Autoencoder:
    """Build the model for observations of ``space``.

    It has general-purpose weights where there are some, and otherwise, or ``from_scratch``, weights
    that depend on the seed alone. Frames that come ``from_environment`` are cropped and resized by
    the environment's defaults.

    Raises:
        ValueError: an option does not suit the model, or the observations are not images.
    """
    torch.manual_seed(config.seed)
    options = model_options(config)
    if is_image(space):
        defaults = defaults_for(config.env) if from_environment else EnvDefaults(size=None)
        options["preprocessing"] = _preprocessing(config, defaults)
    elif config.size or config.crop:
        raise ValueError(
            f"size and crop are for images; the observations of {config.env} have shape "
            f"{space.shape}: remove --size and --crop"
        )
    try:
        model = make(config.model, space, **options)
    except TypeError as error:  # a value inside an option, such as an item of a list
        raise ValueError(
            f"{config.model} cannot be built with {' '.join(config.option)}: {error}"
        ) from error
    if not config.from_scratch and can_warm_start(model):
        warm_start(model)
    return model


def _preprocessing(config: PretrainConfig, defaults: EnvDefaults) -> Preprocessing:
    # Rendered images have the right size already.
    side = None if config.from_render else config.size or defaults.size
    return Preprocessing(config.crop or (0, 0, 0, 0), (side, side) if side else None)


def _takes_steps(model: Autoencoder, config: PretrainConfig) -> bool:
    return model.config.training == "gradient" and config.steps != 0


def _fit(
    model: Autoencoder, frames: Frames, config: PretrainConfig, path: Path
) -> tuple[Autoencoder, History]:
    if environment_of(frames):
        # Before the split: equal frames must neither outweigh rare ones in the loss, as those of an
        # empty room would, nor be in both parts of the split.
        frames = frames.distinct()
    with TensorBoardCallback(path, as_json(config)) as tensorboard:
        history = fit(
            model,
            frames,
            fit_config(config),
            path=path,
            # Without gradient steps there is no state, and resuming computes the same again.
            resume=config.resume and (has_progress(path) or not _takes_steps(model, config)),
            callbacks=[tensorboard],
        )
    if config.invariant_to is not None:
        held_out = fit_config(config).validation
        further = dataclasses.replace(INVARIANCE_CONFIG, seed=config.seed, validation=held_out)
        model = invariant(model, frames, parse_specs(config.invariant_to), further)
        save(model, path)
    return model, history


def _path_to_resume(config: PretrainConfig) -> Path:
    name = run_name(config, read_data(config))
    path = config.out or newest_run("vae", name, FLAGS_FILE, f"{config.model}-*")
    if path is None or not (path / FLAGS_FILE).exists():
        raise FileNotFoundError(
            f"nothing to resume for {name}: no run in {path or env_folder('vae', name)}; start one "
            "without --resume, or name the folder of a run with --out"
        )
    return path


def find_encoder(env_id: str, key: str | None = None) -> Path | None:
    """Return what ``newest_encoder`` returns, or None."""

    def has_key(path: Path) -> bool:
        return key is None or _described(path, "metadata", "data", "environment", "key") == key

    def is_trained(path: Path) -> bool:
        return has_key(path) and _described(path, "config", "training") not in (None, "none")

    trained = newest_run("vae", env_id, WEIGHTS, accept=is_trained)
    return trained or newest_run("vae", env_id, WEIGHTS, accept=has_key)


def newest_encoder(env_id: str, key: str | None = None) -> Path:
    """Return the newest encoder pretrained for an environment; an untrained one if there is none.

    Args:
        env_id: the environment.
        key: the key of its Dict observations that the encoder takes; None for any.

    Raises:
        FileNotFoundError: there is neither; the message has the command that makes one.
    """
    path = find_encoder(env_id, key)
    if path is None:
        started = newest_run("vae", env_id, FLAGS_FILE) if key is None else None
        flags = ["--resume", "--out", str(started)]
        if started is None:
            flags = ["--env", env_id, *(() if key is None else ("--key", key))]
        verb = "make one with" if started is None else "continue the interrupted pretraining with"
        raise FileNotFoundError(
            f"no pretrained encoder for {env_id} in {env_folder('vae', env_id)}; {verb}\n"
            f"  {shell_line([*python_script('pretrain_vae.py'), *flags])}"
        )
    return path


def _described(path: Path, *names: str) -> Any:
    """Return a value in the config of the model in a folder; None where it cannot be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return functools.reduce(operator.getitem, names, read_json(path / "config.json"))
    return None
