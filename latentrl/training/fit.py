"""fit(): train a model by gradient steps, solve it in closed form, or measure its latents."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from latentrl.data.frames import CHUNK, Frames, check_learnable, evenly_spaced
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import Observations
from latentrl.models.preprocessing import is_image
from latentrl.models.stored import frames_of
from latentrl.training.callbacks import FitCallback
from latentrl.training.checkpoint import WEIGHTS, save
from latentrl.training.config import FitConfig
from latentrl.training.health import ACTIVE_VARIANCE, latent_statistics
from latentrl.training.pca import fit_pca
from latentrl.training.resume import PREREQUISITE, RESUME_FILE, has_progress
from latentrl.training.trainer import COMPLETE, Trainer
from latentrl.types import Array
from latentrl.utils.device import pick_device
from latentrl.utils.io import read_tensors

CONSTANT_VARIANCE = 1e-8
"""A deterministic latent that varies less is constant; unlike a posterior's its scale is free."""
PREPROCESSING_SAMPLE = 50_000
"""Most frames that the statistics of preprocessing are computed from."""
PREPROCESSING_BYTES = 2**26
"""Most bytes of them."""


@dataclass
class History:
    """The split and the metrics of a call of ``fit``."""

    training: Frames = field(compare=False, repr=False)
    """Frames that the model was trained on."""
    validation: Frames = field(compare=False, repr=False)
    """Held-out frames."""
    epochs: list[dict[str, float]] = field(default_factory=list)
    """One row per validation: ``step``, and ``train/...`` and ``validation/...`` losses in nats."""
    best_step: int = 0
    """Gradient step of the weights that the model has."""


def fit(
    model: Autoencoder,
    frames: Observations,
    config: FitConfig | None = None,
    *,
    path: str | Path | None = None,
    resume: bool = False,
    callbacks: Sequence[FitCallback] = (),
    progress: bool = True,
) -> History:
    """Train ``model`` in place; it ends with the weights that were best on the validation frames.

    A ``pca`` model is solved, and a ``random`` one keeps its weights, as every model does with
    ``steps=0``; all get latent statistics. Any other model that was fitted before keeps its
    preprocessing, which its weights belong to. If a model needs another one, as ``dae_beta_vae``
    does, ``fit`` trains that one first, on the same split.

    Args:
        model: the model to train.
        frames: the frames to train on; anything that ``as_frames`` takes.
        config: hyperparameters; None means the defaults.
        path: folder for the best model so far and, beside it, the state to resume from; without
            ``resume`` one that holds no model yet.
        resume: continue the interrupted run in ``path``, at the next step; on the same CPU the
            result is the same bits as without the interruption.
        callbacks: hooks to run after each validation, once per epoch or, if epochs are short, per
            about 50 steps.
        progress: whether to show a progress bar.

    Returns:
        The history; its ``validation`` are the frames that the model was not trained on.

    Raises:
        TypeError: ``model`` is no model, ``config`` no ``FitConfig``, or a callback has no
            ``on_epoch_end``.
        ValueError: the frames are not of the model's observation space, are too few or all the
            same, ``path`` holds a model or a training already, or there is nothing to resume.
        FloatingPointError: the loss is no longer finite.
        KeyboardInterrupt: an interruption, once the state is saved.

    Warns:
        UserWarning: the latents have collapsed: none varies with the observation; a denoiser
            restores observations worse than leaving the noise in them; or a term of the loss
            compares observations with their previous ones, and the frames have no order.
    """
    frames = frames_of(model, frames)
    check_learnable(frames, model.observation_space if is_image(model.observation_space) else None)
    if not isinstance(config, FitConfig | None):
        raise TypeError(f"config is a FitConfig, such as FitConfig(steps=300), got {config!r}")
    callbacks = tuple(callbacks)
    for callback in callbacks:
        if not callable(getattr(callback, "on_epoch_end", None)):
            raise TypeError(
                "a callback is an object with on_epoch_end(model, validation, row, health), got "
                f"{callback!r}"
            )
    if resume and path is None:
        raise ValueError("resume=True needs the path of the run to resume")
    folder = None if path is None else Path(path)
    if folder is not None and not resume:
        _check_free(folder)
    _warn_of_no_order(model, frames)
    return _fit(model, frames, config or FitConfig(), folder, resume, callbacks, progress)


