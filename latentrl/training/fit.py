"""fit(): the one training loop."""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch
from torch import Tensor

from latentrl.data.frames import Frames, as_frames, check_learnable
from latentrl.models.autoencoder import Autoencoder
from latentrl.training.checkpoint import save
from latentrl.training.health import ACTIVE_VARIANCE, Health, health, store_statistics
from latentrl.training.pca import fit_pca
from latentrl.training.resume import RESUME_FILE, Progress, read_progress, write_progress
from latentrl.types import Array, describe_space
from latentrl.utils.device import pick_device
from latentrl.utils.progress import progress_bar
from latentrl.utils.signals import held_interrupts

Schedule = Literal["cosine", "constant"]
Precision = Literal["auto", "bfloat16", "float32"]
SCHEDULES, PRECISIONS = get_args(Schedule), get_args(Precision)
CONSTANT_VARIANCE = 1e-8
"""A point code that varies less is a constant; its scale is free, unlike that of a posterior."""


@dataclass(frozen=True)
class FitConfig:
    """How to train; every model takes the same."""

    epochs: int = 10
    """Passes over the training frames."""
    steps: int | None = None
    """Gradient steps; replaces ``epochs``."""
    batch_size: int = 128
    """Frames per gradient step."""
    learning_rate: float = 1e-3
    """Adam's step size at the start."""
    schedule: Schedule = "cosine"
    """How the step size changes: down to a hundredth, or not at all."""
    gradient_clip: float | None = 1000.0
    """Largest norm of the gradient, of a loss in nats per frame; None does not clip."""
    validation: float = 0.1
    """Share of the episodes held out."""
    patience: int | None = None
    """Stop after so many epochs without a better validation loss; None goes to the end."""
    precision: Precision = "auto"
    """Of the forward pass; "auto" takes bfloat16 where the processor has it."""
    compile: bool = False
    """Use ``torch.compile``; needs a C++ compiler, pays on long runs, least with recurrent
    backbones and ``psd_ae``."""
    seed: int = 0
    """Seed of the split, the order of the frames, the noise."""
    device: str = "auto"
    """"auto" is the GPU where there is one."""

    def __post_init__(self) -> None:
        """Refuse values without a meaning, by the field's name."""
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("steps", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1 or None, got {value}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise ValueError(f"gradient_clip must be positive or None, got {self.gradient_clip}")
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"unknown {name} {getattr(self, name)!r}; known: {', '.join(known)}"
                )


@dataclass
class History:
    """What a call of ``fit`` saw."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    """One row an epoch: ``step``, ``train/...`` and ``validation/...`` figures in nats."""
    best_step: int = 0
    """The gradient step of the weights that the model now has."""
    training: Frames = None  # type: ignore[assignment]
    """The frames that the model was trained on."""
    validation: Frames = None  # type: ignore[assignment]
    """The held-out frames."""


class FitCallback(Protocol):
    """Hears of a fit's progress, for example to log it."""

    def on_epoch_end(
        self, model: Autoencoder, validation: Frames, row: Mapping[str, float], health: Health
    ) -> None:
        """Hear of the end of an epoch; ``row`` is the history's newest."""


def fit(
    model: Autoencoder,
    frames: Frames | Array | str | Path,
    config: FitConfig | None = None,
    *,
    path: str | Path | None = None,
    resume: bool = False,
    callbacks: Sequence[FitCallback] = (),
    progress: bool = True,
) -> History:
    """Train ``model`` in place; it ends with the weights that were best on the validation frames.

    A ``pca`` model is solved and a ``random`` one is left alone; both get their latent statistics.

    Args:
        model: what to train.
        frames: what to train on; anything that ``as_frames`` takes.
        config: how; None takes the defaults.
        path: folder for the best model so far and, beside it, the state to resume from.
        resume: continue the interrupted run in ``path``, at the next step; on the same CPU the
            result is the same bits as without the interruption.
        callbacks: told of every epoch.
        progress: whether to show a progress bar.

    Raises:
        ValueError: the frames are not of the model's observation space, are too few, or there is
            nothing to resume.
        FloatingPointError: the loss is no longer finite.
        KeyboardInterrupt: as it came, after the state was saved.

    Warns:
        UserWarning: the code has collapsed: no unit is active.
    """
    config = config or FitConfig()
    frames = as_frames(frames)
    _check_space(model, frames)
    check_learnable(frames)
    if resume and path is None:
        raise ValueError("resume=True needs the path of the run to resume")
    model.to(pick_device(config.device))
    training, validation = frames.split(config.validation, config.seed)
    _fit_preprocessing(model, training)
    if path is not None and not resume:
        (Path(path) / RESUME_FILE).unlink(missing_ok=True)  # of an earlier run in this folder
    if model.features is not None and not model.features.fitted:
        _fit_features(model, frames, config, path, resume, progress)
        resume = resume and _begun(path)
    model.metadata.update(frames=len(frames), fingerprint=frames.fingerprint, data=frames.metadata)
    trainer = _Trainer(
        model, training, validation, config, None if path is None else Path(path), callbacks
    )
    if model.config.training == "gradient":
        trainer.train(resume, progress)
    else:
        trainer.solve()
    if path is not None:
        save(model, path)
    return History(trainer.progress.rows, trainer.progress.best_step, training, validation)


