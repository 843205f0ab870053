"""The gradient loop of one fit: steps, epochs, the best weights, and the state to resume from."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentrl.data.frames import Frames, evenly_spaced
from latentrl.data.joined import joined
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import previous_of
from latentrl.training.callbacks import FitCallback
from latentrl.training.checkpoint import save
from latentrl.training.config import FitConfig
from latentrl.training.health import Health, latent_statistics, validate
from latentrl.training.optimizer_state import adamw, gradient_step
from latentrl.training.resume import Progress, read_progress, write_progress
from latentrl.types import Array
from latentrl.utils.progress import progress_bar
from latentrl.utils.signals import held_interrupts

COMPLETE = "complete"
"""Whether the training has reached its end, in a model's metadata; older models lack it."""
LAST = "last"
"""Subfolder of the newest model, beside the best one."""
FINITE_INTERVAL = 50
"""Gradient steps between two checks that the loss is finite, beside those of each validation."""
VALIDATION_FRAMES = 512
"""Most held-out frames of one validation: more would take longer than the steps between two."""
DESCRIBED_FRAMES = 64
"""Least frames for statistics of latents; where fewer are held out, training frames complete them,
because a few held-out ones can be unlike all others."""


class Trainer:
    """One call of ``fit``: the model, the data, the optimizer and the progress."""

    def __init__(
        self,
        model: Autoencoder,
        training: Frames,
        validation: Frames,
        config: FitConfig,
        path: Path | None,
        callbacks: Sequence[FitCallback],
    ) -> None:
        """Prepare to train ``model`` in place; arguments as in ``fit``."""
        self.model, self.training = model, training
        self.validation = validation.subset(evenly_spaced(len(validation), VALIDATION_FRAMES))
        self.described = _completed(self.validation, training)
        self.config, self.path, self.callbacks = config, path, callbacks
        self.steps_per_epoch = config.steps_per_epoch(len(training))
        self.total = config.total_steps(len(training))
        self.validation_interval = config.validation_interval(len(training))
        self.progress = Progress(self._recipe())
        self.best = _copy_state(model)
        self.sums: dict[str, Tensor] = {}
        self.term_names: list[str] = []
        self.finite_steps: Tensor | None = None
        """Steps since the last validation at which each term of the loss was finite."""

    def _recipe(self) -> dict[str, Any]:
        # Device and compilation change the speed of a run, not what it computes.
        hyperparameters = dataclasses.asdict(self.config)
        del hyperparameters["device"], hyperparameters["compile"]
        return {
            "fit": hyperparameters,
            "model": self.model.config.to_json(),
            "frames": self.training.fingerprint,
        }

    def train(self, resume: bool, show: bool) -> None:
        """Run the loop to its end; the model ends with the best weights.

        Args:
            resume: whether to start from the state in ``path``.
            show: whether to show a progress bar.
        """
        self._prepare()
        self.model.metadata[COMPLETE] = False
        if resume:
            self._restore()
        bar = progress_bar(self.total, self.progress.step, "training", "step", show)
        try:
            with bar, held_interrupts() as raise_held:
                self._loop_or_save(bar, raise_held)
        except FloatingPointError:
            self.model.load_state_dict(self.best)
            raise
        self.model.metadata[COMPLETE] = True
        self.model.load_state_dict(self.best)

    def _loop_or_save(self, bar: Any, raise_held: Callable[[], None]) -> None:
        try:
            self._loop(bar, raise_held)
        except KeyboardInterrupt:
            self._check_finite()  # a diverged model is not worth resuming
            self._save_progress()
            raise

    def _prepare(self) -> None:
        device, precision = self.model.device, self.config.precision
        bfloat16 = precision == "bfloat16" or (precision == "auto" and _has_bfloat16(device))
        self.autocast = functools.partial(
            torch.autocast, device.type, torch.bfloat16, enabled=bfloat16
        )
        # channels_last with bfloat16 is the fast path of convolutions, on the CPU too.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = adamw(self.model, self.config.learning_rate)
        self.generator = torch.Generator(device)
        if self.config.compile:
            torch.compiler.reset()  # compiled graphs of earlier models count against a limit
        self.terms = torch.compile(self._terms) if self.config.compile else self._terms

    def _loop(self, bar: Any, raise_held: Callable[[], None]) -> None:
        while not self._is_over():
            for indices in self._until_validation():
                raise_held()  # here, where the last step and the last validation are complete
                self._step(indices)
                bar.update(1)
                if self.progress.step % FINITE_INTERVAL == 0:
                    self._check_finite()
            row = self.log_epoch()
            state = f"{row['validation/loss']:.1f} nats, {row['active_units']:.0f} active units"
            bar.set_postfix_str(f"validation {state}", refresh=False)
            self._save_progress()
        bar.total = self.progress.step  # an early stop is an end

    def _until_validation(self) -> Iterator[Array]:
        """Yield the positions of the frames of each step up to the next validation."""
        done, interval = self.progress.step, self.validation_interval
        for step in range(done, min(self.total, done + interval - done % interval)):
            epoch, number = divmod(step, self.steps_per_epoch)
            if number == 0 or step == done:
                order = self._order(epoch)
            start = number * self.config.batch_size
            # Sorted indices read a memory map in one direction.
            yield np.sort(order[start : start + self.config.batch_size])

    def _order(self, epoch: int) -> Array:
        # It depends on seed and epoch alone, so that a resumed run continues it.
        rng = np.random.default_rng([self.config.seed, epoch])
        return rng.permutation(len(self.training))

    def _step(self, indices: Array) -> None:
        model, step = self.model.train(), self.progress.step
        observations = torch.from_numpy(self.training[indices]).to(model.device, non_blocking=True)
        x = model.preprocess(observations).contiguous(memory_format=_layout(observations))
        previous = previous_of(model, self.training, indices)
        self.generator.manual_seed(_step_seed(self.config.seed, step))
        inputs, mask, noise = model.sample_noise(x, self.generator)
        with self.autocast():
            terms = self.terms(x, inputs, mask, noise, step, previous)
        values = torch.stack(list(terms.values()))
        loss = values.sum()
        self._set_learning_rate(step)
        gradient_step(loss, self.optimizer, self.config.gradient_clip)
        # Sums stay on the device: reading a loss each step would wait for the GPU.
        for name, term in {"loss": loss, **terms}.items():
            self.sums[name] = self.sums.get(name, term.new_zeros(())) + term.detach().float()
        self.term_names = list(terms)  # ``sums`` of a resumed run has another order
        finite = values.detach().isfinite().int()
        self.finite_steps = finite if self.finite_steps is None else self.finite_steps + finite
        self.progress.step += 1
        self.progress.summed += 1

    def _terms(
        self,
        x: Tensor,
        inputs: Tensor,
        mask: Tensor | None,
        noise: Tensor,
        step: int,
        previous: Tensor | None,
    ) -> dict[str, Tensor]:
        return self.model.losses(x, inputs, mask, noise, step, previous)[0]

    def _set_learning_rate(self, step: int) -> None:
        scale = 1.0
        if self.config.schedule == "cosine":
            scale = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / self.total))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * scale

    def log_epoch(self) -> dict[str, float]:
        """Validate, store latent statistics, keep the best weights, run the callbacks.

        Returns:
            The row of the epoch.

        Raises:
            FloatingPointError: a metric is not finite.
        """
        # Losses with a schedule are taken at its end, so that epochs compare.
        state, statistics = validate(self.model, self.validation, self.total)
        if self.described is not self.validation:
            statistics = latent_statistics(self.model, self.described)
            state = dataclasses.replace(state, variance=statistics.variance())
        row = self._row(state)
        self.progress.rows.append(row)
        self.sums, self.finite_steps, self.progress.summed = {}, None, 0
        statistics.store(self.model)
        self._keep_best(state.loss)
        for callback in self.callbacks:
            callback.on_epoch_end(self.model, self.validation, row, state)
        return row

    def _row(self, state: Health) -> dict[str, float]:
        row = {
            f"train/{name}": float(total) / self.progress.summed
            for name, total in self.sums.items()
        }
        row |= {"step": self.progress.step, "validation/loss": state.loss}
        row |= {"validation/reconstruction": state.reconstruction, "psnr": state.psnr}
        row |= {"kl": float(state.kl.sum()), "active_units": state.active_units}
        row |= _known(
            {
                "ssim": state.ssim,
                "input_psnr": state.input_psnr,
                "train/beta_norm": self.model.beta_norm,
            }
        )
        self._check_finite(row)
        return row

    def _check_finite(self, metrics: Mapping[str, float | Tensor] | None = None) -> None:
        """Check metrics, by default the losses since the last validation, which waits for a GPU."""
        given = self.sums if metrics is None else metrics
        wrong = [name for name, value in given.items() if not math.isfinite(float(value))]
        if wrong:
            raise FloatingPointError(
                f"the loss is not finite at step {self.progress.step}, at first in "
                f"{', '.join(self._first_wrong_terms() or wrong)}; lower learning_rate "
                f"(now {self.config.learning_rate:g}) or set gradient_clip"
            )

    def _first_wrong_terms(self) -> list[str]:
        """Return the terms of the loss that were NaN or infinite first; those after them follow."""
        if self.finite_steps is None:
            return []
        steps = zip(self.term_names, self.finite_steps.tolist(), strict=True)
        wrong = {name: n for name, n in steps if not math.isfinite(float(self.sums[name]))}
        return [name for name, n in wrong.items() if n == min(wrong.values())]

    def _keep_best(self, loss: float) -> None:
        self.progress.bad_epochs += 1
        if loss < self.progress.best_loss:
            self.progress.best_loss, self.progress.best_step = loss, self.progress.step
            self.progress.bad_epochs = 0
            self.best = _copy_state(self.model)
            if self.path is not None:
                save(self.model, self.path)

    def _is_over(self) -> bool:
        patience = self.config.patience
        impatient = patience is not None and self.progress.bad_epochs >= patience
        return impatient or self.progress.step >= self.total

    def _save_progress(self) -> None:
        if self.path is not None:
            write_progress(
                self.path, self.progress, self.model, self.optimizer, self.best, self.sums
            )
            self.model.metadata[COMPLETE] = self._is_over()
            save(self.model, self.path / LAST)

    def _restore(self) -> None:
        assert self.path is not None
        state = read_progress(self.path, self.progress.recipe, self.model, self.optimizer)
        self.progress, self.best, self.sums = state


def _completed(validation: Frames, training: Frames) -> Frames:
    missing = DESCRIBED_FRAMES - len(validation)
    if missing <= 0:
        return validation
    return joined(validation, training.subset(evenly_spaced(len(training), missing)))


def _known(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if value is not None}


def _copy_state(model: Autoencoder) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _layout(observations: Tensor) -> torch.memory_format:
    return torch.channels_last if observations.ndim == 4 else torch.contiguous_format


def _step_seed(seed: int, step: int) -> int:
    # A seed per step, so that a resumed run draws the noise of its next step.
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