def _fit(
    model: Autoencoder,
    frames: Frames,
    config: FitConfig,
    path: Path | None,
    resume: bool,
    callbacks: Sequence[FitCallback],
    progress: bool,
) -> History:
    model.to(pick_device(config.device))
    training, validation = frames.split(config.validation, config.seed)
    if not (model.fitted and model.config.training == "gradient"):
        _fit_preprocessing(model, training)
    needed = model.reconstruction.prerequisite()
    if needed is not None:
        folder = None if path is None else path / PREREQUISITE
        _fit(needed, frames, config, folder, resume, (), progress)
        model.reconstruction.complete(needed)
        # An interruption of this stage leaves nothing of the next one to resume.
        resume = resume and path is not None and (path / RESUME_FILE).exists()
    model.metadata.update(frames=len(frames), fingerprint=frames.fingerprint, data=frames.metadata)
    trainer = Trainer(model, training, validation, config, path, callbacks)
    _find_weights(trainer, resume, progress)
    if path is not None:
        save(model, path)
    return History(training, validation, trainer.progress.rows, trainer.progress.best_step)


def _warn_of_no_order(model: Autoencoder, frames: Frames) -> None:
    terms = zip(model.config.losses, model.loss_terms, strict=True)
    names = [spec["name"] for spec, term in terms if term.needs_previous]
    if names and not frames.ordered:
        warnings.warn(
            f"terms of the loss without effect: {', '.join(names)}. They compare observations with "
            "the previous ones of their episodes, and these observations have no order; give "
            "arrays in order as as_frames(array, episodes=numbers), or train without such terms",
            UserWarning,
            stacklevel=3,
        )


def _check_free(folder: Path) -> None:
    """Raise ``ValueError`` where a new training would replace what is in ``folder``."""
    if has_progress(folder):
        raise ValueError(
            f"{folder} already holds a training: give resume=True to continue it, choose another "
            "path, or remove the folder to train anew"
        )
    if _holds_model(folder / WEIGHTS):
        raise ValueError(
            f"{folder} already holds a model: choose another path, or remove the folder to replace "
            "it"
        )


def _holds_model(file: Path) -> bool:
    """Return whether ``file`` is a whole model, and not what a kill left of a training."""
    if not file.is_file():
        return False
    try:
        notes = read_tensors(file, "latentrl")[1]
    except ValueError:  # damaged
        return False
    return bool(notes.get("metadata", {}).get(COMPLETE, True))


def _find_weights(trainer: Trainer, resume: bool, progress: bool) -> None:
    model, config = trainer.model, trainer.config
    if model.config.training == "gradient" and config.steps != 0:
        trainer.train(resume, progress)
        _warn_of_collapse(model)
        _warn_of_poor_restoration(trainer)
    elif model.config.training == "pca":
        fit_pca(model, trainer.training, config.seed)
        trainer.log_epoch()
    else:
        latent_statistics(model, trainer.described).store(model)


def preprocessing_sample(frames: Frames) -> Array:
    """Return the frames that the statistics of preprocessing are computed from, evenly spaced."""
    count = min(PREPROCESSING_SAMPLE, max(1, PREPROCESSING_BYTES // frames[:1].nbytes))
    return frames[evenly_spaced(len(frames), count)]


def _fit_preprocessing(model: Autoencoder, training: Frames) -> None:
    sample = preprocessing_sample(training)
    model.preprocess.fit(sample)
    if model.is_centred:
        parts = (torch.from_numpy(sample[i : i + CHUNK]) for i in range(0, len(sample), CHUNK))
        total = sum(model.preprocess(x.to(model.device)).sum(0, dtype=torch.float64) for x in parts)
        model.centre((total / len(sample)).float())


def _warn_of_collapse(model: Autoencoder) -> None:
    limit = ACTIVE_VARIANCE if model.variational else CONSTANT_VARIANCE
    if not (model.latent_std.square() > limit).any():
        warnings.warn(
            "the latents have collapsed: none varies with the observation; lower beta, or the "
            "likelihood's sigma, train longer, or check that the frames differ",
            stacklevel=5,
        )


def _warn_of_poor_restoration(trainer: Trainer) -> None:
    progress = trainer.progress
    best = next(row for row in progress.rows if row["step"] == progress.best_step)
    if best["psnr"] < best.get("input_psnr", -math.inf):
        warnings.warn(
            f"the restored observations are farther from the clean ones (PSNR {best['psnr']:.1f} "
            f"dB) than the corrupted inputs are ({best['input_psnr']:.1f} dB): train longer, or "
            "increase latent_dim; weak noise is better left in",
            stacklevel=5,
        )