def _fit_features(
    model: Autoencoder,
    frames: Frames,
    config: FitConfig,
    path: str | Path | None,
    resume: bool,
    progress: bool,
) -> None:
    assert model.features is not None
    folder = None if path is None else Path(path) / "features"
    trainable = Autoencoder(
        model.features.config
    )  # the frozen one stays as it is until this one is done
    trainable.load_state_dict(model.features.state_dict())
    fit(trainable, frames, config, path=folder, resume=resume, progress=progress)
    model.take_features(trainable)


def _begun(path: str | Path | None) -> bool:
    return path is not None and (Path(path) / RESUME_FILE).exists()


def _check_space(model: Autoencoder, frames: Frames) -> None:
    if (
        frames.space.shape != model.observation_space.shape
        or frames.space.dtype != model.observation_space.dtype
    ):
        raise ValueError(
            f"the model takes observations of {describe_space(model.observation_space)}, "
            f"these frames are {describe_space(frames.space)}"
        )


def _fit_preprocessing(model: Autoencoder, training: Frames) -> None:
    if len(model.preprocess.shape) < 3:
        model.preprocess.fit(
            training[np.linspace(0, len(training) - 1, min(len(training), 50_000)).astype(int)]
        )


class _Trainer:
    """One call of ``fit``: the model, the data, the optimizer and where it has got to."""

    def __init__(
        self,
        model: Autoencoder,
        training: Frames,
        validation: Frames,
        config: FitConfig,
        path: Path | None,
        callbacks: Sequence[FitCallback],
    ) -> None:
        self.model, self.training, self.validation = model, training, validation
        self.config, self.path, self.callbacks = config, path, callbacks
        self.steps_per_epoch = math.ceil(len(training) / config.batch_size)
        self.total = config.steps or config.epochs * self.steps_per_epoch
        self.progress = Progress(self._recipe())
        self.best = _copy_state(model)
        self.sums: dict[str, Tensor] = {}

    def _recipe(self) -> dict[str, Any]:
        settings = dataclasses.asdict(self.config)
        for free in ("device", "compile"):
            settings.pop(free)
        return {
            "fit": settings,
            "model": self.model.config.to_json(),
            "frames": self.training.fingerprint,
        }

    def solve(self) -> None:
        """Find the weights of a model that needs no gradient steps."""
        if self.model.config.training == "pca":
            fit_pca(self.model, self.training, self.config.seed)
            self._log_epoch()
        else:
            store_statistics(self.model, self.validation)

    def train(self, resume: bool, show: bool) -> None:
        """Run the loop to its end."""
        self._prepare()
        if resume:
            self._restore()
        bar = progress_bar(self.total, self.progress.step, "training", "step", show)
        with bar, held_interrupts() as raise_held:
            try:
                self._loop(bar, raise_held)
            except KeyboardInterrupt:
                self._save_progress()
                raise
        self._finish()

    def _prepare(self) -> None:
        device = self.model.device
        bfloat16 = self.config.precision == "bfloat16" or (
            self.config.precision == "auto" and _has_bfloat16(device)
        )
        self.autocast = functools.partial(
            torch.autocast, device.type, torch.bfloat16, enabled=bfloat16
        )
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(
            [p for p in self.model.parameters() if p.requires_grad],
            self.config.learning_rate,
            fused=True,
        )
        self.generator = torch.Generator(device)
        if self.config.compile:
            torch.compiler.reset()  # what other models of this process left counts against a limit
        self.terms = torch.compile(self._terms) if self.config.compile else self._terms

    def _loop(self, bar: Any, raise_held: Callable[[], None]) -> None:
        while self.progress.step < self.total and not self._out_of_patience():
            for indices in self._rest_of_epoch():
                raise_held()  # here, where all of the last step and of the last epoch is done
                self._step(indices)
                bar.update(1)
                if self.progress.step == self.total:
                    break
            self._end_epoch(bar)

    def _rest_of_epoch(self) -> Iterator[Array]:
        epoch, done = divmod(self.progress.step, self.steps_per_epoch)
        order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self.training))
        for number in range(done, self.steps_per_epoch):
            start = number * self.config.batch_size
            yield np.sort(order[start : start + self.config.batch_size])

    def _step(self, indices: Array) -> None:
        model, step = self.model.train(), self.progress.step
        observations = torch.from_numpy(self.training[indices]).to(model.device, non_blocking=True)
        x = model.preprocess(observations).contiguous(memory_format=_layout(observations))
        inputs, noise = model.sample_noise(
            x, self.generator.manual_seed(_step_seed(self.config.seed, step))
        )
        with self.autocast():
            terms = self.terms(x, inputs, noise, step)
        loss = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.config.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), self.config.gradient_clip)
        self._set_learning_rate(step)
        self.optimizer.step()
        for name, term in {"loss": loss, **terms}.items():
            self.sums[name] = self.sums.get(name, term.new_zeros(())) + term.detach().float()
        self.progress.step += 1
        self.progress.summed += 1

    def _terms(self, x: Tensor, inputs: Tensor, noise: Tensor, step: int) -> dict[str, Tensor]:
        return self.model.losses(x, inputs, noise, step)[0]

    def _set_learning_rate(self, step: int) -> None:
        scale = 1.0
        if self.config.schedule == "cosine":
            scale = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / self.total))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * scale

    def _end_epoch(self, bar: Any) -> None:
        row = self._log_epoch()
        state = (
            f"validation {row['validation/loss']:.1f} nats, {row['active_units']:.0f} active units"
        )
        bar.set_postfix_str(state, refresh=False)
        self._save_progress()

    def _log_epoch(self) -> dict[str, float]:
        state = health(
            self.model, self.validation, self.total, corrupted=True
        )  # schedules at their end: epochs compare
        row = {
            f"train/{name}": float(total) / self.progress.summed
            for name, total in self.sums.items()
        }
        row |= {"step": self.progress.step, "validation/loss": state.loss}
        row |= {"validation/reconstruction": state.reconstruction, "psnr": state.psnr}
        row |= {"kl": float(state.kl.sum()), "active_units": state.active_units}
        row |= _known({"ssim": state.ssim, "train/beta_norm": self.model.beta_norm})
        if not all(math.isfinite(value) for value in row.values()):
            raise FloatingPointError(
                f"the loss is not finite at step {self.progress.step}; lower learning_rate "
                f"(now {self.config.learning_rate:g}) or set gradient_clip"
            )
        self.progress.rows.append(row)
        self.sums, self.progress.summed = {}, 0
        store_statistics(self.model, self.validation)
        self._keep_best(state.loss)
        for callback in self.callbacks:
            callback.on_epoch_end(self.model, self.validation, row, state)
        return row

    def _keep_best(self, loss: float) -> None:
        self.progress.bad_epochs += 1
        if loss < self.progress.best_loss:
            self.progress.best_loss, self.progress.best_step = loss, self.progress.step
            self.progress.bad_epochs = 0
            self.best = _copy_state(self.model)
            if self.path is not None:
                save(self.model, self.path)

    def _out_of_patience(self) -> bool:
        return self.config.patience is not None and self.progress.bad_epochs >= self.config.patience

    def _finish(self) -> None:
        self.model.load_state_dict(self.best)
        _warn_of_collapse(self.model)

    def _save_progress(self) -> None:
        if self.path is not None:
            write_progress(
                self.path, self.progress, self.model, self.optimizer, self.best, self.sums
            )
            save(self.model, self.path / "last")

    def _restore(self) -> None:
        assert self.path is not None
        state = read_progress(self.path, self.progress.recipe, self.model, self.optimizer)
        self.progress, self.best, self.sums = state


def _known(figures: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if value is not None}


def _copy_state(model: Autoencoder) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _layout(observations: Tensor) -> torch.memory_format:
    return torch.channels_last if observations.ndim == 4 else torch.contiguous_format


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def _warn_of_collapse(model: Autoencoder) -> None:
    limit = ACTIVE_VARIANCE if model.variational else CONSTANT_VARIANCE
    if not (model.latent_std.square() > limit).any():
        warnings.warn(
            "the code has collapsed: no unit varies with the observation; lower beta, or the "
            "likelihood's sigma, train longer, or check that the frames differ",
            stacklevel=2,
        )
