"""Flags of a pretraining run, and the defaults that depend on the data."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from gymnasium import spaces

from envs import defaults_for
from latentrl import FitConfig, Frames, as_frames
from latentrl.cli.options import default_latent_dim, has_argument, parse_options
from latentrl.data.channels_first import MIN_SIDE
from latentrl.data.images import IMAGE_SUFFIXES
from latentrl.data.tables import TABLE_SUFFIXES
from latentrl.models import MODELS
from latentrl.models.corruptions import CORRUPTIONS
from latentrl.models.likelihoods import LIKELIHOODS
from latentrl.models.preprocessing import is_image
from latentrl.utils.decoding import check_names, decode
from latentrl.utils.io import read_json
from latentrl.utils.settings import check_same_settings, with_saved

PATIENCE = 10
"""Validations without a better loss that end a training whose length is not given."""
FRAMES = 10_000
BATCH_SIZE = 128
DETAILED_SIZE = 96
"""Side of images with many details, which has 12 x 12 cells in place of 8 x 8."""
IMAGE_BATCH_SIZE = 16
"""For images of an environment: as many images in more gradient steps give a better encoder."""
LEARNING_RATE = 1e-3
CHOSEN = ("latent_dim", "beta", "likelihood")
"""Flags whose absence leaves the encoder to the choice, as that of ``option`` does."""
INVARIANT_TO = (
    "Corruption that the latents must not depend on, such as hue_shift for other colours: a name, "
    f"a spec in YAML, or a list of them; names: {', '.join(CORRUPTIONS)}. 1,500 further steps. "
    "With --resume, a finished encoder gets this training."
)
ADDED = {"contrast_weight", "losses"}
"""Options that are added to a chosen encoder, and leave the rest of it to the choice."""
FLAGS_FILE = "pretraining.json"
"""File of the flags beside a model."""
PATHS = ("data", "out")
"""Flags that name a file or a folder."""
MAY_CHANGE = ("device", "invariant_to", "out", "resume")
"""Flags in which the call that resumes a run may differ from the first one."""
SUFFIXES = (".gz", ".npy", ".npz", *IMAGE_SUFFIXES, *TABLE_SUFFIXES)


@dataclass(frozen=True)
class PretrainConfig:
    """Collect frames of an environment and pretrain an encoder on them."""

    env: str = ""
    """Gymnasium id, package:Id, or module:Class or module:function of a custom environment;
    if not given, the environment that --data comes from, or CarRacing-v2."""
    model: Annotated[str, tyro.conf.arg(help=f"One of: {', '.join(MODELS)}.")] = "beta_vae"
    frames: int | None = None
    """Distinct frames to collect, one per timestep; where frames repeat, at most twice as many. If
    not given, the environment's default, or 4,000 for a chosen encoder that starts from
    general-purpose weights, or 10,000."""
    epochs: int | None = None
    """Passes over the distinct frames; if not given, the environment's default, or 8, or as many as
    make 1,500 gradient steps, and fewer where the validation loss no longer falls; an encoder that
    is chosen from the frames has 500 gradient steps from general-purpose weights, or 1,500 from
    fresh ones."""
    steps: int | None = None
    """Gradient steps; replaces --epochs. With 0 an encoder keeps its general-purpose weights."""
    batch_size: int | None = None
    """Frames per gradient step; if not given, the environment's default, or 16 for images of an
    environment, or 128."""
    learning_rate: float | None = None
    """Initial learning rate of Adam; if not given, the environment's default or 1e-3, and 2e-3 for
    a chosen encoder."""
    untuned: bool = False
    """Use the defaults of any environment, not those that are tuned for this one."""
    latent_dim: int | None = None
    """Values of a latent; if not given, the default of the environment, a choice from the frames
    (beta_vae on images) or the model's default. Vectors of an environment have at most as many, and
    data of your own at most half as many as an observation has values. Any value, such as 32, gives
    a beta_vae one vector for the whole image."""
    beta: float | None = None
    """Weight of the KL divergence, or of the total correlation of a beta_tcvae; if not given, the
    default of the environment, 0.1 for a chosen encoder, or the model's default."""
    likelihood: Annotated[
        str | None,
        tyro.conf.arg(help=f"One of: {', '.join(LIKELIHOODS)}; the model's default if not given."),
    ] = None
    option: tyro.conf.UseAppendAction[
        Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")]
    ] = ()
    """Another argument of the model, such as weight=0.5 or 'backbone={name: mlp}'; may be
    repeated."""
    from_scratch: bool = False
    """Start a chosen encoder from fresh weights, not from general-purpose ones that were learned
    from random shapes, without any environment."""
    invariant_to: Annotated[str | None, tyro.conf.arg(help=INVARIANT_TO)] = None
    size: int | None = None
    """Side in pixels of the square image that is encoded; if not given, the environment's default,
    or 96 for images with many details."""
    crop: tuple[int, int, int, int] | None = None
    """Pixels to cut from the top, bottom, left and right; none if not given."""
    from_render: bool = False
    """Encode rendered images, for environments whose observations are not images."""
    key: str | None = None
    """Key of a Dict observation space to encode."""
    frame_skip: int | None = None
    """Environment frames per timestep; the environment's default if not given."""
    max_episode_steps: int | None = None
    """Timesteps after which an episode is truncated; if not given, the environment ends it."""
    backend: str = "auto"
    """Simulator: gymnasium, drawn (Gymnasium's with faster frames), envpool, or auto: drawn or
    EnvPool where they have the environment."""
    data: Path | None = None
    """Observations to use instead of collecting: a frame store, .npy, .npz, IDX (also .gz), .csv,
    .tsv, .parquet, an image, a folder of images, or minari://ID."""
    array: str | None = None
    """Name of the array in an .npz of several."""
    window: int | None = None
    """Cut one series (N,) or (N, D) into sequences of this many steps."""
    stride: int = 1
    """Steps from the start of one sequence to that of the next."""
    out: Path | None = None
    """Folder of the run; runs/vae/ENV/MODEL-N or runs/vae/DATA/MODEL-N if not given."""
    store_original: bool = False
    """Store collected frames at the environment's own size, for other sizes later; otherwise they
    are stored cropped and resized, as the network takes them."""
    seed: int = 0
    """Seed of environments, fresh weights and training."""
    device: str = "auto"
    """Device of the model; auto is the GPU where there is one."""
    resume: bool = False
    """Resume the interrupted run in --out, or the newest one of this environment."""
    given: tyro.conf.Suppress[tyro.conf.Fixed[tuple[str, ...]]] = ()
    """Names of the flags that the command line gives. A resumed run compares them with its own even
    where they have their default."""


def read_data(config: PretrainConfig) -> Frames | None:
    """Open the observations that the flags name; None where frames are collected."""
    if config.data is None:
        return None
    return as_frames(config.data, array=config.array, window=config.window, stride=config.stride)


def reading_flags(config: PretrainConfig) -> list[str]:
    """Return the flags by which the data were read, for commands that read them again."""
    array = [] if config.array is None else ["--array", config.array]
    cut = ["--window", str(config.window), "--stride", str(config.stride)]
    return array if config.window is None else [*array, *cut]


def completed(config: PretrainConfig, data: Frames | None) -> PretrainConfig:
    """Fill in the defaults that depend on the model, the environment and the data."""
    bare = None if data is None or environment_of(data) else data
    if bare is None and config.model == "beta_vae":
        config = _with_environment_defaults(config, run_name(config, data))
    latent_dim = config.latent_dim
    if latent_dim is None and bare is not None:
        latent_dim = default_latent_dim(config.model, bare.space)
    return dataclasses.replace(
        config,
        env=run_name(config, data),
        latent_dim=latent_dim,
        # General-purpose weights are for chosen encoders alone. The flags of a run that is resumed
        # hold the choice, and whether its encoder began with them.
        from_scratch=config.from_scratch or not (config.resume or is_open(config)),
    )


def is_open(config: PretrainConfig) -> bool:
    """Return whether the flags leave the encoder of images to the choice.

    One of ``--latent-dim``, ``--beta``, ``--likelihood`` and ``--option``, or a default of the
    environment, decides for the model function's own network. The options ``ADDED`` do not.
    """
    if config.model != "beta_vae" or any(getattr(config, name) is not None for name in CHOSEN):
        return False
    return parse_options(config.model, config.option).keys() <= ADDED


def _with_environment_defaults(config: PretrainConfig, env_id: str) -> PretrainConfig:
    """Fill in the environment's defaults of a beta-VAE, unless flags forbid it."""
    if config.untuned or config.size or config.crop or config.from_render:
        return config
    defaults = dict(defaults_for(env_id).pretraining)
    # Families are registered where PretrainConfig is not imported.
    fields = {field.name: field for field in dataclasses.fields(PretrainConfig)}
    check_names(defaults, fields, f"pretraining of the family of {env_id}")
    if config.epochs is not None:
        defaults.pop("steps", None)
    given = parse_options(config.model, config.option)
    words = [word for word in defaults.pop("option", ()) if word.partition("=")[0] not in given]
    defaults = {
        name: value
        for name, value in defaults.items()
        if getattr(config, name) is None and name not in given
    }
    return dataclasses.replace(config, option=(*config.option, *words), **defaults)


def run_name(config: PretrainConfig, data: Frames | None) -> str:
    """Name of the runs' folder: the environment's id, or the name of the data without one."""
    if config.env or data is None or config.data is None:
        return config.env or "CarRacing-v2"
    return environment_of(data) or _stem(config.data)


def _stem(path: Path) -> str:
    path = path.resolve()
    while path.suffix.lower() in SUFFIXES:
        path = path.with_suffix("")
    return path.name


def environment_of(frames: Frames) -> str | None:
    """Id of the environment that frames were collected in; None for a user's own data."""
    name: str | None = frames.metadata.get("environment", {}).get("id")
    return name


def kind(space: spaces.Box) -> str:
    """Kind and size of observations of ``space`` in words, such as "images of 64x64x3"."""
    if is_image(space):
        return f"images of {'x'.join(map(str, space.shape))}"
    if len(space.shape) == 2:
        return f"sequences of {space.shape[0]} steps x {space.shape[1]} values"
    return f"vectors of {space.shape[0]} values"


def may_be_grey(frames: Frames) -> bool:
    """Whether sequences may be meant as grey images: large enough, all values in [0, 1]."""
    shape = frames.space.shape
    if is_image(frames.space) or len(shape) != 2 or min(shape) < MIN_SIDE:
        return False
    return all(batch.min() >= 0 and batch.max() <= 1 for batch in frames.batches())


def model_options(config: PretrainConfig) -> dict[str, Any]:
    """Return the arguments of the model's function that the flags give.

    Raises:
        ValueError: the model has no such argument, or one is given twice or has a wrong type.
    """
    if config.beta is not None and not has_argument(config.model, "beta"):
        raise ValueError(f"model {config.model!r} has no beta: remove --beta, or use 'beta_vae'")
    options = parse_options(config.model, config.option)
    for name in ("latent_dim", "beta", "likelihood"):
        value = getattr(config, name)
        if value is not None and name in options:
            raise ValueError(f"{name} is given twice: by --option and by its own flag")
        options.setdefault(name, value)
    return options


def fit_config(config: PretrainConfig) -> FitConfig:
    """Return the hyperparameters of training."""
    open_ended = config.epochs is None and config.steps is None
    return FitConfig(
        epochs=config.epochs,
        steps=config.steps,
        patience=PATIENCE if open_ended else None,
        # Without gradient steps only the mean image is learned, so that the check can have more.
        validation=0.5 if config.steps == 0 else FitConfig.validation,
        batch_size=BATCH_SIZE if config.batch_size is None else config.batch_size,
        learning_rate=LEARNING_RATE if config.learning_rate is None else config.learning_rate,
        seed=config.seed,
        device=config.device,
    )


def read_config(path: Path) -> PretrainConfig:
    """Read the flags of the run in ``path``.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: the file is damaged, or holds other flags or other types.
    """
    file = path / FLAGS_FILE
    where = f"the flags in {file}"
    saved = decode(Mapping[str, Any], read_json(file), where)
    paths: dict[str, Any] = {
        name: _decode_path(saved.get(name), f"{name} of {where}") for name in PATHS
    }
    # Runs from before these flags have frames of the original size and began with fresh weights.
    before = {"store_original": True, "from_scratch": True}
    config: PretrainConfig = decode(PretrainConfig, {**before, **saved}, where)
    return dataclasses.replace(config, **paths)


def resumed_config(config: PretrainConfig, path: Path) -> PretrainConfig:
    """Return the saved flags of the run in ``path``, with those that ``config`` may change.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: a flag that was given differs from the saved one, or the file is damaged.
    """
    saved = read_config(path)
    known = as_json(saved)
    given = with_saved(as_json(config), known, as_json(PretrainConfig()), config.given)
    # Only an encoder that is chosen can begin with general-purpose weights.
    given["from_scratch"] |= known["from_scratch"]
    if config.data and saved.data and config.data.resolve() == saved.data.resolve():
        given["data"] = known["data"]
    # The choice adds options of its own to those of the first call.
    if set(given["option"]) <= set(known["option"]):
        given["option"] = known["option"]
    remedy = "resume it without the flag, or start a new run with another --out"
    check_same_settings(known, given, f"the run in {path}", remedy, ignored=MAY_CHANGE)
    further = saved.invariant_to if config.invariant_to is None else config.invariant_to
    return dataclasses.replace(saved, resume=True, device=config.device, invariant_to=further)


def _decode_path(value: Any, where: str) -> Path | None:
    name = decode(str | None, value, where)
    try:
        os.stat(name or ".")
    except FileNotFoundError:
        pass  # a folder to be written, or data that are named where they are read
    except (OSError, ValueError) as error:
        raise ValueError(f"{where} is no path: {getattr(error, 'strerror', error)}") from error
    return Path(name) if name else None


def as_json(config: PretrainConfig) -> dict[str, Any]:
    """Return the flags as JSON holds them and ``read_config`` reads them."""
    values = dataclasses.asdict(config)
    del values["given"]
    return {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
